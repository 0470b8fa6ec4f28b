"""Random workflow graphs for property tests."""

from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from core.types import JSONObject

MAX_COMPONENTS = 9


@dataclass(frozen=True)
class Graph:
    """A raw definition, and how each of its components will end."""

    raw: JSONObject
    fails: frozenset[str]
    true_conditions: frozenset[int]


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """A DAG of up to nine components: all connection types, both joins, both on_failure settings."""
    count = draw(st.integers(1, MAX_COMPONENTS))
    ids = [f"c{index}" for index in range(count)]
    pairs = [(a, b) for a in range(count) for b in range(a + 1, count)]
    chosen = draw(st.lists(st.sampled_from(pairs), unique=True, max_size=14)) if pairs else []
    connections: list[dict[str, Any]] = []
    for source, target in chosen:
        type_ = draw(st.sampled_from(["success", "success", "error", "conditional"]))
        connection = {"source": ids[source], "target": ids[target], "type": type_}
        if type_ == "conditional":
            connection["condition"] = draw(st.sampled_from(["true", "false"]))
        connections.append(connection)
    components = [
        {"id": id_, "type": "log", "config": {"message": "m"}, "join": draw(st.sampled_from(["all", "all", "any"]))}
        for id_ in ids
    ]
    # Definition order is not topological order, and nothing may depend on it.
    components = draw(st.permutations(components))
    return Graph(
        raw={
            "components": components,
            "connections": connections,
            "settings": {"on_failure": draw(st.sampled_from(["stop", "continue"]))},
        },
        fails=frozenset(draw(st.lists(st.sampled_from(ids), unique=True))),
        true_conditions=frozenset(i for i, c in enumerate(connections) if c.get("condition") == "true"),
    )
