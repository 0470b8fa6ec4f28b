"""Outputs that are too large for their row: stored before they are referred to, and read as if they stood there."""

import hashlib
import json
import os
import shlex
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.core.management import call_command
from django.utils import timezone

from accounts import vault
from accounts.callers import Caller
from accounts.models import User
from accounts.scopes import Scope
from accounts.secret_store import create_secret
from config.key_rotation import SEALED_REFERENCES, count_by_key, rotate
from config.retention import RULES, Turn, take_turn
from core import metrics
from executions import execution_page, interventions, outputs, pages, retention, snapshots
from executions.models import ComponentRun, Execution, LoopItem, StoredOutput
from executions.states import ExecutionStatus, RunStatus, WaitingFor
from tests.api import Api
from tests.docs.blocks import blocks_of
from tests.graphql import GraphQL
from tests.integration.executions.conftest import Doorbells, linear, log, make_workflow, start, transform
from tests.webhook_receiver import Reply, receiving

LARGE = "x" * 5000
LIMIT = 2000


@pytest.fixture
def folder(tmp_path: Path, settings: Any) -> Path:
    """Where outputs over 2,000 bytes go."""
    place = tmp_path / "outputs"
    settings.OUTPUT_INLINE_BYTES = LIMIT
    settings.STORAGES = {
        **settings.STORAGES,
        "outputs": {"BACKEND": "executions.output_files.FileOutputStorage", "OPTIONS": {"location": str(place)}},
    }
    return place


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def ran(user: User, doorbells: Doorbells, definition: Any, **request: object) -> Execution:
    execution = start(user, definition, **request)
    doorbells.work()
    execution.refresh_from_db()
    return execution


def run_of(execution: Execution, component_id: str, **more: object) -> ComponentRun:
    return ComponentRun.objects.get(execution=execution, component_id=component_id, **more)


def prune() -> Turn:
    return take_turn([rule for rule in RULES if rule.name == "stored outputs"])


def test_a_large_output_is_a_file_and_its_row_refers_to_it(alice: User, doorbells: Doorbells, folder: Path) -> None:
    execution = ran(alice, doorbells, linear(transform("a", {"text": LARGE})))
    run = run_of(execution, "a")
    [file] = files(folder)
    content = file.read_bytes()
    assert json.loads(content) == {"text": LARGE}
    assert (run.output, run.sealed_output, run.sealed_output_ref) == (None, None, None)
    assert run.output_ref == {
        "key": str(file.relative_to(folder)),
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    assert (execution.results, execution.results_ref) == (None, {"whole": run.output_ref})
    stored = StoredOutput.objects.get()
    assert (stored.key, stored.execution_id, stored.bytes) == (run.output_ref["key"], execution.pk, len(content))


def test_nobody_else_reads_the_files_and_nobody_guesses_them(alice: User, doorbells: Doorbells, folder: Path) -> None:
    ran(alice, doorbells, linear(transform("a", LARGE)))
    [file] = files(folder)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert len(file.name) == 32
    assert set(file.name) <= set("0123456789abcdef")


def test_what_fits_stays_in_its_row(alice: User, doorbells: Doorbells, folder: Path) -> None:
    fits = "x" * (LIMIT - 2)
    execution = ran(alice, doorbells, linear(transform("a", fits), transform("b", fits + "x")))
    assert (run_of(execution, "a").output, run_of(execution, "a").output_ref) == (fits, None)
    assert run_of(execution, "b").output is None
    assert len(files(folder)) == 1


def test_bytes_count_and_not_characters(alice: User, doorbells: Doorbells, folder: Path) -> None:
    execution = ran(alice, doorbells, linear(transform("a", "ä" * 990), transform("b", "ä" * 1010)))
    assert run_of(execution, "a").output == "ä" * 990
    assert run_of(execution, "b").output_ref["bytes"] == 2022


def test_other_components_read_it_as_if_it_stood_in_the_row(alice: User, doorbells: Doorbells, folder: Path) -> None:
    definition = linear(
        transform("a", {"text": LARGE}),
        {"id": "pause", "type": "delay", "config": {"seconds": 0}},
        transform("b", {"size": "{{ a.output.text | length }}", "same": "{{ components.a.output.text }}"}),
    )
    execution = ran(alice, doorbells, definition)
    assert execution.status == ExecutionStatus.COMPLETED, execution.error
    assert outputs.results_of(execution) == {"size": 5000, "same": LARGE}
    # In a process of its own, which remembers nothing.
    again = ComponentRun.objects.get(pk=run_of(execution, "b").pk)
    assert outputs.output_of(again) == {"size": 5000, "same": LARGE}


def test_several_results_are_put_together_of_what_is_stored_and_what_is_not(
    alice: User, doorbells: Doorbells, folder: Path
) -> None:
    definition = {"components": [transform("a", LARGE), transform("b", 7), transform("c", LARGE + "c")]}
    execution = ran(alice, doorbells, definition)
    assert execution.results == {"a": None, "b": 7, "c": None}
    assert sorted(execution.results_ref["parts"]) == ["a", "c"]
    assert outputs.results_of(execution) == {"a": LARGE, "b": 7, "c": LARGE + "c"}


def test_rest_and_graphql_show_the_same_as_without(
    alice: User, alice_api: Api, doorbells: Doorbells, folder: Path, settings: Any
) -> None:
    definition = linear(transform("a", {"text": LARGE}), transform("b", "{{ a.output }}"))

    def shown() -> list[Any]:
        execution = ran(alice, doorbells, definition)
        rest = alice_api.get(f"/executions/{execution.pk}").data["results"]
        listed = next(each["results"] for each in alice_api.get("/executions").data if each["id"] == execution.pk)
        runs = alice_api.get(f"/executions/{execution.pk}/components").data
        query = "query($id: ID!) {execution(id: $id) {results componentExecutions {inputData outputData}}}"
        graph = GraphQL(alice_api.token).ask(query, id=execution.pk).data
        return [rest, listed, [(run["input_data"], run["output_data"]) for run in runs], graph]

    stored = shown()
    assert StoredOutput.objects.count() == 2
    settings.OUTPUT_INLINE_BYTES = None
    assert shown() == stored
    assert StoredOutput.objects.count() == 2
    assert stored[0] == {"text": LARGE}


def test_a_socket_begins_with_the_same_and_sends_no_output_that_is_too_long_for_it(
    alice: User, doorbells: Doorbells, folder: Path
) -> None:
    execution = ran(alice, doorbells, linear(transform("a", {"text": LARGE * 4})))
    caller = Caller(alice, frozenset({Scope.EXECUTION_READ}))
    assert snapshots.of_execution(caller, execution.pk)[1]["execution"]["results"] == {"text": LARGE * 4}
    told = [json.loads(message)["data"] for message in pages.execution_page(execution.pk, 0, ()).messages]
    [ended] = [each for each in told if each.get("component_id") == "a" and "output_data" in each]
    assert (ended["output_data"], ended["output_omitted"]) == (None, True)


def test_the_items_of_a_loop_and_its_results_are_stored_too(alice: User, doorbells: Doorbells, folder: Path) -> None:
    loop = {
        "id": "loop",
        "type": "for_each",
        "config": {"items": "{{ make.output }}"},
        "components": [transform("body", "{{ item }}!")],
    }
    loop["config"] = {"items": "{{ make.output }}", "components": loop.pop("components"), "connections": []}
    execution = ran(alice, doorbells, linear(transform("make", [LARGE, "small", LARGE + "2"]), loop))
    assert execution.status == ExecutionStatus.COMPLETED, execution.error
    items = list(LoopItem.objects.order_by("index"))
    assert [item.value for item in items] == [None, "small", None]
    assert [outputs.value_of(item) for item in items] == [LARGE, "small", LARGE + "2"]
    assert outputs.results_of(execution) == [f"{LARGE}!", "small!", f"{LARGE}2!"]


def test_results_over_their_limit_fail_the_execution_wherever_they_are(
    alice: User, doorbells: Doorbells, folder: Path, settings: Any
) -> None:
    settings.MAX_RESULTS_BYTES = 8000
    execution = ran(alice, doorbells, {"components": [transform("a", LARGE), transform("b", LARGE)]})
    assert (execution.status, execution.results, execution.results_ref) == (ExecutionStatus.FAILED, None, None)
    assert execution.error["message"] == "The results have 10004 bytes, at most 8000 are stored"


def test_a_retry_has_copies_of_what_it_takes_over(alice: User, doorbells: Doorbells, folder: Path) -> None:
    definition = linear(transform("a", LARGE), transform("b", "{{ a.output | length }}"))
    first = ran(alice, doorbells, definition)
    again = interventions.retry_execution(
        execution=first, user=alice, request=interventions.RetryRequest(from_component="b")
    )
    doorbells.work()
    again.refresh_from_db()
    assert outputs.results_of(again) == 5000
    copied = run_of(again, "a").output_ref
    assert copied["key"] != run_of(first, "a").output_ref["key"]
    assert StoredOutput.objects.get(pk=copied["key"]).execution_id == again.pk
    first.delete()
    prune()
    assert outputs.output_of(run_of(again, "a")) == LARGE


@pytest.fixture
def secret(alice: User) -> str:
    create_secret(owner=alice, name="TOKEN", value="hunter2-hunter2")
    return "hunter2-hunter2"


SECRETIVE = linear(
    transform("a", {"token": "{{ secrets.TOKEN }}", "text": LARGE}),
    {"id": "pause", "type": "delay", "config": {"seconds": 0}},
    transform("b", "{{ (a.output.token ~ a.output.text) | length }}"),
)


def test_what_holds_a_secret_is_stored_sealed(alice: User, doorbells: Doorbells, folder: Path, secret: str) -> None:
    execution = ran(alice, doorbells, SECRETIVE)
    assert execution.status == ExecutionStatus.COMPLETED, execution.error
    run = run_of(execution, "a")
    assert (run.output, run.sealed_output) == (None, None)
    assert len(files(folder)) == 2
    assert not any(secret.encode() in file.read_bytes() for file in files(folder))
    assert outputs.output_of(run) == {"token": "[REDACTED]", "text": LARGE}
    sealed = outputs.get(run.sealed_output_ref)
    assert sealed.startswith(bytes.fromhex(run.sealed_output_ref["header"]))
    assert json.loads(vault.unseal(sealed, bound_to=f"{run.pk}/output")) == {"token": secret, "text": LARGE}
    assert outputs.results_of(execution) in ("[REDACTED]", 5015)


def test_a_retry_seals_it_for_its_own_run(alice: User, doorbells: Doorbells, folder: Path, secret: str) -> None:
    first = ran(alice, doorbells, SECRETIVE)
    again = interventions.retry_execution(
        execution=first, user=alice, request=interventions.RetryRequest(from_component="b")
    )
    doorbells.work()
    again.refresh_from_db()
    assert again.status == ExecutionStatus.COMPLETED, again.error
    run = run_of(again, "a")
    sealed = outputs.get(run.sealed_output_ref)
    assert json.loads(vault.unseal(sealed, bound_to=f"{run.pk}/output"))["token"] == secret
    assert outputs.output_of(run)["token"] == "[REDACTED]"


def test_keys_are_rotated_in_the_store_too(
    alice: User, doorbells: Doorbells, folder: Path, secret: str, settings: Any
) -> None:
    import base64

    execution = ran(alice, doorbells, SECRETIVE)
    old = run_of(execution, "a").sealed_output_ref
    settings.ENCRYPTION_KEYS = [base64.b64encode(os.urandom(32)).decode()]
    vault._ring.cache_clear()
    try:
        column = SEALED_REFERENCES[0]
        before = count_by_key(column)
        done = rotate(column, lambda _: None)
        assert (before, done.resealed, done.broken) == ({old["header"][2:]: 1}, 1, {})
        run = run_of(execution, "a")
        assert count_by_key(column) == {vault.key_ids()[0]: 1}
        assert (
            json.loads(vault.unseal(outputs.get(run.sealed_output_ref), bound_to=f"{run.pk}/output"))["token"] == secret
        )
        assert StoredOutput.objects.get(pk=old["key"]).state == "doomed"
        assert rotate(column, lambda _: None).resealed == 0
        prune()
        assert not (folder / old["key"]).exists()
        assert (
            json.loads(vault.unseal(outputs.get(run.sealed_output_ref), bound_to=f"{run.pk}/output"))["text"] == LARGE
        )
    finally:
        vault._ring.cache_clear()


def test_an_execution_takes_its_outputs_with_it_after_the_commit(
    alice: User, doorbells: Doorbells, folder: Path
) -> None:
    gone = ran(alice, doorbells, linear(transform("a", LARGE)))
    kept = ran(alice, doorbells, linear(transform("a", LARGE)))
    gone.workflow.delete()
    assert len(files(folder)) == 2
    assert prune().total == 1
    assert [str(file.relative_to(folder)) for file in files(folder)] == [run_of(kept, "a").output_ref["key"]]
    assert StoredOutput.objects.get().execution_id == kept.pk


def test_what_nothing_refers_to_goes_after_a_day(alice: User, doorbells: Doorbells, folder: Path) -> None:
    loop = {
        "id": "loop",
        "type": "for_each",
        "config": {"items": [LARGE, "s"], "components": [transform("body", "{{ item }}")], "connections": []},
    }
    execution = ran(alice, doorbells, linear(loop))
    # A worker that died before its result was recorded, and one that died before there was an execution.
    orphans = [outputs.put(b"lost", execution.pk), outputs.put(b"lost", None)]
    count = StoredOutput.objects.count()
    assert prune().total == 0
    StoredOutput.objects.update(created_at=timezone.now() - timedelta(hours=25))
    assert prune().total == 2
    assert not StoredOutput.objects.filter(pk__in=[orphan["key"] for orphan in orphans]).exists()
    assert set(StoredOutput.objects.values_list("state", flat=True)) == {"kept"}
    assert len(files(folder)) == count - 2
    assert outputs.results_of(Execution.objects.get(pk=execution.pk)) == [LARGE, "s"]


def test_a_late_result_of_a_lost_attempt_leaves_an_orphan_and_changes_nothing(
    alice: User, doorbells: Doorbells, folder: Path
) -> None:
    execution = ran(alice, doorbells, linear(transform("a", LARGE)))
    before = run_of(execution, "a").output_ref
    late = outputs.put(b'"late"', execution.pk)
    StoredOutput.objects.update(created_at=timezone.now() - timedelta(hours=25))
    prune()
    assert run_of(execution, "a").output_ref == before
    assert not (folder / late["key"]).exists()


def doomed(count: int) -> list[str]:
    """The keys of so many stored outputs that nothing refers to, in the order in which they go."""
    keys = sorted(outputs.put(b"old", None)["key"] for _ in range(count))
    StoredOutput.objects.update(state=StoredOutput.State.DOOMED)
    return keys


def make_stay(folder: Path, key: str) -> None:
    """A file that the disk does not let go: a folder with something in it, for root may remove any file."""
    (folder / key).unlink()
    (folder / key / "held").mkdir(parents=True)


def rows() -> list[str]:
    return sorted(StoredOutput.objects.values_list("pk", flat=True))


@pytest.mark.parametrize("batch", [200, 2])
def test_what_cannot_be_removed_keeps_no_other_and_is_tried_again(
    transactional_db: None, folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, batch: int
) -> None:
    """Also where there are more of them at the head than one batch has."""
    monkeypatch.setattr(retention, "STORED", batch)
    keys = doomed(8)
    stuck = [*keys[:3], keys[5]]
    for key in stuck:
        make_stay(folder, key)
    turn = prune()
    assert (turn.total, turn.more, rows()) == (4, False, stuck)
    told = [record for record in caplog.records if stuck[0] in record.getMessage()]
    assert [(record.levelname, vars(record)["action"]) for record in told] == [("WARNING", "output_not_removed")]
    assert "OSError: Directory not empty" in told[0].getMessage()
    assert str(folder) not in caplog.text
    doomed(5)
    assert (prune().total, rows()) == (5, stuck)
    for key in stuck:
        (folder / key / "held").rmdir()
    assert (prune().total, rows()) == (4, [])


def test_a_store_that_lets_nothing_go_ends_the_turn_and_is_told_of_once(
    transactional_db: None, folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(retention, "STORED", 2)
    keys = doomed(5)
    whole = folder.rename(folder.with_name("elsewhere"))
    folder.write_text("no folder")
    turn = prune()
    assert (turn.total, turn.more, rows()) == (0, False, keys)
    assert [vars(record)["action"] for record in caplog.records if record.levelname == "WARNING"] == [
        "output_store_away"
    ]
    assert f"{keys[0]}, NotADirectoryError: Not a directory; and 4 more" in caplog.text
    folder.unlink()
    whole.rename(folder)
    assert (prune().total, rows()) == (5, [])


def test_failures_that_take_long_end_the_turn_and_the_next_one_goes_on_behind_them(
    transactional_db: None, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = doomed(4)
    for key in keys[:2]:
        make_stay(folder, key)
    monkeypatch.setattr(outputs, "_FAILING_SECONDS", 0.0)
    assert (prune().total, prune().total, prune().total) == (0, 0, 2)
    assert rows() == keys[:2]
    monkeypatch.setattr(outputs, "_FAILING_SECONDS", 15.0)
    assert (prune().total, rows()) == (0, keys[:2])


CRASH = """
import django, os
django.setup()
from django.conf import settings
from executions import runner
from executions.transitions.statements import Holder
settings.OUTPUT_INLINE_BYTES = 2000
runner.run_component(os.environ["RUN"], 1, Holder("dying", os.getpid()))
"""


def test_a_worker_that_dies_between_the_store_and_the_row_leaves_the_run_to_another(
    alice: User, doorbells: Doorbells, folder: Path, settings: Any
) -> None:
    execution = start(alice, linear(transform("a", LARGE)))
    doorbells.receive()
    [run] = doorbells.waiting
    database = settings.DATABASES["default"]
    url = f"postgresql:///{database['NAME']}?host={database['HOST']}"
    if database["USER"]:
        url = f"postgresql://{database['USER']}@/{database['NAME']}?host={database['HOST']}"
    died = subprocess.run(
        [sys.executable, "-c", CRASH],
        env={
            **os.environ,
            "DATABASE_URL": url,
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "APG_DATA_DIR": str(folder.parent),
            "APG_FAILPOINTS": "before_finish=kill",
            "RUN": run.run_id,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert died.returncode == -9, died.stderr
    lost = ComponentRun.objects.get(execution=execution)
    assert (lost.status, lost.output_ref, len(files(folder))) == (RunStatus.RUNNING, None, 1)
    ComponentRun.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    from executions.maintenance import rescue_expired

    assert rescue_expired() == 1
    doorbells.work()
    execution.refresh_from_db()
    assert outputs.results_of(execution) == LARGE
    assert len(files(folder)) == 2
    StoredOutput.objects.update(created_at=timezone.now() - timedelta(hours=25))
    prune()
    assert len(files(folder)) == 1


def test_what_cannot_be_had_reads_null_and_takes_nothing_else_with_it(
    alice: User, alice_api: Api, doorbells: Doorbells, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lost = ran(alice, doorbells, linear(transform("a", LARGE), transform("b", "{{ a.output }}"), transform("c", LARGE)))
    whole = ran(alice, doorbells, linear(transform("a", LARGE)))
    for component_id in ("a", "c"):
        (folder / run_of(lost, component_id).output_ref["key"]).unlink()
    one = alice_api.get(f"/executions/{lost.pk}")
    assert (one.status, one.data["status"]) == (200, "completed")
    assert (one.data["results"], one.data["results_unavailable"]) == (None, True)
    listed = {each["id"]: each for each in alice_api.get("/executions").data}
    assert (listed[lost.pk]["results"], listed[lost.pk]["results_unavailable"]) == (None, True)
    assert (listed[whole.pk]["results"], "results_unavailable" in listed[whole.pk]) == (LARGE, False)
    runs = alice_api.get(f"/executions/{lost.pk}/components").data
    names = ("input_data", "input_unavailable", "output_data", "output_unavailable")
    assert [tuple(run.get(name) for name in names) for run in runs] == [
        ({}, None, None, True),
        (None, True, LARGE, None),
        (LARGE, None, None, True),
    ]
    query = "query {executions {id results componentExecutions {inputData outputData}}}"
    graph = GraphQL(alice_api.token).ask(query)
    shown = {each["id"]: each for each in graph.body["data"]["executions"]}
    assert (shown[lost.pk]["results"], shown[whole.pk]["results"]) == (None, LARGE)
    handed = [(run["inputData"], run["outputData"]) for run in shown[lost.pk]["componentExecutions"]]
    assert handed == [({}, None), (None, LARGE), (LARGE, None)]
    assert {error["extensions"]["code"] for error in graph.body["errors"]} == {"SYSTEM_ERROR"}
    assert len(graph.body["errors"]) == 4
    caller = Caller(alice, frozenset({Scope.EXECUTION_READ}))
    assert snapshots.of_execution(caller, lost.pk)[1]["execution"]["results_unavailable"] is True
    assert str(folder) not in caplog.text + json.dumps([one.body, runs, graph.body])


@pytest.mark.parametrize(
    ("page", "read", "inputs"),
    [
        ("limit=1", ["make"], [{}]),
        ("limit=1&offset=1", ["loop", "make"], [[LARGE, "small"]]),
        ("limit=1&offset=2", ["first", "item"], [LARGE]),
        ("limit=1&offset=3", ["first", "second"], [LARGE + "!"]),
        ("limit=1&offset=6", ["after", "loop"], [[LARGE + "!?", "small!?"]]),
    ],
)
def test_a_page_of_runs_reads_what_its_runs_made_and_were_handed_and_nothing_else(
    alice: User,
    alice_api: Api,
    doorbells: Doorbells,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    page: str,
    read: list[str],
    inputs: list[Any],
) -> None:
    body = linear(transform("first", "{{ item }}!"), transform("second", "{{ first.output }}?"))
    del body["settings"]
    loop = {"id": "loop", "type": "for_each", "config": {"items": "{{ make.output }}", **body}}
    definition = linear(transform("make", [LARGE, "small"]), loop, transform("after", "{{ loop.output }}"))
    execution = ran(alice, doorbells, definition)
    names = {run.output_ref["key"]: run.component_id for run in ComponentRun.objects.exclude(output_ref=None)}
    names[LoopItem.objects.get(index=0).value_ref["key"]] = "item"
    opened: list[str] = []
    opening = storages["outputs"].open

    def noting(name: str, mode: str = "rb") -> Any:
        opened.append(names[name])
        return opening(name, mode)

    monkeypatch.setattr(storages["outputs"], "open", noting)
    shown = alice_api.get(f"/executions/{execution.pk}/components?{page}").data
    assert ([run["input_data"] for run in shown], sorted(opened)) == (inputs, read)


def test_a_store_that_is_away_is_asked_once_for_a_page(
    alice: User, alice_api: Api, doorbells: Doorbells, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(30):
        start(alice, linear(transform("a", LARGE)))
    doorbells.work()
    asked: list[str] = []

    def refusing(name: str, mode: str = "rb") -> Any:
        asked.append(name)
        raise OSError("away")

    monkeypatch.setattr(storages["outputs"], "open", refusing)
    page = alice_api.get("/executions")
    assert [each["results_unavailable"] for each in page.data] == [True] * 30
    # By the threads that read at once, each at most once.
    assert len(asked) <= outputs._READ_AT_ONCE


def test_the_admin_shows_the_rest_of_a_page_whose_outputs_cannot_be_had(
    alice: User, doorbells: Doorbells, folder: Path
) -> None:
    execution = ran(alice, doorbells, linear(transform("a", LARGE), transform("b", "{{ a.output }}")))
    caller = Caller(alice, frozenset())
    rows = execution_page.page(execution, caller, {"tab": "components"})["rows"]
    assert (rows[0]["output"], rows[1]["input"]) == (json.dumps(LARGE), json.dumps(LARGE))
    for file in files(folder):
        file.unlink()
    fresh = Execution.objects.get(pk=execution.pk)
    missing = "A stored output is missing from the store"
    rows = execution_page.page(fresh, caller, {"tab": "components"})["rows"]
    assert (rows[0]["output"], rows[1]["input"], rows[1]["data"]["status"]) == (missing, missing, "completed")
    assert execution_page.page(fresh, caller, {})["results"] == missing


def test_an_altered_output_is_found_out(alice: User, alice_api: Api, doorbells: Doorbells, folder: Path) -> None:
    execution = ran(alice, doorbells, linear(transform("a", LARGE)))
    [file] = files(folder)
    file.write_bytes(file.read_bytes().replace(b"x", b"y", 1))
    answer = alice_api.get(f"/executions/{execution.pk}")
    assert (answer.data["results"], answer.data["results_unavailable"]) == (None, True)
    with pytest.raises(outputs.OutputLostError, match="not what was written"):
        outputs.output_of(run_of(execution, "a"))


def test_a_component_waits_for_the_store_and_goes_on_when_it_is_back(
    alice: User, doorbells: Doorbells, folder: Path
) -> None:
    definition = linear(
        transform("a", LARGE),
        log("small"),
        {"id": "pause", "type": "wait_for_signal", "config": {"signal": "go"}},
        transform("b", "{{ a.output | length }}"),
    )
    execution = ran(alice, doorbells, definition)
    [file] = files(folder)
    away = file.rename(file.with_suffix(".away"))
    interventions.send_signal(execution=execution, user=alice, name="go", data=None)
    doorbells.work()
    run = run_of(execution, "b")
    assert (run.status, run.waiting_for) == (RunStatus.WAITING, WaitingFor.RETRY)
    assert run.error == {"code": "SYSTEM_ERROR", "message": "A stored output is missing from the store"}
    assert (run.attempt, run.released, run.crashes) == (2, 1, 0)
    away.rename(file)
    ComponentRun.objects.filter(pk=run.pk).update(wake_at=timezone.now())
    from executions.maintenance import wake_due

    wake_due()
    doorbells.work()
    execution.refresh_from_db()
    assert (execution.status, outputs.results_of(execution)) == (ExecutionStatus.COMPLETED, 5000)


def test_what_stays_missing_fails_the_component_in_the_end(
    alice: User, doorbells: Doorbells, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from executions import runner

    monkeypatch.setattr(runner, "_MAX_LOST_TRIES", 0)
    definition = linear(
        transform("a", LARGE),
        log("small"),
        {"id": "pause", "type": "wait_for_signal", "config": {"signal": "go"}},
        transform("b", "{{ a.output | length }}"),
    )
    execution = ran(alice, doorbells, definition)
    files(folder)[0].unlink()
    interventions.send_signal(execution=execution, user=alice, name="go", data=None)
    doorbells.work()
    execution.refresh_from_db()
    assert execution.status == ExecutionStatus.FAILED
    assert execution.error["message"] == "A stored output is missing from the store"


@pytest.fixture
def full(folder: Path) -> Path:
    """A store that takes nothing: a file where the folder should be."""
    folder.write_text("")
    return folder


def test_what_cannot_be_stored_goes_into_its_row_and_nothing_is_run_or_sent_twice(
    alice: User, doorbells: Doorbells, full: Path, caplog: pytest.LogCaptureFixture
) -> None:
    call: dict[str, Any] = {"id": "call", "type": "http_request"}
    definition = linear(
        call,
        {"id": "pause", "type": "delay", "config": {"seconds": 0}},
        transform("b", "{{ call.output.body | length }}"),
    )
    metrics.totals.take()
    with receiving() as far_end:
        far_end.answer = lambda number, got: Reply(body=json.dumps(LARGE).encode())
        call["config"] = {"url": far_end.url, "method": "POST"}
        execution = ran(alice, doorbells, definition)
    assert len(far_end.got) == 1
    run = run_of(execution, "call")
    assert (run.status, run.attempt, run.output_ref) == (RunStatus.COMPLETED, 1, None)
    assert run.output is not None
    assert run.output["body"] == LARGE
    assert (execution.status, outputs.results_of(execution)) == (ExecutionStatus.COMPLETED, 5000)
    assert metrics.totals.take()["apg_outputs_not_stored_total", ""] == 1
    [told] = [record for record in caplog.records if getattr(record, "action", "") == "output_in_row"]
    assert (told.levelname, told.execution_id) == ("WARNING", execution.pk)  # type: ignore[attr-defined]


def test_what_holds_a_secret_stays_sealed_in_its_row(
    alice: User, doorbells: Doorbells, full: Path, secret: str
) -> None:
    execution = ran(alice, doorbells, SECRETIVE)
    assert execution.status == ExecutionStatus.COMPLETED, execution.error
    run = run_of(execution, "a")
    assert (run.output, run.output_ref, run.sealed_output_ref) == ({"token": "[REDACTED]", "text": LARGE}, None, None)
    assert run.sealed_output is not None
    assert json.loads(vault.unseal(bytes(run.sealed_output), bound_to=f"{run.pk}/output"))["token"] == secret


def test_items_that_cannot_be_stored_go_into_their_rows_after_one_try(
    alice: User, doorbells: Doorbells, full: Path
) -> None:
    loop = {
        "id": "loop",
        "type": "for_each",
        "config": {"items": [LARGE, "s", LARGE], "components": [log("body")], "connections": []},
    }
    execution = ran(alice, doorbells, linear(loop))
    assert execution.status == ExecutionStatus.COMPLETED, execution.error
    items = LoopItem.objects.order_by("index")
    assert [(item.value, item.value_ref) for item in items] == [(LARGE, None), ("s", None), (LARGE, None)]
    assert StoredOutput.objects.count() == 1


def test_a_folder_that_went_away_is_made_again(alice: User, doorbells: Doorbells, folder: Path) -> None:
    ran(alice, doorbells, linear(transform("a", LARGE)))
    folder.rename(folder.with_suffix(".away"))
    execution = ran(alice, doorbells, linear(transform("a", LARGE)))
    assert len(files(folder)) == 1
    assert outputs.results_of(execution) == LARGE


def test_what_a_killed_process_had_half_written_goes_too(
    alice: User, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dying(descriptor: int) -> None:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if child == 0:
        try:
            monkeypatch.setattr(os, "fsync", dying)
            storages["outputs"].save("2026/01/01/half", ContentFile(b"x"))
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL
    assert [file.read_bytes() for file in files(folder)] == [b"x"]
    assert not storages["outputs"].exists("2026/01/01/half")
    StoredOutput.objects.create(key="2026/01/01/half", bytes=1)
    StoredOutput.objects.update(created_at=timezone.now() - timedelta(hours=25))
    assert prune().total == 1
    assert files(folder) == []


def test_only_what_is_read_can_be_lost(alice: User, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(name: str, content: Any) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(storages["outputs"], "save", refusing)
    with pytest.raises(outputs.OutputUnavailableError) as refused:
        outputs.put(b"x", None)
    assert type(refused.value) is outputs.OutputUnavailableError


def test_the_child_of_a_resumed_run_is_not_started_twice_while_the_store_is_away(
    alice: User, doorbells: Doorbells, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from executions import runner

    monkeypatch.setattr(runner, "_LONGEST_HELD_SECONDS", 0.0)
    child = make_workflow(alice, linear(transform("c", LARGE)))
    parent = start(alice, linear({"id": "sub", "type": "sub_workflow", "config": {"workflow_id": child.pk}}))
    real = storages["outputs"].open
    calls: list[str] = []

    def refusing(name: str, mode: str = "rb") -> Any:
        calls.append(name)
        if len(calls) < 3:
            raise OSError("away")
        return real(name, mode)

    monkeypatch.setattr(storages["outputs"], "open", refusing)
    doorbells.work()
    parent.refresh_from_db()
    assert parent.status == ExecutionStatus.COMPLETED, parent.error
    assert Execution.objects.filter(workflow=child).count() == 1
    assert outputs.results_of(parent) == LARGE


def test_in_the_database_everything_stays_in_its_row(
    alice: User, doorbells: Doorbells, folder: Path, settings: Any
) -> None:
    settings.OUTPUT_INLINE_BYTES = None
    execution = ran(alice, doorbells, linear(transform("a", LARGE * 100)))
    assert execution.results == LARGE * 100
    assert not folder.exists()
    assert StoredOutput.objects.count() == 0


def test_the_page_on_upgrades_says_how_to_see_whether_anything_is_stored_aside(
    alice: User, doorbells: Doorbells, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    [block] = [each for each in blocks_of("docs/operations/upgrade.md") if "StoredOutput" in each.text]
    python, manage, *arguments = shlex.split(block.text)
    assert (python, manage) == ("python", "manage.py")
    call_command(*arguments)
    assert capsys.readouterr().out.endswith("\n0 outputs are stored aside\n")
    execution = ran(alice, doorbells, linear(transform("a", LARGE)))
    call_command(*arguments)
    assert capsys.readouterr().out.endswith("\n1 outputs are stored aside\n")
    execution.delete()
    prune()
    call_command(*arguments)
    assert capsys.readouterr().out.endswith("\n0 outputs are stored aside\n")


@pytest.fixture(scope="module")
def s3_server() -> Iterator[str]:
    """A server that speaks S3."""
    server = pytest.importorskip("moto.server", reason="install moto[s3] and flask").ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(s3_server: str, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An empty bucket where outputs over 2,000 bytes go."""
    import boto3

    from config import env

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("APG_OUTPUT_STORAGE", f"s3://outputs/apg?endpoint_url={s3_server}&region=eu-west-1")
    found = boto3.resource("s3", endpoint_url=s3_server, region_name="eu-west-1").Bucket("outputs")
    found.create(CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    settings.OUTPUT_INLINE_BYTES = LIMIT
    settings.STORAGES = {**settings.STORAGES, "outputs": env.output_storage("APG_OUTPUT_STORAGE", Path("/none"))}
    yield found
    found.objects.all().delete()
    found.delete()


def test_outputs_go_to_a_bucket_and_leave_it_with_their_execution(
    alice: User, alice_api: Api, doorbells: Doorbells, bucket: Any
) -> None:
    definition = linear(
        transform("a", {"text": LARGE}),
        {"id": "pause", "type": "delay", "config": {"seconds": 0}},
        transform("b", "{{ a.output.text }}!"),
    )
    execution = ran(alice, doorbells, definition)
    assert alice_api.get(f"/executions/{execution.pk}").data["results"] == f"{LARGE}!"
    keys = sorted(found.key for found in bucket.objects.all())
    assert keys == sorted(f"apg/{run_of(execution, id_).output_ref['key']}" for id_ in ("a", "b"))
    execution.delete()
    assert prune().total == 2
    assert list(bucket.objects.all()) == []


def test_a_bucket_that_is_gone_is_not_named(
    alice: User, alice_api: Api, doorbells: Doorbells, bucket: Any, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    execution = ran(alice, doorbells, linear(transform("a", LARGE)))
    bucket.objects.all().delete()
    missing = alice_api.get(f"/executions/{execution.pk}")
    with pytest.raises(outputs.OutputLostError):
        outputs.output_of(run_of(execution, "a"))
    options = {**settings.STORAGES["outputs"]["OPTIONS"], "endpoint_url": "http://127.0.0.1:9"}
    settings.STORAGES = {**settings.STORAGES, "outputs": {**settings.STORAGES["outputs"], "OPTIONS": options}}
    away = alice_api.get(f"/executions/{execution.pk}")
    with pytest.raises(outputs.OutputUnavailableError, match=r"^A stored output cannot be reached at the moment$"):
        outputs.output_of(run_of(execution, "a"))
    assert [(answer.data["status"], answer.data["results_unavailable"]) for answer in (missing, away)] == [
        ("completed", True),
        ("completed", True),
    ]
    assert "127.0.0.1:9" not in caplog.text + json.dumps(away.body)
    assert "outputs/" not in json.dumps([missing.body, away.body])
