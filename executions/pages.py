"""What a live view reads: an execution's events after a number with its state, and for whom they are.

Each page is one statement, so that its events and its state are of one moment; who may see it is asked after that,
so that nothing that happened after an access ended is told.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any, NamedTuple

from django.utils import timezone

from accounts.ws_auth import Credential, still_good
from core.ids import from_uuid, to_uuid
from core.json_text import loads
from core.types import JSONObject
from events.event_types import EventType
from executions.frames import (
    ENDS,
    Notice,
    Row,
    State,
    notification_frame,
    row_frame,
    update_frame,
    wire,
    workflow_frame,
)
from executions.states import FINAL_EXECUTION, ExecutionStatus
from executions.transitions.statements import fetch_all
from workflows import access

LIMIT = 200
# Of a page's messages together, but for one that is longer alone: what a slow reader can make this process keep.
MAX_PAGE_CHARS = 256 * 1024
MAX_OUTPUT_CHARS = 16 * 1024

# The rows as one JSON text: one parse, where a hundred rows of thirteen columns cost three times as much to fetch.
_PAGE = """
SELECT execution.workflow_id, execution.status, execution.sequence AS last_sequence, execution.ended_components,
       execution.total_components, execution.started_at, execution.completed_at, execution.error,
       (SELECT component_id FROM executions_componentrun
        WHERE scope_id = execution.id AND started_at IS NOT NULL
        ORDER BY completed_at DESC NULLS FIRST, started_at DESC LIMIT 1) AS current_component,
       (SELECT json_agg(json_build_array(row.sequence, row.type, row.data, row.timestamp,
            -- A look-up for each row that needs one: joined, a database that knows its tables not yet may read them
            -- whole. As text: its numbers may be more than a reader of JSON takes.
            CASE WHEN row.type = 'component.completed' AND row.data ->> 'item_index' IS NULL THEN (
                SELECT CASE WHEN octet_length(run.output::text) <= %(max_output)s THEN run.output::text END
                FROM executions_componentrun AS run
                WHERE run.scope_id = execution.id AND run.component_id = row.data ->> 'component_id') END
        ) ORDER BY row.sequence)::text
        FROM (SELECT sequence, type, data, timestamp FROM events_event
              WHERE subject_id = %(execution)s AND sequence > %(after)s AND id > %(after_row)s
              ORDER BY sequence LIMIT %(limit)s) AS row) AS rows
FROM executions_execution AS execution
WHERE execution.id = %(execution)s
"""

_WORKFLOW_PAGE = """
SELECT sequence, type, data, timestamp, owner_id FROM events_event
WHERE subject_id = %(workflow)s AND sequence > %(after)s ORDER BY sequence LIMIT %(limit)s
"""


@dataclass(frozen=True)
class Page:
    """Messages after a sequence number, in order, for those who are `allowed`; `last` is where the next page begins.

    `ended`: the subject has ended and nothing comes after these; `more`: there is more already; not `found`: it is
    not there (any more).
    """

    messages: tuple[str, ...]
    last: int
    ended: bool
    more: bool
    allowed: frozenset[Credential]
    found: bool = True

    @cached_property
    def wire(self) -> bytes:
        """The messages as a server sends them, one after another; the same bytes for everybody."""
        return b"".join(map(wire, self.messages))


class Mark(NamedTuple):
    """Where somebody is in a subject's events: after a number of its own, and after a row of the ledger.

    The row is for who does not know yet where they are in it.
    """

    subject_id: str
    after: int = 0
    after_row: int = 0


@dataclass(frozen=True)
class News:
    """What there is after several marks: a page of it all, and each subject's own, as far as they were read."""

    page: Page
    parts: dict[str, Page]

    @property
    def messages(self) -> tuple[str, ...]:
        """All of them."""
        return self.page.messages

    @property
    def allowed(self) -> frozenset[Credential]:
        """For whom they are."""
        return self.page.allowed


def execution_page(execution_id: str, after: int, asked: Collection[Credential]) -> Page:
    """The next messages of an execution; allowed to nobody if it is not there."""
    workflow_id, page = _execution_part(Mark(execution_id, after))
    return replace(page, allowed=_allowed(workflow_id, asked)) if page.found else page


def workflow_news(workflow_id: str, marks: Collection[Mark], asked: Collection[Credential]) -> News:
    """The next messages of a workflow and of executions of it, to some 256 K characters; nothing of what is not there.

    It has ended when the workflow is deleted, which its owner is told.
    """
    parts: dict[str, Page] = {}
    owner: str | None = None
    room = MAX_PAGE_CHARS
    for mark in marks:
        if mark.subject_id == workflow_id:
            owner, part = _workflow_part(mark)
        else:
            belongs_to, part = _execution_part(mark)
            if part.found and belongs_to != workflow_id:
                # What a bell says of it is no proof.
                part = _not_there(mark.after)
        parts[mark.subject_id] = part
        room -= sum(map(len, part.messages))
        if room < 0:
            break
    messages = tuple(message for part in parts.values() for message in part.messages)
    is_deleted = workflow_id in parts and parts[workflow_id].ended
    if is_deleted:
        # Its shares are gone with it: of nobody else is it known any more that they saw it.
        allowed = frozenset(credential for credential in still_good(asked) if credential.user_id == owner)
    elif any(part.found for part in parts.values()):
        allowed = _allowed(workflow_id, asked)
    else:
        # Executions that were deleted meanwhile, perhaps with the workflow, which its owner is to be told.
        allowed = frozenset(asked)
    return News(Page(messages, 0, is_deleted, False, allowed), parts)


def _execution_part(mark: Mark) -> tuple[str, Page]:
    """The workflow's id and the next messages, allowed to nobody yet."""
    execution_id, after, after_row = mark
    parameters = {"execution": to_uuid(execution_id), "after": after, "after_row": after_row}
    found = fetch_all(_PAGE, {**parameters, "limit": LIMIT, "max_output": MAX_OUTPUT_CHARS})
    if not found:
        return "", _not_there(after)
    first = found[0]
    state = State(
        execution_id=execution_id,
        workflow_id=from_uuid(first["workflow_id"]),
        status=first["status"],
        sequence=first["last_sequence"],
        ended_components=first["ended_components"],
        total_components=first["total_components"],
        current_component=first["current_component"],
        started_at=first["started_at"],
        completed_at=first["completed_at"],
        error=None if first["error"] is None else loads(first["error"]),
    )
    rows: list[Row] = []
    messages: list[str] = []
    room = MAX_PAGE_CHARS
    for row in (_row(*row) for row in loads(first["rows"] or "[]")):
        message = row_frame(row, state)
        room -= len(message)
        if messages and room < 0:
            break
        rows.append(row)
        messages.append(message)
    last = rows[-1].sequence if rows else state.sequence if after_row else after
    more = last < state.sequence
    # Its own row, where it is the last one, is the update.
    if rows and not more and rows[-1].type not in ENDS and any(row.type.startswith("component.") for row in rows):
        messages.append(update_frame(state, timezone.now()))
    ended = state.completed_at is not None and not more
    return state.workflow_id, Page(tuple(messages), last, ended, more, frozenset())


def _workflow_part(mark: Mark) -> tuple[str | None, Page]:
    """The owner's id, where there is anything, and the next messages of the workflow itself, allowed to nobody yet."""
    found = fetch_all(_WORKFLOW_PAGE, {"workflow": to_uuid(mark.subject_id), "after": mark.after, "limit": LIMIT})
    rows = [Row(row["sequence"], row["type"], loads(row["data"]), row["timestamp"]) for row in found]
    messages = tuple(workflow_frame(row, mark.subject_id) for row in rows)
    if not rows:
        return None, Page((), mark.after, False, False, frozenset())
    is_deleted = rows[-1].type == EventType.WORKFLOW_DELETED
    more = len(rows) == LIMIT and not is_deleted
    return from_uuid(found[-1]["owner_id"]), Page(messages, rows[-1].sequence, is_deleted, more, frozenset())


def _not_there(after: int) -> Page:
    return Page((), after, True, False, frozenset(), found=False)


def _row(sequence: int, type_: str, data: JSONObject, timestamp: str, output: str | None) -> Row:
    return Row(sequence, type_, data, datetime.fromisoformat(timestamp), output)


def _allowed(workflow_id: str, asked: Collection[Credential]) -> frozenset[Credential]:
    seen = access.seen({(workflow_id, credential.user_id) for credential in asked})
    return frozenset(credential for credential in still_good(asked) if (workflow_id, credential.user_id) in seen)


_ENDED = """
SELECT execution.id, execution.workflow_id, execution.status, execution.error, execution.completed_at,
       execution.started_at, execution.sequence, workflow.name, workflow.created_by_id
FROM executions_execution AS execution JOIN workflows_workflow AS workflow ON workflow.id = execution.workflow_id
WHERE execution.id = %(execution)s AND execution.status IN ('completed', 'failed')
"""


def notification_page(execution_id: str, after: int, asked: Collection[Credential]) -> Page:
    """The notification that an execution has completed or failed, for the owner of its workflow; none for others."""
    found = fetch_all(_ENDED, {"execution": to_uuid(execution_id)})
    if not found:
        return _not_there(after)
    row = found[0]
    error = None if row["error"] is None else loads(row["error"])
    message = notification_frame(
        f"{execution_id}-ended",
        Notice(
            type=f"execution_{row['status']}",
            title=f"Execution {row['status']}: {row['name']}",
            message=error["message"] if error else f"{row['name']} has completed",
            data={
                "execution_id": execution_id,
                "workflow_id": from_uuid(row["workflow_id"]),
                "workflow_name": row["name"],
                "status": row["status"],
                "error": error,
            },
            timestamp=row["completed_at"],
        ),
    )
    owner = from_uuid(row["created_by_id"])
    allowed = frozenset(credential for credential in still_good(asked) if credential.user_id == owner)
    return Page((message,), row["sequence"], True, False, allowed)


@dataclass(frozen=True, slots=True)
class Latest:
    """The last event of a subject: whose it is, and what it was."""

    subject_id: str
    workflow_id: str
    owner_id: str | None
    sequence: int
    type: str


_LATEST = """
SELECT subject.id AS subject_id, last.workflow_id, workflow.created_by_id AS owner_id, last.sequence, last.type
FROM unnest(%(subjects)s::uuid[]) AS subject (id)
CROSS JOIN LATERAL (
    SELECT workflow_id, sequence, type FROM events_event WHERE subject_id = subject.id ORDER BY sequence DESC LIMIT 1
) AS last
LEFT JOIN workflows_workflow AS workflow ON workflow.id = last.workflow_id
"""


def latest(subject_ids: Sequence[str]) -> list[Latest]:
    """The last event of each subject that has one; one query."""
    return [_latest(row) for row in fetch_all(_LATEST, {"subjects": [to_uuid(id_) for id_ in subject_ids]})]


def _latest(row: dict[str, Any]) -> Latest:
    owner = row["owner_id"]
    return Latest(
        subject_id=from_uuid(row["subject_id"]),
        workflow_id=from_uuid(row["workflow_id"]),
        owner_id=None if owner is None else from_uuid(owner),
        sequence=row["sequence"],
        type=row["type"],
    )


_END = "SELECT COALESCE(max(id), 0) AS id FROM events_event"
_TAIL = "SELECT DISTINCT subject_id FROM events_event WHERE id > %(after)s"


def ledger_end() -> int:
    """The number of the ledger's last row."""
    return int(fetch_all(_END, {})[0]["id"])


def subjects_since(position: int) -> list[str]:
    """The subjects of the rows after a row."""
    return [from_uuid(row["subject_id"]) for row in fetch_all(_TAIL, {"after": position})]


# By status, of which there is an index; one that has numbered nothing yet is at 0 like any that is not in here.
_POSITIONS = """
SELECT id AS subject_id, sequence FROM executions_execution
WHERE workflow_id = %(workflow)s AND status = ANY(%(active)s) AND sequence > 0
UNION ALL
SELECT subject_id, max(sequence) FROM events_event
WHERE workflow_id = %(workflow)s AND id > %(position)s GROUP BY subject_id
UNION ALL
SELECT %(workflow)s, COALESCE(max(sequence), 0) FROM events_event WHERE subject_id = %(workflow)s
"""


def positions_in(workflow_id: str, position: int) -> dict[str, int]:
    """How far a workflow's ledger goes: its own, that of its executions that have begun and not ended, and of those
    that the ledger tells of after the row `position`.
    """
    active = sorted(str(status) for status in ExecutionStatus if status not in FINAL_EXECUTION)
    rows = fetch_all(_POSITIONS, {"workflow": to_uuid(workflow_id), "active": active, "position": position})
    return {from_uuid(row["subject_id"]): row["sequence"] for row in rows}
