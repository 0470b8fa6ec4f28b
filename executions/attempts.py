"""One attempt of one component: its context, the call, and its output as it may be stored.

Where a component reads a secret it is rendered, and if it is pure also run, a second time in the shadow of its scope
(core.taint): what comes out different is as secret as what it read.
"""

import logging
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from django.conf import settings

from core.errors import ErrorCode, Problem
from core.json_text import storable_dumps
from core.outbound import OutboundPolicy
from core.taint import Difference, substitute
from core.types import JSONObject, JSONValue
from executions import interrupts, mail, owner_secrets, resuming
from executions.bounds import BoundedList, bounded_object, bounded_text, has_more_text_than
from executions.failpoints import failpoint
from executions.interrupts import DeadlineReached, Interrupted, checkpoint, interruptible
from executions.limits import Meter
from executions.transitions import sweeping
from executions.transitions.statements import Held, Measured
from workflows.components import registry
from workflows.components.base import Component, Context, Failed, LogLine, Outcome, Resumption
from workflows.definition import ComponentSpec
from workflows.expressions import ExpressionError, render, render_twice
from workflows.validation import check_rendered

logger = logging.getLogger(__name__)


class CancelledAttempt:
    """The outcome of an attempt that was interrupted because its execution is over."""


class WokenEarly:
    """The outcome of an attempt whose child has not ended: it was woken by the end of an earlier one."""


class OutputRefusedError(Exception):
    """The component's output is no JSON, too large or too deep to be stored; the message says which."""


@dataclass(slots=True)
class Shadow:
    """The same attempt with other secrets: what it reads, and what comes out.

    `differences` are the texts in which its config differs from the real one; `outcome` is None where it was not run.
    """

    scope: Mapping[str, Any]
    resumed: Resumption | None = None
    config: JSONObject | None = None
    differences: frozenset[Difference] = frozenset()
    outcome: Outcome | None = None
    lines: list[LogLine] = field(default_factory=BoundedList)


@dataclass(slots=True)
class Attempt:
    """One attempt while it runs: what it is, and what it used and said. It has a shadow if it reads a secret."""

    run: Held
    component: ComponentSpec
    scope: Mapping[str, Any]
    shadow: Shadow | None = None
    resumed: Resumption | None = None
    outcome: Outcome | None = None
    lines: list[LogLine] = field(default_factory=BoundedList)
    measured: Measured = field(default_factory=Measured)


def run_attempt(attempt: Attempt, secrets: Mapping[str, str]) -> Outcome | CancelledAttempt | WokenEarly:
    """Run the component under its deadline and limits; what it used and said is on the attempt afterwards.

    Whatever it raises is its failure. Raises SealBrokenError where what it waited for does not open. Forbids a
    transaction.
    """
    implementation = registry.get(attempt.component.type)
    if implementation is None:
        return Failed(f"Component type {attempt.component.type} is not installed on this worker", permanent=True)
    try:
        attempt.resumed, resumed = resuming.resumption(attempt.run, implementation)
    except resuming.ResultsTooLargeError as error:
        return Failed(str(error), permanent=True)
    except resuming.ChildRunningError:
        return WokenEarly()
    if not _is_still_held(attempt.run):
        return CancelledAttempt()
    if attempt.shadow is None and resumed is not attempt.resumed:
        attempt.shadow = Shadow(attempt.scope)
    if attempt.shadow is not None:
        attempt.shadow.resumed = resumed
    context = _context(attempt, secrets, implementation)
    meter = Meter()
    try:
        began, asked_at = time.monotonic(), interrupts.asked_at()
        outcome = _outcome(attempt, lambda: _run(implementation, attempt, context))
        if not isinstance(outcome, CancelledAttempt):
            attempt.outcome = outcome
            if attempt.shadow is not None and attempt.shadow.config is not None and implementation.pure:
                spent = time.monotonic() - began
                shadow = _outcome(
                    attempt,
                    lambda: _run_shadow(implementation, attempt, context, secrets, spent, asked_at),
                    reported=False,
                )
                if isinstance(shadow, CancelledAttempt):
                    return shadow
                attempt.shadow.outcome = shadow
        return outcome
    finally:
        cpu_seconds, memory_mb = meter.stop()
        attempt.measured = Measured(cpu_seconds, memory_mb, context.network_bytes)


def _is_still_held(run: Held) -> bool:
    """Whether the attempt still holds its run; asked where the claim's answer, or what was read since, took long.

    Others may have taken it over by then, and the component must not begin a second time.
    """
    asked_at, now_at = interrupts.asked_at(), time.monotonic()
    if not asked_at or now_at - asked_at < settings.ENGINE["RENEW_SECONDS"]:
        return True
    if not sweeping.renew_one(run.key):
        return False
    interrupts.asked_again(now_at)
    return True


def _outcome(attempt: Attempt, work: Callable[[], Outcome], *, reported: bool = True) -> Outcome | CancelledAttempt:
    """What the work returns; what it raises is a failure too, and goes to the platform's log if `reported`."""
    component = attempt.component
    try:
        return _bounded(work())
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
        if reported:
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


def _run(implementation: Component, attempt: Attempt, context: Context) -> Outcome:
    component = attempt.component
    config = _rendered(implementation, attempt, context)
    found = check_rendered(component, config)
    if found:
        if attempt.shadow is not None and attempt.shadow.config is not None:
            # A fault may tell a value.
            attempt.shadow.outcome = _misfit(check_rendered(component, attempt.shadow.config))
            attempt.shadow.config = None
        return _misfit(found)
    failpoint("before_run")
    with interruptible(component.timeout_seconds, attempt.run.key.run_id, attempt.run.key.attempt):
        outcome = implementation.run(config, context)
    failpoint("after_run")
    return outcome


def _misfit(found: Sequence[Problem]) -> Failed:
    return Failed("; ".join(f"{problem.field}: {problem.message}" for problem in found[:5]), permanent=True)


def _rendered(implementation: Component, attempt: Attempt, context: Context) -> JSONObject:
    """The config with its expressions evaluated; that of the shadow is on the attempt afterwards."""
    kept = implementation.unrendered | implementation.verbatim
    written = {name: value for name, value in attempt.component.config.items() if name not in kept}
    unrendered = {name: value for name, value in attempt.component.config.items() if name in kept}
    config: JSONValue
    if attempt.shadow is None:
        config = render(written, attempt.scope, now=context.now())
    else:
        rendered = render_twice(written, attempt.scope, attempt.shadow.scope, now=context.now())
        config, shadow_config = rendered.value, rendered.shadow
        attempt.shadow.differences = rendered.differences
        assert isinstance(shadow_config, dict), "an object, as the config is"
        attempt.shadow.config = {**shadow_config, **unrendered}
    return {**config, **unrendered}


def _run_shadow(
    implementation: Component, attempt: Attempt, context: Context, secrets: Mapping[str, str],
    spent_seconds: float, asked_at: float,
) -> Outcome:  # fmt: skip
    """Run it in the shadow, in what is left of its time; its config is not checked, so it may well raise.

    Its lease is no younger than it was: the run was asked for at `asked_at`.
    """
    shadow, limit = attempt.shadow, attempt.component.timeout_seconds
    assert shadow is not None, "the caller has looked"
    assert shadow.config is not None, "the caller has looked"
    left = None if limit is None else limit - spent_seconds
    if left is not None and left <= 0:
        raise DeadlineReached
    context = replace(
        context,
        resumed=shadow.resumed,
        scope=shadow.scope,
        secret=owner_secrets.getter({name: substitute(value) for name, value in secrets.items()}),
        lines=shadow.lines,
    )
    with interruptible(left, attempt.run.key.run_id, attempt.run.key.attempt, asked_at=asked_at):
        return implementation.run(shadow.config, context)


def _bounded(outcome: object) -> Outcome:
    """A failure with a text and details that can be stored; anything that is no outcome is one."""
    if isinstance(outcome, Failed):
        return replace(outcome, message=bounded_text(outcome.message), details=bounded_object(outcome.details))
    if not isinstance(outcome, Outcome):
        return Failed(f"The component returned {bounded_text(type(outcome).__name__, 100)}, no outcome")
    return outcome


def _context(attempt: Attempt, secrets: Mapping[str, str], implementation: Component) -> Context:
    at = now()
    # What is run twice sees one time.
    clock = (lambda: at) if attempt.shadow is not None and implementation.pure else now
    return Context(
        component_id=attempt.component.id,
        idempotency_key=attempt.run.key.run_id,
        attempt=attempt.run.key.attempt,
        started_at=at,
        resumed=attempt.resumed,
        outbound=OutboundPolicy(allow=settings.OUTBOUND_ALLOW),
        max_output_bytes=settings.MAX_OUTPUT_BYTES,
        scope=attempt.scope,
        now=clock,
        secret=owner_secrets.getter(secrets),
        send_email=partial(mail.send, key=attempt.run.key.run_id),
        lines=attempt.lines,
        checkpoint=checkpoint,
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
