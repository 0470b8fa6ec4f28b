"""Migrations beside the release before them: the rule of docs/operations/upgrade.md, for every one after 1.0.0."""

import importlib
from typing import Any

import pytest
from django.contrib.postgres.operations import AddConstraintNotValid, AddIndexConcurrently
from django.db import migrations, models
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ModelState, ProjectState

from tests.migration_rules import LARGE, faults

# The last of each app that the rule does not ask about: nothing ran before them.
FIRST_RELEASE = {
    "accounts": "0006_audit_lists", "events": "0003_follower", "executions": "0013_reaction",
    "templates_app": "0001_initial", "webhooks": "0001_initial", "workflows": "0006_trigger_slot",
}  # fmt: skip
# What is done all the same, and why nothing breaks: {(app, migration): {fault: reason}}.
ALLOWED: dict[tuple[str, str], dict[str, str]] = {}


def later() -> list[tuple[str, str]]:
    loader = MigrationLoader(None)
    return sorted(
        key for key in loader.disk_migrations if key[0] in FIRST_RELEASE and key[1][:4] > FIRST_RELEASE[key[0]][:4]
    )


@pytest.mark.parametrize(("app", "name"), later())
def test_a_migration_breaks_nothing_of_the_release_before_it(app: str, name: str) -> None:
    loader = MigrationLoader(None)
    found = faults(loader.get_migration(app, name), loader.project_state((app, name), at_end=False))
    allowed = ALLOWED.get((app, name), {})
    assert [fault for fault in found if fault not in allowed] == []
    assert set(allowed) <= set(found), "allowed, but not done"


def test_the_first_release_and_what_is_allowed_are_there() -> None:
    disk = MigrationLoader(None).disk_migrations
    assert set(FIRST_RELEASE.items()) <= disk.keys()
    assert ALLOWED.keys() <= disk.keys()
    for app in FIRST_RELEASE:
        importlib.import_module(f"{app}.migrations")


def test_the_large_tables_are_there() -> None:
    state = MigrationLoader(None).project_state()
    assert {f"{app}.{name}" for app, name in state.models} >= LARGE


def before(**fields: Any) -> ProjectState:
    """A large table with these columns."""
    state = ProjectState()
    state.add_model(
        ModelState("executions", "Execution", [("id", models.BigAutoField(primary_key=True)), *fields.items()])
    )
    return state


def migration(*operations: Operation, name: str = "0099_named", atomic: bool = True) -> migrations.Migration:
    body = {"operations": list(operations), "atomic": atomic}
    made: migrations.Migration = type("Migration", (migrations.Migration,), body)(name, "executions")
    return made


def add(field: Any) -> Operation:
    return migrations.AddField("execution", "new", field)


def change(field: Any) -> Operation:
    return migrations.AlterField("execution", "name", field)


INDEX = models.Index(fields=["name"], name="by_name")
NAME = models.CharField(max_length=20, null=True)
POSITIVE = models.CheckConstraint(condition=models.Q(id__gt=0), name="positive")

REFUSED: dict[str, tuple[Operation, str]] = {
    "a dropped column": (migrations.RemoveField("execution", "name"), "the previous release still uses it"),
    "a renamed column": (migrations.RenameField("execution", "name", "title"), "the previous release still uses it"),
    "a dropped table": (migrations.DeleteModel("Execution"), "the previous release still uses it"),
    "a renamed table": (migrations.RenameModel("Execution", "Run"), "the previous release still uses it"),
    "another table": (migrations.AlterModelTable("execution", "runs"), "the previous release still uses it"),
    "a column without a value": (add(models.IntegerField(default=1)), "INSERT knows no value"),
    "a column with an index": (add(models.IntegerField(null=True, db_index=True)), "not made CONCURRENTLY"),
    "no NULL any more": (change(models.CharField(max_length=20)), "may still write NULL"),
    "another type": (change(models.IntegerField(null=True)), "its type changes from varchar(20) to integer"),
    "shorter text": (change(models.CharField(max_length=10, null=True)), "its type changes"),
    "unique": (change(models.CharField(max_length=20, null=True, unique=True)), "does not keep it unique"),
    "an index": (migrations.AddIndex("execution", INDEX), "not made or dropped CONCURRENTLY"),
    "an index in a transaction": (AddIndexConcurrently("execution", INDEX), "inside of a transaction"),
    "a constraint": (migrations.AddConstraint("execution", POSITIVE), "AddConstraintNotValid"),
    "a unique constraint": (
        migrations.AddConstraint("execution", models.UniqueConstraint(fields=["name"], name="one")),
        "the previous release does not keep it",
    ),
    "SQL that drops": (migrations.RunSQL("ALTER TABLE x DROP COLUMN y", ""), "'DROP COLUMN'"),
    "SQL that tightens": (migrations.RunSQL("ALTER TABLE x ALTER y SET NOT NULL", ""), "'SET NOT NULL'"),
    "SQL with an index": (migrations.RunSQL("CREATE INDEX i ON x (y)", ""), "is not CONCURRENTLY"),
    "no way back": (migrations.RunPython(migrations.RunPython.noop), "cannot be reversed"),
}


@pytest.mark.parametrize(("operation", "fault"), REFUSED.values(), ids=REFUSED.keys())
def test_what_breaks_the_previous_release_is_found(operation: Operation, fault: str) -> None:
    found = faults(migration(operation), before(name=NAME))
    assert len(found) >= 1
    assert fault in " ".join(found)


HARMLESS: dict[str, Operation] = {
    "a column with a value of the database's": add(models.IntegerField(default=1, db_default=1)),
    "a column that may be NULL": add(models.IntegerField(null=True)),
    "longer text": change(models.CharField(max_length=30, null=True)),
    "text without a length": change(models.TextField(null=True)),
    "a constraint that is checked later": AddConstraintNotValid("execution", POSITIVE),
    "SQL with an index beside": migrations.RunSQL("CREATE INDEX CONCURRENTLY i ON x (y)", "DROP INDEX CONCURRENTLY i"),
    "a new table": migrations.CreateModel("New", [("id", models.BigAutoField(primary_key=True))]),
}


@pytest.mark.parametrize("operation", HARMLESS.values(), ids=HARMLESS.keys())
def test_what_only_adds_is_allowed(operation: Operation) -> None:
    assert faults(migration(operation), before(name=NAME)) == []


def test_an_index_beside_the_tables_use_is_allowed() -> None:
    assert faults(migration(AddIndexConcurrently("execution", INDEX), atomic=False), before(name=NAME)) == []


def test_a_table_may_be_filled_with_columns_in_the_migration_that_makes_it() -> None:
    made = migrations.CreateModel("New", [("id", models.BigAutoField(primary_key=True))])
    column = migrations.AddField("new", "must", models.IntegerField(default=1))
    assert faults(migration(made, column), before()) == []


def test_schema_and_data_do_not_share_a_migration_and_each_has_a_name() -> None:
    data = migrations.RunSQL("UPDATE x SET y = 1", migrations.RunSQL.noop)
    assert faults(migration(data), before(name=NAME)) == []
    assert faults(migration(data, add(models.IntegerField(null=True))), before(name=NAME)) == [
        "schema and data share it"
    ]
    assert faults(migration(data, name="0099_auto_20261126"), before(name=NAME)) == ["it has no name of its own"]
