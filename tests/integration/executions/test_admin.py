"""Executions in the admin: lists, the page of one, and what staff do there; each refusal changes nothing."""

import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import AuditEntry, User
from accounts.secret_store import create_secret
from core.ids import first_id, to_uuid
from events.models import Event
from executions import bulk_cancel, maintenance, maintenance_mode, operating, outputs
from executions.models import BulkCancel, ComponentRun, Execution, StoredOutput
from executions.selection import Selection
from executions.states import RunStatus
from executions.transitions import running
from executions.transitions.statements import Holder
from tests.integration.executions.conftest import Doorbells, linear, log, make_workflow, start, transform
from tests.integration.executions.test_engine import failing, graph, refused
from tests.integration.executions.test_loops import for_each
from tests.integration.executions.test_turns import run, unlimited
from tests.integration.executions.test_waits import approval, signal, sub
from workflows.components import registry

pytestmark = pytest.mark.django_db(transaction=True)
LIST = "/admin/executions/execution/"
MODE = "/admin/executions/maintenancemode/"


@pytest.fixture
def staff(admin: User, empty_redis: None) -> Client:
    """Logged in to the admin."""
    client = Client()
    client.force_login(admin)
    return client


@pytest.fixture
def looker(bob: User, empty_redis: None) -> Client:
    """Logged in to the admin as bob, who is staff and may only look."""
    User.objects.filter(pk=bob.pk).update(is_staff=True)
    codenames = ["view_execution", "view_bulkcancel", "view_maintenancemode"]
    bob.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    client = Client()
    client.force_login(User.objects.get(pk=bob.pk))
    return client


def read(client: Client, path: str = LIST) -> str:
    answer = client.get(path)
    assert answer.status_code == 200, (path, answer.headers.get("Location"))
    return answer.content.decode()


def shown(page: str) -> list[str]:
    return re.findall(r'class="field-id"><a href="/admin/executions/execution/(\w+)/change/', page)


def page_of(execution: Execution, query: str = "") -> str:
    return f"{LIST}{execution.pk}/change/{query}"


def said(client: Client, path: str = "/admin/") -> str:
    """The messages that the next page shows."""
    found = re.search(r'<ul class="messagelist">(.*?)</ul>', client.get(path).content.decode(), re.DOTALL)
    return unescape(re.sub(r"<[^>]+>", "", found[1])).strip() if found else ""


def told() -> list[tuple[str, str, str]]:
    wanted = AuditEntry.objects.exclude(action__in=["workflow.created", "execution.started"]).order_by("pk")
    return list(wanted.values_list("action", "actor", "object_id"))


def state() -> list[object]:
    """All that an action may change."""
    return [
        list(Execution.objects.order_by("pk").values_list("pk", "status", "stop_as", "sequence", "admitted_at")),
        list(ComponentRun.objects.order_by("pk").values_list("pk", "status", "attempt", "held", "wake_at")),
        Event.objects.count(),
        told(),
    ]


# --- lists --------------------------------------------------------------------------------------------------


def test_filters_find_what_they_say(alice: User, bob: User, staff: Client, doorbells: Doorbells) -> None:
    done = start(alice, linear(log("a")))
    doorbells.work()
    waiting = start(bob, linear(log("a")), scheduled_at=timezone.now() + timedelta(hours=1))
    child = make_workflow(alice, linear(signal()))
    parent = start(alice, linear(sub(child.pk)))
    doorbells.work()
    inner = Execution.objects.get(parent_run__execution=parent)
    done.runs.all().delete()
    Execution.objects.filter(pk=done.pk).update(id=first_id(timezone.now() - timedelta(hours=3)))
    old = Execution.objects.get(status="completed")
    everything = [inner.pk, parent.pk, waiting.pk, old.pk]
    assert shown(read(staff)) == everything
    for query, expected in {
        "status=completed": [old.pk],
        "status=pending": [waiting.pk],
        "trigger=sub_workflow": [inner.pk],
        "trigger=event": [],
        "made=over-1": [old.pk],
        "made=1": everything[:3],
        f"workflow={child.pk}": [inner.pk],
        f"workflow_owner_id={bob.pk}": [waiting.pk],
        f"created_by={bob.pk}": [waiting.pk],
        f"q={parent.pk}": [parent.pk],
        f"q={to_uuid(parent.pk)}": [parent.pk],
        f"q={child.pk.lower()}": [inner.pk],
        "q=bob@example.com": [waiting.pk],
        "q=nobody": [],
        "status=running&trigger=manual&made=1": [parent.pk],
    }.items():
        assert shown(read(staff, f"{LIST}?{query}")) == expected, query
        if "nobody" not in query:
            # What a bulk cancel would take is what the list shows.
            parameters = dict(part.split("=") for part in query.split("&"))
            meant = Selection.of_query(parameters, timezone.now()).apply(Execution.objects.all())
            assert list(meant.order_by("-pk").values_list("pk", flat=True)) == expected, query


def test_a_kind_of_trigger_is_looked_for_among_the_newest(
    alice: User, staff: Client, doorbells: Doorbells, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("executions.admin.TRIGGER_WINDOW", 2)
    workflow = make_workflow(unlimited(alice), linear(signal()))
    newest = [run(workflow, alice).pk for _ in range(3)][:0:-1]
    page = read(staff, f"{LIST}?trigger=manual")
    assert shown(page) == newest
    assert "2 among the newest 2 executions" in page


def test_a_list_asks_as_much_for_many_as_for_few(alice: User, staff: Client, doorbells: Doorbells) -> None:
    workflow = make_workflow(unlimited(alice), linear(signal()))
    run(workflow, alice)
    read(staff)
    counts = []
    for more in (0, 30):
        for _ in range(more):
            run(workflow, alice)
        with CaptureQueriesContext(connection) as captured:
            read(staff)
        counts.append(len(captured))
        asked = [query["sql"] for query in captured if 'FROM "executions_execution"' in query["sql"]]
        assert all("LIMIT" in sql for sql in asked)
    assert counts[0] == counts[1]


# --- the page -----------------------------------------------------------------------------------------------


def test_the_page_shows_graph_times_diagnosis_and_what_failed(alice: User, staff: Client, doorbells: Doorbells) -> None:
    loop = for_each([1, 2, 3], transform("double", "{{ item * 2 }}"))
    definition = graph([loop, failing("bad"), log("after"), approval(), log("never")], "loop>ask", "bad!after")
    execution = start(alice, definition)
    doorbells.work()
    page = read(staff, page_of(execution))
    for id_ in ("loop", "double", "bad", "after", "ask", "never"):
        assert page.count(f'<text class="id" x="22" y="21">{id_}</text>') == 1, id_
    assert "3 items: 3 completed" in page
    assert "loop (for_each): completed · 3 items: 3 completed" in page
    assert "double (transform): completed · 3 items" in page
    assert "ask (approval): waiting · for a signal" in page
    assert 'class="edge error taken"' in page
    assert "It waits for the signal ask" in page
    assert '<rect class="bar running"' in page
    assert " style=" not in page
    assert "<script>" not in page


@pytest.mark.parametrize("tab", ["overview", "components", "logs", "events"])
def test_every_tab_is_read_in_few_queries(alice: User, staff: Client, doorbells: Doorbells, tab: str) -> None:
    execution = start(alice, linear(log("a", "hello <b>"), for_each(list(range(5)), log("x")), transform("z", 1)))
    doorbells.work()
    read(staff, page_of(execution, f"?tab={tab}"))
    with CaptureQueriesContext(connection) as captured:
        page = read(staff, page_of(execution, f"?tab={tab}"))
    assert len(captured) <= 16, [query["sql"] for query in captured]
    assert "<b>hello" not in page
    if tab == "logs":
        assert "hello &lt;b&gt;" in page


def test_components_are_paged_and_found_by_name(alice: User, staff: Client, doorbells: Doorbells) -> None:
    execution = start(alice, linear(for_each(list(range(30)), transform("x", "{{ item }}"))))
    doorbells.work()
    first = read(staff, page_of(execution, "?tab=components&component=x"))
    second = read(staff, page_of(execution, "?tab=components&component=x&from=25"))
    assert (first.count('class="panel run"'), second.count('class="panel run"')) == (25, 5)
    assert "&amp;from=25" in first
    assert read(staff, page_of(execution, "?tab=components")).count('class="panel run"') == 25


def test_logs_and_events_go_on_after_a_number(
    alice: User, staff: Client, doorbells: Doorbells, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("executions.execution_page.LINES", 2)
    execution = start(alice, linear(log("a", "one"), log("b", "two"), log("c", "three")))
    doorbells.work()
    page = read(staff, page_of(execution, "?tab=logs"))
    assert ("one" in page, "three" in page) == (True, False)
    later = re.search(r"after=(\d+)", page)
    assert later is not None
    assert "three" in read(staff, page_of(execution, f"?tab=logs&after={later[1]}"))
    assert read(staff, page_of(execution, "?tab=logs&level=error")).count("Nothing has been logged that matches") == 1
    assert "after=2" in read(staff, page_of(execution, "?tab=events"))


@pytest.mark.parametrize(
    "query",
    [
        "?tab=nothing",
        "?tab=logs&after=x",
        "?tab=components&from=-1",
        "?tab=logs&level=x",
        "?tab=logs&component=%00",
        "?tab=components&component=%00",
    ],
)
def test_nonsense_in_the_address_leads_back_to_the_page(
    alice: User, staff: Client, doorbells: Doorbells, query: str
) -> None:
    execution = start(alice, linear(log("a")))
    answer = staff.get(page_of(execution, query))
    assert (answer.status_code, answer.headers["Location"]) == (302, page_of(execution))


def test_nothing_secret_is_shown_on_any_tab(alice: User, staff: Client, doorbells: Doorbells) -> None:
    secret = "s3cr3t-value-of-alice"
    create_secret(owner=alice, name="key", value=secret)
    execution = start(
        alice,
        linear(log("l", "{{ secrets.key }}"), transform("t", "{{ secrets.key }} {{ api_token }}"), transform("z", 1)),
        parameters={"api_token": "another-s3cr3t"},
    )
    doorbells.work()
    for tab in ("overview", "components", "logs", "events"):
        page = read(staff, page_of(execution, f"?tab={tab}"))
        assert secret not in page
        assert "another-s3cr3t" not in page
    assert "[REDACTED]" in read(staff, page_of(execution, "?tab=components"))


def test_outputs_of_the_store_are_shown_and_a_store_that_is_away_hides_nothing_else(
    alice: User, staff: Client, doorbells: Doorbells, settings: Any
) -> None:
    settings.OUTPUT_INLINE_BYTES = 1024
    execution = start(alice, linear(transform("a", "x" * 2000), transform("z", "y" * 2000)))
    doorbells.work()
    assert StoredOutput.objects.exists()
    assert "yyyy" in read(staff, page_of(execution))
    assert "xxxx" in read(staff, page_of(execution, "?tab=components"))
    for stored in ComponentRun.objects.exclude(output_ref=None):
        outputs.remove([stored.output_ref["key"]])
    assert "A stored output is missing from the store" in read(staff, page_of(execution))
    page = read(staff, page_of(execution, "?tab=components"))
    assert "inputs and outputs are not shown" in page
    assert page.count('class="panel run"') == 2


def test_a_definition_that_can_no_longer_run_is_still_drawn(alice: User, staff: Client, doorbells: Doorbells) -> None:
    execution = start(alice, linear(log("a"), log("b")))
    doorbells.work()
    execution.version.definition["components"][1]["type"] = "gone"
    execution.version.save(update_fields=["definition"])
    page = read(staff, page_of(execution))
    assert "b (gone): completed" in page
    read(staff, page_of(execution, "?tab=components"))


def test_who_may_not_look_sees_nothing(bob: User, alice: User, doorbells: Doorbells) -> None:
    User.objects.filter(pk=bob.pk).update(is_staff=True)
    client = Client()
    client.force_login(User.objects.get(pk=bob.pk))
    execution = start(alice, linear(log("a")))
    assert [client.get(path).status_code for path in (LIST, page_of(execution), MODE)] == [403, 403, 403]
    assert client.get(f"{LIST}nonsense/change/").status_code == 403


def test_what_is_not_there_is_404(staff: Client, transactional_db: None) -> None:
    for name in ("nonsense", "01HQNZ2G5XKJ8P7M9N6V3R4T5W"):
        assert staff.get(f"{LIST}{name}/change/").status_code == 404
        assert staff.get(f"{LIST}{name}/do/cancel/").status_code == 404


# --- actions ------------------------------------------------------------------------------------------------


def do(client: Client, execution: Execution, what: str, **form: object) -> int:
    return client.post(f"{LIST}{execution.pk}/do/{what}/", form).status_code


def of(run: ComponentRun, attempt: int = 1) -> dict[str, object]:
    return {"run": run.pk, "attempt": attempt}


def test_cancel(alice: User, staff: Client, admin: User, doorbells: Doorbells) -> None:
    execution = start(alice, linear(signal()))
    doorbells.work()
    assert "This cannot be undone" in read(staff, f"{LIST}{execution.pk}/do/cancel/")
    assert told() == []
    assert do(staff, execution, "cancel") == 302
    execution.refresh_from_db()
    assert execution.status == "cancelled"
    assert told() == [("execution.cancelled", admin.email, execution.pk)]
    before = state()
    assert do(staff, execution, "cancel") == 302
    assert "The execution has already ended" in said(staff)
    assert state() == before


def test_retry_from_a_component(alice: User, staff: Client, admin: User, doorbells: Doorbells) -> None:
    execution = start(alice, linear(transform("a", 1), transform("b", 2)))
    before = state()
    assert do(staff, execution, "retry") == 302
    assert "Only an execution that has ended" in said(staff)
    assert state() == before
    doorbells.work()
    assert "<option>b</option>" in read(staff, f"{LIST}{execution.pk}/do/retry/")
    assert do(staff, execution, "retry", from_component="b", version="original") == 302
    new = Execution.objects.get(retry_of=execution)
    assert new.created_by_id == admin.pk
    assert dict(new.runs.values_list("component_id", "status")) == {"a": "completed", "b": "queued"}
    assert told() == [("execution.retried", admin.email, execution.pk)]
    before = state()
    assert do(staff, execution, "retry", from_component="nothing") == 302
    assert "There is no such component" in said(staff)
    assert state() == before


def claimed(execution: Execution) -> ComponentRun:
    found = execution.runs.get(status=RunStatus.QUEUED)
    assert running.claim(found.pk, 1, Holder("gone", 7), registry.known_types(), jump=True)
    found.refresh_from_db()
    return found


def test_a_run_whose_worker_is_gone_is_requeued_and_its_old_attempt_refused(
    alice: User, staff: Client, admin: User, doorbells: Doorbells
) -> None:
    execution = start(alice, linear(log("a")))
    held = claimed(execution)
    doorbells.receive()
    doorbells.waiting.clear()
    question = read(staff, f"{LIST}{execution.pk}/do/requeue-run/?run={held.pk}&attempt=1")
    assert "attempt 1, running on gone" in question
    assert do(staff, execution, "requeue-run", **of(held)) == 302
    held.refresh_from_db()
    assert (held.status, held.attempt, held.crashes) == ("queued", 2, 1)
    assert "Requeued by staff" in str(list(Event.objects.filter(type="log").values_list("data", flat=True)))
    assert told() == [("execution.requeued", admin.email, execution.pk)]
    # The page was of attempt 1, which is over.
    before = state()
    assert do(staff, execution, "requeue-run", **of(held)) == 302
    assert "is not in the queue as attempt 1" in said(staff)
    assert state() == before
    doorbells.work()
    execution.refresh_from_db()
    assert execution.status == "completed"


def test_a_queued_run_whose_message_was_lost_is_rung_for_again(
    alice: User, staff: Client, doorbells: Doorbells
) -> None:
    execution = start(alice, linear(log("a")))
    doorbells.receive()
    doorbells.waiting.clear()
    assert do(staff, execution, "requeue-run", **of(execution.runs.get())) == 302
    assert doorbells.work() == 1


def test_an_execution_is_requeued(alice: User, staff: Client, admin: User, doorbells: Doorbells) -> None:
    execution = start(alice, {"components": [log("a"), log("b")]})
    ComponentRun.objects.filter(component_id="a").update(rung_at=timezone.now())
    first = execution.runs.get(component_id="a")
    assert running.claim(first.pk, 1, Holder("gone", 7), registry.known_types(), jump=True)
    ComponentRun.objects.filter(pk=first.pk).update(lease_until="2000-01-01T00:00:00Z")
    doorbells.receive()
    doorbells.waiting.clear()
    assert do(staff, execution, "requeue") == 302
    assert said(staff) == "Requeued: 2"
    doorbells.work()
    execution.refresh_from_db()
    assert execution.status == "completed"
    before = state()
    assert do(staff, execution, "requeue") == 302
    assert "Nothing of it is queued" in said(staff)
    assert state() == before


def test_an_execution_without_a_slot_is_given_one_if_there_is_one(
    alice: User, staff: Client, doorbells: Doorbells
) -> None:
    maintenance_mode.switch_on(actor=None)
    execution = start(alice, linear(log("a")))
    before = state()
    assert do(staff, execution, "requeue") == 302
    assert "There is no slot for it" in said(staff)
    assert state() == before
    maintenance_mode.switch_off(actor=None)
    assert do(staff, execution, "requeue") == 302
    assert doorbells.work() == 1


DELAY = {"id": "d", "type": "delay", "config": {"until": "2090-01-01T00:00:00Z"}}


def test_a_delay_is_released(alice: User, staff: Client, admin: User, doorbells: Doorbells) -> None:
    execution = start(alice, linear(DELAY, transform("z", 1)))
    doorbells.work()
    wait = execution.runs.get(component_id="d")
    assert "Release…" in read(staff, page_of(execution, "?tab=components"))
    assert do(staff, execution, "release-run", **of(wait)) == 302
    doorbells.work()
    execution.refresh_from_db()
    assert (execution.status, execution.results) == ("completed", 1)
    assert "Released by staff" in str(list(Event.objects.filter(type="log").values_list("data", flat=True)))
    assert told() == [("execution.released", admin.email, execution.pk)]


def test_a_wait_for_the_next_attempt_is_released(alice: User, staff: Client, doorbells: Doorbells) -> None:
    policy = {"max_attempts": 3, "initial_delay_seconds": 3600, "max_delay_seconds": 3600}
    execution = start(alice, linear(refused("r", retry_policy=policy)))
    doorbells.work()
    wait = execution.runs.get()
    assert do(staff, execution, "release-run", **of(wait, attempt=1)) == 302
    assert "does not wait as attempt 1 any more" in said(staff)
    assert do(staff, execution, "release-run", **of(wait, attempt=2)) == 302
    doorbells.work()
    wait.refresh_from_db()
    assert (wait.status, wait.attempt) == ("waiting", 3)


def test_what_waits_for_somebodys_answer_is_not_released(alice: User, staff: Client, doorbells: Doorbells) -> None:
    child = make_workflow(alice, linear(signal()))
    loop = for_each([1], signal("inner"))
    execution = start(alice, {"components": [signal(), approval(), sub(child.pk), loop], "connections": []})
    doorbells.work()
    before = state()
    for component_id, why in {
        "wait": "send that, as go", "ask": "send that, as ask", "child": "its child", "loop": "its items",
    }.items():  # fmt: skip
        assert do(staff, execution, "release-run", **of(execution.runs.get(component_id=component_id))) == 302
        assert why in said(staff)
    assert state() == before


def test_what_max_parallel_holds_goes_if_there_is_room(alice: User, staff: Client, doorbells: Doorbells) -> None:
    execution = start(alice, {"components": [log("a"), log("b")], "settings": {"max_parallel": 1}})
    for queued in execution.runs.order_by("position"):
        running.claim(queued.pk, 1, Holder("w", 7), registry.known_types(), jump=True)
    held = execution.runs.get(held=True)
    before = state()
    assert do(staff, execution, "release-run", **of(held)) == 302
    assert "lets 1 components run at once" in said(staff)
    assert state() == before
    ComponentRun.objects.filter(component_id="a").update(
        status="completed", completed_at=timezone.now(), lease_until=None
    )
    assert do(staff, execution, "release-run", **of(held)) == 302
    held.refresh_from_db()
    assert (held.status, held.held) == ("queued", False)


@pytest.mark.parametrize("form", [{}, {"run": "x", "attempt": "1"}, {"attempt": "1"}, {"run": "RUN", "attempt": "-1"}])
def test_a_bad_form_is_refused(alice: User, staff: Client, doorbells: Doorbells, form: dict[str, str]) -> None:
    execution = start(alice, linear(DELAY))
    doorbells.work()
    form = {name: execution.runs.get().pk if value == "RUN" else value for name, value in form.items()}
    before = state()
    assert do(staff, execution, "release-run", **form) == 302
    assert state() == before
    assert do(staff, execution, "nothing") == 404


def test_another_executions_run_is_not_touched(alice: User, staff: Client, doorbells: Doorbells) -> None:
    mine, other = start(alice, linear(DELAY)), start(alice, linear(DELAY))
    doorbells.work()
    before = state()
    assert do(staff, mine, "release-run", **of(other.runs.get())) == 302
    assert state() == before


def test_who_may_only_look_does_nothing(alice: User, looker: Client, doorbells: Doorbells) -> None:
    execution = start(alice, linear(DELAY))
    doorbells.work()
    before = state()
    page = read(looker, page_of(execution, "?tab=components"))
    assert "/do/" not in page
    assert "cancel-matching" not in read(looker)
    answers = [do(looker, execution, what, **of(execution.runs.get())) for what in ("cancel", "requeue", "release-run")]
    assert answers == [403, 403, 403]
    assert looker.post(f"{LIST}cancel-matching/?status=running").status_code == 403
    assert looker.post(MODE, {"switch": "on"}).status_code == 403
    looker.post(LIST, {"action": "cancel", "_selected_action": [execution.pk], "confirmed": "yes"})
    assert state() == before
    assert not BulkCancel.objects.exists()
    assert not maintenance_mode.current().held


def test_the_chosen_are_cancelled_requeued_and_retried(
    alice: User, staff: Client, admin: User, doorbells: Doorbells
) -> None:
    executions = [start(alice, linear(signal())) for _ in range(2)]
    done = start(alice, linear(log("a")))
    chosen = {"_selected_action": [each.pk for each in [*executions, done]]}
    assert staff.post(LIST, {"action": "requeue", **chosen}).status_code == 302
    assert "Requeued: 3" in said(staff)
    doorbells.work()
    assert staff.post(LIST, {"action": "cancel", **chosen}).status_code == 200
    assert not Execution.objects.filter(status="cancelled").exists()
    assert staff.post(LIST, {"action": "cancel", "confirmed": "yes", **chosen}).status_code == 302
    assert Execution.objects.filter(status="cancelled").count() == 2
    assert f"{done.pk}: The execution has already ended" in (message := said(staff))
    assert "Cancelled: 2" in message
    assert staff.post(LIST, {"action": "retry", **chosen}).status_code == 302
    assert Execution.objects.exclude(retry_of=None).count() == 3
    assert [action for action, _, _ in told()].count("execution.retried") == 3


# --- bulk cancel --------------------------------------------------------------------------------------------


def matching(query: str = "") -> str:
    return f"{LIST}cancel-matching/{query}"


def test_a_name_that_nobody_can_have_matches_as_little_as_one_that_nobody_has(staff: Client) -> None:
    answers = [staff.get(matching(f"?q={name}")) for name in ("nobody", "%00")]
    assert len({(answer.status_code, answer.headers.get("Location")) for answer in answers}) == 1


def test_all_that_match_are_cancelled_not_only_those_of_the_page(
    alice: User, bob: User, staff: Client, admin: User, doorbells: Doorbells, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_cancel, "_SLICE", 20)
    monkeypatch.setattr(bulk_cancel, "_SLICE_SECONDS", 60)
    mine = make_workflow(unlimited(alice), linear(signal()))
    ids = [run(mine, alice).pk for _ in range(70)]
    others = run(make_workflow(bob, linear(signal())), bob)
    doorbells.work()
    assert "<b>70</b> executions will be cancelled" in read(staff, matching(f"?workflow={mine.pk}"))
    assert not BulkCancel.objects.exists()
    answer = staff.post(matching(f"?workflow={mine.pk}"))
    asked = BulkCancel.objects.get()
    assert answer.headers["Location"] == f"/admin/executions/bulkcancel/{asked.pk}/change/"
    assert (asked.matched, asked.cancelled, asked.completed_at) == (70, 20, None)
    progress = staff.get(answer.headers["Location"])
    assert progress.headers["Refresh"] == "2"
    late = run(mine, alice)
    while maintenance.cancel_matching():
        pass
    asked.refresh_from_db()
    assert (asked.cancelled, asked.ended_early) == (70, "")
    assert asked.completed_at is not None
    assert set(Execution.objects.filter(status="cancelled").values_list("pk", flat=True)) == set(ids)
    assert Execution.objects.exclude(status="cancelled").count() == 2
    assert {others.pk, late.pk} == set(Execution.objects.exclude(status="cancelled").values_list("pk", flat=True))
    entries = AuditEntry.objects.filter(action="execution.cancelled")
    assert (entries.count(), set(entries.values_list("actor", flat=True))) == (70, {admin.email})
    whole = AuditEntry.objects.get(action="executions.cancelled")
    assert (whole.object_id, whole.details) == (asked.pk, {"selection": {"workflow": mine.pk}, "matched": 70})
    assert "Refresh" not in staff.get(answer.headers["Location"]).headers


def test_without_a_filter_it_is_refused_unless_typed(alice: User, staff: Client, doorbells: Doorbells) -> None:
    start(alice, linear(signal()))
    doorbells.work()
    before = state()
    assert "every one there is" in read(staff, matching())
    for typed in ({}, {"typed": "yes"}):
        assert staff.post(matching(), typed).status_code == 200
        assert not BulkCancel.objects.exists()
    assert state() == before
    assert staff.post(matching(), {"typed": bulk_cancel.ALL_OF_THEM}).status_code == 302
    assert Execution.objects.get().status == "cancelled"


@pytest.mark.parametrize("query", ["?status=nothing", "?trigger=x", "?made=x", "?workflow=x", "?q=nobody", "?odd=1"])
def test_a_filter_that_is_none_cancels_nothing(alice: User, staff: Client, doorbells: Doorbells, query: str) -> None:
    start(alice, linear(signal()))
    doorbells.work()
    before = state()
    answer = staff.post(matching(query), {"typed": bulk_cancel.ALL_OF_THEM})
    assert (answer.status_code, answer.headers["Location"]) == (302, LIST)
    assert state() == before
    assert not BulkCancel.objects.exists()


def test_nothing_that_matches_is_nothing_to_do(alice: User, staff: Client, doorbells: Doorbells) -> None:
    start(alice, linear(log("a")))
    doorbells.work()
    assert staff.post(matching("?status=completed")).status_code == 200
    assert not BulkCancel.objects.exists()


def test_who_may_not_any_more_cancels_nothing_more(
    alice: User, staff: Client, admin: User, doorbells: Doorbells, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_cancel, "_SLICE", 2)
    monkeypatch.setattr(bulk_cancel, "_SLICE_SECONDS", 60)
    workflow = make_workflow(unlimited(alice), linear(signal()))
    for _ in range(5):
        run(workflow, alice)
    staff.post(matching("?status=queued"))
    User.objects.filter(pk=admin.pk).update(is_active=False)
    assert maintenance.cancel_matching() == 0
    asked = BulkCancel.objects.get()
    assert (asked.cancelled, asked.ended_early) == (2, "Whoever asked for it may not any more")
    assert Execution.objects.filter(status="cancelled").count() == 2


def test_a_slice_whose_worker_died_is_done_by_another(
    alice: User, staff: Client, doorbells: Doorbells, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_cancel, "_SLICE", 1)
    monkeypatch.setattr(bulk_cancel, "_SLICE_SECONDS", 60)
    workflow = make_workflow(alice, linear(signal()))
    for _ in range(2):
        run(workflow, alice)
    staff.post(matching("?status=queued"))
    later = timezone.now() + timedelta(seconds=20)
    BulkCancel.objects.update(lease_until=later)
    assert maintenance.cancel_matching() == 0
    BulkCancel.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert maintenance.cancel_matching() == 1
    assert Execution.objects.filter(status="cancelled").count() == 2


# --- maintenance mode ---------------------------------------------------------------------------------------


def test_maintenance_mode_is_switched_on_and_off(alice: User, staff: Client, admin: User, doorbells: Doorbells) -> None:
    start(alice, linear(log("a")))
    assert "Hold new executions" in read(staff, MODE)
    assert staff.post(MODE, {"switch": "on", "message": "New disks", "minutes": "30"}).status_code == 302
    mode = maintenance_mode.current()
    assert (mode.held, mode.message, mode.switched_by) == (True, "New disks", admin.email)
    assert mode.until is not None
    page = read(staff, MODE)
    assert "On: new executions are held" in page
    assert "Draining:" in page
    doorbells.work()
    assert "Drained:" in read(staff, MODE)
    assert "Maintenance mode is on since" in read(staff)
    assert staff.post(MODE, {"switch": "off"}).status_code == 302
    assert not maintenance_mode.current().held
    assert [action for action, _, _ in told()] == ["maintenance.on", "maintenance.off"]
    assert staff.post(MODE, {"switch": "off"}).status_code == 302
    assert "Maintenance mode is off" in said(staff)


@pytest.mark.parametrize("form", [{"minutes": "0"}, {"minutes": "x"}, {"message": "m" * 2001}])
def test_a_bad_form_switches_nothing(staff: Client, transactional_db: None, form: dict[str, str]) -> None:
    answer = staff.post(MODE, {"switch": "on", **form})
    assert answer.status_code == 200
    assert "errorlist" in answer.content.decode()
    assert not maintenance_mode.current().held
    assert told() == []


def test_services_refuse_what_the_page_does_not_offer(alice: User, doorbells: Doorbells) -> None:
    execution = start(alice, linear(log("a")))
    doorbells.work()
    done = execution.runs.get()
    for what in (operating.requeue_run, operating.release_run):
        with pytest.raises(Exception, match="a is completed"):
            what(execution=execution, run=done, attempt=1)
