"""REST of schedules: what fires next, previews, pause and resume, run now, backfill, and what was skipped."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from accounts.models import AuditEntry, User
from events.models import Event
from executions.models import Execution
from tests.api import Api
from tests.integration.triggers.conftest import move_back, schedule, started_by
from workflows.models import Slot, Trigger

pytestmark = pytest.mark.django_db(transaction=True)


def test_schedules_are_listed_by_what_fires_next_and_paused_ones_last(alice_api: Api, alice: User) -> None:
    now = datetime.now(UTC)
    month = (now.month + 5) % 12 + 1
    next_at = datetime(now.year + (month <= now.month), month, 1, tzinfo=UTC)
    slow, fast, paused = schedule(alice, cron=f"0 0 1 {month} *"), schedule(alice), schedule(alice)
    assert alice_api.post(f"/schedules/{paused.pk}/pause").status == 200
    answer = alice_api.get("/schedules")
    assert [item["id"] for item in answer.data] == [fast.pk, slow.pk, paused.pk]
    assert answer.body["metadata"]["total_count"] == 3
    assert answer.data[1] == {
        "id": slow.pk,
        "workflow_id": slow.workflow_id,
        "workflow_name": slow.workflow.name,
        "component_id": "begin",
        "cron": f"0 0 1 {month} *",
        "interval_seconds": None,
        "timezone": "UTC",
        "overlap": "skip",
        "catchup": "latest",
        "catchup_window_seconds": 86400,
        "paused": False,
        "next_at": f"{next_at:%Y-%m-%dT%H:%M:%SZ}",
        "last_slot_at": None,
        "last_execution_id": None,
    }
    assert (answer.data[2]["paused"], answer.data[2]["next_at"]) == (True, None)
    assert [item["id"] for item in alice_api.get("/schedules?paused=true").data] == [paused.pk]
    assert [item["id"] for item in alice_api.get(f"/schedules?workflow_id={fast.workflow_id}").data] == [fast.pk]
    assert len(alice_api.get("/schedules?limit=2").data) == 2


def test_a_schedule_of_a_workflow_that_is_not_active_is_not_there(alice_api: Api, alice: User) -> None:
    trigger = schedule(alice)
    assert alice_api.post(f"/workflows/{trigger.workflow_id}/deactivate").status == 200
    assert alice_api.get("/schedules").data == []
    for method, path in (("GET", ""), ("GET", "/preview"), ("GET", "/events"), ("POST", "/pause"), ("POST", "/run")):
        assert alice_api.call(method, f"/schedules/{trigger.pk}{path}").status == 404


def test_a_preview_shows_the_slots_in_utc_and_on_the_clock_there(alice_api: Api, alice: User) -> None:
    trigger = schedule(alice, cron="30 2 25 12 *", timezone="Asia/Kolkata")
    answer = alice_api.get(f"/schedules/{trigger.pk}/preview?count=2")
    year = int(answer.data["slots"][0]["slot_at"][:4])
    assert answer.data == {
        "timezone": "Asia/Kolkata",
        "slots": [
            {"slot_at": f"{year + more}-12-24T21:00:00Z", "local": f"{year + more}-12-25T02:30:00+05:30"}
            for more in (0, 1)
        ],
    }
    assert len(alice_api.get(f"/schedules/{trigger.pk}/preview").data["slots"]) == 10
    assert alice_api.get(f"/schedules/{trigger.pk}/preview?count=100").status == 200


@pytest.mark.parametrize("count", ["0", "101", "x", "-1"])
def test_a_bad_count_is_named(alice_api: Api, alice: User, count: str) -> None:
    answer = alice_api.get(f"/schedules/{schedule(alice).pk}/preview?count={count}")
    assert (answer.status, answer.fields) == (400, ["count"])


def test_pause_and_resume_tell_what_passed(alice_api: Api, alice: User) -> None:
    trigger = schedule(alice)
    paused = alice_api.post(f"/schedules/{trigger.pk}/pause")
    assert (paused.status, paused.data["paused"]) == (200, True)
    move_back(trigger, 60 * 2 + 30)
    resumed = alice_api.post(f"/schedules/{trigger.pk}/resume", {})
    assert (resumed.status, resumed.data["paused"]) == (200, False)
    (event,) = alice_api.get(f"/schedules/{trigger.pk}/events").data
    assert (event["sequence"], event["type"]) == (1, "trigger.skipped")
    assert (event["data"]["reason"], event["data"]["count"]) == ("paused", 2)
    assert alice_api.get(f"/schedules/{trigger.pk}/events?since=1").data == []


def test_run_starts_an_execution_at_once(alice_api: Api, alice: User) -> None:
    trigger = schedule(alice, parameters={"size": 3})
    answer = alice_api.post(f"/schedules/{trigger.pk}/run")
    assert answer.status == 201
    execution = alice_api.get(f"/executions/{answer.data['execution_id']}").data
    assert execution["parameters"] == {"size": 3}
    assert execution["trigger"] == {
        "type": "schedule", "schedule_id": trigger.pk, "component_id": "begin", "run_now": True,
    }  # fmt: skip
    again = alice_api.post(f"/schedules/{trigger.pk}/run")
    assert (again.status, again.code) == (409, "RESOURCE_CONFLICT")
    assert Execution.objects.count() == 1
    entry = AuditEntry.objects.get(action="schedule.run")
    assert (entry.actor_id, entry.object_id) == (alice.pk, trigger.pk)


def test_a_run_that_is_refused_says_why(alice_api: Api, alice: User) -> None:
    trigger = schedule(alice)
    needy = {**started_by(trigger_type="schedule", interval_seconds=60),
             "parameters": [{"name": "size", "type": "integer", "required": True}]}  # fmt: skip
    assert alice_api.call("PATCH", f"/workflows/{trigger.workflow_id}", {"definition": needy}).status == 200
    answer = alice_api.post(f"/schedules/{trigger.pk}/run")
    assert (answer.status, answer.fields) == (422, ["parameters.size"])
    assert not Execution.objects.exists()


def test_a_backfill_answers_what_came_of_each_slot(alice_api: Api, alice: User) -> None:
    trigger = schedule(alice, overlap="allow")
    first = move_back(trigger, 60 * 5)
    body = {"from": first.isoformat(), "to": (first + timedelta(minutes=2)).isoformat()}
    answer = alice_api.post(f"/schedules/{trigger.pk}/backfill", body)
    assert answer.status == 200
    assert answer.data["summary"] == {"total": 3, "started": 3, "refused": 0}
    assert [result["execution_id"] for result in answer.data["results"]] == list(
        Slot.objects.order_by("slot_at").values_list("execution_id", flat=True)
    )
    assert alice_api.post(f"/schedules/{trigger.pk}/backfill", body).data["summary"]["started"] == 0
    assert Execution.objects.count() == 3


def test_a_backfill_counts_each_of_its_slots(alice_api: Api, alice: User) -> None:
    trigger = schedule(alice, overlap="allow")
    first = move_back(trigger, 60 * 5)
    # So that none comes back meanwhile.
    User.objects.filter(pk=alice.pk).update(tier="custom", requests_per_hour=100, concurrent_executions=5)
    left = int(alice_api.get("/schedules").headers["X-RateLimit-Remaining"])
    body = {"from": first.isoformat(), "to": (first + timedelta(minutes=2)).isoformat()}
    answer = alice_api.post(f"/schedules/{trigger.pk}/backfill", body)
    assert int(answer.headers["X-RateLimit-Remaining"]) == left - 3
    Slot.objects.all().delete()
    User.objects.filter(pk=alice.pk).update(tier="custom", requests_per_hour=2, concurrent_executions=5)
    refused = alice_api.post(f"/schedules/{trigger.pk}/backfill", body)
    assert refused.status == 429
    assert not Slot.objects.exists()


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["from", "to"]),
        ({"from": "2025-01-01T00:00:00Z"}, ["to"]),
        ({"from": "yesterday", "to": "2025-01-01T00:00:00Z"}, ["from"]),
        ({"from": "2025-01-02T00:00:00Z", "to": "2025-01-01T00:00:00Z"}, ["from"]),
        ({"from": "2025-01-01T00:00:00Z", "to": "2999-01-01T00:00:00Z"}, ["to"]),
        ({"from": "2025-01-01T00:00:00Z", "to": "2025-01-02T00:00:00Z"}, ["from"]),
        ({"from": "2025-01-01T00:00:00Z", "to": "2025-01-01T00:00:00Z", "overlap": "skip"}, ["overlap"]),
        ({"from": "2025-01-01T00:00:00Z", "to": "2025-01-01T00:00:00Z", "limit": 1}, ["limit"]),
    ],
)
def test_a_bad_backfill_names_the_field_and_starts_nothing(
    alice_api: Api, alice: User, body: Any, fields: list[str]
) -> None:
    answer = alice_api.post(f"/schedules/{schedule(alice).pk}/backfill", body)
    assert (answer.status, answer.code, answer.fields) == (422, "VALIDATION_ERROR", fields)
    assert not Execution.objects.exists()


@pytest.mark.parametrize("action", ["pause", "resume", "run"])
def test_actions_take_no_fields(alice_api: Api, alice: User, action: str) -> None:
    trigger = schedule(alice)
    before = Trigger.objects.values().get()
    answer = alice_api.post(f"/schedules/{trigger.pk}/{action}", {"now": True})
    assert (answer.status, answer.fields) == (422, ["now"])
    assert Trigger.objects.values().get() == before
    assert not Execution.objects.exists()


def test_activating_a_schedule_that_never_fires_is_422_and_names_the_cron(alice_api: Api) -> None:
    definition = started_by(trigger_type="schedule", cron="0 0 30 2 *")
    made = alice_api.post("/workflows", {"name": "never", "definition": definition})
    assert made.status == 201
    answer = alice_api.post(f"/workflows/{made.data['id']}/activate")
    assert (answer.status, answer.code) == (422, "WORKFLOW_INVALID")
    assert answer.fields == ["definition.components[0].config.cron"]
    assert alice_api.get(f"/workflows/{made.data['id']}").data["status"] == "draft"


@pytest.mark.parametrize("cron", ["61 * * * *", "* * *", "0 0 32 * *", "@daily", "0 0 * * 8"])
def test_a_bad_cron_is_refused_on_save(alice_api: Api, cron: str) -> None:
    answer = alice_api.post("/workflows", {"name": "bad", "definition": started_by(trigger_type="schedule", cron=cron)})
    assert (answer.status, answer.fields) == (422, ["definition.components[0].config.cron"])


def test_a_viewer_sees_a_schedule_and_may_not_move_it(
    as_user: Callable[..., Api], alice: User, alice_api: Api, bob: User
) -> None:
    trigger = schedule(alice)
    alice_api.post(f"/workflows/{trigger.workflow_id}/shares", {"user_id": bob.pk, "role": "viewer"})
    api = as_user(bob)
    assert [item["id"] for item in api.get("/schedules").data] == [trigger.pk]
    for action in ("pause", "resume", "run"):
        assert api.post(f"/schedules/{trigger.pk}/{action}").status == 403
    assert not Event.objects.filter(subject_id=trigger.pk).exists()
    assert Trigger.objects.get().paused_at is None
