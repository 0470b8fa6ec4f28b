"""What a definition needs besides itself: its owner's secrets, and the workflows that it runs (contract §4, §5)."""

from collections.abc import Iterator

from accounts.secret_store import names_of
from core.errors import Problem
from core.ids import parse_id
from workflows.access import runnable_by_owner
from workflows.definition import Definition, parts
from workflows.expressions import References, has_expression, references
from workflows.schemas import received
from workflows.texts import references_of


def secrets_read(definition: Definition) -> References:
    """What the whole definition reads; of use are `secrets` and `all_secrets`."""
    found = References()
    for _, reads in _reads(definition):
        found |= reads
    return found


def children_named(definition: Definition) -> dict[str, str]:
    """The workflows that `sub_workflow` components name without an expression: place -> id as written."""
    return {
        f"{path}.components[{spec.position}].config.workflow_id": spec.config["workflow_id"]
        for path, part in parts(definition)
        for spec in part.components
        if spec.type == "sub_workflow" and not has_expression(spec.config["workflow_id"])
    }


def missing_parts(definition: Definition, owner_id: str) -> list[Problem]:
    """One problem for each place that names a secret, or a workflow, which the owner has not."""
    return [*_missing_secrets(definition, owner_id), *_missing_workflows(children_named(definition), owner_id)]


def _missing_secrets(definition: Definition, owner_id: str) -> Iterator[Problem]:
    reads = list(_reads(definition))
    if not any(read.secrets for _, read in reads):
        return
    existing = names_of(owner_id)
    for place, read in reads:
        for name in sorted(read.secrets - existing):
            details = {"expected": "the name of a secret of the workflow's owner", "received": name}
            yield Problem(f"There is no secret called {name}", field=place, details=details)


def _missing_workflows(named: dict[str, str], owner_id: str) -> Iterator[Problem]:
    ids = {written: _id_of(written) for written in named.values()}
    runnable = runnable_by_owner(owner_id).filter(pk__in=[id_ for id_ in ids.values() if id_ is not None])
    existing = set(runnable.values_list("pk", flat=True)) if named else set()
    for place, written in named.items():
        if ids[written] not in existing:
            details = {"expected": "the id of a workflow that the owner may run", "received": received(written)}
            yield Problem("There is no such workflow", field=place, details=details)


def _id_of(written: str) -> str | None:
    try:
        return parse_id(written)
    except ValueError:
        return None


def _reads(definition: Definition) -> Iterator[tuple[str, References]]:
    """(place, what is read there), in the definition's order."""
    for path, part in parts(definition):
        for spec in part.components:
            yield f"{path}.components[{spec.position}].config", references_of(part, spec)
    concurrency = definition.settings.concurrency
    if concurrency is not None:
        yield "definition.settings.concurrency.key", references(concurrency.key)
