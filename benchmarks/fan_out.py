"""What a fan-out costs: 100 components beside one another and a join, and a plain Celery chord beside it."""

import statistics
from typing import Any

from benchmarks.report import Figure, Report, show
from benchmarks.stack import Stack, light, platform

WIDTH = 100
RUNS = 7
WARM_UP = 2


def measure(stack: Stack) -> Report:
    """Needs a platform with the plain worker."""
    from benchmarks.plain_celery import run_chord  # noqa: PLC0415 - it reads REDIS_URL

    workflow = stack.workflow("fan-out", *fan_out(WIDTH))
    ours: list[float] = []
    plain: list[float] = []
    for round_ in range(WARM_UP + RUNS):
        seconds = stack.run(workflow), run_chord(WIDTH)
        if round_ >= WARM_UP:
            ours.append(seconds[0])
            plain.append(seconds[1])
    yardstick = statistics.median(plain)
    return Report(
        f"A fan-out of {WIDTH} and a join",
        f"{RUNS} runs each after {WARM_UP} to warm up, in turn; from before the POST to `completed`.",
        [
            Figure(f"fan-out of {WIDTH} and a join", ours, "s", bar=0.38, plain=yardstick, digits=3),
            Figure(
                f"plain Celery chord of {WIDTH}, result backend on the same Valkey",
                plain,
                "s",
                plain=yardstick,
                digits=3,
            ),
        ],
    )


def fan_out(width: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """One component, `width` successors of it, and one that waits for them all."""
    split = {"id": "split", "type": "log", "config": {"message": "split"}}
    join = {"id": "join", "type": "transform", "config": {"output": "joined"}}
    between = [light(index) for index in range(width)]
    connections = [{"source": "split", "target": item["id"], "type": "success"} for item in between]
    connections += [{"source": item["id"], "target": "join", "type": "success"} for item in between]
    return [split, *between, join], connections


if __name__ == "__main__":
    with platform(plain=True) as running:
        show(measure(running))
