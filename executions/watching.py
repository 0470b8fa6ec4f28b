"""What is told of executions and attempts while a worker works on them: to metrics, traces and log lines.

Never what an attempt was given or gave.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from core import measures, tracing
from core.log_context import bind_facts
from executions.transitions.statements import ExecutionEnd, Held
from workflows.definition import ComponentSpec


class Watched:
    """One attempt; `outcome` is what came of it."""

    def __init__(self) -> None:
        self.outcome = "handed_over"
        self._began = time.perf_counter()
        self.seconds: float | None = None

    def ran(self) -> None:
        """The component is done; recording what it did is the platform's own time."""
        self.seconds = time.perf_counter() - self._began


@contextmanager
def watched(run: Held, component: ComponentSpec, execution: Mapping[str, Any]) -> Iterator[Watched]:
    """Counts the attempt in the block, has a span for it, and has every line that is logged in it say whose it is."""
    key = run.key
    about = {"execution_id": key.execution_id}
    facts: dict[str, str | int] = {**about, "component_id": component.id, "attempt": key.attempt}
    bind_facts(facts)
    watch = Watched()
    parent = tracing.of_execution(key.execution_id, execution["traceparent"])
    with tracing.span(component.type, kind="consumer", parent=parent) as span:
        try:
            yield watch
        finally:
            measures.COMPONENT_ATTEMPTS.count(component.type, watch.outcome)
            if watch.seconds is not None:
                measures.COMPONENT_SECONDS.observe(watch.seconds, component.type)
            span.set("apg.execution_id", key.execution_id)
            span.set("apg.component_id", component.id)
            span.set("apg.component_type", component.type)
            span.set("apg.attempt", key.attempt)
            span.set("apg.outcome", watch.outcome)
            if watch.outcome in {"failed", "retried"}:
                span.fail(watch.outcome)
            bind_facts(about)


def ended(execution_id: str, end: ExecutionEnd) -> None:
    """An execution has ended, and that is committed."""
    status = str(end.status)
    measures.EXECUTIONS_ENDED.count(status)
    if end.started_at is not None:
        measures.EXECUTION_SECONDS.observe((end.completed_at - end.started_at).total_seconds(), status)
    tracing.execution_ended(execution_id, end.traceparent, start=end.created_at, end=end.completed_at, status=status)
