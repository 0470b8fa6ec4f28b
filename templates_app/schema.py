"""GraphQL: templates, and workflows made of them."""

from collections.abc import Iterable, Sequence
from typing import Any

import graphene
from graphql import GraphQLResolveInfo as Info

from accounts.permissions import require_scope
from accounts.scopes import Scope
from core.errors import NotFoundError
from core.graphql_rest import answering, body_of, id_of, query_of, unless_absent
from core.graphql_scalars import JSON, DateTime
from core.pagination import MAX_LIMIT
from core.siblings import Node, nodes
from core.types import JSONObject, JSONValue
from templates_app import access, models, services
from templates_app.filters import filter_templates
from templates_app.serializers import CreateWorkflowSerializer, list_item
from workflows.schema import CreateWorkflowResult, data_of, workflow_node


class TemplatePermissions(graphene.ObjectType):
    """What the caller may do with a template."""

    can_edit = graphene.Boolean(required=True)
    can_delete = graphene.Boolean(required=True)
    can_publish = graphene.Boolean(required=True)
    can_rate = graphene.Boolean(required=True)


class WorkflowTemplate(graphene.ObjectType):
    """A template, as `GET templates/{id}` shows it."""

    class Meta:
        default_resolver = data_of

    id = graphene.ID(required=True)
    name = graphene.String(required=True)
    description = graphene.String(required=True)
    documentation = graphene.String(required=True)
    category = graphene.String(required=True)
    tags = graphene.List(graphene.NonNull(graphene.String), required=True)
    workflow_definition = JSON(required=True)
    parameters = JSON(required=True)
    required_secrets = graphene.List(graphene.NonNull(graphene.String), required=True)
    component_count = graphene.Int(required=True)
    author = graphene.String(required=True)
    version = graphene.String(required=True)
    complexity_level = graphene.String(required=True)
    estimated_setup_time_minutes = graphene.Int(required=True)
    published = graphene.Boolean(required=True)
    in_gallery = graphene.Boolean(required=True)
    usage_count = graphene.Int(required=True)
    rating = graphene.Float(required=True)
    rating_count = graphene.Int(required=True)
    permissions = graphene.Field(graphene.NonNull(TemplatePermissions))
    created_by = graphene.ID()
    created_at = DateTime(required=True)
    updated_at = DateTime(required=True)

    @staticmethod
    def resolve_workflow_definition(root: Node[models.Template], info: Info) -> JSONValue:
        return _long_part(root, 0)

    @staticmethod
    def resolve_documentation(root: Node[models.Template], info: Info) -> str:
        return str(_long_part(root, 1))

    @staticmethod
    def resolve_permissions(root: Node[models.Template], info: Info) -> JSONObject:
        return access.permissions(info.context, root.row)


def _long_part(root: Node[models.Template], index: int) -> JSONValue:
    found = root.siblings.load("long", _long_parts).get(root.row.pk)
    if found is None:
        raise NotFoundError("Template not found")
    return found[index]


def _long_parts(templates: Sequence[models.Template]) -> dict[str, tuple[JSONObject, str]]:
    """The definition and the documentation, which lists are read without."""
    rows = models.Template.objects.filter(pk__in=[template.pk for template in templates])
    found = rows.values_list("pk", "definition", "documentation")
    return {pk: (definition, documentation) for pk, definition, documentation in found}


def _nodes(templates: Iterable[models.Template]) -> list[Node[models.Template]]:
    return nodes(templates, list_item)


class TemplateQueries:
    """What may be asked about templates."""

    templates = graphene.List(
        graphene.NonNull(WorkflowTemplate),
        category=graphene.String(),
        complexity=graphene.String(),
        search=graphene.String(),
        required=True,
    )
    template = graphene.Field(WorkflowTemplate, id=graphene.ID(required=True))

    @staticmethod
    def resolve_templates(root: object, info: Info, **arguments: Any) -> Sequence[Node[models.Template]]:
        require_scope(info.context, Scope.TEMPLATE_READ)
        templates = access.visible_to(info.context).select_related("created_by").defer("definition", "documentation")
        return _nodes(filter_templates(templates, query_of(**arguments))[:MAX_LIMIT])

    @staticmethod
    @unless_absent
    def resolve_template(root: object, info: Info, id: str) -> Node[models.Template]:  # noqa: A002 - the argument's name
        require_scope(info.context, Scope.TEMPLATE_READ)
        (node,) = _nodes([access.get_visible(info.context, id_of(id, "Template"))])
        return node


class CreateFromTemplateInput(graphene.InputObjectType):
    """As the body of `POST templates/{id}/create-workflow`."""

    name = graphene.String(required=True)
    description = graphene.String()
    parameters = JSON()


class TemplateMutations:
    """What may be done with templates; the same rules as REST."""

    create_workflow_from_template = graphene.Field(
        graphene.NonNull(CreateWorkflowResult),
        template_id=graphene.ID(required=True),
        input=CreateFromTemplateInput(required=True),
    )

    @staticmethod
    @answering(CreateWorkflowResult)
    def resolve_create_workflow_from_template(
        root: object,
        info: Info,
        template_id: str,
        input: JSONObject,  # noqa: A002 - the argument's name
    ) -> JSONObject:
        require_scope(info.context, Scope.TEMPLATE_READ)
        require_scope(info.context, Scope.WORKFLOW_WRITE)
        template = access.get_visible(info.context, id_of(template_id, "Template"))
        body = CreateWorkflowSerializer(data=body_of(input)).validated()
        workflow = services.create_workflow_from(template=template, user=info.context.user, **body)
        return {"workflow": workflow_node(workflow)}
