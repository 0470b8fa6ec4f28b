"""What becomes of literals: read and put back, copied, carried elsewhere, done in bulk; groups; passwords of staff."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from core.types import JSONObject
from tests.acceptance.canary import definitions
from tests.acceptance.canary.calls import Calls
from tests.acceptance.canary.kinds import Kind

_FACTS = ("name", "description", "definition", "category", "tags", "priority")
_BULK = "/v2/workflows/bulk"
_YAML = {"Content-Type": "application/yaml"}


@dataclass
class LifecyclePlay:
    """Alice's workflows of the sweep, by name, some of which have literals; Vera views them."""

    calls: Calls
    workflows: dict[str, str]
    made: dict[str, str] = field(default_factory=dict)

    def everything(self) -> dict[str, str]:
        """All of it; the workflows that it made, name -> id. One execution of each is started."""
        self._versions()
        self._put_back()
        self._copies()
        self._imports()
        self._bulk()
        self._groups()
        self._passwords()
        for workflow_id in self.made.values():
            self.calls.execute(workflow_id)
        for action in ("deactivate", "activate", "archive", "deactivate"):
            for who in ("alice", "vera"):
                self.calls.call(who, "POST", f"/workflows/{self.made['versions']}/{action}")
        return self.made

    def _versions(self) -> None:
        found = self._create("versions", Kind.EARLIER)
        self.calls.call("alice", "PATCH", f"/workflows/{found}", {"definition": definitions.child()}, status=200)
        for who in ("alice", "vera"):
            for below in ("", "/1", "/2", "/99"):
                self.calls.call(who, "GET", f"/workflows/{found}/versions{below}")
        restore = f"/workflows/{found}/versions/1/restore"
        self.calls.call("vera", "POST", restore, status=403)
        self.calls.call("alice", "POST", restore, {"expected_version": 1}, status=409)
        self.calls.call("alice", "POST", restore, status=200)

    def _put_back(self) -> None:
        """As it was read; and with a mark where nothing is stored, which is refused."""
        for name in ("literals", "versions"):
            address = f"/workflows/{(self.workflows | self.made)[name]}"
            read = self.calls.call("alice", "GET", address)
            body = {fact: read[fact] for fact in _FACTS}
            self.calls.call("alice", "PUT", address, body, status=200)
            self.calls.call("alice", "PUT", address, {**body, "expected_version": 99}, status=409)
            moved = _moved(body)
            self.calls.call("alice", "PUT", address, moved, status=422)
            for who in ("alice", "vera"):
                self.calls.call(who, "POST", f"{address}/validate", {"definition": moved["definition"]}, status=200)
                self.calls.call(who, "POST", f"{address}/validate", {"definition": body["definition"]}, status=200)
            self.calls.call("vera", "PUT", address, body, status=403)

    def _copies(self) -> None:
        found = self.made["versions"]
        for who, body, status in (("alice", {"name": "a copy"}, 201), ("alice", {"name": "a copy"}, 409),
                                  ("alice", {"name": [1]}, 422), ("vera", {}, 403)):  # fmt: skip
            copy = self.calls.call(who, "POST", f"/workflows/{found}/duplicate", body, status=status)
            if status == 201:
                self._keep("a copy", copy["id"])
        for workflow_id in (found, self.workflows["literals"]):
            for who in ("alice", "vera"):
                for query in ("", "?format=yaml", "?format=xml"):
                    self.calls.call(who, "GET", f"/workflows/{workflow_id}/export{query}")
        document = self.calls.call("alice", "GET", f"/workflows/{found}/export")
        self.calls.call("vera", "POST", "/workflows/import", {**document, "name": "marks"}, status=422)

    def _imports(self) -> None:
        for language, headers in (("JSON", {}), ("YAML", _YAML)):
            name = f"imported {language}"
            document = {"format": 1, "name": name, "definition": self._literals(Kind.IMPORTED)}
            text = (json.dumps(document) if language == "JSON" else yaml.safe_dump(document)).encode()
            for status in (201, 409):
                answer = self.calls.call("alice", "POST", "/workflows/import", raw=text, headers=headers, status=status)
                if status == 201:
                    self._keep(name, answer["id"])
            wrong = text.replace(b"format", b"formal")
            self.calls.call("alice", "POST", "/workflows/import", raw=wrong, headers=headers, status=422)
        broken = {"name": "broken", "definition": self._refused(Kind.BROKEN_IMPORT)}
        self.calls.call("alice", "POST", "/workflows/import", broken, status=422)
        self.calls.call("alice", "POST", "/workflows/import", raw=yaml.safe_dump(broken).encode(), headers=_YAML,
                        status=422)  # fmt: skip
        value = self.calls.values[Kind.BROKEN_IMPORT].encode()
        for bad in _broken_yaml(value):
            text = b"name: broken\ndefinition:\n  password: " + bad
            self.calls.call("alice", "POST", "/workflows/import", raw=text, headers=_YAML)
            assert self.calls.statuses[-1][0] in {400, 422}, bad.replace(value, b"***")
        for bad in (b'"%s', b'"%s" "', b"'%s'", b"%s", b'"%s\\q"', b'"%s\xff"', b'"%s\x00"', b'"%s\\u0000"', b'["%s"'):
            text = b'{"name": "broken", "definition": {"password": ' + bad.replace(b"%s", value) + b"}}"
            self.calls.call("alice", "POST", "/workflows/import", raw=text)
            assert self.calls.statuses[-1][0] in {400, 422}, bad

    def _bulk(self) -> None:
        literals = {"definition": self._literals(Kind.IN_BULK)}
        body = {"operations": [_operation("create", **literals, name=f"bulk {number}") for number in (1, 2)]}
        first, second = self.calls.call("alice", "POST", _BULK, body, status=200)["results"]
        self._keep("bulk 1", first["data"]["id"])
        self._keep("bulk 2", second["data"]["id"])
        shown = self.calls.call("alice", "GET", f"/workflows/{self.made['bulk 1']}")["definition"]
        good = [
            _operation("update", self.made["bulk 1"], definition=shown),
            _operation("update", self.made["bulk 2"], definition=self._literals(Kind.IN_BULK)),
            _operation("deactivate", self.made["bulk 2"]),
            _operation("activate", self.made["bulk 2"]),
        ]
        refused = {"definition": self._refused(Kind.REFUSED_IN_BULK), "name": "broken"}
        undone = {"definition": self._literals(Kind.REFUSED_IN_BULK), "name": "undone"}
        value = self.calls.values[Kind.REFUSED_IN_BULK]
        bad: list[Any] = [
            _operation("create", **refused),
            _operation("update", self.made["bulk 1"], **refused),
            _operation("update", self.made["bulk 2"], **undone, expected_version=99),
            _operation("update", self.made["bulk 2"], definition=_moved(shown)),
            _operation("update", self.made["bulk 2"], api_key=value, definition={"password": value}),
            _operation("delete", self.made["bulk 2"], force=value),
            {"operation": "creat", "data": undone},
            {"operation": "create", "data": [value]},
            {"operation": "create", "data": undone, "workflow_id": self.made["bulk 1"]},
            value,
        ]
        for who in ("alice", "vera"):
            results = self.calls.call(who, "POST", _BULK, {"operations": good + bad}, status=200)["results"]
            assert [result["success"] for result in results[len(good) :]] == [False] * len(bad)
            assert [result["success"] for result in results[: len(good)]] == [who == "alice"] * len(good)
        for last in bad:
            operations = [_operation("create", **undone), last]
            told = self.calls.call("alice", "POST", _BULK, {"operations": operations, "atomic": True}, status=200)
            assert told["summary"]["successful"] == 0
        self.calls.call("alice", "POST", _BULK, {"operations": undone, "atomic": value}, status=422)

    def _groups(self) -> None:
        alice, vera = self.calls.users["alice"], self.calls.users["vera"]
        group = self.calls.call(
            "staff", "POST", "/auth/groups", {"name": "viewers", "members": [alice, vera]}, status=201
        )
        share = {"group_id": group["id"], "role": "viewer"}
        for name in ("imported JSON", "bulk 1"):
            self.calls.call("alice", "POST", f"/workflows/{self.made[name]}/shares", share, status=201)
        address = f"/auth/groups/{group['id']}"
        for method, body in (("GET", None), ("PATCH", {"name": "readers"}), ("PUT", {"name": "viewers", "members":
                             [alice, vera]}), ("PATCH", {"members": ["nobody"]}), ("DELETE", None)):  # fmt: skip
            for who in ("vera", "staff"):
                self.calls.call(who, method, address, body)
        self.calls.call("staff", "GET", "/auth/groups")

    def _passwords(self) -> None:
        """Of a third person, whose password staff set: well, and in several ways not."""
        calls, new = self.calls, self.calls.values[Kind.SET_PASSWORD]
        body = {"email": "wim@example.com", "password": calls.values[Kind.PASSWORD]}
        address = f"/auth/users/{calls.call('staff', 'POST', '/auth/users', body, status=201)['id']}"
        calls.log_in("wim", "wim@example.com", calls.values[Kind.PASSWORD])
        for wrong in ({"password": [new]}, {"password": new, "email": "vera@example.com"}, {"password": new * 200},
                      {"password": new, "requests_per_hour": 1}, {"password": new, "passwort": new}):  # fmt: skip
            calls.call("staff", "PATCH", address, wrong)
            assert calls.statuses[-1][0] in {409, 422}
        calls.call("staff", "PUT", address, {"password": new}, status=422)
        calls.call("vera", "PATCH", address, {"password": new}, status=403)
        calls.call("staff", "PATCH", address, {"password": new}, status=200)
        calls.call("wim", "GET", "/auth/me", status=401)
        calls.log_in("wim", "wim@example.com", new)
        calls.call("staff", "PUT", address, {"email": "wim@example.com", "password": new}, status=200)
        calls.call("staff", "PATCH", address, {"is_active": False}, status=200)

    def _create(self, name: str, kind: Kind) -> str:
        body = {"name": name, "definition": self._literals(kind)}
        return self._keep(name, self.calls.call("alice", "POST", "/workflows", body, status=201)["id"])

    def _keep(self, name: str, workflow_id: str) -> str:
        """Another workflow, which Vera may see."""
        self.made[name] = workflow_id
        share = {"user_id": self.calls.users["vera"], "role": "viewer"}
        self.calls.call("alice", "POST", f"/workflows/{workflow_id}/shares", share, status=201)
        return workflow_id

    def _literals(self, kind: Kind) -> JSONObject:
        """One value in every place of a definition that keeps one secret."""
        return definitions.literals(dict.fromkeys(Kind, self.calls.values[kind]), self.calls.far.url)

    def _refused(self, kind: Kind) -> JSONObject:
        value = self.calls.values[kind]
        return definitions.refused(dict.fromkeys(Kind, value), self.calls.far.url, value)


def _moved(shown: JSONObject) -> JSONObject:
    """What holds a definition as it was read, with the marks of a component in another one."""
    moved: JSONObject = json.loads(json.dumps(shown).replace('"id": "header"', '"id": "elsewhere"'))
    return moved


def _operation(kind: str, workflow_id: str | None = None, /, **data: Any) -> JSONObject:
    return {"operation": kind, "data": data, **({"workflow_id": workflow_id} if workflow_id else {})}


def _broken_yaml(value: bytes) -> Iterator[bytes]:
    """A password that nobody can read: each stops a YAML reader in a way of its own, in or beside the value."""
    for text in (
        b'"%s', b"'%s' %s", b'"%s\\q"', b"*%s", b"&%s x", b"!%s x", b"!<%s x", b"!%s!x x", b"%%%s", b"@%s", b"`%s",
        b"%s: %s", b"[%s", b"{%s: %s}}", b"|%s\n  x", b">9%s", b"%s\n %s: x", b"\t%s\n\tb: %s", b'"%s\x07"',
        b'"%s\\u0000"', b"%s\xff", b"%s\n---\nname: %s", b"%s\n...\n%%YAML %s\n---\nx", b"%s\n? [%s]\n: x",
        b"%s\n  password: x", b"%s\n- %s", b'"\\x%s"', b"? %s",
    ):  # fmt: skip
        yield text.replace(b"%%", b"\0").replace(b"%s", value).replace(b"\0", b"%")
