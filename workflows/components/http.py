"""http_request: one call of an HTTP API, through the platform's guarded door."""

import base64
from collections.abc import Iterator
from typing import ClassVar
from urllib.parse import urlsplit, urlunsplit

from core import strict_json
from core.errors import ErrorCode, Problem
from core.json_text import dumps, storable
from core.outbound import OutboundResponse, send
from core.outbound_policy import OutboundError, OutboundPolicy, check_url
from core.types import JSONObject, JSONValue
from workflows.components.base import Completed, Component, Context, Failed, Outcome
from workflows.components.control import ANY, object_schema
from workflows.expressions import has_expression
from workflows.schemas import short

DEFAULT_TIMEOUT_SECONDS = 30
USER_AGENT = "APG-Workflow/1.0"
# Client errors that may pass by themselves: request timeout, too early, too many requests.
RETRIABLE_CLIENT_ERRORS = frozenset({408, 425, 429})
_ANYWHERE = OutboundPolicy(allow=("0.0.0.0/0", "::/0"))
_SAFE_METHODS = frozenset({"GET", "HEAD"})

_AUTH: JSONObject = {
    "title": "Authentication",
    "description": "How the call proves who it is",
    "type": "object",
    "required": ["type"],
    "properties": {"type": {"enum": ["basic", "bearer", "api_key"]}},
    "oneOf": [
        {
            "properties": {
                "type": {"const": "basic"},
                "username": {"type": "string", "title": "User name"},
                "password": {"type": "string", "title": "Password"},
            },
            "required": ["type", "username", "password"],
            "additionalProperties": False,
        },
        {
            "properties": {"type": {"const": "bearer"}, "token": {"type": "string", "title": "Token"}},
            "required": ["type", "token"],
            "additionalProperties": False,
        },
        {
            "properties": {
                "type": {"const": "api_key"},
                "name": {"type": "string", "title": "Header or query name", "minLength": 1},
                "value": {"type": "string", "title": "Key"},
                "in": {"enum": ["header", "query"], "default": "header", "title": "Sent in"},
            },
            "required": ["type", "name", "value"],
            "additionalProperties": False,
        },
    ],
    "examples": [{"type": "bearer", "token": "{{ secrets.api_token }}"}],
}


class HttpRequest(Component):
    """One HTTP request and its answer."""

    type: ClassVar = "http_request"
    name: ClassVar = "HTTP Request"
    description: ClassVar = "Make HTTP requests to APIs and web services"
    category: ClassVar = "integration"
    config_schema: ClassVar[JSONObject] = object_schema(
        {
            "url": {
                "title": "URL",
                "description": "http or https; private addresses are refused unless the operator allows them",
                "type": "string",
                "format": "uri",
                "maxLength": 8192,
                "examples": ["https://api.example.com/customers"],
            },
            "method": {
                "title": "Method",
                "description": "The HTTP method",
                "type": "string",
                "enum": ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"],
                "default": "GET",
                "examples": ["GET"],
            },
            "headers": {
                "title": "Headers",
                "description": "Header names and values",
                "type": "object",
                "additionalProperties": {"type": ["string", "number", "boolean"]},
                "default": {},
                "examples": [{"Accept": "application/json"}],
            },
            "query": {
                "title": "Query",
                "description": "Added to the URL's query string; a list repeats the name",
                "type": "object",
                "additionalProperties": {"type": ["string", "number", "boolean", "array", "null"]},
                "default": {},
                "examples": [{"page": 1}],
            },
            "body": {
                "title": "Body",
                "description": "Text is sent as it is, anything else as JSON",
                "examples": [{"name": "{{ input.name }}"}],
            },
            "auth": _AUTH,
            "timeout": {
                "title": "Timeout",
                "description": "Seconds for the whole call, redirects included",
                "type": "integer",
                "minimum": 1,
                "maximum": 3600,
                "default": DEFAULT_TIMEOUT_SECONDS,
                "examples": [10],
            },
            "follow_redirects": {
                "title": "Follow redirects",
                "description": "At most five, each address checked like the first",
                "type": "boolean",
                "default": True,
                "examples": [False],
            },
            "expected_status": {
                "title": "Expected status",
                "description": "Statuses that count as success; by default all below 400",
                "type": "array",
                "items": {"type": "integer", "minimum": 100, "maximum": 599},
                "minItems": 1,
                "examples": [[200, 404]],
            },
        },
        "url",
        "method",
    )
    input_schema: ClassVar[JSONObject] = ANY
    output_schema: ClassVar[JSONObject] = {
        "type": "object",
        "properties": {
            "status_code": {"title": "Status", "type": "integer"},
            "headers": {"title": "Headers, names in lower case", "type": "object"},
            "body": {"title": "Body: parsed JSON, text, or base64 of other bytes"},
            "url": {"title": "The URL that answered, after redirects", "type": "string"},
            "elapsed_ms": {"title": "Milliseconds", "type": "integer"},
        },
        "required": ["status_code", "headers", "body", "url", "elapsed_ms"],
    }

    def check(self, config: JSONObject) -> Iterator[Problem]:
        if not has_expression(config["url"]):
            try:
                # Which addresses are refused is the operator's setting, and decided when the call is made.
                check_url(config["url"], _ANYWHERE)
            except OutboundError as error:
                details = {"expected": "valid URL", "received": short(config["url"])}
                yield Problem(str(error), field="url", details=details)

    def run(self, config: JSONObject, context: Context) -> Outcome:
        headers, query, body = _message(config, context)
        shown = _shown(config["url"])
        context.log("info", f"{config['method']} {shown}", url=shown, method=config["method"])
        try:
            response = send(
                config["method"],
                config["url"],
                headers=headers,
                query=query,
                body=body,
                timeout_seconds=config.get("timeout", DEFAULT_TIMEOUT_SECONDS),
                follow_redirects=config.get("follow_redirects", True),
                max_response_bytes=context.max_output_bytes,
                policy=context.outbound,
            )
        except OutboundError as error:
            context.count_network(error.bytes_sent + error.bytes_received)
            code = ErrorCode.TIMEOUT_ERROR if error.kind == "timeout" else ErrorCode.COMPONENT_ERROR
            return Failed(str(error), code=code, permanent=error.permanent)
        size = response.bytes_sent + response.bytes_received
        context.count_network(size)
        context.log(
            "info",
            f"Answered {response.status_code} after {response.elapsed_ms} ms",
            status_code=response.status_code,
            duration_ms=response.elapsed_ms,
            bytes=size,
        )
        return _outcome(config, response)


def _message(config: JSONObject, context: Context) -> tuple[dict[str, str], dict[str, str | list[str]], bytes | None]:
    headers = {name: _text(value) for name, value in config.get("headers", {}).items()}
    names = {name.lower() for name in headers}
    query = {
        name: [_text(item) for item in value] if isinstance(value, list) else _text(value)
        for name, value in config.get("query", {}).items()
        if value is not None
    }
    body: bytes | None = None
    if config.get("body") is not None:
        text = isinstance(config["body"], str)
        body = config["body"].encode() if text else dumps(config["body"])
        if "content-type" not in names:
            headers["Content-Type"] = "text/plain; charset=utf-8" if text else "application/json"
    if "user-agent" not in names:
        headers["User-Agent"] = USER_AGENT
    if config["method"] not in _SAFE_METHODS and "idempotency-key" not in names:
        # The same on every attempt: the far side can tell a retry from a second order.
        headers["Idempotency-Key"] = context.idempotency_key
    _authenticate(config.get("auth"), headers, query)
    return headers, query, body


def _authenticate(auth: JSONObject | None, headers: dict[str, str], query: dict[str, str | list[str]]) -> None:
    if auth is None:
        return
    if auth["type"] == "bearer":
        headers["Authorization"] = f"Bearer {auth['token']}"
    elif auth["type"] == "basic":
        pair = f"{auth['username']}:{auth['password']}".encode()
        headers["Authorization"] = "Basic " + base64.b64encode(pair).decode()
    elif auth.get("in", "header") == "query":
        query[auth["name"]] = auth["value"]
    else:
        headers[auth["name"]] = auth["value"]


def _text(value: JSONValue) -> str:
    return value if isinstance(value, str) else dumps(value).decode()


def _shown(url: str) -> str:
    """The URL without its query, which may carry a key."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc, parts.path, "", ""))


def _outcome(config: JSONObject, response: OutboundResponse) -> Outcome:
    status = response.status_code
    expected = config.get("expected_status")
    if (status in expected) if expected else (status < 400):
        return Completed(
            {
                "status_code": status,
                "headers": storable(response.headers),
                "body": _body(response),
                "url": response.url,
                "elapsed_ms": response.elapsed_ms,
            }
        )
    permanent = 400 <= status < 500 and status not in RETRIABLE_CLIENT_ERRORS
    return Failed(f"The server answered {status}", permanent=permanent, details={"status_code": status})


def _body(response: OutboundResponse) -> JSONValue:
    if not response.body:
        return None
    if response.is_json:
        try:
            return storable(strict_json.loads(response.body))
        except strict_json.StrictJSONError:
            # Declared JSON that is none is still text that a workflow may look at.
            return storable(response.text)
    if _is_text(response):
        return storable(response.text)
    return base64.b64encode(response.body).decode()


def _is_text(response: OutboundResponse) -> bool:
    media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type.startswith("text/") or media_type.endswith(("/xml", "+xml", "/javascript", "x-www-form-urlencoded")):
        return True
    try:
        response.body.decode()
    except UnicodeDecodeError:
        return False
    return True
