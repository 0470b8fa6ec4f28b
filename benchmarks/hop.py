"""What a hop costs: a chain of 40 light components, and a plain Celery chain of 40 beside it in the same run."""

import statistics

from benchmarks.report import Figure, Report, show
from benchmarks.stack import Stack, chain, light, platform

LENGTH = 40
RUNS = 7
WARM_UP = 3


def measure(stack: Stack) -> Report:
    """Needs a platform with the plain worker."""
    from benchmarks.plain_celery import run_chains  # noqa: PLC0415 - it reads REDIS_URL

    one, long = stack.workflow("one", [light(0)]), stack.workflow("chain", *chain(LENGTH))
    ours: list[float] = []
    single: list[float] = []
    plain: list[float] = []
    # In turn, not one after the other: the machine's speed drifts.
    for round_ in range(WARM_UP + RUNS):
        seconds = stack.run(long), stack.run(one), run_chains(LENGTH)
        if round_ >= WARM_UP:
            for samples, value in zip((ours, single, plain), seconds, strict=True):
                samples.append(value * 1000)
    yardstick = statistics.median(plain)
    return Report(
        f"A chain of {LENGTH} light components",
        f"{RUNS} runs each after {WARM_UP} to warm up, in turn; from before the POST to `completed`.",
        [
            Figure(f"chain of {LENGTH} `log`/`transform`", ours, "ms", bar=120, plain=yardstick),
            Figure("one component", single, "ms"),
            Figure(f"plain Celery chain of {LENGTH}, nothing durable", plain, "ms", plain=yardstick),
        ],
    )


if __name__ == "__main__":
    with platform(plain=True) as running:
        show(measure(running))
