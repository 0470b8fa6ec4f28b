"""Values that are too large for their row: written to a store before the row refers to them, and read by reference.

A row has either the value or a reference, `{"key", "bytes", "sha256"}` (and of what is sealed its `header`). Every
object has a row in `StoredOutput`, written before it, so that whatever is left behind is known: a process that dies
between the two, or before its result is recorded, leaves an object that no row refers to, and retention takes it away.
What is sealed is stored as sealed as in the row, bound to the same place.
"""

import hashlib
import logging
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic
from typing import Any, TypeVar

from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import storages

from accounts import vault
from core import measures
from core.errors import UnavailableError
from core.json_text import loads
from core.types import JSONObject, JSONValue
from executions.models import ComponentRun, Execution, LoopItem, StoredOutput

logger = logging.getLogger(__name__)

STORE = "outputs"
_READ_AT_ONCE = 8
_FAILING_SECONDS = 15.0
_T = TypeVar("_T")
_Row = TypeVar("_Row", Execution, ComponentRun, LoopItem)


class OutputUnavailableError(UnavailableError):
    """A stored output cannot be read or written now: the store is away. Try again; see docs/operations/storage.md."""

    default_message = "A stored output cannot be reached at the moment"


class OutputLostError(OutputUnavailableError):
    """A stored output is not in the store, or is not what was written. Bring it back from a backup of the store."""

    default_message = "A stored output is missing from the store"


def aside(text: str | None, execution_id: str | None) -> tuple[str | None, JSONObject | None]:
    """JSON text for a row: (itself, None), or (None, the reference to what was stored in its place).

    `execution_id` is whose it is; None: not known yet (`adopt`). Raises OutputUnavailableError. Forbids a transaction.
    """
    # Of a text with fewer characters than a quarter no spelling has more bytes.
    limit = settings.OUTPUT_INLINE_BYTES
    if limit is None or text is None or len(text) <= limit // 4:
        return text, None
    content = text.encode()
    return (text, None) if len(content) <= limit else (None, put(content, execution_id))


def sealed_aside(sealed: bytes | None, execution_id: str | None) -> tuple[bytes | None, JSONObject | None]:
    """The same of sealed bytes."""
    limit = settings.OUTPUT_INLINE_BYTES
    if limit is None or sealed is None or len(sealed) <= limit:
        return sealed, None
    return None, put_sealed(sealed, execution_id)


class Aside:
    """What one attempt came to, on its way aside. Forbids a transaction.

    The component has run: put off until the store is back it would run once more, and might send again what it sent.
    So where the store is away the value goes into its row, which every reader takes as well. After its first refusal
    the store is left alone, for each may take seconds and a loop may have thousands of items.
    """

    def __init__(self, execution_id: str) -> None:
        self._execution_id = execution_id
        self._away = False

    def text(self, text: str | None) -> tuple[str | None, JSONObject | None]:
        """`aside`, or the text itself and None."""
        return self._tried(aside, text)

    def sealed(self, sealed: bytes | None) -> tuple[bytes | None, JSONObject | None]:
        """`sealed_aside`, or the bytes themselves and None."""
        return self._tried(sealed_aside, sealed)

    def _tried(
        self, put_aside: Callable[[_T | None, str | None], tuple[_T | None, JSONObject | None]], value: _T | None
    ) -> tuple[_T | None, JSONObject | None]:
        if self._away:
            return value, None
        try:
            return put_aside(value, self._execution_id)
        except OutputUnavailableError:
            self._away = True
            measures.OUTPUTS_NOT_STORED.count()
            logger.warning(
                "Large outputs of an attempt stay in their rows: the store is away",
                extra={"action": "output_in_row", "execution_id": self._execution_id},
            )
            return value, None


def put_sealed(sealed: bytes, execution_id: str | None) -> JSONObject:
    """`put` of sealed bytes: the reference says under which key they are."""
    return {**put(sealed, execution_id), "header": sealed[: vault.HEADER_BYTES].hex()}


def put(content: bytes, execution_id: str | None) -> JSONObject:
    """Store an object; the reference to it. It is durable when this returns. Raises OutputUnavailableError."""
    # By day, so that no folder grows without end; the rest nobody guesses.
    key = f"{datetime.now(UTC):%Y/%m/%d}/{secrets.token_hex(16)}"
    StoredOutput.objects.create(key=key, execution_id=execution_id, bytes=len(content))
    _reaching(lambda: storages[STORE].save(key, ContentFile(content)))
    return {"key": key, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def get(reference: Mapping[str, Any]) -> bytes:
    """What was stored. Raises OutputUnavailableError, and OutputLostError where it is not what was written."""

    def read() -> bytes:
        try:
            with storages[STORE].open(reference["key"]) as file:
                return bytes(file.read())
        except FileNotFoundError:
            logger.error("A stored output is missing from the store", extra={"action": "output_missing"})
            raise OutputLostError from None

    content = _reaching(read)
    if hashlib.sha256(content).hexdigest() != reference["sha256"]:
        logger.error("A stored output is not what was written", extra={"action": "output_altered"})
        raise OutputLostError("A stored output is not what was written")
    return content


@dataclass(slots=True)
class Removed:
    """The keys that are out of the store, and what is wrong with the others; those in neither were not tried."""

    gone: list[str] = field(default_factory=list)
    stayed: dict[str, str] = field(default_factory=dict)

    @property
    def tried(self) -> int:
        return len(self.gone) + len(self.stayed)


def remove(keys: Iterable[str]) -> Removed:
    """Take objects out of the store; those that are not there are no trouble.

    One that fails (another's file, a locked object) keeps none behind it, unless failures have taken long: a store
    that is away may take seconds over each.
    """
    removed, failing = Removed(), 0.0
    for key in keys:
        began = monotonic()
        try:
            storages[STORE].delete(key)
        except FileNotFoundError:
            removed.gone.append(key)
        except OSError as error:
            # Without the path that a file's error has beside its words.
            removed.stayed[key] = f"{type(error).__name__}: {error.strerror or error}"
            failing += monotonic() - began
            if failing > _FAILING_SECONDS:
                break
        else:
            removed.gone.append(key)
    return removed


def doom(references: Iterable[Mapping[str, Any]]) -> None:
    """No row refers to these any more."""
    keys = [reference["key"] for reference in references]
    StoredOutput.objects.filter(pk__in=keys).update(state=StoredOutput.State.DOOMED)


def adopt(references: Iterable[Mapping[str, Any] | None], execution_id: str) -> None:
    """What was stored before there was an execution is this one's. In the transaction that makes it."""
    keys = [reference["key"] for reference in references if reference is not None]
    if keys:
        StoredOutput.objects.filter(pk__in=keys).update(execution_id=execution_id)


def _reaching(work: Callable[[], _T]) -> _T:
    """Whatever goes wrong is told without a path, a bucket or a host: it may reach a user."""
    try:
        return work()
    except OSError as error:
        logger.warning(
            "The store of outputs cannot be reached: %s %s",
            type(error).__name__,
            error.errno or "",
            extra={"action": "output_store_away"},
        )
        raise OutputUnavailableError from None


def whole(text: str | None, reference: Mapping[str, Any] | None) -> JSONValue:
    """A value of a row's two columns, the text of jsonb or None and the reference or None. Raises as `get`."""
    if reference is not None:
        return loads(get(reference))
    return None if text is None else loads(text)


def whole_sealed(sealed: bytes | memoryview | None, reference: Mapping[str, Any] | None) -> bytes | None:
    """Sealed bytes of a row's two columns. Raises as `get`."""
    if reference is not None:
        return get(reference)
    return None if sealed is None else bytes(sealed)


def unless_away(read: Callable[[_Row], JSONValue], row: _Row) -> JSONValue | OutputUnavailableError:
    """What `output_of`, `value_of` or `results_of` gives of the row, or why it cannot be had: the rest is shown."""
    try:
        return read(row)
    except OutputUnavailableError as error:
        return error


def shown(name: str, value: JSONValue | OutputUnavailableError, mark: str) -> JSONObject:
    """A value of an answer; one that cannot be had is null, with the mark beside it."""
    return {name: None, mark: True} if isinstance(value, OutputUnavailableError) else {name: value}


def shown_results(execution: Execution) -> JSONObject:
    """The results in an answer: the rest of an execution is shown without them too, its status matters more."""
    return shown("results", unless_away(results_of, execution), "results_unavailable")


def output_of(run: ComponentRun) -> JSONValue:
    """What may be shown of a run's output. Raises as `get`."""
    return run.output if run.output_ref is None else _kept(run, "output", [run.output_ref])[0]


def value_of(item: LoopItem) -> JSONValue:
    """What may be shown of an item's value. Raises as `get`."""
    return item.value if item.value_ref is None else _kept(item, "value", [item.value_ref])[0]


def results_of(execution: Execution) -> JSONValue:
    """The results of an execution: one stored output, or several by component of which some are. Raises as `get`."""
    if execution.results_ref is None:
        return execution.results
    if "whole" in execution.results_ref:
        return _kept(execution, "results", [execution.results_ref["whole"]])[0]
    parts: dict[str, JSONObject] = execution.results_ref["parts"]
    return {**execution.results, **dict(zip(parts, _kept(execution, "results", list(parts.values())), strict=True))}


def prefetch(rows: Iterable[Execution | ComponentRun | LoopItem]) -> None:
    """Read what these rows show, several at once; where one cannot be had, its own reader raises that.

    Once the store is away it is not asked for the others: each may take seconds.
    """
    work = [(row, *shown) for row in rows if (shown := _stored_part(row)) is not None]
    away: list[OutputUnavailableError] = []

    def fill(row: Execution | ComponentRun | LoopItem, name: str, read: Callable[[Any], JSONValue]) -> None:
        if away:
            row.__dict__.setdefault("_stored", {})[name] = away[0]
            return
        try:
            read(row)
        except OutputLostError:
            pass  # this one alone
        except OutputUnavailableError as error:
            away.append(error)

    if len(work) > 1:
        with ThreadPoolExecutor(min(_READ_AT_ONCE, len(work))) as pool:
            for filling in [pool.submit(fill, *each) for each in work]:
                filling.result()


def _stored_part(row: Execution | ComponentRun | LoopItem) -> tuple[str, Callable[[Any], JSONValue]] | None:
    if isinstance(row, Execution):
        return None if row.results_ref is None else ("results", results_of)
    if isinstance(row, ComponentRun):
        return None if row.output_ref is None else ("output", output_of)
    return None if row.value_ref is None else ("value", value_of)


def _kept(row: Execution | ComponentRun | LoopItem, name: str, references: Sequence[JSONObject]) -> list[JSONValue]:
    """Read once for each instance of the row, also where it cannot be had."""
    kept: dict[str, list[JSONValue] | OutputUnavailableError] = row.__dict__.setdefault("_stored", {})
    if name not in kept:
        try:
            kept[name] = [loads(get(reference)) for reference in references]
        except OutputUnavailableError as error:
            kept[name] = error
    found = kept[name]
    if isinstance(found, OutputUnavailableError):
        raise found
    return found
