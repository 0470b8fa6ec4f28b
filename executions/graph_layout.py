"""Where the components of a workflow are drawn: layers from left to right, few crossings, bodies inside their loops.

As Sugiyama and others have it (1981): each component one layer after the last that leads to it; connections over
several layers pass through places of their own; layers are put in order by the mean of their neighbours; and each
component stands as near to its neighbours as the order lets it.
"""

from bisect import bisect_right, insort
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

GAP_X, GAP_Y = 56, 22
PADDING, HEADER = 16, 64
# The place of a connection that passes a layer.
_PASSING_HEIGHT, _PASSING_GAP = 4, 10
# Of a graph whose connections pass more layers than this, the longest are drawn straight.
_MAX_PASSING = 4_000
_SWEEPS = 6
_ALIGNMENTS = 4

Point: TypeAlias = "tuple[int, int]"


@dataclass(frozen=True, slots=True)
class Node:
    """What is placed: its size, or the graph inside, from which its size comes."""

    id: str
    width: int = 196
    height: int = 62
    body: "Graph | None" = None


@dataclass(frozen=True, slots=True)
class Edge:
    """A connection; `index` is its place in the definition's list."""

    source: str
    target: str
    kind: str
    index: int = 0


@dataclass(frozen=True, slots=True)
class Graph:
    """Without cycles; both ends of each edge are nodes of it."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]


@dataclass(frozen=True, slots=True)
class Box:
    """A node in its place; `inside` has what is in it, from its own corner."""

    id: str
    x: int
    y: int
    width: int
    height: int
    inside: "Layout | None" = None


@dataclass(frozen=True, slots=True)
class Line:
    """An edge in its place: from point to point a straight piece across a layer and a bent one between two, in turn."""

    edge: Edge
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """Everything in its place, from (0, 0) to (width, height)."""

    width: int
    height: int
    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]


def lay_out(graph: Graph) -> Layout:
    """Place each node once, none over another; what leads to a node stands to its left."""
    inside = {node.id: lay_out(node.body) for node in graph.nodes if node.body is not None}
    sizes = {node.id: _size(node, inside.get(node.id)) for node in graph.nodes}
    layer_of = _layers(graph)
    grid = _Grid(graph, sizes, layer_of)
    grid.order()
    grid.place()
    boxes = []
    for place, node in enumerate(graph.nodes):
        width, height = sizes[node.id]
        x, y = grid.left[layer_of[node.id]], round(grid.centre[place] - height / 2)
        boxes.append(Box(node.id, x, y, width, height, inside.get(node.id)))
    by_id = {box.id: box for box in boxes}
    lines = tuple(Line(edge, grid.points(number, by_id)) for number, edge in enumerate(graph.edges))
    bottom = max((box.y + box.height for box in boxes), default=0)
    lowest = max((point[1] for line in lines for point in line.points), default=0)
    return Layout(max((box.x + box.width for box in boxes), default=0), max(bottom, lowest), tuple(boxes), lines)


def _size(node: Node, inside: Layout | None) -> tuple[int, int]:
    if inside is None:
        return node.width, node.height
    return max(node.width, inside.width + 2 * PADDING), HEADER + inside.height + PADDING


def _layers(graph: Graph) -> Mapping[str, int]:
    """The longest way to each node."""
    after: dict[str, list[str]] = {node.id: [] for node in graph.nodes}
    open_ = dict.fromkeys(after, 0)
    for edge in graph.edges:
        after[edge.source].append(edge.target)
        open_[edge.target] += 1
    layer = dict.fromkeys(after, 0)
    ready = [id_ for id_, count in open_.items() if not count]
    while ready:
        id_ = ready.pop()
        for target in after[id_]:
            layer[target] = max(layer[target], layer[id_] + 1)
            open_[target] -= 1
            if not open_[target]:
                ready.append(target)
    return layer


class _Grid:
    """The layers while they are put in order: nodes by number, and after them the places of passing connections."""

    def __init__(self, graph: Graph, sizes: Mapping[str, tuple[int, int]], layer_of: Mapping[str, int]) -> None:
        self._graph, self._layer_of = graph, layer_of
        number = {node.id: place for place, node in enumerate(graph.nodes)}
        self.heights = [sizes[node.id][1] for node in graph.nodes]
        self.layers: list[list[int]] = [[] for _ in range(max(layer_of.values(), default=-1) + 1)]
        for node in graph.nodes:
            self.layers[layer_of[node.id]].append(number[node.id])
        widths = [0] * len(self.layers)
        for node in graph.nodes:
            widths[layer_of[node.id]] = max(widths[layer_of[node.id]], sizes[node.id][0])
        self.left, self.right = [], []
        x = 0
        for width in widths:
            self.left.append(x)
            self.right.append(x + width)
            x += width + GAP_X
        self._passing = self._make_way(number)
        self.before: list[list[int]] = [[] for _ in self.heights]
        self.behind: list[list[int]] = [[] for _ in self.heights]
        for place, edge in enumerate(graph.edges):
            way = [number[edge.source], *self._passing.get(place, ()), number[edge.target]]
            for one, next_ in pairwise(way):
                self.behind[one].append(next_)
                self.before[next_].append(one)
        self.centre: list[float] = []

    def _make_way(self, number: Mapping[str, int]) -> dict[int, list[int]]:
        """The places, layer by layer, of each connection that passes some; the shortest first, up to the limit."""
        spans = sorted(
            (self._layer_of[edge.target] - self._layer_of[edge.source] - 1, place)
            for place, edge in enumerate(self._graph.edges)
        )
        passing: dict[int, list[int]] = {}
        left = _MAX_PASSING
        for span, place in spans:
            left -= span
            if left < 0:
                break
            first = self._layer_of[self._graph.edges[place].source] + 1
            passing[place] = list(range(len(self.heights), len(self.heights) + span))
            self.heights += [_PASSING_HEIGHT] * span
            for step, new in enumerate(passing[place]):
                self.layers[first + step].append(new)
        return passing

    def order(self) -> None:
        """Put layers in the order of their neighbours, there and back; keep what crossed least."""
        best, fewest = [list(layer) for layer in self.layers], self._crossings()
        for sweep in range(_SWEEPS):
            if not fewest:
                break
            forth = sweep % 2 == 0
            neighbours = self.before if forth else self.behind
            for layer in self.layers if forth else self.layers[::-1]:
                self._sort(layer, neighbours)
            crossings = self._crossings()
            if crossings < fewest:
                best, fewest = [list(layer) for layer in self.layers], crossings
        self.layers = best

    def _sort(self, layer: list[int], neighbours: Sequence[Sequence[int]]) -> None:
        rank = self._ranks
        means = {
            one: sum(rank[other] for other in neighbours[one]) / len(neighbours[one])
            for one in layer
            if neighbours[one]
        }
        # Those without a neighbour keep their place.
        layer.sort(key=lambda one: means.get(one, rank[one]))
        for place, one in enumerate(layer):
            rank[one] = place

    def _crossings(self) -> int:
        self._ranks = {one: place for layer in self.layers for place, one in enumerate(layer)}
        count = 0
        for layer in self.layers:
            seen: list[int] = []
            for one in layer:
                ends = sorted(self._ranks[other] for other in self.behind[one])
                count += sum(len(seen) - bisect_right(seen, end) for end in ends)
                for end in ends:
                    insort(seen, end)
        return count

    def place(self) -> None:
        """The middle of each, from the top: as near to the mean of its neighbours as order and gaps let it."""
        self.centre = [0.0] * len(self.heights)
        for layer in self.layers:
            for one, offset in zip(layer, self._offsets(layer), strict=True):
                self.centre[one] = offset
        for turn in range(_ALIGNMENTS):
            forth = turn % 2 == 0
            neighbours = self.before if forth else self.behind
            for layer in self.layers if forth else self.layers[::-1]:
                self._align(layer, neighbours)
        top = min((self.centre[one] - height / 2 for one, height in enumerate(self.heights)), default=0.0)
        self.centre = [centre - top for centre in self.centre]

    def _offsets(self, layer: Sequence[int]) -> list[float]:
        """How far below the first of the layer each must at least stand."""
        offsets, at = [], 0.0
        for place, one in enumerate(layer):
            if place:
                above = self.heights[layer[place - 1]]
                passes = _PASSING_HEIGHT in {above, self.heights[one]}
                at += (above + self.heights[one]) / 2 + (_PASSING_GAP if passes else GAP_Y)
            offsets.append(at)
        return offsets

    def _align(self, layer: Sequence[int], neighbours: Sequence[Sequence[int]]) -> None:
        offsets = self._offsets(layer)
        wanted = []
        for one, offset in zip(layer, offsets, strict=True):
            near = neighbours[one]
            middle = sum(self.centre[other] for other in near) / len(near) if near else self.centre[one]
            wanted.append(middle - offset)
        for one, offset, shift in zip(layer, offsets, _non_decreasing(wanted), strict=True):
            self.centre[one] = offset + shift

    def points(self, number: int, boxes: Mapping[str, Box]) -> tuple[Point, ...]:
        """The way of an edge, by its number: straight across a layer, bent to the next."""
        edge = self._graph.edges[number]
        source, target = boxes[edge.source], boxes[edge.target]
        layer = self._layer_of[edge.source]
        height = source.y + source.height // 2
        points = [(source.x + source.width, height), (self.right[layer], height)]
        for step, place in enumerate(self._passing.get(number, ()), start=layer + 1):
            middle = round(self.centre[place])
            points += [(self.left[step], middle), (self.right[step], middle)]
        return (*points, (target.x, target.y + target.height // 2))


def _non_decreasing(wanted: Sequence[float]) -> list[float]:
    """The numbers nearest to these (least squares) that never fall: neighbours that would are drawn together."""
    pools: list[tuple[float, int]] = []
    for value in wanted:
        total, count = value, 1
        while pools and pools[-1][0] * count > total * pools[-1][1]:
            earlier, earlier_count = pools.pop()
            total, count = total + earlier, count + earlier_count
        pools.append((total, count))
    return [total / count for total, count in pools for _ in range(count)]
