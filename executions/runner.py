"""One attempt of one component, then the successor that this worker keeps, then the next."""

import logging
import random
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connection

from accounts.vault import SealBrokenError
from core.errors import ErrorCode
from core.json_text import storable_dumps
from core.outbound import OutboundPolicy
from core.redact import Redactor
from core.request_id import set_request_id
from core.times import iso
from core.types import JSONObject, JSONValue
from executions import conclude, plans, sealing
from executions.bounds import BoundedList, bounded_object, bounded_text, dropped_lines, has_more_text_than, plain_lines
from executions.decider import settle
from executions.failpoints import failpoint
from executions.inputs import EndedRun, Inputs
from executions.interrupts import DeadlineReached, Interrupted, draining, interruptible
from executions.limits import Meter, must_be_replaced
from executions.retries import delay_before_retry
from executions.states import RunStatus
from executions.transitions import running, sweeping
from executions.transitions.statements import Claimed, Ended, Holder, Measured, RunKey
from workflows.components import registry
from workflows.components.base import (
    Completed,
    Component,
    Context,
    Email,
    EmailRefusedError,
    Failed,
    LogLine,
    Outcome,
    Resumption,
    SecretMissingError,
    Waiting,
)
from workflows.definition import MAX_NESTING, ComponentSpec
from workflows.expressions import ExpressionError, evaluate_condition, render
from workflows.validation import check_rendered

logger = logging.getLogger(__name__)


class CancelledAttempt:
    """The outcome of an attempt that was interrupted because its execution is over."""


class OutputRefusedError(Exception):
    """The component's output is no JSON, too large or too deep to be stored; the message says which."""


@dataclass(slots=True)
class Attempt:
    """One attempt while it runs: what it is, and what it used and said."""

    key: RunKey
    component: ComponentSpec
    waited: bool
    failures: int
    scope: Mapping[str, Any]
    lines: list[LogLine] = field(default_factory=BoundedList)
    measured: Measured = field(default_factory=Measured)


def run_component(run_id: str, attempt: int, holder: Holder) -> None:
    """Claim the run and work: it, and one ready successor after another while KEEP_SUCCESSOR_SECONDS last.

    Everything is recorded through `executions.transitions`; nothing is returned or raised. Forbids a transaction.
    """
    try:
        _claim_and_work(run_id, attempt, holder)
    except Exception:
        logger.exception("Attempt not recorded", extra={"action": "attempt_lost", "run_id": run_id})
        _let_go(holder)


def _claim_and_work(run_id: str, attempt: int, holder: Holder) -> None:
    claimed = running.claim(run_id, attempt, holder)
    if claimed is None:
        logger.debug("Nothing to claim", extra={"action": "claim_missed", "run_id": run_id, "attempt": attempt})
        return
    failpoint("after_claim")
    set_request_id(claimed.execution["request_id"])
    try:
        session = Session(claimed, holder)
    except (plans.UnrunnableError, SealBrokenError) as error:
        conclude.fail_execution(claimed.key, claimed.component_id, str(error), holder)
        return
    until = time.monotonic() + settings.ENGINE["KEEP_SUCCESSOR_SECONDS"]
    following = session.work(claimed.key, claimed.component_id, claimed.waited, claimed.crashes, until)
    while following is not None:
        following = session.work(*following, waited=False, crashes=0, keep_until=until)


def _let_go(holder: Holder) -> None:
    """Give up whatever this process still holds.

    Its lease is renewed for as long as the process lives, so nobody else would ever take it over. Without
    PostgreSQL the process has nothing else to do, and tries until it is back.
    """
    while True:
        try:
            for pid, run in sweeping.held_by(holder.worker):
                if pid == holder.pid:
                    conclude.rescue(run, "The attempt could not be recorded; trying again")
            return
        except DatabaseError as error:
            connection.close()
            logger.warning("PostgreSQL is away: %s", type(error).__name__, extra={"action": "let_go_failed"})
            time.sleep(1)


class Session:
    """What one task knows of the execution that it works on; lives as long as the task."""

    def __init__(self, claimed: Claimed, holder: Holder) -> None:
        """Raises plans.UnrunnableError and accounts.vault.SealBrokenError."""
        execution = claimed.execution
        compiled = plans.compiled(execution["version_id"])
        sealed = execution["sealed_parameters"]
        parameters = sealing.open_parameters(execution["parameters"], sealed, execution_id=execution["id"])
        sensitive = [parameter.name for parameter in compiled.definition.parameters if parameter.sensitive]
        self.definition = compiled.definition
        self.inputs = Inputs(execution, compiled, parameters)
        self.has_secrets = sealed is not None
        self.redactor = Redactor(sealing.secret_values(parameters, sensitive) if sealed else ())
        self.holder = holder

    def work(
        self, key: RunKey, component_id: str, waited: bool, crashes: int, keep_until: float
    ) -> tuple[RunKey, str] | None:
        """One attempt from its claim to its record; the kept successor, claimed, if there is one."""
        component = self.definition.by_id[component_id]
        attempt = Attempt(key, component, waited, key.attempt - crashes, self.inputs.scope(component))
        outcome = self._try(attempt)
        keep = time.monotonic() < keep_until and not draining() and not must_be_replaced()
        if isinstance(outcome, Completed):
            try:
                return self._complete(attempt, outcome.output, keep)
            except ExpressionError as error:
                outcome = Failed(f"Condition of a connection from {component_id}: {error}", permanent=True)
            except OutputRefusedError as error:
                outcome = Failed(str(error), permanent=True)
        if isinstance(outcome, Failed):
            return self._fail(attempt, outcome, keep)
        if isinstance(outcome, Waiting) and running.wait(
            key, outcome.until, lines=self._lines(attempt), measured=attempt.measured
        ):
            return None
        if isinstance(outcome, CancelledAttempt) and conclude.hand_over(key, "The worker let it go; trying again"):
            return None
        # Interrupted; or a wait that could not begin because the execution stops.
        return self._end(attempt, Ended(RunStatus.CANCELLED), keep=False)

    def _try(self, attempt: Attempt) -> Outcome | CancelledAttempt:
        component = attempt.component
        implementation = registry.get(component.type)
        if implementation is None:
            return Failed(f"Component type {component.type} is not installed on this worker", permanent=True)
        context = _context(attempt)
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
                    "execution_id": attempt.key.execution_id,
                    "component_id": component.id,
                },
            )
            return Failed(f"{name} in component type {component.type}")
        finally:
            cpu_seconds, memory_mb = meter.stop()
            attempt.measured = Measured(cpu_seconds, memory_mb, context.network_bytes)

    def _complete(self, attempt: Attempt, output: JSONValue, keep: bool) -> tuple[RunKey, str] | None:
        """Raises OutputRefusedError, and ExpressionError from the conditions of its connections."""
        text = _output_text(output)
        true_conditions = self._true_conditions(attempt, output)
        ended = Ended(RunStatus.COMPLETED, output_text=text)
        if self.has_secrets:
            shown = self.redactor.redact(output)
            if shown != output:
                sealed = sealing.seal_output(text, run_id=attempt.key.run_id)
                ended = replace(ended, output_text=storable_dumps(shown), sealed_output=sealed)
        return self._end(attempt, ended, true_conditions, output=output, keep=keep)

    def _fail(self, attempt: Attempt, outcome: Failed, keep: bool) -> tuple[RunKey, str] | None:
        error: JSONObject = {"code": str(outcome.code), "message": outcome.message}
        if outcome.details:
            error["details"] = outcome.details
        error = self.redactor.redact(error)
        attempt.lines.append(LogLine(_now(), "error", error["message"], {"attempt": attempt.key.attempt}))
        delay = delay_before_retry(
            attempt.component.retry_policy,
            failures=attempt.failures,
            permanent=outcome.permanent,
            jitter=random.random(),  # noqa: S311 - spreads load, guards nothing
        )
        lines = self._lines(attempt)
        if delay is not None and running.retry_later(attempt.key, delay, error, lines=lines, measured=attempt.measured):
            return None
        return self._end(attempt, Ended(RunStatus.FAILED, error=error), keep=keep)

    def _end(
        self,
        attempt: Attempt,
        ended: Ended,
        true_conditions: tuple[int, ...] = (),
        *,
        output: JSONValue = None,
        keep: bool,
    ) -> tuple[RunKey, str] | None:
        settled = settle(self.definition, attempt.component.id, ended.status, true_conditions)
        following = conclude.end_run(
            attempt.key,
            attempt.component,
            self.definition,
            replace(ended, lines=self._lines(attempt), measured=attempt.measured),
            settled,
            holder=self.holder,
            keep=keep,
        )
        run = EndedRun(ended.status, output, frozenset(settled.taken), ended.error)
        self.inputs.remember(attempt.component.id, run)
        return following

    def _true_conditions(self, attempt: Attempt, output: JSONValue) -> tuple[int, ...]:
        conditional = [c for c in self.definition.outgoing[attempt.component.id] if c.condition is not None]
        if not conditional:
            return ()
        own = {"output": output, "status": str(RunStatus.COMPLETED)}
        components = {**attempt.scope["components"], attempt.component.id: own}
        # `input` is what the connection would hand on.
        scope = {**attempt.scope, "components": components, "input": output}
        if attempt.component.id not in attempt.scope["parameters"]:
            scope[attempt.component.id] = own
        now = _now()
        return tuple(c.index for c in conditional if c.condition and evaluate_condition(c.condition, scope, now=now))

    def _lines(self, attempt: Attempt) -> list[JSONObject]:
        dropped = dropped_lines(attempt.lines)
        if dropped:
            list.append(attempt.lines, LogLine(_now(), "warning", f"{dropped} more log lines were dropped", {}))
        return [
            {
                "timestamp": iso(timestamp),
                "component_id": attempt.component.id,
                "attempt": attempt.key.attempt,
                "level": level,
                "message": self.redactor.redact_text(message),
                "metadata": self.redactor.redact(metadata),
            }
            for timestamp, level, message, metadata in plain_lines(attempt.lines)
        ]


def _run(implementation: Component, attempt: Attempt, context: Context) -> Outcome:
    component = attempt.component
    rendered = {name: value for name, value in component.config.items() if name not in implementation.unrendered}
    config: JSONValue = render(rendered, attempt.scope, now=context.now())
    config |= {name: value for name, value in component.config.items() if name in implementation.unrendered}
    found = check_rendered(component, config)
    if found:
        return Failed("; ".join(f"{problem.field}: {problem.message}" for problem in found[:5]), permanent=True)
    failpoint("before_run")
    with interruptible(component.timeout_seconds, attempt.key.run_id, attempt.key.attempt):
        return implementation.run(config, context)


def _bounded(outcome: object) -> Outcome:
    """A failure with a text and details that can be stored; anything that is no outcome is one."""
    if isinstance(outcome, Failed):
        return replace(outcome, message=bounded_text(outcome.message), details=bounded_object(outcome.details))
    if not isinstance(outcome, Outcome):
        return Failed(f"The component returned {bounded_text(type(outcome).__name__, 100)}, no outcome")
    return outcome


def _context(attempt: Attempt) -> Context:
    return Context(
        component_id=attempt.component.id,
        idempotency_key=attempt.key.run_id,
        attempt=attempt.key.attempt,
        started_at=_now(),
        resumed=Resumption(timed_out=True) if attempt.waited else None,
        outbound=OutboundPolicy(allow=settings.OUTBOUND_ALLOW),
        max_output_bytes=settings.MAX_OUTPUT_BYTES,
        scope=attempt.scope,
        now=_now,
        secret=_no_secret,
        send_email=_no_mail,
        lines=attempt.lines,
    )


def _no_secret(name: str) -> str:
    raise SecretMissingError(name)


def _no_mail(email: Email) -> str:
    raise EmailRefusedError("No mail server is configured", permanent=True)


def _output_text(output: JSONValue) -> str:
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
    if _is_deeper_than(output, MAX_NESTING):
        raise OutputRefusedError(f"Output is nested deeper than {MAX_NESTING}")
    return text


def _is_deeper_than(value: JSONValue, depth: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    if depth == 0:
        return True
    children = value.values() if isinstance(value, dict) else value
    return any(_is_deeper_than(child, depth - 1) for child in children if isinstance(child, dict | list))


def _now() -> datetime:
    return datetime.now(UTC)
