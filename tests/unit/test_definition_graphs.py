"""Any graph: without a cycle it is accepted as it stands, with one it is refused by that cycle's members."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.types import JSONObject
from tests.graphs import Graph, graphs
from workflows.definition import DefinitionError, parse


@given(graphs())
def test_a_graph_without_a_cycle_is_accepted_and_read_off_whole(graph: Graph) -> None:
    parsed = parse(graph.raw)
    targets = {connection["target"] for connection in graph.raw["connections"]}
    assert set(parsed.entry_points) == {item["id"] for item in graph.raw["components"]} - targets
    assert parsed.entry_points
    for ends in (parsed.outgoing, parsed.incoming):
        assert sorted(connection.index for each in ends.values() for connection in each) == list(
            range(len(graph.raw["connections"]))
        )


@st.composite
def cycles(draw: st.DrawFn) -> tuple[JSONObject, list[str]]:
    """A DAG with one connection back from a descendant, and the ids between which it closes a cycle."""
    raw = draw(graphs().filter(lambda graph: graph.raw["connections"])).raw
    connection = draw(st.sampled_from(raw["connections"]))
    back = {"source": connection["target"], "target": connection["source"], "type": "success"}
    return {**raw, "connections": [*raw["connections"], back]}, [connection["source"], connection["target"]]


@given(cycles())
def test_a_connection_back_is_refused_and_a_real_cycle_named(case: tuple[JSONObject, list[str]]) -> None:
    raw, closed = case
    with pytest.raises(DefinitionError) as caught:
        parse(raw)
    (problem,) = caught.value.problems
    cycle = problem.details["received"]
    pairs = {(connection["source"], connection["target"]) for connection in raw["connections"]}
    assert problem.field == "definition.connections"
    assert cycle[0] == cycle[-1]
    assert set(pairwise(cycle)) <= pairs
    assert set(closed) <= set(cycle)
