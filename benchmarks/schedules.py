"""How late slots are started when 200 schedules are due in one second."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.report import Figure, Report, percentile, show
from benchmarks.stack import Stack, light, platform

SCHEDULES, ROUNDS = 200, 5
LATE_SECONDS = 2.0
_AHEAD_SECONDS = 5
_TIMEOUT_SECONDS = 60

# One instant for all, an hour before the next: no slot falls into the measurement but this.
_AIM = """
UPDATE workflows_trigger SET anchor_at = at.slot, next_at = at.slot
FROM (SELECT date_trunc('second', clock_timestamp()) + make_interval(secs => %s) AS slot) AS at
WHERE live RETURNING at.slot
"""
_LATENESS = """
SELECT extract(epoch FROM execution.created_at - slot.slot_at)
FROM workflows_slot AS slot JOIN executions_execution AS execution ON execution.id = slot.execution_id
WHERE slot.slot_at = %s
"""


def measure(stack: Stack) -> Report:
    """Needs a platform."""
    client = stack.client()
    for number in range(SCHEDULES):
        start = {"id": "start", "type": "start", "config": {
            "trigger_type": "schedule", "interval_seconds": 3600, "overlap": "allow", "catchup": "all",
        }}  # fmt: skip
        connection = {"source": "start", "target": "c0", "type": "success"}
        workflow = stack.workflow(f"schedule {number}", [start, light(0)], [connection])
        client.call("POST", f"/workflows/{workflow}/activate", {})
    client.close()
    p50, p99, worst = [], [], []
    with _beat(stack), stack.database() as database:
        for _ in range(ROUNDS):
            row = database.execute(_AIM, [_AHEAD_SECONDS]).fetchone()
            assert row is not None
            deadline = time.monotonic() + _TIMEOUT_SECONDS
            while len(late := [float(each[0]) for each in database.execute(_LATENESS, [row[0]])]) < SCHEDULES:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{len(late)} of {SCHEDULES} slots were started within {_TIMEOUT_SECONDS} s")
                time.sleep(0.2)
            p50.append(percentile(late, 50))
            p99.append(percentile(late, 99))
            worst.append(max(late))
            stack.wait_until_idle()
    return Report(
        "200 schedules due in one second",
        f"{SCHEDULES} schedules of one owner due in the same instant, {ROUNDS} times, with one beat and one "
        "worker that also runs what they start. From the slot to its execution's row, by the database's clock. Each "
        "figure is the median of the rounds.",
        [
            Figure("lateness, p50", p50, "s"),
            Figure("lateness, p99", p99, "s", bar=LATE_SECONDS),
            Figure("lateness, the last slot", worst, "s"),
        ],
    )


@contextmanager
def _beat(stack: Stack) -> Iterator[None]:
    with TemporaryDirectory() as folder:
        schedule = str(Path(folder) / "beat")
        command = [
            sys.executable,
            "-m",
            "celery",
            "-A",
            "config",
            "beat",
            "-l",
            "WARNING",
            "--pidfile=",
            "-s",
            schedule,
        ]
        beat = subprocess.Popen(command, env=stack.environment, stdout=subprocess.DEVNULL, start_new_session=True)
        try:
            yield
        finally:
            beat.terminate()
            beat.wait(30)


if __name__ == "__main__":
    with platform() as running:
        show(measure(running))
