"""What staff do with one execution in the admin: asked for on a page of its own, done by the services of REST."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from django.http import HttpRequest, QueryDict

from accounts.audited_admin import admin_user
from core.errors import BadRequestError, NotFoundError
from core.ids import parse_id
from executions import interventions, operating
from executions.interventions import RetryRequest
from executions.models import ComponentRun, Execution


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do: what is asked first, what it does, the button's word, and how it is done.

    `do` returns what is then told. It raises core.errors.
    """

    question: str
    effect: str
    button: str
    do: Callable[[HttpRequest, Execution, QueryDict], str]
    of_run: bool = False


def run_of(execution: Execution, form: Mapping[str, str]) -> tuple[ComponentRun, int]:
    """The run and the attempt that are meant. Raises NotFoundError, BadRequestError."""
    attempt = form.get("attempt", "")
    if not (attempt.isascii() and attempt.isdigit() and len(attempt) <= 9):
        raise BadRequestError("attempt must be a whole number")
    try:
        run = execution.runs.filter(pk=parse_id(form.get("run", ""))).first()
    except ValueError:
        run = None
    if run is None:
        raise NotFoundError("The execution has no such component run")
    return run, int(attempt)


def _cancel(request: HttpRequest, execution: Execution, form: QueryDict) -> str:
    interventions.cancel_execution(execution)
    return "The execution is being cancelled"


def _retry(request: HttpRequest, execution: Execution, form: QueryDict) -> str:
    wanted = RetryRequest(from_component=form.get("from_component") or None, latest=form.get("version") == "latest")
    new = interventions.retry_execution(execution=execution, user=admin_user(request), request=wanted)
    return f"Started again as {new.pk}"


def _requeue(request: HttpRequest, execution: Execution, form: QueryDict) -> str:
    count = operating.requeue_execution(execution=execution)
    return f"Requeued: {count}"


def _requeue_run(request: HttpRequest, execution: Execution, form: QueryDict) -> str:
    run, attempt = run_of(execution, form)
    operating.requeue_run(execution=execution, run=run, attempt=attempt)
    return f"{run.component_id} is queued again"


def _release_run(request: HttpRequest, execution: Execution, form: QueryDict) -> str:
    run, attempt = run_of(execution, form)
    operating.release_run(execution=execution, run=run, attempt=attempt)
    return f"{run.component_id} waits no longer"


STEPS: Mapping[str, Step] = {
    "cancel": Step(
        "Cancel this execution?",
        "Nothing new of it starts, its waits end, running components are told and killed if they do not stop. "
        "Its children are cancelled too. This cannot be undone.",
        "Cancel the execution",
        _cancel,
    ),
    "retry": Step(
        "Retry this execution?",
        "A new execution starts with the same parameters, as you. From a component, the outputs of those before it "
        "are taken over.",
        "Retry",
        _retry,
    ),
    "requeue": Step(
        "Requeue this execution?",
        "Its queued components are sent to the workers again, and those whose lease has passed get another attempt. "
        "If it waits for a slot, it is given one if there is one.",
        "Requeue",
        _requeue,
    ),
    "requeue-run": Step(
        "Requeue this component?",
        "A running one gets another attempt at once, which counts as a lost worker: do this only if you know that its "
        "worker is gone. If it is not, the component runs twice, and what the old attempt records is refused. "
        "A queued one is sent to the workers again.",
        "Requeue the component",
        _requeue_run,
        of_run=True,
    ),
    "release-run": Step(
        "Release this component?",
        "Its wait is over now: a delay goes on as if its time had come, a retry begins its next attempt, and one "
        "that max_parallel holds goes if there is room.",
        "Release the component",
        _release_run,
        of_run=True,
    ),
}
