"""Subscriptions over graphql-transport-ws (API reference, "Subscriptions"; contract §9): row Q7."""

import asyncio
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from gql import Client, GraphQLRequest
from gql.transport.websockets import WebsocketsTransport
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from accounts.api_keys import create_api_key
from accounts.models import AuditEntry, User
from events.models import Announcement
from executions.models import Execution
from tests.integration.executions.conftest import Doorbells, linear, log, make_workflow, start, transform
from tests.integration.live.conftest import token_of
from tests.sockets import SocketClient
from tests.web import Web
from workflows.models import Share

ADDRESS = "/api/beta/graphql"
PROTOCOL = Subprotocol("graphql-transport-ws")
CLIENTS = Path(__file__).parents[2] / "clients"
# API reference, "Subscribe to Execution Updates", with the id as a variable.
UPDATES = """
subscription ExecutionUpdates($id: ID!) {
  executionUpdates(executionId: $id) { id status progress { currentComponent percentage } duration }
}
"""
WORKFLOW = "subscription ($id: ID!) { workflowUpdates(workflowId: $id) { name executionCount } }"
NOTIFICATIONS = "subscription { systemNotifications { type title message data timestamp } }"
TWO = linear(log("extract"), transform("transform", 1))


class GraphQLClient(SocketClient):
    """Speaks the protocol by hand."""

    def init(self, **payload: Any) -> dict[str, Any]:
        """connection_init; what follows."""
        self.raw(json.dumps({"type": "connection_init", "payload": payload}))
        return self.receive()

    def ask(self, query: str, id_: str = "1", **variables: Any) -> None:
        """Begin an operation."""
        payload = {"query": query, "variables": variables}
        self.raw(json.dumps({"type": "subscribe", "id": id_, "payload": payload}))

    def codes(self) -> list[str]:
        """The codes of the error that comes next."""
        message = self.receive()
        assert message["type"] == "error", message
        return [error["extensions"]["code"] for error in message["payload"]]


Dial = Callable[..., GraphQLClient]


@pytest.fixture
def dial(web: Web, transactional_db: None, empty_redis: None) -> Iterator[Dial]:
    """A connection, not yet initialised; as the token's user if there is one."""
    clients: list[GraphQLClient] = []

    def make(token: str | None = None, **options: Any) -> GraphQLClient:
        options = {"subprotocols": [PROTOCOL], **options}
        clients.append(GraphQLClient(web.port, token, path=ADDRESS, **options))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def as_alice(dial: Dial, alice: User) -> GraphQLClient:
    """An acknowledged connection of alice's."""
    client = dial()
    assert client.init(Authorization=f"Bearer {token_of(alice)}") == {"type": "connection_ack"}
    return client


def until_complete(client: GraphQLClient, field: str) -> list[Any]:
    """What the answers say, as they change, until the operation is complete."""
    found: list[Any] = []
    while (message := client.receive())["type"] == "next":
        found.append(message["payload"]["data"][field])
    assert message["type"] == "complete"
    return found


def test_an_execution_is_followed_to_its_end(as_alice: GraphQLClient, alice: User, doorbells: Doorbells) -> None:
    execution = start(alice, TWO)
    as_alice.ask(UPDATES, id=execution.pk)
    first = as_alice.receive()
    assert first == {
        "type": "next",
        "id": "1",
        "payload": {
            "data": {
                "executionUpdates": {
                    "id": execution.pk,
                    "status": "QUEUED",
                    "progress": {"currentComponent": None, "percentage": 0.0},
                    "duration": None,
                }
            }
        },
    }
    doorbells.work()
    last = until_complete(as_alice, "executionUpdates")[-1]
    assert last["status"] == "COMPLETED"
    assert last["progress"] == {"currentComponent": "transform", "percentage": 100.0}


def test_an_ended_execution_is_told_once(as_alice: GraphQLClient, alice: User, doorbells: Doorbells) -> None:
    execution = start(alice, TWO)
    doorbells.work()
    as_alice.ask(UPDATES, id=execution.pk)
    assert [found["status"] for found in until_complete(as_alice, "executionUpdates")] == ["COMPLETED"]


def test_a_workflow_is_followed_with_its_executions(
    as_alice: GraphQLClient, alice: User, as_user: Callable[..., Any], doorbells: Doorbells
) -> None:
    workflow = make_workflow(alice, TWO)
    as_alice.ask(WORKFLOW, id=workflow.pk)
    assert as_alice.receive()["payload"]["data"]["workflowUpdates"] == {"name": workflow.name, "executionCount": 0}
    api = as_user(alice)
    assert api.call("PATCH", f"/workflows/{workflow.pk}", {"name": "renamed"}).status == 200
    assert as_alice.receive()["payload"]["data"]["workflowUpdates"]["name"] == "renamed"
    api.call("POST", f"/workflows/{workflow.pk}/execute", {})
    doorbells.work()
    while as_alice.receive()["payload"]["data"]["workflowUpdates"]["executionCount"] != 1:
        pass


def test_notifications_tell_of_ends_and_of_maintenance(
    as_alice: GraphQLClient, alice: User, bob: User, doorbells: Doorbells
) -> None:
    as_alice.ask(NOTIFICATIONS)
    # Answered in order: the subscription is there.
    as_alice.ask("{ systemHealth { status } }", "2")
    assert [as_alice.receive()["type"] for _ in range(2)] == ["next", "complete"]
    start(bob, TWO)
    execution = start(alice, linear({"id": "no", "type": "fail", "config": {"message": "as asked"}}))
    doorbells.work()
    told = as_alice.receive()["payload"]["data"]["systemNotifications"]
    assert told["type"] == "EXECUTION_FAILED"
    assert told["message"] == "as asked"
    assert told["data"]["execution_id"] == execution.pk
    Announcement.objects.create(
        title="Upgrade", message="An hour", starts_at="2035-01-01T00:00:00Z", ends_at="2035-01-01T01:00:00Z"
    )
    told = as_alice.receive()["payload"]["data"]["systemNotifications"]
    assert (told["type"], told["title"]) == ("MAINTENANCE_SCHEDULED", "Upgrade")
    assert told["data"]["ends_at"] == "2035-01-01T01:00:00Z"


def test_queries_and_mutations_are_answered_too(as_alice: GraphQLClient, alice: User) -> None:
    workflow = make_workflow(alice, TWO)
    as_alice.ask("query ($id: ID!) { workflow(id: $id) { name } }", id=workflow.pk)
    assert as_alice.receive()["payload"] == {"data": {"workflow": {"name": workflow.name}}}
    assert as_alice.receive() == {"type": "complete", "id": "1"}
    as_alice.ask("mutation ($id: ID!) { executeWorkflow(workflowId: $id, input: {}) { success } }", id=workflow.pk)
    assert as_alice.receive()["payload"] == {"data": {"executeWorkflow": {"success": True}}}
    assert Execution.objects.get().workflow_id == workflow.pk
    entry = AuditEntry.objects.get(action="execution.started")
    assert (entry.actor_id, entry.address, entry.credential) == (alice.pk, "127.0.0.1", "session")
    assert entry.request_id


@pytest.mark.parametrize("where", ["header", "query", "key", "init", "init key", "init token"])
def test_the_token_may_come_in_many_ways(dial: Dial, alice: User, where: str) -> None:
    _, key = create_api_key(owner=alice, name="k", permissions=["*"])
    token = token_of(alice)
    client = {
        "header": lambda: dial(additional_headers={"Authorization": f"Bearer {token}"}),
        "key": lambda: dial(additional_headers={"X-API-Key": key}),
        "query": lambda: dial(token),
    }.get(where, dial)()
    payload = {
        "init": {"authorization": f"Bearer {token}"},
        "init key": {"X-API-Key": key},
        "init token": {"token": token},
    }
    assert client.init(**payload.get(where, {})) == {"type": "connection_ack"}


def closed_after(client: GraphQLClient, *messages: Any) -> int | None:
    """How the server closes on these messages."""
    for message in messages:
        client.raw(message if isinstance(message, str | bytes) else json.dumps(message))
    return client.close_code()


@pytest.mark.parametrize(
    ("messages", "code"),
    [
        (["nonsense"], 4400),
        ([b"\x00"], 4400),
        ([[{"type": "connection_init"}]], 4400),
        ([{"type": "start", "id": "1", "payload": {"query": NOTIFICATIONS}}], 4400),
        ([{"type": "subscribe", "id": "1", "payload": {"query": NOTIFICATIONS}}], 4401),
        ([{"type": "connection_init"}], 4401),
        ([{"type": "connection_init", "payload": {"Authorization": "Bearer no"}}], 4401),
        ([{"type": "connection_init", "payload": {"Authorization": "Basic no"}}], 4401),
        ([{"type": "connection_init", "payload": {"token": 5}}], 4401),
        ([{"type": "connection_init", "payload": {"token": "a", "X-API-Key": "b"}}], 4401),
        ([{"type": "connection_init", "more": 1}], 4400),
        ([{"type": "subscribe", "id": "", "payload": {"query": "{ a }"}}], 4400),
        ([{"type": "subscribe", "id": 5, "payload": {"query": "{ a }"}}], 4400),
        ([{"type": "subscribe", "id": "1", "payload": "{ a }"}], 4400),
        ([{"type": "subscribe", "id": "1", "payload": {"query": "{ a }", "variables": {"s": "\ud800"}}}], 4400),
    ],
)
def test_q7_what_is_not_the_protocol_closes(dial: Dial, messages: list[Any], code: int) -> None:
    assert closed_after(dial(), *messages) == code


def test_q7_two_inits_close(as_alice: GraphQLClient) -> None:
    assert closed_after(as_alice, {"type": "connection_init"}) == 4429


def test_q7_an_id_in_use_closes(as_alice: GraphQLClient) -> None:
    for _ in range(2):
        as_alice.ask(NOTIFICATIONS)
    assert as_alice.close_code() == 4409


def test_q7_the_legacy_protocol_is_not_spoken(dial: Dial) -> None:
    client = dial(subprotocols=None)
    assert client.close_code() == 4406


def test_q7_an_init_that_never_comes_closes(dial: Dial, alice: User) -> None:
    assert dial(token_of(alice)).close_code() == 4408


def test_q7_nothing_that_comes_before_an_init_puts_that_off(dial: Dial) -> None:
    client = dial()
    client.raw(json.dumps({"type": "complete", "id": "patience"}))
    assert client.close_code() == 4408


def test_q7_the_hundred_and_first_subscription_closes(as_alice: GraphQLClient) -> None:
    with pytest.raises(ConnectionClosed):
        for number in range(101):
            as_alice.ask(NOTIFICATIONS, str(number))
            as_alice.raw(json.dumps({"type": "ping"}))
            as_alice.receive()
    assert as_alice.close_code() == 4429


@pytest.mark.parametrize("kind", ["another's", "unknown", "malformed"])
def test_q7_what_is_not_there_for_the_caller_is_an_error(
    as_alice: GraphQLClient, alice: User, bob: User, kind: str
) -> None:
    ids = {"another's": start(bob, TWO).pk, "unknown": "01HQNZ2G5XKJ8P7M9N6V3R4T5Y", "malformed": "*"}
    as_alice.ask(UPDATES, id=ids[kind])
    assert as_alice.codes() == ["RESOURCE_NOT_FOUND"]
    as_alice.ask(WORKFLOW, id=ids[kind])
    assert as_alice.codes() == ["RESOURCE_NOT_FOUND"]


@pytest.mark.parametrize(
    "query",
    [
        "subscription { executionUpdates { id } }",
        "subscription { systemNotifications { nothing } }",
        "subscription { systemNotifications { type } workflowUpdates(workflowId: 5) { id } }",
        "not graphql",
        "{ " + "a: systemHealth { status } " * 2000 + "}",
    ],
)
def test_a_document_that_is_refused_is_an_error_and_the_connection_stays(as_alice: GraphQLClient, query: str) -> None:
    as_alice.ask(query)
    assert set(as_alice.codes()) == {"VALIDATION_ERROR"}
    as_alice.raw(json.dumps({"type": "ping", "payload": {"a": 1}}))
    assert as_alice.receive() == {"type": "pong", "payload": {"a": 1}}


def test_a_key_without_the_scope_may_not(dial: Dial, alice: User) -> None:
    execution = start(alice, TWO)
    _, key = create_api_key(owner=alice, name="k", permissions=["workflow.read"])
    client = dial()
    assert client.init(**{"X-API-Key": key}) == {"type": "connection_ack"}
    for query in (UPDATES, NOTIFICATIONS):
        client.ask(query, **({"id": execution.pk} if query is UPDATES else {}))
        assert client.codes() == ["AUTHORIZATION_ERROR"]


def test_a_share_that_is_taken_back_ends_what_it_let_see(
    dial: Dial, alice: User, bob: User, doorbells: Doorbells
) -> None:
    execution = start(alice, TWO)
    share = Share.objects.create(workflow=execution.workflow, user=bob, role="viewer", created_by=alice)
    client = dial()
    client.init(token=token_of(bob))
    client.ask(UPDATES, id=execution.pk)
    assert client.receive()["type"] == "next"
    share.delete()
    doorbells.work()
    assert client.codes() == ["RESOURCE_NOT_FOUND"]


def test_a_complete_stops_a_subscription(as_alice: GraphQLClient, alice: User, doorbells: Doorbells) -> None:
    execution = start(alice, TWO)
    as_alice.ask(UPDATES, id=execution.pk)
    assert as_alice.receive()["type"] == "next"
    as_alice.raw(json.dumps({"type": "complete", "id": "1"}))
    doorbells.work()
    as_alice.ask(UPDATES, "2", id=execution.pk)
    assert as_alice.receive()["id"] == "2"


def test_gql_follows_an_execution(web: Web, alice: User, doorbells: Doorbells) -> None:
    execution = start(alice, TWO)

    def work() -> None:
        doorbells.work()
        # The thread ends, and nobody else would close its connection.
        connection.close()

    async def follow() -> list[str]:
        transport = WebsocketsTransport(
            url=f"ws://127.0.0.1:{web.port}{ADDRESS}",
            init_payload={"Authorization": f"Bearer {token}"},
            subprotocols=[PROTOCOL],
        )
        found = []
        async with Client(transport=transport) as session:
            async for answer in session.subscribe(GraphQLRequest(UPDATES, variable_values={"id": execution.pk})):
                found.append(answer["executionUpdates"]["status"])
                if len(found) == 1:
                    await asyncio.to_thread(work)
        return found

    token = token_of(alice)
    found = asyncio.run(follow())
    assert (found[0], found[-1]) == ("QUEUED", "COMPLETED")


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the stock JavaScript clients."""
    if shutil.which("npm") is None:
        pytest.skip("Node is not on this machine")
    folder = tmp_path_factory.mktemp("clients")
    shutil.copytree(CLIENTS, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("node_modules"))
    quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
    subprocess.run(["npm", "ci", "--prefer-offline", "--fetch-retries=6", *quiet], cwd=folder, check=True)
    return folder


def test_graphql_ws_follows_an_execution(node: Path, web: Web, alice: User, doorbells: Doorbells) -> None:
    execution = start(alice, TWO)
    url = f"ws://127.0.0.1:{web.port}{ADDRESS}"
    arguments = [url, token_of(alice), UPDATES, json.dumps({"id": execution.pk})]
    process = subprocess.Popen(["node", "follow.mjs", *arguments], cwd=node, stdout=subprocess.PIPE, stderr=sys.stderr)
    assert process.stdout is not None
    first = json.loads(process.stdout.readline())
    assert first["data"]["executionUpdates"]["status"] == "QUEUED"
    doorbells.work()
    rest, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    assert json.loads(rest.splitlines()[-1])["data"]["executionUpdates"]["status"] == "COMPLETED"
