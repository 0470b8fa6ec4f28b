"""GraphQL as a test calls it."""

import json
from dataclasses import dataclass
from typing import Any

from django.test import Client

ADDRESS = "/api/beta/graphql"


@dataclass(frozen=True)
class GraphQLAnswer:
    """An answer: status, parsed body, headers."""

    status: int
    body: Any
    headers: Any

    @property
    def data(self) -> Any:
        """What was answered; fails where there were errors."""
        assert "errors" not in self.body, self.body["errors"]
        return self.body["data"]

    @property
    def codes(self) -> list[str]:
        """`extensions.code` of each error."""
        return [error["extensions"]["code"] for error in self.body["errors"]]

    @property
    def messages(self) -> list[str]:
        return [error["message"] for error in self.body["errors"]]


class GraphQL:
    """A caller with a token, an API key or neither."""

    def __init__(self, token: str = "", *, key: str = "") -> None:
        self.token, self.key = token, key
        self._client = Client(raise_request_exception=False)

    def send(
        self, body: Any = None, *, method: str = "POST", raw: bytes | None = None, **headers: str
    ) -> GraphQLAnswer:
        """Send JSON, or `raw` bytes."""
        content_type = headers.pop("content_type", "application/json")
        if self.token:
            headers.setdefault("Authorization", f"Bearer {self.token}")
        if self.key:
            headers.setdefault("X-API-Key", self.key)
        sent = raw if raw is not None else b"" if body is None else json.dumps(body).encode()
        response = self._client.generic(
            method,
            ADDRESS,
            sent,
            content_type=content_type,
            headers={name.replace("_", "-"): value for name, value in headers.items()},
        )
        return GraphQLAnswer(response.status_code, json.loads(response.content), response.headers)

    def ask(self, query: str, name: str | None = None, **variables: Any) -> GraphQLAnswer:
        """Execute one operation."""
        body: dict[str, Any] = {"query": query}
        if variables:
            body["variables"] = variables
        if name is not None:
            body["operationName"] = name
        return self.send(body)
