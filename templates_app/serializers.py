"""Templates on the wire: what bodies may hold, and the Template Model of the API reference."""

from typing import Any, ClassVar

from rest_framework import serializers

from core.serializers import IdField, StrictBooleanField, StrictCharField, StrictIntegerField, StrictSerializer
from core.shapes import one_of
from core.types import JSONObject
from templates_app.models import Complexity, Template
from templates_app.shapes import GIVEN_FORM
from workflows.serializers import MAX_TAGS, AnyField, DefinitionField, TagsField

MAX_DOCUMENTATION = 20_000
MAX_SETUP_MINUTES = 10_080
# The model's own name for it, and the name that workflows have for it.
DEFINITION_FIELDS = ("workflow_definition", "definition")


class FormField(AnyField):
    """A form; what is wrong with one is told with paths into it."""

    shape = GIVEN_FORM


class TemplateSerializer(StrictSerializer):
    """The body of PUT; with partial=True, of PATCH. A definition goes by either of its names, by one of them."""

    sources: ClassVar[tuple[str, ...]] = DEFINITION_FIELDS
    rules = one_of(*DEFINITION_FIELDS)

    name = StrictCharField(min_length=1, max_length=255)
    description = StrictCharField(max_length=1000, allow_blank=True, required=False, default="", trim_whitespace=False)
    documentation = StrictCharField(
        max_length=MAX_DOCUMENTATION, allow_blank=True, required=False, default="", trim_whitespace=False
    )
    category = StrictCharField(max_length=100, allow_blank=True, required=False, default="")
    tags = TagsField(required=False, default=list, max_length=MAX_TAGS)
    workflow_definition = DefinitionField(required=False)
    definition = DefinitionField(required=False)
    parameters = FormField(required=False)
    version = StrictCharField(min_length=1, max_length=32, required=False, default="1.0.0")
    complexity_level = serializers.ChoiceField(
        choices=Complexity.choices, required=False, default=Complexity.BEGINNER.value
    )
    estimated_setup_time_minutes = StrictIntegerField(
        min_value=0, max_value=MAX_SETUP_MINUTES, required=False, default=5
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        given = [name for name in self.sources if name in attrs]
        if len(given) > 1 or not (given or self.partial):
            names = f"{', '.join(self.sources[:-1])} or {self.sources[-1]}"
            raise serializers.ValidationError({(given or self.sources)[0]: f"Give {names}, one of them."})
        return attrs


class CreateTemplateSerializer(TemplateSerializer):
    """The body of POST: the definition may be a workflow's."""

    sources: ClassVar[tuple[str, ...]] = (*DEFINITION_FIELDS, "workflow_id")
    rules = one_of(*DEFINITION_FIELDS, "workflow_id")

    workflow_id = IdField(required=False)


class UpdateTemplateSerializer(TemplateSerializer):
    """As PUT, and what staff say of an existing template."""

    published = StrictBooleanField(required=False)


class CreateWorkflowSerializer(StrictSerializer):
    """The body of `create-workflow`."""

    name = StrictCharField(min_length=1, max_length=255)
    description = StrictCharField(max_length=1000, allow_blank=True, required=False, trim_whitespace=False)
    parameters = serializers.DictField(required=False, default=dict)


class RatingSerializer(StrictSerializer):
    """The body of `rate`."""

    rating = StrictIntegerField(min_value=1, max_value=5)


def list_item(template: Template) -> JSONObject:
    """One entry of `GET templates`: all but the definition and the documentation, which may be large."""
    return {
        "id": template.pk,
        "name": template.name,
        "description": template.description,
        "category": template.category,
        "tags": template.tags,
        "parameters": template.parameters,
        "required_secrets": template.secret_names,
        "component_count": template.component_count,
        "author": _author(template),
        "version": template.version,
        "complexity_level": template.complexity_level,
        "estimated_setup_time_minutes": template.estimated_setup_time_minutes,
        "published": template.published,
        "in_gallery": template.gallery_key is not None,
        "usage_count": template.usage_count,
        "rating": template.rating,
        "rating_count": template.rating_count,
        "created_by": template.created_by_id,
        "created_at": template.created_at,
        "updated_at": template.updated_at,
    }


def detail(template: Template, permissions: JSONObject) -> JSONObject:
    """`GET templates/{id}`."""
    return {
        **list_item(template),
        "workflow_definition": template.definition,
        "documentation": template.documentation,
        "permissions": permissions,
    }


def rating_data(template: Template, own: int) -> JSONObject:
    """The answer of `rate`."""
    return {
        "id": template.pk,
        "rating": template.rating,
        "rating_count": template.rating_count,
        "your_rating": own,
    }


def _author(template: Template) -> str:
    """A name, never an e-mail address: others read it, too."""
    if template.created_by is None:
        return "APG"
    return template.created_by.username.partition("@")[0]
