"""One attempt of one component: its context, the call, and its output as it may be stored."""

import logging
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from django.conf import settings

from core.errors import ErrorCode
from core.json_text import storable_dumps
from core.outbound import OutboundPolicy
from core.types import JSONValue
from executions import mail, owner_secrets, resuming
from executions.bounds import BoundedList, bounded_object, bounded_text, has_more_text_than
from executions.failpoints import failpoint
from executions.interrupts import DeadlineReached, Interrupted, interruptible
from executions.limits import Meter
from executions.transitions.statements import Held, Measured
from workflows.components import registry
from workflows.components.base import Component, Context, Failed, LogLine, Outcome, Resumption
from workflows.definition import ComponentSpec
from workflows.expressions import ExpressionError, render
from workflows.validation import check_rendered

logger = logging.getLogger(__name__)


class CancelledAttempt:
    """The outcome of an attempt that was interrupted because its execution is over."""


class OutputRefusedError(Exception):
    """The component's output is no JSON, too large or too deep to be stored; the message says which."""


@dataclass(slots=True)
class Attempt:
    """One attempt while it runs: what it is, and what it used and said."""

    run: Held
    component: ComponentSpec
    scope: Mapping[str, Any]
    resumed: Resumption | None = None
    lines: list[LogLine] = field(default_factory=BoundedList)
    measured: Measured = field(default_factory=Measured)


def run_attempt(attempt: Attempt, secrets: Mapping[str, str]) -> Outcome | CancelledAttempt:
    """Run the component under its deadline and limits; what it used and said is on the attempt afterwards.

    Whatever it raises is its failure. Raises SealBrokenError where what it waited for does not open. Forbids a
    transaction.
    """
    component = attempt.component
    implementation = registry.get(component.type)
    if implementation is None:
        return Failed(f"Component type {component.type} is not installed on this worker", permanent=True)
    try:
        attempt.resumed = resuming.resumption(attempt.run, implementation)
    except resuming.ResultsTooLargeError as error:
        return Failed(str(error), permanent=True)
    context = _context(attempt, secrets)
    meter = Meter()
    try:
        outcome = _run(implementation, attempt, context)
        failpoint("after_run")
        return _bounded(outcome)
    except ExpressionError as error:
        return Failed(str(error), permanent=True)
    except DeadlineReached:
        return Failed(f"Timed out after {component.timeout_seconds:g} s", code=ErrorCode.TIMEOUT_ERROR)
    except Interrupted:
        return CancelledAttempt()
    except MemoryError:
        return Failed(f"Out of memory: a component may use {settings.COMPONENT_LIMITS['MEMORY_MB']} MiB")
    except BaseException as error:
        # SystemExit and its like too: what a component raises ends the component.
        name = bounded_text(type(error).__name__, 100)
        logger.error(
            "Component raised %s at %s",
            name,
            "".join(traceback.format_tb(error.__traceback__, -1)).strip()[:1000],
            extra={
                "action": "component_raised",
                "execution_id": attempt.run.key.execution_id,
                "component_id": component.id,
            },
        )
        return Failed(f"{name} in component type {component.type}")
    finally:
        cpu_seconds, memory_mb = meter.stop()
        attempt.measured = Measured(cpu_seconds, memory_mb, context.network_bytes)


def _run(implementation: Component, attempt: Attempt, context: Context) -> Outcome:
    component = attempt.component
    kept = implementation.unrendered | implementation.verbatim
    rendered = {name: value for name, value in component.config.items() if name not in kept}
    config: JSONValue = render(rendered, attempt.scope, now=context.now())
    config |= {name: value for name, value in component.config.items() if name in kept}
    found = check_rendered(component, config)
    if found:
        return Failed("; ".join(f"{problem.field}: {problem.message}" for problem in found[:5]), permanent=True)
    failpoint("before_run")
    with interruptible(component.timeout_seconds, attempt.run.key.run_id, attempt.run.key.attempt):
        return implementation.run(config, context)


def _bounded(outcome: object) -> Outcome:
    """A failure with a text and details that can be stored; anything that is no outcome is one."""
    if isinstance(outcome, Failed):
        return replace(outcome, message=bounded_text(outcome.message), details=bounded_object(outcome.details))
    if not isinstance(outcome, Outcome):
        return Failed(f"The component returned {bounded_text(type(outcome).__name__, 100)}, no outcome")
    return outcome


def _context(attempt: Attempt, secrets: Mapping[str, str]) -> Context:
    return Context(
        component_id=attempt.component.id,
        idempotency_key=attempt.run.key.run_id,
        attempt=attempt.run.key.attempt,
        started_at=now(),
        resumed=attempt.resumed,
        outbound=OutboundPolicy(allow=settings.OUTBOUND_ALLOW),
        max_output_bytes=settings.MAX_OUTPUT_BYTES,
        scope=attempt.scope,
        now=now,
        secret=owner_secrets.getter(secrets),
        send_email=partial(mail.send, key=attempt.run.key.run_id),
        lines=attempt.lines,
    )


def output_text(output: JSONValue) -> str:
    """The output as JSON text. Raises OutputRefusedError."""
    if has_more_text_than(output, settings.MAX_OUTPUT_BYTES):
        raise OutputRefusedError(f"Output has more than the {settings.MAX_OUTPUT_BYTES} bytes that are stored")
    try:
        text = storable_dumps(output)
    except (TypeError, ValueError, RecursionError, MemoryError) as error:
        raise OutputRefusedError(f"Output is not JSON: {type(error).__name__}") from None
    limit = settings.MAX_OUTPUT_BYTES
    if len(text) > limit // 4 and len(text.encode()) > limit:
        raise OutputRefusedError(f"Output has {len(text.encode())} bytes, at most {limit} are stored")
    if _is_deeper_than(output, settings.MAX_NESTING):
        raise OutputRefusedError(f"Output is nested deeper than {settings.MAX_NESTING}")
    return text


def _is_deeper_than(value: JSONValue, depth: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    if depth == 0:
        return True
    children = value.values() if isinstance(value, dict) else value
    return any(_is_deeper_than(child, depth - 1) for child in children if isinstance(child, dict | list))


def now() -> datetime:
    """The time of log lines and of expressions: this machine's, in UTC."""
    return datetime.now(UTC)
