"""Credentials, retries and errors, on a server that gives the answers it is told to, and on the real one."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from apg_workflow import Retries, SyncWorkflowClient, WorkflowClient, errors
from apg_workflow.calls import api_root
from apg_workflow.models import Tokens

from accounts.models import User
from tests.conftest import PASSWORD
from tests.oauth import register_service
from tests.sdk.conftest import QUICK
from tests.sdk.stand_in import stand_in

GROUP = {"status": 200, "data": {"id": "G", "name": "Found", "members": []}}
UNAUTHENTICATED = {"status": 401, "error": "AUTHENTICATION_ERROR"}
TOKENS = {"access_token": "a.2", "refresh_token": "r.2", "expires_in": 900, "token_type": "Bearer"}
BUSY = {"status": 503, "headers": {"Retry-After": "0"}, "error": "SYSTEM_ERROR"}


def authorizations(server: Any) -> list[str | None]:
    return [request.headers.get("authorization") for request in server.requests]


@pytest.mark.parametrize(("code", "kind"), errors.BY_CODE.items())
def test_each_code_has_its_class(code: str, kind: type[errors.APIError]) -> None:
    with (
        stand_in({"status": 400, "error": code, "field": "name"}) as server,
        SyncWorkflowClient(server.address, api_key="k") as client,
        pytest.raises(errors.APIError) as raised,
    ):
        client.groups.get("G")
    error = raised.value
    assert type(error) is kind
    assert (error.code, error.status, error.request_id) == (code, 400, "req-1")
    assert error.problems == (errors.Problem(code, "Told to", "name"),)
    assert str(error) == "Told to; name: Told to (request req-1)"


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        ({"status": 502, "raw": "<html>"}, errors.ServerError),
        ({"status": 404, "raw": "<html>"}, errors.NotFoundError),
        ({"status": 403, "error": "NEWER_CODE"}, errors.AuthorizationError),
        ({"status": 200, "raw": "<html>"}, errors.ServerError),
        ({"status": 200, "data": {"id": 5}}, errors.ServerError),
    ],
)
def test_answers_of_strangers_are_errors_too(reply: dict[str, Any], kind: type[errors.APIError]) -> None:
    with stand_in(reply) as server, SyncWorkflowClient(server.address, api_key="k") as client:
        with pytest.raises(kind):
            client.groups.get("G")
        assert len(server.requests) == 1


def test_an_unreadable_answer_is_told_without_what_is_in_it() -> None:
    with (
        stand_in({"status": 200, "data": {"id": "G", "name": ["hidden-word"], "members": []}}) as server,
        SyncWorkflowClient(server.address, api_key="k") as client,
        pytest.raises(errors.ServerError) as raised,
    ):
        client.groups.get("G")
    assert str(raised.value) == "The answer is not what the API promises: name: Input should be a valid string"
    assert raised.value.__context__ is None


def test_a_503_to_what_may_have_been_done_is_not_sent_again() -> None:
    with stand_in(BUSY) as server, SyncWorkflowClient(server.address, api_key="k", retries=QUICK) as client:
        with pytest.raises(errors.ServerError):
            client.groups.create({"name": "Twice"})
        assert len(server.requests) == 1


def test_attempts_end() -> None:
    with stand_in(BUSY) as server:
        with (
            SyncWorkflowClient(server.address, api_key="k", retries=Retries(attempts=3, first_wait=0.01)) as client,
            pytest.raises(errors.ServerError),
        ):
            client.groups.get("G")
        assert len(server.requests) == 3


def test_retry_after_is_waited_for() -> None:
    busy = {"status": 429, "headers": {"Retry-After": "1"}, "error": "RATE_LIMIT_EXCEEDED"}
    with (
        stand_in(busy, GROUP) as server,
        SyncWorkflowClient(server.address, api_key="k", retries=QUICK) as client,
    ):
        began = time.monotonic()
        assert client.groups.get("G").name == "Found"
        assert time.monotonic() - began >= 1


def test_a_retry_after_beyond_patience_is_an_error_at_once() -> None:
    busy = {"status": 429, "headers": {"Retry-After": "3600"}, "error": "RATE_LIMIT_EXCEEDED"}
    with stand_in(busy) as server, SyncWorkflowClient(server.address, api_key="k") as client:
        with pytest.raises(errors.RateLimitError) as raised:
            client.groups.get("G")
        assert (len(server.requests), raised.value.retry_after) == (1, 3600)


@pytest.mark.parametrize("zone", ["GMT", "-0000"])
def test_a_retry_after_that_is_a_date_is_so_many_seconds_away(zone: str) -> None:
    at = datetime.now(UTC) + timedelta(hours=1)
    busy = {"status": 429, "headers": {"Retry-After": f"{at:%a, %d %b %Y %H:%M:%S} {zone}"}, "error": "SYSTEM_ERROR"}
    with stand_in(busy) as server, SyncWorkflowClient(server.address, api_key="k") as client:
        with pytest.raises(errors.APIError) as raised:
            client.groups.get("G")
        assert raised.value.retry_after is not None
        assert 3000 < raised.value.retry_after <= 3600


@pytest.mark.parametrize(
    "value", ["soon", "", "Tue, 99 Nov 2026 00:00:00 GMT", "Mon, 05 Jan 2026 00:00:00 +99999999999999"]
)
def test_a_retry_after_that_cannot_be_read_is_none(value: str) -> None:
    busy = {"status": 422, "headers": {"Retry-After": value}, "error": "VALIDATION_ERROR"}
    with stand_in(busy) as server, SyncWorkflowClient(server.address, api_key="k") as client:
        with pytest.raises(errors.ValidationError) as raised:
            client.groups.get("G")
        assert raised.value.retry_after is None


def test_waits_grow_up_to_their_longest() -> None:
    retries = Retries(first_wait=1, longest_wait=4)
    for failures, full in ((1, 1), (2, 2), (3, 4), (50, 4)):
        assert full / 2 <= retries.wait(failures) <= full


def test_a_connection_that_is_refused_is_tried_again_whatever_the_call() -> None:
    failures = [httpx.ConnectError("refused"), httpx.ConnectTimeout("slow")]

    def answer(request: httpx.Request) -> httpx.Response:
        if failures:
            raise failures.pop()
        return httpx.Response(201, json={"data": GROUP["data"], "metadata": {}})

    transport = httpx.MockTransport(answer)
    with SyncWorkflowClient("http://x", api_key="k", retries=QUICK, http_transport=transport) as client:
        assert client.groups.create({"name": "Found"}).name == "Found"


def test_a_token_that_has_ended_is_refreshed_and_the_call_sent_again() -> None:
    told: list[Tokens] = []
    with (
        stand_in(UNAUTHENTICATED, {"status": 200, "data": TOKENS}, GROUP) as server,
        SyncWorkflowClient(server.address, token="a.1", refresh_token="r.1", on_tokens=told.append) as client,
    ):
        assert client.groups.create({"name": "Found"}).name == "Found"
        assert authorizations(server) == ["Bearer a.1", None, "Bearer a.2"]
        assert server.requests[1].body == '{"refresh_token":"r.1"}'
        assert [tokens.refresh_token for tokens in told] == ["r.2"]


def test_many_calls_at_once_refresh_once() -> None:
    async def run() -> None:
        async with WorkflowClient(
            "http://x/api/v1", token="a.1", refresh_token="r.1", http_transport=transport
        ) as client:
            await asyncio.gather(*(client.groups.get("G") for _ in range(10)))

    refreshed: list[bytes] = []

    async def answer(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0)
        if request.url.path.endswith("/refresh"):
            refreshed.append(request.content)
            return httpx.Response(200, json={"data": TOKENS, "metadata": {}})
        if request.headers["Authorization"] != "Bearer a.2":
            return httpx.Response(401, json={"errors": [{"code": "AUTHENTICATION_ERROR", "message": "m"}]})
        return httpx.Response(200, json={"data": GROUP["data"], "metadata": {}})

    transport = httpx.MockTransport(answer)
    asyncio.run(run())
    assert refreshed == [b'{"refresh_token":"r.1"}']


def test_a_refused_api_key_is_not_tried_again() -> None:
    with stand_in(UNAUTHENTICATED) as server, SyncWorkflowClient(server.address, api_key="k") as client:
        with pytest.raises(errors.AuthenticationError):
            client.groups.get("G")
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"api_key": "k", "token": "t"},
        {"username": "u"},
        {"client_id": "c", "client_secret": "s"},
        {"refresh_token": "r"},
    ],
)
def test_a_client_has_just_one_whole_credential(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"exactly one|go together|need scopes|goes with"):
        SyncWorkflowClient("http://x", **given)


def test_credentials_show_in_no_repr() -> None:
    client = SyncWorkflowClient("http://x", username="u", password="hidden-word")
    assert "hidden-word" not in repr(client._transport.credentials)
    client.close()


@pytest.mark.parametrize(
    ("given", "root"),
    [
        ("https://a.example/api/v1", "https://a.example/api/v1"),
        ("https://a.example", "https://a.example/api/v1"),
        ("https://a.example/api/v1/workflow_orchestration/", "https://a.example/api/v1"),
        ("http://a.example:8000/below/api/v1", "http://a.example:8000/below/api/v1"),
    ],
)
def test_a_server_is_known_under_its_addresses(given: str, root: str) -> None:
    assert api_root(given) == root


@pytest.mark.parametrize(
    "given", ["", "a.example", "ftp://a.example", "https://u:p@a.example", "https://a.example?x=1"]
)
def test_what_is_no_address_of_a_server_is_refused(given: str) -> None:
    with pytest.raises(ValueError, match="base_url must be"):
        api_root(given)


@pytest.mark.django_db(transaction=True)
def test_username_and_password_log_in(base_url: str, carol: User) -> None:
    with SyncWorkflowClient(base_url, username="carol@example.com", password=PASSWORD) as client:
        assert client.auth.get_caller().username == "carol"
    with (
        SyncWorkflowClient(base_url, username="carol@example.com", password="a-wrong-password") as client,
        pytest.raises(errors.AuthenticationError),
    ):
        client.auth.get_caller()


@pytest.mark.django_db(transaction=True)
def test_client_credentials_get_a_token(base_url: str, carol: User) -> None:
    service = register_service(carol)
    given: Any = {"client_id": service.id, "client_secret": service.secret, "scopes": ["workflow.read"]}
    with SyncWorkflowClient(base_url, **given) as client:
        assert client.workflows.list().total_count == 0
        with pytest.raises(errors.AuthorizationError):
            client.secrets.list()
    with (
        SyncWorkflowClient(base_url, **{**given, "client_secret": "wrong"}) as client,
        pytest.raises(errors.AuthenticationError),
    ):
        client.workflows.list()
