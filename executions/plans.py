"""What the engine derives from a definition, once per version and process: versions never change."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from accounts.vault import SealBrokenError
from core.errors import NotFoundError, Problem
from executions.models import Execution
from executions.transitions.starting import Plan
from workflows.components import registry
from workflows.definition import Definition, DefinitionError
from workflows.definition_schema import Limits
from workflows.expressions import References
from workflows.literal_secrets import hide
from workflows.models import WorkflowVersion
from workflows.part_references import children_named, secrets_read
from workflows.sealing import whole_definition
from workflows.texts import references_of
from workflows.validation import load, unknown_type_problems


@dataclass(frozen=True, slots=True)
class Home:
    """Where a component stands: the definition, or the body, that it is part of, and the loop whose body that is."""

    definition: Definition
    loop: str | None


@dataclass(frozen=True, slots=True)
class Compiled:
    """A version ready to run: its definition, the runs to insert, where each component stands and what it reads.

    `bodies` has the runs of one item by the id of the component that loops. `literal_secrets` are the secrets that
    the definition itself holds.
    """

    workflow_id: str
    number: int
    definition: Definition
    plan: Plan
    bodies: Mapping[str, Plan]
    homes: Mapping[str, Home]
    reads: Mapping[str, References]
    secrets: References
    literal_secrets: frozenset[str]
    names_children: bool
    unknown_types: tuple[Problem, ...]


# A version was within the limits when it was saved, whatever they are now.
_ACCEPTED = Limits(components=10**6, connections=10**6, nesting=1000)


class UnrunnableError(Exception):
    """The stored definition no longer passes validation (a plug-in type was removed, a rule got stricter).

    Or its sealed part does not open: put the old key back at the end of APG_ENCRYPTION_KEYS.
    """

    def __init__(self, found: tuple[Problem, ...], message: str = "the stored definition does not pass validation"):
        self.problems = found
        super().__init__(message)


@lru_cache(maxsize=512)
def compiled(version_id: str) -> Compiled:
    """The version, parsed. Raises UnrunnableError, and NotFoundError if it is gone; errors are not kept.

    Types that are not installed here are let pass: a worker that knows them may run what this one cannot.
    """
    version = WorkflowVersion.objects.filter(pk=version_id).first()
    if version is None:
        raise NotFoundError("Workflow version not found")
    try:
        whole = whole_definition(version)
        definition = load(whole, _ACCEPTED, unknown_types=True)
    except SealBrokenError as error:
        message = f"the stored definition does not open: {error}"
        raise UnrunnableError((Problem(message, field="definition"),), message) from None
    except DefinitionError as error:
        raise UnrunnableError(error.problems) from None
    homes = dict(_homes(definition, None))
    return Compiled(
        workflow_id=version.workflow_id,
        number=version.number,
        definition=definition,
        plan=_plan(definition),
        bodies={home.loop: _plan(home.definition) for home in homes.values() if home.loop is not None},
        homes=homes,
        reads={id_: references_of(home.definition, home.definition.by_id[id_]) for id_, home in homes.items()},
        secrets=secrets_read(definition),
        literal_secrets=hide(whole)[1] if version.sealed_definition is not None else frozenset(),
        names_children=bool(children_named(definition)),
        unknown_types=tuple(unknown_type_problems(definition)),
    )


def _homes(definition: Definition, loop: str | None) -> Iterator[tuple[str, Home]]:
    for component in definition.components:
        yield component.id, Home(definition, loop)
        if component.id in definition.bodies:
            yield from _homes(definition.bodies[component.id], component.id)


@lru_cache(maxsize=4096)
def version_id(workflow_id: str, number: int) -> str:
    """The id of a workflow's numbered version, which never changes. Raises WorkflowVersion.DoesNotExist."""
    found: str = WorkflowVersion.objects.values_list("pk", flat=True).get(workflow=workflow_id, number=number)
    return found


def version_of(execution_id: str) -> str:
    """The id of the version that an execution is pinned to."""
    version_id: str = Execution.objects.values_list("version_id", flat=True).get(pk=execution_id)
    return version_id


def _plan(definition: Definition) -> Plan:
    components = definition.components
    return Plan(
        component_ids=tuple(component.id for component in components),
        component_types=tuple(component.type for component in components),
        queues=tuple(registry.kind_of(component.type) for component in components),
        pending=tuple(len(definition.incoming[component.id]) for component in components),
        join_any=tuple(component.join == "any" for component in components),
        timeouts=tuple(component.timeout_seconds for component in components),
    )
