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
from core.envelope import reply
from core.pagination import paginate
from core.parsers import YAML_PARSERS, StrictJSONParser
from core.query import choice
from core.views import View
from workflows import access, copies, queries, services
from workflows.models import Workflow, WorkflowStatus
from workflows.serializers import DuplicateSerializer, ImportSerializer, StatusSerializer, version_data
from workflows.views import changed, created, expected_version


class _StatusView(View):
    """`POST workflows/{id}/…`: sets one status, as `status` in a PATCH does."""

    optional_body = True
    scopes = {"POST": Scope.WORKFLOW_WRITE}
    status: ClassVar[WorkflowStatus]
    message: ClassVar[str]

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

    status = WorkflowStatus.ACTIVE
    message = "Workflow activated"


class DeactivateView(_StatusView):
    """`POST workflows/{id}/deactivate`."""

    status = WorkflowStatus.INACTIVE
    message = "Workflow deactivated"


class ArchiveView(_StatusView):
    """`POST workflows/{id}/archive`."""

    status = WorkflowStatus.ARCHIVED
    message = "Workflow archived"


class VersionListView(View):
    """`GET workflows/{id}/versions`."""

    scopes = {"GET": Scope.WORKFLOW_READ}

    def get(self, request: Request, workflow_id: str) -> Response:
        workflow = access.get_visible(caller(request), workflow_id)
        page = paginate(queries.versions_of(workflow), request.query_params)
        items = [version_data(version, workflow, with_definition=False) for version in page.items]
        return reply(items, metadata=page.metadata)


class VersionView(View):
    """`GET workflows/{id}/versions/{n}`."""

    scopes = {"GET": Scope.WORKFLOW_READ}

    def get(self, request: Request, workflow_id: str, number: int) -> Response:
        workflow = access.get_visible(caller(request), workflow_id)
        version = queries.version_numbered(workflow, number)
        return reply(version_data(version, workflow, with_definition=True))


class RestoreView(View):
    """`POST workflows/{id}/versions/{n}/restore`."""

    optional_body = True
    scopes = {"POST": Scope.WORKFLOW_WRITE}

    def post(self, request: Request, workflow_id: str, number: int) -> Response:
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

    def post(self, request: Request, workflow_id: str) -> Response:
        workflow = access.get_visible(caller(request), workflow_id)
        body = DuplicateSerializer(data=request.data).validated()
        may_edit = access.may(caller(request), access.Action.EDIT, workflow)
        made = copies.duplicate_workflow(workflow=workflow, user=caller(request).user, may_edit=may_edit, **body)
        return created(made, "Workflow duplicated")


class ExportView(View):
    """`GET workflows/{id}/export`: a document that import takes; `format=yaml` as a file of its own."""

    scopes = {"GET": Scope.WORKFLOW_READ}

    def get(self, request: Request, workflow_id: str) -> HttpResponseBase:
        workflow = access.get_visible(caller(request), workflow_id)
        document = copies.export_document(workflow)
        if choice(request.query_params, "format", ("json", "yaml")) != "yaml":
            return reply(document)
        name = f"{slugify(workflow.name)[:80] or workflow.pk}.yaml"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return HttpResponse(yaml_text.dumps(document), content_type="application/yaml", headers=headers)


class ImportView(View):
    """`POST workflows/import`: what export gives, as JSON or as YAML; a draft of the caller's own."""

    parser_classes = (StrictJSONParser, *YAML_PARSERS)
    scopes = {"POST": Scope.WORKFLOW_WRITE}

    def post(self, request: Request) -> Response:
        body = ImportSerializer(data=request.data).validated()
        body.pop("format", None)
        workflow = services.create_workflow(user=caller(request).user, **body)
        return created(workflow, "Workflow imported")


def _to_edit(request: Request, workflow_id: str) -> Workflow:
    workflow = access.get_visible(caller(request), workflow_id)
    access.require(caller(request), access.Action.EDIT, workflow)
    return workflow
