"""A WebSocket as both of our protocols have it: origin, credential, rates, limits, and how it ends.

Close codes: 4401 no credential, a bad one, or one that is good no more; 4408 too slow to read; 4429 too much asked.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, ClassVar

from channels.consumer import get_handler_name
from channels.exceptions import StopConsumer
from channels.generic.websocket import AsyncWebsocketConsumer
from django.db import Error as DatabaseError

from accounts.callers import Caller
from accounts.models import User
from accounts.throttling import Taken, take_as_stranger, take_as_user
from accounts.ws_auth import Credential, address_of, admit, origin_allowed, still_good, token_of
from core.errors import AuthenticationFailedError
from core.request_id import bind
from executions.hub import Hub, hub
from executions.pages import Page

logger = logging.getLogger(__name__)

UNAUTHENTICATED, SLOW, TOO_MUCH = 4401, 4408, 4429
MAX_SUBSCRIPTIONS = 100
# A token bucket: so many messages at once, and so many a second on average.
MESSAGE_BURST, MESSAGES_A_SECOND = 100, 20
# The extension of ASGI by which our own server takes whole frames (config.web).
FRAMES = "apg.frames"


class Socket(AsyncWebsocketConsumer):  # type: ignore[misc]  # without types
    """One connection. `caller` is None until a token has been given; nothing is told before.

    A subclass says what messages mean (`on_text`), and how long it waits for a token where the handshake had none.
    """

    # The hub hands out what is to be told; no channel of its own for each connection.
    channel_layer_alias = "none"
    FIRST_MESSAGE_SECONDS: ClassVar[float]

    def __init__(self) -> None:
        super().__init__()
        self.hub: Hub = hub()
        self.caller: Caller | None = None
        self.credential: Credential | None = None
        self.sending_since: float | None = None
        self._sending = 0
        self._tasks: dict[str, asyncio.Task[None]] = {}
        # Not one of those, whose names clients choose.
        self._patience: asyncio.Task[None] | None = None
        self._room = float(MESSAGE_BURST)
        self._counted_at = time.monotonic()
        self._closed = False

    # --- what a protocol fills in

    def subprotocol(self) -> str | None:
        """What of the offered protocols is spoken. Raises ValueError if none of them is."""
        return None

    async def on_text(self, text: str) -> None:
        """A message of the client."""
        raise NotImplementedError

    async def on_bytes(self) -> None:
        """Both protocols are text."""
        await self.end(1003)

    # --- opening

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._closed = True
            self.hub.leave(self)
            self.first_message_came()
            for task in list(self._tasks.values()):
                task.cancel()

    async def dispatch(self, message: Any) -> None:
        """Without Channels' look at the database connections of another thread, for every message."""
        await getattr(self, get_handler_name(message))(message)

    async def websocket_disconnect(self, message: Any) -> None:
        raise StopConsumer

    async def connect(self) -> None:
        bind("")
        await self._guarded(self._open())

    async def _open(self) -> None:
        if not origin_allowed(self.scope):
            await self.close()
            return
        try:
            token = token_of(self.scope)
        except AuthenticationFailedError:
            token = ""
        # Not kept where anything might write it down.
        self.scope["query_string"] = b""
        try:
            await self.accept(self.subprotocol())
        except ValueError:
            await self.accept()
            await self.end(4406)
            return
        self.hub.join(self)
        await self.on_open(token)

    async def on_open(self, token: str | None) -> None:
        """The connection is open; `token` is the handshake's, None if it had none."""
        if token is None:
            self.wait_for_first_message(UNAUTHENTICATED)
        else:
            await self.authenticate_or_end(token)

    def wait_for_first_message(self, code: int) -> None:
        """End with this code if nothing says in time that somebody is there."""

        async def wait() -> None:
            await asyncio.sleep(self.FIRST_MESSAGE_SECONDS)
            await self.end(code)

        self._patience = asyncio.create_task(wait())

    def first_message_came(self) -> None:
        """No more waiting for it."""
        if self._patience is not None:
            self._patience.cancel()

    async def authenticate_or_end(self, token: str) -> None:
        """Take a token; without a good one the connection ends."""
        try:
            await self.authenticate(token)
        except AuthenticationFailedError:
            await self.end(UNAUTHENTICATED)

    async def authenticate(self, token: str) -> Caller:
        """Take a token; it may follow another of the same user. Raises AuthenticationFailedError, always the same.

        Each is counted as a request: of the user, or of the address where it is bad.
        """
        try:
            caller, credential = await self.hub.in_thread(admit, token)
            if self.caller is not None and caller.user.pk != self.caller.user.pk:
                raise AuthenticationFailedError
        except AuthenticationFailedError:
            await self._count(take_as_stranger, address_of(self.scope))
            raise
        await self._count(take_as_user, caller.user)
        self.caller, self.credential = caller, credential
        return caller

    async def current_caller(self) -> Caller:
        """The caller as the database has them now. Raises AuthenticationFailedError if the credential has ended."""
        if self.caller is None or self.credential is None:
            raise AuthenticationFailedError
        self.caller = await self.hub.in_thread(_reloaded, self.caller, self.credential)
        return self.caller

    async def lost_access(self) -> bool:
        """Whether it is the credential that is good no more, with which the connection ends."""
        try:
            await self.current_caller()
        except AuthenticationFailedError:
            await self.end(UNAUTHENTICATED)
            return True
        return False

    async def _count(self, take: Callable[..., Taken], who: User | str) -> None:
        taken = await self.hub.in_thread(take, who)
        if not taken.allowed:
            await self.end(TOO_MUCH)
            raise AuthenticationFailedError

    # --- messages

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if self._closed:
            return
        bind("")
        now = time.monotonic()
        self._room = min(self._room + (now - self._counted_at) * MESSAGES_A_SECOND, MESSAGE_BURST) - 1
        self._counted_at = now
        if self._room < 0:
            await self.end(TOO_MUCH)
        else:
            await self._guarded(self.on_bytes() if text_data is None else self.on_text(text_data))

    async def tell(self, text: str) -> None:
        """Send; waits while the client does not read, and gives up with the connection."""
        await self._send({"type": "websocket.send", "text": text})

    async def tell_page(self, page: Page) -> None:
        """Send all messages of a page: in one go where the server takes frames as they are."""
        if FRAMES in self.scope["extensions"]:
            await self._send({"type": "websocket.send", "frames": page.wire})
            return
        for text in page.messages:
            await self.tell(text)

    async def _send(self, message: dict[str, Any]) -> None:
        if self._closed:
            return
        if not self._sending:
            self.sending_since = time.monotonic()
        self._sending += 1
        try:
            await self.base_send(message)
        finally:
            self._sending -= 1
            # What others of this connection wait for has moved.
            self.sending_since = time.monotonic() if self._sending else None

    # --- subscriptions

    def start(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Run something under a name until it ends, is stopped, or the connection is gone."""
        task = asyncio.create_task(self._guarded(work))
        self._tasks[name] = task
        # Where the task is ended before it began.
        task.add_done_callback(lambda done: work.close())
        task.add_done_callback(lambda done: self._tasks.pop(name, None) if self._tasks.get(name) is done else None)

    @property
    def subscriptions(self) -> int:
        """How much it watches."""
        return len(self._tasks)

    def running(self, name: str) -> bool:
        """Whether something runs under this name."""
        return name in self._tasks

    @property
    def is_full(self) -> bool:
        """Whether one more subscription would be one too many."""
        return len(self._tasks) >= MAX_SUBSCRIPTIONS

    def stop(self, name: str) -> bool:
        """Stop it; whether it ran."""
        task = self._tasks.pop(name, None)
        if task is not None:
            task.cancel()
        return task is not None

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except asyncio.CancelledError:
            raise
        except Exception as error:
            # The client went away or was cut off while something was being sent, PostgreSQL is away, or a fault of
            # ours: either way it connects anew.
            if isinstance(error, DatabaseError):
                logger.warning("A socket ended: %s", type(error).__name__, extra={"action": "socket_ended"})
            elif not self._closed and not isinstance(error, OSError):
                logger.exception("A socket failed", extra={"action": "socket_failed"})
            await self.end(1011)

    # --- the end

    async def end(self, code: int) -> None:
        """Close with a code, once."""
        if not self._closed:
            self._closed = True
            with contextlib.suppress(OSError, RuntimeError):
                await self.close(code)


def _reloaded(caller: Caller, credential: Credential) -> Caller:
    if credential not in still_good({credential}):
        raise AuthenticationFailedError
    return replace(caller, user=User.objects.get(pk=caller.user.pk))
