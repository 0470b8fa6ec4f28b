"""The platform itself."""

from __future__ import annotations

from collections.abc import AsyncIterator

from typing_extensions import Unpack

from apg_workflow import bodies, models
from apg_workflow._async.resource import Resource
from apg_workflow.calls import get, one, operation, page_of, path


class System(Resource):
    """The platform itself."""

    @operation("check_health")
    async def health(self) -> models.Health:
        """How it is, also where it is unhealthy."""
        return await self._send(get(path("health"), one(models.Health)))

    @operation("get_statistics")
    async def statistics(self) -> models.Statistics:
        """Numbers of workflows, executions and the machine."""
        return await self._send(get(path("stats"), one(models.Statistics)))


class Audit(Resource):
    """What was changed by whom; for staff."""

    @operation("list_audit_entries")
    async def list(
        self, *, limit: int | None = None, offset: int | None = None, **filters: Unpack[bodies.AuditFilters]
    ) -> models.Page[models.AuditEntry]:
        """The entries, the newest first."""
        return await self._send(get(path("audit"), page_of(models.AuditEntry), limit=limit, offset=offset, **filters))

    def iterate(
        self, *, page_size: int = 100, **filters: Unpack[bodies.AuditFilters]
    ) -> AsyncIterator[models.AuditEntry]:
        """All of `list`, page after page."""
        return self._walk(
            lambda limit, offset: get(path("audit"), page_of(models.AuditEntry), limit=limit, offset=offset, **filters),
            page_size,
        )
