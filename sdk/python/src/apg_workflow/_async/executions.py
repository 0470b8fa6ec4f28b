"""Executions: what they do, wait for them, follow them."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any, Literal

from typing_extensions import Unpack

from apg_workflow import bodies, models
from apg_workflow._async.io import sleep
from apg_workflow._async.resource import Resource
from apg_workflow._async.streams import ExecutionStream
from apg_workflow.calls import Repeat, get, given, one, operation, page_of, path, post
from apg_workflow.errors import ConnectionFailedError, WaitTimeoutError

_SECONDS_WITHOUT_SOCKET = 3.0
_FIRST_POLL_SECONDS, _LONGEST_POLL_SECONDS = 0.5, 5.0


def _state(envelope: dict[str, Any]) -> models.ExecutionState:
    """All of it, or the little that a credential without `execution.read` is told."""
    whole = "progress" in envelope["data"]
    return (models.Execution if whole else models.ExecutionState).model_validate(envelope["data"])


class Executions(Resource):
    """Executions."""

    @operation("list_executions")
    async def list(
        self, *, limit: int | None = None, offset: int | None = None, **filters: Unpack[bodies.ExecutionFilters]
    ) -> models.Page[models.Execution]:
        """The executions that the caller sees, the newest first."""
        return await self._send(
            get(path("executions"), page_of(models.Execution), limit=limit, offset=offset, **filters)
        )

    def iterate(
        self, *, page_size: int = 100, **filters: Unpack[bodies.ExecutionFilters]
    ) -> AsyncIterator[models.Execution]:
        """All of `list`, page after page."""
        return self._walk(
            lambda limit, offset: get(
                path("executions"), page_of(models.Execution), limit=limit, offset=offset, **filters
            ),
            page_size,
        )

    @operation("get_execution")
    async def get(self, execution_id: str) -> models.Execution:
        """Raises NotFoundError."""
        return await self._send(get(path("executions", execution_id), one(models.Execution)))

    @operation("cancel_execution")
    async def cancel(self, execution_id: str) -> models.ExecutionState:
        """End it; an `Execution` where the credential may read it. Raises ConflictError once it has ended."""
        return await self._send(post(path("executions", execution_id, "cancel"), _state))

    @operation("retry_execution")
    async def retry(
        self,
        execution_id: str,
        *,
        from_component: str | None = None,
        parameters: bodies.JSON | None = None,
        version: Literal["original", "latest"] | None = None,
    ) -> models.ExecutionState:
        """A new execution that keeps what was done; an `Execution` where the credential may read it.

        Raises ConflictError while it has not ended.
        """
        body = given(from_component=from_component, parameters=parameters, version=version)
        return await self._send(post(path("executions", execution_id, "retry"), _state, body))

    async def preview_retry(
        self,
        execution_id: str,
        *,
        from_component: str | None = None,
        parameters: bodies.JSON | None = None,
        version: Literal["original", "latest"] | None = None,
    ) -> models.RetryPreview:
        """The components that such a retry would run; nothing is started."""
        body = given(from_component=from_component, parameters=parameters, version=version)
        call = post(
            path("executions", execution_id, "retry"),
            one(models.RetryPreview),
            {**body, "preview": True},
            repeat=Repeat.SAFE,
        )
        return await self._send(call)

    @operation("list_component_runs")
    async def list_components(
        self, execution_id: str, *, limit: int | None = None, offset: int | None = None
    ) -> models.Page[models.ComponentRun]:
        """Its components, with inputs and outputs."""
        return await self._send(
            get(
                path("executions", execution_id, "components"), page_of(models.ComponentRun), limit=limit, offset=offset
            )
        )

    def iterate_components(self, execution_id: str, *, page_size: int = 100) -> AsyncIterator[models.ComponentRun]:
        """All of `list_components`, page after page."""
        return self._walk(
            lambda limit, offset: get(
                path("executions", execution_id, "components"), page_of(models.ComponentRun), limit=limit, offset=offset
            ),
            page_size,
        )

    @operation("list_execution_events")
    async def list_events(
        self,
        execution_id: str,
        *,
        limit: int | None = None,
        offset: int | None = None,
        **filters: Unpack[bodies.EventFilters],
    ) -> models.Page[models.ExecutionEvent]:
        """Its ledger, in order."""
        return await self._send(
            get(
                path("executions", execution_id, "events"),
                page_of(models.ExecutionEvent),
                limit=limit,
                offset=offset,
                **filters,
            )
        )

    def iterate_events(
        self, execution_id: str, *, page_size: int = 100, **filters: Unpack[bodies.EventFilters]
    ) -> AsyncIterator[models.ExecutionEvent]:
        """All of `list_events`, page after page."""
        return self._walk(
            lambda limit, offset: get(
                path("executions", execution_id, "events"),
                page_of(models.ExecutionEvent),
                limit=limit,
                offset=offset,
                **filters,
            ),
            page_size,
        )

    @operation("get_execution_logs")
    async def logs(
        self,
        execution_id: str,
        *,
        limit: int | None = None,
        offset: int | None = None,
        **filters: Unpack[bodies.LogFilters],
    ) -> models.Page[models.LogLine]:
        """The lines that it has written, in order."""
        return await self._send(
            get(
                path("executions", execution_id, "logs"), page_of(models.LogLine), limit=limit, offset=offset, **filters
            )
        )

    def iterate_logs(
        self, execution_id: str, *, page_size: int = 100, **filters: Unpack[bodies.LogFilters]
    ) -> AsyncIterator[models.LogLine]:
        """All of `logs`, page after page."""
        return self._walk(
            lambda limit, offset: get(
                path("executions", execution_id, "logs"), page_of(models.LogLine), limit=limit, offset=offset, **filters
            ),
            page_size,
        )

    @operation("diagnose_execution")
    async def diagnose(self, execution_id: str) -> models.Diagnosis:
        """Why it has not ended, and what happens next."""
        return await self._send(get(path("executions", execution_id, "diagnosis"), one(models.Diagnosis)))

    @operation("send_signal")
    async def send_signal(self, execution_id: str, name: str, *, data: Any = None) -> models.SignalReceipt:
        """End a wait for the signal of this name, or be kept for one that comes."""
        address = path("executions", execution_id, "signals", name)
        return await self._send(post(address, one(models.SignalReceipt), {"data": data}))

    def stream(self, execution_id: str, *, since: int | None = None) -> ExecutionStream:
        """Its messages as they happen, up to its end: those after the number `since`, 0 for all, None from now on.

        It survives lost connections and servers that restart, without gap or repeat. `async with` closes it early.
        """
        return ExecutionStream(self._transport, execution_id, since)

    def subscribe(self, execution_id: str, *, since: int | None = None) -> ExecutionStream:
        """The same as `stream`, by the name that the other client libraries have."""
        return self.stream(execution_id, since=since)

    async def wait_for_completion(self, execution_id: str, timeout: float | None = None) -> models.Execution:
        """The execution once it has ended, however it has: look at `status`, or call `raise_if_failed`.

        It is followed over WebSocket; where that cannot be had it is asked for again and again. Raises
        WaitTimeoutError after `timeout` seconds.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        execution = await self.get(execution_id)
        if execution.has_ended:
            return execution
        stream = ExecutionStream(
            self._transport, execution_id, None, deadline=deadline, patience=_SECONDS_WITHOUT_SOCKET
        )
        try:
            async with stream:
                async for _ in stream:
                    pass
        except ConnectionFailedError:
            return await self._poll(execution_id, deadline)
        return await self.get(execution_id)

    async def _poll(self, execution_id: str, deadline: float | None) -> models.Execution:
        wait = _FIRST_POLL_SECONDS
        while True:
            execution = await self.get(execution_id)
            if execution.has_ended:
                return execution
            left = wait if deadline is None else min(wait, deadline - time.monotonic())
            if left <= 0:
                raise WaitTimeoutError(f"Execution {execution_id} has not ended in time; it goes on")
            await sleep(left)
            wait = min(wait * 1.5, _LONGEST_POLL_SECONDS)
