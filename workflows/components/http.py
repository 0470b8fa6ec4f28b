"""http_request: one call of an HTTP API, through the platform's guarded door."""

import base64
import re
from collections.abc import Iterator
from typing import ClassVar
from urllib.parse import urlencode

from core import strict_json
from core.errors import ErrorCode, Problem
from core.json_text import dumps, storable
from core.outbound import OutboundResponse, send
from core.outbound_policy import OutboundError, OutboundPolicy, check_url
from core.redact import REDACTED
from core.types import JSONObject, JSONValue
from workflows.components.base import Completed, Component, Context, Failed, Kind, Outcome
from workflows.components.control import ANY, object_schema
from workflows.expressions import has_expression
from workflows.schemas import received

DEFAULT_TIMEOUT_SECONDS = 30
USER_AGENT = "APG-Workflow/1.0"
# Client errors that may pass by themselves: request timeout, too early, too many requests.
RETRIABLE_CLIENT_ERRORS = frozenset({408, 425, 429})
_ANYWHERE = OutboundPolicy(allow=("0.0.0.0/0", "::/0"))
_SAFE_METHODS = frozenset({"GET", "HEAD"})
_TEXT_TYPES = re.compile(
    r"text/.*|application/(?:.*\+)?(?:json|xml|yaml|x-yaml|javascript|ecmascript|x-ndjson|ndjson|csv|sql|graphql"
    r"|x-www-form-urlencoded)"
)


def _auth(type_: str, title: str, properties: JSONObject, *required: str) -> JSONObject:
    return {
        "title": title,
        "properties": {"type": {"title": "Type", "description": "How the call proves who it is", "const": type_}}
        | properties,
        "required": ["type", *required],
        "additionalProperties": False,
    }


_AUTH: JSONObject = {
    "title": "Authentication",
    "description": "How the call proves who it is; keep keys in secrets or parameters, not in the definition",
    "type": "object",
    "oneOf": [
        _auth(
            "basic",
            "User name and password",
            {
                "username": {
                    "title": "User name",
                    "description": "Without a colon, which ends the user name (RFC 7617)",
                    "type": "string",
                    "pattern": "^[^:]*$",
                    "examples": ["reporting"],
                },
                "password": {
                    "title": "Password",
                    "description": "The user's password",
                    "type": "string",
                    "writeOnly": True,
                    "examples": ["{{ secrets.api_password }}"],
                },
            },
            "username",
            "password",
        ),
        _auth(
            "bearer",
            "Bearer token",
            {
                "token": {
                    "title": "Token",
                    "description": "Sent as Authorization: Bearer",
                    "type": "string",
                    "writeOnly": True,
                    "examples": ["{{ secrets.api_token }}"],
                }
            },
            "token",
        ),
        _auth(
            "api_key",
            "API key",
            {
                "name": {
                    "title": "Name",
                    "description": "The header or query field that carries the key",
                    "type": "string",
                    "minLength": 1,
                    "examples": ["X-API-Key"],
                },
                "value": {
                    "title": "Key",
                    "description": "The key itself",
                    "type": "string",
                    "writeOnly": True,
                    "examples": ["{{ secrets.api_key }}"],
                },
                "in": {
                    "title": "Sent in",
                    "description": "Where the key goes",
                    "enum": ["header", "query"],
                    "default": "header",
                    "examples": ["header"],
                },
            },
            "name",
            "value",
        ),
    ],
    "examples": [{"type": "bearer", "token": "{{ secrets.api_token }}"}],
}


class HttpRequest(Component):
    """One HTTP request and its answer."""

    type: ClassVar = "http_request"
    name: ClassVar = "HTTP Request"
    description: ClassVar = "Make HTTP requests to APIs and web services"
    category: ClassVar = "integration"
    kind: ClassVar = Kind.IO
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
        yield from url_problems(config["url"])

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
                on_progress=context.checkpoint,
                sensitive_headers=_key_names(config.get("auth"), "header"),
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


def url_problems(url: str) -> Iterator[Problem]:
    """What is wrong with a URL before any call; nothing with one that holds expressions."""
    if not has_expression(url):
        try:
            # Which addresses are refused is the operator's setting, and decided when the call is made.
            check_url(url, _ANYWHERE)
        except OutboundError as error:
            details = {"expected": "valid URL", "received": received(url)}
            yield Problem(str(error), field="url", details=details)


def _key_names(auth: JSONObject | None, place: str) -> tuple[str, ...]:
    """The name that carries an API key in this place: whatever it is called, it is a credential."""
    carries = auth is not None and auth["type"] == "api_key" and auth.get("in", "header") == place
    return (auth["name"],) if auth is not None and carries else ()


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
    """The URL without user name, query and fragment, which may carry a key; any text may come."""
    return re.sub(r"(?<=://)[^/?#]*@", "", re.split(r"[?#]", url, maxsplit=1)[0])


def _answered_url(config: JSONObject, url: str) -> str:
    """The URL that answered; an API key that was sent in its query is not handed on with the output."""
    base, question_mark, query = url.partition("?")
    fields = query.split("&")
    for name in _key_names(config.get("auth"), "query"):
        sent = urlencode({name: config["auth"]["value"]})
        fields = [urlencode({name: ""}) + REDACTED if field == sent else field for field in fields]
    return base + question_mark + "&".join(fields)


def _outcome(config: JSONObject, response: OutboundResponse) -> Outcome:
    status = response.status_code
    expected = config.get("expected_status")
    if (status in expected) if expected else (status < 400):
        return Completed(
            {
                "status_code": status,
                "headers": storable(response.headers),
                "body": _body(response),
                "url": _answered_url(config, response.url),
                "elapsed_ms": response.elapsed_ms,
            }
        )
    permanent = 400 <= status < 500 and status not in RETRIABLE_CLIENT_ERRORS
    return Failed(f"The server answered {status}", permanent=permanent, details={"status_code": status})


def _body(response: OutboundResponse) -> JSONValue:
    """Parsed JSON, text, or base64: decided by the declared type, so that a follower can rely on it."""
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
    media_type, _, parameters = response.headers.get("content-type", "").lower().partition(";")
    if media_type.strip():
        return _TEXT_TYPES.fullmatch(media_type.strip()) is not None or "charset=" in parameters
    # Nothing declared: the bytes themselves are all there is to go by.
    try:
        response.body.decode()
    except UnicodeDecodeError:
        return False
    return True
