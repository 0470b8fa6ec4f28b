"""The query parameters of workflow lists; a bad one is 400 and named (contract §3, §5)."""

from collections.abc import Sequence

from django.db.models import QuerySet
from django.http import QueryDict

from core.ids import parse_id
from core.pagination import bad_parameter
from workflows.models import Workflow, WorkflowStatus

MAX_SEARCH_CHARS = 200
MAX_TAGS = 50
MAX_TAG_CHARS = 100
SORTS = ("name", "created_at", "updated_at")


def filter_workflows(workflows: QuerySet[Workflow], query: QueryDict) -> QuerySet[Workflow]:
    """Apply category, status, search, tags, created_by, sort and order. Raises BadRequestError."""
    if (category := text(query, "category", MAX_TAG_CHARS)) is not None:
        workflows = workflows.filter(category=category)
    if (status := choice(query, "status", WorkflowStatus.values)) is not None:
        workflows = workflows.filter(status=status)
    if search := text(query, "search", MAX_SEARCH_CHARS):
        # Django escapes %, _ and \ in icontains: the text is taken literally.
        workflows = workflows.filter(name__icontains=search) | workflows.filter(description__icontains=search)
    if tags := _tags(query):
        workflows = workflows.filter(tags__contains=tags)
    if (created_by := _one(query, "created_by")) is not None:
        try:
            workflows = workflows.filter(created_by=parse_id(created_by))
        except ValueError:
            raise bad_parameter("created_by", "an id (26-character ULID)", created_by) from None
    sort = choice(query, "sort", SORTS) or "created_at"
    order = choice(query, "order", ("asc", "desc")) or ("asc" if sort == "name" else "desc")
    sign = "-" if order == "desc" else ""
    return workflows.order_by(f"{sign}{sort}", f"{sign}pk")


def choice(query: QueryDict, name: str, allowed: Sequence[str]) -> str | None:
    """One of `allowed`, or None if absent. Raises BadRequestError."""
    value = _one(query, name)
    if value is not None and value not in allowed:
        raise bad_parameter(name, "one of " + ", ".join(allowed), value)
    return value


def boolean(query: QueryDict, name: str, *, default: bool) -> bool:
    """`true` or `false`. Raises BadRequestError."""
    value = choice(query, name, ("true", "false"))
    return default if value is None else value == "true"


def text(query: QueryDict, name: str, max_chars: int) -> str | None:
    """Text of bounded length without NUL. Raises BadRequestError."""
    value = _one(query, name)
    if value is not None and (len(value) > max_chars or "\0" in value):
        raise bad_parameter(name, f"text of at most {max_chars} characters without NUL", value)
    return value


def _one(query: QueryDict, name: str) -> str | None:
    values = query.getlist(name)
    if len(values) > 1:
        raise bad_parameter(name, "one value", "several")
    return values[0] if values else None


def _tags(query: QueryDict) -> list[str]:
    """`tags=a,b` and `tags=a&tags=b`: all of them are needed."""
    tags = [tag.strip() for value in query.getlist("tags") for tag in value.split(",") if tag.strip()]
    if len(tags) > MAX_TAGS or any(len(tag) > MAX_TAG_CHARS or "\0" in tag for tag in tags):
        raise bad_parameter("tags", f"at most {MAX_TAGS} tags of at most {MAX_TAG_CHARS} characters", ",".join(tags))
    return tags
