"""The names that a component's expressions see: parameters, outputs of what ended before it, `input`, `error`.

Where a component reads something secret, also the shadow of these names: the same with other secrets (core.taint).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from core.ids import from_uuid
from core.json_text import loads
from core.taint import shadow_of, substitute
from core.times import iso
from core.types import JSONObject, JSONValue
from executions import outputs, sealing
from executions.plans import Compiled, Home
from executions.states import RunStatus
from executions.transitions import reading
from executions.transitions.statements import Held, Item, reference, stored_item
from workflows.definition import ComponentSpec, ConnectionType


@dataclass(frozen=True, slots=True)
class EndedRun:
    """A component run in its final state, which never changes, so it may be kept.

    `shadow` is the shadow of the output: the output itself, the same object, where it holds no secret.
    """

    status: RunStatus
    output: JSONValue
    shadow: JSONValue
    taken: frozenset[int]
    error: JSONObject | None
    completed_at: datetime | None = None

    @property
    def holds_secret(self) -> bool:
        return self.shadow is not self.output


@dataclass(frozen=True, slots=True)
class Scopes:
    """The names for one component, and their shadow, or None where it reads no secret."""

    real: JSONObject
    shadow: JSONObject | None


class _Side(NamedTuple):
    """The names or their shadow: those that stay the same for all components, and which of both it is."""

    base: JSONObject
    shadow: bool

    def output_of(self, ended: EndedRun) -> JSONValue:
        return ended.shadow if self.shadow else ended.output


@dataclass(frozen=True, slots=True)
class _Level:
    """The execution, or one item of a loop in it: what runs there, and the outputs known so far."""

    scope_id: str
    home: Home
    item: Item | None
    ended: dict[str, EndedRun]


class Inputs:
    """Builds scopes for the components of one execution; loads only the outputs that a component reads."""

    def __init__(
        self,
        execution: Mapping[str, Any],
        compiled: Compiled,
        parameters: JSONObject,
        secrets: Mapping[str, str],
        brought: JSONValue = None,
    ) -> None:
        """`parameters` as they were given, and what a trigger `brought`; `execution` has both as they may be shown."""
        self._execution_id = execution["id"]
        self._compiled = compiled
        # What a start is handed: by a trigger, if it brought something.
        self._handed: tuple[JSONValue, JSONValue] | None = None
        if "input" in execution["trigger"]:
            shown = execution["trigger"]["input"]
            sealed_input = execution["sealed_input"] is not None
            self._handed = (brought, shadow_of(brought, shown) if sealed_input else brought)
        self._ended: dict[str, dict[str, EndedRun]] = {}
        self._outer: dict[str, Item | None] = {}
        self.shadow_secrets: dict[str, str] = {name: substitute(value) for name, value in secrets.items()}
        sealed = execution["sealed_parameters"] is not None
        shadows: JSONObject = shadow_of(parameters, execution["parameters"]) if sealed else parameters
        # A name that holds a secret has another one in the shadow.
        self._secret_parameters = {
            name for name, value in parameters.items() if name not in shadows or shadows[name] is not value
        }
        # Whether anything read so far is secret; without it, shadows cost nothing.
        self._any_secret = bool(secrets or self._secret_parameters or self._brought_secret)
        base = _base(execution, compiled, parameters, dict(secrets))
        other = _base(execution, compiled, shadows, self.shadow_secrets) if self._any_secret else base
        self._real = _Side(base, shadow=False)
        self._shadow = _Side(other, shadow=True)

    @property
    def _brought_secret(self) -> bool:
        return self._handed is not None and self._handed[0] is not self._handed[1]

    def remember(self, run: Held, ended: EndedRun) -> None:
        """Keep what this worker ended itself, so that its kept successor needs no query."""
        self._keep(run.scope_id, run.component_id, ended)

    def _keep(self, scope_id: str, component_id: str, ended: EndedRun) -> None:
        self._ended.setdefault(scope_id, {})[component_id] = ended
        self._any_secret = self._any_secret or ended.holds_secret

    def scopes(self, run: Held) -> Scopes:
        """All names for one component (contract §6, "Names"); inner items hide outer ones.

        Raises accounts.vault.SealBrokenError, and outputs.OutputUnavailableError.
        """
        levels = list(self._levels(run))
        component = levels[0].home.definition.by_id[run.component_id]
        self._load(levels, component)
        real = self._scope(run, levels, component, self._real)
        secret_item = run.item is not None and (
            run.item.sealed_value is not None or run.item.sealed_value_ref is not None
        )
        if secret_item or (self._any_secret and self._reads_secret(levels, component)):
            return Scopes(real, self._scope(run, levels, component, self._shadow))
        return Scopes(real, None)

    def _scope(self, run: Held, levels: list[_Level], component: ComponentSpec, side: _Side) -> JSONObject:
        components: JSONObject = {}
        for level in reversed(levels):
            for component_id, ended in level.ended.items():
                output = {"output": side.output_of(ended)} if ended.status is RunStatus.COMPLETED else {}
                components[component_id] = {"status": str(ended.status), **output}
        loop: JSONObject = {}
        if run.item is not None:
            loop = {"item": self._value(run.item, side), "index": run.item.index}
        base = {**side.base, **loop}
        bare = {name: shown for name, shown in components.items() if name not in base}
        scope = {**bare, **base, "components": components, "input": self._input(levels[0], component, loop, side)}
        errors = [
            {"component_id": c.source, **(levels[0].ended[c.source].error or {})}
            for c in levels[0].home.definition.incoming[component.id]
            if c.type is ConnectionType.ERROR and _is_taken(levels[0], c.source, c.index)
        ]
        if errors:
            scope["error"] = errors[0]
        return scope

    def _reads_secret(self, levels: list[_Level], component: ComponentSpec) -> bool:
        """Whether what the component names may hold a secret."""
        reads = self._compiled.reads[component.id]
        if self.shadow_secrets and (reads.secrets or reads.all_secrets):
            return True
        if self._secret_parameters and ("parameters" in reads.names or self._secret_parameters & reads.names):
            return True
        if "input" in reads.names:
            incoming = levels[0].home.definition.incoming[component.id]
            if not incoming and (self._brought_secret or (self._handed is None and self._secret_parameters)):
                return True
            known = levels[0].ended
            if any(c.source in known and known[c.source].holds_secret for c in incoming):
                return True
        return any(
            ended.holds_secret and (reads.all_components or id_ in reads.components or id_ in reads.names)
            for level in levels
            for id_, ended in level.ended.items()
        )

    def _levels(self, run: Held) -> Iterator[_Level]:
        """From the run's own item outwards to the execution."""
        home, item = self._compiled.homes[run.component_id], run.item
        while home.loop is not None and item is not None:
            yield _Level(item.item_id, home, item, self._ended.setdefault(item.item_id, {}))
            home = self._compiled.homes[home.loop]
            item = self._item_around(item.loop_run_id) if home.loop is not None else None
        yield _Level(self._execution_id, home, None, self._ended.setdefault(self._execution_id, {}))

    def _item_around(self, loop_run_id: str) -> Item | None:
        if loop_run_id not in self._outer:
            row = reading.outer_item(loop_run_id)
            self._outer[loop_run_id] = None
            if row is not None:
                loop = from_uuid(row["run_id"])
                item = stored_item(from_uuid(row["id"]), loop, row)
                self._outer[loop_run_id] = item
        return self._outer[loop_run_id]

    def _value(self, item: Item, side: _Side) -> JSONValue:
        shown = outputs.whole(item.value_text, item.value_ref)
        sealed = outputs.whole_sealed(item.sealed_value, item.sealed_value_ref)
        real = sealing.open_item(shown, sealed, loop_run_id=item.loop_run_id, index=item.index)
        return shadow_of(real, shown) if side.shadow else real

    def _input(self, level: _Level, component: ComponentSpec, loop: JSONObject, side: _Side) -> JSONValue:
        incoming = level.home.definition.incoming[component.id]
        if not incoming:
            if loop:
                return loop["item"]
            return side.base["parameters"] if self._handed is None else self._handed[side.shadow]
        sources = dict.fromkeys(c.source for c in incoming if _is_taken(level, c.source, c.index))
        if component.join == "any" and len(sources) > 1:
            # What let it start is its input, also when it resumes after others have ended too.
            return side.output_of(level.ended[min(sources, key=lambda source: _ended_at(level.ended[source]))])
        outputs = {source: side.output_of(level.ended[source]) for source in sources}
        return next(iter(outputs.values())) if len(outputs) == 1 else outputs

    def _load(self, levels: list[_Level], component: ComponentSpec) -> None:
        """The outputs that the component reads, and those handed on to it, of all levels in one query."""
        reads = self._compiled.reads[component.id]
        named = reads.components | reads.names
        wanted = {c.source for c in levels[0].home.definition.incoming[component.id]}
        several = component.join == "any" and len(wanted) > 1
        missing = {id_ for id_ in wanted if several or id_ not in levels[0].ended}
        for level in levels:
            known = level.home.definition.by_id
            read = known.keys() if reads.all_components else named & known.keys()
            missing |= {id_ for id_ in read if id_ not in level.ended}
        if not missing:
            return
        for row in reading.ended_runs([level.scope_id for level in levels], missing):
            shown = outputs.whole(row["output"], reference(row["output_ref"]))
            sealed = outputs.whole_sealed(row["sealed_output"], reference(row["sealed_output_ref"]))
            output = sealing.open_output(shown, sealed, run_id=from_uuid(row["id"]))
            ended = EndedRun(
                status=RunStatus(row["status"]),
                output=output,
                shadow=shadow_of(output, shown),
                taken=frozenset(row["taken_out"] or ()),
                error=None if row["error"] is None else loads(row["error"]),
                completed_at=row["completed_at"],
            )
            self._keep(from_uuid(row["scope_id"]), row["component_id"], ended)


def _base(
    execution: Mapping[str, Any], compiled: Compiled, parameters: JSONObject, secrets: dict[str, str]
) -> JSONObject:
    # The platform's own names win: a parameter called `input` is still there as `parameters.input`.
    return {
        **parameters,
        "parameters": parameters,
        "secrets": secrets,
        "execution": {
            "id": execution["id"],
            "priority": execution["priority"],
            "tags": execution["tags"],
            "trigger": execution["trigger"].get("type", "manual"),
            "slot_at": execution["trigger"].get("slot_at"),
            "created_at": iso(execution["created_at"]),
            "started_at": iso(execution["started_at"]),
        },
        "workflow": {
            "id": execution["workflow_id"],
            "name": execution["workflow_name"],
            "version": compiled.number,
        },
    }


def _ended_at(run: EndedRun) -> datetime:
    assert run.completed_at is not None, "the sources of a join of any are read from the database"
    return run.completed_at


def _is_taken(level: _Level, source: str, index: int) -> bool:
    run = level.ended.get(source)
    return run is not None and index in run.taken
