"""A worker that stops: what becomes of the runs that it still holds."""

import pytest

from accounts.models import User
from core.errors import ErrorCode
from executions.interrupts import Board
from executions.states import RunStatus
from executions.transitions import running
from executions.transitions.statements import Holder
from executions.warden import Killed, Verdict, Warden
from executions.worker import Keeper
from tests.integration.executions.conftest import Doorbells, linear, log, start
from workflows.components import registry

pytestmark = pytest.mark.django_db(transaction=True)


def test_what_it_killed_for_its_time_fails_and_what_only_ran_is_tried_again(alice: User, doorbells: Doorbells) -> None:
    timed_out, unlucky = (start(alice, linear(log("a"))).runs.get() for _ in range(2))
    for pid, run in ((7, timed_out), (8, unlucky)):
        assert running.claim(run.pk, 1, Holder("w", pid), registry.known_types(), jump=True)
    warden = Warden(Board())
    warden.verdicts[7] = Killed(timed_out.pk, Verdict.FAIL, "Timed out, and was killed", ErrorCode.TIMEOUT_ERROR)
    Keeper("w", Board(), warden)._leave()
    timed_out.refresh_from_db()
    unlucky.refresh_from_db()
    assert (timed_out.status, timed_out.attempt) == (RunStatus.FAILED, 1)
    assert timed_out.error == {"code": "TIMEOUT_ERROR", "message": "Timed out, and was killed"}
    assert (unlucky.status, unlucky.attempt, unlucky.crashes) == (RunStatus.QUEUED, 2, 0)
