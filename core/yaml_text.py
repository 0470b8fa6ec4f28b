"""YAML as another spelling of JSON: read from the parser's events, without anchors, tags, or surprises of YAML 1.1."""

import re
from typing import Any

import yaml

from core.strict_json import MAX_DEPTH
from core.types import JSONValue

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,399})", re.ASCII)
_FLOAT = re.compile(r"-?(?:0|[1-9][0-9]{0,99})\.[0-9]{1,99}(?:[eE][-+][0-9]{1,3})?", re.ASCII)
_WORDS = {"": None, "~": None, "null": None, "true": True, "false": False}


class YAMLError(ValueError):
    """The text is not the YAML that we take; the message says why, and where."""


def dumps(value: JSONValue) -> str:
    """The JSON value as YAML, keys in their order."""
    text: str = yaml.dump(value, Dumper=_DUMPER, sort_keys=False, allow_unicode=True, width=100)
    return text


def loads(data: bytes) -> JSONValue:
    """The one document in UTF-8 text, as JSON.

    `yes`, dates, `1_000` and the like are text: of unquoted words only JSON's are read as something else. Raises
    YAMLError: no UTF-8, no YAML, aliases, tags, duplicate keys, keys that are no text, nesting over MAX_DEPTH,
    several documents.
    """
    try:
        text = data.decode("utf-8")
        builder = _Builder()
        for event in yaml.parse(text, Loader=_LOADER):
            builder.take(event)
    except UnicodeDecodeError as error:
        raise YAMLError(f"not UTF-8 at byte {error.start}") from None
    except yaml.MarkedYAMLError as error:
        raise YAMLError(f"{error.problem or 'cannot be read'}{_place(error.problem_mark)}") from None
    except yaml.YAMLError:
        raise YAMLError("holds a character that YAML does not allow") from None
    return builder.value()


class _Builder:
    """Builds the value without recursion: text nested a million deep costs no stack, and ends at MAX_DEPTH."""

    def __init__(self) -> None:
        # Containers being filled; for an object with the key that waits for its value.
        self._open: list[tuple[list[JSONValue] | dict[str, JSONValue], list[str]]] = []
        self._documents: list[JSONValue] = []

    def value(self) -> JSONValue:
        if len(self._documents) != 1:
            raise YAMLError(f"expected one document, got {len(self._documents)}")
        return self._documents[0]

    def take(self, event: Any) -> None:
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise YAMLError(f"anchors and aliases are not taken{_place(event.start_mark)}")
        if isinstance(event, yaml.NodeEvent) and getattr(event, "tag", None) not in {None, "!"}:
            raise YAMLError(f"tags are not taken{_place(event.start_mark)}")
        if isinstance(event, yaml.ScalarEvent):
            self._scalar(event)
        elif isinstance(event, yaml.CollectionStartEvent):
            if len(self._open) == MAX_DEPTH:
                raise YAMLError(f"nested deeper than {MAX_DEPTH}{_place(event.start_mark)}")
            container: list[JSONValue] | dict[str, JSONValue] = {} if isinstance(event, yaml.MappingStartEvent) else []
            self._add(container, event)
            self._open.append((container, []))
        elif isinstance(event, yaml.CollectionEndEvent):
            self._open.pop()

    def _scalar(self, event: Any) -> None:
        container, key = self._open[-1] if self._open else ([], [])
        if isinstance(container, dict) and not key:
            if event.value in container:
                raise YAMLError(f"duplicate key {event.value[:100]!r}{_place(event.start_mark)}")
            key.append(event.value)
        else:
            self._add(_plain(event.value) if event.implicit[0] else event.value, event)

    def _add(self, value: JSONValue, event: Any) -> None:
        if not self._open:
            self._documents.append(value)
            return
        container, key = self._open[-1]
        if isinstance(container, list):
            container.append(value)
        elif key:
            container[key.pop()] = value
        else:
            raise YAMLError(f"an object's keys must be text{_place(event.start_mark)}")


def _plain(text: str) -> JSONValue:
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text


def _place(mark: Any) -> str:
    return "" if mark is None else f" at line {mark.line + 1}, column {mark.column + 1}"
