"""Every channel of the WebSocket × caller has the answer that the access table says (A5, A9, W1, W5)."""

import itertools
from typing import get_args

import pytest

from accounts.models import User
from config.sockets import sockets
from executions import interventions
from executions.messages import Channel
from executions.models import Execution
from tests.contract.access_table import CHANNELS
from tests.contract.access_world import LIKE, World, make_world
from tests.contract.test_access_matrix import NOT_LOGGED_IN
from tests.contract.test_reference_websocket import dial, web
from tests.integration.executions.conftest import linear, log, make_workflow
from tests.integration.live.conftest import Dial, is_silent
from tests.sockets import SocketClient
from workflows import access
from workflows.models import Role, Share, Workflow
from workflows.services import update_workflow

pytestmark = pytest.mark.django_db(transaction=True)

__all__ = ["dial", "web"]


def test_every_channel_has_a_row() -> None:
    assert set(CHANNELS) == set(get_args(Channel))


def test_there_is_no_other_socket() -> None:
    """GraphQL's has tests of its own; the last one refuses what is no address of a socket."""
    assert [str(route.pattern) for route in sockets.routes] == ["^api/v1/ws/?$", "^api/beta/graphql/?$", ""]


def opened(dial: Dial, world: World, caller: str) -> SocketClient:
    """A socket with what the caller has."""
    credentials = world.callers[caller]
    headers = {"X-API-Key": credentials.key} if credentials.key else {}
    return dial(token=credentials.token or None, additional_headers=headers)


@pytest.mark.parametrize("channel", CHANNELS)
def test_a5_w1_w5_the_matrix_of_channels(dial: Dial, channel: str) -> None:
    row = CHANNELS[channel]
    world = make_world(row.scope)
    told: dict[str, SocketClient] = {}
    silent: dict[str, SocketClient] = {}
    for caller in world.callers:
        like = LIKE.get(caller, caller)
        socket = opened(dial, world, caller)
        if like in NOT_LOGGED_IN:
            if caller == "anonymous":
                socket.send("ping")
            assert socket.until_closed() == ([], 4401), caller
            continue
        answer = socket.subscribe(channel, world.ids[row.subject] if row.subject else None)
        code = answer["data"]["code"] if answer["type"] == "error" else None
        assert code == row.others.get(like), caller
        (silent if code else told)[caller] = socket
    assert len(told) > 6
    assert len(silent) > 2
    execution = Execution.objects.get(pk=world.ids["running_id"])
    if channel == "workflow":
        update_workflow(workflow=execution.workflow, user=execution.created_by, changes={"description": "new"})
    elif channel == "execution":
        # It has no component that would have to end first.
        Execution.objects.filter(pk=execution.pk).update(remaining=0)
        interventions.cancel_execution(execution)
    for caller, socket in told.items():
        if channel != "system":
            message = socket.receive()
            assert message["data"].get("event", message["data"].get("status")) in {"workflow.updated", "cancelled"}
            assert message["data"]["workflow_id"] == world.ids["workflow_id"], caller
    for caller, socket in silent.items():
        assert is_silent(socket), caller


def test_who_sees_what_is_the_same_for_many_at_once_as_for_one(transactional_db: None) -> None:
    """`access.seen` and `access.visible_to_user` are two statements of one rule."""
    make_world(None)
    users = {user.username: user for user in User.objects.all()}
    for owner in ("stranger", "staff", "disabled", "viewer"):
        make_workflow(users[owner], linear(log("a")))
    of_viewer = Workflow.objects.get(created_by=users["viewer"])
    Share.objects.create(workflow=of_viewer, user=users["disabled"], role=Role.EDITOR, created_by=users["viewer"])
    Share.objects.create(workflow=of_viewer, user=users["operator"], role=Role.VIEWER, created_by=users["viewer"])
    workflows = list(Workflow.objects.values_list("pk", flat=True))
    pairs = set(itertools.product(workflows, (user.pk for user in users.values())))
    expected = {
        (workflow, user.pk)
        for user in users.values()
        if user.is_active
        for workflow in access.visible_to_user(user.pk, staff=user.is_staff).values_list("pk", flat=True)
    }
    assert access.seen(pairs) == expected
    assert 0 < len(expected) < len(pairs)
    assert access.seen(set()) == set()
