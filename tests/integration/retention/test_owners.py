"""Every table has an owner: a rule that prunes it, or a reason why it does not grow without bound."""

import pytest
from django.db import connection

from config.retention import OWNERS, RULES


@pytest.mark.django_db
def test_every_table_of_the_database_has_an_owner_and_every_owner_a_table() -> None:
    assert set(connection.introspection.table_names()) == set(OWNERS)


@pytest.mark.django_db
def test_what_is_said_to_go_with_an_execution_does() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT conrelid::regclass::text FROM pg_constraint "
            "WHERE confrelid IN ('executions_execution'::regclass, 'executions_componentrun'::regclass)"
        )
        referring = {row[0] for row in cursor.fetchall()}
    with_it = {table for table, owner in OWNERS.items() if owner == "goes with its execution"}
    assert referring - {"executions_idempotencykey"} == with_it


def test_rules_have_names_of_their_own() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES)
