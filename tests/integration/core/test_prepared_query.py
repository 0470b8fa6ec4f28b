"""Prepared queries give what their querysets give, are counted like any other, and follow their arguments."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.callers import Caller
from accounts.models import User
from accounts.scopes import ALL
from core.errors import NotFoundError
from core.ids import ULIDField, new_id
from core.prepared_query import PreparedQuery
from executions import listing, queries
from executions.models import Execution
from tests.integration.executions.conftest import linear, log, start
from workflows import access

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("empty_redis")]


def facts(model: Any) -> dict[str, Any]:
    """The model's columns; `_state` is an object of its own."""
    return {name: value for name, value in vars(model).items() if not name.startswith("_")}


def test_an_execution_is_what_its_queryset_reads(alice: User, admin: User) -> None:
    execution = start(alice, linear(log("a"), log("b")), tags=["x", "y"], parameters={"n": [1, {"m": None}]})
    for user in (alice, admin):
        found = queries.get_visible(Caller(user, ALL), execution.pk)
        [same] = queries.with_progress(Execution.objects.filter(pk=execution.pk)).select_related("workflow", "version")
        assert facts(found) == facts(same)
        assert facts(found.workflow) == facts(same.workflow)
        assert found.version.number == same.version.number
        assert found.version.definition == same.version.definition


def test_a_page_of_executions_is_what_its_queryset_reads(alice: User) -> None:
    ids = [start(alice, linear(log("a")), parameters={"n": number}).pk for number in range(3)]
    asked = [ids[2], new_id(), ids[0]]
    found = {execution.pk: execution for execution in listing.whole_by_ids(asked)}
    same = queries.with_progress(Execution.objects.filter(pk__in=asked)).select_related("workflow", "version")
    assert {pk: facts(execution) for pk, execution in found.items()} == {
        execution.pk: facts(execution) for execution in same.defer("sealed_parameters", "sealed_hidden", "sealed_input")
    }
    assert listing.whole_by_ids([]) == []


def test_each_call_has_its_own_arguments(alice: User, bob: User) -> None:
    workflows = [start(user, linear(log("a"))).workflow for user in (alice, bob)]
    for user, workflow, other in zip((alice, bob), workflows, reversed(workflows), strict=True):
        assert access.get_visible(Caller(user, ALL), workflow.pk) == workflow
        with pytest.raises(NotFoundError):
            access.get_visible(Caller(user, ALL), other.pk)
    with pytest.raises(NotFoundError):
        access.get_visible(Caller(alice, ALL), new_id())


def test_a_call_is_one_query_and_is_logged_as_one(alice: User) -> None:
    by_id = PreparedQuery(lambda user: User.objects.filter(pk=user), ULIDField())
    for _ in range(2):
        with CaptureQueriesContext(connection) as captured:
            assert by_id.one(alice.pk) == alice
        assert len(captured) == 1


def test_it_is_prepared_on_the_server(alice: User) -> None:
    by_id = PreparedQuery(lambda user: User.objects.filter(pk=user), ULIDField())
    by_id.one(alice.pk)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT statement FROM pg_prepared_statements WHERE statement LIKE '%%FROM \"accounts_user\"%%'", []
        )
        assert len(cursor.fetchall()) >= 1
