"""What a hop costs: one component, a chain of 40, and a plain Celery chain of 40 beside them in the same run."""

import os
import statistics
import sys
import time
from collections.abc import Callable

from rich.console import Console
from rich.table import Table

from benchmarks.stack import CONCURRENCY, platform

LENGTH = 40
RUNS = 7
WARM_UP = 3


def main() -> None:
    """Print the table; medians of RUNS after WARM_UP."""
    worker = [
        sys.executable,
        "-m",
        "celery",
        "-A",
        "benchmarks.plain_celery",
        "worker",
        "-Q",
        "plain",
        "-c",
        str(CONCURRENCY),
        "-l",
        "warning",
        "--without-gossip",
        "--without-mingle",
        "--without-heartbeat",
    ]
    with platform([worker]) as stack:
        os.environ["REDIS_URL"] = stack.redis_url
        from benchmarks.plain_celery import run_chain  # noqa: PLC0415 - it reads REDIS_URL

        one = stack.workflow("one", [_component(0)], [])
        components = [_component(index) for index in range(LENGTH)]
        connections = [{"source": f"c{i}", "target": f"c{i + 1}", "type": "success"} for i in range(LENGTH - 1)]
        chain = stack.workflow("chain", components, connections)
        cases: dict[str, Callable[[], float]] = {
            f"chain of {LENGTH}, POST to completed": lambda: stack.run(chain),
            "one component, POST to completed": lambda: stack.run(one),
            f"plain Celery chain of {LENGTH}, nothing durable": lambda: _timed(lambda: run_chain(LENGTH)),
        }
        # In turn, not one after the other: the machine's speed drifts.
        times: dict[str, list[float]] = {name: [] for name in cases}
        for round_ in range(WARM_UP + RUNS):
            for name, case in cases.items():
                seconds = case()
                if round_ >= WARM_UP:
                    times[name].append(seconds)
    plain = statistics.median(times[f"plain Celery chain of {LENGTH}, nothing durable"])
    table = Table("case", "median ms", "min", "max", "of plain Celery", title=f"Hop ({RUNS} runs each)")
    for name, seconds_ in times.items():
        median = statistics.median(seconds_)
        cells = [f"{value * 1000:.1f}" for value in (median, min(seconds_), max(seconds_))]
        table.add_row(name, *cells, f"{median / plain:.2f}" if "chain" in name else "")
    Console().print(table)


def _component(index: int) -> dict[str, object]:
    if index % 2:
        return {"id": f"c{index}", "type": "transform", "config": {"output": {"n": index, "from": "{{ input }}"}}}
    return {"id": f"c{index}", "type": "log", "config": {"message": "component {{ execution.id }}"}}


def _timed(action: Callable[[], None]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
