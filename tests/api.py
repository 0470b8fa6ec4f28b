"""The API as a test calls it; each answer is held against the OpenAPI document."""

import json
from dataclasses import dataclass
from typing import Any

from django.test import Client

from tests import conformance

BASES = ("/api/v1/workflow_orchestration", "/api/v1")


@dataclass(frozen=True)
class Answer:
    """An answer: status, parsed body, headers."""

    status: int
    body: Any
    headers: Any

    @property
    def data(self) -> Any:
        return self.body["data"]

    @property
    def fields(self) -> list[str | None]:
        """The fields that the errors name."""
        return [error.get("field") for error in self.body["errors"]]

    @property
    def code(self) -> str:
        """The code of the first error."""
        return str(self.body["errors"][0]["code"])


class Api:
    """A caller with a token, an API key or neither, at one base address."""

    def __init__(self, token: str = "", base: str = BASES[0], *, key: str = "") -> None:
        self.token, self.base, self.key = token, base, key
        self._client = Client(raise_request_exception=False)

    def call(self, method: str, path: str, body: Any = None, *, raw: bytes | None = None, **headers: str) -> Answer:
        """Send JSON, or `raw` bytes; a path that starts with /api is taken as it is."""
        content_type = headers.pop("content_type", "application/json")
        if self.token:
            headers.setdefault("Authorization", f"Bearer {self.token}")
        if self.key:
            headers.setdefault("X-API-Key", self.key)
        sent = raw if raw is not None else b"" if body is None else json.dumps(body).encode()
        response = self._client.generic(
            method,
            path if path.startswith("/api") else self.base + path,
            sent,
            content_type=content_type,
            headers={name.replace("_", "-"): value for name, value in headers.items()},
        )
        answer = Answer(response.status_code, json.loads(response.content), response.headers)
        conformance.check(method, response.wsgi_request.path, answer.status, answer.headers, answer.body)
        return answer

    def get(self, path: str) -> Answer:
        return self.call("GET", path)

    def post(self, path: str, body: Any = None) -> Answer:
        return self.call("POST", path, body)
