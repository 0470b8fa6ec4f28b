"""How PostgreSQL goes about the engine's statements."""

import pytest
from django.db import connection

from accounts.models import User
from core.table_facts import estimated_rows
from executions import maintenance
from tests.eventually import eventually
from tests.integration.executions.conftest import Doorbells, linear, start, transform
from tests.integration.executions.test_loops import for_each

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


def test_the_move_of_a_loop_is_not_planned_at_each_item(alice: User, doorbells: Doorbells) -> None:
    loop = for_each(list(range(8)), transform("inner", "{{ item }}"), max_concurrency=1)
    start(alice, linear(loop))
    doorbells.work()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT generic_plans, custom_plans FROM pg_prepared_statements "
            "WHERE statement LIKE '%INSERT INTO executions_componentrun%' AND statement LIKE '%stop_on_error%'"
        )
        plans = cursor.fetchall()
    assert sum(generic for generic, _ in plans) == 9
    assert sum(custom for _, custom in plans) == 0


def test_a_sweep_looks_at_tables_that_have_grown(alice: User) -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE grown (n int) WITH (autovacuum_enabled = false)")
        try:
            cursor.execute("INSERT INTO grown SELECT generate_series(1, 2000)")
            cursor.execute("SELECT pg_stat_force_next_flush()")
            eventually(lambda: maintenance.sweep_one("analyze_young") == 0 and estimated_rows("grown") == 2000)
        finally:
            cursor.execute("DROP TABLE grown")
