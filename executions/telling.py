"""What of an attempt may be told: nothing that its execution hides, and nothing that it made of something secret.

Three nets. By name and by value, as core.redact has it; the values are what the execution hides, and the texts that
the attempt's own expressions made of secrets. By place: what comes out different in the attempt's shadow (core.taint)
reads [REDACTED], however short it is, and if it is a number or a boolean, too.
"""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

from core.redact import REDACTED, Redactor
from core.taint import Difference, substitute, without_differences
from core.types import JSONObject, JSONValue
from executions.attempts import Attempt, Shadow
from executions.bounds import BoundedList, dropped_lines, plain_lines
from workflows.components.base import Child, Completed, Failed, LogLine, Loop, Outcome, WaitingForSignal

# What a yes or no is written as stands in too many other texts; its own place hides it.
_COMMON = frozenset({"true", "false", "null"})


# Of what differs, so many are searched for by value, the longest first: each is looked for in all that is told.
MAX_SEARCHED = 100


def _searched_for(shadow: Shadow) -> Sequence[Difference]:
    """The texts that cannot be hidden by their place: those of a component that was not run in the shadow.

    A whole document may differ in what stands under secret-looking names, in words that stand everywhere.
    """
    if shadow.outcome is not None:
        return ()
    return sorted(shadow.differences, key=lambda pair: (-len(pair[0] or ""), pair[0] or "", pair[1] or ""))[
        :MAX_SEARCHED
    ]


class Telling:
    """What may be told of an execution that hides these texts, or of one attempt in it (`about`).

    `shadow_hidden`: the texts of the attempt's shadow that stand where it has hidden ones.
    """

    def __init__(
        self, hidden: frozenset[str], shadow_hidden: frozenset[str] = frozenset(), attempt: Attempt | None = None
    ) -> None:
        self.hidden = hidden
        self.hides_anything = bool(hidden) or attempt is not None
        self._redactor = Redactor(hidden)
        self._shadow_hidden = shadow_hidden
        self._outcome = None if attempt is None else attempt.outcome
        self._shadow = None if attempt is None or attempt.shadow is None else attempt.shadow.outcome

    @cached_property
    def _shadow_redactor(self) -> Redactor:
        return Redactor(self.hidden | self._shadow_hidden)

    def about(self, attempt: Attempt) -> "Telling":
        """The same for an attempt that has been run. Its log lines are changed to what may be told of them."""
        if attempt.shadow is None:
            return self
        hidden = set(self.hidden)
        shadow_hidden: set[str] = {substitute(text) for text in self.hidden}
        base = Redactor(self.hidden | shadow_hidden)
        for real, shadow in _searched_for(attempt.shadow):
            if real and shadow and self._redactor.redact_text(real) == base.redact_text(shadow):
                continue  # it is what is hidden anyway that makes the difference
            if real is not None and real not in _COMMON:
                hidden.add(real)
            if shadow is not None and shadow not in _COMMON:
                shadow_hidden.add(shadow)
        telling = Telling(frozenset(hidden), frozenset(shadow_hidden), attempt)
        if attempt.shadow.outcome is not None:
            attempt.lines = telling._told_lines(attempt.lines, attempt.shadow.lines)
        return telling

    def text(self, text: str) -> str:
        """A text without what is hidden by value."""
        return self._redactor.redact_text(text)

    def value(self, value: JSONValue) -> JSONValue:
        """A value without what is hidden by name and by value."""
        return self._redactor.redact(value)

    def output(self, outcome: Completed) -> JSONValue:
        """The output as it may be shown; an equal value if it holds nothing secret."""
        return self._by_place(outcome, lambda found: found.output)

    def error(self, outcome: Failed) -> JSONObject:
        """A failure as it is stored."""
        error = {"code": str(outcome.code), "message": self._by_place(outcome, lambda found: found.message)}
        if not outcome.details:
            return error
        details = self._by_place(outcome, lambda found: found.details)
        return {**error, "details": details if isinstance(details, dict) else {"omitted": REDACTED}}

    def items(self, outcome: Loop) -> list[JSONValue]:
        """The items of a loop as they may be shown."""
        shown = self._by_place(outcome, lambda found: list(found.items))
        return shown if isinstance(shown, list) else [REDACTED] * len(outcome.items)

    def is_secret(self, outcome: WaitingForSignal) -> bool:
        """Whether the name of the signal, or who may send it, tells something secret."""
        named = [outcome.signal, *outcome.approvers]
        return bool(self._by_place(outcome, lambda found: [found.signal, *found.approvers]) != named)

    def masks(self, outcome: Child) -> JSONObject:
        """Of the parameters given to a child, those that hold something secret, as they may be shown."""
        shown = self._by_place(outcome, lambda found: found.parameters, by_name=False)
        if not isinstance(shown, dict):
            shown = {}
        told = {name: shown.get(name, REDACTED) for name in outcome.parameters}
        return {name: value for name, value in told.items() if value != outcome.parameters[name]}

    def _by_place(self, outcome: Outcome, read: Callable[[Any], JSONValue], *, by_name: bool = True) -> JSONValue:
        """What `read` finds in the outcome, as it may be told; `read` knows which kind of outcome it gets."""
        shown = self._redactor.redact(read(outcome), by_name=by_name)
        # Other outcomes are the engine's, and say nothing that the component made.
        if self._shadow is None or outcome is not self._outcome:
            return shown
        if type(self._shadow) is not type(outcome):
            return REDACTED
        try:
            return without_differences(shown, self._shadow_redactor.redact(read(self._shadow), by_name=by_name))
        except (TypeError, RecursionError):
            # The shadow's is no JSON, where the real one is.
            return REDACTED

    def _told_lines(self, lines: list[LogLine], shadow_lines: list[LogLine]) -> list[LogLine]:
        real, shadow = list(plain_lines(lines)), list(plain_lines(shadow_lines))
        told: BoundedList[LogLine] = BoundedList()
        alike = len(real) == len(shadow) and dropped_lines(lines) == dropped_lines(shadow_lines)
        for place, (timestamp, level, message, metadata) in enumerate(real):
            shown, others = self.value([message, metadata]), [REDACTED, {}]
            if alike and shadow[place][1] == level:
                others = self._shadow_redactor.redact(list(shadow[place][2:]))
            shown = without_differences(shown, others)
            metadata = shown[1] if isinstance(shown[1], dict) else {}
            told.append(LogLine(timestamp, level, shown[0], metadata))  # type: ignore[arg-type]  # a level it is
        told.dropped = dropped_lines(lines)
        return told
