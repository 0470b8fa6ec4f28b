"""Templates and component types."""

from __future__ import annotations

from collections.abc import Iterator

from typing_extensions import Unpack

from apg_workflow import bodies, models
from apg_workflow._sync.resource import Resource
from apg_workflow.calls import Call, get, given, nothing, one, operation, page_of, path, post


class Templates(Resource):
    """Templates: workflows with blanks to fill in."""

    @operation("list_templates")
    def list(
        self, *, limit: int | None = None, offset: int | None = None, **filters: Unpack[bodies.TemplateFilters]
    ) -> models.Page[models.TemplateSummary]:
        """The templates that the caller sees."""
        return self._send(
            get(path("templates"), page_of(models.TemplateSummary), limit=limit, offset=offset, **filters)
        )

    def iterate(
        self, *, page_size: int = 100, **filters: Unpack[bodies.TemplateFilters]
    ) -> Iterator[models.TemplateSummary]:
        """All of `list`, page after page."""
        return self._walk(
            lambda limit, offset: get(
                path("templates"), page_of(models.TemplateSummary), limit=limit, offset=offset, **filters
            ),
            page_size,
        )

    @operation("create_template")
    def create(self, body: bodies.TemplateBody) -> models.Template:
        """Raises ValidationError naming the fields."""
        return self._send(post(path("templates"), one(models.Template), body))

    @operation("get_template")
    def get(self, template_id: str) -> models.Template:
        """Raises NotFoundError."""
        return self._send(get(path("templates", template_id), one(models.Template)))

    @operation("replace_template")
    def replace(self, template_id: str, body: bodies.ReplaceTemplateBody) -> models.Template:
        """Set all fields; those left out get their defaults."""
        return self._send(Call("PUT", path("templates", template_id), one(models.Template), body=body))

    @operation("update_template")
    def update(self, template_id: str, changes: bodies.TemplateChanges) -> models.Template:
        """Change the fields given."""
        return self._send(Call("PATCH", path("templates", template_id), one(models.Template), body=changes))

    @operation("delete_template")
    def delete(self, template_id: str) -> None:
        """Workflows made of it stay."""
        self._send(Call("DELETE", path("templates", template_id), nothing))

    @operation("create_workflow_from_template")
    def create_workflow(
        self, template_id: str, *, name: str, description: str | None = None, parameters: bodies.JSON | None = None
    ) -> models.CreatedWorkflow:
        """A workflow of it. Raises ValidationError naming the parameters."""
        return self._send(
            post(
                path("templates", template_id, "create-workflow"),
                one(models.CreatedWorkflow),
                given(name=name, description=description, parameters=parameters),
            )
        )

    @operation("rate_template")
    def rate(self, template_id: str, rating: int) -> models.TemplateRating:
        """One to five stars."""
        return self._send(post(path("templates", template_id, "rate"), one(models.TemplateRating), {"rating": rating}))


class Components(Resource):
    """Component types."""

    @operation("list_available_components")
    def list(self, *, limit: int | None = None, offset: int | None = None) -> models.Page[models.Component]:
        """The types that the server has."""
        return self._send(get(path("components"), page_of(models.Component), limit=limit, offset=offset))

    def iterate(self, *, page_size: int = 100) -> Iterator[models.Component]:
        """All of `list`, page after page."""
        return self._walk(
            lambda limit, offset: get(path("components"), page_of(models.Component), limit=limit, offset=offset),
            page_size,
        )

    @operation("get_component_schema")
    def get_schema(self, component_type: str) -> models.Component:
        """One type with its schemas. Raises NotFoundError."""
        return self._send(get(path("components", component_type, "schema"), one(models.Component)))
