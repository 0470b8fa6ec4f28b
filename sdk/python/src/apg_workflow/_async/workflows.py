"""Workflows: their definitions, versions, shares, and executing them."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Sequence
from datetime import datetime

from typing_extensions import Unpack

from apg_workflow import bodies, models
from apg_workflow._async.resource import Resource
from apg_workflow.calls import Call, Repeat, get, given, nothing, one, operation, page_of, path, post, query, written


class Workflows(Resource):
    """Workflows. `definition` is what `apg_workflow.WorkflowBuilder` makes, or a plain dict."""

    @operation("list_workflows")
    async def list(
        self, *, limit: int | None = None, offset: int | None = None, **filters: Unpack[bodies.WorkflowFilters]
    ) -> models.Page[models.WorkflowSummary]:
        """The workflows that the caller sees."""
        return await self._send(
            get(path("workflows"), page_of(models.WorkflowSummary), limit=limit, offset=offset, **filters)
        )

    def iterate(
        self, *, page_size: int = 100, **filters: Unpack[bodies.WorkflowFilters]
    ) -> AsyncIterator[models.WorkflowSummary]:
        """All of `list`, page after page."""
        return self._walk(
            lambda limit, offset: get(
                path("workflows"), page_of(models.WorkflowSummary), limit=limit, offset=offset, **filters
            ),
            page_size,
        )

    @operation("create_workflow")
    async def create(self, body: bodies.WorkflowBody) -> models.CreatedWorkflow:
        """Raises ValidationError naming the fields, ConflictError for a name that is taken."""
        return await self._send(post(path("workflows"), one(models.CreatedWorkflow), body))

    @operation("get_workflow")
    async def get(
        self, workflow_id: str, *, include_definition: bool | None = None, include_stats: bool | None = None
    ) -> models.Workflow:
        """Raises NotFoundError."""
        return await self._send(
            get(
                path("workflows", workflow_id),
                one(models.Workflow),
                include_definition=include_definition,
                include_stats=include_stats,
            )
        )

    @operation("replace_workflow")
    async def replace(self, workflow_id: str, body: bodies.ReplaceWorkflowBody) -> models.Workflow:
        """Set all fields; those left out get their defaults. Raises ConflictError for an old version."""
        return await self._send(Call("PUT", path("workflows", workflow_id), one(models.Workflow), body=body))

    @operation("update_workflow")
    async def update(self, workflow_id: str, changes: bodies.WorkflowChanges) -> models.Workflow:
        """Change the fields given. Raises ConflictError for an old version."""
        return await self._send(Call("PATCH", path("workflows", workflow_id), one(models.Workflow), body=changes))

    @operation("delete_workflow")
    async def delete(self, workflow_id: str, *, force: bool = False) -> None:
        """Raises ConflictError while executions have not ended; `force` cancels them first."""
        await self._send(
            Call("DELETE", path("workflows", workflow_id), nothing, params=query({"force": force or None}))
        )

    @operation("activate_workflow")
    async def activate(self, workflow_id: str, *, expected_version: int | None = None) -> models.Workflow:
        """Let it be executed and triggered. Raises WorkflowInvalidError."""
        return await self._send(
            post(
                path("workflows", workflow_id, "activate"),
                one(models.Workflow),
                given(expected_version=expected_version),
            )
        )

    @operation("deactivate_workflow")
    async def deactivate(self, workflow_id: str, *, expected_version: int | None = None) -> models.Workflow:
        """Let it be executed no more."""
        return await self._send(
            post(
                path("workflows", workflow_id, "deactivate"),
                one(models.Workflow),
                given(expected_version=expected_version),
            )
        )

    @operation("archive_workflow")
    async def archive(self, workflow_id: str, *, expected_version: int | None = None) -> models.Workflow:
        """Put it away."""
        return await self._send(
            post(
                path("workflows", workflow_id, "archive"),
                one(models.Workflow),
                given(expected_version=expected_version),
            )
        )

    @operation("duplicate_workflow")
    async def duplicate(
        self, workflow_id: str, *, name: str | None = None, description: str | None = None
    ) -> models.CreatedWorkflow:
        """A copy, as a draft."""
        return await self._send(
            post(
                path("workflows", workflow_id, "duplicate"),
                one(models.CreatedWorkflow),
                given(name=name, description=description),
            )
        )

    @operation("execute_workflow")
    async def execute(
        self,
        workflow_id: str,
        *,
        parameters: bodies.JSON | None = None,
        priority: int | None = None,
        scheduled_at: datetime | str | None = None,
        tags: Sequence[str] | None = None,
        idempotency_key: str | None = None,
    ) -> models.StartedExecution:
        """Start an execution; there is one however often the request has to be sent.

        That is what `idempotency_key` is for, which is made up where none is given: give your own to start no second
        execution after a crash of your program either. The server remembers keys for 24 hours.
        """
        body = given(
            parameters=parameters,
            priority=priority,
            scheduled_at=written(scheduled_at),
            tags=None if tags is None else list(tags),
        )
        call = post(
            path("workflows", workflow_id, "execute"),
            one(models.StartedExecution),
            body,
            headers={"Idempotency-Key": idempotency_key or str(uuid.uuid4())},
            repeat=Repeat.SAFE,
        )
        return await self._send(call)

    @operation("validate_workflow")
    async def validate(self, workflow_id: str, definition: bodies.Definition | None = None) -> models.ValidationReport:
        """Judge the stored definition, or another one in its place."""
        return await self._send(
            post(
                path("workflows", workflow_id, "validate"),
                one(models.ValidationReport),
                given(definition=definition),
                repeat=Repeat.SAFE,
            )
        )

    @operation("validate_definition")
    async def validate_definition(self, definition: bodies.Definition) -> models.ValidationReport:
        """Judge a definition; nothing is stored."""
        return await self._send(
            post(
                path("workflows", "validate"),
                one(models.ValidationReport),
                {"definition": definition},
                repeat=Repeat.SAFE,
            )
        )

    @operation("export_workflow")
    async def export(self, workflow_id: str) -> models.WorkflowExport:
        """The workflow as a file holds it, which `import_` takes."""
        return await self._send(get(path("workflows", workflow_id, "export"), one(models.WorkflowExport)))

    @operation("import_workflow")
    async def import_(self, document: bodies.JSON | str) -> models.CreatedWorkflow:
        """A new workflow of what `export` gave; text is read as YAML. Raises as `create`."""
        address, read = path("workflows", "import"), one(models.CreatedWorkflow)
        if isinstance(document, str):
            call = Call("POST", address, read, text=document, headers={"Content-Type": "application/yaml"})
        else:
            call = post(address, read, document)
        return await self._send(call)

    @operation("list_workflow_shares")
    async def list_shares(
        self, workflow_id: str, *, limit: int | None = None, offset: int | None = None
    ) -> models.Page[models.Share]:
        """Who else may use it."""
        return await self._send(
            get(path("workflows", workflow_id, "shares"), page_of(models.Share), limit=limit, offset=offset)
        )

    def iterate_shares(self, workflow_id: str, *, page_size: int = 100) -> AsyncIterator[models.Share]:
        """All of `list_shares`, page after page."""
        return self._walk(
            lambda limit, offset: get(
                path("workflows", workflow_id, "shares"), page_of(models.Share), limit=limit, offset=offset
            ),
            page_size,
        )

    @operation("share_workflow")
    async def share(self, workflow_id: str, body: bodies.ShareBody) -> models.Share:
        """Let a user or a group use it."""
        return await self._send(post(path("workflows", workflow_id, "shares"), one(models.Share), body))

    @operation("stop_sharing_workflow")
    async def stop_sharing(self, workflow_id: str, share_id: str) -> None:
        """Take a share back."""
        await self._send(Call("DELETE", path("workflows", workflow_id, "shares", share_id), nothing))

    @operation("list_workflow_versions")
    async def list_versions(
        self, workflow_id: str, *, limit: int | None = None, offset: int | None = None
    ) -> models.Page[models.WorkflowVersionSummary]:
        """The versions of its definition, the newest first."""
        return await self._send(
            get(
                path("workflows", workflow_id, "versions"),
                page_of(models.WorkflowVersionSummary),
                limit=limit,
                offset=offset,
            )
        )

    def iterate_versions(
        self, workflow_id: str, *, page_size: int = 100
    ) -> AsyncIterator[models.WorkflowVersionSummary]:
        """All of `list_versions`, page after page."""
        return self._walk(
            lambda limit, offset: get(
                path("workflows", workflow_id, "versions"),
                page_of(models.WorkflowVersionSummary),
                limit=limit,
                offset=offset,
            ),
            page_size,
        )

    @operation("get_workflow_version")
    async def get_version(self, workflow_id: str, number: int) -> models.WorkflowVersion:
        """One version with its definition."""
        return await self._send(get(path("workflows", workflow_id, "versions", number), one(models.WorkflowVersion)))

    @operation("restore_workflow_version")
    async def restore_version(
        self, workflow_id: str, number: int, *, expected_version: int | None = None
    ) -> models.Workflow:
        """Make an old definition the newest version."""
        return await self._send(
            post(
                path("workflows", workflow_id, "versions", number, "restore"),
                one(models.Workflow),
                given(expected_version=expected_version),
            )
        )

    @operation("give_hook_new_address")
    async def rotate_hook(self, workflow_id: str, component_id: str) -> models.WorkflowTrigger:
        """Another address for a hook of the workflow's; the old one is nobody's from now on."""
        address = path("workflows", workflow_id, "triggers", component_id, "rotate")
        return await self._send(post(address, one(models.WorkflowTrigger)))

    @operation("list_trigger_events")
    async def list_trigger_events(
        self,
        workflow_id: str,
        component_id: str,
        *,
        limit: int | None = None,
        offset: int | None = None,
        **filters: Unpack[bodies.EventFilters],
    ) -> models.Page[models.TriggerEvent]:
        """What a trigger of the workflow's did not start, and why."""
        address = path("workflows", workflow_id, "triggers", component_id, "events")
        return await self._send(get(address, page_of(models.TriggerEvent), limit=limit, offset=offset, **filters))

    def iterate_trigger_events(
        self, workflow_id: str, component_id: str, *, page_size: int = 100, **filters: Unpack[bodies.EventFilters]
    ) -> AsyncIterator[models.TriggerEvent]:
        """All of `list_trigger_events`, page after page."""
        address = path("workflows", workflow_id, "triggers", component_id, "events")
        return self._walk(
            lambda limit, offset: get(address, page_of(models.TriggerEvent), limit=limit, offset=offset, **filters),
            page_size,
        )

    @operation("run_bulk_operations")
    async def run_bulk_operations(
        self, operations: Sequence[bodies.Operation], *, atomic: bool = False
    ) -> models.BulkResults:
        """Up to 100 operations, each with its own end; with `atomic` all or none."""
        return await self._send(
            post(
                path("workflows", "bulk"), one(models.BulkResults), {"operations": list(operations), "atomic": atomic}
            ),
            version=2,
        )

    @operation("execute_batch")
    async def execute_batch(
        self, executions: Sequence[bodies.BatchItem], *, atomic: bool = False
    ) -> models.BatchResults:
        """Start up to 100 executions, each with its own end; with `atomic` all or none. Takes no key."""
        return await self._send(
            post(
                path("workflows", "execute-batch"),
                one(models.BatchResults),
                {"executions": list(executions), "atomic": atomic},
            ),
            version=2,
        )
