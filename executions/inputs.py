"""The names that a component's expressions see: parameters, outputs of what ended before it, `input`, `error`."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from core.times import iso
from core.types import JSONObject, JSONValue
from executions import sealing
from executions.models import ComponentRun
from executions.plans import Compiled
from executions.states import FINAL_RUN, RunStatus
from workflows.definition import ComponentSpec, ConnectionType


@dataclass(frozen=True, slots=True)
class EndedRun:
    """A component run in its final state, which never changes, so it may be kept."""

    status: RunStatus
    output: JSONValue
    taken: frozenset[int]
    error: JSONObject | None


class Inputs:
    """Builds scopes for the components of one execution; loads only the outputs that a component reads."""

    def __init__(
        self,
        execution: Mapping[str, Any],
        compiled: Compiled,
        parameters: JSONObject,
        secrets: Mapping[str, str],
    ) -> None:
        self._execution_id = execution["id"]
        self._definition = compiled.definition
        self._reads = compiled.reads
        self._parameters = parameters
        self._trigger = execution["trigger"]
        self._ended: dict[str, EndedRun] = {}
        # The platform's own names win: a parameter called `input` is still there as `parameters.input`.
        self._base: JSONObject = {
            **parameters,
            "parameters": parameters,
            "secrets": dict(secrets),
            "execution": {
                "id": execution["id"],
                "priority": execution["priority"],
                "tags": execution["tags"],
                "trigger": self._trigger.get("type", "manual"),
                "created_at": iso(execution["created_at"]),
                "started_at": iso(execution["started_at"]),
            },
            "workflow": {
                "id": execution["workflow_id"],
                "name": execution["workflow_name"],
                "version": compiled.number,
            },
        }

    def remember(self, component_id: str, run: EndedRun) -> None:
        """Keep what this worker ended itself, so that its kept successor needs no query."""
        self._ended[component_id] = run

    def scope(self, component: ComponentSpec) -> JSONObject:
        """All names for one component (contract §6, "Names")."""
        incoming = self._definition.incoming[component.id]
        self._load({connection.source for connection in incoming} | self._read_by(component.id))
        components: JSONObject = {
            component_id: {"status": str(run.status), **({"output": run.output} if _has_output(run) else {})}
            for component_id, run in self._ended.items()
        }
        bare = {name: run for name, run in components.items() if name not in self._base}
        scope = {**bare, **self._base, "components": components, "input": self._input(component)}
        errors = [
            {"component_id": c.source, **(self._ended[c.source].error or {})}
            for c in incoming
            if c.type is ConnectionType.ERROR and self._is_taken(c.source, c.index)
        ]
        if errors:
            scope["error"] = errors[0]
        return scope

    def _read_by(self, component_id: str) -> set[str]:
        reads = self._reads[component_id]
        if reads.all_components:
            return set(self._definition.by_id)
        return {id_ for id_ in reads.components | reads.names if id_ in self._definition.by_id}

    def _input(self, component: ComponentSpec) -> JSONValue:
        incoming = self._definition.incoming[component.id]
        if not incoming:
            return self._trigger.get("input", self._parameters)
        sources = dict.fromkeys(c.source for c in incoming if self._is_taken(c.source, c.index))
        outputs = {source: self._ended[source].output for source in sources}
        return next(iter(outputs.values())) if len(outputs) == 1 else outputs

    def _is_taken(self, source: str, index: int) -> bool:
        run = self._ended.get(source)
        return run is not None and index in run.taken

    def _load(self, wanted: Iterable[str]) -> None:
        missing = [component_id for component_id in wanted if component_id not in self._ended]
        if not missing:
            return
        rows = ComponentRun.objects.filter(
            execution_id=self._execution_id, component_id__in=missing, item_index=None, status__in=FINAL_RUN
        ).values_list("id", "component_id", "status", "output", "sealed_output", "taken_out", "error")
        for run_id, component_id, status, output, sealed, taken, error in rows:
            self._ended[component_id] = EndedRun(
                status=RunStatus(status),
                output=sealing.open_output(output, None if sealed is None else bytes(sealed), run_id=run_id),
                taken=frozenset(taken or ()),
                error=error,
            )


def _has_output(run: EndedRun) -> bool:
    return run.status is RunStatus.COMPLETED
