"""Counting in this process: counters and histograms that cost a microsecond, and gauges that are asked when sent.

What is counted here is sent on by `core.metrics_sending` and added up for the whole platform there. Nothing here asks
anybody or can fail. The metrics themselves are in `core.measures`.
"""

import os
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from threading import Lock
from typing import Literal, NamedTuple

# A metric's name, its labels' values, and which part of it: "" of a counter, of a histogram a bucket's place or "sum".
Series = tuple[str, ...]

SUM = "sum"
# From a query of PostgreSQL to a component that runs for an hour.
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0)
# Of a request, or a call, that somebody waits for.
SHORT_SECONDS = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


_PLACES = tuple(map(str, range(100)))


class Totals:
    """Sums by series, until they are taken; safe among threads, and empty in a process that was just forked."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._sums: dict[Series, float] = {}
        os.register_at_fork(after_in_child=self._begin_anew)

    def _begin_anew(self) -> None:
        # The lock too: a thread of the parent may have held it.
        self._lock = Lock()
        self._sums = {}

    def add(self, series: Series, amount: float) -> None:
        """Add to one series."""
        with self._lock:
            self._sums[series] = self._sums.get(series, 0.0) + amount

    def add_both(self, one: Series, other: Series, amount: float) -> None:
        """Add 1 to the first and the amount to the second."""
        with self._lock:
            sums = self._sums
            sums[one] = sums.get(one, 0.0) + 1
            sums[other] = sums.get(other, 0.0) + amount

    def take(self) -> dict[Series, float]:
        """All sums since the last time."""
        with self._lock:
            taken, self._sums = self._sums, {}
        return taken

    def __bool__(self) -> bool:
        return bool(self._sums)


totals = Totals()


@dataclass(frozen=True)
class Metric:
    """What every metric says of itself. `labels` are names; `values` those of a label that are known beforehand, and
    are told as 0 before anything is counted, if they are known of all labels.
    """

    name: str
    help: str
    labels: tuple[str, ...] = ()
    values: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def known(self) -> Iterable[tuple[str, ...]]:
        """The values of all labels, in order, as far as they are known beforehand."""
        if set(self.values) != set(self.labels):
            return ()
        return product(*(self.values[label] for label in self.labels))


class Counter(Metric):
    """Only ever grows; its name ends in `_total`."""

    def count(self, *values: str, amount: float = 1) -> None:
        """One more, or so many; `values` are those of the labels, in order."""
        totals.add((self.name, *values, ""), amount)


@dataclass(frozen=True)
class Histogram(Metric):
    """How often something took how long, in seconds; `bounds` are the upper ends of its buckets."""

    bounds: tuple[float, ...] = SECONDS

    def observe(self, seconds: float, *values: str) -> None:
        """It took so long this time; `values` are those of the labels, in order."""
        name = self.name
        totals.add_both((name, *values, _PLACES[bisect_left(self.bounds, seconds)]), (name, *values, SUM), seconds)


@dataclass(frozen=True)
class ProcessGauge(Metric):
    """A number that each web process has; told as their sum, or as the largest."""

    merge: Literal["sum", "max"] = "sum"

    def tell(self, ask: Callable[[], float]) -> None:
        """From now on this process has the number; `ask` is called from another thread."""
        asked[self.name] = ask


class Fact(Metric):
    """A number that is asked for when the metrics are: of PostgreSQL, or of the machine."""

    def sample(self, value: float, *values: str) -> "Sample":
        """It is this now; `values` are those of the labels, in order."""
        return Sample(self.name, values, float(value))


class Sample(NamedTuple):
    """A fact: the metric's name, its labels' values, the number."""

    name: str
    values: tuple[str, ...]
    value: float


asked: dict[str, Callable[[], float]] = {}
