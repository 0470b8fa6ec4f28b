"""Inbound hooks: whose token it is, whether the sender may, and the execution that a delivery starts."""

import hashlib
import hmac
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from django.conf import settings
from django.db import models

from core.errors import (
    AuthenticationFailedError,
    BadRequestError,
    MethodNotAllowedError,
    NotFoundError,
    Problem,
    TooLargeError,
    ValidationFailedError,
)
from core.json_text import dumps
from core.prepared_query import PreparedQuery
from core.types import JSONObject, JSONValue
from executions import plans, services, trigger_parameters
from executions.models import Execution
from executions.services import StartRequest, StartResult
from executions.states import FINAL_EXECUTION
from executions.triggers import RefusedError, refusals, refused_without, require_owner
from workflows import hook_tokens
from workflows.models import Trigger, TriggerType, WorkflowVersion

SIGNATURE_HEADER = "X-Webhook-Signature"
MAX_WAIT_SECONDS = 60
_MAX_KEY_CHARS = 255
_LOOK_SECONDS = 0.1
# What a sender proves itself with, here or elsewhere, is not for the workflow.
_CREDENTIALS = frozenset({"authorization", "cookie", "proxy-authorization", "x-api-key"})
# Of the web threads of a process so many wait for results at most; the others serve.
MAX_WAITERS = max(settings.WEB_THREADS // 4, 1)
waiters = threading.BoundedSemaphore(MAX_WAITERS)

_BY_DIGEST = PreparedQuery(
    lambda digest: Trigger.objects.select_related("workflow__created_by").filter(
        token_digest=digest, live=True, type=TriggerType.WEBHOOK
    ),
    models.BinaryField(),
)


@dataclass(frozen=True, slots=True)
class Delivery:
    """What came to a hook; header names are lower-case, `raw` is the body that a signature is over."""

    method: str
    headers: Mapping[str, str]
    query: Mapping[str, Sequence[str]]
    raw: bytes
    body: JSONValue


def find(token: str) -> Trigger | None:
    """The live hook of a token. It is looked up by its digest, so the time taken tells nothing of any token."""
    return _BY_DIGEST.one(hook_tokens.digest(token))


def start(hook: Trigger | None, delivery: Delivery) -> StartResult:
    """The execution that the delivery starts, or that the same delivery has started within 24 hours.

    Raises NotFoundError for no hook; MethodNotAllowedError; AuthenticationFailedError for a bad signature or secret;
    BadRequestError for a bad dedupe key; TooLargeError; ConflictError where `settings.concurrency` refuses it;
    ValidationFailedError and WorkflowInvalidError where the workflow cannot be started. Opens its own durable
    transaction.
    """
    if hook is None:
        raise NotFoundError
    if delivery.method not in hook.config["methods"]:
        raise MethodNotAllowedError
    workflow, now = hook.workflow, datetime.now(UTC)
    try:
        version_id = plans.version_id(workflow.pk, workflow.version)
    except WorkflowVersion.DoesNotExist:
        raise NotFoundError from None
    try:
        with refusals():
            require_owner(workflow.created_by)
            config = services.compiled_to_run(version_id).definition.by_id[hook.component_id].config
            secrets: dict[str, bytes] = {
                name: _secret_bytes(trigger_parameters.text_of(config[name], workflow, now=now))
                for name in ("hmac_secret", "header_secret")
                if name in config
            }
        _require_sender(hook, secrets, delivery)
        brought = _brought(hook, delivery)
        key = _dedupe_key(hook, delivery)
        with refusals():
            given = trigger_parameters.parameters_of(config, workflow, slot_at=None, now=now, brought=brought)
    except RefusedError as error:
        raise ValidationFailedError(f"The workflow cannot be started: {error.message}") from None
    try:
        return services.start_execution(
            workflow=workflow,
            user=workflow.created_by,
            request=StartRequest(given.values, idempotency_key=key),
            trigger={"type": "webhook", "trigger_id": hook.pk, "component_id": hook.component_id},
            digest=hashlib.sha256(hook.pk.encode()).digest(),
            hidden=given.hidden,
            masks=given.masks,
            brought=brought,
        )
    except ValidationFailedError as error:
        # A value may have been made of a secret of the owner's, and a sender is not the owner.
        told = refused_without(given.hidden, error)
        raise ValidationFailedError(told.message, problems=told.problems) from None


def _require_sender(hook: Trigger, secrets: Mapping[str, bytes], delivery: Delivery) -> None:
    """Raises AuthenticationFailedError unless the sender knows the secrets that the start names."""
    if "hmac_secret" in secrets:
        digest = hmac.new(secrets["hmac_secret"], delivery.raw, hashlib.sha256).hexdigest()
        given = delivery.headers.get(SIGNATURE_HEADER.lower(), "")
        if not hmac.compare_digest(f"sha256={digest}".encode(), given.strip().lower().encode()):
            raise AuthenticationFailedError("The signature is missing or wrong")
    if "header_secret" in secrets:
        given = delivery.headers.get(hook.config["header_name"].lower(), "")
        if not hmac.compare_digest(secrets["header_secret"], given.encode()):
            raise AuthenticationFailedError("The secret is missing or wrong")


def _secret_bytes(secret: JSONValue) -> bytes:
    """Raises RefusedError where there is nothing to compare with: an empty secret everybody knows."""
    if not isinstance(secret, str) or not secret:
        raise RefusedError("refused", "The secret of the hook is no text")
    return secret.encode()


def _brought(hook: Trigger, delivery: Delivery) -> JSONObject:
    hidden = _CREDENTIALS | {(hook.config["header_name"] or "").lower()}
    brought: JSONObject = {
        "body": delivery.body,
        "headers": {name: value for name, value in delivery.headers.items() if name not in hidden},
        "query": {name: values[0] if len(values) == 1 else list(values) for name, values in delivery.query.items()},
        "method": delivery.method,
    }
    size = len(dumps(brought))
    if size > settings.MAX_OUTPUT_BYTES:
        details = {"expected": f"at most {settings.MAX_OUTPUT_BYTES} bytes", "received": f"{size} bytes"}
        raise TooLargeError(problems=[Problem("More than an input may hold", details=details)])
    return brought


def _dedupe_key(hook: Trigger, delivery: Delivery) -> str | None:
    name = hook.config["dedupe_header"]
    key = delivery.headers.get(name.lower())
    if key is None:
        return None
    if not 1 <= len(key) <= _MAX_KEY_CHARS:
        problem = Problem(f"Must be 1 to {_MAX_KEY_CHARS} characters", field=name)
        raise BadRequestError(f"Invalid {name}", problems=[problem])
    # With spaces in it, so that it is no key that a request of the owner's could have.
    return f"hook {hook.pk} {hashlib.sha256(key.encode()).hexdigest()}"


def wait_for(execution: Execution, seconds: float) -> Execution:
    """The execution once it has ended, or as it is after so long; at once where too many wait in this process."""
    if execution.status in FINAL_EXECUTION or not seconds or not waiters.acquire(blocking=False):
        return execution
    try:
        until = time.monotonic() + seconds
        while execution.status not in FINAL_EXECUTION and time.monotonic() < until:
            time.sleep(_LOOK_SECONDS)
            status = Execution.objects.values_list("status", flat=True).get(pk=execution.pk)
            execution.status = status
    except Execution.DoesNotExist:
        raise NotFoundError("The workflow was deleted with its executions") from None
    finally:
        waiters.release()
    return Execution.objects.get(pk=execution.pk)
