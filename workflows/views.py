"""REST: workflows, shares, validation, and the component catalogue."""

import re

from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import caller
from accounts.scopes import Scope
from accounts.vault import SealBrokenError
from core.describing import IF_MATCH, Answers, PageOf, boolean_parameter
from core.envelope import reply
from core.errors import BadRequestError, NotFoundError, Problem
from core.pagination import paginate
from core.query import boolean
from core.types import JSONObject
from core.views import View, has_body
from workflows import access, checking, hook_tokens, queries, services, sharing
from workflows.components import registry
from workflows.filters import WORKFLOW_FILTERS, filter_workflows
from workflows.models import Trigger, Workflow, WorkflowStatus
from workflows.queries import Statistics
from workflows.schedules import live_of
from workflows.serializers import (
    ShareSerializer,
    UpdateWorkflowSerializer,
    ValidateSerializer,
    WorkflowSerializer,
    component_data,
    detail,
    list_item,
    report_data,
    share_data,
    trigger_data,
)
from workflows.shapes import (
    COMPONENT,
    CREATED_WORKFLOW,
    EXAMPLE_CREATE,
    SHARE,
    VALIDATION,
    WORKFLOW,
    WORKFLOW_ITEM,
)

_PARTS = (
    boolean_parameter("include_definition", "With the definition", default=True),
    boolean_parameter("include_stats", "With the numbers of its executions", default=False),
)
_FORCE = boolean_parameter("force", "Cancel its running executions, then delete all", default=False)
_IF_MATCH = re.compile(r'(?:W/)?"(\d{1,9})"', re.ASCII)


class WorkflowListView(View):
    """`GET workflows`, `POST workflows`."""

    scopes = {"GET": Scope.WORKFLOW_READ, "POST": Scope.WORKFLOW_WRITE}

    @Answers(PageOf(WORKFLOW_ITEM), parameters=WORKFLOW_FILTERS)
    def get(self, request: Request) -> Response:
        """List workflows."""
        query = request.query_params
        page = paginate(filter_workflows(access.visible_to(caller(request)), query), query)
        numbers = queries.statistics(page.items)
        items = [list_item(workflow, numbers.get(workflow.pk, Statistics())) for workflow in page.items]
        return reply(items, metadata=page.metadata)

    @Answers(CREATED_WORKFLOW, 201, body=WorkflowSerializer, example=EXAMPLE_CREATE, errors=[409])
    def post(self, request: Request) -> Response:
        """Create a workflow."""
        body = WorkflowSerializer(data=request.data).validated()
        workflow = services.create_workflow(user=caller(request).user, **body)
        return created(workflow, "Workflow created successfully")


def created(workflow: Workflow, message: str) -> Response:
    """What making a workflow answers."""
    data = {
        "id": workflow.pk,
        "name": workflow.name,
        "status": workflow.status,
        "version": workflow.version,
        "created_at": workflow.created_at,
    }
    return reply(data, message=message, status=201)


class WorkflowView(View):
    """`GET`, `PUT`, `PATCH`, `DELETE workflows/{id}`."""

    scopes = {
        "GET": Scope.WORKFLOW_READ,
        "PUT": Scope.WORKFLOW_WRITE,
        "PATCH": Scope.WORKFLOW_WRITE,
        "DELETE": Scope.WORKFLOW_DELETE,
    }

    @Answers(WORKFLOW, parameters=_PARTS, etag=True)
    def get(self, request: Request, workflow_id: str) -> Response:
        """Get a workflow."""
        workflow = access.get_visible(caller(request), workflow_id)
        query = request.query_params
        with_definition = boolean(query, "include_definition", default=True)
        with_statistics = boolean(query, "include_stats", default=False)
        permissions = access.permissions(caller(request), workflow)
        data = detail(
            workflow,
            permissions,
            triggers=shown_triggers(request, workflow, permissions),
            definition=queries.current_definition(workflow) if with_definition else None,
            statistics=queries.statistics([workflow]).get(workflow.pk, Statistics()) if with_statistics else None,
        )
        return reply(data, headers={"ETag": f'"{workflow.version}"'})

    @Answers(WORKFLOW, body=UpdateWorkflowSerializer, parameters=[IF_MATCH], etag=True, errors=[409])
    def put(self, request: Request, workflow_id: str) -> Response:
        """Replace a workflow."""
        return self._update(request, workflow_id, partial=False)

    @Answers(WORKFLOW, body=UpdateWorkflowSerializer, partial=True, parameters=[IF_MATCH], etag=True, errors=[409])
    def patch(self, request: Request, workflow_id: str) -> Response:
        """Update a workflow.

        Fields that are left out stay as they are.
        """
        return self._update(request, workflow_id, partial=True)

    @Answers(None, parameters=[_FORCE], errors=[409])
    def delete(self, request: Request, workflow_id: str) -> Response:
        """Delete a workflow.

        Its executions go with it. Where they are very many, the workflow is gone at once, and what is left of its
        executions can be seen until all are deleted.
        """
        workflow = access.get_visible(caller(request), workflow_id)
        access.require(caller(request), access.Action.DELETE, workflow)
        services.delete_workflow(workflow=workflow, force=boolean(request.query_params, "force", default=False))
        return reply(message="Workflow deleted successfully")

    def _update(self, request: Request, workflow_id: str, *, partial: bool) -> Response:
        workflow = access.get_visible(caller(request), workflow_id)
        access.require(caller(request), access.Action.EDIT, workflow)
        changes = UpdateWorkflowSerializer(data=request.data, partial=partial).validated()
        expected = expected_version(request, changes.pop("expected_version", None))
        updated = services.update_workflow(
            workflow=workflow,
            user=caller(request).user,
            changes=changes,
            expected_version=expected,
        )
        return changed(request, updated, "Workflow updated successfully")


def changed(request: Request, workflow: Workflow, message: str, status: int = 200) -> Response:
    """What a change of a workflow answers: the workflow as it is now."""
    # Who may write is not told by that what stands there.
    reads = caller(request).allows(Scope.WORKFLOW_READ)
    permissions = access.permissions(caller(request), workflow)
    data = detail(
        workflow,
        permissions,
        triggers=shown_triggers(request, workflow, permissions) if reads else [],
        definition=queries.current_definition(workflow) if reads else None,
    )
    return reply(data, message=message, status=status, headers={"ETag": f'"{workflow.version}"'})


def shown_triggers(request: Request, workflow: Workflow, permissions: JSONObject) -> list[JSONObject]:
    """What starts the workflow by itself; a hook's address for those who may edit it, and with a scope for that."""
    if workflow.status != WorkflowStatus.ACTIVE:
        return []
    may_edit = permissions["can_edit"] and caller(request).allows(Scope.WORKFLOW_WRITE)
    return [trigger_data(trigger, hook_url(request, trigger) if may_edit else None) for trigger in live_of(workflow)]


def hook_url(request: Request, trigger: Trigger) -> str | None:
    """Where the world calls a hook; None for other triggers, and where the token does not open any more."""
    if trigger.sealed_token is None:
        return None
    try:
        token = hook_tokens.reveal(trigger)
    except SealBrokenError:
        # The hook itself is found by its digest and goes on; rotating it makes a token that can be shown.
        return None
    return request.build_absolute_uri(f"/api/v1/hooks/{token}")


def expected_version(request: Request, in_body: int | None) -> int | None:
    """The version that `If-Match` or the body names; `*` names none. Raises BadRequestError."""
    header = request.headers.get("If-Match", "*").strip()
    if header == "*":
        return in_body
    match = _IF_MATCH.fullmatch(header)
    if match is None:
        raise _bad_if_match('a version in quotes, as in "3"', header)
    version = int(match[1])
    if in_body not in {None, version}:
        raise _bad_if_match("the expected_version of the body", header)
    return version


def _bad_if_match(expected: str, received: str) -> BadRequestError:
    details = {"expected": expected, "received": received[:200]}
    return BadRequestError(
        "Invalid If-Match", problems=[Problem(f"If-Match must be {expected}", field="If-Match", details=details)]
    )


class ShareListView(View):
    """`GET`, `POST workflows/{id}/shares`: for who may share the workflow."""

    scopes = {"GET": Scope.WORKFLOW_SHARE, "POST": Scope.WORKFLOW_SHARE}

    @Answers(PageOf(SHARE))
    def get(self, request: Request, workflow_id: str) -> Response:
        """List workflow shares."""
        page = paginate(sharing.shares_of(_to_share(request, workflow_id)), request.query_params)
        return reply([share_data(share) for share in page.items], metadata=page.metadata)

    @Answers(SHARE, 201, body=ShareSerializer, errors=[409])
    def post(self, request: Request, workflow_id: str) -> Response:
        """Share a workflow."""
        workflow = _to_share(request, workflow_id)
        body = ShareSerializer(data=request.data).validated()
        share = sharing.share_workflow(workflow=workflow, by=caller(request).user, **body)
        return reply(share_data(share), message="Workflow shared", status=201)


class ShareView(View):
    """`DELETE workflows/{id}/shares/{share_id}`."""

    scopes = {"DELETE": Scope.WORKFLOW_SHARE}

    @Answers(None)
    def delete(self, request: Request, workflow_id: str, share_id: str) -> Response:
        """Stop sharing a workflow."""
        sharing.stop_sharing(workflow=_to_share(request, workflow_id), share_id=share_id)
        return reply(message="Workflow is not shared with them any more")


def _to_share(request: Request, workflow_id: str) -> Workflow:
    workflow = access.get_visible(caller(request), workflow_id)
    access.require(caller(request), access.Action.SHARE, workflow)
    return workflow


class ValidateStoredView(View):
    """`POST workflows/{id}/validate`: the stored definition, or the one in the body."""

    optional_body = True
    scopes = {"POST": Scope.WORKFLOW_READ}

    @Answers(VALIDATION, body=ValidateSerializer, partial=True)
    def post(self, request: Request, workflow_id: str) -> Response:
        """Validate a workflow.

        The stored definition, or the one in the body.
        """
        workflow = access.get_visible(caller(request), workflow_id)
        body = ValidateSerializer(data=request.data, partial=True).validated() if has_body(request) else {}
        if "definition" not in body:
            return reply(report_data(checking.judge_stored(workflow)))
        may_edit = access.may(caller(request), access.Action.EDIT, workflow)
        return reply(report_data(checking.judge(body["definition"], workflow=workflow if may_edit else None)))


class ValidateView(View):
    """`POST workflows/validate`: a definition without a workflow."""

    scopes = {"POST": Scope.WORKFLOW_READ}

    @Answers(VALIDATION, body=ValidateSerializer)
    def post(self, request: Request) -> Response:
        """Validate a definition."""
        body = ValidateSerializer(data=request.data).validated()
        return reply(report_data(checking.judge(body["definition"])))


class ComponentListView(View):
    """`GET components`."""

    scopes = {"GET": Scope.WORKFLOW_READ}

    @Answers(PageOf(COMPONENT))
    def get(self, request: Request) -> Response:
        """List available components."""
        page = paginate(registry.all_types(), request.query_params)
        return reply([component_data(component) for component in page.items], metadata=page.metadata)


class ComponentSchemaView(View):
    """`GET components/{type}/schema`."""

    scopes = {"GET": Scope.WORKFLOW_READ}

    @Answers(COMPONENT)
    def get(self, request: Request, component_type: str) -> Response:
        """Get component schema."""
        component = registry.get(component_type)
        if component is None:
            raise NotFoundError("Component type not found")
        return reply(component_data(component))
