"""Literal secrets of definitions in executions: a far end gets them, and an echo of them is told nowhere."""

import base64

import pytest

from accounts import vault
from accounts.models import User
from core.redact import REDACTED
from events.models import Event
from executions import plans
from executions.interventions import RetryRequest, retry_execution
from executions.models import ComponentRun, Execution
from executions.services import StartRequest, start_execution
from executions.states import ExecutionStatus
from tests.api import Api
from tests.integration.executions.conftest import Doorbells, linear, log, make_workflow, opened, start, transform
from tests.stand_ins import http_receiver
from workflows.models import WorkflowVersion
from workflows.services import update_workflow

pytestmark = pytest.mark.django_db(transaction=True)

TOKEN, PASSWORD = "canary-token-7Qx9", "canary-password-7Qx9"


def told(execution: Execution) -> str:
    """Everything that any answer, feed or log of the execution is made from."""
    runs = list(ComponentRun.objects.filter(execution=execution).values_list("output", "error"))
    events = list(Event.objects.filter(subject_id=execution.pk).values_list("data", flat=True))
    row = Execution.objects.filter(pk=execution.pk).values("results", "error", "parameters")
    return str([runs, events, list(row)])


def outputs(execution: Execution) -> dict[str, object]:
    return dict(ComponentRun.objects.filter(execution=execution).values_list("component_id", "output"))


def call(url: str, **config: object) -> dict[str, object]:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    config = {"url": url, "method": "POST", "headers": headers, "body": {"n": 1}, **config}
    return {"id": "call", "type": "http_request", "config": config}


def test_a_far_end_gets_the_secret_after_a_round_trip_of_the_definition(
    alice: User, alice_api: Api, doorbells: Doorbells
) -> None:
    with http_receiver() as receiver:
        workflow = make_workflow(alice, linear(call(receiver.url)))
        shown = alice_api.get(f"/workflows/{workflow.pk}").data["definition"]
        assert shown["components"][0]["config"]["headers"] == {"Authorization": REDACTED}
        shown["components"][0]["config"]["body"] = {"n": 2}
        changed = alice_api.call("PUT", f"/workflows/{workflow.pk}", {"name": workflow.name, "definition": shown})
        assert (changed.status, changed.data["version"]) == (200, 2)
        workflow.refresh_from_db()
        execution = start_execution(workflow=workflow, user=alice, request=StartRequest()).execution
        doorbells.work()
    ((_, headers, body),) = receiver.seen
    assert (headers["authorization"], body) == (f"Bearer {TOKEN}", {"n": 2})
    execution.refresh_from_db()
    assert execution.status == ExecutionStatus.COMPLETED


def test_an_echoed_literal_is_told_nowhere_and_still_used(alice: User, alice_api: Api, doorbells: Doorbells) -> None:
    secrets = transform("a", {"password": PASSWORD, "token": f"Bearer {TOKEN}"})
    coded = base64.b64encode(f"ann:{PASSWORD}".encode()).decode()
    definition = linear(
        secrets,
        transform("b", "{{ a.output.token | replace('Bearer ', '') }} {{ a.output.password | length }}"),
        transform("c", "{{ ('ann:' ~ a.output.password) | b64encode }}"),
        transform("d", f"{{{{ c.output == '{coded}' }}}}"),
        log("e", "it is {{ a.output.password }}"),
        {"id": "f", "type": "fail", "config": {"message": "no: {{ b.output }}"}},
    )
    execution = start(alice, definition)
    doorbells.work()
    found = outputs(execution)
    assert found["a"] == {"password": REDACTED, "token": REDACTED}
    assert (found["b"], found["d"]) == (REDACTED, REDACTED)
    real = opened(execution)
    assert (real["b"], real["d"]) == (f"{TOKEN} {len(PASSWORD)}", True)
    execution.refresh_from_db()
    assert execution.status == ExecutionStatus.FAILED
    answers = [
        alice_api.get(f"/executions/{execution.pk}{path}").body for path in ("", "/components", "/events?since=0")
    ]
    for text in (told(execution), str(answers)):
        assert TOKEN not in text
        assert PASSWORD not in text
    assert REDACTED in str(execution.error)


def test_a_default_that_is_secret_is_used_and_hidden(alice: User, doorbells: Doorbells) -> None:
    declared = [{"name": "token", "type": "secret", "default_value": TOKEN}]
    definition = linear(transform("a", "{{ token | length }}"), transform("b", "{{ [token] }}"))
    execution = start(alice, {**definition, "parameters": declared})
    doorbells.work()
    assert outputs(execution) == {"a": REDACTED, "b": [REDACTED]}
    assert opened(execution) == {"a": len(TOKEN), "b": [TOKEN]}
    assert TOKEN not in told(execution)


def test_a_retry_with_a_newer_version_hides_what_it_takes_over(alice: User, doorbells: Doorbells) -> None:
    failing = {"id": "b", "type": "fail", "config": {"message": "no"}}
    workflow = make_workflow(alice, linear(transform("a", {"password": PASSWORD}), failing))
    execution = start_execution(workflow=workflow, user=alice, request=StartRequest()).execution
    doorbells.work()
    newer = linear(transform("a", {"password": PASSWORD}), transform("b", "{{ input.password }}!"))
    update_workflow(workflow=workflow, user=alice, changes={"definition": newer})
    execution.refresh_from_db()
    again = retry_execution(execution=execution, user=alice, request=RetryRequest("b", latest=True))
    doorbells.work()
    assert outputs(again) == {"a": {"password": REDACTED}, "b": f"{REDACTED}!"}
    assert PASSWORD not in told(again)


def test_a_child_hides_the_literal_that_its_parent_gives_it(alice: User, doorbells: Doorbells) -> None:
    child = make_workflow(alice, linear(transform("a", "{{ given }}!")))
    config = {"workflow_id": str(child.pk), "parameters": {"given": "{{ a.output.password }}"}}
    definition = linear(transform("a", {"password": PASSWORD}), {"id": "sub", "type": "sub_workflow", "config": config})
    start(alice, definition)
    doorbells.work()
    found = Execution.objects.get(workflow=child)
    assert outputs(found) == {"a": f"{REDACTED}!"}
    assert PASSWORD not in told(found)


def test_an_execution_whose_definition_does_not_open_fails_and_says_so(alice: User, doorbells: Doorbells) -> None:
    execution = start(alice, linear(transform("a", {"password": PASSWORD}), log("b")))
    WorkflowVersion.objects.update(sealed_definition=vault.seal(b"{}", bound_to="another place"))
    plans.compiled.cache_clear()
    doorbells.work()
    execution.refresh_from_db()
    assert execution.status == ExecutionStatus.FAILED
    expected = "the stored definition does not open: sealed for another place, or altered"
    assert execution.error["message"] == expected
