"""What a run finds when it resumes after a wait: the signal, the child's results, the items' results."""

from collections.abc import Callable
from dataclasses import replace
from itertools import groupby
from typing import Any

from django.conf import settings

from core.ids import from_uuid
from core.json_text import loads
from core.taint import shadow_of
from core.types import JSONObject, JSONValue
from executions import outputs, sealing
from executions.models import Execution, Signal
from executions.states import ExecutionStatus, ItemStatus, WaitingFor
from executions.transitions import reading
from executions.transitions.statements import Held, reference
from workflows.components.base import Component, Resumption


class ResultsTooLargeError(Exception):
    """The results of a loop's items have more bytes than an output may have; the message says how many."""


class ChildRunningError(Exception):
    """The run was woken, but its child has not ended."""


def resumption(run: Held, component: Component) -> tuple[Resumption | None, Resumption | None]:
    """What ended the run's wait, None for a first call; and its shadow (core.taint), the same where it holds no secret.

    Raises ResultsTooLargeError, ChildRunningError, SealBrokenError and outputs.OutputUnavailableError.
    """
    if run.resumed_from is None:
        return None, None
    if component.has_body:
        return _items(run, component)
    found = _wait_of_its_own(run)
    # What a child brings is as it is shown; what a signal brings is searched for secrets where it is put out.
    return found, found


def _wait_of_its_own(run: Held) -> Resumption:
    if run.resumed_from is WaitingFor.CHILD:
        return _child(run)
    if run.timed_out:
        return Resumption(timed_out=True)
    signal = Signal.objects.filter(taken_by=run.key.run_id).order_by("-taken_at").first()
    assert signal is not None, "a wait for a signal ends with one, or in time"
    sealed = None if signal.sealed_data is None else bytes(signal.sealed_data)
    return Resumption(value=sealing.open_signal(signal.data, sealed, signal_id=signal.pk), sender=signal.sender_id)


def _child(run: Held) -> Resumption:
    child = Execution.objects.filter(parent_run=run.key.run_id).order_by("-pk").first()
    if child is None:
        return Resumption(error={"code": "COMPONENT_ERROR", "message": "The child execution was deleted"})
    if child.completed_at is None:
        raise ChildRunningError
    if child.status == ExecutionStatus.COMPLETED:
        return Resumption(value=outputs.results_of(child))
    error = child.error or {"code": "EXECUTION_FAILED", "message": f"The child execution was {child.status}"}
    return Resumption(error={**error, "execution_id": child.pk})


def _items(run: Held, component: Component) -> tuple[Resumption, Resumption]:
    ended = reading.rounds(run.key.run_id)
    error: JSONObject | None = None if ended["error"] is None else loads(ended["error"])
    first = ended["last"] if component.last_result_only else 0
    size = reading.results_size(run.key.run_id, first)
    if size > settings.MAX_OUTPUT_BYTES:
        raise ResultsTooLargeError(
            f"The results of the items have {size} bytes, at most {settings.MAX_OUTPUT_BYTES} are stored"
        )
    rows = reading.item_results(run.key.run_id, first)
    results: list[JSONValue] = []
    shadows: list[JSONValue] = []
    for _, group in groupby(rows, key=lambda row: row["index"]):
        item = list(group)
        real = _result(item, _output)
        sealed = any(row["sealed_output"] is not None or row["sealed_output_ref"] is not None for row in item)
        results.append(real)
        shadows.append(shadow_of(real, _result(item, _shown)) if sealed else real)
    values = [(found[-1] if found else None) if component.last_result_only else found for found in (results, shadows)]
    resumed = Resumption(
        value=values[0], error=error, rounds=ended["ended"], timed_out=run.resumed_from is WaitingFor.TIME
    )
    holds_secret = any(real is not shadow for real, shadow in zip(results, shadows, strict=True))
    return resumed, replace(resumed, value=values[1]) if holds_secret else resumed


def _result(rows: list[dict[str, Any]], output_of: Callable[[dict[str, Any]], JSONValue]) -> JSONValue:
    """An item's result as the contract has results (§6): of the `end` that ran, else of the last; several by id."""
    if rows[0]["status"] == ItemStatus.FAILED:
        return {"error": loads(rows[0]["error"])}
    ran = [row for row in rows if row["id"] is not None]
    ends = [row for row in ran if row["component_type"] == "end"] or ran
    outputs = {row["component_id"]: output_of(row) for row in ends}
    return outputs if len(outputs) > 1 else next(iter(outputs.values()), None)


def _shown(row: dict[str, Any]) -> JSONValue:
    return outputs.whole(row["output"], reference(row["output_ref"]))


def _output(row: dict[str, Any]) -> JSONValue:
    sealed = outputs.whole_sealed(row["sealed_output"], reference(row["sealed_output_ref"]))
    # What may be shown is asked for only where it is the whole.
    return sealing.open_output(_shown(row) if sealed is None else None, sealed, run_id=from_uuid(row["id"]))
