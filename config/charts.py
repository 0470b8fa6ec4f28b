"""Where the parts of the dashboard's charts stand: hours in, coordinates out. Pure; a template draws them as SVG."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

WIDTH, HEIGHT = 640, 200
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 8, 12, 24
_PLOT_WIDTH, _PLOT_HEIGHT = WIDTH - _LEFT - _RIGHT, HEIGHT - _TOP - _BOTTOM
_GAP = 0.28
_LABEL_EVERY = 4
# Per cent at the foot of the axis of success rates; each leaves four round steps to a hundred.
_LOWS = (90, 80, 60, 0)


@dataclass(frozen=True, slots=True)
class Hour:
    """An hour's executions by how they ended; `label` is when it begins, as in 14:00."""

    label: str
    completed: int = 0
    failed: int = 0
    cancelled: int = 0

    @property
    def total(self) -> int:
        return self.completed + self.failed + self.cancelled

    @property
    def success_rate(self) -> float | None:
        """0.0–1.0 of those that completed or failed; None where there are none."""
        counted = self.completed + self.failed
        return self.completed / counted if counted else None

    @property
    def success_text(self) -> str:
        return "" if self.success_rate is None else f"{self.success_rate:.1%}"


@dataclass(frozen=True, slots=True)
class Tick:
    """A text on an axis: where it stands, in units of the drawing."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a bar; `kind` is a status."""

    kind: str
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Bar:
    """An hour's executions, from the bottom up; `title` says it in words."""

    x: float
    title: str
    segments: tuple[Segment, ...]


@dataclass(frozen=True, slots=True)
class Point:
    """An hour's success rate; `title` says it in words."""

    x: float
    y: float
    title: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing of WIDTH × HEIGHT units: bars, or points and the lines that join neighbours ("x,y x,y …")."""

    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    bars: tuple[Bar, ...] = ()
    points: tuple[Point, ...] = ()
    lines: tuple[str, ...] = ()
    bar_width: float = 0
    width: int = field(default=WIDTH, init=False)
    height: int = field(default=HEIGHT, init=False)
    left: int = field(default=_LEFT, init=False)
    right: int = field(default=WIDTH - _RIGHT, init=False)
    bottom: int = field(default=HEIGHT - _BOTTOM, init=False)


def throughput(hours: Sequence[Hour]) -> Chart:
    """A stacked bar for each hour: completed at the bottom, then failed, then cancelled."""
    top, step = _scale(max((hour.total for hour in hours), default=0))
    ticks = tuple(Tick(_y(value / top), f"{value:,}") for value in range(0, top + 1, step))
    slot = _slot(hours)
    bars = tuple(_bar(index, hour, slot, top) for index, hour in enumerate(hours))
    return Chart(_x_ticks(hours), ticks, bars=bars, bar_width=round(slot * (1 - _GAP), 2))


def success_rates(hours: Sequence[Hour]) -> Chart:
    """A point for each hour in which something completed or failed; neighbouring hours are joined.

    The axis begins where the worst hour can still be told from the others.
    """
    slot = _slot(hours)
    worst = min((rate for hour in hours if (rate := hour.success_rate) is not None), default=0)
    low = next(low for low in _LOWS if low <= worst * 100)
    points = tuple(_point(index, hour, slot, low) for index, hour in enumerate(hours))
    ticks = tuple(Tick(_y(part / 4), f"{low + (100 - low) * part / 4:g} %") for part in range(5))
    return Chart(_x_ticks(hours), ticks, points=tuple(point for point in points if point), lines=tuple(_lines(points)))


def _scale(largest: int) -> tuple[int, int]:
    """(top, step) of an axis from 0: at most four steps of 1, 2 or 5 times a power of ten."""
    power = 1
    while True:
        for step in (power, 2 * power, 5 * power):
            if step * 4 >= largest:
                return max(-(-largest // step), 1) * step, step
        power *= 10


def _bar(index: int, hour: Hour, slot: float, top: int) -> Bar:
    segments, below = [], 0
    for kind, count in (("completed", hour.completed), ("failed", hour.failed), ("cancelled", hour.cancelled)):
        if count:
            low, below = below, below + count
            height = round(_PLOT_HEIGHT * (below - low) / top, 2)
            segments.append(Segment(kind, _y(below / top), height))
    title = f"{hour.label}: {hour.completed:,} completed, {hour.failed:,} failed, {hour.cancelled:,} cancelled"
    return Bar(round(_LEFT + index * slot + slot * _GAP / 2, 2), title, tuple(segments))


def _point(index: int, hour: Hour, slot: float, low: int) -> Point | None:
    rate = hour.success_rate
    if rate is None:
        return None
    title = f"{hour.label}: {hour.success_text} of {hour.completed + hour.failed:,}"
    return Point(_middle(index, slot), _y((rate * 100 - low) / (100 - low)), title)


def _lines(points: Sequence[Point | None]) -> Iterator[str]:
    run: list[str] = []
    for point in (*points, None):
        if point is not None:
            run.append(f"{point.x},{point.y}")
            continue
        if len(run) > 1:
            yield " ".join(run)
        run = []


def _x_ticks(hours: Sequence[Hour]) -> tuple[Tick, ...]:
    slot = _slot(hours)
    # The hour that is not over is the last; counted back from it, its label stays where it is.
    return tuple(
        Tick(_middle(index, slot), hour.label)
        for index, hour in enumerate(hours)
        if (len(hours) - 1 - index) % _LABEL_EVERY == 0
    )


def _slot(hours: Sequence[Hour]) -> float:
    return _PLOT_WIDTH / max(len(hours), 1)


def _middle(index: int, slot: float) -> float:
    return round(_LEFT + (index + 0.5) * slot, 2)


def _y(share: float) -> float:
    return round(_TOP + _PLOT_HEIGHT * (1 - share), 2)
