"""A PostgreSQL that is read-only for a moment is one that is away, and no bug of ours."""

from collections.abc import Callable

import pytest
from django.db import InternalError

from accounts.models import User
from executions import maintenance
from executions.models import ComponentRun
from executions.states import RunStatus
from executions.transitions import running
from executions.transitions.statements import Holder
from tests.api import Api
from tests.integration.executions.conftest import Doorbells, doorbells, linear, log, only_legal_moves, start
from tests.integration.webhooks.conftest import LONE, happen, hook, receiver
from tests.read_only import read_only
from webhooks import maintenance as webhooks_maintenance
from webhooks.models import Delivery, Webhook
from webhooks.states import DeliveryStatus
from workflows.components import registry

__all__ = ["doorbells", "hook", "only_legal_moves", "receiver"]

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_request_that_would_write_is_answered_503(alice_api: Api) -> None:
    body = {"name": "w", "definition": LONE}
    with read_only("INSERT ON workflows_workflow", times=1):
        answer = alice_api.call("POST", "/workflows", body)
        assert (answer.status, answer.code) == (503, "SYSTEM_ERROR")
        assert alice_api.call("POST", "/workflows", body).status == 201


def test_a_sweep_tells_the_keeper(alice: User, doorbells: Doorbells) -> None:
    run = start(alice, linear(log("a"))).runs.get()
    assert running.claim(run.pk, 1, Holder("w", 7), registry.known_types(), jump=True)
    ComponentRun.objects.update(lease_until="2000-01-01T00:00:00Z")
    with read_only("UPDATE ON executions_componentrun", times=1):
        with pytest.raises(InternalError):
            maintenance.sweep_one("rescue_expired")
        assert maintenance.sweep_one("rescue_expired") == 1
    run.refresh_from_db()
    assert (run.status, run.attempt) == (RunStatus.QUEUED, 2)


def test_a_sweep_of_webhooks_tells_the_courier(alice: User, hook: Callable[..., Webhook]) -> None:
    hook()
    happen(alice)
    webhooks_maintenance.tell()
    Delivery.objects.update(status=DeliveryStatus.DELIVERING, lease_until="2000-01-01T00:00:00Z")
    with read_only("UPDATE ON webhooks_delivery", times=1), pytest.raises(InternalError):
        webhooks_maintenance.sweep()
