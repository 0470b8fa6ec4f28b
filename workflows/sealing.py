"""Versions as they are stored: the definition as it may be shown, and the whole one sealed beside it (contract §4)."""

import json
from typing import Any

from accounts import vault
from accounts.models import User
from core.ids import new_id
from core.json_text import dumps
from core.types import JSONObject, JSONValue
from workflows.definition import DefinitionError
from workflows.literal_secrets import hide
from workflows.models import Workflow, WorkflowVersion
from workflows.restoring import restore, unkept


def new_version(*, workflow: Workflow, number: int, definition: JSONObject, user: User) -> WorkflowVersion:
    """A version of a whole definition, to be saved."""
    id_ = new_id()
    shown, sealed = split_definition(definition, version_id=id_)
    return WorkflowVersion(
        id=id_, workflow=workflow, number=number, definition=shown, sealed_definition=sealed, created_by=user
    )


def split_definition(definition: JSONObject, *, version_id: str) -> tuple[JSONObject, bytes | None]:
    """(What may be shown, the whole sealed, or None where nothing in it is secret)."""
    shown, _ = hide(definition)
    if shown == definition:
        return shown, None
    return shown, vault.seal(dumps(definition), bound_to=place(version_id))


def whole_definition(version: WorkflowVersion) -> JSONObject:
    """The definition with its literal secrets. Raises accounts.vault.SealBrokenError."""
    return open_definition(version.definition, version.sealed_definition, version_id=version.pk)


def open_definition(shown: JSONObject, sealed: bytes | memoryview | None, *, version_id: str) -> JSONObject:
    """The same of a version's columns. Raises accounts.vault.SealBrokenError."""
    if sealed is None:
        return shown
    # Not orjson: it reads integers beyond 64 bits as something else.
    opened: JSONObject = json.loads(vault.unseal(bytes(sealed), bound_to=place(version_id)))
    return opened


def restored(given: JSONValue, version: WorkflowVersion | None) -> Any:
    """A given definition with what is stored in the places of its marks; without a version, nothing is.

    Raises workflows.definition.DefinitionError for marks that stand for nothing, or for what would be shown then;
    and accounts.vault.SealBrokenError.
    """
    whole, shown = (None, None) if version is None else (whole_definition(version), version.definition)
    definition = restore(given, whole, shown)
    found = list(unkept(given, hide(definition)[0]))
    if found:
        raise DefinitionError(found)
    return definition


def place(version_id: str) -> str:
    """What a version's sealed definition is bound to."""
    return f"{version_id}/definition"
