"""Templates in the sweep: refused with literals in every place, and filled in with secrets, well and badly."""

from typing import Any

from core.types import JSONObject
from tests.acceptance.canary import definitions
from tests.acceptance.canary.calls import Calls
from tests.acceptance.canary.kinds import Kind

_FORM: list[JSONObject] = [
    {"name": "token", "parameter_type": "secret", "required": True, "validation_rules": {"max_length": 60}},
    {"name": "api_key", "parameter_type": "string", "validation_rules": {"max_length": 60}},
]


def play_templates(calls: Calls, literals_id: str) -> dict[str, str]:
    """All of it; the workflow made of a template, name -> id. `literals_id`: a workflow with literal secrets."""
    body = {"name": "A template", "definition": _definition(calls), "parameters": _FORM}
    address = f"/templates/{calls.call('alice', 'POST', '/templates', body, status=201)['id']}"
    for bad in _with_literals(calls, literals_id):
        calls.call("alice", "POST", "/templates", {"name": "Another", **bad}, status=422)
        if "workflow_id" not in bad:
            calls.call("alice", "PUT", address, {"name": "Another", **bad}, status=422)
            calls.call("alice", "PATCH", address, bad, status=422)
    value = calls.values[Kind.FILLED_IN]
    make = f"{address}/create-workflow"
    filled = {"token": value, "api_key": value}
    for wrong in ({"token": [value]}, {"token": value * 2}, {"api_key": value * 2}, {"api_key": {"a": value}},
                  {"passwort": value}):  # fmt: skip
        calls.call("alice", "POST", make, {"name": "wrong", "parameters": {**filled, **wrong}}, status=422)
    calls.call("alice", "POST", make, {"name": "wrong", "parameters": filled, "password": value}, status=422)
    made = calls.call("alice", "POST", make, {"name": "filled in", "parameters": filled}, status=201)["id"]
    calls.call("alice", "POST", make, {"name": "filled in", "parameters": filled}, status=409)
    calls.call("vera", "POST", make, {"name": "filled in", "parameters": filled}, status=404)
    calls.call("staff", "PATCH", address, {"published": True}, status=200)
    calls.call("vera", "POST", make, {"name": "filled in", "parameters": filled}, status=201)
    calls.call("vera", "POST", f"{address}/rate", {"rating": 4}, status=200)
    for who in ("alice", "vera"):
        calls.call(who, "GET", "/templates?search=template", status=200)
        calls.call(who, "GET", address, status=200)
        calls.call(who, "GET", f"/workflows/{made}")
    calls.execute(made)
    return {"filled in": made}


def _definition(calls: Calls) -> JSONObject:
    """Tells the far end both fields of the form, and fails in repeating one."""
    headers = {"Authorization": "Bearer {{ token }}", "X-Api-Key": "{{ api_key }}"}
    return {
        "components": [
            definitions.part("tell", "http_request", url=f"{calls.far.url}/fail", method="POST", headers=headers),
            definitions.part("stumble", "fail", message="{{ token }} {{ api_key }}"),
        ],
        "settings": {"on_failure": "continue"},
    }


def _with_literals(calls: Calls, literals_id: str) -> list[dict[str, Any]]:
    """Bodies that hold a secret where a template may have none."""
    value, far = calls.values[Kind.IN_A_TEMPLATE], calls.far.url
    every = dict.fromkeys(Kind, value)
    return [
        {"definition": definitions.literals(every, far)},
        {"workflow_definition": definitions.refused(every, far, value)},
        {"workflow_id": literals_id},
        {"definition": _definition(calls), "parameters": [{**_FORM[0], "default_value": value}]},
        {"definition": _definition(calls), "parameters": [{**_FORM[1], "default_value": value}]},
        {"definition": _definition(calls), "parameters": [{**_FORM[0], "options": [value], "password": value}]},
        {"definition": _definition(calls), "parameters": {"password": value}},
        {"definition": _definition(calls), "parameters": [{**_FORM[1], "options": [value]}]},
        {
            "definition": _definition(calls),
            "parameters": [{**_FORM[1], "options": [value], "validation_rules": {"enum": [value, "x"]}}],
        },
        {"definition": {"components": {"password": value}}},
    ]
