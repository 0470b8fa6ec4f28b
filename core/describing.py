"""What the OpenAPI document says of a REST method, told beside it with `@Answers(…)`; the rest is read off the view."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, TypeVar

from core.pagination import DEFAULT_LIMIT, MAX_LIMIT, MAX_OFFSET
from core.query import MAX_TEXT_CHARS
from core.serializers import StrictSerializer
from core.shapes import GIVEN_ID, GIVEN_TIME, Named, Schema, array, boolean, enum, integer, text
from core.types import JSONObject

Method = TypeVar("Method", bound=Callable[..., object])


@dataclasses.dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of the query string, or a header."""

    name: str
    schema: Schema | Named
    description: str
    place: Literal["query", "header"] = "query"


@dataclasses.dataclass(frozen=True, slots=True)
class PageOf:
    """Answers that hold one page of a list."""

    items: Schema | Named


@dataclasses.dataclass(frozen=True, slots=True)
class Answers:
    """What one method of a view takes and answers; as a decorator. The method's docstring is summary and description.

    `data` is the envelope's, None where it is null, at `status`; `also` are the data of other statuses of success;
    `files` the same answer in other media types; `takes` what the view reads itself, by media type; `errors` the
    statuses of refusals beside those that the view, its address and its body bring with them.
    """

    data: Schema | Named | PageOf | None
    status: int = 200
    _: dataclasses.KW_ONLY
    also: Mapping[int, Schema | Named] = dataclasses.field(default_factory=dict)
    files: Mapping[str, Schema | Named] = dataclasses.field(default_factory=dict)
    body: type[StrictSerializer] | None = None
    takes: Mapping[str, Schema | Named] = dataclasses.field(default_factory=dict)
    partial: bool = False
    example: JSONObject | None = None
    parameters: Sequence[Parameter] = ()
    errors: Sequence[int] = ()
    etag: bool = False

    def __call__(self, method: Method) -> Method:
        method.answers = self  # type: ignore[attr-defined]  # functions take attributes
        return method


def text_parameter(name: str, description: str, max_chars: int = MAX_TEXT_CHARS) -> Parameter:
    """As `core.query.text` reads it."""
    return Parameter(name, text(maxLength=max_chars), description)


def choice_parameter(name: str, allowed: Sequence[str], description: str, default: str | None = None) -> Parameter:
    """As `core.query.choice` reads it."""
    schema = enum(allowed)
    return Parameter(name, schema if default is None else {**schema, "default": default}, description)


def boolean_parameter(name: str, description: str, *, default: bool | None = None) -> Parameter:
    """As `core.query.boolean` reads it."""
    schema = boolean()
    return Parameter(name, schema if default is None else {**schema, "default": default}, description)


def id_parameter(name: str, description: str) -> Parameter:
    """As `core.query.identifier` reads it."""
    return Parameter(name, GIVEN_ID, description)


def number_parameter(name: str, description: str, *, default: int, low: int, high: int) -> Parameter:
    """As `core.query.whole_number` reads it."""
    return Parameter(name, integer("", low, high, default=default), description)


def time_parameters(subject: str) -> tuple[Parameter, Parameter]:
    """As `core.query.time_range` reads them."""
    return (
        Parameter("start_date", GIVEN_TIME, f"Only {subject} at this time or later"),
        Parameter("end_date", GIVEN_TIME, f"Only {subject} at this time or earlier"),
    )


def list_parameter(name: str, description: str, *, max_items: int, max_chars: int) -> Parameter:
    """A parameter that may come several times, or once with commas."""
    return Parameter(name, array(text(minLength=1, maxLength=max_chars), maxItems=max_items), description)


PAGE = (
    number_parameter("limit", "How many at most", default=DEFAULT_LIMIT, low=1, high=MAX_LIMIT),
    number_parameter("offset", "How many to skip", default=0, low=0, high=MAX_OFFSET),
)
IF_MATCH = Parameter(
    "If-Match",
    text(pattern=r'^(?:\*|(?:W/)?"[0-9]{1,9}")$', examples=['"3"']),
    "The version that the change was made from, in quotes; another one now is 409",
    "header",
)
IDEMPOTENCY_KEY = Parameter(
    "Idempotency-Key",
    text(pattern="^[\\x21-\\x7e]{1,255}$"),
    "For 24 hours the same key and body give the same execution, with 200; the key with another body is 409",
    "header",
)
