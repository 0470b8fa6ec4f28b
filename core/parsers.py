"""DRF's door for request bodies: strict JSON, bounded while it is read."""

from collections.abc import Mapping
from typing import IO, Any

from django.conf import settings
from rest_framework.parsers import BaseParser

from core import strict_json
from core.errors import BadRequestError, Problem, TooLargeError, ValidationFailedError


class StrictJSONParser(BaseParser):
    """Parses `application/json` bodies.

    DRF hands parsers the raw stream, so Django's own body limit does not apply here: the cap is kept while
    reading. Raises BadRequestError, TooLargeError, ValidationFailedError.
    """

    media_type = "application/json"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        limit = settings.APG_MAX_BODY_BYTES
        body = stream.read(limit + 1)
        if len(body) > limit:
            raise TooLargeError(
                problems=[Problem("Request body too large", details={"expected": f"at most {limit} bytes"})]
            )
        if not body:
            raise BadRequestError("Request body is empty; expected a JSON object")
        try:
            value = strict_json.loads(body)
        except strict_json.StrictJSONError as error:
            raise BadRequestError(f"Request body is not valid JSON: {error}") from None
        if not isinstance(value, dict):
            raise BadRequestError(
                f"Request body must be a JSON object, got {_json_type(value)}",
            )
        try:
            strict_json.check_storable(value)
        except strict_json.UnstorableTextError as error:
            raise ValidationFailedError(problems=[Problem(str(error), field=error.path)]) from None
        return value


def _json_type(value: object) -> str:
    names = {list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
