"""What a message that calls a task says, whatever broker carries it (Celery's message protocol 2)."""

from collections.abc import Sequence
from typing import Any

import orjson

_NO_CANVAS = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}


def task_headers(task: str, id_: str) -> dict[str, Any]:
    """Of a call of a task whose result nobody wants."""
    return {
        "lang": "py",
        "task": task,
        "id": id_,
        "root_id": id_,
        "parent_id": None,
        "group": None,
        "retries": 0,
        "eta": None,
        "expires": None,
        "timelimit": [None, None],
        "ignore_result": True,
    }


def task_body(arguments: Sequence[str | int]) -> bytes:
    """Of the same: the arguments by place, and no canvas."""
    return orjson.dumps([arguments, {}, _NO_CANVAS])
