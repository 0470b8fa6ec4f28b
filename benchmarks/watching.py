"""What watching costs: microseconds of CPU a component, and milliseconds that `/metrics` asks of PostgreSQL.

`python -m benchmarks.watching`; the second where DATABASE_URL is set, which is only read.
"""

import os
import time
from collections.abc import Callable

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
ASKS_POSTGRESQL = "DATABASE_URL" in os.environ
os.environ.setdefault("DATABASE_URL", "postgresql://nobody@127.0.0.1/none")
os.environ.setdefault("REDIS_URL", "redis://127.0.0.1")
os.environ.setdefault("APG_DEBUG", "true")

import django  # noqa: E402 - Django reads the variables

django.setup()

from rich.console import Console  # noqa: E402 - what follows needs Django set up

from benchmarks.report import percentile  # noqa: E402
from config import metrics_facts  # noqa: E402
from core import measures  # noqa: E402
from executions.transitions.statements import Held, RunKey  # noqa: E402
from executions.watching import watched  # noqa: E402
from workflows.definition import ComponentSpec, parse  # noqa: E402

ROUNDS, TIMES, ASKS = 5, 50_000, 20
BAR_MICROSECONDS, BAR_MILLISECONDS = 10.0, 50.0
_EXECUTION = {"traceparent": ""}


def component(run: Held, spec: ComponentSpec) -> None:
    """All that is counted, bound and told of one attempt that was claimed from the queue."""
    measures.QUEUE_WAIT_SECONDS.observe(0.003, "default", "5")
    with watched(run, spec, _EXECUTION) as watch:
        watch.ran()
        watch.outcome = "completed"


def best(work: Callable[[], None]) -> float:
    """Microseconds of CPU of one call, in the best of the rounds."""
    taken = []
    for _ in range(ROUNDS):
        began = time.process_time()
        for _ in range(TIMES):
            work()
        taken.append((time.process_time() - began) / TIMES * 1_000_000)
    return min(taken)


def main() -> None:
    """Print both beside their bars."""
    console = Console()
    definition = {"components": [{"id": "a", "type": "transform", "config": {"output": 1}}], "connections": []}
    run, spec = Held(RunKey("e", "r", 1), "a"), parse(definition).by_id["a"]
    console.print(f"{best(lambda: component(run, spec)):.1f} µs a component; at most {BAR_MICROSECONDS:g}")
    if ASKS_POSTGRESQL:
        taken = []
        for _ in range(ASKS):
            began = time.perf_counter()
            metrics_facts.ask_database()
            taken.append((time.perf_counter() - began) * 1000)
        asked = f"{percentile(taken, 50):.0f} ms of PostgreSQL, p95 {percentile(taken, 95):.0f}"
        console.print(f"{asked}; at most {BAR_MILLISECONDS:g}")


if __name__ == "__main__":
    main()
