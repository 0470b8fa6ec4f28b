"""Random graphs on a real database, in any order of completion, held against the oracle after every move."""

import itertools
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.models import User
from executions import conclude, interventions, plans, services
from executions.decider import decide, settle
from executions.models import ComponentRun, Execution
from executions.states import FINAL_RUN, ExecutionStatus, RunStatus
from executions.transitions import running
from executions.transitions.statements import Ended, Held, Holder
from tests.graphs import Graph, graphs
from tests.integration.executions.conftest import Doorbells
from tests.integration.executions.test_engine import event_types
from workflows.components import registry
from workflows.services import create_workflow

pytestmark = pytest.mark.django_db(transaction=True)

HOLDER = Holder("test", 1)
_names = (f"graph {number}" for number in itertools.count(1))
_settings = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


class Walk:
    """An execution of a random graph whose runs a test claims and ends one by one."""

    def __init__(self, user: User, graph: Graph) -> None:
        workflow = create_workflow(user=user, name=next(_names), definition=graph.raw)
        self.graph = graph
        self.execution = services.start_execution(
            workflow=workflow, user=user, request=services.StartRequest()
        ).execution
        self.compiled = plans.compiled(self.execution.version_id)
        self.starts: list[str] = []

    def states(self) -> dict[str, RunStatus]:
        rows = self.execution.runs.values_list("component_id", "status")
        return {component_id: RunStatus(status) for component_id, status in rows}

    def taken(self) -> set[int]:
        rows = self.execution.runs.exclude(taken_out=None).values_list("taken_out", flat=True)
        return {index for taken in rows for index in taken or ()}

    def claim(self, chance: random.Random) -> Held | None:
        """Claim one of the queued runs."""
        queued = list(self.execution.runs.filter(status=RunStatus.QUEUED).order_by("position"))
        if not queued:
            return None
        run = chance.choice(queued)
        claimed = running.claim(run.pk, run.attempt, HOLDER, registry.known_types(), jump=True)
        assert claimed is not None
        self.starts.append(run.component_id)
        return claimed.run

    def end(self, run: Held) -> None:
        failed = run.component_id in self.graph.fails
        status = RunStatus.FAILED if failed else RunStatus.COMPLETED
        error = {"code": "COMPONENT_ERROR", "message": "m"} if failed else None
        settled = settle(self.compiled.definition, run.component_id, status, self.graph.true_conditions)
        conclude.end_run(
            run, self.compiled, Ended(status, output_text="{}", error=error), settled, holder=HOLDER, keep=False
        )

    def reload(self) -> Execution:
        self.execution.refresh_from_db()
        return self.execution


def _finish(walk: Walk, chance: random.Random, *, check: bool = False) -> None:
    """Claim and end, in any order and with up to three at once, until nothing is left."""
    held: list[Held] = []
    while True:
        claimed = walk.claim(chance) if len(held) < 3 and (not held or chance.random() < 0.6) else None
        if claimed is not None:
            held.append(claimed)
            continue
        if not held:
            return
        run = held.pop(chance.randrange(len(held)))
        before, stopping = walk.states(), walk.reload().stop_as
        walk.end(run)
        if check and stopping is None:
            _agrees(walk, run, before)


def _agrees(walk: Walk, run: Held, before: dict[str, RunStatus]) -> None:
    """What the statements moved is what the oracle says, and asking it again gives nothing new."""
    definition, after, taken = walk.compiled.definition, walk.states(), walk.taken()
    if walk.reload().stop_as is None and walk.execution.completed_at is None:
        decision = decide(definition, {**before, run.component_id: after[run.component_id]}, taken)
        moved = {id_ for id_, status in after.items() if before[id_] is RunStatus.BLOCKED and status is not before[id_]}
        assert {id_ for id_ in moved if after[id_] is RunStatus.QUEUED} == set(decision.queue)
        assert {id_ for id_ in moved if after[id_] is RunStatus.SKIPPED} == set(decision.skip)
        again = decide(definition, after, taken)
        assert (again.queue, again.skip, again.finish) == ((), (), None)


@_settings
@given(graph=graphs(), seed=st.integers(0, 2**32))
def test_the_statements_move_what_the_oracle_says(alice: User, doorbells: Doorbells, graph: Graph, seed: int) -> None:
    walk = Walk(alice, graph)
    _finish(walk, random.Random(seed), check=True)
    execution = walk.reload()
    assert execution.completed_at is not None
    assert execution.remaining == 0
    assert len(set(walk.starts)) == len(walk.starts)
    types = event_types(execution)
    assert [type_ for type_ in types if type_ in {"execution.completed", "execution.failed"}] == types[-1:]
    decision = decide(walk.compiled.definition, walk.states(), walk.taken())
    if execution.stop_as is None:
        assert decision.finish == execution.status


@_settings
@given(graph=graphs(), first=st.integers(0, 2**32), second=st.integers(0, 2**32))
def test_every_order_ends_alike(alice: User, doorbells: Doorbells, graph: Graph, first: int, second: int) -> None:
    walks = [Walk(alice, graph), Walk(alice, graph)]
    for walk, seed in zip(walks, (first, second), strict=True):
        _finish(walk, random.Random(seed))
    one, two = (walk.reload() for walk in walks)
    assert one.status == two.status
    if walks[0].compiled.definition.settings.on_failure == "continue":
        assert (walks[0].states(), walks[0].taken()) == (walks[1].states(), walks[1].taken())
        assert one.ended_components == two.ended_components


@_settings
@given(graph=graphs(), seed=st.integers(0, 2**32), steps=st.integers(0, 6))
def test_nothing_starts_after_a_cancel(alice: User, doorbells: Doorbells, graph: Graph, seed: int, steps: int) -> None:
    chance, walk, held = random.Random(seed), Walk(alice, graph), []
    for _ in range(steps):
        claimed = walk.claim(chance)
        if claimed is not None:
            held.append(claimed)
        elif held:
            walk.end(held.pop())
    if walk.reload().completed_at is not None:
        return
    interventions.cancel_execution(walk.execution)
    assert walk.claim(chance) is None
    for run in held:
        walk.end(run)
        assert walk.claim(chance) is None
    execution = walk.reload()
    assert execution.completed_at is not None
    assert execution.status in {ExecutionStatus.CANCELLED, ExecutionStatus.FAILED}
    assert set(walk.states().values()) <= FINAL_RUN
    assert ComponentRun.objects.filter(execution=execution, started_at__isnull=False).count() <= len(walk.starts)


@_settings
@given(graph=graphs(), seed=st.integers(0, 2**32))
def test_recording_twice_changes_nothing(alice: User, doorbells: Doorbells, graph: Graph, seed: int) -> None:
    chance, walk = random.Random(seed), Walk(alice, graph)
    while (run := walk.claim(chance)) is not None:
        walk.end(run)
        before = (walk.states(), walk.reload().sequence, walk.execution.remaining)
        walk.end(run)
        assert (walk.states(), walk.reload().sequence, walk.execution.remaining) == before
    assert walk.reload().completed_at is not None
