"""The OpenAPI document: what drf-spectacular makes of the views, and what holds for all of them.

Imported when the document is asked for, not before (`core.openapi`).
"""

import json
from functools import cache
from threading import Lock
from typing import Any

from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiYamlRenderer

from accounts.scopes import DESCRIPTIONS
from core.openapi import HEADERS, refusal_responses
from core.types import JSONObject

_CANONICAL = ("/api/v1/workflow_orchestration/", "/api/v1/auth/", "/api/v2/workflow_orchestration/", "/api/v1/hooks/")
_DESCRIPTION = """\
Workflows that are defined as JSON, executed durably, and followed while they run.

**Addresses.** Each operation stands here at its canonical address. Everything below `/api/v1/workflow_orchestration` \
answers below `/api/v1` too, and what is below `/api/v2/workflow_orchestration` below `/api/v2` and below `v2` of both \
other bases. A trailing slash changes nothing.

**Answers** have the same five keys, `success`, `data`, `message`, `errors`, `metadata`; an error is told by its \
status and by `errors[].code`. Unknown addresses are 404, methods that an address has not are 405, both in that \
shape. Every answer carries the headers `X-Request-ID` and `X-RateLimit-…`.

**Bodies** are JSON and read strictly: an unknown field is 422 and named, `"5"` and `5.0` are no integers, text holds \
no NUL, duplicate keys are 400. White space around names is dropped. Ids are ULIDs; inputs take the equal UUID too. \
Times are ISO 8601 in UTC; inputs take any offset.

**Credentials.** One of: the access token of `auth/login` or a token of OAuth 2 as `Authorization: Bearer …`, or an \
API key as `X-API-Key: …`. A scope is needed of each, and a login has them all. What the caller may not see is 404.
"""
_TAGS = {
    "workflows": "Definitions, their versions, and who else may use them",
    "executions": "Runs of workflows",
    "schedules": "What starts workflows by the clock",
    "webhooks": "Addresses that the platform tells of what happens",
    "hooks": "Addresses that others call to start workflows",
    "templates": "Definitions to start from",
    "components": "What definitions are made of",
    "auth": "Logins, API keys, users and groups",
    "secrets": "Values that workflows use and nobody reads",
    "audit": "Who did what",
    "health": "Whether the platform works",
    "stats": "How much it does",
}
_SECURITY_SCHEMES: JSONObject = {
    "bearerAuth": {
        "type": "http",
        "scheme": "bearer",
        "description": "The access token of `auth/login`; also tokens of OAuth 2 and API keys",
    },
    "apiKeyAuth": {
        "type": "apiKey",
        "in": "header",
        "name": "X-API-Key",
        "description": "A key that `auth/api-keys` made",
    },
    "oauth2": {
        "type": "oauth2",
        "description": "Clients are registered by staff; PKCE with S256 is required",
        "flows": {
            "authorizationCode": {
                "authorizationUrl": "/api/v1/oauth/authorize",
                "tokenUrl": "/api/v1/oauth/token",
                "refreshUrl": "/api/v1/oauth/token",
                "scopes": {str(scope): text for scope, text in DESCRIPTIONS.items()},
            },
            "clientCredentials": {
                "tokenUrl": "/api/v1/oauth/token",
                "scopes": {str(scope): text for scope, text in DESCRIPTIONS.items()},
            },
        },
    },
}
_lock = Lock()


class DocumentError(Exception):
    """A view cannot be described; the message says which and why. Give its method an `@Answers` and a docstring."""


def canonical_only(endpoints: list[Any]) -> list[Any]:
    """drf-spectacular's hook before: each operation once, aliases are told of in the introduction."""
    return [
        (path, *rest) for path, *rest in endpoints if path.startswith(_CANONICAL) and "_orchestration/v2/" not in path
    ]


def complete(result: JSONObject, generator: Any, request: Any, public: bool) -> JSONObject:
    """drf-spectacular's hook after: what operations refer to, and the texts about all of them."""
    result["info"]["description"] = _DESCRIPTION
    result["info"]["license"] = {"name": "Apache-2.0", "identifier": "Apache-2.0"}
    result["servers"] = [{"url": "/", "description": "The host that serves this document"}]
    used = {tag for path in result["paths"].values() for operation in path.values() for tag in operation["tags"]}
    result["tags"] = [{"name": name, "description": text} for name, text in _TAGS.items() if name in used]
    result["components"] |= {
        "responses": refusal_responses(),
        "headers": {
            name: {"description": text, "required": True, "schema": schema} for name, (text, schema) in HEADERS.items()
        },
        "securitySchemes": _SECURITY_SCHEMES,
    }
    return result


@cache
def _built() -> JSONObject:
    document: JSONObject = SchemaGenerator().get_schema(request=None, public=True)
    if GENERATOR_STATS:
        raise DocumentError("; ".join([*GENERATOR_STATS._warn_cache, *GENERATOR_STATS._error_cache]))
    return document


def document() -> JSONObject:
    """The document; made once in a process. Raises DocumentError."""
    with _lock:
        return _built()


@cache
def as_json() -> bytes:
    """The document as JSON."""
    return json.dumps(document(), ensure_ascii=False).encode()


@cache
def as_yaml() -> bytes:
    """The document as YAML, as docs/openapi.yaml has it."""
    made: bytes = OpenApiYamlRenderer().render(document(), renderer_context={})
    return made
