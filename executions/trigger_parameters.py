"""What a trigger's texts come to when it fires: its parameters with the owner's secrets, and what may be shown."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from accounts.secret_store import values_of
from core.redact import redact
from core.taint import shadow_of, substitute, without_differences
from core.times import iso
from core.types import JSONObject, JSONValue
from executions import owner_secrets
from workflows.expressions import References, references, render, render_twice
from workflows.models import Workflow


@dataclass(frozen=True, slots=True)
class Given:
    """Parameters for an execution; `hidden` texts and `masks` are for `services.prepare`."""

    values: JSONObject
    hidden: frozenset[str]
    masks: JSONObject


def parameters_of(
    config: JSONObject,
    workflow: Workflow,
    *,
    slot_at: datetime | None,
    now: datetime,
    brought: JSONObject | None = None,
) -> Given:
    """The `parameters` of a start with their expressions evaluated.

    They see `secrets`, `workflow`, `execution.slot_at` (ISO 8601 text), `now()`, and as `input` what a hook or an
    event brought. Raises workflows.expressions.ExpressionError and accounts.vault.SealBrokenError.
    """
    written = config.get("parameters", {})
    secrets = _secrets(references(written), workflow)
    real = _scope(workflow, secrets, slot_at, brought)
    shadow_input = shadow_of(brought, redact(brought))
    if not secrets and shadow_input == brought:
        return Given(_object(render(written, real, now=now)), frozenset(), {})
    others = {name: substitute(value) for name, value in secrets.items()}
    shadow = _scope(workflow, others, slot_at, shadow_input)
    rendered = render_twice(written, real, shadow, now=now)
    values, shown = _object(rendered.value), without_differences(rendered.value, rendered.shadow)
    masks = {name: value for name, value in _object(shown).items() if value != values.get(name)}
    hidden = frozenset(owner_secrets.texts_to_hide(secrets)) if masks else frozenset[str]()
    return Given(values, hidden, masks)


def text_of(text: str, workflow: Workflow, *, now: datetime) -> JSONValue:
    """One text of a start, a hook's secret say. Raises as `parameters_of` does."""
    return render(text, _scope(workflow, _secrets(references(text), workflow)), now=now)


def _secrets(reads: References, workflow: Workflow) -> dict[str, str]:
    if not reads.secrets and not reads.all_secrets:
        return {}
    return values_of(workflow.created_by_id, None if reads.all_secrets else reads.secrets)


def _scope(
    workflow: Workflow, secrets: Mapping[str, Any], slot_at: datetime | None = None, brought: JSONValue = None
) -> JSONObject:
    about: JSONObject = {"id": workflow.pk, "name": workflow.name, "version": workflow.version}
    at = None if slot_at is None else iso(slot_at)
    scope: JSONObject = {"secrets": dict(secrets), "workflow": about, "execution": {"slot_at": at}}
    return scope if brought is None else {**scope, "input": brought}


def _object(value: JSONValue) -> JSONObject:
    return value if isinstance(value, dict) else {}
