"""Between GraphQL and what REST takes: arguments as query strings, inputs as bodies, refusals as texts."""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from enum import Enum
from functools import wraps
from typing import Any

from django.http import QueryDict

from core import strict_json
from core.errors import APGError, NotFoundError, Problem, ValidationFailedError
from core.ids import parse_id
from core.times import iso
from core.types import JSONObject, JSONValue

_OWN_WORD = re.compile(r"[a-z0-9]+(?:_[a-z0-9]+)*", re.ASCII)


def query_of(**arguments: Any) -> QueryDict:
    """Arguments as the query string that REST has for them; what is null is left out."""
    query = QueryDict(mutable=True)
    for name, value in arguments.items():
        if isinstance(value, list):
            query.setlist(name, value)
        elif value is not None:
            query[name] = str(_plain(value))
    return query


def body_of(given: Mapping[str, Any]) -> JSONObject:
    """An input as the body that REST has for it; what is null is left out.

    Raises ValidationFailedError for text that cannot be stored, as the parser of bodies does.
    """
    body = {name: _plain(value) for name, value in given.items() if value is not None}
    try:
        strict_json.check_storable(body)
    except strict_json.UnstorableTextError as error:
        raise ValidationFailedError(problems=[Problem(str(error), field=error.path)]) from None
    return body


def _plain(value: Any) -> JSONValue:
    if isinstance(value, datetime):
        return iso(value)
    return value.value if isinstance(value, Enum) else value


def id_of(text: str, what: str) -> str:
    """A canonical id. Raises NotFoundError for what is none, as of a `what` that is not there."""
    try:
        return parse_id(text)
    except ValueError:
        raise NotFoundError(f"{what} not found") from None


def unless_absent(find: Callable[..., Any]) -> Callable[..., Any]:
    """A resolver that answers null where it would raise NotFoundError: hidden and absent are the same."""

    @wraps(find)
    def resolve(*args: Any, **kwargs: Any) -> Any:
        try:
            return find(*args, **kwargs)
        except NotFoundError:
            return None

    return resolve


def answering(result: type) -> Callable[[Callable[..., Mapping[str, Any]]], Callable[..., Any]]:
    """Makes a mutation's resolver of a function that gives the fields of `result`.

    What it refuses is told in `errors`; what has failed (5xx) is raised on.
    """

    def decorate(act: Callable[..., Mapping[str, Any]]) -> Callable[..., Any]:
        @wraps(act)
        def resolve(*args: Any, **kwargs: Any) -> Any:
            try:
                return result(success=True, errors=[], **act(*args, **kwargs))
            except APGError as error:
                if error.status >= 500:
                    raise
                return result(success=False, errors=refusals(error))

        return resolve

    return decorate


def refusals(error: APGError) -> list[str]:
    """One text for each problem: `CODE: message`, or `CODE: field: message`."""
    texts = []
    for problem in error.problems or (Problem(error.message),):
        place = f"{camel(problem.field)}: " if problem.field else ""
        texts.append(f"{problem.code or error.code}: {place}{problem.message}")
    return texts


def camel(field: str) -> str:
    """A field's path with its first word, which is ours, as the schema has it: `scheduled_at` is `scheduledAt`."""
    first, _, _ = field.partition(".")
    if not _OWN_WORD.fullmatch(first):
        return field
    head, *tail = first.split("_")
    return head + "".join(word.title() for word in tail) + field[len(first) :]
