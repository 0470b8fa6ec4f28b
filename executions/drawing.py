"""An execution as pictures: its graph with the states of its components, and their times; SVG without inline style.

How it looks is the stylesheet's to say, by class; states are told in words, too, and not by colour alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from html import escape
from itertools import pairwise

from executions.graph_layout import HEADER, PADDING, Graph, Layout, Line, lay_out

_MARGIN = 12
_CHARS = 25


@dataclass(frozen=True, slots=True)
class Part:
    """What is written into a component's box: the word of its state, and what more there is to say.

    `href` is where it leads to, or empty.
    """

    type: str
    state: str
    note: str = ""
    href: str = ""


def draw_graph(graph: Graph, parts: Mapping[str, Part], taken: Mapping[int, bool], *, label: str) -> str:
    """The graph as SVG. `taken`: by the number of a connection of the whole, whether it was taken; the others are open.

    Each node of the graph, those in bodies included, has its part. `label` is read out in place of the picture.
    """
    layout = lay_out(graph)
    width, height = layout.width + 2 * _MARGIN, layout.height + 2 * _MARGIN
    return (
        f'<svg class="graph" xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="img" aria-label="{escape(label)}">{_MARKERS}'
        f"{_group(layout, _MARGIN, _MARGIN, parts, taken)}</svg>"
    )


_MARKERS = (
    "<defs>"
    + "".join(
        f'<marker id="head-{kind}" class="head {kind}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="10" '
        'markerHeight="10" markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0L8 4L0 8z"/></marker>'
        for kind in ("success", "error", "conditional")
    )
    + "</defs>"
)


def _group(layout: Layout, x: int, y: int, parts: Mapping[str, Part], taken: Mapping[int, bool]) -> str:
    drawn = [f'<g transform="translate({x} {y})">']
    drawn += [_line(line, taken.get(line.edge.index)) for line in layout.lines]
    for box in layout.boxes:
        drawn.append(_box(box.id, box.x, box.y, box.width, box.height, parts[box.id], loops=box.inside is not None))
        if box.inside is not None:
            # What is open or taken in a body differs from item to item.
            drawn.append(_group(box.inside, box.x + PADDING, box.y + HEADER, parts, {}))
    drawn.append("</g>")
    return "".join(drawn)


def _line(line: Line, taken: bool | None) -> str:
    (x, y), *rest = line.points
    path = [f"M{x} {y}"]
    for place, (to_x, to_y) in enumerate(rest):
        if place % 2 == 0:
            path.append(f"H{to_x}")
        else:
            middle = (x + to_x) // 2
            path.append(f"C{middle} {y} {middle} {to_y} {to_x} {to_y}")
        x, y = to_x, to_y
    kind = escape(line.edge.kind)
    way = "open" if taken is None else "taken" if taken else "dead"
    title = f"{line.edge.source} → {line.edge.target} ({kind}, {way})"
    return (
        f'<path class="edge {kind} {way}" d="{"".join(path)}" fill="none" marker-end="url(#head-{kind})">'
        f"<title>{escape(title)}</title></path>"
    )


def _box(id_: str, x: int, y: int, width: int, height: int, part: Part, *, loops: bool) -> str:
    note = f"{part.state} · {part.note}" if part.note else part.state
    title = f"{id_} ({part.type}): {note}"
    body = (
        f"<title>{escape(title)}</title>"
        f'<rect class="box" width="{width}" height="{height}" rx="8"/>'
        f'<rect class="mark" width="6" height="{height - 16}" x="7" y="8" rx="3"/>'
        f'<text class="id" x="22" y="21">{escape(_short(id_))}</text>'
        f'<text class="type" x="22" y="37">{escape(_short(part.type))}</text>'
        f'<text class="state" x="22" y="53">{escape(_short(note, _CHARS + (width - 196) // 8))}</text>'
    )
    group = f'<g class="node {"loop " if loops else ""}is-{escape(part.state)}" transform="translate({x} {y})">'
    if part.href:
        return f'{group}<a href="{escape(part.href)}">{body}</a></g>'
    return f"{group}{body}</g>"


def _short(text: str, chars: int = _CHARS) -> str:
    return text if len(text) <= chars else text[: chars - 1] + "…"


@dataclass(frozen=True, slots=True)
class Span:
    """A time in which a component was in one state: `queued`, `running` or `waiting`; `attempt` where it ran."""

    state: str
    start: datetime
    end: datetime
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class Row:
    """A component in the timeline, in the order of its times; `state` is how it is now."""

    id: str
    state: str
    spans: Sequence[Span] = field(default_factory=tuple)


_LABEL_WIDTH, _CHART_WIDTH, _ROW_HEIGHT, _AXIS = 200, 600, 24, 26
_STEPS = (
    *(timedelta(milliseconds=ms) for ms in (1, 2, 5, 10, 20, 50, 100, 200, 500)),
    *(timedelta(seconds=seconds) for seconds in (1, 2, 5, 10, 20, 30)),
    *(timedelta(minutes=minutes) for minutes in (1, 2, 5, 10, 20, 30)),
    *(timedelta(hours=hours) for hours in (1, 2, 4, 6, 12)),
    *(timedelta(days=days) for days in (1, 2, 5, 10, 30, 100, 365)),
)


def draw_timeline(rows: Sequence[Row], start: datetime, end: datetime, *, label: str) -> str:
    """The components' times between two moments as SVG, one below the other, on one axis from the first."""
    seconds = max((end - start).total_seconds(), 0.001)
    width, height = _LABEL_WIDTH + _CHART_WIDTH + 2 * _MARGIN + 40, _AXIS + len(rows) * _ROW_HEIGHT + _MARGIN
    drawn = [
        f'<svg class="timeline" xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="img" aria-label="{escape(label)}">'
    ]
    for offset in ticks(seconds):
        x = _LABEL_WIDTH + _at(offset, seconds)
        drawn.append(
            f'<path class="tick" d="M{x} {_AXIS - 6}V{height - _MARGIN}"/>'
            f'<text class="tick" x="{x}" y="14" text-anchor="middle">{escape(duration_text(offset))}</text>'
        )
    for place, row in enumerate(rows):
        y = _AXIS + place * _ROW_HEIGHT
        drawn.append(
            f'<g class="row is-{escape(row.state)}" transform="translate(0 {y})"><title>{escape(row.id)}: '
            f'{escape(row.state)}</title><text class="id" x="{_LABEL_WIDTH - 12}" y="16" text-anchor="end">'
            f"{escape(_short(row.id, 28))}</text>"
        )
        drawn += [_bar(span, row, start, seconds) for span in row.spans]
        drawn.append("</g>")
    drawn.append("</svg>")
    return "".join(drawn)


def _bar(span: Span, row: Row, start: datetime, seconds: float) -> str:
    begins, ends = ((moment - start).total_seconds() for moment in (span.start, span.end))
    x, end = _at(begins, seconds), _at(ends, seconds)
    what = f"{span.state}, attempt {span.attempt}" if span.attempt else span.state
    title = f"{row.id}: {what}, {duration_text(ends - begins)} from {duration_text(begins)}"
    y, height = (8, 8) if span.state == "queued" else (4, 16)
    return (
        f'<rect class="bar {escape(span.state)}" x="{round(_LABEL_WIDTH + x, 1)}" y="{y}" '
        f'width="{round(max(end - x, 2), 1)}" height="{height}" rx="2"><title>{escape(title)}</title></rect>'
    )


def _at(offset: float, seconds: float) -> float:
    return round(min(max(offset / seconds, 0.0), 1.0) * _CHART_WIDTH, 1)


def ticks(seconds: float) -> list[float]:
    """Round offsets, in seconds, of five to twelve marks on an axis of that length."""
    step = next((step for step in _STEPS if step.total_seconds() * 10 >= seconds), _STEPS[-1]).total_seconds()
    if seconds / step > 12:
        # Longer than ten years.
        step = seconds / 10
    return [place * step for place in range(int(seconds / step + 1e-9) + 1)]


def duration_text(seconds: float) -> str:
    """A duration in the two units that tell most of it."""
    if seconds < 0.9995:
        return f"{round(seconds * 1000)} ms" if seconds else "0"
    if seconds < 60:
        return f"{seconds:.3g} s"
    units = [("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)]
    whole = round(seconds)
    for (name, size), (small, small_size) in pairwise(units):
        if whole >= size:
            rest = whole % size // small_size
            return f"{whole // size} {name}" + (f" {rest} {small}" if rest else "")
    return f"{whole} s"
