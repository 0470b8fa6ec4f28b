"""Webhooks of Alice and of Vera, who views her workflows: told of everything; their secrets given, made and rotated."""

from dataclasses import dataclass, field
from urllib.parse import quote

from core.types import JSONObject
from events.event_types import PUBLIC_EVENTS
from tests.acceptance.canary.calls import ENDED, Calls
from tests.acceptance.canary.kinds import Kind
from tests.eventually import eventually

_EVENTS = [str(event) for event in PUBLIC_EVENTS]
_MADE = frozenset({Kind.MADE_WEBHOOK_SECRET})


@dataclass
class WebhooksPlay:
    """What is told stands in `calls.far.told`, a sink like any other."""

    calls: Calls
    made: dict[str, str] = field(default_factory=dict)

    def begin(self) -> None:
        """Before anything happens to a workflow."""
        given = self.calls.values[Kind.WEBHOOK_SECRET]
        body = {"url": f"{self.calls.far.url}/hook", "events": _EVENTS, "retry_policy": {"initial_delay_seconds": 1}}
        for who in ("alice", "vera"):
            self.made[who] = self.calls.call(who, "POST", "/webhooks", {**body, "secret": given}, status=201)["id"]
        made = self.calls.call("alice", "POST", "/webhooks", {**body, "active": False}, tells=_MADE, status=201)
        self.calls.searcher.add(Kind.MADE_WEBHOOK_SECRET, made["secret"])
        self.made["off"] = made["id"]
        self._refusals(given)

    def _refusals(self, secret: str) -> None:
        """Of the wrong type, too long, beside an unknown field, in the wrong place."""
        address = f"/webhooks/{self.made['alice']}"
        password = quote(self.calls.values[Kind.URL_PASSWORD], safe="")
        for wrong in (
            {"secret": [secret]}, {"secret": secret * 20}, {"secret": f"whsec_{secret}"}, {"secret": f"{secret}\n"},
            {"secret": secret, "password": secret}, {"retry_policy": {"secret": secret}}, {"active": secret},
            {"url": f"http://user:{password}@127.0.0.1/"},
        ):  # fmt: skip
            self.calls.call("alice", "PATCH", address, wrong, status=422)
            self.calls.call("alice", "POST", f"{address}/rotate-secret", wrong, status=422)
        self.calls.call("vera", "PATCH", address, {"secret": secret}, status=404)

    def end(self) -> None:
        """After everything: rotated, tested, sent again and read."""
        self._complete()
        rotated = self.calls.values[Kind.ROTATED_WEBHOOK_SECRET]
        address = f"/webhooks/{self.made['alice']}"
        self.calls.call("alice", "POST", f"{address}/rotate-secret", {"secret": rotated}, status=200)
        self.calls.call("alice", "PATCH", f"/webhooks/{self.made['off']}", {"secret": rotated}, status=200)
        made = self.calls.call("alice", "POST", f"/webhooks/{self.made['off']}/rotate-secret", tells=_MADE, status=200)
        self.calls.searcher.add(Kind.MADE_WEBHOOK_SECRET, made["secret"])
        for name in self.made:
            who = "vera" if name == "vera" else "alice"
            self.calls.call(who, "POST", f"/webhooks/{self.made[name]}/test", status=200)
        # What has just happened is no delivery yet, so that none may be left before all are told.
        eventually(lambda: not self._missing() and self._is_told(), timeout=60, interval=0.2)
        for who in ("alice", "vera"):
            self.calls.call(who, "GET", "/webhooks", status=200)
            address = f"/webhooks/{self.made[who]}"
            for each in self.calls.call(who, "GET", f"{address}/deliveries?limit=1000", status=200):
                self.calls.call(who, "GET", f"{address}/deliveries/{each['id']}", status=200)
            last = self.calls.call(who, "GET", f"{address}/deliveries?status=succeeded&limit=1", status=200)[0]
            self.calls.call(who, "POST", f"{address}/deliveries/{last['id']}/redeliver", status=200)

    def _complete(self) -> None:
        """What all other executions of the sweep do not: one with a secret in its results, which are told."""
        secret = Kind.SECRET_PARAMETER
        output = {"plain": f"It is {{{{ {secret.name.lower()} }}}}", "api_key": "{{ secrets.SECRET }}"}
        definition: JSONObject = {
            "components": [{"id": "end", "type": "end", "config": {"output": output}}],
            "parameters": [{"name": secret.name.lower(), "type": "secret"}],
        }
        body: JSONObject = {"name": "completes", "definition": definition}
        workflow_id = self.calls.call("alice", "POST", "/workflows", body, status=201)["id"]
        execution = self.calls.execute(workflow_id, {secret.name.lower(): self.calls.values[secret]})
        eventually(lambda: self.calls.status(execution) in ENDED, timeout=60, interval=0.2)
        assert self.calls.status(execution) == "completed"

    def _missing(self) -> set[str]:
        return set(_EVENTS) - {"workflow.deleted"} - self.calls.far.told_events

    def _is_told(self) -> bool:
        left = [
            self.calls.call("vera" if name == "vera" else "alice", "GET",
                            f"/webhooks/{id_}/deliveries?status={status}&limit=1")
            for name, id_ in self.made.items() for status in ("pending", "delivering")
        ]  # fmt: skip
        return not any(left)
