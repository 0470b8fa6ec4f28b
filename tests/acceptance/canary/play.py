"""What the sweep does with the platform: every person, every address, and every way of going wrong, over HTTP."""

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from core.ids import new_id
from core.types import JSONValue
from tests.acceptance.canary import definitions
from tests.acceptance.canary.browser import Browser
from tests.acceptance.canary.calls import ENDED, TOKENS, Calls
from tests.acceptance.canary.hooks_play import play_hooks
from tests.acceptance.canary.kinds import Kind
from tests.acceptance.canary.lifecycle_play import LifecyclePlay
from tests.acceptance.canary.oauth_play import OAuthPlay
from tests.acceptance.canary.socket_play import play_sockets
from tests.acceptance.canary.templates_play import play_templates
from tests.acceptance.canary.webhooks_play import WebhooksPlay
from tests.eventually import START_SECONDS, eventually
from tests.faults.harness import Process

ADMINISTRATOR = "admin@example.com"
MAX_BODY_BYTES = 65_536
_IN_THE_ADMIN = {"user", "session", "secret", "workflow", "oauthapplication", "apikey", "auditentry", "template",
                 "webhook", "delivery"}  # fmt: skip


@dataclass
class Play(Calls):
    """Everything that is done, by act."""

    def everything(self) -> None:
        """All of it, in order."""
        eventually(self._is_up, timeout=START_SECONDS, interval=0.2)
        worker = self.stack.worker()
        self.people()
        self.keys_and_secrets()
        self.stack.webhooks_worker()
        webhooks = WebhooksPlay(self)
        webhooks.begin()
        workflows = self.store_workflows()
        self.refusals()
        self.run(workflows)
        waiting = self.executions[-1]
        self.break_off(workflows, worker)
        self.signal_and_retry(waiting)
        workflows |= LifecyclePlay(self, workflows).everything()
        workflows |= play_templates(self, workflows["literals"])
        # One of them is waited for: nothing is to be in its way.
        self.settle()
        workflows |= play_hooks(self)
        self.settle()
        self.read_everything(workflows)
        play_sockets(self, workflows.values())
        webhooks.end()
        staff = Browser(self)
        staff.log_in("/admin/login/?next=/admin/", ADMINISTRATOR,
                     (self.values[Kind.WRONG_PASSWORD], self.values[Kind.ADMINISTRATOR]))  # fmt: skip
        OAuthPlay(self, staff).everything(workflows["child"])
        self.credentials()
        rotations = self.rotate_keys()
        self.set_password(staff)
        pages = staff.walk()
        assert {path.split("/")[3] for path in pages if "/change/" in path} >= _IN_THE_ADMIN, pages
        for rotation, code in zip(rotations, (1, 0), strict=True):
            assert rotation.popen.wait(60) == code
            assert "accounts_secret.sealed_value" in rotation.text()

    def _is_up(self) -> bool:
        try:
            return self.stack.web.send("GET", "/api/v1/health", b"", {})[0] == 200
        except OSError:
            return False

    def people(self) -> None:
        """A superuser, and two people that it makes over the API."""
        self.log_in("staff", ADMINISTRATOR, self.values[Kind.ADMINISTRATOR])
        for name, kind in (("alice", Kind.PASSWORD), ("vera", Kind.PASSWORD)):
            body = {"email": f"{name}@example.com", "password": self.values[kind], "tier": "enterprise"}
            self.users[name] = self.call("staff", "POST", "/auth/users", body)["id"]
            self.log_in(name, f"{name}@example.com", self.values[kind])
        # Taken: the statement fails, and PostgreSQL may log it.
        body = {"email": "alice@example.com", "password": self.values[Kind.PASSWORD]}
        self.call("staff", "POST", "/auth/users", body)
        for path in ("/auth/users", f"/auth/users/{self.users['alice']}"):
            self.call("staff", "GET", path)
        self.call("staff", "PATCH", f"/auth/users/{self.users['alice']}", {"password": "short"})

    def keys_and_secrets(self) -> None:
        """An API key, and a secret for each kind that is read as one."""
        body = {"name": "k", "permissions": ["*"]}
        key = self.call("alice", "POST", "/auth/api-keys", body, tells=frozenset({Kind.API_KEY}))
        # Its beginning is its name, and shown.
        self.searcher.add(Kind.API_KEY, key["key"][len(key["prefix"]) :])
        self.tokens["key"] = key["key"]
        self.call("", "GET", "/workflows", headers={"X-API-Key": key["key"]})
        self.call("alice", "GET", "/auth/api-keys")
        self.call("alice", "GET", f"/auth/api-keys/{key['id']}")
        for kind in definitions.BY_SECRET:
            self.call("alice", "POST", "/secrets", {"name": kind.name, "value": self.values[kind]})
        password = quote(self.values[Kind.DATABASE_URL], safe="")
        self.stack.execute_sql("CREATE ROLE far LOGIN; ALTER ROLE far SET log_min_messages = 'panic'")
        for name, port in (("WAREHOUSE", self.database_port), ("NO_WAREHOUSE", 1)):
            url = f"postgresql://far:{password}@127.0.0.1:{port}/apg"
            self.call("alice", "POST", "/secrets", {"name": name, "value": url})
        url = f"http://user:{quote(self.values[Kind.URL_OF_SECRET], safe='')}@127.0.0.1/"
        self.call("alice", "POST", "/secrets", {"name": Kind.URL_OF_SECRET.name, "value": url})
        # Taken, unknown, of the wrong type.
        secret = self.values[Kind.SECRET]
        self.call("alice", "POST", "/secrets", {"name": Kind.SECRET.name, "value": secret})
        self.call("alice", "POST", "/secrets", {"name": "a b", "value": secret})
        self.call("alice", "POST", "/secrets", {"name": "OTHER", "value": [secret]})
        self.call("alice", "POST", "/secrets", {"name": "OTHER", "value": {"value": secret}, "secret": secret})
        self.call("alice", "PUT", "/secrets/OTHER", {"value": secret})
        self.call("alice", "GET", "/secrets")

    def store_workflows(self) -> dict[str, str]:
        """Name -> id of what was stored."""
        far, values = self.far.url, self.values
        found = {"child": self._store("child", definitions.child())}
        found["ways"] = self._store("ways", definitions.ways_out(far, found["child"]))
        found["waiting"] = self._store("waiting", definitions.waiting(far))
        found["killed"] = self._store("killed", definitions.slow(far, Kind.KILLED))
        unfinished = Kind.BROKEN_OFF
        found["cancelled"] = self._store("cancelled", definitions.slow(far, unfinished))
        found["timed out"] = self._store("timed out", definitions.slow(far, unfinished, timeout_seconds=1))
        found["literals"] = self._store("literals", definitions.literals(values, far))
        for workflow_id in found.values():
            self.call("alice", "POST", f"/workflows/{workflow_id}/shares",
                      {"user_id": self.users["vera"], "role": "viewer"})  # fmt: skip
        return found

    def _store(self, name: str, definition: JSONValue) -> str:
        body = {"name": name, "definition": definition}
        self.call("alice", "POST", "/workflows/validate", {"definition": definition})
        return str(self.call("alice", "POST", "/workflows", body)["id"])

    def refusals(self) -> None:
        """Definitions that do not fit, at every address that takes one; and bodies that cannot be read."""
        broken = definitions.refused(self.values, self.far.url, quote(self.values[Kind.URL_PASSWORD], safe=""))
        for component in broken["components"]:
            one = {**broken, "components": [component], "parameters": []}
            self.call("alice", "POST", "/workflows/validate", {"definition": one})
        self.call("alice", "POST", "/workflows/validate", {"definition": broken})
        self.call("alice", "POST", "/workflows", {"name": "broken", "definition": broken})
        self.call("alice", "POST", "/workflows", {"name": "literals", "definition":
                  definitions.literals(self.values, self.far.url)})  # fmt: skip
        text = json.dumps({"username": "alice@example.com", "password": self.values[Kind.WRONG_PASSWORD]}).encode()
        for bad in (text[:-1], text + b"}", text.replace(b'"username"', b'"nobody"'), b" " * MAX_BODY_BYTES + text):
            self.call("", "POST", "/auth/login", raw=bad)
        self.call("", "POST", "/auth/login", raw=text, headers={"Content-Type": "text/plain"})

    def run(self, workflows: dict[str, str]) -> None:
        """Executions of all that end, and one that waits; the ids in `executions`."""
        values = self.values
        nested: JSONValue = {"api_key": values[Kind.NESTED]}
        for level in range(20):
            nested = {"next": nested} if level % 2 else [nested]
        given = {kind.name.lower(): values[kind] for kind in definitions.BY_PARAMETER}
        parameters = {
            **given, "sensitive_one": {"a": [values[Kind.SENSITIVE_PARAMETER]]}, "nested": nested,
            "db_password": values[Kind.NAMED_PARAMETER],
        }  # fmt: skip
        for name in ("ways", "literals", "waiting"):
            given_here = {} if name == "literals" else parameters
            # These two headers are told back, and are no secrets.
            headers = {"Idempotency-Key": new_id(), "X-Request-ID": new_id()}
            self.execute(workflows[name], given_here, headers=headers)
            self.call(
                "alice", "POST", f"/workflows/{workflows[name]}/execute", {"parameters": given_here}, headers=headers
            )
        # Of the wrong type, and in a batch.
        wrong = {name: [value] for name, value in parameters.items()}
        self.call("alice", "POST", f"/workflows/{workflows['ways']}/execute", {"parameters": wrong})
        self.call("alice", "POST", f"/workflows/{workflows['ways']}/execute", {"parameters": parameters, "tags": 1})
        batch = [{"workflow_id": workflows["ways"], "parameters": each} for each in (wrong, parameters)]
        self.call("alice", "POST", "/v2/workflows/execute-batch", {"executions": batch})

    def break_off(self, workflows: dict[str, str], worker: Any) -> None:
        """A component whose worker is killed, one that is cancelled and one that takes too long."""
        # What the other workflows run is seen beside the worker first.
        eventually(lambda: self.stack.watchers[0].sandboxes, timeout=START_SECONDS)
        eventually(lambda: self.status(self.executions[0]) in ENDED, timeout=180, interval=0.2)
        killed = self.execute(workflows["killed"])
        eventually(lambda: self.running(killed), timeout=60, interval=0.2)
        # It runs before it sends; killed in between, nobody would have been told.
        eventually(lambda: self.far.was_told(self.values[Kind.KILLED]), timeout=60, interval=0.05)
        worker.kill()
        self.stack.worker()
        cancelled, _ = self.execute(workflows["cancelled"]), self.execute(workflows["timed out"])
        eventually(lambda: self.running(cancelled) and self.running(killed), timeout=60, interval=0.2)
        self.call("alice", "GET", f"/executions/{killed}/diagnosis")
        for execution in (cancelled, killed):
            self.call("alice", "POST", f"/executions/{execution}/cancel")

    def signal_and_retry(self, execution: str) -> None:
        """Diagnosed while it waits, told what it waits for, and run again from where it was told."""
        self.call("vera", "GET", f"/executions/{execution}/diagnosis")
        self.call("alice", "PUT", f"/secrets/{Kind.REPLACED_SECRET.name}", {"value": self.values[Kind.SECRET]})
        values = self.values
        field = {"password": values[Kind.SIGNAL], "list": [{"api_key": values[Kind.SIGNAL]}]}
        self.call("alice", "POST", f"/executions/{execution}/signals/field", {"data": field, "more": field})
        self.call("alice", "POST", f"/executions/{execution}/signals/field", {"data": field})
        # Of one that is kept, since nobody waits for it, and one that is waited for.
        self.call("alice", "POST", f"/executions/{execution}/signals/kept", {"data": field})
        data = {"note": f"it is {values[Kind.SIGNAL_VALUE]}"}
        self.call("alice", "POST", f"/executions/{execution}/signals/go", {"data": data})
        eventually(lambda: self.status(execution) in ENDED, timeout=60, interval=0.2)
        again: dict[str, Any] = {"from_component": "repeat"}
        self.call("alice", "POST", f"/executions/{execution}/retry", {**again, "preview": True})
        self.executions.append(self.call("alice", "POST", f"/executions/{execution}/retry", again)["id"])
        unknown = {"from_component": f"x{values[Kind.SECRET]}"[:64]}
        self.call("vera", "POST", f"/executions/{execution}/retry", unknown)

    def read_everything(self, workflows: dict[str, str]) -> None:
        """Every list and every object, by the owner, by her key and by a viewer."""
        executions = [execution["id"] for execution in self.call("alice", "GET", "/executions?limit=100")]
        paths = ["/workflows", "/executions?limit=100", "/components"]
        paths += [f"/workflows/{id_}?include_stats=true" for id_ in workflows.values()]
        for id_ in executions:
            paths += [f"/executions/{id_}{below}" for below in ("", "/diagnosis", "/logs?limit=1000",
                      "/events?limit=1000", "/components?limit=1000")]  # fmt: skip
        for who, what in (("alice", paths), ("vera", paths), ("key", paths[:4])):
            for path in what:
                self.call(who, "GET", path)
        for id_ in workflows.values():
            self.call("alice", "POST", f"/workflows/{id_}/validate")
            self.call("alice", "GET", f"/workflows/{id_}/shares")
            self.call("alice", "PATCH", f"/workflows/{id_}", {"description": "changed"})
            self.call("vera", "PATCH", f"/workflows/{id_}", {"description": "not allowed"})

    def credentials(self) -> None:
        """Refreshed, used twice, mistyped, changed, ended; and what the audit log says of it all."""
        pair = self.log_in("vera", "vera@example.com", self.values[Kind.PASSWORD])
        body = {"refresh_token": pair["refresh_token"]}
        self.take_tokens("vera", self.call("", "POST", "/auth/refresh", body, tells=TOKENS))
        self.call("", "POST", "/auth/refresh", body)
        self.call("", "POST", "/auth/refresh", {"refresh_token": self.values[Kind.WRONG_TOKEN]})
        for name in ("alice@example.com", "nobody@example.com"):
            self.call("", "POST", "/auth/login", {"username": name, "password": self.values[Kind.WRONG_PASSWORD]})
        for header in (f"Bearer {self.values[Kind.WRONG_TOKEN]}", f"Basic {self.values[Kind.WRONG_TOKEN]}"):
            self.call("", "GET", "/auth/me", headers={"Authorization": header})
        self.call("", "GET", "/auth/me", headers={"X-API-Key": f"apg_{self.values[Kind.WRONG_TOKEN]}"})
        change = {"current_password": self.values[Kind.PASSWORD], "new_password": self.values[Kind.NEW_PASSWORD]}
        self.call("alice", "POST", "/auth/password", {**change, "current_password": self.values[Kind.WRONG_PASSWORD]})
        self.call("alice", "POST", "/auth/password", {**change, "new_password": [self.values[Kind.NEW_PASSWORD]]})
        self.call("alice", "POST", "/auth/password", change)
        pair = self.log_in("alice", "alice@example.com", self.values[Kind.NEW_PASSWORD])
        self.call("alice", "GET", "/auth/me")
        self.call("alice", "POST", "/auth/logout", {"refresh_token": pair["refresh_token"]})
        self.call("alice", "GET", "/auth/me")
        self.call("staff", "GET", "/audit?limit=1000")
        self.call("staff", "GET", f"/audit?action={quote('login.refused')}")

    def rotate_keys(self) -> list[Process]:
        """The next key before the one that has sealed so far; one row does not open, which is told.

        The rotation, which ends with 1, and a dry run, both under way.
        """
        last = "length(sealed_value) - 1"
        altered = f"set_byte(sealed_value, {last}, get_byte(sealed_value, {last}) # 1)"
        name = Kind.REPLACED_SECRET.name
        self.stack.execute_sql(f"UPDATE accounts_secret SET sealed_value = {altered} WHERE name = '{name}'")
        ring = f"{self.values[Kind.NEXT_ENCRYPTION_KEY]},{self.values[Kind.ENCRYPTION_KEY]}"
        return [
            self.stack.launch("rotate", "manage.py", "rotate_keys", *options, APG_ENCRYPTION_KEYS=ring)
            for options in ((), ("--dry-run",))
        ]

    def set_password(self, staff: Browser) -> None:
        """Staff make a user in the admin and set another's password, mistyped first."""
        new, wrong = self.values[Kind.SET_PASSWORD], self.values[Kind.WRONG_PASSWORD]
        user = {"email": "xena@example.com", "username": "xena", "tier": "free"}
        # Django gives the browser that changed a password a session with a new key.
        new_session = frozenset({Kind.SESSION_KEY})
        for address, fields, tells in (
            ("/admin/accounts/user/add/", user, frozenset[str]()),
            (f"/admin/accounts/user/{self.users['vera']}/password/", {}, new_session),
        ):
            page = staff.load("GET", address)
            passwords = {**fields, "usable_password": "true", "password1": new}
            assert staff.submit(page, address, {**passwords, "password2": wrong}).status == 200
            assert staff.submit(page, address, {**passwords, "password2": new}, tells).status == 302
