"""Maintenance mode: what is new waits, what is under way ends, and nothing slips through while it is switched on."""

import itertools
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from io import StringIO

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.models import AuditEntry, User
from core.errors import ConflictError, UnavailableError
from core.ids import to_uuid
from events import announcements
from events.models import Announcement
from executions import admission, maintenance, maintenance_mode, services
from executions.models import ComponentRun, Execution, MaintenanceMode
from executions.states import ExecutionStatus, RunStatus
from tests.api import Api
from tests.eventually import eventually
from tests.integration.executions.conftest import Doorbells, linear, log, make_workflow, start, transform
from tests.integration.executions.test_turns import limited, run, slots, unlimited
from tests.integration.executions.test_waits import approval, send, signal, sub
from workflows.models import Trigger
from workflows.services import create_workflow, update_workflow

pytestmark = pytest.mark.django_db(transaction=True)


def on(**options: object) -> MaintenanceMode:
    return maintenance_mode.switch_on(actor=None, **options)  # type: ignore[arg-type]


def off() -> MaintenanceMode:
    return maintenance_mode.switch_off(actor=None)


def is_held(execution: Execution) -> bool:
    """Stored, queued, without a slot, and nothing of it wants a worker."""
    execution.refresh_from_db()
    statuses = set(execution.runs.values_list("status", flat=True))
    return (execution.status, execution.admitted_at, statuses) == ("queued", None, {"blocked"})


def test_a_new_execution_is_accepted_waits_and_starts_when_it_is_over(
    alice: User, alice_api: Api, doorbells: Doorbells
) -> None:
    workflow = make_workflow(alice, linear(log("a")))
    on()
    answer = alice_api.post(f"/workflows/{workflow.pk}/execute", {"parameters": {}})
    assert (answer.status, answer.data["status"], answer.data["queue_position"]) == (201, "queued", 1)
    execution = Execution.objects.get(pk=answer.data["execution_id"])
    maintenance.sweep()
    assert doorbells.work() == 0
    assert is_held(execution)
    off()
    assert maintenance.admit_waiting() == 1
    doorbells.work()
    execution.refresh_from_db()
    assert execution.status == ExecutionStatus.COMPLETED


def test_what_waits_starts_in_its_turn(alice: User, doorbells: Doorbells) -> None:
    alice.tier, alice.concurrent_executions = "custom", 2
    alice.save(update_fields=["tier", "concurrent_executions"])
    workflow = make_workflow(alice, linear(signal()))
    on()
    executions = [run(workflow, alice, priority=priority) for priority in (5, 9, 5, 10)]
    off()
    maintenance.admit_waiting()
    assert slots(*executions) == [False, True, False, True]


def test_a_batch_is_held(alice: User, alice_api: Api, doorbells: Doorbells) -> None:
    workflow = make_workflow(alice, linear(log("a")))
    on()
    answer = alice_api.post("/api/v2/workflows/execute-batch", {"executions": [{"workflow_id": workflow.pk}] * 3})
    assert answer.status == 200
    assert [is_held(execution) for execution in Execution.objects.all()] == [True] * 3


def test_a_retry_is_held(alice: User, alice_api: Api, doorbells: Doorbells) -> None:
    execution = start(alice, linear(log("a")))
    doorbells.work()
    on()
    answer = alice_api.post(f"/executions/{execution.pk}/retry", {})
    assert answer.status == 201
    assert is_held(Execution.objects.get(retry_of=execution))


def test_what_was_scheduled_is_held_from_its_time_on(alice: User, doorbells: Doorbells) -> None:
    execution = start(alice, linear(log("a")), scheduled_at=timezone.now() + timedelta(hours=1))
    on()
    Execution.objects.update(scheduled_at=timezone.now() - timedelta(seconds=1))
    maintenance.sweep()
    assert is_held(execution)
    off()
    maintenance.sweep()
    assert doorbells.work() == 1


@pytest.mark.parametrize("trigger_type", ["schedule", "event"])
def test_what_starts_by_itself_is_held(alice: User, doorbells: Doorbells, trigger_type: str) -> None:
    maintenance.follow_events()
    config = {"interval_seconds": 60} if trigger_type == "schedule" else {"event": "workflow.created"}
    begin = {"id": "begin", "type": "start", "config": {"trigger_type": trigger_type, **config}}
    workflow = update_workflow(
        workflow=make_workflow(alice, {"components": [begin, log("a")], "connections": [
            {"source": "begin", "target": "a"}
        ]}),
        user=alice,
        changes={"status": "active"},
    )  # fmt: skip
    maintenance.sweep()
    on()
    Trigger.objects.filter(type="schedule").update(next_at=timezone.now() - timedelta(seconds=1))
    make_workflow(alice, linear(log("a")))
    eventually(lambda: maintenance.sweep() == 0)
    assert [is_held(execution) for execution in Execution.objects.filter(workflow=workflow)] == [True]


def test_what_is_under_way_ends_and_its_children_with_it(alice: User, doorbells: Doorbells) -> None:
    child = make_workflow(alice, linear(transform("inner", 42)))
    execution = start(alice, linear(signal(), sub(child.pk), transform("z", "{{ input }}")))
    doorbells.work()
    on()
    send(execution, alice, None)
    doorbells.work()
    execution.refresh_from_db()
    assert (execution.status, execution.results) == (ExecutionStatus.COMPLETED, 42)
    assert maintenance_mode.load() == maintenance_mode.Load(executions=0, running=0, queued=0, held=0)


def test_a_child_that_waits_for_its_key_goes_on_past_what_is_held(alice: User, doorbells: Doorbells) -> None:
    keyed = make_workflow(alice, limited("queue"))
    holder = run(keyed, alice)
    parent = start(alice, linear(sub(keyed.pk)))
    doorbells.work()
    child = Execution.objects.get(parent_run__execution=parent)
    on()
    root = run(keyed, alice, priority=10)
    assert slots(child, root) == [False, False]
    send(holder, alice, None)
    doorbells.work()
    maintenance.sweep()
    assert slots(child, root) == [True, False]
    doorbells.work()
    send(child, alice, None)
    doorbells.work()
    parent.refresh_from_db()
    assert parent.status == ExecutionStatus.COMPLETED
    off()
    maintenance.sweep()
    assert slots(root) == [True]


def test_a_child_does_not_stand_behind_what_has_no_slot(alice: User, doorbells: Doorbells) -> None:
    alice.tier, alice.concurrent_executions = "custom", 2
    alice.save(update_fields=["tier", "concurrent_executions"])
    keyed = make_workflow(alice, limited("queue"))
    holder, root = run(keyed, alice), run(keyed, alice)
    parent = start(alice, linear(sub(keyed.pk)))
    doorbells.work()
    alice.concurrent_executions = 1
    alice.save(update_fields=["concurrent_executions"])
    send(holder, alice, None)
    doorbells.work()
    maintenance.sweep()
    assert slots(root, Execution.objects.get(parent_run__execution=parent)) == [False, True]


def test_nothing_under_way_is_cancelled_for_what_is_held(alice: User, doorbells: Doorbells) -> None:
    keyed = make_workflow(alice, limited("cancel_running"))
    under_way = run(keyed, alice)
    doorbells.work()
    on()
    first, second = run(keyed, alice), run(keyed, alice)
    statuses = [Execution.objects.get(pk=one.pk).status for one in (under_way, first, second)]
    assert statuses == ["running", "cancelled", "queued"]


def test_the_load_counts_what_is_under_way_and_what_waits(alice: User, doorbells: Doorbells) -> None:
    start(alice, linear(approval()))
    doorbells.work()
    assert maintenance_mode.load().drained
    start(alice, linear(log("a")))
    on()
    start(alice, linear(log("a")))
    load = maintenance_mode.load()
    assert load == maintenance_mode.Load(executions=2, running=0, queued=1, held=1)
    assert not load.drained


def test_the_diagnosis_names_it(alice: User, alice_api: Api, doorbells: Doorbells) -> None:
    until = timezone.now() + timedelta(hours=1)
    mode = on(message="New disks", until=until)
    execution = start(alice, linear(log("a")))
    data = alice_api.get(f"/executions/{execution.pk}/diagnosis").data
    assert (data["reason"], data["message"]) == ("maintenance", "New executions are held: maintenance mode is on")
    assert data["details"] == {"message": "New disks", "queue_position": 1}
    assert data["next"] == "It starts, in its turn, when maintenance mode is switched off"
    assert data["next_at"] == until.isoformat().replace("+00:00", "Z")
    assert mode.since is not None
    assert data["since"] > mode.since.isoformat()
    assert data["components"] == []


def test_health_stays_healthy(alice_api: Api) -> None:
    before = alice_api.get("/health")
    on()
    after = alice_api.get("/health")
    assert (after.status, after.data["status"]) == (before.status, before.data["status"])


def test_it_is_announced_until_it_is_over(admin: User, transactional_db: None) -> None:
    maintenance_mode.switch_on(actor=admin, message="New disks")
    first = announcements.current().get()
    assert (first.title, first.message, first.ends_at) == (
        "Maintenance: new executions wait", "New disks", None,
    )  # fmt: skip
    until = timezone.now() + timedelta(hours=1)
    maintenance_mode.switch_on(actor=admin, until=until)
    second = announcements.current().get()
    assert second.pk != first.pk
    assert (second.message, second.ends_at) == (
        "New executions are accepted, and start when maintenance is over.", until,
    )  # fmt: skip
    maintenance_mode.switch_off(actor=admin)
    assert not announcements.current().exists()
    assert Announcement.objects.count() == 2


def test_it_is_in_the_audit_log(admin: User, transactional_db: None) -> None:
    maintenance_mode.switch_on(actor=admin, message="New disks")
    mode = maintenance_mode.current()
    assert (mode.held, mode.switched_by, mode.message) == (True, "admin@example.com", "New disks")
    maintenance_mode.switch_off(actor=admin)
    entries = AuditEntry.objects.order_by("pk").values_list("action", "actor", "details")
    assert list(entries) == [
        ("maintenance.on", "admin@example.com", {"message": "New disks", "until": None}),
        ("maintenance.off", "admin@example.com", {}),
    ]


def test_switching_off_what_is_off_is_refused(transactional_db: None) -> None:
    with pytest.raises(ConflictError, match="Maintenance mode is off"):
        off()
    assert (AuditEntry.objects.count(), Announcement.objects.count()) == (0, 0)


def test_the_command_switches_it_and_says_what_is_under_way(alice: User, doorbells: Doorbells) -> None:
    start(alice, linear(log("a")))
    text = StringIO()
    call_command("maintenance", "on", "--message", "New disks", "--minutes", "30", stdout=text)
    mode = maintenance_mode.current()
    assert mode.held
    assert mode.until is not None
    assert mode.message == "New disks"
    assert text.getvalue().splitlines()[1:] == [
        "executions under way  1",
        "components running    0",
        "components queued     1",
        "executions waiting    0",
    ]
    for what, line in (("status", "Maintenance mode is on since "), ("off", "Maintenance mode is off")):
        text = StringIO()
        call_command("maintenance", what, stdout=text)
        assert text.getvalue().startswith(line)
    with pytest.raises(CommandError, match="Maintenance mode is off"):
        call_command("maintenance", "off")
    with pytest.raises(CommandError, match="go with on"):
        call_command("maintenance", "off", "--message", "m")
    with pytest.raises(CommandError, match="from 1 to 43200"):
        call_command("maintenance", "on", "--minutes", "0")
    assert not maintenance_mode.current().held


_ADMIT = "UPDATE executions_execution SET admitted_at = clock_timestamp() WHERE id = %s"


def test_it_is_not_on_before_a_start_that_did_not_see_it_has_ended(alice: User, doorbells: Doorbells) -> None:
    workflow = make_workflow(alice, linear(log("a")))
    on()
    execution = run(workflow, alice)
    off()
    answered = threading.Event()

    def switch() -> None:
        on()
        answered.set()
        connection.close()

    with psycopg.connect(**connection.get_connection_params()) as late:
        late.execute(_ADMIT, [to_uuid(execution.pk)])
        switching = threading.Thread(target=switch)
        switching.start()
        eventually(lambda: maintenance_mode.current().held)
        # It holds others from now on, and does not say so before the one is done.
        assert is_held(run(workflow, alice))
        assert not answered.wait(0.3)
        late.commit()
        assert answered.wait(5)
        switching.join()


def test_it_says_so_where_such_a_start_does_not_end(
    alice: User, doorbells: Doorbells, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintenance_mode, "_EARLIER_SECONDS", 0.1)
    on()
    execution = start(alice, linear(log("a")))
    off()
    with psycopg.connect(**connection.get_connection_params()) as late:
        late.execute(_ADMIT, [to_uuid(execution.pk)])
        with pytest.raises(UnavailableError, match="1 transactions that began before"):
            on()
        late.rollback()
    assert maintenance_mode.current().held
    assert is_held(execution)


def test_nothing_is_admitted_once_it_is_on_however_many_start_at_once(alice: User, doorbells: Doorbells) -> None:
    workflow = make_workflow(unlimited(alice), linear(log("a")))
    stop = threading.Event()

    def keep_starting() -> int:
        started = 0
        while not stop.is_set():
            run(workflow, alice)
            # As the end of another would.
            admission.admit(alice.pk)
            started += 1
        connection.close()
        return started

    with ThreadPoolExecutor(4) as pool:
        starting = [pool.submit(keep_starting) for _ in range(4)]
        try:
            for _ in range(5):
                count = Execution.objects.count()
                eventually(lambda: Execution.objects.count() > count + 10, interval=0.01)  # noqa: B023 - at once
                on()
                admitted = set(Execution.objects.exclude(admitted_at=None).values_list("pk", flat=True))
                seen = Execution.objects.count()
                eventually(lambda: Execution.objects.count() > seen + 10, interval=0.01)  # noqa: B023 - at once
                assert set(Execution.objects.exclude(admitted_at=None).values_list("pk", flat=True)) == admitted
                off()
        finally:
            stop.set()
        started = sum(future.result() for future in starting)
    assert Execution.objects.count() == started
    maintenance.sweep()
    assert not Execution.objects.filter(admitted_at=None).exists()


_names = (f"held {number}" for number in itertools.count(1))


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    moves=st.lists(st.sampled_from(["start", "keyed", "parent", "on", "off", "sweep", "work", "retry"]), max_size=14),
    seed=st.integers(0, 2**32),
)
def test_whatever_happens_roots_wait_while_it_is_on_and_all_ends_after_it(
    alice: User, doorbells: Doorbells, moves: list[str], seed: int
) -> None:
    chance = random.Random(seed)
    key = {"limit": 1, "key": "", "strategy": "queue"}
    plain = create_workflow(user=alice, name=next(_names), definition=linear(log("a")))
    keyed = create_workflow(user=alice, name=next(_names), definition=linear(log("a"), concurrency=key))
    parent = create_workflow(user=alice, name=next(_names), definition=linear(sub(keyed.pk)))
    kinds = {"start": plain, "keyed": keyed, "parent": parent}
    mine = Execution.objects.filter(workflow__in=kinds.values())
    frozen: set[str] | None = None
    for move in moves:
        if move in kinds:
            run(kinds[move], alice, priority=chance.choice([1, 5, 10]))
        elif move == "on":
            on()
            frozen = frozen if frozen is not None else _admitted()
        elif move == "off" and frozen is not None:
            off()
            frozen = None
        elif move == "sweep":
            maintenance.sweep()
        elif move == "work":
            doorbells.work()
        elif move == "retry" and (done := mine.filter(status="completed", parent_run=None).first()):
            services.start_execution(workflow=done.workflow, user=alice, request=services.StartRequest())
        assert frozen is None or _admitted() == frozen
    if frozen is not None:
        # What was under way ends without anything that is held.
        _settle(doorbells)
        assert not mine.filter(completed_at=None).exclude(admitted_at=None).exists()
        assert _admitted() == frozen
        off()
    _settle(doorbells)
    assert set(mine.values_list("status", flat=True)) <= {"completed"}
    assert not ComponentRun.objects.exclude(status__in=[RunStatus.COMPLETED, RunStatus.SKIPPED]).exists()


def _admitted() -> set[str]:
    return set(Execution.objects.filter(parent_run=None).exclude(admitted_at=None).values_list("pk", flat=True))


def _settle(doorbells: Doorbells) -> None:
    while maintenance.admit_waiting() + doorbells.work() + maintenance.resume_parents():
        pass
