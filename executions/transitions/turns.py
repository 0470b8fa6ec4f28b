"""Whose turn it is in the queues: by priority, then fairly between owners, then by age."""

from collections.abc import Sequence

from core.ids import from_uuid, to_uuid
from executions.transitions.statements import fetch_all, fetch_one

# Whose turn it is in these queues: the highest priority that is queued; there the owner with the fewest runs running,
# then the one that has waited longest; of an owner the oldest run. Owners are found by skipping through the index, not
# by reading the queue, so that ten thousand queued runs of one cost the others nothing.
_NEXT_IN_TURN = """
WITH RECURSIVE served AS MATERIALIZED (
    SELECT name FROM unnest(%(queues)s::text[]) AS queue (name)
), top AS MATERIALIZED (
    SELECT max(head.priority) AS priority FROM served, LATERAL (
        SELECT run.priority FROM executions_componentrun AS run
        WHERE run.queue = served.name AND run.status = 'queued' AND NOT run.held
          AND run.component_type = ANY(%(types)s::text[])
        ORDER BY run.priority DESC LIMIT 1
    ) AS head
), owner (id) AS (
    (SELECT head.owner_id FROM served, top, LATERAL (
         SELECT run.owner_id FROM executions_componentrun AS run
         WHERE run.queue = served.name AND run.status = 'queued' AND NOT run.held AND run.priority = top.priority
         ORDER BY run.owner_id LIMIT 1
     ) AS head ORDER BY head.owner_id LIMIT 1)
    UNION ALL
    SELECT (
        SELECT head.owner_id FROM served, top, LATERAL (
            SELECT run.owner_id FROM executions_componentrun AS run
            WHERE run.queue = served.name AND run.status = 'queued' AND NOT run.held AND run.priority = top.priority
              AND run.owner_id > owner.id
            ORDER BY run.owner_id LIMIT 1
        ) AS head ORDER BY head.owner_id LIMIT 1)
    FROM owner WHERE owner.id IS NOT NULL
)
SELECT head.id, head.attempt
FROM (SELECT id FROM owner WHERE id IS NOT NULL LIMIT %(owners)s) AS owner, LATERAL (
    SELECT oldest.* FROM served, top, LATERAL (
        SELECT run.id, run.attempt, run.changed_at FROM executions_componentrun AS run
        WHERE run.queue = served.name AND run.status = 'queued' AND NOT run.held AND run.priority = top.priority
          AND run.owner_id = owner.id AND run.component_type = ANY(%(types)s::text[])
        ORDER BY run.id LIMIT 2
    ) AS oldest ORDER BY oldest.id LIMIT 2
) AS head
ORDER BY (SELECT count(*) FROM executions_componentrun AS busy
          WHERE busy.status = 'running' AND busy.owner_id = owner.id AND busy.queue = ANY(%(queues)s::text[])),
         head.changed_at
LIMIT 3
"""
_MAX_OWNERS = 1000


def next_in_turn(types: Sequence[str], queues: Sequence[str]) -> list[tuple[str, int]]:
    """Up to three queued runs (id, attempt) whose turn it is, by priority, then fairly between owners, then age.

    A look without a lock: a claim finds out whether one is still to be had.
    """
    rows = fetch_all(_NEXT_IN_TURN, {"types": list(types), "queues": list(queues), "owners": _MAX_OWNERS})
    return [(from_uuid(row["id"]), row["attempt"]) for row in rows]


_OTHERS_WAIT = """
SELECT EXISTS (
    SELECT 1 FROM executions_componentrun
    WHERE status = 'queued' AND NOT held AND queue = ANY(%(queues)s::text[]) AND priority > %(priority)s
      AND changed_at < clock_timestamp() - interval '20 ms'
) OR EXISTS (
    SELECT 1 FROM executions_componentrun
    WHERE status = 'queued' AND NOT held AND queue = ANY(%(queues)s::text[]) AND priority = %(priority)s
      AND owner_id < %(owner)s AND changed_at < clock_timestamp() - interval '20 ms'
) OR EXISTS (
    SELECT 1 FROM executions_componentrun
    WHERE status = 'queued' AND NOT held AND queue = ANY(%(queues)s::text[]) AND priority = %(priority)s
      AND owner_id > %(owner)s AND changed_at < clock_timestamp() - interval '20 ms'
) AS waiting
"""


def others_wait(priority: int, owner_id: str, queues: Sequence[str]) -> bool:
    """Whether a more urgent run, or another owner's, has waited in these queues longer than an idle worker needs."""
    parameters = {"priority": priority, "owner": to_uuid(owner_id), "queues": list(queues)}
    row = fetch_one(_OTHERS_WAIT, parameters)
    return bool(row and row["waiting"])
