"""GraphQL over a WebSocket: the protocol graphql-transport-ws, in which subscriptions are answered (contract §9).

https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md. Each operation is counted as a request, as over HTTP.
A subscription's document is run anew for each change: the answer is how things are now, so that changes that come
faster than the client reads are told together. The last answer always tells the last change.
"""

from collections.abc import AsyncGenerator
from typing import Any, ClassVar

import orjson
from graphql import OperationType

from accounts import audit
from accounts.callers import Caller
from accounts.permissions import require_scope
from accounts.scopes import Scope
from accounts.throttling import take_as_user
from accounts.ws_auth import address_of
from config import graphql
from config.graphql import Operation, RequestRefusedError
from core.envelope import render
from core.errors import APGError, AuthenticationFailedError, NotFoundError, RateLimitedError
from core.graphql_rest import id_of
from core.strict_json import StrictJSONError, UnstorableTextError, check_storable, loads
from core.times import parse_time
from core.types import JSONObject
from executions import live, queries
from executions.pages import Page
from executions.sockets import TOO_MUCH, UNAUTHENTICATED, Socket
from workflows import access

PROTOCOL = "graphql-transport-ws"
_BAD_MESSAGE, _NO_INIT, _ID_TAKEN, _TWO_INITS = 4400, 4408, 4409, 4429
_KEYS = {
    "connection_init": {"type", "payload"},
    "ping": {"type", "payload"},
    "pong": {"type", "payload"},
    "subscribe": {"type", "id", "payload"},
    "complete": {"type", "id"},
}


class GraphQLSocket(Socket):
    """One connection to `/api/beta/graphql`."""

    FIRST_MESSAGE_SECONDS: ClassVar[float] = 3.0

    def __init__(self) -> None:
        super().__init__()
        self._acknowledged = False
        self._initialised = False

    def subprotocol(self) -> str:
        if PROTOCOL not in self.scope["subprotocols"]:
            raise ValueError(f"Only {PROTOCOL} is spoken here")
        return PROTOCOL

    async def on_open(self, token: str | None) -> None:
        self.wait_for_first_message(_NO_INIT)
        if token is not None:
            await self.authenticate_or_end(token)

    async def on_bytes(self) -> None:
        await self.end(_BAD_MESSAGE)

    async def on_text(self, text: str) -> None:
        message = _parsed(text)
        if message is None:
            await self.end(_BAD_MESSAGE)
            return
        type_ = message["type"]
        if type_ == "connection_init":
            await self._init(message.get("payload"))
        elif type_ == "ping":
            await self._say("pong", payload=message.get("payload"))
        elif type_ == "complete":
            self.stop(message["id"])
        elif type_ == "subscribe":
            await self._subscribe(message["id"], message["payload"])

    async def _init(self, payload: JSONObject | None) -> None:
        if self._initialised:
            await self.end(_TWO_INITS)
            return
        self._initialised = True
        self.first_message_came()
        try:
            token = _token_in(payload or {})
            # Of two credentials neither is preferred, as everywhere.
            if (token is None) == (self.caller is None):
                raise AuthenticationFailedError
            if token is not None:
                await self.authenticate(token)
        except AuthenticationFailedError:
            await self.end(UNAUTHENTICATED)
            return
        self._acknowledged = True
        await self._say("connection_ack")

    async def _subscribe(self, id_: str, payload: JSONObject) -> None:
        if not self._acknowledged:
            await self.end(UNAUTHENTICATED)
        elif self.running(id_):
            await self.end(_ID_TAKEN)
        elif self.is_full:
            await self.end(TOO_MUCH)
        else:
            self.start(id_, self._serve(id_, payload))

    async def _serve(self, id_: str, payload: JSONObject) -> None:
        """Answer one operation to its end."""
        try:
            caller = await self.current_caller()
            text, variables, name = graphql.read(payload)
            operation = await self.hub.in_thread(graphql.parse_and_check, text, variables, name)
            count = len(operation.fields) if operation.kind is OperationType.MUTATION else 1
            await self._count_operation(caller, max(count, 1))
            if operation.kind is OperationType.SUBSCRIPTION:
                await self._follow(id_, operation, caller)
            else:
                await self._say("next", id_, await self._run(operation, caller))
            await self._say("complete", id_)
        except AuthenticationFailedError:
            await self.end(UNAUTHENTICATED)
        except RequestRefusedError as error:
            await self._say("error", id_, error.errors)
        except _AnswerIsErrorError as error:
            await self._say("error", id_, error.errors)
        except APGError as error:
            await self._say("error", id_, [graphql.error_of(error)])
        except live.GoneError:
            if not await self.lost_access():
                await self._say("error", id_, [graphql.error_of(NotFoundError())])

    async def _count_operation(self, caller: Caller, count: int) -> None:
        taken = await self.hub.in_thread(take_as_user, caller.user, count)
        if not taken.allowed:
            raise RateLimitedError(taken.retry_after)

    async def _follow(self, id_: str, operation: Operation, caller: Caller) -> None:
        """Answers for as long as there is something to follow."""
        (field,) = operation.fields
        if field.name == "systemNotifications":
            await self._follow_system(id_, operation, caller)
            return
        assert self.credential is not None
        if field.name == "executionUpdates":
            execution = await self.hub.in_thread(
                queries.get_visible, caller, id_of(field.arguments["execution_id"], "Execution")
            )
            pages = live.follow_execution(
                self.hub, self.credential, execution.pk, execution.workflow_id, execution.sequence
            )
        else:
            workflow = await self.hub.in_thread(
                access.get_visible, caller, id_of(field.arguments["workflow_id"], "Workflow")
            )
            pages = live.follow_workflow(self.hub, self.credential, workflow.pk)
            await anext(pages)
        await self._next(id_, operation, caller)
        await self._next_for_each(id_, operation, caller, pages)

    async def _next_for_each(self, id_: str, operation: Operation, caller: Caller, pages: AsyncGenerator[Page]) -> None:
        async for _ in pages:
            await self._next(id_, operation, caller)

    async def _follow_system(self, id_: str, operation: Operation, caller: Caller) -> None:
        require_scope(caller, Scope.SYSTEM_READ)
        assert self.credential is not None
        async for page in live.follow_system(self.hub, self.credential, staff=caller.user.is_staff):
            for text in page.messages:
                message = orjson.loads(text)
                notice = {**message["data"], "timestamp": parse_time(message["timestamp"])}
                await self._next(id_, operation, caller, notice)

    async def _next(self, id_: str, operation: Operation, caller: Caller, root: Any = None) -> None:
        """One answer. Raises _AnswerIsErrorError where there is nothing but errors."""
        answer = await self._run(operation, caller, root)
        if answer["data"] is None:
            raise _AnswerIsErrorError(answer["errors"])
        await self._say("next", id_, answer)

    async def _run(self, operation: Operation, caller: Caller, root: Any = None) -> JSONObject:
        """The answer, in a thread; what is done is recorded as the caller's."""
        return await self.hub.in_thread(_run_as, address_of(self.scope), operation, caller, root)

    async def _say(self, type_: str, id_: str | None = None, payload: Any = None) -> None:
        message: JSONObject = {"type": type_}
        if id_ is not None:
            message["id"] = id_
        if payload is not None:
            message["payload"] = payload
        await self.tell(render(message).decode())


def _run_as(address: str, operation: Operation, caller: Caller, root: Any) -> JSONObject:
    with audit.acting(caller, address):
        return graphql.run(operation, caller, root)


class _AnswerIsErrorError(Exception):
    """An operation was run and gave errors alone; `errors` are as GraphQL answers them."""

    def __init__(self, errors: Any) -> None:
        self.errors = errors
        super().__init__()


def _parsed(text: str) -> JSONObject | None:
    """A message of the protocol; None for anything else."""
    try:
        found = loads(text.encode())
        check_storable(found)
    except (StrictJSONError, UnstorableTextError, UnicodeError):
        return None
    if not isinstance(found, dict) or not isinstance(found.get("type"), str):
        return None
    keys = _KEYS.get(found["type"])
    if keys is None or not keys.issuperset(found):
        return None
    if "id" in keys and not (isinstance(found.get("id"), str) and 0 < len(found["id"]) <= 128):
        return None
    payload = found.get("payload")
    wanted = dict if found["type"] == "subscribe" else dict | None
    return found if isinstance(payload, wanted) else None


def _token_in(payload: JSONObject) -> str | None:
    """The token of a connection_init: `Authorization: Bearer …` in any case, `X-API-Key`, or `token`.

    Raises AuthenticationFailedError for two, and for another scheme.
    """
    found = []
    for name, value in payload.items():
        if name.lower() not in {"authorization", "x-api-key", "token"}:
            continue
        if not isinstance(value, str):
            raise AuthenticationFailedError
        if name.lower() == "authorization":
            scheme, _, value = value.partition(" ")
            if scheme.lower() != "bearer":
                raise AuthenticationFailedError
        found.append(value.strip())
    if len(found) > 1:
        raise AuthenticationFailedError
    return found[0] if found else None
