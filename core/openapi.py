"""How drf-spectacular describes our views: `@Answers`, what the view says of its callers, and its address.

Nothing but the making of the document imports this: drf-spectacular takes two seconds of a process's start.
"""

import inspect
import re
from collections.abc import Iterator, Mapping
from typing import Any

from django.urls.converters import get_converters
from drf_spectacular.drainage import warn
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ComponentIdentity, ResolvedComponent
from rest_framework import serializers

from core.describing import PAGE, Answers, PageOf, Parameter
from core.errors import ErrorCode
from core.serializers import EntriesField, StrictSerializer
from core.shapes import (
    TIME,
    Named,
    Schema,
    any_object,
    array,
    boolean,
    enum,
    integer,
    nullable,
    record,
    text,
)
from core.types import JSONObject

_CONVERTER = re.compile(r"(?<!P)<(?:(?P<converter>\w+):)?(?P<name>\w+)>")
_GROUP = re.compile(r"\(\?P<(?P<name>\w+)>(?P<pattern>.+)\)\\Z")
_METADATA = {
    "timestamp": TIME,
    "request_id": text("The request's id, as in X-Request-ID", minLength=1, maxLength=128),
    "version": text("The platform's version"),
}
METADATA = Named("Metadata", record(_METADATA))
PAGE_METADATA = Named(
    "PageMetadata",
    record(
        {
            **_METADATA,
            "total_count": integer("How many there are in all"),
            "limit": integer("", 1, 1000),
            "offset": integer(),
            "has_more": boolean("Whether there are more after this page"),
        }
    ),
)
_ENTRY = record(
    {
        "code": enum(ErrorCode),
        "message": text(),
        "field": text("What it is about, as a path: `definition.components[0].config.url`"),
        "details": any_object("Often `expected` and `received`"),
        "retry_after": integer("Seconds until the next request passes", 1),
    },
    optional=("field", "details", "retry_after"),
)
ERROR = Named(
    "Error",
    record(
        {
            "success": {"const": False},
            "data": {"type": "null"},
            "message": text(),
            "errors": array(Named("ErrorEntry", _ENTRY), minItems=1),
            "metadata": METADATA,
        }
    ),
    example={
        "success": False,
        "data": None,
        "message": "Error description",
        "errors": [
            {
                "code": "VALIDATION_ERROR",
                "message": "Invalid workflow definition",
                "field": "definition.components[0].config.url",
                "details": {"expected": "valid URL", "received": "invalid-url"},
            }
        ],
        "metadata": {
            "timestamp": "2025-01-01T12:00:00Z",
            "request_id": "01HQNZ2G5XKJ8P7M9N6V3R4T5Z",
            "version": "1.0.0",
        },
    },
)
# Contract §3, "Envelope": what each status of a refusal is called among the document's components, and means.
REFUSALS: Mapping[int, tuple[str, str]] = {
    400: ("BadRequest", "The request cannot be read: broken JSON, a bad query parameter or header"),
    401: ("Unauthenticated", "No credential, or a bad one"),
    403: ("NotAllowed", "The caller may not do this, or the credential lacks the scope"),
    404: ("NotFound", "There is no such thing, or the caller may not know of it"),
    405: ("NotThisMethod", "The address does not take this method"),
    409: ("Conflict", "A taken name, a stale version, or a state in which this makes no sense"),
    413: ("TooLarge", "The body is over the limit"),
    422: ("Invalid", "The body was read and fields in it are invalid; each is named"),
    429: ("RateLimited", "Over the rate of the caller's tier; nothing was done"),
    500: ("SystemError", "A fault of the platform, logged under the request's id"),
    503: ("Unavailable", "PostgreSQL or Redis is away; try again"),
}
_RATES = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "X-RateLimit-RetryAfter")
HEADERS: Mapping[str, tuple[str, Schema]] = {
    "X-Request-ID": ("The request's id: the caller's own, if it sent a good one", text(minLength=1, maxLength=128)),
    "X-RateLimit-Limit": ("Requests an hour of the caller", integer("", 1)),
    "X-RateLimit-Remaining": ("Requests that would pass now", integer()),
    "X-RateLimit-Reset": ("When all of them would pass, in Unix seconds", integer()),
    "X-RateLimit-RetryAfter": ("Seconds until the next request passes", integer()),
    "Retry-After": ("Seconds to wait", integer()),
    "WWW-Authenticate": ("The scheme that is expected", text()),
    "ETag": ("The workflow's version in quotes, for If-Match", text(pattern='^"[0-9]{1,9}"$')),
}


def header_references(*more: str) -> JSONObject:
    """The headers of every answer, and `more`."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in ("X-Request-ID", *_RATES, *more)}


def refusal_responses() -> JSONObject:
    """`components.responses`: the refusals, each with its headers."""
    more = {401: ("WWW-Authenticate",), 429: ("Retry-After",), 503: ("Retry-After",)}
    return {
        name: {
            "description": description,
            "headers": header_references(*more.get(status, ())),
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
        }
        for status, (name, description) in REFUSALS.items()
    }


class ViewSchema(AutoSchema):  # type: ignore[misc]  # drf-spectacular has no types for its hooks
    """Describes one method of one of our views. What cannot be described is a warning, which fails the build."""

    @property
    def answers(self) -> Answers:
        found = getattr(getattr(self.view, self.method.lower()), "answers", None)
        if found is None:
            warn(f"{type(self.view).__name__}.{self.method.lower()} has no @Answers")
        return found or Answers(None)

    @property
    def _docstring(self) -> tuple[str, str]:
        written = getattr(self.view, "summary", "") or getattr(self.view, self.method.lower()).__doc__
        if not written:
            warn(f"{type(self.view).__name__}.{self.method.lower()} has no docstring")
        first, _, rest = inspect.cleandoc(written or self.method).partition("\n")
        return first.rstrip("."), " ".join(rest.split())

    def get_summary(self) -> str:
        return self._docstring[0]

    def get_operation_id(self) -> str:
        words = re.findall(r"[a-z0-9]+", self.get_summary().lower())
        return "_".join(word for word in words if word not in {"a", "an", "the", "s"})

    def get_description(self) -> str:
        return " ".join(filter(None, (self._docstring[1], *self._callers())))

    def _callers(self) -> Iterator[str]:
        if scope := self.view.scopes.get(self.method):
            yield f"Needs the scope `{scope}`."
        if self.view.person_only:
            yield "Needs a login: API keys and applications may not."
        if self.view.staff_only:
            yield "For staff."

    def get_tags(self) -> list[str]:
        (resource,) = re.findall(r"^/api/v\d/(?:workflow_orchestration/)?([a-z-]+)", self.path)
        return [resource]

    def get_auth(self) -> list[JSONObject]:
        if self.view.public:
            return []
        scopes = [str(self.view.scopes[self.method])] if self.method in self.view.scopes else []
        schemes = ("bearerAuth",) if self.view.person_only else ("bearerAuth", "apiKeyAuth", "oauth2")
        return [{scheme: scopes} for scheme in schemes]

    # --- what comes in

    def _get_parameters(self) -> list[JSONObject]:
        page = PAGE if isinstance(self.answers.data, PageOf) else ()
        return [*self._path_parameters(), *(self._parameter(each) for each in (*self.answers.parameters, *page))]

    def _parameter(self, parameter: Parameter) -> JSONObject:
        return {
            "name": parameter.name,
            "in": parameter.place,
            "description": parameter.description,
            "schema": self.resolved(parameter.schema),
        }

    def _path_parameters(self) -> Iterator[JSONObject]:
        for found in (*_CONVERTER.finditer(self.path_regex), *_GROUP.finditer(self.path_regex)):
            name, pattern = found["name"], found.groupdict().get("pattern")
            if pattern is None:
                converter = get_converters()[found["converter"]]
                schema = getattr(converter, "shape", None) or text(pattern=f"^{converter.regex}$")
            else:
                schema = text(pattern=f"^{pattern}$")
            yield {"name": name, "in": "path", "required": True, "schema": self.resolved(schema)}

    def _get_request_body(self, direction: str = "request") -> JSONObject | None:
        if self.answers.takes:
            content = {media_type: {"schema": self.resolved(each)} for media_type, each in self.answers.takes.items()}
            return {"content": content, "required": not self.view.optional_body}
        if self.answers.body is None:
            return None
        component = self.resolve_serializer(self.answers.body(partial=self.answers.partial), direction)
        one: JSONObject = {"schema": component.ref}
        if self.answers.example is not None:
            one["example"] = self.answers.example
        media_types = [parser.media_type for parser in self.view.parser_classes]
        return {"content": dict.fromkeys(media_types, one), "required": not self.view.optional_body}

    def _get_serializer_name(self, serializer: Any, direction: str, bypass_extensions: bool = False) -> str:
        name: str = super()._get_serializer_name(serializer, direction, bypass_extensions).removeprefix("Patched")
        return f"{name}Changes" if serializer.partial else f"{name}Body"

    def _map_basic_serializer(self, serializer: Any, direction: str) -> Schema:
        schema: Schema = super()._map_basic_serializer(serializer, direction)
        # Written for who reads the code.
        schema.pop("description", None)
        if isinstance(serializer, StrictSerializer):
            schema |= {"additionalProperties": False, **({} if serializer.partial else serializer.rules)}
        if serializer.partial:
            schema.pop("required", None)
            for each in schema["properties"].values():
                each.pop("default", None)
        return schema

    def _map_serializer_field(self, field: Any, direction: str, bypass_extensions: bool = False) -> Schema:
        if (shape := getattr(field, "shape", None)) is not None:
            return self.resolved(nullable(shape) if field.allow_null else shape)  # type: ignore[no-any-return]
        schema: Schema = super()._map_serializer_field(field, direction, bypass_extensions)
        schema.pop("x-spec-enum-id", None)
        if isinstance(field, EntriesField):
            schema["items"] = self.resolve_serializer(field.entry(), direction).ref
        if isinstance(field, serializers.ListField) and not field.allow_empty:
            schema["minItems"] = 1
        return schema

    # --- what goes out

    def _get_response_bodies(self, direction: str = "response") -> JSONObject:
        answers = self.answers
        successes = {answers.status: answers.data, **answers.also}
        found = {str(status): self._success(status, data) for status, data in sorted(successes.items())}
        for status in sorted(self._refusals() - set(successes)):
            self.resolved(ERROR)
            found[str(status)] = {"$ref": f"#/components/responses/{REFUSALS[status][0]}"}
        return found

    def _success(self, status: int, data: Schema | Named | PageOf | None) -> JSONObject:
        content = {"application/json": self.resolved(_envelope(status, data))}
        if status == self.answers.status:
            content |= {media_type: self.resolved(schema) for media_type, schema in self.answers.files.items()}
        more = ("ETag",) if self.answers.etag else ("Retry-After",) if status == 503 else ()
        return {
            "description": {200: "Done", 201: "Made", 202: "Taken on"}.get(status, "Not now"),
            "headers": header_references(*more),
            "content": {media_type: {"schema": schema} for media_type, schema in content.items()},
        }

    def _refusals(self) -> set[int]:
        found = {400, 429, 500, 503, *self.answers.errors}
        if not self.view.public:
            found.add(401)
        if self.view.scopes or self.view.person_only or self.view.staff_only:
            found.add(403)
        if "{" in self.path:
            found.add(404)
        if self.answers.body is not None:
            found |= {413, 422}
        return found

    def resolved(self, schema: Any) -> Any:
        """The schema with its `Named` parts moved to the document's components."""
        if isinstance(schema, Named):
            component = ResolvedComponent(schema.name, ResolvedComponent.SCHEMA, object=ComponentIdentity(schema))
            if component not in self.registry:
                self.registry.register(component)
                examples = {} if schema.example is None else {"examples": [schema.example]}
                component.schema = {**self.resolved(schema.schema), **examples}
            return component.ref
        if isinstance(schema, dict):
            return {key: self.resolved(value) for key, value in schema.items()}
        return [self.resolved(value) for value in schema] if isinstance(schema, list | tuple) else schema


def _envelope(status: int, data: Schema | Named | PageOf | None) -> Schema:
    page = isinstance(data, PageOf)
    return record(
        {
            "success": {"const": status < 400},
            "data": {"type": "null"} if data is None else array(data.items) if isinstance(data, PageOf) else data,
            "message": text(),
            "errors": {"type": "array", "maxItems": 0},
            "metadata": PAGE_METADATA if page else METADATA,
        }
    )
