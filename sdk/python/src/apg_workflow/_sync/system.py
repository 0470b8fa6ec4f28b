"""The platform itself."""

from __future__ import annotations

from collections.abc import Iterator

from typing_extensions import Unpack

from apg_workflow import bodies, models
from apg_workflow._sync.resource import Resource
from apg_workflow.calls import get, one, operation, page_of, path


class System(Resource):
    """The platform itself."""

    @operation("check_health")
    def health(self) -> models.Health:
        """How it is, also where it is unhealthy."""
        return self._send(get(path("health"), one(models.Health)))

    @operation("get_statistics")
    def statistics(self) -> models.Statistics:
        """Numbers of workflows, executions and the machine."""
        return self._send(get(path("stats"), one(models.Statistics)))


class Audit(Resource):
    """What was changed by whom; for staff."""

    @operation("list_audit_entries")
    def list(
        self, *, limit: int | None = None, offset: int | None = None, **filters: Unpack[bodies.AuditFilters]
    ) -> models.Page[models.AuditEntry]:
        """The entries, the newest first."""
        return self._send(get(path("audit"), page_of(models.AuditEntry), limit=limit, offset=offset, **filters))

    def iterate(self, *, page_size: int = 100, **filters: Unpack[bodies.AuditFilters]) -> Iterator[models.AuditEntry]:
        """All of `list`, page after page."""
        return self._walk(
            lambda limit, offset: get(path("audit"), page_of(models.AuditEntry), limit=limit, offset=offset, **filters),
            page_size,
        )
