"""What starts workflows by itself: schedules, and hooks that others call."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Any, Literal

from typing_extensions import Unpack

from apg_workflow import bodies, models
from apg_workflow._async.resource import Resource
from apg_workflow.calls import Call, get, given, one, operation, page_of, path, post, query, written
from apg_workflow.webhooks import signature_of


class Schedules(Resource):
    """Schedules, which come with the definitions of workflows."""

    @operation("list_schedules")
    async def list(
        self, *, limit: int | None = None, offset: int | None = None, **filters: Unpack[bodies.ScheduleFilters]
    ) -> models.Page[models.Schedule]:
        """The schedules that the caller sees."""
        return await self._send(get(path("schedules"), page_of(models.Schedule), limit=limit, offset=offset, **filters))

    def iterate(
        self, *, page_size: int = 100, **filters: Unpack[bodies.ScheduleFilters]
    ) -> AsyncIterator[models.Schedule]:
        """All of `list`, page after page."""
        return self._walk(
            lambda limit, offset: get(
                path("schedules"), page_of(models.Schedule), limit=limit, offset=offset, **filters
            ),
            page_size,
        )

    @operation("get_schedule")
    async def get(self, schedule_id: str) -> models.Schedule:
        """Raises NotFoundError."""
        return await self._send(get(path("schedules", schedule_id), one(models.Schedule)))

    @operation("pause_schedule")
    async def pause(self, schedule_id: str) -> models.Schedule:
        """It starts nothing until it is resumed."""
        return await self._send(post(path("schedules", schedule_id, "pause"), one(models.Schedule)))

    @operation("resume_schedule")
    async def resume(self, schedule_id: str) -> models.Schedule:
        """It starts again from its next time on."""
        return await self._send(post(path("schedules", schedule_id, "resume"), one(models.Schedule)))

    @operation("run_schedule_now")
    async def run(self, schedule_id: str) -> models.AcceptedExecution:
        """Start it now, beside its times."""
        return await self._send(post(path("schedules", schedule_id, "run"), one(models.AcceptedExecution)))

    @operation("preview_schedule")
    async def preview(self, schedule_id: str, *, count: int | None = None) -> models.SchedulePreview:
        """Its next times."""
        return await self._send(
            get(path("schedules", schedule_id, "preview"), one(models.SchedulePreview), count=count)
        )

    @operation("backfill_schedule")
    async def backfill(
        self,
        schedule_id: str,
        *,
        start: datetime | str,
        end: datetime | str,
        overlap: Literal["queue", "allow"] | None = None,
    ) -> models.ScheduleBackfill:
        """Start the times from `start` to `end` that were not started then."""
        body = {"from": written(start), "to": written(end), **given(overlap=overlap)}
        return await self._send(post(path("schedules", schedule_id, "backfill"), one(models.ScheduleBackfill), body))

    @operation("list_schedule_events")
    async def list_events(
        self,
        schedule_id: str,
        *,
        limit: int | None = None,
        offset: int | None = None,
        **filters: Unpack[bodies.EventFilters],
    ) -> models.Page[models.TriggerEvent]:
        """The starts that it left out, and why."""
        return await self._send(
            get(
                path("schedules", schedule_id, "events"),
                page_of(models.TriggerEvent),
                limit=limit,
                offset=offset,
                **filters,
            )
        )

    def iterate_events(
        self, schedule_id: str, *, page_size: int = 100, **filters: Unpack[bodies.EventFilters]
    ) -> AsyncIterator[models.TriggerEvent]:
        """All of `list_events`, page after page."""
        return self._walk(
            lambda limit, offset: get(
                path("schedules", schedule_id, "events"),
                page_of(models.TriggerEvent),
                limit=limit,
                offset=offset,
                **filters,
            ),
            page_size,
        )


class Hooks(Resource):
    """Addresses that start a workflow; `token` is the last part of one, and all the credential there is."""

    @operation("start_workflow")
    async def start(
        self,
        token: str,
        payload: Any = None,
        *,
        wait: int | None = None,
        secret: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> models.AcceptedExecution:
        """Start the workflow with any JSON; a `HookResult` if it has ended within `wait` seconds, up to 60.

        `secret` signs the request for a hook with an `hmac_secret`; `headers` are for hooks that want others.
        """
        text = json.dumps(payload, ensure_ascii=False)
        signed = {} if secret is None else {"X-Webhook-Signature": signature_of(text, secret)}
        call = Call(
            "POST",
            path("hooks", token),
            _hook_answer,
            params=query({"wait": wait}),
            text=text,
            headers={"Content-Type": "application/json", **signed, **(headers or {})},
            anonymous=True,
            patience=wait or 0,
        )
        return await self._send(call)

    @operation("start_workflow_with_get")
    async def start_with_get(self, token: str, *, wait: int | None = None) -> models.AcceptedExecution:
        """The same for a hook that takes GET. It is sent once: it starts something all the same."""
        call = Call(
            "GET",
            path("hooks", token),
            _hook_answer,
            params=query({"wait": wait}),
            anonymous=True,
            patience=wait or 0,
        )
        return await self._send(call)


def _hook_answer(envelope: dict[str, Any]) -> models.AcceptedExecution:
    ended = "results" in envelope["data"]
    return (models.HookResult if ended else models.AcceptedExecution).model_validate(envelope["data"])
