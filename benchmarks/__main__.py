"""The quick questions, one after another on one platform; `--markdown` for RESULTS.md."""

import os
import platform as machine
import sys
from importlib.metadata import version

from benchmarks import fan_out, gate, hop, latency, loop, request, throughput
from benchmarks.report import Report, show
from benchmarks.stack import CONCURRENCY, RefusedError, Stack, platform

QUESTIONS = (latency, hop, fan_out, loop, throughput, gate, request)


def main() -> None:
    """Measure and print, each as soon as it is there."""
    with platform(plain=True) as stack:
        print(_circumstances(stack) + "\n")
        for question in QUESTIONS:
            try:
                report = question.measure(stack)
            except RefusedError as error:
                report = Report(str(question.__doc__), f"Not measured: {error}")
            show(report)
            sys.stdout.flush()


def _circumstances(stack: Stack) -> str:
    with stack.database() as database:
        row = database.execute("SELECT current_setting('server_version'), current_setting('fsync')").fetchone()
    assert row is not None
    packages = ", ".join(f"{name} {version(name)}" for name in ("Django", "celery", "kombu", "psycopg", "uvicorn"))
    return (
        f"{os.cpu_count()} cores ({machine.machine()}), {machine.system()}; everything on it: one web process, "
        f"a worker of {CONCURRENCY} processes, PostgreSQL, Valkey, the benchmark itself. "
        f"Python {machine.python_version()}, {packages}, PostgreSQL {str(row[0]).split()[0]}, `fsync` {row[1]}."
    )


if __name__ == "__main__":
    main()
