"""Secrets in executions: whose they are, when they are missing, and that nothing told holds one."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts import secret_store
from accounts.models import Secret, User
from core.errors import WorkflowInvalidError
from core.redact import REDACTED
from core.types import JSONObject
from events.models import Event
from executions import maintenance
from executions.models import ComponentRun, Execution
from executions.services import StartRequest, start_execution
from executions.states import ExecutionStatus
from tests.api import Api
from tests.integration.executions.conftest import Doorbells, linear, log, make_workflow, opened, start, transform
from workflows.models import WorkflowStatus

pytestmark = pytest.mark.django_db(transaction=True)

VALUE = "correct-horse-battery-staple"


@pytest.fixture
def secret(alice: User) -> Secret:
    """Alice's, called `key`."""
    return secret_store.create_secret(owner=alice, name="key", value=VALUE)


def told(execution: Execution) -> str:
    """Everything that any answer, feed or log of the execution is made from."""
    runs = list(ComponentRun.objects.filter(execution=execution).values_list("output", "error"))
    events = list(Event.objects.filter(subject_id=execution.pk).values_list("data", flat=True))
    row = Execution.objects.filter(pk=execution.pk).values("results", "error", "parameters")
    return str([runs, events, list(row)])


def outputs(execution: Execution) -> dict[str, Any]:
    return dict(ComponentRun.objects.filter(execution=execution).values_list("component_id", "output"))


def test_a_secret_is_read_by_expressions_and_told_nowhere(alice: User, secret: Secret, doorbells: Doorbells) -> None:
    definition = linear(
        transform("a", {"header": "Bearer {{ secrets.key }}", "length": "{{ secrets.key | length }}"}),
        transform("b", "{{ components.a.output.header | upper | lower }}"),
        transform("c", "{{ (components.b.output | replace('bearer ', '')) == secrets['key'] }}"),
        log("d", "the key is {{ components.b.output }}"),
        {"id": "e", "type": "fail", "config": {"message": "no: {{ components.a.output.header | b64encode }}"}},
    )
    execution = start(alice, definition)
    doorbells.work()
    found = outputs(execution)
    assert found["a"] == {"header": f"Bearer {REDACTED}", "length": REDACTED}
    assert found["b"] == f"bearer {REDACTED}"
    assert found["c"] is True
    execution.refresh_from_db()
    assert execution.status == ExecutionStatus.FAILED
    assert REDACTED in str(execution.error)
    assert VALUE not in told(execution)


def test_a_later_worker_redacts_what_an_earlier_component_read(
    alice: User, secret: Secret, doorbells: Doorbells
) -> None:
    wait = {"id": "wait", "type": "delay", "config": {"seconds": 3600}}
    read = transform("a", ["{{ secrets.key }}"])
    definition = linear(read, wait, transform("b", "{{ components.a.output[0] }}!"))
    execution = start(alice, definition)
    doorbells.work()
    ComponentRun.objects.filter(status="waiting").update(wake_at="2000-01-01T00:00:00Z")
    maintenance.wake_due()
    doorbells.work("another")
    execution.refresh_from_db()
    assert (execution.status, outputs(execution)["b"]) == (ExecutionStatus.COMPLETED, f"{REDACTED}!")
    assert VALUE not in told(execution)


def test_the_secrets_are_the_owners_whoever_runs_it(
    alice: User, bob: User, secret: Secret, doorbells: Doorbells
) -> None:
    secret_store.create_secret(owner=bob, name="key", value="bobs-own-secret")
    workflow = make_workflow(alice, linear(transform("a", f"{{{{ secrets.key == '{VALUE}' }}}}")))
    execution = start_execution(workflow=workflow, user=bob, request=StartRequest()).execution
    doorbells.work()
    assert opened(execution) == {"a": True}


def test_only_the_secrets_that_are_named_are_opened(alice: User, secret: Secret, doorbells: Doorbells) -> None:
    other = secret_store.create_secret(owner=alice, name="other", value="another-value")
    # Opening it would fail.
    Secret.objects.filter(pk=other.pk).update(sealed_value=b"broken")
    execution = start(alice, linear(transform("a", "{{ secrets.key | length }}")))
    doorbells.work()
    assert opened(execution) == {"a": len(VALUE)}


def test_a_computed_name_reads_any_of_them(alice: User, secret: Secret, doorbells: Doorbells) -> None:
    execution = start(alice, linear(transform("a", "{{ secrets['k' ~ 'ey'] }}")))
    doorbells.work()
    assert outputs(execution) == {"a": REDACTED}


def test_an_execution_without_secrets_asks_for_none(alice: User, secret: Secret, doorbells: Doorbells) -> None:
    start(alice, linear(transform("a", 1)))
    with CaptureQueriesContext(connection) as captured:
        doorbells.work()
    assert not any("accounts_secret" in query["sql"] for query in captured.captured_queries)


MISSING = [
    transform("a", {"deep": ["{{ secrets.nope }}"]}),
    {"id": "a", "type": "condition", "config": {"condition": "secrets.nope == 'x'"}},
    {"id": "a", "type": "switch", "config": {"cases": [{"name": "n", "condition": "secrets['nope']"}]}},
    {"id": "a", "type": "database_query", "config": {"connection": "nope", "query": "SELECT 1"}},
]


@pytest.mark.parametrize("component", MISSING)
def test_a_missing_secret_is_refused_before_anything_runs(
    alice: User, as_user: Callable[..., Api], component: JSONObject
) -> None:
    workflow = make_workflow(alice, linear(component))
    with pytest.raises(WorkflowInvalidError) as raised:
        start_execution(workflow=workflow, user=alice, request=StartRequest())
    (problem,) = raised.value.problems
    assert (problem.message, problem.field) == ("There is no secret called nope", "definition.components[0].config")
    assert Execution.objects.count() == 0
    api = as_user(alice)
    executed = api.post(f"/workflows/{workflow.pk}/execute", {})
    assert (executed.status, executed.code) == (422, "WORKFLOW_INVALID")
    activated = api.call("PATCH", f"/workflows/{workflow.pk}", {"status": "active"})
    assert (activated.status, activated.code) == (422, "WORKFLOW_INVALID")
    workflow.refresh_from_db()
    assert workflow.status == WorkflowStatus.DRAFT
    judged = api.post(f"/workflows/{workflow.pk}/validate").data
    assert judged["is_valid"] is False
    assert judged["errors"] == [
        {
            "component_id": "a",
            "message": "There is no secret called nope",
            "severity": "error",
            "code": "VALIDATION_ERROR",
            "field": "definition.components[0].config",
            "details": {"expected": "the name of a secret of the workflow's owner", "received": "nope"},
        }
    ]
    # Without a workflow there is no owner to ask.
    assert api.post("/workflows/validate", {"definition": linear(component)}).data["is_valid"] is True
    secret_store.create_secret(owner=alice, name="nope", value="x")
    assert api.post(f"/workflows/{workflow.pk}/validate").data["is_valid"] is True
    assert api.call("PATCH", f"/workflows/{workflow.pk}", {"status": "active"}).status == 200


@pytest.mark.parametrize(
    ("component", "message"),
    [
        (transform("a", "{{ secrets.key }}"), "`secrets.key` is undefined"),
        (
            {"id": "a", "type": "database_query", "config": {"connection": "key", "query": "SELECT 1"}},
            "connection: there is no secret called key",
        ),
    ],
)
def test_a_secret_deleted_meanwhile_is_a_permanent_failure_naming_it(
    alice: User, secret: Secret, doorbells: Doorbells, component: JSONObject, message: str
) -> None:
    execution = start(alice, linear({**component, "retry_policy": {"max_attempts": 3}}))
    secret_store.delete_secret(owner=alice, name="key")
    doorbells.work()
    run = ComponentRun.objects.get(execution=execution)
    assert (run.status, run.attempt, run.error["code"]) == ("failed", 1, "COMPONENT_ERROR")
    assert message in run.error["message"]


def test_the_password_of_a_url_is_redacted_by_itself(alice: User, doorbells: Doorbells) -> None:
    secret_store.create_secret(owner=alice, name="db", value="postgresql://u:p%40ssphrase@db.example.com/x")
    definition = linear(transform("a", "{{ secrets.db[:0] }}p@ssphrase p%40ssphrase"))
    execution = start(alice, definition)
    doorbells.work()
    assert outputs(execution) == {"a": f"{REDACTED} {REDACTED}"}
