"""What a retry runs again, what it takes over, and where it begins."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from executions.rerun import Rerun, plan_rerun
from executions.states import FINAL_RUN, RunStatus
from tests.graphs import Graph, graphs
from tests.unit.test_decider import Counters, definition
from workflows.definition import Definition, parse

DONE, FAILED, SKIPPED, CANCELLED = RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.SKIPPED, RunStatus.CANCELLED


def rerun(
    now: Definition,
    states: dict[str, RunStatus],
    taken: dict[str, tuple[int, ...]],
    start: str,
    old: Definition | None = None,
) -> Rerun:
    return plan_rerun(now, old or now, states, taken, start)


def test_what_follows_runs_again_and_the_rest_is_taken_over() -> None:
    graph = definition("a b c d", ["a>b", "b>c", "a>d"])
    plan = rerun(graph, {"a": DONE, "b": DONE, "c": FAILED, "d": DONE}, {"a": (0, 2), "b": (1,)}, "b")
    assert plan.again == ("b", "c")
    assert plan.carried == {"a": (0, 2), "d": ()}
    assert plan.pending == {"b": 0, "c": 1}
    assert plan.taken == {"b": 1, "c": 0}


def test_what_did_not_end_well_elsewhere_runs_again_too() -> None:
    graph = definition("a b c d", ["a>b", "c>d"])
    plan = rerun(graph, {"a": DONE, "b": FAILED, "c": FAILED, "d": CANCELLED}, {"a": (0,)}, "b")
    assert plan.again == ("b", "c", "d")
    assert plan.pending == {"b": 0, "c": 0, "d": 1}


def test_a_handled_failure_is_taken_over() -> None:
    graph = definition("a b c", ["a!b", "b>c"])
    plan = rerun(graph, {"a": FAILED, "b": DONE, "c": FAILED}, {"a": (0,), "b": (1,)}, "c")
    assert plan.carried == {"a": (0,), "b": (1,)}
    assert plan.again == ("c",)


def test_skipped_components_stay_skipped() -> None:
    graph = definition("a b c d", ["a!b", "a>c", "c>d"])
    plan = rerun(graph, {"a": DONE, "b": SKIPPED, "c": DONE, "d": FAILED}, {"a": (1,), "c": (2,)}, "d")
    assert plan.skipped == {"b"}
    assert plan.pending == {"d": 0}


def test_a_join_of_any_is_ready_by_what_was_carried_over() -> None:
    graph = definition("a b c*", ["a>c", "b>c"])
    plan = rerun(graph, {"a": DONE, "b": FAILED, "c": CANCELLED}, {"a": (0,)}, "b")
    assert plan.pending == {"b": 0, "c": 0}


def test_in_a_newer_version_what_changed_runs_again_with_all_that_follows() -> None:
    old = definition("a b c d", ["a>b", "b>c", "c>d"])
    new = definition("a b c d e", ["a>b", "b>c", "c>d", "b>e"])
    states = {"a": DONE, "b": DONE, "c": DONE, "d": FAILED}
    plan = rerun(new, states, {"a": (0,), "b": (1,), "c": (2,)}, "d", old)
    assert plan.again == ("b", "c", "d", "e")
    assert plan.carried == {"a": (0,)}


def test_connections_are_found_again_by_what_they_join() -> None:
    old = definition("a b c", ["a>b", "b>c"])
    new = definition("a b c", ["b>c", "a>b"])
    plan = rerun(new, {"a": DONE, "b": DONE, "c": FAILED}, {"a": (0,), "b": (1,)}, "c", old)
    assert plan.carried == {"a": (1,), "b": (0,)}


@given(graph=graphs(), seed=st.integers(0, 2**32))
@settings(max_examples=300, deadline=None)
def test_a_rerun_of_anything_ends_as_the_first_run_did(graph: Graph, seed: int) -> None:
    chance = random.Random(seed)
    parsed = parse(graph.raw)
    first = _run(Counters(parsed), graph, chance)
    taken = {id_: tuple(c.index for c in parsed.outgoing[id_] if c.index in first.taken) for id_ in parsed.by_id}
    start = chance.choice(list(parsed.by_id))
    plan = plan_rerun(parsed, parsed, first.states, taken, start)
    assert not (set(plan.again) & (plan.carried.keys() | plan.skipped))
    second = Counters(parsed)
    second.states = {
        id_: first.states[id_] if id_ in plan.carried else SKIPPED if id_ in plan.skipped else RunStatus.BLOCKED
        for id_ in parsed.by_id
    }
    second.taken = {index for indexes in plan.carried.values() for index in indexes}
    second.pending = {**dict.fromkeys(parsed.by_id, 0), **plan.pending}
    second.live = {**dict.fromkeys(parsed.by_id, 0), **plan.taken}
    second.starts = []
    for id_ in plan.again:
        if plan.pending[id_] == 0:
            second._queue(id_)
    _run(second, graph, chance)
    assert (second.states, second.taken) == (first.states, first.taken)
    assert all(state in FINAL_RUN for state in second.states.values())
    assert set(second.starts) <= set(plan.again)


def _run(counters: Counters, graph: Graph, chance: random.Random) -> Counters:
    while active := [id_ for id_, status in counters.states.items() if status is RunStatus.QUEUED]:
        ending = chance.choice(active)
        counters.end(ending, FAILED if ending in graph.fails else DONE, graph.true_conditions)
    return counters
