"""Figures beside their bars and beside plain Celery: as a table on the terminal, or as Markdown for RESULTS.md."""

import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table

COLUMNS = ("case", "median", "min", "max", "bar", "within", "of plain Celery")


@dataclass(frozen=True)
class Figure:
    """One measured case; `samples` in `unit`. The bar is an upper bound, or with `more_is_better` a lower one.

    `plain` is what the yardstick took in the same run and unit.
    """

    case: str
    samples: Sequence[float]
    unit: str
    bar: float | None = None
    more_is_better: bool = False
    plain: float | None = None
    digits: int = 1

    @property
    def median(self) -> float:
        return statistics.median(self.samples)

    def cells(self) -> tuple[str, ...]:
        """As COLUMNS."""
        figures = (self.median, min(self.samples), max(self.samples))
        values = [f"{value:.{self.digits}f} {self.unit}" for value in figures]
        if self.bar is None:
            bar = within = ""
        else:
            good = self.median >= self.bar if self.more_is_better else self.median <= self.bar
            bar = f"{'≥' if self.more_is_better else '≤'} {self.bar:.3g} {self.unit}"
            within = "yes" if good else "NO"
        return (self.case, *values, bar, within, f"{self.median / self.plain:.2f}" if self.plain else "")


@dataclass
class Report:
    """The figures that answer one question, and what a reader has to know of how they were taken."""

    question: str
    note: str
    figures: list[Figure] = field(default_factory=list)

    def table(self) -> Table:
        table = Table(*COLUMNS, title=self.question, caption=self.note)
        for figure in self.figures:
            table.add_row(*figure.cells())
        return table

    def markdown(self) -> str:
        rows = [COLUMNS, tuple("---" for _ in COLUMNS), *(figure.cells() for figure in self.figures)]
        lines = "\n".join("| " + " | ".join(row) + " |" for row in rows)
        return f"## {self.question}\n\n{self.note}\n\n{lines}\n"


def show(*reports: Report) -> None:
    """Print the reports; as Markdown if the command line says so."""
    for report in reports:
        if "--markdown" in sys.argv[1:]:
            print(report.markdown())
        else:
            Console().print(report.table())


def percentile(samples: Sequence[float], percent: int) -> float:
    """The value that `percent` of the samples do not exceed (nearest rank)."""
    ordered = sorted(samples)
    return ordered[max(-(-len(ordered) * percent // 100) - 1, 0)]
