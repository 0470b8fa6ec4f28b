"""Following executions and waiting for them, on the real server."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from apg_workflow import Retries, SyncWorkflowClient, WorkflowClient, errors
from apg_workflow._sync.io import Socket
from apg_workflow.calls import socket_address

from accounts.api_keys import create_api_key, delete_api_key
from accounts.models import ApiKey, User
from executions.models import Execution
from tests.eventually import eventually
from tests.integration.executions.conftest import Doorbells, linear, log, start
from tests.integration.executions.test_waits import send, signal
from tests.sdk.conftest import QUICK, Restartable
from tests.sdk.stand_in import stand_in

pytestmark = pytest.mark.django_db(transaction=True)

# What a login is answered with where the server is not there, or will not say for now.
AWAY: dict[str, Any] = {"status": 502, "raw": "<html>"}
BUSY: dict[str, Any] = {"status": 429, "headers": {"Retry-After": "3600"}, "error": "RATE_LIMIT_EXCEEDED"}
CUT: dict[str, Any] = {"cut": True}
LOGIN: dict[str, Any] = {"username": "alice", "password": "p"}


@pytest.fixture
def waiting(alice: User, doorbells: Doorbells) -> Execution:
    """An execution that waits for a signal."""
    execution = start(alice, linear(log("a"), signal(), log("b")))
    doorbells.work()
    return execution


@pytest.fixture
def client(base_url: str, api_key: str) -> SyncWorkflowClient:
    return SyncWorkflowClient(base_url, api_key=api_key, retries=QUICK)


def finish(execution: Execution, user: User, doorbells: Doorbells) -> None:
    send(execution, user, 1)
    doorbells.work()


def test_a_stream_goes_on_after_the_number_it_is_given(
    client: SyncWorkflowClient, alice: User, waiting: Execution, doorbells: Doorbells
) -> None:
    finish(waiting, alice, doorbells)
    waiting.refresh_from_db()
    with client, client.executions.stream(waiting.pk, since=3) as stream:
        rows = [message.sequence for message in stream if not message.is_progress]
        assert rows == list(range(4, waiting.sequence + 1))
        assert stream.sequence == waiting.sequence


def test_a_stream_from_now_of_what_has_ended_is_empty(
    client: SyncWorkflowClient, alice: User, waiting: Execution, doorbells: Doorbells
) -> None:
    finish(waiting, alice, doorbells)
    with client:
        assert list(client.executions.subscribe(waiting.pk)) == []


def test_a_cut_connection_is_neither_a_gap_nor_a_repeat(
    client: SyncWorkflowClient, alice: User, waiting: Execution, doorbells: Doorbells
) -> None:
    numbers = []
    with client, client.executions.stream(waiting.pk, since=0) as stream:
        for message in stream:
            numbers += [] if message.is_progress else [message.sequence]
            assert stream._socket is None or isinstance(stream._socket, Socket)
            if message.type == "component_waiting":
                finish(waiting, alice, doorbells)
            if stream._socket is not None:
                # As when the network is gone, after every single message; what has come by then is still read.
                with contextlib.suppress(OSError):
                    stream._socket._connection.socket.shutdown(socket.SHUT_RDWR)
    assert all(after == before + 1 for before, after in pairwise(numbers))
    waiting.refresh_from_db()
    assert (numbers[0], numbers[-1]) == (1, waiting.sequence)


def test_a_cancelled_wait_for_a_message_loses_none(base_url: str, api_key: str, waiting: Execution) -> None:
    async def run() -> list[int]:
        async with (
            WorkflowClient(base_url, api_key=api_key) as client,
            client.executions.stream(waiting.pk, since=0) as stream,
        ):
            numbers: list[int] = []
            # Cancelled at first before it can have come anywhere, then later and later: whatever the machine, one of
            # them lasts for as long as connecting takes.
            seconds = 0.001
            while len(numbers) < waiting.sequence:
                try:
                    message = await asyncio.wait_for(stream.__anext__(), seconds)
                except TimeoutError:
                    seconds *= 2
                else:
                    numbers += [] if message.is_progress else [message.sequence]
            assert seconds > 0.001
            return numbers

    waiting.refresh_from_db()
    assert asyncio.run(run()) == list(range(1, waiting.sequence + 1))


def test_what_is_not_there_is_not_followed(client: SyncWorkflowClient, waiting: Execution) -> None:
    with client:
        with pytest.raises(errors.NotFoundError):
            next(client.executions.stream("01HQNZ2G5XKJ8P7M9N6V3R4T5Y"))
        with pytest.raises(errors.ValidationError) as raised:
            next(client.executions.stream(waiting.pk, since=1000))
    assert [problem.field for problem in raised.value.problems] == ["data.since"]


def test_a_key_that_is_deleted_ends_the_stream(client: SyncWorkflowClient, alice: User, waiting: Execution) -> None:
    with client, client.executions.stream(waiting.pk, since=0) as stream:
        next(stream)
        key = ApiKey.objects.get()
        delete_api_key(owner=alice, key_id=key.pk)
        with pytest.raises(errors.AuthenticationError):
            list(stream)


@pytest.fixture
def split(base_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Logins go to a stand-in, and only WebSockets to the server."""
    monkeypatch.setattr("apg_workflow._sync.transport.socket_address", lambda root: socket_address(base_url))


def granted(token: str) -> dict[str, Any]:
    """The answer of a login."""
    tokens = {"access_token": token, "refresh_token": "r", "expires_in": 900, "token_type": "Bearer"}
    return {"status": 200, "data": tokens}


@pytest.mark.parametrize("reply", [AWAY, BUSY, CUT])
def test_a_stream_waits_for_a_login_that_fails_for_now(
    split: None, api_key: str, waiting: Execution, reply: dict[str, Any]
) -> None:
    with (
        stand_in(reply, granted(api_key)) as server,
        SyncWorkflowClient(server.address, **LOGIN, retries=QUICK) as client,
        client.executions.stream(waiting.pk, since=0) as stream,
    ):
        assert next(stream).sequence == 1
        assert len(server.requests) == 2


@pytest.mark.parametrize("reply", [AWAY, BUSY, CUT])
def test_a_stream_waits_for_a_renewal_that_fails_for_now(
    split: None, api_key: str, alice: User, waiting: Execution, doorbells: Doorbells, reply: dict[str, Any]
) -> None:
    old, token = create_api_key(owner=alice, name="old", permissions=["*"])
    with (
        stand_in(granted(token), reply, granted(api_key)) as server,
        SyncWorkflowClient(server.address, **LOGIN, retries=QUICK) as client,
        client.executions.stream(waiting.pk, since=0) as stream,
        ThreadPoolExecutor(1) as pool,
    ):
        assert next(stream).sequence == 1
        rest = pool.submit(list, stream)
        delete_api_key(owner=alice, key_id=old.pk)
        eventually(lambda: rest.done() or len(server.requests) == 3)
        finish(waiting, alice, doorbells)
        waiting.refresh_from_db()
        assert rest.result()[-1].sequence == waiting.sequence


def test_a_login_that_goes_on_failing_ends_the_stream(split: None, waiting: Execution) -> None:
    retries = Retries(first_wait=0.05, longest_wait=0.2, reconnect_for=0.5)
    with (
        stand_in(AWAY) as server,
        SyncWorkflowClient(server.address, **LOGIN, retries=retries) as client,
        pytest.raises(errors.ConnectionFailedError),
    ):
        next(client.executions.stream(waiting.pk, since=0))


def test_a_server_that_stays_away_ends_the_stream(restartable: Restartable, api_key: str, waiting: Execution) -> None:
    retries = Retries(first_wait=0.05, longest_wait=0.2, reconnect_for=0.5)
    with SyncWorkflowClient(restartable.base_url, api_key=api_key, retries=retries) as client:
        stream = client.executions.stream(waiting.pk, since=0)
        next(stream)
        restartable.stop()
        with pytest.raises(errors.ConnectionFailedError):
            list(stream)


def test_waiting_ends_in_time(client: SyncWorkflowClient, waiting: Execution) -> None:
    with client, pytest.raises(errors.WaitTimeoutError, match="has not ended in time; it goes on"):
        client.executions.wait_for_completion(waiting.pk, timeout=0.3)
    waiting.refresh_from_db()
    assert waiting.status == "running"


def test_waiting_ends_in_time_where_asyncio_has_a_timeout_error_of_its_own(
    base_url: str, api_key: str, waiting: Execution, monkeypatch: pytest.MonkeyPatch
) -> None:
    class OwnTimeoutError(Exception):
        """As asyncio's is before Python 3.11."""

    async def wait_for(what: Coroutine[Any, Any, Any], timeout: float | None) -> Any:
        try:
            return await asyncio.wait_for(what, timeout)
        except TimeoutError:
            raise OwnTimeoutError from None

    async def run() -> None:
        async with WorkflowClient(base_url, api_key=api_key) as client:
            await client.executions.wait_for_completion(waiting.pk, timeout=0.3)

    older = SimpleNamespace(wait_for=wait_for, TimeoutError=OwnTimeoutError)
    monkeypatch.setattr("apg_workflow._async.io.asyncio", older)
    with pytest.raises(errors.WaitTimeoutError):
        asyncio.run(run())


def test_without_a_socket_waiting_asks_again_and_again(
    client: SyncWorkflowClient,
    alice: User,
    waiting: Execution,
    doorbells: Doorbells,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # An address where nothing answers, as behind a proxy that lets no WebSocket through.
    monkeypatch.setattr("apg_workflow._sync.transport.socket_address", lambda root: "ws://127.0.0.1:9/")
    monkeypatch.setattr("apg_workflow._sync.executions._SECONDS_WITHOUT_SOCKET", 0.1)
    found: list[str] = []
    thread = threading.Thread(
        target=lambda: found.append(client.executions.wait_for_completion(waiting.pk, timeout=20).status)
    )
    thread.start()
    finish(waiting, alice, doorbells)
    thread.join()
    client.close()
    assert found == ["completed"]


def test_a_failed_execution_is_raised_when_asked_to(
    client: SyncWorkflowClient, alice: User, doorbells: Doorbells
) -> None:
    execution = start(alice, linear({"id": "stop", "type": "fail", "config": {"message": "as planned"}}))
    doorbells.work()
    with client:
        found = client.executions.wait_for_completion(execution.pk)
        with pytest.raises(errors.ExecutionFailedError, match="as planned"):
            found.raise_if_failed()
