"""OAuth 2 in the sweep: clients are registered, people asked, codes and tokens used, used twice, mistyped and ended."""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from tests.acceptance.canary.browser import Browser
from tests.acceptance.canary.calls import Calls
from tests.acceptance.canary.kinds import Kind

_REGISTER = "/admin/accounts/oauthapplication/add/"
_LOGIN = "/api/v1/oauth/login"
_REDIRECT = "https://client.example.com/callback"
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}
_CODE = re.compile(r"<code>([^<]+)</code>")
_TOKENS = {"access_token": Kind.OAUTH_ACCESS_TOKEN, "refresh_token": Kind.OAUTH_REFRESH_TOKEN}


@dataclass(frozen=True)
class _Client:
    """A program that was registered."""

    id: str
    secret: str = field(repr=False)

    @property
    def form(self) -> dict[str, str]:
        return {"client_id": self.id, "client_secret": self.secret}

    @property
    def header(self) -> dict[str, str]:
        return {"Authorization": "Basic " + base64.b64encode(f"{self.id}:{self.secret}".encode()).decode()}


@dataclass
class OAuthPlay:
    """Two clients, the person whom one asks, and the other's owner, who are the same."""

    calls: Calls
    staff: Browser
    person: Browser = field(init=False)

    def __post_init__(self) -> None:
        self.person = Browser(self.calls)
        self.wrong = self.calls.values[Kind.WRONG_CREDENTIAL]

    def everything(self, workflow_id: str) -> None:
        """All of it; `workflow_id`: a workflow of the person's, to change with a token."""
        client = self._register("Reports", {"authorization_grant_type": "authorization-code"})
        service = self._register("Nightly", {"authorization_grant_type": "client-credentials",
                                 "redirect_uris": "", "user": self.calls.users["alice"]})  # fmt: skip
        self._log_in(client)
        self._exchange(client, workflow_id)
        self._refresh(client)
        self._service(service, workflow_id)
        self._look_and_end(client, service)
        # What nobody exchanges stays where it is kept.
        self._allow(client)
        page = self.person.load("GET", self._authorize(client))
        self.person.submit(page, "/api/v1/oauth/logout", {"next": "/api/v1/oauth/login"})

    def _register(self, name: str, fields: dict[str, str]) -> _Client:
        """The one answer that tells the secret is this one's."""
        form = {"name": name, "client_type": "confidential", "redirect_uris": _REDIRECT, **fields}
        page = self.staff.load("GET", _REGISTER)
        refused = self.staff.submit(page, _REGISTER, {**form, "redirect_uris": "http://example.com/#"})
        assert "errornote" in refused.text
        shown = self.staff.submit(page, _REGISTER, form, frozenset({Kind.CLIENT_SECRET}))
        id_, secret = _CODE.findall(shown.text)
        return _Client(id_, self.calls.searcher.add(Kind.CLIENT_SECRET, secret))

    def _log_in(self, client: _Client) -> None:
        asked = self._authorize(client)
        away = self.person.load("GET", asked)
        assert away.status == 302
        nobody = Browser(self.calls)
        password = {"username": "alice@example.com", "password": self.calls.values[Kind.WRONG_PASSWORD]}
        assert nobody.load("POST", _LOGIN, password).status == 403, "a form without a token of its page"
        headers = {"Cookie": f"sessionid={self.wrong}", "Accept": "text/html"}
        self.calls.stack.web.send("GET", asked, b"", headers)
        passwords = self.calls.values[Kind.WRONG_PASSWORD], self.calls.values[Kind.PASSWORD]
        self.person.log_in(away.headers["Location"], "alice@example.com", passwords)
        page = self.person.load("GET", asked)
        assert self.person.submit(page, asked, {"decision": "deny"}).status == 302
        assert self.person.submit(page, asked, {"decision": "perhaps"}).status == 400
        assert self.person.load("GET", asked.replace("S256", "plain")).status == 302

    def _exchange(self, client: _Client, workflow_id: str) -> None:
        """Everything that may be wrong, then all right, then once more."""
        code = self._allow(client)
        right = {"grant_type": "authorization_code", "code": code, "redirect_uri": _REDIRECT,
                 "code_verifier": self.calls.values[Kind.CODE_VERIFIER]}  # fmt: skip
        with_secret = {**right, **client.form}
        for wrong, status in (("client_secret", 401), ("code", 400), ("code_verifier", 400), ("redirect_uri", 400),
                              ("grant_type", 400)):  # fmt: skip
            self._ask("token", {**with_secret, wrong: self.wrong}, status)
        self._ask("token", {**right, "client_id": client.id}, 401)
        self._ask("token", right, 401, headers={"Authorization": f"Basic {self.wrong}"})
        text = urlencode(with_secret).encode()
        for bad, status in ((text + b"&" + text, 400), (text + b"%ff", 401), (text.replace(b"&", b";"), 400)):
            self._ask("token", bad, status)
        latin = {"Content-Type": "application/x-www-form-urlencoded; charset=latin-1"}
        self._ask("token", with_secret, 400, headers=latin)
        self._ask("token", json.dumps(with_secret).encode(), 400, headers={"Content-Type": "application/json"})
        tokens = self._tokens(right, client.header)
        bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
        self.calls.call("", "GET", "/auth/me", headers=bearer)
        self.calls.call("", "PATCH", f"/workflows/{workflow_id}", {"description": "by a program"}, status=200,
                        headers=bearer)  # fmt: skip
        self.calls.call("", "POST", f"/workflows/{workflow_id}/execute", status=403, headers=bearer)
        self._ask("token", with_secret, 400)
        self.calls.call("", "GET", "/workflows", status=401, headers=bearer)

    def _refresh(self, client: _Client) -> None:
        first = self._new_tokens(client)
        form = {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}
        self._ask("token", {**form, **client.form, "client_secret": self.wrong}, 401)
        self._ask("token", {**form, **client.form, "refresh_token": self.wrong}, 400)
        self._ask("token", {**form, **client.form, "scope": "system.admin"}, 400)
        self._tokens({**form, **client.form})
        self._ask("token", {**form, **client.form}, 400)

    def _service(self, service: _Client, workflow_id: str) -> None:
        form = {"grant_type": "client_credentials", "scope": "workflow.read workflow.write"}
        self._ask("token", {**form, "client_id": service.id, "client_secret": self.wrong}, 401)
        self._ask("token", {**form, **service.form, "scope": ""}, 400)
        token = self._tokens(form, service.header)["access_token"]
        self.calls.call("", "PATCH", f"/workflows/{workflow_id}", {"description": "by a service"}, status=200,
                        headers={"Authorization": f"Bearer {token}"})  # fmt: skip

    def _look_and_end(self, client: _Client, service: _Client) -> None:
        tokens = self._new_tokens(client)
        kept = self._new_tokens(client)
        for token in (*tokens.values(), self.wrong):
            answers = [self._ask("introspect", {"token": token, **whose.form}, 200) for whose in (client, service)]
            assert [answer["active"] for answer in answers] == [token != self.wrong, False]
            self._ask("introspect", {"token": token, **client.form, "client_secret": self.wrong}, 401)
            self._ask("revoke_token", {"token": token, **client.form, "client_secret": self.wrong}, 401)
            self._ask("revoke_token", {"token": token, **service.form}, 200)
        self._ask("revoke_token", {"token": self.wrong, **client.form}, 200)
        self._ask("revoke_token", {"token": tokens["access_token"], "token_type_hint": self.wrong}, 200, client.header)
        self._ask("revoke_token", {"token": kept["refresh_token"], **client.form}, 200)
        assert not self._ask("introspect", {"token": kept["access_token"], **client.form}, 200)["active"]

    def _authorize(self, client: _Client) -> str:
        verifier = self.calls.values[Kind.CODE_VERIFIER].encode()
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier).digest()).rstrip(b"=").decode()
        asked = {"response_type": "code", "client_id": client.id, "redirect_uri": _REDIRECT, "state": "s",
                 "scope": "workflow.read workflow.write", "code_challenge": challenge,
                 "code_challenge_method": "S256"}  # fmt: skip
        return f"/api/v1/oauth/authorize?{urlencode(asked)}"

    def _allow(self, client: _Client) -> str:
        """A code; that one answer sends it to the client."""
        asked = self._authorize(client)
        page = self.person.load("GET", asked)
        sent = self.person.submit(page, asked, {"decision": "allow"}, frozenset({Kind.AUTHORIZATION_CODE}))
        (code,) = parse_qs(urlsplit(sent.headers["Location"]).query)["code"]
        return self.calls.searcher.add(Kind.AUTHORIZATION_CODE, code)

    def _new_tokens(self, client: _Client) -> dict[str, str]:
        form = {"grant_type": "authorization_code", "code": self._allow(client), "redirect_uri": _REDIRECT,
                "code_verifier": self.calls.values[Kind.CODE_VERIFIER]}  # fmt: skip
        return self._tokens(form, client.header)

    def _tokens(self, form: dict[str, str], headers: Mapping[str, str] | None = None) -> dict[str, str]:
        """The tokens of an answer, which it alone may tell."""
        answer = self._ask("token", form, 200, headers, frozenset(_TOKENS.values()))
        return {name: self.calls.searcher.add(kind, answer[name]) for name, kind in _TOKENS.items() if name in answer}

    def _ask(
        self,
        path: str,
        form: dict[str, str] | bytes,
        status: int,
        headers: Mapping[str, str] | None = None,
        tells: frozenset[str] = frozenset(),
    ) -> dict[str, Any]:
        """The body of an answer, which has the status."""
        text = form if isinstance(form, bytes) else urlencode(form).encode()
        sent = {**_FORM, **(headers or {})}
        told, _, answer = self.calls.stack.web.send("POST", f"/api/v1/oauth/{path}", text, sent, tells=tells)
        self.calls.statuses.append((told, f"POST /oauth/{path}"))
        assert told == status, f"{path} answered {told}, not {status}"
        body: dict[str, Any] = json.loads(answer or b"{}")
        return body
