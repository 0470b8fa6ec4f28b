"""JSON Schemas (2020-12) of what the API answers and takes, in few words; for the OpenAPI document alone."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from core.types import JSONValue

# A schema that may hold `Named` schemas anywhere.
Schema = dict[str, Any]


@dataclass(frozen=True, eq=False, slots=True)
class Named:
    """A schema with a place of its own among the document's components; `example` is one whole value."""

    name: str
    schema: Schema
    example: JSONValue = None


def text(description: str = "", **more: Any) -> Schema:
    """A string; `more` are keywords of JSON Schema."""
    return _described({"type": "string", **more}, description)


def integer(description: str = "", low: int | None = 0, high: int | None = None, **more: Any) -> Schema:
    """A whole number within bounds."""
    bounds = {"minimum": low, "maximum": high}
    return _described(
        {"type": "integer", **{key: value for key, value in bounds.items() if value is not None}, **more}, description
    )


def number(description: str = "", low: float | None = 0, high: float | None = None) -> Schema:
    """A number within bounds."""
    return integer(description, low, high, type="number")  # type: ignore[arg-type]  # bounds may be fractions here


def boolean(description: str = "") -> Schema:
    """true or false."""
    return _described({"type": "boolean"}, description)


def enum(values: Iterable[str], description: str = "") -> Schema:
    """One of some texts."""
    return _described({"type": "string", "enum": [str(value) for value in values]}, description)


def array(items: Schema | Named, description: str = "", **more: Any) -> Schema:
    """A list of alike items."""
    return _described({"type": "array", "items": items, **more}, description)


def record(properties: Schema, *, optional: Collection[str] = (), description: str = "") -> Schema:
    """An object with exactly these keys; those in `optional` may be missing."""
    return _described(
        {
            "type": "object",
            "properties": properties,
            "required": [name for name in properties if name not in optional],
            "additionalProperties": False,
        },
        description,
    )


def any_object(description: str = "") -> Schema:
    """An object with keys of somebody else's choice."""
    return _described({"type": "object", "additionalProperties": True}, description)


def anything(description: str = "") -> Schema:
    """Any JSON."""
    return _described({}, description)


def nullable(schema: Schema | Named) -> Schema:
    """The schema, or null."""
    if isinstance(schema, Named) or (schema and "type" not in schema):
        return {"anyOf": [schema, {"type": "null"}]}
    if not schema:
        return schema
    values = {"enum": [*schema["enum"], None]} if "enum" in schema else {}
    return {**schema, "type": [schema["type"], "null"], **values}


def one_of(*names: str) -> Schema:
    """A rule between keys of an object: one of these, and no two."""
    return {"oneOf": [{"required": [name]} for name in names]}


def _described(schema: Schema, description: str) -> Schema:
    return {**schema, "description": description} if description else schema


ID = Named("Id", text("A ULID in Crockford's base 32", pattern="^[0-7][0-9A-HJKMNP-TV-Z]{25}$"))
# What `core.ids.parse_id` takes.
GIVEN_ID = Named(
    "GivenId",
    text(
        "A ULID, or the equal UUID, in any case",
        pattern="^(?:[0-7][0-9A-HJKMNP-TV-Za-hjkmnp-tv-z]{25}|[0-9a-fA-F]{8}(?:-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12})$",
    ),
)
TIME = Named("Time", text("A time in UTC", format="date-time", pattern="Z$"))
# What `core.times.parse_time` takes.
GIVEN_TIME = Named(
    "GivenTime",
    text(
        "An ISO 8601 time from 1970 on with any offset; without one it is read as UTC, a date alone as its midnight",
        anyOf=[
            {"format": "date-time"},
            {"format": "date"},
            {"pattern": r"^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?$"},
        ],
        examples=["2025-01-01T00:00:00Z"],
    ),
)
