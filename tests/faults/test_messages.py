"""Messages that are doubled, old, forged or not for us (F30, F31): doorbells, and no more."""

import base64
import json
import pickle
from typing import Any

from celery import current_app
from django.conf import settings

from core.ids import new_id
from executions.dispatch import RUN_COMPONENT, ring
from executions.models import ComponentRun
from executions.transitions.statements import QueuedRun
from tests.eventually import eventually
from tests.faults.harness import UNHURRIED, World


def message(args: object, **changes: Any) -> bytes:
    """What Celery would put on the list, or nearly."""
    body = changes.pop("body", json.dumps([args, {}, {}]).encode())
    envelope: dict[str, Any] = {
        "body": base64.b64encode(body).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"lang": "py", "task": RUN_COMPONENT, "id": new_id(), "root_id": None, "parent_id": None},
        "properties": {
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": settings.CELERY_TASK_DEFAULT_QUEUE},
            "priority": 5,
            "body_encoding": "base64",
            "delivery_tag": new_id(),
        },
    }
    for name, value in changes.items():
        envelope[name.replace("_", "-")] = value
    return json.dumps(envelope).encode()


def test_f30_doubled_and_replayed_messages_invoke_nothing_again(world: World) -> None:
    execution = world.execute(world.effects(4))
    first = execution.runs.get(component_id="c0")
    for _ in range(20):
        ring([QueuedRun(first.pk, 1, 5)])
    world.worker(2, **UNHURRIED)
    world.settle()
    runs = list(ComponentRun.objects.filter(execution=execution))
    for run in runs:
        for attempt in (0, 1, 2):
            ring([QueuedRun(run.pk, attempt, 5)] * 5)
    world.check()
    assert {world.ledger.calls[run.pk] for run in runs} == {1}


def test_f31_forged_messages_are_dropped_and_the_worker_goes_on(world: World) -> None:
    worker = world.worker(2, **UNHURRIED)
    redis = world.servers.redis()
    queue = settings.CELERY_TASK_DEFAULT_QUEUE
    unknown_task = {"lang": "py", "task": "os.system", "id": new_id(), "root_id": None, "parent_id": None}
    forged = [
        message([new_id(), 1]),
        message(["not an id", 1]),
        message([{"$ne": 1}, "x"]),
        message([]),
        message([new_id(), -(2**70)]),
        message([new_id(), 1], headers=unknown_task),
        message([], content_type="application/x-python-serialize", body=pickle.dumps(print)),
        message([], body=b"\x80\x04not json"),
        message([], body=json.dumps([["x" * 10_000_000, 1], {}, {}]).encode()),
        message([], body=b"[]"),
        message([], body=b"[" * 100_000),
        b"no json at all",
        b"{}",
        b"[1, 2]",
    ]
    for text in forged:
        redis.lpush(queue, text)
    execution = world.execute(world.effects(3))
    world.check()
    assert worker.is_up()
    assert set(execution.runs.values_list("attempt", flat=True)) == {1}
    eventually(lambda: world.queued_messages() == 0)
    assert current_app.conf.accept_content == ["json"]
