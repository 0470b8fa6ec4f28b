"""What follows when a component ends: `settle` for the hot path, `decide` for the whole graph.

The law. A connection is decided when its source has ended, and live if it was taken. A blocked component with
join `all` is queued when every incoming connection is decided and one is live; with join `any` at its first
live one; it is skipped when all are decided and none is live, which makes its own connections dead. Nothing is
queued after a cancel, nor, under `on_failure: stop`, after an unhandled failure.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from executions.states import FINAL_RUN, ExecutionStatus, RunStatus
from workflows.definition import ComponentSpec, ConnectionType, Definition


@dataclass(frozen=True, slots=True)
class Delta:
    """What one end changes at one successor: connections now decided, and how many of them were taken."""

    component_id: str
    decided: int
    taken: int


@dataclass(frozen=True, slots=True)
class Settled:
    """The connections taken and dead now that a component ended.

    `may_end` says that this end may have ended the execution, or skipped a successor whose own connections
    must then be settled: the caller needs a transaction to see to both.
    """

    taken: tuple[int, ...]
    deltas: tuple[Delta, ...]
    may_end: bool
    unhandled_failure: bool


@dataclass(frozen=True, slots=True)
class Decision:
    """What the whole graph allows: runs to queue, runs to skip, and the end if nothing is or can become active."""

    queue: tuple[str, ...]
    skip: tuple[str, ...]
    finish: ExecutionStatus | None


def settle(
    definition: Definition, component_id: str, status: RunStatus, true_conditions: Collection[int] = ()
) -> Settled:
    """Settle the outgoing connections of a component that ended as `status`.

    `true_conditions` holds the indexes of its conditional connections whose condition was true. Local: never
    looks past its own connections. Raises ValueError for a status that is not final.
    """
    if status not in FINAL_RUN:
        raise ValueError(f"{status} is not final")
    outgoing = definition.outgoing[component_id]
    taken = tuple(
        connection.index
        for connection in outgoing
        if _is_taken(connection.type, status, connection.index in true_conditions)
    )
    decided: dict[str, int] = {}
    live: dict[str, int] = {}
    for connection in outgoing:
        decided[connection.target] = decided.get(connection.target, 0) + 1
        live[connection.target] = live.get(connection.target, 0) + (connection.index in taken)
    deltas = tuple(Delta(target, count, live[target]) for target, count in decided.items())
    # A successor that gets a live connection and is waiting for all of them will still be active after this.
    goes_on = any(delta.taken and definition.by_id[delta.component_id].join == "all" for delta in deltas)
    return Settled(
        taken=taken,
        deltas=deltas,
        may_end=not goes_on or any(not delta.taken for delta in deltas),
        unhandled_failure=status is RunStatus.FAILED and not taken,
    )


def settle_skipped(definition: Definition, component_ids: Collection[str]) -> tuple[Delta, ...]:
    """The dead connections out of components that were skipped together, summed by successor."""
    decided: dict[str, int] = {}
    for component_id in component_ids:
        for connection in definition.outgoing[component_id]:
            decided[connection.target] = decided.get(connection.target, 0) + 1
    return tuple(Delta(target, count, 0) for target, count in decided.items())


def _is_taken(type_: ConnectionType, status: RunStatus, condition: bool) -> bool:
    if type_ is ConnectionType.ERROR:
        return status is RunStatus.FAILED
    if type_ is ConnectionType.CONDITIONAL:
        return status is RunStatus.COMPLETED and condition
    return status is RunStatus.COMPLETED


def decide(
    definition: Definition,
    states: Mapping[str, RunStatus],
    taken: Collection[int],
    *,
    stopping: ExecutionStatus | None = None,
) -> Decision:
    """What the whole graph allows now, read to a fixed point from states and taken connections alone.

    The oracle that the counters of the hot path are held against, and the answer to "why has this not
    started?". `stopping` is the end an execution heads for after a cancel, a timeout or, under `stop`, an
    unhandled failure.
    """
    now = dict(states)
    if stopping is not None:
        active = any(status is RunStatus.RUNNING for status in now.values())
        return Decision((), (), None if active else stopping)
    queue: list[str] = []
    skip: list[str] = []
    progress = True
    while progress:
        progress = False
        for component in definition.components:
            if now[component.id] is not RunStatus.BLOCKED:
                continue
            verdict = _verdict(definition, component, now, taken)
            if verdict is not None:
                now[component.id] = verdict
                (queue if verdict is RunStatus.QUEUED else skip).append(component.id)
                progress = True
    order = {component.id: component.position for component in definition.components}
    finish: ExecutionStatus | None = None
    if all(status in FINAL_RUN for status in now.values()):
        failed = any(is_unhandled(definition, component_id, now, taken) for component_id in now)
        finish = ExecutionStatus.FAILED if failed else ExecutionStatus.COMPLETED
    return Decision(tuple(sorted(queue, key=order.__getitem__)), tuple(sorted(skip, key=order.__getitem__)), finish)


def is_unhandled(
    definition: Definition, component_id: str, states: Mapping[str, RunStatus], taken: Collection[int]
) -> bool:
    """Whether the component failed without an error connection that leads on."""
    return states[component_id] is RunStatus.FAILED and not any(
        connection.index in taken for connection in definition.outgoing[component_id]
    )


def _verdict(
    definition: Definition, component: ComponentSpec, states: Mapping[str, RunStatus], taken: Collection[int]
) -> RunStatus | None:
    incoming = definition.incoming[component.id]
    decided = [connection for connection in incoming if states[connection.source] in FINAL_RUN]
    live = [connection for connection in decided if connection.index in taken]
    complete = len(decided) == len(incoming)
    if not incoming or (live and (complete or component.join == "any")):
        return RunStatus.QUEUED
    return RunStatus.SKIPPED if complete else None
