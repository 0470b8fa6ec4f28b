"""How many executions a second: 200 of three components, one by one and in batches, beside plain Celery chains."""

import statistics
import threading
import time
from collections.abc import Callable

from benchmarks.report import Figure, Report, show
from benchmarks.stack import Client, Stack, chain, platform

EXECUTIONS = 200
LENGTH = 3
CLIENTS = 4
BATCH = 100
RUNS = 5
WARM_UP = 1


def measure(stack: Stack) -> Report:
    """Needs a platform with the plain worker."""
    from benchmarks.plain_celery import run_chains  # noqa: PLC0415 - it reads REDIS_URL

    workflow = stack.workflow("throughput", *chain(LENGTH))
    clients = [stack.client() for _ in range(CLIENTS)]
    single: list[float] = []
    batched: list[float] = []
    plain: list[float] = []
    for round_ in range(WARM_UP + RUNS):
        rates = (
            EXECUTIONS / _until_done(stack, workflow, lambda: _post_each(clients, workflow)),
            EXECUTIONS / _until_done(stack, workflow, lambda: _post_batches(clients[0], workflow)),
            EXECUTIONS / run_chains(LENGTH, EXECUTIONS),
        )
        if round_ >= WARM_UP:
            for samples, rate in zip((single, batched, plain), rates, strict=True):
                samples.append(rate)
    for client in clients:
        client.close()
    yardstick = statistics.median(plain)
    return Report(
        f"{EXECUTIONS} executions of {LENGTH} components",
        f"{RUNS} runs each after {WARM_UP} to warm up, in turn; from before the first request to the last `completed`. "
        "Here a ratio above 1 is faster than plain Celery.",
        [
            Figure(f"single POSTs of {CLIENTS} clients", single, "/s", bar=100, more_is_better=True, plain=yardstick),
            Figure(f"`execute-batch` of {BATCH}", batched, "/s", bar=200, more_is_better=True, plain=yardstick),
            Figure(f"plain Celery chains of {LENGTH}, nothing durable", plain, "/s", plain=yardstick),
        ],
    )


def _until_done(stack: Stack, workflow: str, post: Callable[[], None]) -> float:
    started = time.time()
    post()
    return stack.wait_for_all(workflow) - started


def _post_each(clients: list[Client], workflow: str) -> None:
    def post(client: Client) -> None:
        for _ in range(EXECUTIONS // CLIENTS):
            client.execute(workflow)

    threads = [threading.Thread(target=post, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _post_batches(client: Client, workflow: str) -> None:
    for _ in range(EXECUTIONS // BATCH):
        client.execute_batch(workflow, BATCH)


if __name__ == "__main__":
    with platform(plain=True) as running:
        show(measure(running))
