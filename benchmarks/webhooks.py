"""How many webhooks a worker delivers, and whether a dead endpoint delays the others."""

import time

from benchmarks.far_end import FarEnd, far_end
from benchmarks.report import Figure, Report, percentile, show
from benchmarks.stack import Database, Stack, light, platform
from core.ids import to_uuid

ENDPOINTS = 20
EVENTS = 150
DRAINS = 3
STEADY_EVENTS = 60
STEADY_PAUSE_SECONDS = 0.5
_EVENT = "workflow.updated"
_INSERT = """
INSERT INTO events_event (subject_id, sequence, workflow_id, owner_id, type, data)
SELECT gen_random_uuid(), 1, workflow.id, workflow.created_by_id, %s,
       jsonb_build_object('id', %s::text, 'name', workflow.name, 'status', workflow.status, 'version', 1)
FROM workflows_workflow AS workflow, generate_series(1, %s) WHERE workflow.id = %s
"""


def measure(stack: Stack) -> list[Report]:
    """Needs a platform with the worker of webhooks."""
    with far_end() as far, stack.database() as database:
        workflow = stack.workflow("told of", [light(0)])
        hooks = [_hook(stack, f"{far.url}/{number}") for number in range(ENDPOINTS)]
        _happen(database, workflow, 10)
        _wait(far, 10 * ENDPOINTS)
        rates = [_drain(database, far, workflow) for _ in range(DRAINS)]
        well = _delays(database, far, workflow)
        stack.client().call("PATCH", f"/webhooks/{hooks[0]}", {"url": f"{far.url}/dead"})
        ill = _delays(database, far, workflow)
    return [
        Report(
            f"{EVENTS * ENDPOINTS} deliveries to {ENDPOINTS} endpoints",
            f"{EVENTS} events at once, {DRAINS} runs after one to warm up; one worker of 32 threads, the receivers in "
            "a process of their own on the same cores; from before the events' commit to the last arrival.",
            [Figure("deliveries", rates, "/s", bar=100, more_is_better=True)],
        ),
        Report(
            f"One dead endpoint among {ENDPOINTS}",
            f"{STEADY_EVENTS} events, two a second, to all endpoints; from before an event's commit to its arrival at "
            f"the {ENDPOINTS - 1} others. The dead one takes connections and never answers.",
            [
                Figure("p95 with all well", [percentile(well, 95)], "ms"),
                Figure("p95 with one dead", [percentile(ill, 95)], "ms", bar=2 * percentile(well, 95)),
                Figure("median with all well", [percentile(well, 50)], "ms"),
                Figure("median with one dead", [percentile(ill, 50)], "ms"),
            ],
        ),
    ]


def _hook(stack: Stack, url: str) -> str:
    body = {"url": url, "events": [_EVENT], "secret": "the-secret-of-a-benchmark"}
    return str(stack.client().call("POST", "/webhooks", body)["id"])


def _happen(database: Database, workflow_id: str, count: int) -> None:
    database.execute(_INSERT, [_EVENT, workflow_id, count, to_uuid(workflow_id)])


def _wait(far: FarEnd, count: int) -> None:
    """Until so many arrivals have come since the last call."""
    deadline = time.monotonic() + 120
    while len(far.arrivals) < count:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{len(far.arrivals)} of {count} deliveries came")
        time.sleep(0.01)


def _drain(database: Database, far: FarEnd, workflow_id: str) -> float:
    """Deliveries a second."""
    far.arrivals.clear()
    started = time.time()
    _happen(database, workflow_id, EVENTS)
    _wait(far, EVENTS * ENDPOINTS)
    return EVENTS * ENDPOINTS / (max(arrival.at for arrival in far.arrivals) - started)


def _delays(database: Database, far: FarEnd, workflow_id: str) -> list[float]:
    """Milliseconds from each event to its arrival at every endpoint but the first."""
    far.arrivals.clear()
    happened = []
    for _ in range(STEADY_EVENTS):
        happened.append(time.time())
        _happen(database, workflow_id, 1)
        time.sleep(STEADY_PAUSE_SECONDS)
    others = [f"/{number}" for number in range(1, ENDPOINTS)]
    deadline = time.monotonic() + 60
    while sum(arrival.path in others for arrival in far.arrivals) < STEADY_EVENTS * len(others):
        if time.monotonic() > deadline:
            raise TimeoutError("deliveries are missing")
        time.sleep(0.05)
    delays = []
    for path in others:
        came = sorted(arrival.at for arrival in far.arrivals if arrival.path == path)
        delays += [1000 * (at - since) for since, at in zip(happened, came, strict=True)]
    return delays


if __name__ == "__main__":
    with platform(webhooks=True) as running:
        show(*measure(running))
