"""What a retry runs again and what it takes over from the execution before it (contract §7, `retry`)."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from executions.decider import decide
from executions.states import RunStatus
from workflows.definition import ComponentSpec, Connection, Definition


@dataclass(frozen=True, slots=True)
class Rerun:
    """`again`: what runs again, or may, in definition order; `carried`: what is taken over, with what it took.

    `skipped` stay skipped, or turn out to be. `pending` and `taken` are the counters of the others; a run whose
    `pending` is 0 starts.
    """

    again: tuple[str, ...]
    carried: Mapping[str, tuple[int, ...]]
    skipped: frozenset[str]
    pending: Mapping[str, int]
    taken: Mapping[str, int]


def plan_rerun(
    definition: Definition,
    earlier: Definition,
    states: Mapping[str, RunStatus],
    taken_out: Mapping[str, Collection[int]],
    from_component: str,
) -> Rerun:
    """Plan to run `from_component`, and all that follows it, again in `definition`.

    `states` and `taken_out` (indexes of connections in `earlier`) are the earlier execution's, by component. What
    did not end well there runs again too, and so does what `definition` has changed, with all that follows.
    Raises KeyError for an unknown component.
    """
    start = definition.by_id[from_component].id
    mapped = {id_: _mapped(definition, earlier, taken_out.get(id_, ())) for id_ in earlier.by_id}
    fresh = {
        component.id
        for component in definition.components
        if not _is_same(definition, earlier, component)
        or not _is_reusable(states.get(component.id), mapped.get(component.id, ()))
    }
    again = definition.downstream(fresh | {start})
    kept = [component.id for component in definition.components if component.id not in again]
    carried = {id_: mapped[id_] for id_ in kept if states[id_] is not RunStatus.SKIPPED}
    now = {id_: states[id_] if id_ in kept else RunStatus.BLOCKED for id_ in definition.by_id}
    taken = {index for indexes in carried.values() for index in indexes}
    decision = decide(definition, now, taken)
    skipped = frozenset(id_ for id_ in kept if id_ not in carried) | frozenset(decision.skip)
    ended = carried.keys() | skipped
    incoming = {id_: definition.incoming[id_] for id_ in definition.by_id if id_ not in ended}
    return Rerun(
        again=tuple(id_ for id_ in definition.by_id if id_ in again and id_ not in skipped),
        carried=carried,
        skipped=skipped,
        pending={
            id_: 0 if id_ in decision.queue else sum(c.source not in ended for c in connections)
            for id_, connections in incoming.items()
        },
        taken={id_: sum(c.index in taken for c in connections) for id_, connections in incoming.items()},
    )


def _is_reusable(status: RunStatus | None, taken: Collection[int]) -> bool:
    """Completed, skipped, or failed in a way that an error connection handled."""
    return status in {RunStatus.COMPLETED, RunStatus.SKIPPED} or (status is RunStatus.FAILED and bool(taken))


def _is_same(definition: Definition, earlier: Definition, component: ComponentSpec) -> bool:
    before = earlier.by_id.get(component.id)
    if before is None or replace(before, position=0, name="") != replace(component, position=0, name=""):
        return False
    return _keys(definition.outgoing[component.id]) == _keys(earlier.outgoing[component.id]) and _keys(
        definition.incoming[component.id]
    ) == _keys(earlier.incoming[component.id])


def _keys(connections: Iterable[Connection]) -> frozenset[Connection]:
    return frozenset(replace(connection, index=0) for connection in connections)


def _mapped(definition: Definition, earlier: Definition, taken: Collection[int]) -> tuple[int, ...]:
    """Connections taken in the earlier definition, as indexes into the other; those it no longer has are left out."""
    places = {replace(connection, index=0): connection.index for connection in definition.connections}
    found = (places.get(replace(earlier.connections[index], index=0)) for index in taken)
    return tuple(sorted(index for index in found if index is not None))
