"""Calls of the API over HTTP, as the people of the sweep make them, and the credentials that they have."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from core.types import JSONValue
from tests.acceptance.canary.far_end import FarEnd
from tests.acceptance.canary.kinds import Kind
from tests.acceptance.canary.search import Searcher
from tests.acceptance.canary.stack import Stack
from tests.eventually import eventually

ENDED = frozenset({"completed", "failed", "cancelled"})
TOKENS = frozenset({Kind.ACCESS_TOKEN, Kind.REFRESH_TOKEN})


@dataclass
class Calls:
    """One run: the platform, its far end, who is logged in, and what was answered so far."""

    stack: Stack
    values: dict[Kind, str] = field(repr=False)
    searcher: Searcher = field(repr=False)
    far: FarEnd
    database_port: int
    tokens: dict[str, str] = field(default_factory=dict, repr=False)
    users: dict[str, str] = field(default_factory=dict)
    statuses: list[tuple[int, str]] = field(default_factory=list)
    executions: list[str] = field(default_factory=list)

    def call(
        self,
        who: str,
        method: str,
        path: str,
        body: JSONValue = None,
        *,
        tells: frozenset[str] = frozenset(),
        raw: bytes | None = None,
        headers: Mapping[str, str] = MappingProxyType({}),
        status: int | None = None,
    ) -> Any:
        """`data` of the answer, None where it has none, or its text; it must have the status, if one is given."""
        sent = {"Content-Type": "application/json", **headers}
        if who:
            sent.setdefault("Authorization", f"Bearer {self.tokens[who]}")
        text = raw if raw is not None else b"" if body is None else json.dumps(body).encode()
        told, answered, answer = self.stack.web.send(method, f"/api/v1{path}", text, sent, tells=tells)
        self.statuses.append((told, f"{method} {path}"))
        assert status in {None, told}, f"{method} {path} answered {told}, not {status}"
        return json.loads(answer).get("data") if "json" in answered["Content-Type"] else answer.decode()

    def log_in(self, who: str, name: str, password: str) -> dict[str, str]:
        """The tokens of a login, which its answer alone may tell."""
        body = {"username": name, "password": password}
        return self.take_tokens(who, self.call("", "POST", "/auth/login", body, tells=TOKENS))

    def take_tokens(self, who: str, data: dict[str, str]) -> dict[str, str]:
        """Look for the tokens of an answer; they are who's from now on."""
        for kind, name in ((Kind.ACCESS_TOKEN, "access_token"), (Kind.REFRESH_TOKEN, "refresh_token")):
            # The rest of a token says who and until when; without the signature it is worth nothing.
            self.searcher.add(kind, data[name].rpartition(".")[2])
        self.tokens[who] = data["access_token"]
        return data

    def execute(
        self,
        workflow_id: str,
        parameters: dict[str, Any] | None = None,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> str:
        """The execution's id."""
        body = {"parameters": parameters or {}}
        found = self.call("alice", "POST", f"/workflows/{workflow_id}/execute", body, headers=headers)["execution_id"]
        if found not in self.executions:
            self.executions.append(str(found))
        return str(found)

    def settle(self) -> None:
        """Everything has ended."""
        eventually(lambda: all(self.status(id_) in ENDED for id_ in self.executions), timeout=180, interval=0.2)

    def status(self, execution: str) -> str:
        """What the execution has come to."""
        return str(self.call("alice", "GET", f"/executions/{execution}")["status"])

    def running(self, execution: str) -> bool:
        """Whether a component runs."""
        runs = self.call("alice", "GET", f"/executions/{execution}/components")
        return any(run["status"] == "running" for run in runs)
