"""Graphs are laid out: everything once, nothing over another, connections from left to right; and drawn, quickly."""

from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import combinations
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from executions.drawing import Part, Row, Span, draw_graph, draw_timeline, duration_text, ticks
from executions.graph_layout import Edge, Graph, Layout, Node, lay_out
from executions.picture import _graph
from tests import cpu

SVG = "{http://www.w3.org/2000/svg}"


@st.composite
def nested(draw: st.DrawFn, depth: int = 2, prefix: str = "c") -> Graph:
    """Any graph without cycles, some of its nodes with a graph inside."""
    ids = [f"{prefix}{place}" for place in range(draw(st.integers(0 if depth < 2 else 1, 9)))]
    nodes = tuple(
        Node(id_, body=draw(nested(depth - 1, f"{id_}.")) if depth and draw(st.integers(0, 3)) == 0 else None)
        for id_ in ids
    )
    pairs = list(combinations(ids, 2))
    chosen = draw(st.lists(st.sampled_from(pairs), max_size=16)) if pairs else []
    edges = tuple(
        Edge(a, b, draw(st.sampled_from(["success", "error", "conditional"])), place)
        for place, (a, b) in enumerate(chosen)
    )
    # Definition order is not topological order.
    return Graph(tuple(draw(st.permutations(nodes))), edges)


def check(graph: Graph, layout: Layout) -> None:
    assert [box.id for box in layout.boxes] == [node.id for node in graph.nodes]
    for one, other in combinations(layout.boxes, 2):
        apart = (
            one.x + one.width <= other.x
            or other.x + other.width <= one.x
            or one.y + one.height <= other.y
            or other.y + other.height <= one.y
        )
        assert apart, (one, other)
    boxes = {box.id: box for box in layout.boxes}
    for box, node in zip(layout.boxes, graph.nodes, strict=True):
        assert 0 <= box.x <= box.x + box.width <= layout.width
        assert 0 <= box.y <= box.y + box.height <= layout.height
        if node.body is not None:
            assert box.inside is not None
            assert box.inside.width < box.width
            assert box.inside.height < box.height
            check(node.body, box.inside)
    assert sorted(line.edge.index for line in layout.lines) == list(range(len(graph.edges)))
    for line in layout.lines:
        source, target = boxes[line.edge.source], boxes[line.edge.target]
        assert source.x + source.width < target.x
        assert line.points[0] == (source.x + source.width, source.y + source.height // 2)
        assert line.points[-1] == (target.x, target.y + target.height // 2)
        # Never back, and not through a box.
        xs = [x for x, _ in line.points]
        assert xs == sorted(xs)
        assert all(0 <= y <= layout.height for _, y in line.points)
        for (left, y), (right, _) in zip(line.points[2:-1:2], line.points[3:-1:2], strict=True):
            assert not any(
                box.x < right and left < box.x + box.width and box.y <= y <= box.y + box.height for box in layout.boxes
            )


@given(graph=nested())
def test_everything_is_placed_once_and_nothing_over_another(graph: Graph) -> None:
    layout = lay_out(graph)
    check(graph, layout)
    assert lay_out(graph) == layout


def ids_of(graph: Graph) -> list[str]:
    return [id_ for node in graph.nodes for id_ in [node.id, *(ids_of(node.body) if node.body else [])]]


@given(graph=nested(), text=st.text(max_size=30))
def test_a_drawing_is_sound_and_has_every_component_once(graph: Graph, text: str) -> None:
    parts = {id_: Part("<log>", "running", f"{number} {''.join(filter(str.isprintable, text))}", "?a=1&b=2")
             for number, id_ in enumerate(ids_of(graph))}  # fmt: skip
    drawn = ElementTree.fromstring(draw_graph(graph, parts, {0: True, 1: False}, label='a "graph"'))
    nodes = [element for element in drawn.iter(f"{SVG}g") if "node" in element.get("class", "").split()]
    assert sorted(str(node.findtext(f".//{SVG}text")) for node in nodes) == sorted(ids_of(graph))
    assert {node.get("class", "").split()[-1] for node in nodes} <= {"is-running"}
    assert not [element for element in drawn.iter() if "style" in element.attrib]
    edges = [element for element in drawn.iter(f"{SVG}path") if "edge" in element.get("class", "").split()]
    assert {edge.get("class", "").split()[1] for edge in edges} <= {"success", "error", "conditional"}


def big(edges: list[tuple[int, int]], count: int = 2000) -> Graph:
    return Graph(
        tuple(Node(f"c{place}") for place in range(count)),
        tuple(Edge(f"c{a}", f"c{b}", "success", place) for place, (a, b) in enumerate(edges)),
    )


def test_two_thousand_components_are_drawn_in_a_second() -> None:
    chain = big([(place, place + 1) for place in range(1999)])
    fan = big([(0, place) for place in range(1, 1999)] + [(place, 1999) for place in range(1, 1999)])
    # Scattered, and each a long way from where it leads.
    woven = big(sorted({(place % 1900, place % 1900 + 1 + place * 37 % 97) for place in range(5000)}))
    for graph in (chain, fan, woven):
        parts = {node.id: Part("log", "completed") for node in graph.nodes}
        draw = partial(draw_graph, graph, parts, {}, label="big")
        cpu.assert_within(2, draw)
        assert draw().count('class="box"') == 2000


def test_a_graph_in_order_has_no_crossings() -> None:
    graph = big([(0, 2), (1, 3), (2, 5), (3, 4)], 6)
    boxes = {box.id: box for box in lay_out(graph).boxes}
    assert boxes["c2"].y < boxes["c3"].y
    assert boxes["c5"].y < boxes["c4"].y


def test_the_body_of_a_loop_stands_inside_of_it() -> None:
    body = {"components": [{"id": "inner", "type": "log", "config": {}}], "connections": []}
    raw = {
        "components": [
            {"id": "loop", "type": "for_each", "config": {"items": [], **body}},
            {"id": "plain", "type": "log", "config": {"components": "no body"}},
        ],
        "connections": [{"source": "loop", "target": "plain"}],
    }
    graph = _graph(raw)
    assert [node.body is not None for node in graph.nodes] == [True, False]
    assert ids_of(graph) == ["loop", "inner", "plain"]
    assert graph.edges == (Edge("loop", "plain", "success", 0),)


def test_the_times_of_components_stand_on_one_axis() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    second = timedelta(seconds=1)
    first = (Span("queued", start, start + second), Span("running", start + second, start + 5 * second, 1))
    rows = [
        Row("a", "completed", first),
        Row("<b>", "waiting", (Span("waiting", start + 5 * second, start + 10 * second),)),
    ]
    drawn = ElementTree.fromstring(draw_timeline(rows, start, start + 10 * second, label="times"))
    bars = [(bar.get("class"), bar.get("x"), bar.get("width")) for bar in drawn.iter(f"{SVG}rect")]
    assert bars == [
        ("bar queued", "200.0", "60.0"),
        ("bar running", "260.0", "240.0"),
        ("bar waiting", "500.0", "300.0"),
    ]
    titles = [title.text for title in drawn.iter(f"{SVG}title")]
    assert "a: running, attempt 1, 4 s from 1 s" in titles


@given(seconds=st.floats(0.001, 10**9))
def test_marks_of_the_axis_are_few_round_and_within(seconds: float) -> None:
    marks = ticks(seconds)
    assert 1 <= len(marks) <= 13
    assert marks[0] == 0
    assert marks[-1] <= seconds * 1.000001
    assert all(duration_text(mark) for mark in marks)


def test_durations_read_well() -> None:
    seconds = (0, 0.0123, 0.9999, 1.234, 59.9, 61, 3600, 3725, 90_000, 10**8)
    assert [duration_text(each) for each in seconds] == [
        "0", "12 ms", "1 s", "1.23 s", "59.9 s", "1 min 1 s", "1 h", "1 h 2 min", "1 d 1 h", "1157 d 9 h",
    ]  # fmt: skip
