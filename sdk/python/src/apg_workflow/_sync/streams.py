"""An execution as it happens: its messages in order, over as many connections as that takes."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from itertools import count
from types import TracebackType
from typing import Any

from typing_extensions import Self

from apg_workflow._sync.io import Socket, SocketClosedError, sleep
from apg_workflow._sync.transport import Transport
from apg_workflow.calls import problem_of
from apg_workflow.errors import (
    APIError,
    AuthenticationError,
    ConnectionFailedError,
    RateLimitError,
    ServerError,
    WaitTimeoutError,
    error_class,
)
from apg_workflow.models import FINAL_STATUSES, Message

_UNAUTHENTICATED = 4401
# What may be over when it is tried again.
_PASSING = {"SYSTEM_ERROR", "RATE_LIMIT_EXCEEDED"}
_numbers = count(1)


class ExecutionStream(Iterator[Message]):
    """The messages of one execution up to its end; iterate over it, and close it if you stop before.

    Rows come once each and in order: after a lost connection it goes on from `sequence`, the number of the last one.
    Raises NotFoundError, AuthorizationError, AuthenticationError, and ConnectionFailedError once the connection has
    been away for `Retries.reconnect_for` seconds.
    """

    def __init__(
        self,
        transport: Transport,
        execution_id: str,
        since: int | None,
        *,
        deadline: float | None = None,
        patience: float | None = None,
    ) -> None:
        self.execution_id = execution_id
        self.sequence = since
        self._transport = transport
        self._deadline = deadline
        self._patience = transport.retries.reconnect_for if patience is None else patience
        self._socket: Socket | None = None
        self._ended = False
        self._lost_at: float | None = None
        self._failures = 0
        self._refused: str | None = None

    def __iter__(self) -> Self:
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hang up; there are no more messages."""
        self._ended = True
        self._hang_up()

    def __next__(self) -> Message:
        while not self._ended:
            try:
                if self._socket is None:
                    self._subscribe()
                    continue
                found = self._news(self._receive(self._socket))
            except ConnectionFailedError as lost:
                self._pause(lost)
                continue
            except Exception:
                self.close()
                raise
            except BaseException:
                # Cancelled, perhaps between opening and subscribing; the next call goes on from `sequence`.
                self._hang_up()
                raise
            if found is not None:
                if found.is_last:
                    self.close()
                return found
        raise StopIteration

    def _subscribe(self) -> None:
        """Open a connection and subscribe; ends the stream if there is nothing to come."""
        self._renew()
        address, headers = self._transport.socket_address, self._transport.credentials.headers()
        self._socket = Socket.open(address, headers, timeout=self._left(self._transport.timeout) or 0.001)
        message_id = f"subscribe-{next(_numbers)}"
        data: dict[str, Any] = {"channel": "execution", "execution_id": self.execution_id}
        if self.sequence is not None:
            data["since"] = self.sequence
        self._socket.send(json.dumps({"type": "subscribe", "id": message_id, "data": data}))
        answer = self._receive(self._socket)
        while answer["id"] != message_id:
            answer = self._receive(self._socket)
        if answer["type"] == "error":
            raise _refusal(answer["data"])
        self._lost_at, self._failures, self._refused = None, 0, None
        told = answer["data"]
        if self.sequence is None:
            self.sequence = told["sequence"]
        if told["snapshot"]["execution"]["status"] in FINAL_STATUSES and self.sequence >= told["sequence"]:
            self.close()

    def _renew(self) -> None:
        """Get another token than one that was refused or is due; a server that can give none for now is a lost one."""
        try:
            if self._refused is not None:
                self._transport.renew(self._refused)
            self._transport.renew_if_stale()
        except (ServerError, RateLimitError) as error:
            raise ConnectionFailedError(f"No new token: {error}") from error

    def _news(self, message: dict[str, Any]) -> Message | None:
        """The message, if it is this execution's and has not been told yet."""
        data = message["data"]
        if message["type"] == "error" and "sequence" not in data:
            raise _refusal(data)
        if "sequence" not in data:
            return None
        found = Message.model_validate(message)
        seen = -1 if self.sequence is None else self.sequence
        if found.is_progress:
            return found if found.sequence >= seen else None
        if found.sequence <= seen:
            return None
        self.sequence = found.sequence
        return found

    def _receive(self, socket: Socket) -> dict[str, Any]:
        while True:
            try:
                message = json.loads(socket.receive(self._left(None)))
            except TimeoutError:
                self._check_time()
                continue
            if isinstance(message, dict) and isinstance(message.get("data"), dict):
                return message

    def _pause(self, lost: ConnectionFailedError) -> None:
        """After a lost connection: wait until the next attempt. Raises when there is to be none."""
        self._hang_up()
        self._check_time()
        if isinstance(lost, SocketClosedError) and lost.close_code == _UNAUTHENTICATED:
            # Once more, with a new token if one can be had: what has ended may be only the old one.
            if self._refused is not None:
                raise AuthenticationError("The credential is not good, or not any more") from lost
            # Kept until a connection is good: a renewal that fails for now comes before the next one.
            self._refused = self._transport.credentials.secret or ""
            return
        now = time.monotonic()
        if self._lost_at is None:
            self._lost_at = now
        self._failures += 1
        wait = self._transport.retries.wait(self._failures)
        if now + wait > self._lost_at + self._patience:
            raise lost
        sleep(self._left(wait) or 0.0)
        self._check_time()

    def _hang_up(self) -> None:
        socket, self._socket = self._socket, None
        if socket is not None:
            socket.close()

    def _left(self, most: float | None) -> float | None:
        """Seconds until the deadline, and at most so many."""
        if self._deadline is None:
            return most
        left = max(0.0, self._deadline - time.monotonic())
        return left if most is None else min(left, most)

    def _check_time(self) -> None:
        if self._deadline is not None and time.monotonic() >= self._deadline:
            raise WaitTimeoutError(f"Execution {self.execution_id} has not ended in time; it goes on")


def _refusal(data: dict[str, Any]) -> Exception:
    """The error that a message tells of; one that passes is like a lost connection."""
    code, message = str(data.get("code", "")), str(data.get("error", "The server refused"))
    if code in _PASSING:
        return ConnectionFailedError(message)
    problems = [problem_of(entry) for entry in data.get("errors") or []]
    error: APIError = error_class(code, None)(message, code=code, problems=problems)
    return error
