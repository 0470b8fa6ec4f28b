"""What a migration may not do beside the previous release, whose processes still run while it is applied."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from django.contrib.postgres.operations import (
    AddConstraintNotValid,
    AddIndexConcurrently,
    RemoveIndexConcurrently,
    ValidateConstraint,
)  # fmt: skip
from django.db import connection, migrations, models
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

# Tables that grow with what is executed: making an index or reading all of one stops the platform meanwhile.
LARGE = {
    "accounts.auditentry", "events.event", "executions.componentrun", "executions.execution", "executions.loopitem",
    "executions.signal", "webhooks.delivery", "workflows.slot",
}  # fmt: skip

_GONE = (
    migrations.DeleteModel, migrations.RenameModel, migrations.RemoveField, migrations.RenameField,
    migrations.AlterModelTable,
)  # fmt: skip
_CONCURRENT = (AddIndexConcurrently, RemoveIndexConcurrently)
_SQL_GONE = re.compile(
    r"\b(DROP\s+(TABLE|COLUMN|VIEW)|RENAME\s+(TO|COLUMN)|SET\s+NOT\s+NULL|ALTER\s+(COLUMN\s+)?\w+\s+(SET\s+DATA\s+)?TYPE)\b",
    re.I,
)
_SQL_INDEX = re.compile(r"\b(CREATE\s+(UNIQUE\s+)?INDEX|DROP\s+INDEX|REINDEX\s+\w+)\s+(?!CONCURRENTLY)", re.I)
_SQL_DATA = re.compile(r"(^|;)\s*(UPDATE|INSERT|DELETE)\b", re.I)


def faults(migration: migrations.Migration, before: ProjectState) -> list[str]:
    """What is wrong with it, each as one line; `before` is the state that it is applied to."""
    state, app = before.clone(), migration.app_label
    made: set[str] = set()
    found: list[str] = []
    operations = list(_flat(migration.operations))
    if re.search(r"_auto_\d", migration.name):
        found.append("it has no name of its own")
    if len(operations) > 1 and any(_is_data(each) for each in operations):
        found.append("schema and data share it")
    if any(isinstance(each, _CONCURRENT) for each in operations) and migration.atomic:
        found.append("an index is made concurrently inside of a transaction")
    for operation in operations:
        if not operation.reversible:
            found.append(f"{operation.describe()}: cannot be reversed")
        after = state.clone()
        operation.state_forwards(app, after)
        if isinstance(operation, migrations.CreateModel):
            made.add(f"{app}.{operation.name_lower}")
        found += [f"{operation.describe()}: {fault}" for fault in _faults_of(operation, app, state, after, made)]
        state = after
    return found


def _flat(operations: Iterable[Operation]) -> Iterator[Operation]:
    for operation in operations:
        if isinstance(operation, migrations.SeparateDatabaseAndState):
            yield from _flat(operation.database_operations)
        else:
            yield operation


def _is_data(operation: Operation) -> bool:
    if isinstance(operation, migrations.RunPython):
        return True
    return isinstance(operation, migrations.RunSQL) and bool(_SQL_DATA.search(str(operation.sql)))


def _faults_of(
    operation: Operation, app: str, before: ProjectState, after: ProjectState, made: set[str]
) -> Iterator[str]:
    table = f"{app}.{str(getattr(operation, 'model_name', getattr(operation, 'name', ''))).lower()}"
    if table in made:
        # Nobody of the previous release knows it.
        return
    large = table in LARGE
    if isinstance(operation, _GONE):
        yield "the previous release still uses it"
    elif isinstance(operation, migrations.AddField):
        field: Any = operation.field
        if not (field.null or field.many_to_many or field.has_db_default() or field.generated):
            yield "the previous release's INSERT knows no value for it: it needs null=True or db_default"
        if large and (field.db_index or field.unique):
            yield "its index on a large table is not made CONCURRENTLY"
    elif isinstance(operation, migrations.AlterField):
        yield from _faults_of_change(operation, app, before, after, large)
    elif isinstance(operation, migrations.AddIndex | migrations.RemoveIndex) and not isinstance(operation, _CONCURRENT):
        if large:
            yield "an index of a large table is not made or dropped CONCURRENTLY"
    elif isinstance(operation, migrations.AddConstraint) and not isinstance(operation, AddConstraintNotValid):
        if not isinstance(operation.constraint, models.CheckConstraint):
            yield "the previous release does not keep it"
        elif large:
            yield "a large table is read under a lock: AddConstraintNotValid, then ValidateConstraint"
    elif isinstance(operation, migrations.AlterUniqueTogether):
        yield "the previous release does not keep it, or relies on it"
    elif isinstance(operation, migrations.RunSQL):
        yield from _faults_of_sql(str(operation.sql))
    elif not isinstance(operation, _HARMLESS):
        yield "nobody has thought about it yet"


_HARMLESS = (
    migrations.CreateModel, migrations.AlterModelOptions, migrations.AlterModelManagers, migrations.AddIndex,
    migrations.RemoveIndex, migrations.RenameIndex, migrations.AddConstraint, migrations.RemoveConstraint,
    migrations.AlterConstraint, migrations.RunPython, ValidateConstraint,
)  # fmt: skip


def _faults_of_change(
    operation: migrations.AlterField, app: str, before: ProjectState, after: ProjectState, large: bool
) -> Iterator[str]:
    old, new = (
        each.apps.get_model(app, operation.model_name)._meta.get_field(operation.name) for each in (before, after)
    )
    was, becomes = old.db_type(connection), new.db_type(connection)
    if old.null and not new.null:
        yield "the previous release may still write NULL"
    if was != becomes and not _is_longer_text(was, becomes):
        yield f"its type changes from {was} to {becomes}: add a new column instead"
    if large and (new.db_index or new.unique) and not (old.db_index or old.unique):
        yield "its index on a large table is not made CONCURRENTLY"
    if new.unique and not old.unique:
        yield "the previous release does not keep it unique"


def _is_longer_text(was: str | None, becomes: str | None) -> bool:
    lengths = [re.fullmatch(r"varchar\((\d+)\)", each or "") for each in (was, becomes)]
    if lengths[0] is None:
        return False
    return becomes == "text" or (lengths[1] is not None and int(lengths[1][1]) >= int(lengths[0][1]))


def _faults_of_sql(sql: str) -> Iterator[str]:
    if found := _SQL_GONE.search(sql):
        yield f"the previous release still uses what {found[0]!r} takes away or tightens"
    if found := _SQL_INDEX.search(sql):
        yield f"{found[0].strip()!r} is not CONCURRENTLY"
