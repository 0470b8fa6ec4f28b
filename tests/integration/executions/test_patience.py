"""How long a sweep waits for a lock: set for its session or, behind PgBouncer, in each of its transactions."""

import os
from typing import Any

import psycopg
import pytest
from django.db import IntegrityError, connection, transaction

from accounts.models import User
from executions.transitions.statements import LockHeldError, fetch_all, patient_for
from tests.acceptance.processes import with_database

pytestmark = pytest.mark.django_db(transaction=True)

ASK = "SELECT current_setting('lock_timeout') AS value"


@pytest.fixture(params=[False, True], ids=["session", "pgbouncer"])
def behind_pgbouncer(request: Any, settings: Any) -> bool:
    settings.PGBOUNCER = request.param
    return bool(request.param)


def by_statement() -> str:
    return str(fetch_all(ASK, {})[0]["value"])


def by_queryset() -> str:
    with connection.cursor() as cursor:
        cursor.execute(ASK)
        (value,) = cursor.fetchone()
        return str(value)


@pytest.mark.parametrize("ask", [by_statement, by_queryset])
def test_every_statement_is_as_patient_as_was_said_and_nothing_is_left_of_it(ask: Any, behind_pgbouncer: bool) -> None:
    assert ask() == "0"
    with patient_for(1.5):
        assert ask() == "1500ms"
        with transaction.atomic(durable=True):
            assert ask() == "1500ms"
        assert ask() == "1500ms"
    assert ask() == "0"


def test_behind_pgbouncer_the_session_is_never_told(settings: Any) -> None:
    settings.PGBOUNCER = True
    with patient_for(1.5):
        fetch_all("SELECT 1", {})
        raw = connection.connection
        assert raw.execute("SHOW lock_timeout").fetchone() == ("0",)


def test_a_row_that_somebody_holds_is_waited_for_only_so_long(alice: User, behind_pgbouncer: bool) -> None:
    touch = "UPDATE accounts_user SET tier = tier WHERE username = %(name)s RETURNING 1 AS one"
    url = with_database(os.environ["DATABASE_URL"], connection.settings_dict["NAME"])
    with psycopg.connect(url) as other:
        other.execute(touch, {"name": alice.username})
        for change in (
            lambda: fetch_all(touch, {"name": alice.username}),
            lambda: User.objects.filter(pk=alice.pk).update(tier="pro"),
        ):
            with pytest.raises(LockHeldError), patient_for(0.05):
                change()
    assert by_statement() == "0"
    alice.refresh_from_db()
    assert alice.tier == "free"


def test_a_failed_statement_leaves_the_way_back_to_a_savepoint(alice: User, behind_pgbouncer: bool) -> None:
    with patient_for(1.5), transaction.atomic(durable=True):
        with pytest.raises(IntegrityError), transaction.atomic():
            User.objects.create_user("other@example.com", "correct-horse", username=alice.username)
        assert by_statement() == "1500ms"
        User.objects.filter(pk=alice.pk).update(tier="pro")
    alice.refresh_from_db()
    assert alice.tier == "pro"
