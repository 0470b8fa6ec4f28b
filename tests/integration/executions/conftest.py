"""What engine tests start from: workflows by definition, and workers without Celery."""

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.db import connection

from accounts.models import User
from core.types import JSONObject
from executions import runner, sealing
from executions.models import ComponentRun, Execution
from executions.services import StartRequest, start_execution
from executions.states import EXECUTION_MOVES, RUN_MOVES
from executions.transitions.statements import Holder, QueuedRun
from workflows.components.base import Kind
from workflows.models import Workflow
from workflows.services import create_workflow

_names = (f"workflow {number}" for number in itertools.count(1))


def linear(*components: JSONObject, **settings_: object) -> JSONObject:
    """A definition whose components follow one another by success."""
    ids = [component["id"] for component in components]
    connections = [{"source": a, "target": b, "type": "success"} for a, b in itertools.pairwise(ids)]
    return {"components": list(components), "connections": connections, "settings": settings_}


def log(id_: str, message: str = "m", **more: object) -> JSONObject:
    """A `log` component."""
    return {"id": id_, "type": "log", "config": {"message": message}, **more}


def transform(id_: str, output: object, **more: object) -> JSONObject:
    """A `transform` component."""
    return {"id": id_, "type": "transform", "config": {"output": output}, **more}


def make_workflow(user: User, definition: JSONObject) -> Workflow:
    """A stored workflow under a new name."""
    return create_workflow(user=user, name=next(_names), definition=definition)


def start(user: User, definition: JSONObject, **request: object) -> Execution:
    """An accepted execution of a new workflow."""
    request = {"parameters": {}, **request}
    workflow = make_workflow(user, definition)
    return start_execution(workflow=workflow, user=user, request=StartRequest(**request)).execution  # type: ignore[arg-type]


def opened(execution: Execution) -> dict[str, Any]:
    """The outputs of an execution as later components read them, by component; of a body, of its last item."""
    runs = ComponentRun.objects.filter(execution=execution).order_by("item_index")
    sealed = {run.pk: None if run.sealed_output is None else bytes(run.sealed_output) for run in runs}
    return {run.component_id: sealing.open_output(run.output, sealed[run.pk], run_id=run.pk) for run in runs}


class Doorbells:
    """Takes the messages instead of a worker, so that a test decides who claims what, and when."""

    def __init__(self) -> None:
        self.waiting: list[QueuedRun] = []

    def receive(self) -> None:
        """Read what was sent from the real broker into `waiting`."""
        from celery import current_app

        with current_app.connection_for_read() as connection:
            for name in Kind:
                queue = connection.SimpleQueue(name)
                while True:
                    try:
                        message = queue.get_nowait()
                    except queue.Empty:
                        break
                    message.ack()
                    run_id, attempt = message.payload[0]
                    priority = 10 - int(message.properties.get("priority", 5))
                    self.waiting.append(QueuedRun(run_id, attempt, priority, name))
                queue.close()

    def work(self, worker: str = "test") -> int:
        """Serve every message, those that serving sends too; how many were served."""
        served = 0
        self.receive()
        while self.waiting:
            run = self.waiting.pop(0)
            runner.run_component(run.run_id, run.attempt, Holder(worker, 1))
            served += 1
            if not self.waiting:
                self.receive()
        return served


_REFUSE_ILLEGAL_MOVES = """
CREATE OR REPLACE FUNCTION refuse_illegal_move() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.status <> NEW.status AND NOT (TG_ARGV[0]::jsonb -> OLD.status) ? NEW.status THEN
        RAISE EXCEPTION 'illegal move of %% from %% to %%', TG_TABLE_NAME, OLD.status, NEW.status;
    END IF;
    RETURN NEW;
END $$
"""


@pytest.fixture
def only_legal_moves(transactional_db: None) -> None:
    """The database itself refuses a move that is not in the table of `executions.states`."""
    with connection.cursor() as cursor:
        cursor.execute(_REFUSE_ILLEGAL_MOVES, [])
        for model, moves in ((Execution, EXECUTION_MOVES), (ComponentRun, RUN_MOVES)):
            table = model._meta.db_table
            legal = json.dumps({str(old): sorted(map(str, new)) for old, new in moves.items()})
            cursor.execute(
                f"CREATE OR REPLACE TRIGGER only_legal_moves BEFORE UPDATE ON {table} "
                f"FOR EACH ROW EXECUTE FUNCTION refuse_illegal_move('{legal}')"
            )


@pytest.fixture
def doorbells(
    transactional_db: None, only_legal_moves: None, empty_redis: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Doorbells]:
    """An empty broker whose messages the test serves itself; whoever serves one goes on, however long it takes."""
    monkeypatch.setitem(settings.ENGINE, "KEEP_SUCCESSOR_SECONDS", 600)
    yield Doorbells()
