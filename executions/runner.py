"""What a worker does with a message: claim whose turn it is, run and record it, then the successor that it keeps."""

import logging
import random
import time
from dataclasses import replace

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection

from accounts.vault import SealBrokenError
from core.connections import is_away, may_pass
from core.errors import ErrorCode
from core.json_text import storable_dumps
from core.log_context import NOTHING, bind_facts
from core.request_id import set_request_id
from core.taint import shadow_of
from core.times import iso
from core.types import JSONObject, JSONValue
from executions import children, conclude, outputs, owner_secrets, plans, sealing
from executions.attempts import (
    Attempt,
    CancelledAttempt,
    OutputRefusedError,
    Shadow,
    WokenEarly,
    now,
    output_text,
    run_attempt,
)
from executions.bounds import dropped_lines, plain_lines
from executions.decider import settle
from executions.failpoints import failpoint
from executions.inputs import EndedRun, Inputs
from executions.interrupts import draining
from executions.limits import must_be_replaced
from executions.outputs import OutputLostError, OutputUnavailableError
from executions.retries import delay_before_retry
from executions.states import RunStatus, WaitingFor
from executions.telling import Telling
from executions.transitions import running, sweeping, turns, waiting
from executions.transitions.looping import NewItem
from executions.transitions.statements import Claimed, Ended, Held, Holder, Measured
from executions.transitions.waiting import Wait
from executions.watching import Watched, watched
from workflows.components import registry
from workflows.components.base import (
    Child,
    Completed,
    Failed,
    LogLine,
    Loop,
    Waiting,
    WaitingForSignal,
)
from workflows.definition import ComponentSpec
from workflows.expressions import ExpressionError, evaluate_condition

logger = logging.getLogger(__name__)

# How often a worker that keeps successors looks whether somebody else has been waiting.
_FAIRNESS_SECONDS = 0.025
# While what is stored cannot be read: how long an attempt is put off, and how long one keeps its worker meanwhile; how
# often an output that is missing from the store is looked for, some ten minutes in all.
_LONGEST_PUT_OFF_SECONDS = 60.0
_LONGEST_HELD_SECONDS = 2.0
_MAX_LOST_TRIES = 12
_MAX_LOST_TRIES_HELD = 300
# How often a run is given up without a crash, whatever for, before one that cannot be recorded counts as one.
_MAX_RELEASED = 10


def run_component(run_id: str, attempt: int, holder: Holder) -> None:
    """Claim the run whose turn it is and work: it, and one ready successor after another for KEEP_SUCCESSOR_SECONDS.

    The run that the message names goes first unless another's turn has come; each queued run has its message, so
    each is taken by one. Everything is recorded through `executions.transitions`; nothing is returned or raised.
    Forbids a transaction.
    """
    try:
        _claim_and_work(run_id, attempt, holder)
    except Exception as error:
        logger.exception("Attempt not recorded", extra={"action": "attempt_lost", "run_id": run_id})
        _let_go(holder, error)
    finally:
        # What the process logs while it waits for the next message is nobody's.
        bind_facts(NOTHING)
        set_request_id("")


def _claim_and_work(run_id: str, attempt: int, holder: Holder) -> None:
    claimed = _claim(run_id, attempt, holder)
    if claimed is None:
        logger.debug("Nothing to claim", extra={"action": "claim_missed", "run_id": run_id, "attempt": attempt})
        return
    failpoint("after_claim")
    set_request_id(claimed.execution["request_id"])
    bind_facts({"execution_id": claimed.run.key.execution_id})
    try:
        session = Session(claimed, holder)
    except (plans.UnrunnableError, SealBrokenError) as error:
        conclude.fail_execution(claimed.run, str(error), holder)
        return
    following: Held | None = claimed.run
    while following is not None:
        following = session.work(following)
    if session.compiled.definition.settings.max_parallel:
        conclude.let_in(claimed.run.key.execution_id)


def _claim(run_id: str, attempt: int, holder: Holder) -> Claimed | None:
    types = registry.known_types()
    claimed = running.claim(run_id, attempt, holder, types)
    if claimed is not None:
        return claimed
    for next_id, next_attempt in turns.next_in_turn(types, holder.queues):
        claimed = running.claim(next_id, next_attempt, holder, types, jump=True)
        if claimed is not None:
            return claimed
    # Those whose turn it is were taken meanwhile, or are held back by `max_parallel`.
    return running.claim(run_id, attempt, holder, types, jump=True)


def _let_go(holder: Holder, error: Exception) -> None:
    """Give up whatever this process still holds; it is the component's crash unless PostgreSQL was away.

    Without PostgreSQL the process has nothing else to do, and tries until it is back and can be written to, or until
    the warden ends it, being stuck. What another error leaves held is not renewed.
    """
    while True:
        try:
            for pid, run in sweeping.held_by(holder.worker):
                if pid == holder.pid:
                    # Not for ever: what it records may be what PostgreSQL goes down of.
                    was_away = is_away(error) and run.released < _MAX_RELEASED
                    give_up = conclude.let_go if was_away else conclude.rescue
                    give_up(run, "The attempt could not be recorded; trying again")
            return
        except DatabaseError as failure:
            if not may_pass(failure):
                raise
            connection.close()
            logger.warning("Not given up yet: %s", type(failure).__name__, extra={"action": "let_go_failed"})
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
        self.execution = execution
        self.compiled = compiled
        self.secrets = owner_secrets.load(compiled.secrets, execution["workflow_id"])
        brought = sealing.open_input(execution["trigger"], execution["sealed_input"], execution_id=execution["id"])
        self.inputs = Inputs(execution, compiled, parameters, self.secrets, brought)
        hidden = sealing.open_hidden(execution["sealed_hidden"], execution_id=execution["id"])
        hidden |= compiled.literal_secrets
        if sealed is not None:
            hidden |= sealing.secret_values(parameters, sensitive)
        if execution["sealed_input"] is not None and isinstance(brought, dict):
            hidden |= sealing.secret_values(brought, ())
        hidden = hidden.union(owner_secrets.texts_to_hide(self.secrets))
        # What may be told of the attempt at hand; between attempts, of the execution.
        self.telling = self._telling = Telling(hidden)
        self.holder = holder
        self.watch = Watched()
        self._keep_until = time.monotonic() + settings.ENGINE["KEEP_SUCCESSOR_SECONDS"]
        self._look_at = time.monotonic() + _FAIRNESS_SECONDS

    def work(self, run: Held) -> Held | None:
        """One attempt from its claim to its record; the run that this worker goes on with, claimed, if there is one."""
        component = self.compiled.homes[run.component_id].definition.by_id[run.component_id]
        with watched(run, component, self.execution) as self.watch:
            return self._work(run, component)

    def _work(self, run: Held, component: ComponentSpec) -> Held | None:
        try:
            scopes = self.inputs.scopes(run)
            attempt = Attempt(run, component, scopes.real, Shadow(scopes.shadow) if scopes.shadow else None)
            outcome = self._timed_out(attempt) if run.overdue else run_attempt(attempt, self.secrets)
            if run.late and isinstance(outcome, Loop | Waiting | WaitingForSignal | Child):
                # What has come in time may end it, but nothing more begins.
                outcome = self._timed_out(attempt)
            self.watch.ran()
            self.telling = self._telling.about(attempt)
        except SealBrokenError as error:
            conclude.fail_execution(run, str(error), self.holder)
            return None
        except OutputUnavailableError as error:
            self._put_off(run, error)
            return None
        keep = self._may_keep()
        try:
            if isinstance(outcome, Completed):
                return self._complete(attempt, outcome, keep)
            if isinstance(outcome, Loop):
                return self._loop(attempt, outcome, keep)
            if isinstance(outcome, Waiting | WaitingForSignal | Child | WokenEarly):
                if self._wait(attempt, outcome):
                    self.watch.outcome = "waiting"
                    return None
                # The wait could not begin because the execution stops.
                outcome = CancelledAttempt()
        except ExpressionError as error:
            outcome = Failed(f"Condition of a connection from {component.id}: {error}", permanent=True)
        except (OutputRefusedError, children.ChildRefusedError) as error:
            outcome = Failed(str(error), permanent=True)
        if isinstance(outcome, Failed):
            return self._fail(attempt, outcome, keep)
        if isinstance(outcome, CancelledAttempt) and conclude.hand_over(run.key, "The worker let it go; trying again"):
            return None
        # Interrupted; or a wait that could not begin because the execution stops.
        return self._end(attempt, Ended(RunStatus.CANCELLED), keep=False)

    def _put_off(self, run: Held, error: OutputUnavailableError) -> None:
        """What it reads cannot be had: no failure of the component's, which has not run. It is tried again until the
        store is back.

        What is missing from the store may be on a disk that is not mounted; after some tries it counts as gone.
        """
        logger.warning(
            "Attempt put off: %s",
            error.message,
            extra={"action": "put_off", "execution_id": run.key.execution_id, "component_id": run.component_id},
        )
        lost = sweeping.LostRun(run.key, run.component_id, 0, item=run.item)
        told = {"code": str(ErrorCode.SYSTEM_ERROR), "message": error.message}
        tries = _MAX_LOST_TRIES if run.resumed_from is None else _MAX_LOST_TRIES_HELD
        if isinstance(error, OutputLostError) and run.lost_attempts >= tries:
            conclude.end_lost(lost, Ended(RunStatus.FAILED, error=told))
            return
        delay = min(2.0 ** min(run.lost_attempts, 10), _LONGEST_PUT_OFF_SECONDS)
        if run.resumed_from is None:
            wait = Wait(WaitingFor.RETRY, delay_seconds=delay, error=told, lost=True)
            put_off = waiting.wait(run.key, wait, lines=(), measured=Measured())
        else:
            # It must resume where it is: begun anew it would start its child, or its items, once more.
            time.sleep(min(delay, _LONGEST_HELD_SECONDS))
            put_off = conclude.hand_over(run.key, f"{error.message}; trying again")
        if not put_off:
            conclude.end_lost(lost, Ended(RunStatus.CANCELLED))

    def _timed_out(self, attempt: Attempt) -> Failed | CancelledAttempt:
        """The time limit passed while it waited: what it waited for is given up, if it is still this attempt's."""
        if not sweeping.renew_one(attempt.run.key):
            return CancelledAttempt()
        conclude.abandon(attempt.run)
        seconds = attempt.component.timeout_seconds
        return Failed(f"Timed out after {seconds:g} s", code=ErrorCode.TIMEOUT_ERROR)

    def _may_keep(self) -> bool:
        """Whether to go on with a successor: for a while, and while nobody else has been waiting."""
        if draining() or must_be_replaced():
            return False
        moment = time.monotonic()
        if moment < self._look_at:
            return bool(moment < self._keep_until)
        self._look_at = moment + _FAIRNESS_SECONDS
        if moment >= self._keep_until:
            return False
        return not turns.others_wait(self.execution["priority"], self.execution["created_by_id"], self.holder.queues)

    def _complete(self, attempt: Attempt, outcome: Completed, keep: bool) -> Held | None:
        """Raises OutputRefusedError, and ExpressionError from its connections' conditions."""
        output = shown = outcome.output
        text = output_text(output)
        true_conditions = self._true_conditions(attempt, output)
        ended = Ended(RunStatus.COMPLETED, output_text=text)
        if self.telling.hides_anything:
            shown = self.telling.output(outcome)
            if shown != output:
                sealed = sealing.seal_output(text, run_id=attempt.run.key.run_id)
                ended = replace(ended, output_text=storable_dumps(shown), sealed_output=sealed)
            else:
                shown = output
        ended = _with_large_aside(ended, attempt.run.key.execution_id)
        return self._end(attempt, ended, true_conditions, output=output, shown=shown, keep=keep)

    def _loop(self, attempt: Attempt, outcome: Loop, keep: bool) -> Held | None:
        """Raises OutputRefusedError."""
        texts = [output_text(item) for item in outcome.items]
        shown = self.telling.items(outcome) if self.telling.hides_anything else outcome.items
        aside = outputs.Aside(attempt.run.key.execution_id)
        items = [
            _new_item(attempt.run, aside, outcome.first_index + place, text, item, shown[place])
            for place, (text, item) in enumerate(zip(texts, outcome.items, strict=True))
        ]
        wait = Wait(WaitingFor.ITEMS, max_concurrency=outcome.max_concurrency, stop_on_error=outcome.stop_on_error)
        waits, kept = conclude.begin_items(
            attempt.run,
            self.compiled,
            wait,
            items,
            afresh=outcome.afresh,
            holder=self.holder,
            keep=keep,
            lines=self._lines(attempt),
            measured=attempt.measured,
        )
        if waits:
            self.watch.outcome = "waiting"
            return kept
        return self._end(attempt, Ended(RunStatus.CANCELLED), keep=False)

    def _wait(self, attempt: Attempt, outcome: Waiting | WaitingForSignal | Child | WokenEarly) -> bool:
        """False if this attempt may not wait. Raises children.ChildRefusedError."""
        run, lines, measured = attempt.run, self._lines(attempt), attempt.measured
        if isinstance(outcome, Waiting):
            wait = Wait(WaitingFor.TIME, until=outcome.until, delay_seconds=outcome.seconds)
            return waiting.wait(run.key, wait, lines=lines, measured=measured)
        if isinstance(outcome, WokenEarly):
            return waiting.wait(run.key, Wait(WaitingFor.CHILD), lines=lines, measured=measured)
        if isinstance(outcome, WaitingForSignal):
            approvers = tuple(outcome.approvers)
            if self.telling.is_secret(outcome):
                raise OutputRefusedError("The name of the signal, or of an approver, holds a secret")
            wait = Wait(WaitingFor.SIGNAL, delay_seconds=outcome.seconds, signal=outcome.signal, approvers=approvers)
            return conclude.wait_for_signal(run, wait, lines=lines, measured=measured)
        masks = self.telling.masks(outcome)
        # What the child is not given, it need not hide.
        hidden = self.telling.hidden if masks else ()
        return children.start_child(
            run, self.execution, outcome, hidden=hidden, masks=masks, lines=lines, measured=measured
        )

    def _fail(self, attempt: Attempt, outcome: Failed, keep: bool) -> Held | None:
        error = self.telling.error(outcome)
        key = attempt.run.key
        attempt.lines.append(LogLine(now(), "error", error["message"], {"attempt": key.attempt}))
        delay = delay_before_retry(
            attempt.component.retry_policy,
            failures=key.attempt - attempt.run.lost_attempts,
            permanent=outcome.permanent,
            jitter=random.random(),  # noqa: S311 - spreads load, guards nothing
        )
        if delay is not None:
            retry = Wait(WaitingFor.RETRY, delay_seconds=delay, error=error)
            if waiting.wait(key, retry, lines=self._lines(attempt), measured=attempt.measured):
                self.watch.outcome = "retried"
                return None
        return self._end(attempt, Ended(RunStatus.FAILED, error=error), keep=keep)

    def _end(
        self,
        attempt: Attempt,
        ended: Ended,
        true_conditions: tuple[int, ...] = (),
        *,
        output: JSONValue = None,
        shown: JSONValue = None,
        keep: bool,
    ) -> Held | None:
        run = attempt.run
        self.watch.outcome = str(ended.status)
        definition = self.compiled.homes[run.component_id].definition
        settled = settle(definition, run.component_id, ended.status, true_conditions)
        following = conclude.end_run(
            run,
            self.compiled,
            replace(ended, lines=self._lines(attempt), measured=attempt.measured),
            settled,
            holder=self.holder,
            keep=keep,
        )
        shadow = shadow_of(output, shown)
        self.inputs.remember(run, EndedRun(ended.status, output, shadow, frozenset(settled.taken), ended.error))
        return following

    def _true_conditions(self, attempt: Attempt, output: JSONValue) -> tuple[int, ...]:
        outgoing = self.compiled.homes[attempt.component.id].definition.outgoing[attempt.component.id]
        conditional = [c for c in outgoing if c.condition is not None]
        if not conditional:
            return ()
        own = {"output": output, "status": str(RunStatus.COMPLETED)}
        components = {**attempt.scope["components"], attempt.component.id: own}
        # `input` is what the connection would hand on.
        scope = {**attempt.scope, "components": components, "input": output}
        if attempt.component.id not in attempt.scope["parameters"]:
            scope[attempt.component.id] = own
        at = now()
        return tuple(c.index for c in conditional if c.condition and evaluate_condition(c.condition, scope, now=at))

    def _lines(self, attempt: Attempt) -> list[JSONObject]:
        item = {} if attempt.run.item is None else {"item_index": attempt.run.item.index}
        dropped = dropped_lines(attempt.lines)
        if dropped:
            list.append(attempt.lines, LogLine(now(), "warning", f"{dropped} more log lines were dropped", {}))
        return [
            {
                "timestamp": iso(timestamp),
                "component_id": attempt.component.id,
                "attempt": attempt.run.key.attempt,
                **item,
                "level": level,
                "message": self.telling.text(message),
                "metadata": self.telling.value(metadata),
            }
            for timestamp, level, message, metadata in plain_lines(attempt.lines)
        ]


def _new_item(run: Held, aside: outputs.Aside, index: int, text: str, value: JSONValue, shown: JSONValue) -> NewItem:
    sealed = None
    if shown != value:
        text, sealed = storable_dumps(shown), sealing.seal_item(text, loop_run_id=run.key.run_id, index=index)
    shown_text, shown_ref = aside.text(text)
    sealed, sealed_ref = aside.sealed(sealed)
    return NewItem(index, shown_text, sealed, shown_ref, sealed_ref)


def _with_large_aside(ended: Ended, execution_id: str) -> Ended:
    """The same with what is too large for the row stored, and referred to."""
    aside = outputs.Aside(execution_id)
    text, text_ref = aside.text(ended.output_text)
    sealed, sealed_ref = aside.sealed(ended.sealed_output)
    if text_ref is None and sealed_ref is None:
        return ended
    return replace(ended, output_text=text, output_ref=text_ref, sealed_output=sealed, sealed_output_ref=sealed_ref)
