"""The definition language: what parse reads, and what it refuses with which field (rows D1 to D10)."""

import math
from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from core.types import JSONObject
from workflows.definition import (
    Concurrency,
    Connection,
    ConnectionType,
    DefinitionError,
    Retention,
    RetryPolicy,
    Settings,
    parse,
)


def component(id_: str, type_: str = "log", **more: Any) -> JSONObject:
    return {"id": id_, "type": type_, **more}


def edge(source: str, target: str, **more: Any) -> JSONObject:
    return {"source": source, "target": target, **more}


def definition(*components: JSONObject, connections: list[JSONObject] | None = None, **more: Any) -> JSONObject:
    return {"components": list(components), "connections": connections or [], **more}


def refused(raw: Any) -> list[tuple[str | None, str]]:
    """Field and message of each problem; all of them carry what was expected and what came."""
    with pytest.raises(DefinitionError) as caught:
        parse(raw)
    for problem in caught.value.problems:
        assert set(problem.details) == {"expected", "received"}
        assert len(str(problem.details["received"])) <= 400
    return [(problem.field, problem.message) for problem in caught.value.problems]


A, B, C = component("a"), component("b"), component("c")


def test_a_lone_start_is_a_definition_and_all_else_has_defaults() -> None:
    parsed = parse({"components": [component("s", "start", config={"trigger_type": "manual"})]})
    (start,) = parsed.components
    assert (start.id, start.type, start.name, start.config) == ("s", "start", "", {"trigger_type": "manual"})
    assert (start.retry_policy, start.timeout_seconds, start.join, start.position) == (RetryPolicy(), None, "all", 0)
    assert start.retry_policy.max_attempts == 1
    assert (parsed.connections, parsed.parameters, parsed.settings) == ((), (), Settings())
    assert parsed.entry_points == ("s",)


def test_every_field_is_read() -> None:
    raw = definition(
        component(
            "a", name="A", description="d", config={"message": "m"}, position={"x": -1.5, "y": 2}, join="any",
            retry_policy={"max_attempts": 3, "initial_delay_seconds": 0.5}, timeout_seconds=2.5, metadata={"k": []},
        ),
        B,
        connections=[edge("a", "b"), edge("a", "b", type="error"), edge("a", "b", type="conditional", condition="x")],
        settings={
            "timeout_seconds": 60, "on_failure": "continue", "max_parallel": 4,
            "concurrency": {"limit": 2, "key": "{{ k }}", "strategy": "skip"},
        },
        metadata={"made_by": "editor"},
    )  # fmt: skip
    parsed = parse(raw)
    a, b = parsed.components
    assert (a.name, a.join, a.timeout_seconds, b.position) == ("A", "any", 2.5, 1)
    assert a.retry_policy == RetryPolicy(max_attempts=3, initial_delay_seconds=0.5)
    assert parsed.connections == (
        Connection(0, "a", "b", ConnectionType.SUCCESS, None),
        Connection(1, "a", "b", ConnectionType.ERROR, None),
        Connection(2, "a", "b", ConnectionType.CONDITIONAL, "x"),
    )
    assert parsed.settings == Settings(60, "continue", 4, Concurrency(2, "{{ k }}", "skip"))


def test_the_graph_is_read_off_in_written_order() -> None:
    parsed = parse(definition(C, A, B, connections=[edge("a", "b"), edge("c", "b"), edge("a", "c", type="error")]))
    assert [c.index for c in parsed.outgoing["a"]] == [0, 2]
    assert [c.index for c in parsed.incoming["b"]] == [0, 1]
    assert (parsed.outgoing["b"], parsed.incoming["a"]) == ((), ())
    assert parsed.entry_points == ("a",)
    assert list(parsed.by_id) == ["c", "a", "b"]


def test_a_parsed_definition_cannot_be_changed() -> None:
    parsed = parse(definition(A))
    with pytest.raises(FrozenInstanceError):
        parsed.settings = Settings()  # type: ignore[misc]
    with pytest.raises(TypeError):
        parsed.by_id["b"] = parsed.components[0]  # type: ignore[index]


def test_an_integer_written_as_3_0_is_an_int() -> None:
    raw = definition(component("a", retry_policy={"max_attempts": 3.0}), settings={"max_parallel": 2.0})
    parsed = parse(raw)
    assert isinstance(parsed.components[0].retry_policy.max_attempts, int)
    assert isinstance(parsed.settings.max_parallel, int)


def test_retention_is_by_days_by_count_or_by_both() -> None:
    assert parse(definition(A)).settings.retention == Retention(None, None)
    assert parse(definition(A, settings={"retention": {"count": 5.0}})).settings.retention == Retention(None, 5)
    both = {"days": 30, "count": 1000}
    assert parse(definition(A, settings={"retention": both})).settings.retention == Retention(30, 1000)


def test_an_empty_concurrency_is_one_at_a_time() -> None:
    assert parse(definition(A, settings={"concurrency": {}})).settings.concurrency == Concurrency(1, "", "queue")


ODD_KEY: Any = {"odd key": 1}
NO_DEFINITIONS: tuple[Any, ...] = (None, [], "x", 1, True, {1: 2}, (1,))
SHAPES: list[tuple[Any, str]] = [
    *((raw, "definition") for raw in NO_DEFINITIONS),
    ({}, "definition.components"),
    ({"components": []}, "definition.components"),
    ({"components": {}}, "definition.components"),
    ({"components": [1]}, "definition.components[0]"),
    ({"components": [A], "nodes": []}, "definition.nodes"),
    ({"components": [A], "connections": [{"source": "a"}]}, "definition.connections[0].target"),
    (definition(component("a", colour="red")), "definition.components[0].colour"),
    (definition(component("a", **ODD_KEY)), 'definition.components[0]["odd key"]'),
    (definition({"id": "a"}), "definition.components[0].type"),
    (definition(component("a", config=[])), "definition.components[0].config"),
    *((definition(component("a", type_)), "definition.components[0].type") for type_ in ("", "x" * 65)),
    *(
        (definition(component(id_)), "definition.components[0].id")
        for id_ in ("", "1a", "a b", "a.b", "ä", "a\n", "a" * 65, "../x")
    ),
    *(
        (definition(component("a", position=position)), f"definition.components[0].position{where}")
        for position, where in (
            ([], ""), ({"x": 1}, ".y"), ({"x": 1, "y": 2, "z": 3}, ".z"), ({"x": "1", "y": 2}, ".x"),
            ({"x": 1e308, "y": 0}, ".x"), ({"x": 0, "y": math.nan}, ".y"), ({"x": 0, "y": math.inf}, ".y"),
        )
    ),
    *(
        (definition(component("a", retry_policy={name: value})), f"definition.components[0].retry_policy.{name}")
        for name, value in (
            ("max_attempts", 0), ("max_attempts", 101), ("max_attempts", 1.5), ("max_attempts", True),
            ("initial_delay_seconds", -1), ("max_delay_seconds", "60"), ("backoff_multiplier", 0.5), ("jitter", 1),
        )
    ),
    *(
        (definition(component("a", timeout_seconds=value)), "definition.components[0].timeout_seconds")
        for value in (0, -1, "30", None, True, 10**400, math.nan)
    ),
    (definition(component("a", join="some")), "definition.components[0].join"),
    (definition(A, B, connections=[edge("a", "b", type="maybe")]), "definition.connections[0].type"),
    (definition(A, B, connections=[edge("a", "b", label="x")]), "definition.connections[0].label"),
    (definition(A, settings={"retries": 3}), "definition.settings.retries"),
    (definition(A, settings={"on_failure": "explode"}), "definition.settings.on_failure"),
    (definition(A, settings={"max_parallel": -1}), "definition.settings.max_parallel"),
    (definition(A, settings={"concurrency": {"limit": 0}}), "definition.settings.concurrency.limit"),
    (definition(A, settings={"retention": {"days": 0}}), "definition.settings.retention.days"),
    (definition(A, settings={"retention": {"days": None}}), "definition.settings.retention.days"),
    (definition(A, settings={"retention": {"count": 1.5}}), "definition.settings.retention.count"),
    (definition(A, settings={"retention": {"count": 1_000_001}}), "definition.settings.retention.count"),
    (definition(A, settings={"retention": {"weeks": 1}}), "definition.settings.retention.weeks"),
    (definition(A, parameters=[{"name": "p"}]), "definition.parameters[0].type"),
    (definition(A, parameters=[{"name": "p", "type": "date"}]), "definition.parameters[0].type"),
    *(
        (definition(A, parameters=[{"name": name, "type": "string"}]), "definition.parameters[0].name")
        for name in ("", "1p", "a-b", "a b", "é", "p" * 65)
    ),
    (definition(component("a", config={"k": math.nan})), "definition.components[0].config.k"),
    (definition(component("a", config={"k": [b"bytes"]})), "definition.components[0].config.k[0]"),
]  # fmt: skip


@pytest.mark.parametrize(("raw", "field"), SHAPES, ids=[field for _, field in SHAPES])
def test_a_wrong_shape_is_refused_and_the_field_named(raw: Any, field: str) -> None:
    assert [where for where, _ in refused(raw)] == [field]


def test_d1_a_cycle_names_its_components_in_their_order() -> None:
    raw = definition(A, B, C, component("d"), connections=[edge("d", "a"), *map(edge, "abc", "bca")])
    ((field, message),) = refused(raw)
    assert field == "definition.connections"
    assert message in {f"Components form a cycle: {way}" for way in ("a → b → c → a", "b → c → a → b", "c → a → b → c")}


def test_d1_a_cycle_of_a_thousand_is_found_and_its_beginning_shown() -> None:
    ids = [f"c{number}" for number in range(1000)]
    raw = definition(*map(component, ids), connections=[*map(edge, ids, [*ids[1:], ids[0]])])
    ((_, message),) = refused(raw)
    assert message.count("→") == 20
    assert message.endswith("(981 more)")


def test_d1_a_self_loop_is_told_once_and_is_no_cycle() -> None:
    raw = definition(A, connections=[edge("a", "a")])
    assert refused(raw) == [("definition.connections[0]", "Component a is connected to itself")]


def test_d2_both_dangling_ends_are_named() -> None:
    assert refused(definition(A, connections=[edge("x", "y")])) == [
        ("definition.connections[0].source", 'No component has the id "x"'),
        ("definition.connections[0].target", 'No component has the id "y"'),
    ]


@pytest.mark.parametrize(
    "pair",
    [
        (edge("a", "b"), edge("a", "b")),
        (edge("a", "b", type="error"), edge("a", "b", type="error")),
        (edge("a", "b", type="conditional", condition="x"), edge("a", "b", type="conditional", condition="x")),
        (edge("a", "b"), edge("a", "b", type="success")),
    ],
)
def test_d2_a_connection_given_twice_is_refused(pair: tuple[JSONObject, JSONObject]) -> None:
    raw = definition(A, B, connections=list(pair))
    assert refused(raw) == [("definition.connections[1]", "The same connection as definition.connections[0]")]


def test_d2_connections_that_differ_in_type_or_condition_are_two() -> None:
    connections = [
        edge("a", "b"), edge("a", "b", type="error"),
        *(edge("a", "b", type="conditional", condition=condition) for condition in ("x", "y")),
    ]  # fmt: skip
    assert len(parse(definition(A, B, connections=connections)).connections) == 4


def test_d3_ids_are_unique_without_regard_to_case() -> None:
    assert refused(definition(A, B, A, component("B"))) == [
        ("definition.components[2].id", "Two components have the id a"),
        ("definition.components[3].id", "The id differs from b in case only"),
    ]


def test_d4_a_second_start_and_a_connection_to_a_start_are_refused() -> None:
    raw = definition(A, component("s", "start"), component("t", "start"), connections=[edge("a", "s")])
    assert refused(raw) == [
        ("definition.components[2].type", "A workflow has at most one start, and s is one"),
        ("definition.connections[0].target", "Nothing leads to a start, and s is one"),
    ]


def test_d4_without_a_start_every_component_that_nothing_leads_to_begins() -> None:
    assert parse(definition(A, B, C, connections=[edge("a", "b")])).entry_points == ("a", "c")


@pytest.mark.parametrize(
    ("components", "connections", "field"),
    [
        (2000, 1999, None),
        (2001, 0, "definition.components"),
        (10_000, 0, "definition.components"),
        (2000, 5001, "definition.connections"),
    ],
)
def test_d7_the_limits_hold_exactly(components: int, connections: int, field: str | None) -> None:
    pairs = ((source, target) for target in range(1, 2000) for source in range(target - 1, max(-1, target - 4), -1))
    chosen = [edge(f"c{source}", f"c{target}") for (source, target), _ in zip(pairs, range(connections), strict=False)]
    raw = definition(*(component(f"c{number}") for number in range(components)), connections=chosen)
    if field is None:
        assert len(parse(raw).components) == components
    else:
        assert [where for where, _ in refused(raw)] == [field]


@pytest.mark.parametrize(("levels", "fits"), [(28, True), (29, False), (10_000, False)])
def test_d8_nesting_is_bounded_at_any_depth(levels: int, fits: bool) -> None:
    value: Any = "deep"
    for _ in range(levels):
        value = [value]
    # The definition, its list, the component and its config are four levels themselves.
    raw = definition(component("a", config={"value": value}))
    if fits:
        assert parse(raw).components[0].config == {"value": value}
    else:
        ((field, message),) = refused(raw)
        assert message == "Nested deeper than 32"
        assert field is not None
        assert field.startswith("definition.components[0].config.value[0]")


def test_d8_what_is_repeated_of_the_input_is_cut() -> None:
    with pytest.raises(DefinitionError) as caught:
        parse(definition(component("a", join="x" * 1_000_000)))
    assert len(caught.value.problems[0].details["received"]) == 200


def test_d9_names_that_mean_something_elsewhere_are_plain_data() -> None:
    names = ["__proto__", "constructor", "__class__", "__init__"]
    raw = definition(*map(component, names), parameters=[{"name": name, "type": "string"} for name in names])
    parsed = parse(raw)
    assert list(parsed.by_id) == names
    assert [parameter.name for parameter in parsed.parameters] == names


def test_d10_conditions_stand_on_conditional_connections_and_nowhere_else() -> None:
    connections = [edge("a", "b", type="conditional"), edge("b", "c", condition="x")]
    assert refused(definition(A, B, C, connections=connections)) == [
        ("definition.connections[0].condition", "A conditional connection needs a condition"),
        ("definition.connections[1].condition", "A connection of type success takes no condition"),
    ]


def test_all_problems_are_told_at_once() -> None:
    raw = definition(
        A, A, connections=[edge("a", "z"), edge("a", "a")], parameters=[{"name": "p", "type": "string"}] * 2
    )
    assert [field for field, _ in refused(raw)] == [
        "definition.components[1].id",
        "definition.connections[0].target",
        "definition.connections[1]",
        "definition.parameters[1].name",
    ]


def test_the_error_text_names_fields_and_faults() -> None:
    with pytest.raises(DefinitionError, match=r"definition\.components\[0\]\.type: This field is required"):
        parse({"components": [{"id": "a"}]})
