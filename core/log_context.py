"""What a log line is about, beside the request: bound once, and then on every line that is written inside."""

from collections.abc import Mapping
from contextvars import ContextVar

NOTHING: Mapping[str, str | int] = {}

# Who writes this process's lines: a worker's name, "" in others. Set before a worker forks.
worker = ""

_facts: ContextVar[Mapping[str, str | int]] = ContextVar("log_facts", default=NOTHING)


def bind_facts(facts: Mapping[str, str | int]) -> None:
    """From here on in this context, lines are about this and nothing else: `execution_id`, `component_id` and so on."""
    _facts.set(facts)


def bound_facts() -> Mapping[str, str | int]:
    """What lines are about now."""
    return _facts.get()
