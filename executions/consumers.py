"""The WebSocket API (API reference; contract §8): subscribe, snapshot, replay, live."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any, ClassVar

from django.db import Error as DatabaseError
from django.utils import timezone

from accounts.permissions import require_scope
from accounts.scopes import Scope
from core.envelope import render
from core.errors import (
    APGError,
    AuthenticationFailedError,
    ConflictError,
    ErrorCode,
    NotFoundError,
    Problem,
    UnavailableError,
    ValidationFailedError,
)
from core.ids import new_id
from core.times import iso
from core.types import JSONObject
from executions import live, messages, snapshots
from executions.messages import Message, Place
from executions.pages import Page
from executions.sockets import MAX_SUBSCRIPTIONS, UNAUTHENTICATED, Socket


class WorkflowSocket(Socket):
    """One connection to `/api/v1/ws`."""

    FIRST_MESSAGE_SECONDS: ClassVar[float] = 3.0

    async def on_text(self, text: str) -> None:
        try:
            message = messages.parse(text)
            await self._answer(message)
        except (APGError, DatabaseError) as error:
            unknown = self.caller is None and isinstance(error, APGError)
            if unknown or isinstance(error, AuthenticationFailedError):
                await self.end(UNAUTHENTICATED)
                return
            told = error if isinstance(error, APGError) else UnavailableError()
            await self._say("error", messages.id_in(text), _error_data(told))

    async def on_bytes(self) -> None:
        await self.end(1003)

    async def _answer(self, message: Message) -> None:
        if message.type == "authenticate":
            if self.caller is not None:
                # What it follows is for the token that it came with.
                raise ConflictError("This connection has a token; open another one for another token")
            caller = await self.authenticate(messages.parse_token(message.data))
            self.first_message_came()
            await self._say("authenticated", message.id, {"user_id": caller.user.pk})
        elif self.caller is None:
            raise AuthenticationFailedError
        elif message.type == "ping":
            await self._say("pong", message.id, {})
        elif message.type == "subscribe":
            place, since = messages.parse_place(message.data, since=True)
            await self._subscribe(message.id, place, since)
        else:
            place, _ = messages.parse_place(message.data)
            self.stop(_name(place))
            await self._say("unsubscribed", message.id, place.data)

    async def _subscribe(self, message_id: str, place: Place, since: int | None) -> None:
        caller = await self.current_caller()
        assert self.credential is not None
        name = _name(place)
        if self.is_full and not self.running(name):
            raise _TooManyError(f"A connection has at most {MAX_SUBSCRIPTIONS} subscriptions")
        data: JSONObject = dict(place.data)
        if place.channel == "execution":
            execution, data["snapshot"] = await self.hub.in_thread(snapshots.of_execution, caller, place.subject_id)
            data["sequence"] = execution.sequence
            if since is not None and since > execution.sequence:
                problem = Problem(f"The last event has the number {execution.sequence}", field="data.since")
                raise ValidationFailedError(problems=[problem])
            after = execution.sequence if since is None else since
            pages = live.follow_execution(self.hub, self.credential, execution.pk, execution.workflow_id, after)
        elif place.channel == "workflow":
            # Before anything that takes longer the more there is to see.
            await self.hub.in_thread(snapshots.followed_workflow, caller, place.subject_id)
            pages = live.follow_workflow(self.hub, self.credential, place.subject_id)
            data["snapshot"] = await self._begin(pages, snapshots.of_workflow, caller, place.subject_id)
        else:
            require_scope(caller, Scope.SYSTEM_READ)
            pages = live.follow_system(self.hub, self.credential, staff=caller.user.is_staff)
            data["snapshot"] = await self._begin(pages, snapshots.of_system)
        self.stop(name)
        await self._say("subscribed", message_id, data)
        self.start(name, self._follow(place, pages))

    async def _begin(self, pages: AsyncGenerator[Page], read: Callable[..., JSONObject], *about: Any) -> JSONObject:
        """A snapshot read once the following has begun, so that what happens between the two is told."""
        await anext(pages)
        try:
            return await self.hub.in_thread(read, *about)
        except BaseException:
            await pages.aclose()
            raise

    async def _follow(self, place: Place, pages: AsyncGenerator[Page]) -> None:
        """Pass pages on until there are no more, or not for this caller."""
        try:
            async with aclosing(pages):
                async for page in pages:
                    await self.tell_page(page)
        except live.GoneError:
            if await self.lost_access():
                return
            error = NotFoundError(f"{place.channel.capitalize()} not found")
            await self._say("error", new_id(), {**place.data, **_error_data(error)})

    async def _say(self, type_: str, message_id: str, data: JSONObject) -> None:
        message: dict[str, Any] = {"type": type_, "id": message_id, "timestamp": iso(timezone.now()), "data": data}
        await self.tell(render(message).decode())


class _TooManyError(APGError):
    """More than a connection may have."""

    code = ErrorCode.RATE_LIMIT_EXCEEDED
    status = 429


def _name(place: Place) -> str:
    return f"{place.channel}:{place.subject_id}"


def _error_data(error: APGError) -> JSONObject:
    """`code` and `message`; `errors` name the fields."""
    problems = [
        {"code": str(problem.code or error.code), "message": problem.message, "field": problem.field}
        for problem in error.problems
    ]
    return {"code": str(error.code), "error": error.message, "errors": problems}
