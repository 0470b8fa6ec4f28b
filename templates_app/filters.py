"""The query parameters of the template list; a bad one is 400 and named (contract §3)."""

from django.db.models import QuerySet
from django.http import QueryDict

from core.describing import choice_parameter, id_parameter, text_parameter
from core.query import choice, identifier, text
from templates_app.models import Complexity, Template

MAX_CATEGORY_CHARS = 100
SORTS = ("name", "rating", "usage_count", "created_at")
ORDERS = ("asc", "desc")
TEMPLATE_FILTERS = (
    text_parameter("category", "Filter by category", MAX_CATEGORY_CHARS),
    choice_parameter("complexity", Complexity.values, "Filter by complexity level"),
    text_parameter("search", "Search in name and description, in any case"),
    id_parameter("created_by", "Filter by creator user ID"),
    choice_parameter("sort", SORTS, "Sort field", default="created_at"),
    choice_parameter("order", ORDERS, "Sort order; `asc` is the default for names alone"),
)


def filter_templates(templates: QuerySet[Template], query: QueryDict) -> QuerySet[Template]:
    """Apply category, complexity, search, created_by, sort and order. Raises BadRequestError."""
    if (category := text(query, "category", MAX_CATEGORY_CHARS)) is not None:
        templates = templates.filter(category=category)
    if (complexity := choice(query, "complexity", Complexity.values)) is not None:
        templates = templates.filter(complexity_level=complexity)
    if search := text(query, "search"):
        # Django escapes %, _ and \ in icontains: the text is taken literally.
        templates = templates.filter(name__icontains=search) | templates.filter(description__icontains=search)
    if (created_by := identifier(query, "created_by")) is not None:
        templates = templates.filter(created_by=created_by)
    sort = choice(query, "sort", SORTS) or "created_at"
    order = choice(query, "order", ORDERS) or ("asc" if sort == "name" else "desc")
    sign = "-" if order == "desc" else ""
    return templates.order_by(f"{sign}{sort}", f"{sign}pk")
