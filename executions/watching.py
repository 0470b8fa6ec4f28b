"""What is told of an attempt while a worker makes it: to metrics, to log lines; never what it was given or gave."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from core import measures
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
    """Counts the attempt in the block, and has every line that is logged in it say whose it is."""
    key = run.key
    about = {"execution_id": key.execution_id}
    bind_facts({**about, "component_id": component.id, "attempt": key.attempt})
    watch = Watched()
    try:
        yield watch
    finally:
        bind_facts(about)
        measures.COMPONENT_ATTEMPTS.count(component.type, watch.outcome)
        if watch.seconds is not None:
            measures.COMPONENT_SECONDS.observe(watch.seconds, component.type)


def ended(end: ExecutionEnd) -> None:
    """An execution has ended."""
    status = str(end.status)
    measures.EXECUTIONS_ENDED.count(status)
    if end.started_at is not None:
        measures.EXECUTION_SECONDS.observe((end.completed_at - end.started_at).total_seconds(), status)
