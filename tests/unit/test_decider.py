"""What follows when a component ends: the oracle's own laws, and `settle` with counters held against it."""

import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from executions.decider import Delta, decide, is_unhandled, settle, settle_skipped
from executions.states import FINAL_RUN, ExecutionStatus, RunStatus
from tests.graphs import Graph, graphs
from workflows.definition import Definition, parse

B, Q, R = RunStatus.BLOCKED, RunStatus.QUEUED, RunStatus.RUNNING
DONE, FAILED, SKIPPED = RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.SKIPPED


def definition(components: str, connections: list[str], **settings: object) -> Definition:
    """`definition("a b", ["a>b", "a!c", "a?c"])`: success, error and conditional connections."""
    kinds = {">": "success", "!": "error", "?": "conditional"}
    made = []
    for text in connections:
        kind = next(mark for mark in kinds if mark in text)
        source, target = text.split(kind)
        condition = {"condition": "true"} if kind == "?" else {}
        made.append({"source": source, "target": target, "type": kinds[kind], **condition})
    parts = [
        {"id": name.rstrip("*"), "type": "log", "config": {"message": "m"}, "join": "any" if "*" in name else "all"}
        for name in components.split()
    ]
    return parse({"components": parts, "connections": made, "settings": settings})


def test_success_takes_success_connections_only() -> None:
    graph = definition("a b c d", ["a>b", "a!c", "a?d"])
    settled = settle(graph, "a", DONE)
    assert settled.taken == (0,)
    assert settled.deltas == (Delta("b", 1, 1), Delta("c", 1, 0), Delta("d", 1, 0))


def test_a_true_condition_is_taken_on_success() -> None:
    assert settle(definition("a b", ["a?b"]), "a", DONE, {0}).taken == (0,)


def test_a_condition_is_never_taken_on_failure() -> None:
    assert settle(definition("a b", ["a?b"]), "a", FAILED, {0}).taken == ()


def test_failure_with_an_error_connection_is_handled() -> None:
    settled = settle(definition("a b", ["a!b"]), "a", FAILED)
    assert settled.taken == (0,)
    assert not settled.unhandled_failure


def test_failure_without_an_error_connection_is_unhandled() -> None:
    assert settle(definition("a b", ["a>b"]), "a", FAILED).unhandled_failure


def test_two_connections_to_one_successor_are_summed() -> None:
    graph = definition("a b", ["a>b", "a!b"])
    assert settle(graph, "a", DONE).deltas == (Delta("b", 2, 1),)


def test_a_plain_hop_cannot_end_the_execution() -> None:
    assert not settle(definition("a b", ["a>b"]), "a", DONE).may_end


@pytest.mark.parametrize("connections", [[], ["a!b"], ["a>c", "a!b"]])
def test_a_leaf_or_a_dead_connection_may_end_the_execution(connections: list[str]) -> None:
    assert settle(definition("a b c", connections), "a", DONE).may_end


def test_settling_a_state_that_is_not_final_is_refused() -> None:
    with pytest.raises(ValueError, match="running is not final"):
        settle(definition("a", []), "a", R)


def test_skipped_components_kill_all_their_connections() -> None:
    graph = definition("a b c", ["a>c", "b!c", "a>b"])
    assert settle_skipped(graph, ["a", "b"]) == (Delta("c", 2, 0), Delta("b", 1, 0))


def test_entry_points_are_queued_in_definition_order() -> None:
    decision = decide(definition("b a c", ["a>c"]), {"b": B, "a": B, "c": B}, ())
    assert decision.queue == ("b", "a")
    assert decision.finish is None


def test_a_join_of_all_waits_for_every_connection() -> None:
    graph = definition("a b c", ["a>c", "b>c"])
    assert decide(graph, {"a": DONE, "b": R, "c": B}, {0}).queue == ()
    assert decide(graph, {"a": DONE, "b": DONE, "c": B}, {0, 1}).queue == ("c",)


def test_a_join_of_any_starts_at_the_first_taken_connection() -> None:
    assert decide(definition("a b c*", ["a>c", "b>c"]), {"a": DONE, "b": R, "c": B}, {0}).queue == ("c",)


def test_a_dead_path_is_skipped_to_its_end() -> None:
    graph = definition("a b c", ["a!b", "b>c"])
    decision = decide(graph, {"a": DONE, "b": B, "c": B}, ())
    assert decision.skip == ("b", "c")
    assert decision.finish is ExecutionStatus.COMPLETED


def test_an_unhandled_failure_fails_the_execution_once_all_has_ended() -> None:
    graph = definition("a b", [], on_failure="continue")
    assert decide(graph, {"a": FAILED, "b": R}, ()).finish is None
    assert decide(graph, {"a": FAILED, "b": DONE}, ()).finish is ExecutionStatus.FAILED


def test_nothing_is_queued_while_stopping_and_the_end_waits_for_what_runs() -> None:
    graph = definition("a b", [])
    running = decide(graph, {"a": B, "b": R}, (), stopping=ExecutionStatus.CANCELLED)
    assert (running.queue, running.skip, running.finish) == ((), (), None)
    assert decide(graph, {"a": B, "b": DONE}, (), stopping=ExecutionStatus.FAILED).finish is ExecutionStatus.FAILED


@dataclass
class Counters:
    """The hot path in memory: what the statements of `transitions` do with `pending` and `taken`."""

    definition: Definition
    states: dict[str, RunStatus] = field(init=False)
    pending: dict[str, int] = field(init=False)
    live: dict[str, int] = field(init=False)
    taken: set[int] = field(default_factory=set)
    starts: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        ids = self.definition.by_id
        self.states = dict.fromkeys(ids, B)
        self.pending = {id_: len(self.definition.incoming[id_]) for id_ in ids}
        self.live = dict.fromkeys(ids, 0)
        for id_ in self.definition.entry_points:
            self._queue(id_)

    def _queue(self, id_: str) -> None:
        self.states[id_] = Q
        self.starts.append(id_)

    def end(self, id_: str, status: RunStatus, true_conditions: frozenset[int]) -> None:
        settled = settle(self.definition, id_, status, true_conditions)
        self.states[id_] = status
        self.taken |= set(settled.taken)
        deltas = settled.deltas
        while deltas:
            skipped = []
            for delta in deltas:
                target = delta.component_id
                if self.states[target] is not B:
                    continue
                self.pending[target] -= delta.decided
                self.live[target] += delta.taken
                join_any = self.definition.by_id[target].join == "any"
                if self.live[target] and (join_any or not self.pending[target]):
                    self._queue(target)
                elif not self.pending[target]:
                    self.states[target] = SKIPPED
                    skipped.append(target)
            deltas = settle_skipped(self.definition, skipped)


@given(graph=graphs(), seed=st.integers(0, 2**32))
@settings(max_examples=400, deadline=None)
def test_counters_and_oracle_agree_after_every_completion(graph: Graph, seed: int) -> None:
    chance = random.Random(seed)
    definition_ = parse(graph.raw)
    counters = Counters(definition_)
    while active := [id_ for id_, status in counters.states.items() if status is Q]:
        before = dict(counters.states)
        ending = chance.choice(active)
        status = FAILED if ending in graph.fails else DONE
        started = len(counters.starts)
        counters.end(ending, status, graph.true_conditions)
        decision = decide(definition_, {**before, ending: status}, counters.taken)
        assert sorted(counters.starts[started:]) == sorted(decision.queue)
        skipped = {id_ for id_, state in counters.states.items() if state is SKIPPED and before[id_] is B}
        assert skipped == set(decision.skip)
        again = decide(definition_, counters.states, counters.taken)
        assert (again.queue, again.skip) == ((), ())
    assert all(status in FINAL_RUN for status in counters.states.values())
    assert len(set(counters.starts)) == len(counters.starts)


@given(graph=graphs(), first=st.integers(0, 2**32), second=st.integers(0, 2**32))
@settings(max_examples=200, deadline=None)
def test_every_completion_order_ends_in_the_same_states(graph: Graph, first: int, second: int) -> None:
    ends = []
    for seed in (first, second):
        chance = random.Random(seed)
        counters = Counters(parse(graph.raw))
        while active := [id_ for id_, status in counters.states.items() if status is Q]:
            ending = chance.choice(active)
            counters.end(ending, FAILED if ending in graph.fails else DONE, graph.true_conditions)
        ends.append((counters.states, counters.taken))
    assert ends[0] == ends[1]


def test_unhandled_means_failed_with_no_taken_connection() -> None:
    graph = definition("a b", ["a!b"])
    assert is_unhandled(graph, "a", {"a": FAILED, "b": B}, ())
    assert not is_unhandled(graph, "a", {"a": FAILED, "b": B}, {0})
    assert not is_unhandled(graph, "a", {"a": DONE, "b": B}, ())
