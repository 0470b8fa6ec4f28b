"""Secret parameters and outputs: stored sealed, shown `[REDACTED]`, opened only in the worker (contract §4)."""

from collections.abc import Collection, Iterable, Iterator, Mapping

from accounts import vault
from core.json_text import dumps, loads, storable_dumps
from core.redact import REDACTED, Redactor, looks_secret, redact
from core.types import JSONObject, JSONValue


def parameters_place(execution_id: str) -> str:
    """What an execution's sealed parameters are bound to."""
    return f"{execution_id}/parameters"


def hidden_place(execution_id: str) -> str:
    """What the sealed texts that an execution hides are bound to."""
    return f"{execution_id}/hidden"


def output_place(run_id: str) -> str:
    """What a run's sealed output is bound to."""
    return f"{run_id}/output"


def input_place(execution_id: str) -> str:
    """What the sealed input that a trigger brought is bound to."""
    return f"{execution_id}/input"


def item_place(loop_run_id: str, index: int) -> str:
    """What the sealed value of a loop's item is bound to."""
    return f"{loop_run_id}/items/{index}"


def split_parameters(
    values: JSONObject,
    sensitive: Iterable[str],
    *,
    execution_id: str,
    hidden: Collection[str] = (),
    masks: Mapping[str, JSONValue] | None = None,
) -> tuple[JSONObject, bytes | None]:
    """(what may be shown, the whole sealed or None if nothing in it is secret).

    `hidden` texts are secret anywhere; `masks` has, by name, what at most may be shown of a parameter.
    """
    declared = frozenset(sensitive)
    shown = {
        name: REDACTED if name in declared and value is not None else redact({name: value})[name]
        for name, value in {**values, **(masks or {})}.items()
    }
    if hidden:
        shown = Redactor(hidden).redact(shown, by_name=False)
    if shown == values:
        return shown, None
    return shown, vault.seal(dumps(values), bound_to=parameters_place(execution_id))


def seal_hidden(texts: Collection[str], *, execution_id: str) -> bytes:
    """Texts that an execution must not tell, sealed for it."""
    return vault.seal(dumps(sorted(texts)), bound_to=hidden_place(execution_id))


def open_hidden(sealed: bytes | None, *, execution_id: str) -> frozenset[str]:
    """The texts that an execution must not tell beside its own secrets. Raises accounts.vault.SealBrokenError."""
    if sealed is None:
        return frozenset()
    texts: list[str] = loads(vault.unseal(sealed, bound_to=hidden_place(execution_id)))
    return frozenset(texts)


def open_parameters(shown: JSONObject, sealed: bytes | None, *, execution_id: str) -> JSONObject:
    """The values as they were given. Raises accounts.vault.SealBrokenError."""
    if sealed is None:
        return shown
    opened: JSONObject = loads(vault.unseal(sealed, bound_to=parameters_place(execution_id)))
    return opened


def seal_output(output_text: str, *, run_id: str) -> bytes:
    """An output that contains a secret, sealed for its run."""
    return vault.seal(output_text.encode(), bound_to=output_place(run_id))


def open_output(shown: JSONValue, sealed: bytes | None, *, run_id: str) -> JSONValue:
    """A run's output as the component made it. Raises accounts.vault.SealBrokenError."""
    return shown if sealed is None else loads(vault.unseal(sealed, bound_to=output_place(run_id)))


def seal_item(value_text: str, *, loop_run_id: str, index: int) -> bytes:
    """An item of a loop that contains a secret, sealed for its place."""
    return vault.seal(value_text.encode(), bound_to=item_place(loop_run_id, index))


def open_item(shown: JSONValue, sealed: bytes | None, *, loop_run_id: str, index: int) -> JSONValue:
    """An item's value as it was given. Raises accounts.vault.SealBrokenError."""
    return shown if sealed is None else loads(vault.unseal(sealed, bound_to=item_place(loop_run_id, index)))


def signal_place(signal_id: str) -> str:
    """What the sealed data of a signal is bound to."""
    return f"{signal_id}/signal"


def seal_signal(data: JSONValue, *, signal_id: str) -> bytes:
    """What somebody told an execution, sealed for its row."""
    return vault.seal(storable_dumps(data).encode(), bound_to=signal_place(signal_id))


def open_signal(data: JSONValue, sealed: bytes | None, *, signal_id: str) -> JSONValue:
    """A signal's data; plain where it was kept before signals were sealed. Raises accounts.vault.SealBrokenError."""
    return data if sealed is None else loads(vault.unseal(sealed, bound_to=signal_place(signal_id)))


def split_input(value: JSONValue, *, execution_id: str, hidden: Collection[str] = ()) -> tuple[JSONValue, bytes | None]:
    """(what may be shown of what a trigger brought, the whole sealed or None if nothing in it is secret)."""
    known = secret_values(value, ()) if isinstance(value, dict) else frozenset[str]()
    shown = Redactor(known.union(hidden)).redact(value)
    if shown == value:
        return shown, None
    return shown, vault.seal(dumps(value), bound_to=input_place(execution_id))


def open_input(trigger: JSONObject, sealed: bytes | None, *, execution_id: str) -> JSONValue:
    """What a trigger brought, or None. Raises accounts.vault.SealBrokenError."""
    if sealed is None:
        return trigger.get("input")
    opened: JSONValue = loads(vault.unseal(sealed, bound_to=input_place(execution_id)))
    return opened


def secret_values(values: JSONObject, sensitive: Iterable[str]) -> frozenset[str]:
    """The texts that must not be told: all under a declared or secret-looking name."""
    declared = frozenset(sensitive)
    return frozenset(
        text for name, value in values.items() for text in _secrets(value, name in declared or looks_secret(name))
    )


def _secrets(value: JSONValue, secret: bool) -> Iterator[str]:
    if isinstance(value, dict):
        for key, child in value.items():
            yield from _secrets(child, secret or looks_secret(key))
    elif isinstance(value, list):
        for child in value:
            yield from _secrets(child, secret)
    elif secret and value is not None and not isinstance(value, bool):
        yield str(value)
