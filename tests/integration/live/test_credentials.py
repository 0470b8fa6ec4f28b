"""Who may open a socket, and that it is silent and closed as soon as its token is none (W1, W2, A5, A9)."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.utils import timezone
from oauth2_provider.models import set_token_value
from rest_framework_simplejwt.tokens import AccessToken
from websockets.exceptions import ConnectionClosed, InvalidStatus

from accounts.access_end import end_access
from accounts.api_keys import create_api_key
from accounts.models import ApiKey, Session, User
from accounts.oauth_models import OAuthAccessToken, OAuthApplication
from accounts.scopes import EVERYTHING, Scope
from core.ids import new_id
from executions.models import Execution
from tests.api import Api
from tests.contract.access_world import session_of
from tests.integration.executions.conftest import Doorbells, linear, log, start
from tests.integration.executions.test_waits import send, signal
from tests.integration.live.conftest import Dial, is_silent, token_of, told_until_end
from tests.sockets import SocketClient
from tests.stopwatch import Stopwatch
from tests.web import Web, web_server
from workflows.models import Role, Share, Workflow

pytestmark = pytest.mark.django_db(transaction=True)

UNAUTHENTICATED = 4401


def short_token(user: User, seconds: float) -> str:
    """A token of a live session that is good for so many seconds."""
    token = AccessToken(session_of(user)[0])  # type: ignore[arg-type]  # text is what it takes
    token.set_exp(lifetime=timedelta(seconds=seconds))
    return str(token)


def closed_in_time(*sockets: SocketClient) -> list[tuple[list[Any], int | None]]:
    """What each was told before its end, and its code; within five seconds (A9)."""
    with Stopwatch() as watch:
        found = [socket.until_closed(30) for socket in sockets]
    assert watch.seconds < 5
    return found


def key_of(user: User, *permissions: str) -> str:
    return create_api_key(owner=user, name=new_id(), permissions=permissions or [EVERYTHING])[1]


def oauth_token_of(user: User) -> str:
    application = OAuthApplication.objects.create(
        name="app", user=user, client_type="confidential", authorization_grant_type="client-credentials"
    )
    text, expires = new_id(), timezone.now() + timedelta(hours=1)
    token = OAuthAccessToken(user=user, application=application, scope=EVERYTHING, expires=expires)
    set_token_value(token, text)
    token.save()
    return text


# --- W1, CVE-2026-7723: opening


def test_w1_what_is_no_token_is_closed_before_any_message(dial: Dial, web: Web) -> None:
    for text in ("", "x", "a.b.c", "%00", "apg_nothing", quote("🙂"), "x" * 8000):
        with SocketClient(web.port, text) as socket:
            assert socket.until_closed() == ([], UNAUTHENTICATED), text


def test_w1_an_address_too_long_for_a_handshake_is_refused(dial: Dial, web: Web) -> None:
    with pytest.raises(InvalidStatus) as refused:
        SocketClient(web.port, "x" * 9000)
    assert refused.value.response.status_code == 400


def test_w1_an_expired_token_is_closed(dial: Dial, alice: User) -> None:
    assert dial(token=short_token(alice, -1)).until_closed() == ([], UNAUTHENTICATED)


def test_w1_a_refresh_token_opens_nothing(dial: Dial, alice: User) -> None:
    assert dial(token=session_of(alice)[1]).until_closed() == ([], UNAUTHENTICATED)


def test_w1_the_token_of_a_disabled_user_is_closed(dial: Dial, alice: User) -> None:
    token = token_of(alice)
    User.objects.filter(pk=alice.pk).update(is_active=False)
    assert dial(token=token).until_closed() == ([], UNAUTHENTICATED)


def test_w1_without_a_token_for_three_seconds_it_is_closed(dial: Dial) -> None:
    with Stopwatch() as watch:
        assert dial().until_closed(30) == ([], UNAUTHENTICATED)
    assert watch.total > 2.9
    assert watch.seconds < 5


@pytest.fixture(scope="module")
def unhurried(django_db_setup: None, django_db_blocker: Any) -> Iterator[Web]:
    """A server that waits very long for a token: what it closes, it closes for another reason."""
    before = "from executions.consumers import WorkflowSocket; WorkflowSocket.FIRST_MESSAGE_SECONDS = 600"
    with django_db_blocker.unblock(), web_server(before=before) as server:
        yield server


def test_w1_a_first_message_that_is_no_token_is_the_last(dial: Dial, unhurried: Web) -> None:
    for type_ in ("ping", "subscribe", "nonsense"):
        socket = dial(port=unhurried.port)
        socket.send(type_, channel="system")
        assert socket.until_closed() == ([], UNAUTHENTICATED), type_


def test_w1_a_query_of_a_thousand_fields_is_closed(dial: Dial, unhurried: Web, alice: User) -> None:
    query = f"token={token_of(alice)}&" + "&".join(f"a{number}=1" for number in range(1000))
    with SocketClient(unhurried.port, path=f"/api/v1/ws?{query}") as socket:
        assert socket.until_closed() == ([], UNAUTHENTICATED)


def test_a_token_may_come_in_a_header(dial: Dial, alice: User) -> None:
    for headers in ({"X-API-Key": key_of(alice)}, {"Authorization": f"Bearer {token_of(alice)}"}):
        assert is_silent(dial(additional_headers=headers)), headers


def test_another_scheme_is_refused(dial: Dial, unhurried: Web, alice: User) -> None:
    token = token_of(alice)
    for scheme in ("Basic", "Token", ""):
        headers = {"Authorization": f"{scheme} {token}"}
        socket = dial(port=unhurried.port, additional_headers=headers)
        assert socket.until_closed() == ([], UNAUTHENTICATED), scheme


def test_keys_and_oauth_tokens_open_a_socket(dial: Dial, alice: User) -> None:
    for make in (key_of, oauth_token_of):
        assert is_silent(dial(token=make(alice)))


def test_a_token_may_be_the_first_message(dial: Dial, alice: User) -> None:
    socket = dial()
    socket.send("authenticate", "a1", token=token_of(alice))
    answer = socket.receive()
    assert (answer["type"], answer["id"], answer["data"]) == ("authenticated", "a1", {"user_id": alice.pk})
    assert is_silent(socket)


def test_a_bad_first_token_is_closed(dial: Dial, unhurried: Web) -> None:
    socket = dial(port=unhurried.port)
    socket.send("authenticate", token="a.b.c")
    assert socket.until_closed() == ([], UNAUTHENTICATED)


def test_a_second_token_is_refused_and_the_first_one_stays(dial: Dial, alice: User, bob: User) -> None:
    socket = dial(alice)
    for user in (alice, bob):
        socket.send("authenticate", "a2", token=token_of(user))
        answer = socket.receive()
        assert (answer["type"], answer["id"], answer["data"]["code"]) == ("error", "a2", "RESOURCE_CONFLICT")


def test_two_tokens_at_once_are_refused(dial: Dial, unhurried: Web, alice: User) -> None:
    token = token_of(alice)
    headers = {"Authorization": f"Bearer {token}"}
    socket = dial(port=unhurried.port, token=token, additional_headers=headers)
    assert socket.until_closed() == ([], UNAUTHENTICATED)


def test_w2_a_cookie_opens_nothing(dial: Dial, unhurried: Web, admin: User) -> None:
    browser = Client()
    browser.force_login(admin)
    cookie = {"Cookie": f"sessionid={browser.cookies['sessionid'].value}"}
    socket = dial(port=unhurried.port, additional_headers=cookie)
    socket.send("ping")
    assert socket.until_closed() == ([], UNAUTHENTICATED)


# --- W2: from where


def origin_status(web: Web, origin: str, token: str, **headers: str) -> int:
    try:
        with SocketClient(web.port, token, origin=origin, additional_headers=headers) as socket:
            assert is_silent(socket)
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code


ORIGINS = {
    "http://127.0.0.1:{port}": 101,
    "https://app.example.com": 101,
    "https://one.pages.example": 101,
    "https://127.0.0.1:{port}": 403,
    "http://127.0.0.1": 403,
    "http://app.example.com": 403,
    "https://app.example.com.evil.example": 403,
    "https://evilpages.example": 403,
    "https://evil.example": 403,
    "null": 403,
    "127.0.0.1:{port}": 403,
}


def test_w2_pages_of_other_origins_open_nothing(dial: Dial, web: Web, alice: User) -> None:
    token = token_of(alice)
    found = {origin: origin_status(web, origin.format(port=web.port), token) for origin in ORIGINS}
    assert found == ORIGINS


def test_w2_a_foreign_host_is_refused(dial: Dial, web: Web, alice: User) -> None:
    request = (
        f"GET /api/v1/ws?token={token_of(alice)} HTTP/1.1\r\nHost: evil.example\r\nOrigin: http://evil.example\r\n"
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    assert web.send(request.encode()).status == 403


def test_another_path_is_no_socket(dial: Dial, web: Web, alice: User) -> None:
    with pytest.raises(InvalidStatus):
        SocketClient(web.port, token_of(alice), path="/api/v1/other")


# --- A9: what ends meanwhile


def _log_out(user: User) -> None:
    Session.objects.filter(user=user).update(revoked_at=timezone.now())


def _disable(user: User) -> None:
    User.objects.filter(pk=user.pk).update(is_active=False)


def _delete_keys(user: User) -> None:
    ApiKey.objects.filter(owner=user).delete()


def _expire_keys(user: User) -> None:
    ApiKey.objects.filter(owner=user).update(expires_at=timezone.now())


def _revoke_oauth(user: User) -> None:
    OAuthAccessToken.objects.filter(user=user).delete()


ENDS = [
    (token_of, _log_out),
    (token_of, end_access),
    (token_of, _disable),
    (key_of, _delete_keys),
    (key_of, _expire_keys),
    (key_of, _disable),
    (oauth_token_of, _revoke_oauth),
    (oauth_token_of, _disable),
]


@pytest.fixture
def waiting(alice: User, doorbells: Doorbells) -> Execution:
    """An execution of alice's that waits for a signal."""
    execution = start(alice, linear(signal(), log("after")))
    doorbells.work()
    execution.refresh_from_db()
    return execution


def go_on(execution: Execution, doorbells: Doorbells) -> None:
    send(execution, execution.created_by, 1)
    doorbells.work()


@pytest.mark.parametrize(("channel", "make", "end"), [("workflow", *ENDS[0]), *(("execution", *each) for each in ENDS)])
def test_a9_after_a_credential_has_ended_nothing_is_told(
    dial: Dial, alice: User, waiting: Execution, doorbells: Doorbells,
    channel: str, make: Callable[[User], str], end: Callable[[User], None],
) -> None:  # fmt: skip
    socket = dial(token=make(alice))
    socket.subscribe(channel, waiting.pk if channel == "execution" else waiting.workflow_id)
    end(alice)
    go_on(waiting, doorbells)
    assert closed_in_time(socket) == [([], UNAUTHENTICATED)]


def test_a9_without_an_event_too_the_socket_is_closed_within_five_seconds(dial: Dial, alice: User) -> None:
    sockets = [dial(token=make(alice)) for make in (token_of, key_of, oauth_token_of)]
    for socket in sockets:
        assert is_silent(socket)
    _disable(alice)
    assert closed_in_time(*sockets) == [([], UNAUTHENTICATED)] * 3


def test_w1_a_token_that_expires_while_open_is_closed(dial: Dial, alice: User) -> None:
    socket = dial(token=short_token(alice, 8))
    assert is_silent(socket)
    assert socket.until_closed(60) == ([], UNAUTHENTICATED)


def test_a9_a_logout_over_the_api_ends_its_session_only(dial: Dial, alice: User) -> None:
    access, refresh = session_of(alice)
    ends, stays = dial(token=access), dial(alice)
    Api(access).post("/api/v1/auth/logout", {"refresh_token": refresh})
    assert closed_in_time(ends) == [([], UNAUTHENTICATED)]
    assert is_silent(stays)


def _share(workflow: Workflow, user: User) -> Callable[[], object]:
    made = Share.objects.create(workflow=workflow, user=user, role=Role.VIEWER, created_by=workflow.created_by)
    return made.delete


def _share_with_group(workflow: Workflow, user: User) -> Callable[[], object]:
    group = Group.objects.create(name="team")
    user.groups.add(group)
    Share.objects.create(workflow=workflow, group=group, role=Role.VIEWER, created_by=workflow.created_by)
    return lambda: user.groups.remove(group)


def _staff(workflow: Workflow, user: User) -> Callable[[], object]:
    User.objects.filter(pk=user.pk).update(is_staff=True)
    return lambda: User.objects.filter(pk=user.pk).update(is_staff=False)


@pytest.mark.parametrize(
    ("give", "channel", "event"),
    [
        (_share, "execution", True),
        (_share, "workflow", True),
        (_share, "execution", False),
        (_share_with_group, "workflow", False),
        (_share_with_group, "execution", True),
        (_staff, "execution", True),
    ],
)
def test_a9_what_is_taken_back_is_told_no_more_and_the_rest_goes_on(
    dial: Dial, bob: User, waiting: Execution, doorbells: Doorbells,
    give: Callable[[Workflow, User], Callable[[], object]], channel: str, event: bool,
) -> None:  # fmt: skip
    take_back = give(waiting.workflow, bob)
    own = start(bob, linear(signal(), log("b")))
    doorbells.work()
    socket = dial(bob)
    subject = waiting.pk if channel == "execution" else waiting.workflow_id
    assert socket.subscribe(channel, subject)["type"] == "subscribed"
    socket.subscribe("execution", own.pk)
    take_back()
    if event:
        go_on(waiting, doorbells)
    with Stopwatch() as watch:
        told = socket.receive(30)
    assert watch.seconds < 5
    assert (told["type"], told["data"]["code"], told["data"]["channel"]) == ("error", "RESOURCE_NOT_FOUND", channel)
    assert told["data"][f"{channel}_id"] == subject
    go_on(own, doorbells)
    assert {found["data"]["execution_id"] for found in told_until_end(socket)} == {own.pk}


def test_a_deleted_workflow_ends_the_views_of_its_executions(
    dial: Dial, alice: User, waiting: Execution, doorbells: Doorbells
) -> None:
    socket = dial(alice)
    socket.subscribe("execution", waiting.pk)
    waiting.workflow.delete()
    with Stopwatch() as watch:
        assert socket.receive(30)["data"]["code"] == "RESOURCE_NOT_FOUND"
    assert watch.seconds < 5
    assert is_silent(socket)


# --- A5


LACKING = [
    ("execution", [Scope.WORKFLOW_READ, Scope.SYSTEM_READ]),
    ("workflow", [Scope.WORKFLOW_READ, Scope.SYSTEM_READ]),
    ("workflow", [Scope.EXECUTION_READ, Scope.SYSTEM_READ]),
    ("system", [Scope.WORKFLOW_READ, Scope.EXECUTION_READ]),
]


def test_a5_a_key_without_the_scope_subscribes_to_nothing(
    dial: Dial, alice: User, waiting: Execution, doorbells: Doorbells
) -> None:
    sockets = []
    for channel, permissions in LACKING:
        sockets.append(dial(token=key_of(alice, *permissions)))
        subject = {"execution": waiting.pk, "workflow": waiting.workflow_id}.get(channel)
        answer = sockets[-1].subscribe(channel, subject, "k1")
        assert (answer["type"], answer["id"], answer["data"]["code"]) == ("error", "k1", "AUTHORIZATION_ERROR"), channel
    go_on(waiting, doorbells)
    assert all(is_silent(socket) for socket in sockets)


def test_opening_a_socket_counts_as_a_request(dial: Dial, alice: User) -> None:
    User.objects.filter(pk=alice.pk).update(tier="custom", requests_per_hour=3)
    token = token_of(alice)
    codes: list[object] = []
    for _ in range(4):
        socket = dial(token=token)
        try:
            socket.send("ping")
            codes.append(socket.receive()["type"])
        except ConnectionClosed as closed:
            codes.append(closed.rcvd.code if closed.rcvd else None)
    assert codes == ["pong", "pong", "pong", 4429]
