"""Which of its owner's secrets a definition reads, and which of these there are not (contract §4, §5)."""

from collections.abc import Iterator

from accounts.secret_store import names_of
from core.errors import Problem
from workflows.definition import Definition, parts
from workflows.expressions import References, references
from workflows.texts import references_of


def secrets_read(definition: Definition) -> References:
    """What the whole definition reads; of use are `secrets` and `all_secrets`."""
    found = References()
    for _, reads in _reads(definition):
        found |= reads
    return found


def missing_secrets(definition: Definition, owner_id: str) -> list[Problem]:
    """One problem for each place that names a secret which the owner has not; one query if any is named."""
    reads = list(_reads(definition))
    if not any(read.secrets for _, read in reads):
        return []
    existing = names_of(owner_id)
    return [
        Problem(
            f"There is no secret called {name}",
            field=place,
            details={"expected": "the name of a secret of the workflow's owner", "received": name},
        )
        for place, read in reads
        for name in sorted(read.secrets - existing)
    ]


def _reads(definition: Definition) -> Iterator[tuple[str, References]]:
    """(place, what is read there), in the definition's order."""
    for path, part in parts(definition):
        for spec in part.components:
            yield f"{path}.components[{spec.position}].config", references_of(part, spec)
    concurrency = definition.settings.concurrency
    if concurrency is not None:
        yield "definition.settings.concurrency.key", references(concurrency.key)
