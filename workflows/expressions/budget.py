"""What one evaluation may cost: the limits, and the counter that runs down."""

from dataclasses import dataclass
from datetime import datetime

from workflows.expressions.errors import ExpressionError

TEXT_OVERHEAD_BYTES = 49
LIST_OVERHEAD_BYTES = 56


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one call of `render` or `evaluate_condition`, shared by all expressions in it."""

    source_chars: int = 50_000
    """Characters of expression source. (One string may hold 5,000 of them, whatever this says.)"""
    steps: int = 300_000
    """Nodes visited, items iterated, and pieces of 256 characters processed."""
    depth: int = 64
    """Nesting of lists and objects in what is rendered, read from JSON text or returned."""
    output_bytes: int = 8 * 1024 * 1024
    """Size of all the texts, lists and objects made on the way, and of the results."""


class Budget:
    """Counts one call's cost down from its limits, and holds the call's `now`.

    Cost is taken before the work or the memory is, so that nothing large is ever begun.
    """

    __slots__ = ("bytes_left", "limits", "now", "source_chars_left", "steps_left")

    def __init__(self, limits: Limits, now: datetime) -> None:
        self.limits = limits
        self.now = now
        self.steps_left = limits.steps
        self.bytes_left = limits.output_bytes
        self.source_chars_left = limits.source_chars

    def read_source(self, chars: int) -> None:
        """Take the cost of `chars` characters of expression source. Raises ExpressionError (budget)."""
        self.source_chars_left -= chars
        if self.source_chars_left < 0:
            raise ExpressionError(
                f"the expressions are longer than {self.limits.source_chars:,} characters", kind="budget"
            )

    def spend(self, steps: int) -> None:
        """Take the cost of `steps` steps. Raises ExpressionError (budget)."""
        self.steps_left -= steps
        if self.steps_left < 0:
            raise ExpressionError(f"evaluation takes more than {self.limits.steps:,} steps", kind="budget")

    def allocate(self, size: int) -> None:
        """Take the cost of `size` bytes of new data. Raises ExpressionError (budget)."""
        self.bytes_left -= size
        if self.bytes_left < 0:
            raise ExpressionError(
                f"evaluation makes more than {self.limits.output_bytes:,} bytes of data", kind="budget"
            )

    def allocate_text(self, chars: int) -> None:
        """Take the cost of making one text of `chars` characters."""
        self.spend(1 + (chars >> 8))
        self.allocate(chars + TEXT_OVERHEAD_BYTES)

    def allocate_list(self, items: int) -> None:
        """Take the cost of making one list of `items` items that exist already."""
        self.spend(1 + items)
        self.allocate(8 * items + LIST_OVERHEAD_BYTES)
