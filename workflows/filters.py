"""The query parameters of workflow lists; a bad one is 400 and named (contract §3, §5)."""

from django.db.models import QuerySet
from django.http import QueryDict

from core.describing import choice_parameter, id_parameter, list_parameter, text_parameter
from core.query import bad_parameter, choice, identifier, text
from workflows.models import Workflow, WorkflowStatus

MAX_TAGS = 50
MAX_TAG_CHARS = 100
SORTS = ("name", "created_at", "updated_at")
ORDERS = ("asc", "desc")
WORKFLOW_FILTERS = (
    text_parameter("category", "Filter by category", MAX_TAG_CHARS),
    choice_parameter("status", WorkflowStatus.values, "Filter by status"),
    text_parameter("search", "Search in name and description, in any case"),
    list_parameter(
        "tags",
        "Only workflows that have all of them; commas may part them",
        max_items=MAX_TAGS,
        max_chars=MAX_TAG_CHARS,
    ),
    id_parameter("created_by", "Filter by creator user ID"),
    choice_parameter("sort", SORTS, "Sort field", default="created_at"),
    choice_parameter("order", ORDERS, "Sort order; `asc` is the default for names alone"),
)


def filter_workflows(workflows: QuerySet[Workflow], query: QueryDict) -> QuerySet[Workflow]:
    """Apply category, status, search, tags, created_by, sort and order. Raises BadRequestError."""
    if (category := text(query, "category", MAX_TAG_CHARS)) is not None:
        workflows = workflows.filter(category=category)
    if (status := choice(query, "status", WorkflowStatus.values)) is not None:
        workflows = workflows.filter(status=status)
    if search := text(query, "search"):
        # Django escapes %, _ and \ in icontains: the text is taken literally.
        workflows = workflows.filter(name__icontains=search) | workflows.filter(description__icontains=search)
    if tags := _tags(query):
        workflows = workflows.filter(tags__contains=tags)
    if (created_by := identifier(query, "created_by")) is not None:
        workflows = workflows.filter(created_by=created_by)
    sort = choice(query, "sort", SORTS) or "created_at"
    order = choice(query, "order", ORDERS) or ("asc" if sort == "name" else "desc")
    sign = "-" if order == "desc" else ""
    return workflows.order_by(f"{sign}{sort}", f"{sign}pk")


def _tags(query: QueryDict) -> list[str]:
    """`tags=a,b` and `tags=a&tags=b`: all of them are needed."""
    tags = [tag.strip() for value in query.getlist("tags") for tag in value.split(",") if tag.strip()]
    if len(tags) > MAX_TAGS or any(len(tag) > MAX_TAG_CHARS or "\0" in tag for tag in tags):
        raise bad_parameter("tags", f"at most {MAX_TAGS} tags of at most {MAX_TAG_CHARS} characters", ",".join(tags))
    return tags
