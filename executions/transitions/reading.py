"""What the worker reads between moves: outputs of ended runs, results of a loop's items; and what lists ask first."""

from collections.abc import Collection, Mapping
from datetime import date, datetime
from typing import Any

from core.ids import from_uuid, to_uuid
from executions.transitions.statements import fetch_all, fetch_one

_ENDED = """
SELECT id, scope_id, component_id, status, output, output_ref, sealed_output, sealed_output_ref, taken_out, error,
       completed_at
FROM executions_componentrun
WHERE scope_id = ANY(%(scopes)s::uuid[]) AND component_id = ANY(%(components)s::text[]) AND completed_at IS NOT NULL
"""


def ended_runs(scope_ids: Collection[str], component_ids: Collection[str]) -> list[dict[str, Any]]:
    """The ended runs of these components in these scopes; jsonb as text."""
    scopes = [to_uuid(scope_id) for scope_id in scope_ids]
    return fetch_all(_ENDED, {"scopes": scopes, "components": list(component_ids)})


_OUTER_ITEM = """
SELECT item.id, item.index, item.run_id, item.value, item.value_ref, item.sealed_value, item.sealed_value_ref
FROM executions_componentrun AS loop JOIN executions_loopitem AS item ON item.id = loop.item_id
WHERE loop.id = %(loop)s
"""


def outer_item(loop_run_id: str) -> dict[str, Any] | None:
    """The item of the loop around a loop; None at the top."""
    return fetch_one(_OUTER_ITEM, {"loop": to_uuid(loop_run_id)})


_ROUNDS = """
SELECT count(*) FILTER (WHERE status IN ('completed', 'failed')) AS ended, max(index) AS last,
       (SELECT error FROM executions_loopitem
        WHERE run_id = %(loop)s AND status = 'failed' ORDER BY index LIMIT 1) AS error
FROM executions_loopitem WHERE run_id = %(loop)s
"""


def rounds(loop_run_id: str) -> Mapping[str, Any]:
    """How many items of a loop have ended, the highest index, and the first failure's error (jsonb as text)."""
    row = fetch_one(_ROUNDS, {"loop": to_uuid(loop_run_id)})
    assert row is not None
    return row


_LEAVES = """
FROM executions_loopitem AS item
LEFT JOIN executions_componentrun AS run
    ON run.item_id = item.id AND run.status = 'completed' AND run.taken_out = '{}' AND item.status = 'completed'
WHERE item.run_id = %(loop)s AND item.index >= %(first)s AND item.status IN ('completed', 'failed')
"""

_RESULTS_SIZE = f"""
SELECT COALESCE(sum(COALESCE((run.output_ref ->> 'bytes')::bigint, octet_length(run.output::text))), 0) AS size
{_LEAVES}
"""

_RESULTS = f"""
SELECT item.index, item.status, item.error, run.id, run.component_id, run.component_type, run.output, run.output_ref,
       run.sealed_output, run.sealed_output_ref
{_LEAVES} ORDER BY item.index, run.position
"""


def results_size(loop_run_id: str, first_index: int) -> int:
    """Bytes of all outputs that `item_results` would read."""
    row = fetch_one(_RESULTS_SIZE, {"loop": to_uuid(loop_run_id), "first": first_index})
    return int(row["size"]) if row else 0


def item_results(loop_run_id: str, first_index: int) -> list[dict[str, Any]]:
    """The last outputs of each ended item from an index on, in order: a row for each, one without for none."""
    return fetch_all(_RESULTS, {"loop": to_uuid(loop_run_id), "first": first_index})


# From each workflow no more than the page can need, in the order that its index has: all of them together would be
# read and sorted first.
_PAGE = """
SELECT id FROM (
    (SELECT id FROM executions_execution WHERE workflow_owner_id = %(owner)s {status}
     ORDER BY id {order} LIMIT %(needed)s)
    UNION ALL
    SELECT each.id FROM unnest(%(others)s::uuid[]) AS workflow (id) CROSS JOIN LATERAL (
        SELECT id FROM executions_execution WHERE workflow_id = workflow.id {status}
        ORDER BY id {order} LIMIT %(needed)s) AS each
) AS found ORDER BY id {order} OFFSET %(offset)s LIMIT %(limit)s
"""


def page_of_workflows(
    owner_id: str, others: Collection[str], status: str | None, *, limit: int, offset: int, newest_first: bool
) -> list[str]:
    """Ids of the executions (of a status) of an owner's workflows and of `others`, not theirs; one page of them."""
    sql = _PAGE.format(status="AND status = %(status)s" if status else "", order="DESC" if newest_first else "ASC")
    parameters = {"owner": to_uuid(owner_id), "others": [to_uuid(id_) for id_ in others], "status": status}
    rows = fetch_all(sql, {**parameters, "limit": limit, "offset": offset, "needed": offset + limit})
    return [from_uuid(row["id"]) for row in rows]


# A day's beginning by arithmetic: a cast to a date asks for its zone each time, and is made once a day found.
_STARTED_BY_DAY = """
SELECT (start AT TIME ZONE 'UTC')::date AS day, sum(count)::bigint AS count FROM (
    SELECT date_bin('1 day', started_at, timestamptz '2000-01-01 00:00:00+00') AS start, count(*) AS count
    FROM executions_execution WHERE workflow_owner_id = %(owner)s {wanted} GROUP BY 1
    UNION ALL
    SELECT date_bin('1 day', started_at, timestamptz '2000-01-01 00:00:00+00') AS start, count(*) AS count
    FROM executions_execution WHERE workflow_id = ANY(%(others)s::uuid[]) {wanted} GROUP BY 1
) AS found GROUP BY start ORDER BY start DESC
"""


def started_by_day(
    owner_id: str, others: Collection[str], first: datetime | None, last: datetime | None, status: str | None
) -> list[tuple[date, int]]:
    """How many executions (of a status) of an owner's workflows and of `others`, not theirs, started on each day (UTC).

    From `first` to `last`, both included, where they are given; the last day first.
    """
    bounds = {"started_at >= %(first)s": first, "started_at <= %(last)s": last, "status = %(status)s": status}
    wanted = "".join(f" AND {condition}" for condition, value in bounds.items() if value is not None)
    parameters = {"owner": to_uuid(owner_id), "others": [to_uuid(id_) for id_ in others]}
    parameters |= {"first": first, "last": last, "status": status}
    return [(row["day"], row["count"]) for row in fetch_all(_STARTED_BY_DAY.format(wanted=wanted), parameters)]


def _bytes(column: str) -> str:
    # A compressed value may have a hundred times as many bytes as are stored; any other is measured without reading it.
    compressed = f"pg_column_compression({column}) IS NOT NULL"
    return f"CASE WHEN {compressed} THEN octet_length({column}::text) ELSE COALESCE(pg_column_size({column}), 0) END"


_SHOWN = ("parameters", "trigger", "error", "results")
_STORED = " + ".join(f"COALESCE(pg_column_size({column}), 0)" for column in _SHOWN)
_WHOLE = " + ".join(_bytes(column) for column in _SHOWN)

# Where as much as that is stored already, nothing is uncompressed.
_LISTED_BYTES = f"""
WITH stored AS (
    SELECT COALESCE(sum({_STORED}), 0) AS in_rows, COALESCE(sum((
        SELECT sum(bytes::bigint) FROM (
            SELECT jsonb_path_query(results_ref, '$.whole.bytes')
            UNION ALL SELECT jsonb_path_query(results_ref, '$.parts.*.bytes')) AS reference (bytes))), 0) AS aside
    FROM executions_execution WHERE id = ANY(%(ids)s::uuid[])
)
SELECT aside + CASE WHEN in_rows + aside > %(enough)s THEN in_rows ELSE (
    SELECT COALESCE(sum({_WHOLE}), 0) FROM executions_execution WHERE id = ANY(%(ids)s::uuid[])) END AS size
FROM stored
"""


def listed_bytes(execution_ids: Collection[str], enough: int) -> int:
    """Bytes of what a list shows of these executions, wherever they are; a total over `enough` may be too low."""
    row = fetch_one(_LISTED_BYTES, {"ids": [to_uuid(id_) for id_ in execution_ids], "enough": enough})
    return int(row["size"]) if row else 0


_VALUES_BYTES = f"""
SELECT COALESCE((
    SELECT sum(shown.times * COALESCE((run.output_ref ->> 'bytes')::bigint, {_bytes("run.output")}))
    FROM unnest(%(scopes)s::uuid[], %(components)s::text[], %(times)s::int[]) AS shown (scope_id, component_id, times)
    JOIN executions_componentrun AS run USING (scope_id, component_id)), 0)
+ COALESCE((
    SELECT sum(shown.times * COALESCE((item.value_ref ->> 'bytes')::bigint, {_bytes("item.value")}))
    FROM unnest(%(items)s::uuid[], %(item_times)s::int[]) AS shown (id, times)
    JOIN executions_loopitem AS item USING (id)), 0)
+ COALESCE((
    SELECT %(starts)s::bigint * octet_length(COALESCE(trigger -> 'input', parameters)::text)
    FROM executions_execution WHERE id = %(execution)s::uuid), 0) AS size
"""


def values_bytes(
    execution_id: str, outputs: Mapping[tuple[str, str], int], items: Mapping[str, int], starts: int
) -> int:
    """Bytes of what is shown so many times each: outputs by scope and component, values of items, and the input."""
    parameters = {
        "scopes": [to_uuid(scope_id) for scope_id, _ in outputs],
        "components": [component_id for _, component_id in outputs],
        "times": list(outputs.values()),
        "items": [to_uuid(item_id) for item_id in items],
        "item_times": list(items.values()),
        "starts": starts,
        "execution": to_uuid(execution_id),
    }
    row = fetch_one(_VALUES_BYTES, parameters)
    return int(row["size"]) if row else 0
