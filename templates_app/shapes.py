"""What templates look like in answers, for the OpenAPI document: the serializers beside it make them."""

from core.shapes import ID, TIME, Named, Schema, array, boolean, enum, integer, nullable, number, record, text
from core.types import JSONObject
from templates_app.models import Complexity
from templates_app.parameters import FIELD
from workflows.definition_schema import MAX_PARAMETERS
from workflows.shapes import DEFINITION

EXAMPLE_CREATE_WORKFLOW: JSONObject = {
    "name": "My Data Pipeline",
    "description": "Created from template",
    "parameters": {"source_url": "https://my-api.com/data", "output_format": "json", "batch_size": 1000},
}
# What a body may leave out is filled in from the definition.
GIVEN_FORM = array(Named("GivenTemplateParameter", FIELD), maxItems=MAX_PARAMETERS)
_FIELDS: Schema = FIELD["properties"]
_FORM = array(Named("TemplateParameter", record(_FIELDS)))
_FACTS: Schema = {
    "id": ID,
    "name": text(minLength=1, maxLength=255),
    "description": text(maxLength=1000),
    "category": text(maxLength=100),
    "tags": array(text(maxLength=100)),
    "parameters": _FORM,
    "required_secrets": array(text(), "The names of the secrets that a workflow made of it needs"),
    "component_count": integer("", 1),
    "author": text("A name; `APG` for the gallery's own"),
    "version": text(maxLength=32),
    "complexity_level": enum(Complexity.values),
    "estimated_setup_time_minutes": integer(),
    "published": boolean("Whether everybody sees it"),
    "in_gallery": boolean("Whether it came with the platform"),
    "usage_count": integer("Workflows made of it"),
    "rating": number("The mean of the ratings; 0 without any", 0, 5),
    "rating_count": integer(),
    "created_by": nullable(ID),
    "created_at": TIME,
    "updated_at": TIME,
}
TEMPLATE_ITEM = Named("TemplateItem", record(_FACTS))
TEMPLATE = Named(
    "Template",
    record(
        {
            **_FACTS,
            "workflow_definition": DEFINITION,
            "documentation": text("Markdown"),
            "permissions": record({f"can_{action}": boolean() for action in ("edit", "delete", "publish", "rate")}),
        }
    ),
)
RATING = Named(
    "TemplateRating",
    record(
        {
            "id": ID,
            "rating": number("The mean of the ratings", 0, 5),
            "rating_count": integer("", 1),
            "your_rating": integer("", 1, 5),
        }
    ),
)
