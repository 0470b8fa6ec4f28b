"""Pure: a definition given back as it was shown, with what is stored in the places of its marks (contract §4)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from core.errors import Problem
from core.redact import REDACTED
from core.types import JSONValue
from workflows.definition import DefinitionError
from workflows.schemas import join_path, received


def restore(given: JSONValue, stored: JSONValue = None, shown: JSONValue = None) -> Any:
    """`given`, where each text with `[REDACTED]` is what is `stored` in the same place; a copy.

    The same place: the component of the same id wherever it stands, the parameter of the same name, else the same
    keys and indexes. `shown` is what `hide` made of `stored`. Raises DefinitionError naming each text that is not
    what is shown in its place.
    """
    restoring = _Restoring(stored, shown)
    restored = restoring.definition(given, _Pair(stored, shown), "definition")
    if restoring.problems:
        raise DefinitionError(restoring.problems)
    return restored


def unkept(given: JSONValue, shown: JSONValue, path: str = "definition") -> Iterator[Problem]:
    """The marks of `given` that would be shown in full, since what makes their places secret was changed.

    `shown` is what `hide` makes of what was restored from `given`.
    """
    if isinstance(given, dict):
        for key, item in given.items():
            yield from unkept(item, _at(shown, key), join_path(path, [key]))
    elif isinstance(given, list):
        for index, item in enumerate(given):
            yield from unkept(item, _at(shown, index), f"{path}[{index}]")
    elif isinstance(given, str) and REDACTED in given and given != shown:
        message = f"{REDACTED} stands for a secret, and this place would no longer keep it one; write the value"
        details = {"expected": f"a value without {REDACTED}, or a place that is secret", "received": received(given)}
        yield Problem(message, field=path, details=details)


@dataclass(frozen=True, slots=True)
class _Pair:
    """What is stored in one place, and what is shown of it; both None where nothing is."""

    stored: JSONValue = None
    shown: JSONValue = None

    def at(self, key: str | int) -> "_Pair":
        return _Pair(_at(self.stored, key), _at(self.shown, key))


def _at(value: JSONValue, key: str | int) -> JSONValue:
    if isinstance(value, dict):
        return value.get(key)
    return value[key] if isinstance(value, list) and isinstance(key, int) and key < len(value) else None


class _Restoring:
    """One walk over a given definition beside the stored one."""

    def __init__(self, stored: JSONValue, shown: JSONValue) -> None:
        self._components = dict(_by_id(_Pair(stored, shown)))
        self.problems: list[Problem] = []

    def definition(self, given: JSONValue, before: _Pair, path: str) -> JSONValue:
        """A definition, or a config, which may hold a body."""
        if not isinstance(given, dict):
            return self._value(given, before, path)
        parameters = {str(_at(pair.shown, "name")): pair for pair in _items(before.at("parameters"))}
        restored: dict[str, JSONValue] = {}
        for key, value in given.items():
            where, pair = join_path(path, [key]), before.at(key)
            if key == "components" and isinstance(value, list):
                restored[key] = [self._component(item, f"{where}[{index}]") for index, item in enumerate(value)]
            elif key == "parameters" and isinstance(value, list):
                restored[key] = [
                    self._value(item, _named(parameters, item, "name"), f"{where}[{index}]")
                    for index, item in enumerate(value)
                ]
            else:
                restored[key] = self._value(value, pair, where)
        return restored

    def _component(self, given: JSONValue, path: str) -> JSONValue:
        before = _named(self._components, given, "id")
        if not isinstance(given, dict):
            return self._value(given, before, path)
        return {
            key: (self.definition if key == "config" else self._value)(value, before.at(key), join_path(path, [key]))
            for key, value in given.items()
        }

    def _value(self, given: JSONValue, before: _Pair, path: str) -> JSONValue:
        if isinstance(given, dict):
            return {key: self._value(item, before.at(key), join_path(path, [key])) for key, item in given.items()}
        if isinstance(given, list):
            return [self._value(item, before.at(index), f"{path}[{index}]") for index, item in enumerate(given)]
        if not isinstance(given, str) or REDACTED not in given:
            return given
        if given == before.shown:
            return before.stored
        message = f"{REDACTED} stands for a value that is stored in this place, and there is none; write the value"
        details = {
            "expected": f"a value without {REDACTED}, or what is shown in this place of the same component",
            "received": received(given),
        }
        self.problems.append(Problem(message, field=path, details=details))
        return given


def _by_id(pair: _Pair) -> Iterator[tuple[str, _Pair]]:
    """The stored components by their ids, those of bodies too; no id stands twice."""
    for component in _items(pair.at("components")):
        id_ = _at(component.shown, "id")
        if isinstance(id_, str):
            yield id_, component
        yield from _by_id(component.at("config"))


def _items(pair: _Pair) -> Iterator[_Pair]:
    if isinstance(pair.shown, list):
        yield from (pair.at(index) for index in range(len(pair.shown)))


def _named(pairs: Mapping[str, _Pair], given: JSONValue, key: str) -> _Pair:
    name = _at(given, key)
    return pairs.get(name, _Pair()) if isinstance(name, str) else _Pair()
