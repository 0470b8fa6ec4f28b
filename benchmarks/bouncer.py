"""What PgBouncer costs a hop: the same chain on two platforms, one of which goes through it, in turn."""

from benchmarks.hop import LENGTH
from benchmarks.report import Figure, Report, show
from benchmarks.stack import Stack, chain, light, platform

RUNS = 11
WARM_UP = 3
POOL = 10


def measure(direct: Stack, through: Stack) -> Report:
    """Chains and single components, on both."""
    figures: dict[str, list[float]] = {}
    stacks = {"direct, statements prepared": direct, f"through PgBouncer, a pool of {POOL}": through}
    workflows = {
        name: (stack.workflow("one", [light(0)]), stack.workflow("chain", *chain(LENGTH)))
        for name, stack in stacks.items()
    }
    for round_ in range(WARM_UP + RUNS):
        for name, stack in stacks.items():
            one, long = workflows[name]
            for case, workflow_id in ((f"chain of {LENGTH}", long), ("one component", one)):
                seconds = stack.run(workflow_id)
                if round_ >= WARM_UP:
                    figures.setdefault(f"{case}, {name}", []).append(seconds * 1000)
    return Report(
        "The same through PgBouncer",
        f"A chain of {LENGTH} light components and a single one, {RUNS} runs each after {WARM_UP} to warm up, in "
        "turn on two platforms on the same cores; from before the POST to `completed`.",
        [Figure(name, samples, "ms") for name, samples in sorted(figures.items())],
    )


if __name__ == "__main__":
    with platform() as one, platform(pool=POOL) as other:
        show(measure(one, other))
