"""DRF's doors for request bodies: strict JSON, and YAML where a view takes it; bounded while they are read."""

from collections.abc import Mapping
from typing import IO, Any

from django.conf import settings
from rest_framework.parsers import BaseParser

from core import strict_json, yaml_text
from core.errors import BadRequestError, Problem, TooLargeError, ValidationFailedError
from core.types import JSONObject, JSONValue

# A document holds one definition, and reading YAML takes some ten times as long as reading JSON.
MAX_YAML_BYTES = 1024 * 1024


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
        body = _read(stream, settings.APG_MAX_BODY_BYTES)
        try:
            return _storable_object(strict_json.loads(body), "JSON")
        except strict_json.StrictJSONError as error:
            raise BadRequestError(f"Request body is not valid JSON: {error}") from None


class YAMLParser(BaseParser):
    """Parses `application/yaml` bodies (RFC 9512). Raises as StrictJSONParser does."""

    media_type = "application/yaml"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        body = _read(stream, MAX_YAML_BYTES)
        try:
            return _storable_object(yaml_text.loads(body), "YAML")
        except yaml_text.YAMLError as error:
            raise BadRequestError(f"Request body is not valid YAML: {error}") from None


class _OlderYAMLParser(YAMLParser):
    media_type = "application/x-yaml"


class _TextYAMLParser(YAMLParser):
    media_type = "text/yaml"


YAML_PARSERS = (YAMLParser, _OlderYAMLParser, _TextYAMLParser)


def _read(stream: IO[Any], limit: int) -> bytes:
    body: bytes = stream.read(limit + 1)
    if len(body) > limit:
        raise TooLargeError(
            problems=[Problem("Request body too large", details={"expected": f"at most {limit} bytes"})]
        )
    if not body:
        raise BadRequestError("Request body is empty; expected a JSON object")
    return body


def _storable_object(value: JSONValue, language: str) -> JSONObject:
    if not isinstance(value, dict):
        raise BadRequestError(f"Request body must be a {language} object, got {_json_type(value)}")
    try:
        strict_json.check_storable(value)
    except strict_json.UnstorableTextError as error:
        raise ValidationFailedError(problems=[Problem(str(error), field=error.path)]) from None
    return value


def _json_type(value: object) -> str:
    names = {list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
