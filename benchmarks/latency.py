"""How long one component takes, from before the POST until its end is seen in the database."""

import time

from benchmarks.report import Figure, Report, percentile, show
from benchmarks.stack import Stack, light, platform

RUNS = 300
WARM_UP = 50
_POLL_SECONDS = 0.001
_PAUSE_SECONDS = 0.01


def measure(stack: Stack) -> Report:
    """Needs a platform."""
    workflow = stack.workflow("latency", [light(0)])
    client = stack.client()
    answered: list[float] = []
    seen: list[float] = []
    with stack.database() as database:
        for round_ in range(WARM_UP + RUNS):
            started = time.perf_counter()
            execution_id = client.execute(workflow)
            answer = time.perf_counter() - started
            stack.wait_for(database, execution_id, _POLL_SECONDS)
            if round_ >= WARM_UP:
                answered.append(answer * 1000)
                seen.append((time.perf_counter() - started) * 1000)
            # What follows an end (its message acknowledged, say) is not the next run's.
            time.sleep(_PAUSE_SECONDS)
    client.close()
    return Report(
        "One component",
        f"{RUNS} runs after {WARM_UP} to warm up, one at a time over one keep-alive connection; the database is asked "
        "every millisecond. Minimum and maximum are those of all runs.",
        [
            Figure("p50, POST to seen `completed`", _around(seen, 50), "ms", bar=14),
            Figure("p95, POST to seen `completed`", _around(seen, 95), "ms", bar=30),
            Figure("p50, POST to its answer", _around(answered, 50), "ms"),
        ],
    )


def _around(samples: list[float], percent: int) -> list[float]:
    """Samples whose median is the percentile, and whose ends are those of all."""
    return [min(samples), percentile(samples, percent), max(samples)]


if __name__ == "__main__":
    with platform() as running:
        show(measure(running))
