"""REST: templates, workflows made of them, ratings."""

from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import caller
from accounts.callers import Caller
from accounts.permissions import require_scope
from accounts.scopes import Scope
from core.describing import Answers, PageOf
from core.envelope import reply
from core.pagination import paginate
from core.views import View
from templates_app import access, services
from templates_app.filters import TEMPLATE_FILTERS, filter_templates
from templates_app.serializers import (
    DEFINITION_FIELDS,
    CreateTemplateSerializer,
    CreateWorkflowSerializer,
    RatingSerializer,
    UpdateTemplateSerializer,
    detail,
    list_item,
    rating_data,
)
from templates_app.shapes import EXAMPLE_CREATE_WORKFLOW, RATING, TEMPLATE, TEMPLATE_ITEM
from workflows import access as workflow_access
from workflows.queries import current_definition
from workflows.shapes import CREATED_WORKFLOW
from workflows.views import created


class TemplateListView(View):
    """`GET templates`, `POST templates`."""

    scopes = {"GET": Scope.TEMPLATE_READ, "POST": Scope.TEMPLATE_WRITE}

    @Answers(PageOf(TEMPLATE_ITEM), parameters=TEMPLATE_FILTERS)
    def get(self, request: Request) -> Response:
        """List templates."""
        query = request.query_params
        templates = access.visible_to(caller(request)).select_related("created_by")
        page = paginate(filter_templates(templates.defer("definition", "documentation"), query), query)
        return reply([list_item(template) for template in page.items], metadata=page.metadata)

    @Answers(TEMPLATE, 201, body=CreateTemplateSerializer, errors=[404, 409])
    def post(self, request: Request) -> Response:
        """Create a template.

        With `workflow_id` of a workflow, for which `workflow.read` is needed too.
        """
        body = CreateTemplateSerializer(data=request.data).validated()
        template = services.create_template(user=caller(request).user, **_with_definition(body, caller(request)))
        data = detail(template, access.permissions(caller(request), template))
        return reply(data, message="Template created successfully", status=201)


class TemplateView(View):
    """`GET`, `PUT`, `PATCH`, `DELETE templates/{id}`."""

    scopes = {
        "GET": Scope.TEMPLATE_READ,
        "PUT": Scope.TEMPLATE_WRITE,
        "PATCH": Scope.TEMPLATE_WRITE,
        "DELETE": Scope.TEMPLATE_WRITE,
    }

    @Answers(TEMPLATE)
    def get(self, request: Request, template_id: str) -> Response:
        """Get a template."""
        template = access.get_visible(caller(request), template_id)
        return reply(detail(template, access.permissions(caller(request), template)))

    @Answers(TEMPLATE, body=UpdateTemplateSerializer, errors=[409])
    def put(self, request: Request, template_id: str) -> Response:
        """Replace a template."""
        return self._update(request, template_id, partial=False)

    @Answers(TEMPLATE, body=UpdateTemplateSerializer, partial=True, errors=[409])
    def patch(self, request: Request, template_id: str) -> Response:
        """Update a template."""
        return self._update(request, template_id, partial=True)

    @Answers(None)
    def delete(self, request: Request, template_id: str) -> Response:
        """Delete a template."""
        template = access.get_visible(caller(request), template_id)
        access.require(caller(request), access.Action.DELETE, template)
        services.delete_template(template=template)
        return reply(message="Template deleted successfully")

    def _update(self, request: Request, template_id: str, *, partial: bool) -> Response:
        template = access.get_visible(caller(request), template_id)
        body = UpdateTemplateSerializer(data=request.data, partial=partial).validated()
        if "published" in body:
            access.require(caller(request), access.Action.PUBLISH, template)
        if body.keys() != {"published"}:
            access.require(caller(request), access.Action.EDIT, template)
        changes = _with_definition(body, caller(request))
        field = changes.pop("definition_field", services.DEFINITION_FIELD)
        if not partial:
            # A PUT says all: without a form, the definition's own.
            changes.setdefault("parameters", None)
        updated = services.update_template(
            template=template, user=caller(request).user, changes=changes, definition_field=field
        )
        data = detail(updated, access.permissions(caller(request), updated))
        return reply(data, message="Template updated successfully")


class TemplateCreateWorkflowView(View):
    """`POST templates/{id}/create-workflow`."""

    scopes = {"POST": Scope.TEMPLATE_READ}

    @Answers(CREATED_WORKFLOW, 201, body=CreateWorkflowSerializer, example=EXAMPLE_CREATE_WORKFLOW, errors=[409])
    def post(self, request: Request, template_id: str) -> Response:
        """Create a workflow from a template.

        Needs the scope `workflow.write`, too.
        """
        require_scope(caller(request), Scope.WORKFLOW_WRITE)
        template = access.get_visible(caller(request), template_id)
        body = CreateWorkflowSerializer(data=request.data).validated()
        workflow = services.create_workflow_from(template=template, user=caller(request).user, **body)
        return created(workflow, "Workflow created successfully")


class TemplateRateView(View):
    """`POST templates/{id}/rate`."""

    scopes = {"POST": Scope.TEMPLATE_WRITE}

    @Answers(RATING, body=RatingSerializer)
    def post(self, request: Request, template_id: str) -> Response:
        """Rate a template."""
        template = access.get_visible(caller(request), template_id)
        access.require(caller(request), access.Action.RATE, template)
        body = RatingSerializer(data=request.data).validated()
        rated = services.rate_template(template=template, user=caller(request).user, **body)
        return reply(rating_data(rated, body["rating"]), message="Template rated successfully")


def _with_definition(body: dict[str, Any], who: Caller) -> dict[str, Any]:
    """The body with its definition as `definition`, and where it came from as `definition_field`, if it has one.

    Raises NotFoundError for a workflow that the caller does not see, NotAllowedError without the scope to.
    """
    fields = dict(body)
    workflow_id = fields.pop("workflow_id", None)
    if workflow_id is not None:
        require_scope(who, Scope.WORKFLOW_READ)
        workflow = workflow_access.get_visible(who, workflow_id)
        return {**fields, "definition": current_definition(workflow), "definition_field": "definition"}
    given = next((name for name in DEFINITION_FIELDS if name in fields), None)
    if given is None:
        return fields
    definition = fields.pop(given)
    return {**fields, "definition": definition, "definition_field": given}
