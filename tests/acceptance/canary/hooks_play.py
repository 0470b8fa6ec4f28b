"""Inbound hooks in the sweep: called well and badly, seen by those who may and by others, and given a new address."""

import hashlib
import hmac
import json
from typing import Any

from tests.acceptance.canary import definitions
from tests.acceptance.canary.calls import Calls
from tests.acceptance.canary.kinds import Kind

_TOKEN = frozenset({Kind.HOOK_TOKEN})


def play_hooks(calls: Calls) -> dict[str, str]:
    """All of it; the workflow that is called, name -> id. It is not active any more: nobody is shown its address."""
    secret, sender = calls.values[Kind.HOOK_SECRET], calls.values[Kind.HOOK_SENDER]
    definition = {
        "components": [
            definitions.part("begin", "start", trigger_type="webhook", hmac_secret=secret),
            definitions.part("tell", "log", message="{{ input.body.password }} {{ input.headers }}"),
            definitions.part("stumble", "fail", message="{{ components.begin.output.body.password }}"),
        ],
        "connections": [{"source": "begin", "target": "tell"}, {"source": "tell", "target": "stumble"}],
    }
    made = calls.call("alice", "POST", "/workflows", {"name": "hooked", "definition": definition}, status=201)["id"]
    address = f"/workflows/{made}"
    old = _token(calls, calls.call("alice", "POST", f"{address}/activate", tells=_TOKEN, status=200)["triggers"][0])
    calls.call("alice", "GET", address, tells=_TOKEN, status=200)
    calls.call("vera", "GET", address, status=404)
    calls.call("vera", "POST", f"{address}/triggers/begin/rotate", status=404)
    raw = json.dumps({"password": calls.values[Kind.HOOK_BODY], "n": 1}).encode()
    signed = {"X-Webhook-Signature": "sha256=" + hmac.new(secret.encode(), raw, hashlib.sha256).hexdigest()}
    theirs = {"Authorization": f"Bearer {sender}", "Cookie": f"session={sender}", "X-API-Key": sender}
    for status, headers, path in ((401, theirs, old), (202, {**theirs, **signed}, old), (404, signed, "A" * 43)):
        answer = calls.call("", "POST", f"/hooks/{path}", raw=raw, headers=headers, status=status)
        if status == 202:
            calls.executions.append(answer["execution_id"])
    calls.call("", "POST", f"/hooks/{old}?wait=20", raw=raw, headers={**theirs, **signed}, status=200)
    calls.call("", "POST", f"/hooks/{old}", raw=b"{", headers=theirs, status=400)
    calls.call("", "PUT", f"/hooks/{old}", raw=raw, headers=theirs, status=405)
    new = _token(calls, calls.call("alice", "POST", f"{address}/triggers/begin/rotate", tells=_TOKEN, status=200))
    calls.call("", "POST", f"/hooks/{old}", raw=raw, headers=signed, status=404)
    calls.call("", "POST", f"/hooks/{new}", raw=raw, headers=signed, status=202)
    calls.call("alice", "GET", f"{address}/triggers/begin/events", status=200)
    calls.call("alice", "POST", f"{address}/deactivate", status=200)
    calls.call("", "POST", f"/hooks/{new}", raw=raw, headers=signed, status=404)
    return {"hooked": made}


def _token(calls: Calls, trigger: dict[str, Any]) -> str:
    return calls.searcher.add(Kind.HOOK_TOKEN, str(trigger["url"]).rpartition("/")[2])
