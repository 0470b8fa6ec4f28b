"""sdk/cases.json, which every client library passes, by both Python clients."""

import asyncio
import inspect
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from apg_workflow import SyncWorkflowClient, WorkflowClient, webhooks
from apg_workflow.errors import APGError, SignatureError
from apg_workflow.models import Page
from pydantic import BaseModel

from events.models import Event
from tests.sdk.conftest import QUICK
from tests.sdk.stand_in import StandIn, stand_in

CASES = json.loads((Path(__file__).parents[2] / "sdk" / "cases.json").read_text())["cases"]
pytestmark = pytest.mark.django_db(transaction=True)


class Player:
    """Plays a case on a client, of which every result may be awaited for."""

    def __init__(self, client: Any, settle: Callable[[Any], Any], server: StandIn | None, restart: Callable[[], None]):
        self.client, self.settle, self.server, self.restart = client, settle, server, restart
        self.saved: dict[str, Any] = {}
        self.rows: dict[str, list[Any]] = {}

    def play(self, step: dict[str, Any]) -> None:
        (kind,) = {"call", "stream", "take", "drain", "do", "requests", "verify"} & step.keys()
        getattr(self, kind)(step)

    def call(self, step: dict[str, Any]) -> None:
        resource, method = step["call"].split(".")
        bound = getattr(getattr(self.client, resource), method)
        args, options = self.filled(step.get("args", [])), self.filled(step.get("options", {}))
        if "error" in step:
            with pytest.raises(APGError) as raised:
                self.settle(bound(*args, **options))
            self.check_error(raised.value, step["error"])
            return
        result = self.settle(bound(*args, **options))
        if step.get("collect"):
            result = collected(result, self.settle)
        found = as_json(result)
        if "save" in step:
            self.saved[step["save"]] = found
        if "expect" in step:
            assert_holds(found, self.filled(step["expect"]))

    def stream(self, step: dict[str, Any]) -> None:
        resource, method = step["stream"].split(".")
        bound = getattr(getattr(self.client, resource), method)
        self.saved[step["save"]] = bound(*self.filled(step["args"]), **step["options"])
        self.rows[step["save"]] = []

    def take(self, step: dict[str, Any]) -> None:
        found = None
        while found is None or not holds(as_json(found), step["until"]):
            found = self.read(step["take"])
            assert found is not None, "the stream ended"

    def drain(self, step: dict[str, Any]) -> None:
        while self.read(step["drain"]) is not None:
            pass
        numbers = [row.sequence for row in self.rows[step["drain"]]]
        stored = Event.objects.filter(subject_id=self.saved[step["drain"]].execution_id).count()
        assert numbers == list(range(1, stored + 1))

    def read(self, name: str) -> Any:
        """The next message of a stream; None at its end."""
        stream = self.saved[name]
        try:
            found = self.settle(stream.__anext__() if hasattr(stream, "__anext__") else next(stream))
        except (StopIteration, StopAsyncIteration):
            return None
        if not found.is_progress:
            self.rows[name].append(found)
        return found

    def do(self, step: dict[str, Any]) -> None:
        assert step["do"] == "restart_server"
        self.restart()

    def requests(self, step: dict[str, Any]) -> None:
        assert self.server is not None
        assert len(self.server.requests) == step["requests"]
        if step.get("same_key"):
            keys = {request.headers["idempotency-key"] for request in self.server.requests}
            assert len(keys) == 1 and "" not in keys

    def verify(self, step: dict[str, Any]) -> None:
        given = dict(step["verify"])
        try:
            if "headers" in given:
                webhooks.verify_headers(given["payload"], given["headers"], given["secret"], now=given["now"])
            else:
                webhooks.verify(given["payload"], given["signature"], given["secret"])
        except SignatureError:
            assert not step["valid"]
        else:
            assert step["valid"]

    def check_error(self, error: APGError, expected: dict[str, Any]) -> None:
        assert error.code == expected["code"]
        assert getattr(error, "status", None) == expected.get("status")
        if "status" in expected:
            assert getattr(error, "request_id", None)
        fields = {problem.field for problem in getattr(error, "problems", ())}
        assert set(expected.get("fields", [])) <= fields

    def filled(self, value: Any) -> Any:
        """With what was saved in the place of `$name.path`."""
        if isinstance(value, dict):
            return {name: self.filled(each) for name, each in value.items()}
        if isinstance(value, list):
            return [self.filled(each) for each in value]
        if isinstance(value, str) and (match := re.fullmatch(r"\$(\w+)\.(\w+)", value)):
            return self.saved[match[1]][match[2]]
        return value


def as_json(result: Any) -> Any:
    """A result in the API's own words."""
    if isinstance(result, Page):
        return {**result.model_dump(mode="json"), "items": [as_json(item) for item in result.items]}
    if isinstance(result, BaseModel):
        return result.model_dump(mode="json")
    return [as_json(item) for item in result] if isinstance(result, list) else result


def collected(iterator: Any, settle: Callable[[Any], Any]) -> list[Any]:
    """All that an iterator of either kind yields."""
    if not hasattr(iterator, "__anext__"):
        return list(iterator)

    async def collect() -> list[Any]:
        return [each async for each in iterator]

    found: list[Any] = settle(collect())
    return found


def holds(found: Any, expected: Any) -> bool:
    """Whether it is at least what is expected."""
    try:
        assert_holds(found, expected)
    except AssertionError:
        return False
    return True


def assert_holds(found: Any, expected: Any) -> None:
    if isinstance(expected, dict):
        assert isinstance(found, dict), found
        for name, value in expected.items():
            assert name in found
            assert_holds(found[name], value)
    elif isinstance(expected, list):
        assert isinstance(found, list), found
        assert len(found) == len(expected)
        for each, wanted in zip(found, expected, strict=True):
            assert_holds(each, wanted)
    else:
        assert found == expected


@pytest.mark.parametrize("kind", ["async", "sync"])
@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_case(case: dict[str, Any], kind: str, request: pytest.FixtureRequest) -> None:
    restarts = {"do": "restart_server"} in case["steps"]
    if "replies" in case:
        with stand_in(*case["replies"]) as server:
            play(case, kind, server.address, "key", server, lambda: None)
        return
    key = request.getfixturevalue("api_key")
    if restarts:
        own = request.getfixturevalue("restartable")
        request.getfixturevalue("worker")

        def restart() -> None:
            own.stop()
            own.start()

        play(case, kind, own.base_url, key, None, restart)
    else:
        base_url = request.getfixturevalue("base_url")
        request.getfixturevalue("worker")
        play(case, kind, base_url, key, None, lambda: None)


def play(
    case: dict[str, Any], kind: str, base_url: str, key: str, server: StandIn | None, restart: Callable[[], None]
) -> None:
    if kind == "sync":
        with SyncWorkflowClient(base_url, api_key=key, retries=QUICK) as client:
            player = Player(client, lambda value: value, server, restart)
            for step in case["steps"]:
                player.play(step)
        return
    with asyncio.Runner() as runner:

        async def awaited(value: Any) -> Any:
            return await value

        def settle(value: Any) -> Any:
            return runner.run(awaited(value)) if inspect.isawaitable(value) else value

        async_client = WorkflowClient(base_url, api_key=key, retries=QUICK)
        player = Player(async_client, settle, server, restart)
        for step in case["steps"]:
            player.play(step)
        runner.run(async_client.aclose())
