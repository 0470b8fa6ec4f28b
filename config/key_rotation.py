"""All that is sealed, by column, and how it is sealed again under the first key of the ring (docs/secrets.md)."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from django.db import models
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Substr

from accounts import secret_store, vault
from accounts.models import Secret
from executions import outputs
from executions import sealing as executions_sealing
from executions.models import ComponentRun, Execution, LoopItem, Signal, StoredOutput
from executions.outputs import OutputUnavailableError
from webhooks import sealing as webhooks_sealing
from webhooks.models import Webhook
from workflows import hook_tokens
from workflows import sealing as workflows_sealing
from workflows.models import Trigger, WorkflowVersion

BATCH = 500


@dataclass(frozen=True, slots=True)
class SealedColumn:
    """A column of sealed bytes; `place` says, of the fields `bound_by`, what a row's are bound to."""

    model: type[models.Model]
    column: str
    bound_by: tuple[str, ...]
    place: Callable[..., str]

    @property
    def name(self) -> str:
        """Table and column."""
        return f"{self.model._meta.db_table}.{self.column}"

    @property
    def header(self) -> models.Expression:
        """The beginning of what is sealed, which says under which key it is."""
        return Substr(self.column, 1, vault.HEADER_BYTES, output_field=models.BinaryField())

    @property
    def first_header(self) -> bytes | str:
        """What `header` is under the first key."""
        return vault.sealing_header()

    def sealed(self, value: Any) -> bytes:
        """The sealed bytes of a row's value."""
        return bytes(value)

    def replaced(self, old: Any, sealed: bytes) -> Any:
        """The value for other sealed bytes in its place."""
        return sealed

    def left(self, value: Any) -> None:
        """A value that no row has any more."""


class SealedReference(SealedColumn):
    """A column that refers to sealed bytes in the store of outputs; those under another key are another object."""

    @property
    def header(self) -> models.Expression:
        return KeyTextTransform("header", self.column, output_field=models.TextField())

    @property
    def first_header(self) -> bytes | str:
        return vault.sealing_header().hex()

    def sealed(self, value: Any) -> bytes:
        return outputs.get(value)

    def replaced(self, old: Any, sealed: bytes) -> Any:
        execution_id = StoredOutput.objects.filter(pk=old["key"]).values_list("execution_id", flat=True).first()
        return outputs.put_sealed(sealed, execution_id)

    def left(self, value: Any) -> None:
        outputs.doom([value])


SEALED_COLUMNS = (
    SealedColumn(Secret, "sealed_value", ("pk",), secret_store.place),
    SealedColumn(WorkflowVersion, "sealed_definition", ("pk",), workflows_sealing.place),
    SealedColumn(Trigger, "sealed_token", ("pk",), hook_tokens.place),
    SealedColumn(Execution, "sealed_parameters", ("pk",), executions_sealing.parameters_place),
    SealedColumn(Execution, "sealed_hidden", ("pk",), executions_sealing.hidden_place),
    SealedColumn(Execution, "sealed_input", ("pk",), executions_sealing.input_place),
    SealedColumn(ComponentRun, "sealed_output", ("pk",), executions_sealing.output_place),
    SealedColumn(Signal, "sealed_data", ("pk",), executions_sealing.signal_place),
    SealedColumn(LoopItem, "sealed_value", ("run_id", "index"), executions_sealing.item_place),
    SealedColumn(Webhook, "sealed_secret", ("pk",), webhooks_sealing.secret_place),
    SealedColumn(Webhook, "sealed_previous_secret", ("pk",), webhooks_sealing.secret_place),
)
SEALED_REFERENCES = (
    SealedReference(ComponentRun, "sealed_output_ref", ("pk",), executions_sealing.output_place),
    SealedReference(LoopItem, "sealed_value_ref", ("run_id", "index"), executions_sealing.item_place),
)
ALL_SEALED: tuple[SealedColumn, ...] = (*SEALED_COLUMNS, *SEALED_REFERENCES)


@dataclass(slots=True)
class Rotation:
    """What rotating one column did: rows sealed again, and why others do not open, by id."""

    resealed: int = 0
    broken: dict[str, str] = field(default_factory=dict)


def count_by_key(column: SealedColumn) -> dict[str, int]:
    """How many rows are sealed under each key, by its id."""
    counts: Counter[str] = Counter()
    rows = _sealed(column).order_by().values_list("header").annotate(count=models.Count("pk"))
    for header, count in rows:
        counts[vault.key_of(bytes.fromhex(header) if isinstance(header, str) else bytes(header))] += count
    return dict(counts)


def rotate(column: SealedColumn, progress: Callable[[Rotation], None]) -> Rotation:
    """Seal every row that is under another key than the first under that; `progress` is called after each batch.

    Each row is a statement of its own that changes nothing if the row has changed since it was read, so the platform
    may run meanwhile, and whoever interrupts this begins it again. Forbids a transaction.
    """
    done = Rotation()
    while _pass(column, done, progress):
        pass
    return done


def _pass(column: SealedColumn, done: Rotation, progress: Callable[[Rotation], None]) -> bool:
    """Every row once; whether some changed meanwhile: by a process not yet restarted, perhaps under the old key."""
    missed = False
    for batch in _batches(column):
        for row_id in batch:
            missed |= not _reseal(column, row_id, done)
        progress(done)
    return missed


def _reseal(column: SealedColumn, row_id: str, done: Rotation) -> bool:
    """False if the row changed while it was sealed again. A row that is gone, or that does not open, is done with."""
    rows = column.model._default_manager.filter(pk=row_id)
    found = rows.values_list(column.column, *column.bound_by).first()
    if found is None or found[0] is None:
        return True
    old, place = found[0], column.place(*found[1:])
    try:
        sealed = column.sealed(old)
        if sealed.startswith(vault.sealing_header()):
            return True
        new = column.replaced(old, vault.seal(vault.unseal(sealed, bound_to=place), bound_to=place))
    except (vault.SealBrokenError, OutputUnavailableError) as error:
        done.broken[row_id] = str(error)
        return True
    changed = rows.filter(**{column.column: old}).update(**{column.column: new})
    column.left(old if changed else new)
    done.resealed += changed
    return bool(changed)


def _batches(column: SealedColumn) -> Iterator[list[str]]:
    """The ids of the rows under another key than the first, in order."""
    rows = _sealed(column).exclude(header=column.first_header).order_by("pk").values_list("pk", flat=True)
    batch = list(rows[:BATCH])
    while batch:
        yield batch
        batch = list(rows.filter(pk__gt=batch[-1])[:BATCH])


def _sealed(column: SealedColumn) -> models.QuerySet[models.Model]:
    rows: models.QuerySet[models.Model] = column.model._default_manager.annotate(header=column.header)
    return rows.filter(**{f"{column.column}__isnull": False})
