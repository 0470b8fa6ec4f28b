"""Retrying an ended execution, over REST: what runs again, what is taken over, what is refused."""

import pytest

from accounts.models import User
from core.redact import REDACTED
from core.types import JSONObject
from executions.models import ComponentRun, Execution
from tests.api import Api
from tests.integration.executions.conftest import Doorbells, linear, log, opened, start, transform
from tests.integration.executions.test_engine import failing
from workflows.models import Workflow
from workflows.services import update_workflow

pytestmark = pytest.mark.django_db(transaction=True)


def broken(*, then: str = "{{ n + 1 }}") -> JSONObject:
    return linear(transform("a", "{{ n }}"), transform("b", then), transform("c", "{{ input * 10 }}"))


def run(doorbells: Doorbells, id_: str) -> Execution:
    doorbells.work()
    return Execution.objects.get(pk=id_)


def test_a_retry_runs_all_again_with_other_parameters(alice: User, alice_api: Api, doorbells: Doorbells) -> None:
    execution = start(alice, broken(), parameters={"n": "text", "m": 2}, tags=["x"])
    doorbells.work()
    answer = alice_api.post(f"/executions/{execution.pk}/retry", {"parameters": {"n": 4}})
    assert (answer.status, answer.body["message"]) == (201, "Execution retry started")
    assert (answer.data["retry_of"], answer.data["tags"]) == (execution.pk, ["x"])
    again = run(doorbells, answer.data["id"])
    assert (again.status, again.results, again.parameters) == ("completed", 50, {"n": 4, "m": 2})


def test_x4_from_a_component_outputs_before_it_are_taken_over(
    alice: User, alice_api: Api, doorbells: Doorbells
) -> None:
    execution = start(alice, broken(then="{{ a.output + factor }}"), parameters={"n": 1})
    doorbells.work()
    body = {"from_component": "b", "parameters": {"n": 1000, "factor": 2}}
    answer = alice_api.post(f"/executions/{execution.pk}/retry", body)
    again = run(doorbells, answer.data["id"])
    assert (again.results, again.ended_components, again.remaining) == (30, 3, 0)
    carried = again.runs.get(component_id="a")
    assert (carried.output, carried.started_at) == (1, execution.runs.get(component_id="a").started_at)
    shown = alice_api.get(f"/executions/{again.pk}/components").data
    assert [row["status"] for row in shown] == ["completed"] * 3


def test_sealed_outputs_are_taken_over_sealed(alice: User, alice_api: Api, doorbells: Doorbells) -> None:
    secret = "s3cr3t-value-of-alice"
    definition = linear(transform("a", "{{ api_token }}"), failing("b"))
    execution = start(alice, definition, parameters={"api_token": secret})
    doorbells.work()
    update_workflow(
        workflow=execution.workflow,
        user=alice,
        changes={"definition": linear(transform("a", "{{ api_token }}"), transform("b", "{{ input | length }}"))},
    )
    answer = alice_api.post(f"/executions/{execution.pk}/retry", {"from_component": "b", "version": "latest"})
    again = run(doorbells, answer.data["id"])
    # The connection is the same, but b was changed; a is taken over and still opens.
    assert again.results == REDACTED
    assert opened(again)["b"] == len(secret)
    assert again.runs.get(component_id="a").output == "[REDACTED]"
    assert answer.data["parameters"] == {"api_token": "[REDACTED]"}


def test_the_same_version_unless_the_latest_is_asked_for(alice: User, alice_api: Api, doorbells: Doorbells) -> None:
    execution = start(alice, linear(failing("a")))
    doorbells.work()
    update_workflow(workflow=execution.workflow, user=alice, changes={"definition": linear(log("a"))})
    original = alice_api.post(f"/executions/{execution.pk}/retry")
    assert original.data["version"] == 1
    latest = alice_api.post(f"/executions/{execution.pk}/retry", {"version": "latest"})
    assert latest.data["version"] == 2
    doorbells.work()
    assert [Execution.objects.get(pk=answer.data["id"]).status for answer in (original, latest)] == [
        "failed", "completed",
    ]  # fmt: skip


def test_a_preview_names_what_would_run_and_starts_nothing(alice: User, alice_api: Api, doorbells: Doorbells) -> None:
    execution = start(alice, broken(), parameters={"n": 1})
    doorbells.work()
    path = f"/executions/{execution.pk}/retry"
    assert alice_api.post(path, {"preview": True, "from_component": "b"}).data == {"components": ["b", "c"]}
    assert alice_api.post(path, {"preview": True}).data == {"components": ["a", "b", "c"]}
    assert Execution.objects.count() == 1


def test_x3_only_what_has_ended_is_retried(alice: User, alice_api: Api, doorbells: Doorbells) -> None:
    execution = start(alice, linear(log("a")))
    assert alice_api.post(f"/executions/{execution.pk}/retry").status == 409
    assert Execution.objects.count() == 1


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"from_component": "nothing"}, 422, "from_component"),
        ({"from_component": ""}, 422, "from_component"),
        ({"from_component": "skipped"}, 422, "from_component"),
        ({"from_component": 5}, 422, "from_component"),
        ({"version": "newest"}, 422, "version"),
        ({"preview": "yes"}, 422, "preview"),
        ({"parameters": []}, 422, "parameters"),
        ({"parameters": {"n": "text"}}, 422, "parameters.n"),
        ({"other": 1}, 422, "other"),
    ],
)
def test_x3_bad_input_is_named_and_starts_nothing(
    alice: User, alice_api: Api, doorbells: Doorbells, body: JSONObject, status: int, field: str
) -> None:
    definition: JSONObject = {
        "components": [log("a"), log("skipped")],
        "connections": [{"source": "a", "target": "skipped", "type": "error"}],
        "parameters": [{"name": "n", "type": "integer"}],
    }
    execution = start(alice, definition)
    doorbells.work()
    answer = alice_api.post(f"/executions/{execution.pk}/retry", body)
    assert (answer.status, answer.code, answer.fields) == (status, "VALIDATION_ERROR", [field])
    assert Execution.objects.count() == 1


def test_strangers_see_nothing_to_retry(alice: User, bob: User, as_user: object, doorbells: Doorbells) -> None:
    execution = start(alice, linear(log("a")))
    doorbells.work()
    bob_api: Api = as_user(bob)  # type: ignore[operator]
    for path in ("retry", "signals/go"):
        assert bob_api.post(f"/executions/{execution.pk}/{path}").status == 404
    assert bob_api.get(f"/executions/{execution.pk}/diagnosis").status == 404


def test_a_retry_of_an_archived_workflow_conflicts(alice: User, alice_api: Api, doorbells: Doorbells) -> None:
    execution = start(alice, linear(log("a")))
    doorbells.work()
    Workflow.objects.update(status="archived")
    assert alice_api.post(f"/executions/{execution.pk}/retry").status == 409


def test_a_finished_loop_is_taken_over_whole(alice: User, alice_api: Api, doorbells: Doorbells) -> None:
    loop = {"id": "loop", "type": "for_each", "config": {"items": [1, 2], "components": [transform("d", "{{ item }}")]}}
    execution = start(alice, linear(loop, failing("b")))
    doorbells.work()
    body = {"from_component": "b", "parameters": {"nothing_of_that_name": "now there"}}
    answer = alice_api.post(f"/executions/{execution.pk}/retry", body)
    assert run(doorbells, answer.data["id"]).results == "now there"
    assert ComponentRun.objects.filter(component_id="d").count() == 2
    assert alice_api.post(f"/executions/{execution.pk}/retry", {"from_component": "d"}).fields == ["from_component"]
