"""What a loop costs: `for_each` over 1,000 items with one light component as its body."""

from benchmarks.report import Figure, Report, show
from benchmarks.stack import Stack, platform

ITEMS = 1000
RUNS = 5
WARM_UP = 1


def measure(stack: Stack) -> Report:
    """Needs a platform."""
    figures = []
    for concurrency, bar in ((1, None), (10, 3.0)):
        body = [{"id": "double", "type": "transform", "config": {"output": "{{ item * 2 }}"}}]
        config = {"items": f"{{{{ range({ITEMS}) }}}}", "components": body, "max_concurrency": concurrency}
        loop = {"id": "loop", "type": "for_each", "config": config}
        end = {"id": "end", "type": "end", "config": {"output": "{{ loop.output | length }}"}}
        connections = [{"source": "loop", "target": "end", "type": "success"}]
        workflow = stack.workflow(f"loop {concurrency}", [loop, end], connections)
        seconds = [stack.run(workflow) for _ in range(WARM_UP + RUNS)][WARM_UP:]
        figures.append(Figure(f"{ITEMS} items, max_concurrency {concurrency}", seconds, "s", bar=bar, digits=2))
    return Report(
        f"A loop over {ITEMS} light items",
        f"{RUNS} runs each after {WARM_UP} to warm up; from before the POST to `completed`.",
        figures,
    )


if __name__ == "__main__":
    with platform() as running:
        show(measure(running))
