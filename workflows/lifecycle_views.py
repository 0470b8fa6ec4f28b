"""REST: turn workflows on and off, copy them, carry them elsewhere, and look at their versions."""

from typing import ClassVar

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.utils.text import slugify
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import caller
from accounts.scopes import Scope
from core import yaml_text
from core.describing import IF_MATCH, Answers, PageOf, choice_parameter
from core.envelope import reply
from core.pagination import paginate
from core.parsers import YAML_PARSERS, StrictJSONParser
from core.query import choice
from core.views import View
from workflows import access, activation, copies, queries, services
from workflows.models import Workflow, WorkflowStatus
from workflows.serializers import (
    DuplicateSerializer,
    ImportSerializer,
    RotateSerializer,
    StatusSerializer,
    trigger_data,
    version_data,
)
from workflows.shapes import CREATED_WORKFLOW, EXPORT, TRIGGER, VERSION, VERSION_ITEM, WORKFLOW
from workflows.views import changed, created, expected_version, hook_url

_FORMATS = ("json", "yaml")
_FORMAT = choice_parameter("format", _FORMATS, "The envelope as JSON, or the document as a YAML file", default="json")


class _StatusView(View):
    """`POST workflows/{id}/…`: sets one status, as `status` in a PATCH does."""

    optional_body = True
    scopes = {"POST": Scope.WORKFLOW_WRITE}
    summary: ClassVar[str]
    status: ClassVar[WorkflowStatus]
    message: ClassVar[str]

    @Answers(WORKFLOW, body=StatusSerializer, parameters=[IF_MATCH], etag=True, errors=[409])
    def post(self, request: Request, workflow_id: str) -> Response:
        workflow = _to_edit(request, workflow_id)
        body = StatusSerializer(data=request.data).validated()
        updated = services.update_workflow(
            workflow=workflow,
            user=caller(request).user,
            changes={"status": self.status},
            expected_version=expected_version(request, body.get("expected_version")),
        )
        return changed(request, updated, self.message)


class ActivateView(_StatusView):
    """`POST workflows/{id}/activate`."""

    summary = "Activate a workflow"
    status = WorkflowStatus.ACTIVE
    message = "Workflow activated"


class DeactivateView(_StatusView):
    """`POST workflows/{id}/deactivate`."""

    summary = "Deactivate a workflow"
    status = WorkflowStatus.INACTIVE
    message = "Workflow deactivated"


class ArchiveView(_StatusView):
    """`POST workflows/{id}/archive`."""

    summary = "Archive a workflow"
    status = WorkflowStatus.ARCHIVED
    message = "Workflow archived"


class VersionListView(View):
    """`GET workflows/{id}/versions`."""

    scopes = {"GET": Scope.WORKFLOW_READ}

    @Answers(PageOf(VERSION_ITEM))
    def get(self, request: Request, workflow_id: str) -> Response:
        """List workflow versions."""
        workflow = access.get_visible(caller(request), workflow_id)
        page = paginate(queries.versions_of(workflow), request.query_params)
        items = [version_data(version, workflow, with_definition=False) for version in page.items]
        return reply(items, metadata=page.metadata)


class VersionView(View):
    """`GET workflows/{id}/versions/{n}`."""

    scopes = {"GET": Scope.WORKFLOW_READ}

    @Answers(VERSION)
    def get(self, request: Request, workflow_id: str, number: int) -> Response:
        """Get a workflow version."""
        workflow = access.get_visible(caller(request), workflow_id)
        version = queries.version_numbered(workflow, number)
        return reply(version_data(version, workflow, with_definition=True))


class RestoreView(View):
    """`POST workflows/{id}/versions/{n}/restore`."""

    optional_body = True
    scopes = {"POST": Scope.WORKFLOW_WRITE}

    @Answers(WORKFLOW, body=StatusSerializer, parameters=[IF_MATCH], etag=True, errors=[409])
    def post(self, request: Request, workflow_id: str, number: int) -> Response:
        """Restore a workflow version.

        Its definition becomes a new version.
        """
        workflow = _to_edit(request, workflow_id)
        version = queries.version_numbered(workflow, number)
        body = StatusSerializer(data=request.data).validated()
        restored = copies.restore_version(
            workflow=workflow,
            version=version,
            user=caller(request).user,
            expected_version=expected_version(request, body.get("expected_version")),
        )
        return changed(request, restored, f"Version {number} restored")


class DuplicateView(View):
    """`POST workflows/{id}/duplicate`: a draft of the caller's own."""

    optional_body = True
    scopes = {"POST": Scope.WORKFLOW_WRITE}

    @Answers(CREATED_WORKFLOW, 201, body=DuplicateSerializer, errors=[409])
    def post(self, request: Request, workflow_id: str) -> Response:
        """Duplicate a workflow.

        The copy is a draft of the caller's own.
        """
        workflow = access.get_visible(caller(request), workflow_id)
        body = DuplicateSerializer(data=request.data).validated()
        may_edit = access.may(caller(request), access.Action.EDIT, workflow)
        made = copies.duplicate_workflow(workflow=workflow, user=caller(request).user, may_edit=may_edit, **body)
        return created(made, "Workflow duplicated")


class ExportView(View):
    """`GET workflows/{id}/export`: a document that import takes; `format=yaml` as a file of its own."""

    scopes = {"GET": Scope.WORKFLOW_READ}

    @Answers(EXPORT, parameters=[_FORMAT], files={"application/yaml": EXPORT})
    def get(self, request: Request, workflow_id: str) -> HttpResponseBase:
        """Export a workflow."""
        workflow = access.get_visible(caller(request), workflow_id)
        document = copies.export_document(workflow)
        if choice(request.query_params, "format", _FORMATS) != "yaml":
            return reply(document)
        name = f"{slugify(workflow.name)[:80] or workflow.pk}.yaml"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return HttpResponse(yaml_text.dumps(document), content_type="application/yaml", headers=headers)


class ImportView(View):
    """`POST workflows/import`: what export gives, as JSON or as YAML; a draft of the caller's own."""

    parser_classes = (StrictJSONParser, *YAML_PARSERS)
    scopes = {"POST": Scope.WORKFLOW_WRITE}

    @Answers(CREATED_WORKFLOW, 201, body=ImportSerializer, errors=[409])
    def post(self, request: Request) -> Response:
        """Import a workflow.

        What export gives, as JSON or as YAML.
        """
        body = ImportSerializer(data=request.data).validated()
        body.pop("format", None)
        workflow = services.create_workflow(user=caller(request).user, **body)
        return created(workflow, "Workflow imported")


class RotateView(View):
    """`POST workflows/{id}/triggers/{component_id}/rotate`."""

    optional_body = True
    scopes = {"POST": Scope.WORKFLOW_WRITE}

    @Answers(TRIGGER, body=RotateSerializer)
    def post(self, request: Request, workflow_id: str, component_id: str) -> Response:
        """Give a hook a new address.

        The old one is unknown at once.
        """
        workflow = _to_edit(request, workflow_id)
        RotateSerializer(data=request.data).validated()
        trigger = activation.rotate_token(workflow=workflow, component_id=component_id)
        return reply(trigger_data(trigger, hook_url(request, trigger)), message="The hook has a new address")


def _to_edit(request: Request, workflow_id: str) -> Workflow:
    workflow = access.get_visible(caller(request), workflow_id)
    access.require(caller(request), access.Action.EDIT, workflow)
    return workflow
