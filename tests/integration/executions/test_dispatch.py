"""Messages: pushed as Celery would push them, all in one go, and never a reason to fail."""

import base64
import json
import logging
from typing import Any

import pytest
from celery import current_app
from django.test import override_settings

from core.ids import new_id
from core.redis import client
from executions import dispatch
from executions.transitions.statements import QueuedRun

pytestmark = pytest.mark.usefixtures("empty_redis")


def pushed(name: str) -> list[Any]:
    """The messages of a list, the first to be served first."""
    messages = [json.loads(text) for text in client().lrange(name, 0, -1)]
    for message in messages:
        message["body"] = json.loads(base64.b64decode(message["body"]))
    return messages[::-1]


@pytest.mark.parametrize("priority", range(1, 11))
def test_a_message_is_what_celery_sends(priority: int) -> None:
    run = QueuedRun(new_id(), 3, priority, "io")
    with current_app.producer_pool.acquire(block=True) as producer:
        current_app.send_task(
            dispatch.RUN_COMPONENT,
            args=(run.run_id, run.attempt),
            queue="io",
            priority=dispatch.broker_priority(priority),
            producer=producer,
            ignore_result=True,
        )
    [name] = [key.decode() for key in client().scan_iter("io*")]
    dispatch.ring([run])
    theirs, ours = pushed(name)
    assert ours["body"] == theirs["body"]
    assert ours["content-type"] == theirs["content-type"]
    assert ours["content-encoding"] == theirs["content-encoding"]
    ids = {"id", "root_id", "correlation_id", "delivery_tag"}
    for part in ("headers", "properties"):
        same = {key: value for key, value in ours[part].items() if key not in ids and key != "delivery_info"}
        assert same == {key: theirs[part][key] for key in same}
    assert ours["properties"]["delivery_info"]["routing_key"] == theirs["properties"]["delivery_info"]["routing_key"]


def test_messages_are_served_in_the_order_of_the_runs() -> None:
    runs = [QueuedRun(new_id(), 1, priority) for priority in (5, 10, 5)]
    dispatch.ring(runs)
    assert [message["body"][0] for message in pushed("default:5")] == [[runs[0].run_id, 1], [runs[2].run_id, 1]]
    assert [message["body"][0] for message in pushed("default")] == [[runs[1].run_id, 1]]


def test_messages_that_nobody_takes_do_not_fill_the_broker(settings: Any) -> None:
    settings.MAX_DOORBELLS = 3
    runs = [QueuedRun(new_id(), 1, 5) for _ in range(5)]
    for run in runs:
        dispatch.ring([run])
    assert [message["body"][0][0] for message in pushed("default:5")] == [run.run_id for run in runs[2:]]


def test_a_broker_that_is_away_is_logged_and_left_to_the_sweep(caplog: Any) -> None:
    with caplog.at_level(logging.WARNING), override_settings(REDIS_URL="unix:///nowhere/valkey.sock"):
        dispatch.ring([QueuedRun(new_id(), 1, 5)])
    assert [record.action for record in caplog.records if record.name == dispatch.__name__] == ["ring_failed"]
