"""Whether memory grows: web process, worker's parent and its children over 100,000 executions."""

import argparse
import statistics
import sys

import psutil
from rich.console import Console
from rich.progress import Progress

from benchmarks.report import Figure, Report, show
from benchmarks.stack import Stack, chain, platform

EXECUTIONS = 100_000
LENGTH = 3
_BATCH = 100
_SAMPLE_EVERY = 1_000
# What is loaded on first use, and caches that fill up, are no leak.
_WARM_UP_SHARE = 0.2
_BAR_MB = 1.0


def measure(stack: Stack, executions: int = EXECUTIONS) -> Report:
    """Needs a platform."""
    workflow = stack.workflow("memory", *chain(LENGTH))
    client = stack.client()
    processes = _processes(stack)
    counts: list[int] = []
    sizes: dict[str, list[float]] = {name: [] for name in processes}
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("executions", total=executions)
        for done in range(_SAMPLE_EVERY, executions + 1, _SAMPLE_EVERY):
            for _ in range(_SAMPLE_EVERY // _BATCH):
                client.execute_batch(workflow, _BATCH)
            stack.wait_until_idle()
            counts.append(done)
            for name, process in processes.items():
                sizes[name].append(_megabytes(process))
            progress.update(task, completed=done)
    client.close()
    warm = int(len(counts) * _WARM_UP_SHARE)
    figures = []
    for name, megabytes in sizes.items():
        slope = statistics.linear_regression(counts[warm:], megabytes[warm:]).slope * 10_000
        figures.append(Figure(f"{name}: slope over 10,000 executions", [slope], "MB", bar=_BAR_MB, digits=2))
        figures.append(Figure(f"{name}: size", megabytes[warm:], "MB"))
    return Report(
        f"Memory over {executions:,} executions of {LENGTH} components",
        "Proportional set size, sampled every 1,000 executions when all of them had completed; a line fitted after "
        "the first fifth.",
        figures,
    )


def _processes(stack: Stack) -> dict[str, psutil.Process]:
    parent = psutil.Process(stack.pids["worker"])
    children = {f"worker child {index}": child for index, child in enumerate(parent.children(), 1)}
    return {"web": psutil.Process(stack.pids["web"]), "worker parent": parent, **children}


def _megabytes(process: psutil.Process) -> float:
    return float(process.memory_full_info().pss) / 1_000_000


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--executions", type=int, default=EXECUTIONS)
    parser.add_argument("--markdown", action="store_true")
    arguments = parser.parse_args()
    if arguments.executions < 10 * _SAMPLE_EVERY:
        sys.exit(f"at least {10 * _SAMPLE_EVERY} executions, for a line to be fitted")
    with platform() as running:
        show(measure(running, arguments.executions))
