"""How PostgreSQL goes about the engine's statements."""

import pytest
from django.db import connection

from accounts.models import User
from tests.integration.executions.conftest import Doorbells, linear, start, transform

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_start_reads_no_component_runs(alice: User, doorbells: Doorbells) -> None:
    start(alice, linear(transform("a", 1)))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT name, cardinality(parameter_types) FROM pg_prepared_statements "
            "WHERE statement LIKE '%INSERT INTO executions_componentrun%'"
        )
        ((name, count),) = cursor.fetchall()
        cursor.execute(f'EXPLAIN EXECUTE "{name}"({", ".join(["NULL"] * count)})')
        plan = [str(line) for (line,) in cursor.fetchall()]
    assert [line.split("(")[0].strip() for line in plan if "executions_componentrun" in line] == [
        "->  Insert on executions_componentrun"
    ]
    doorbells.work()
