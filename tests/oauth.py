"""An OAuth client, and the browser of a person whom it asks, as a test drives them."""

import base64
import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from django.test import Client

from accounts.models import User
from accounts.oauth_models import OAuthApplication
from tests.api import Api
from tests.conftest import PASSWORD

AUTHORIZE, TOKEN = "/api/v1/oauth/authorize", "/api/v1/oauth/token"
REVOKE, INTROSPECT = "/api/v1/oauth/revoke_token", "/api/v1/oauth/introspect"
LOGIN, LOGOUT = "/api/v1/oauth/login", "/api/v1/oauth/logout"
REDIRECT = "https://client.example.com/callback"
VERIFIER = "a-verifier-of-at-least-forty-three-characters-0123"
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()


@dataclass(frozen=True)
class Registered:
    """An application as its developer knows it: with the secret."""

    application: OAuthApplication
    secret: str

    @property
    def id(self) -> str:
        return str(self.application.client_id)

    def credentials(self) -> dict[str, str]:
        """For the body of a request."""
        return {"client_id": self.id, **({"client_secret": self.secret} if self.secret else {})}


def register(name: str = "Reports", owner: User | None = None, **fields: Any) -> Registered:
    """A confidential client of the code grant, unless said otherwise."""
    application = OAuthApplication(
        **{
            "name": name,
            "user": owner,
            "client_type": "confidential",
            "authorization_grant_type": "authorization-code",
            "redirect_uris": REDIRECT,
            **fields,
        }
    )
    secret = application.client_secret if application.is_confidential else ""
    application.save()
    return Registered(application, secret)


def register_service(owner: User | None) -> Registered:
    """A client of the client credentials grant."""
    return register("Nightly", owner, authorization_grant_type="client-credentials", redirect_uris="")


def authorize_url(client: Registered, **parameters: str | None) -> str:
    """Where the client sends the browser; None leaves a parameter out."""
    asked = {
        "response_type": "code",
        "client_id": client.id,
        "redirect_uri": REDIRECT,
        "scope": "workflow.read",
        "state": "state-1",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
        **parameters,
    }
    return f"{AUTHORIZE}?{urlencode({name: value for name, value in asked.items() if value is not None})}"


def browser_of(user: User) -> Client:
    """A browser in which the user has logged in, and which checks CSRF tokens."""
    browser = Client(enforce_csrf_checks=True, raise_request_exception=False)
    page = browser.get(LOGIN)
    answer = browser.post(
        LOGIN, {"username": user.email, "password": PASSWORD, "csrfmiddlewaretoken": csrf_token(page)}
    )
    assert answer.status_code == 302
    return browser


def csrf_token(page: Any) -> str:
    """The token that the last form of the page carries."""
    return str(re.findall(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.content.decode())[-1])


def decide(browser: Client, url: str, decision: str = "allow") -> dict[str, str]:
    """Answer the consent page; the parameters with which the browser is sent back."""
    page = browser.get(url)
    assert page.status_code == 200, page.content
    answer = browser.post(url, {"decision": decision, "csrfmiddlewaretoken": csrf_token(page)})
    assert answer.status_code == 302, answer.content
    return sent_back(answer)


def sent_back(answer: Any) -> dict[str, str]:
    """The parameters of a redirect to the client."""
    location = answer.headers["Location"]
    assert location.startswith(f"{REDIRECT}?"), location
    return {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}


@dataclass(frozen=True)
class Told:
    """An answer to a program."""

    status: int
    body: dict[str, Any]
    headers: Any

    @property
    def error(self) -> str:
        return str(self.body.get("error"))


def post(path: str, form: dict[str, Any], **headers: str) -> Told:
    """A form to an endpoint for programs."""
    answer = Client(raise_request_exception=False).post(
        path, urlencode(form, doseq=True), content_type="application/x-www-form-urlencoded", headers=headers
    )
    told = Told(answer.status_code, json.loads(answer.content) if answer.content else {}, answer.headers)
    if told.status >= 400:
        assert set(told.body) == {"error", "error_description"}
        assert told.body["error_description"]
    return told


def basic(client: Registered) -> str:
    """The `Authorization` header of a client."""
    return "Basic " + base64.b64encode(f"{client.id}:{client.secret}".encode()).decode()


def exchange(client: Registered, issued: str, **parameters: str) -> Told:
    """The code for tokens."""
    form = {
        "grant_type": "authorization_code",
        "code": issued,
        "redirect_uri": REDIRECT,
        "code_verifier": VERIFIER,
        **client.credentials(),
        **parameters,
    }
    return post(TOKEN, form)


def refresh(client: Registered, token: str, **parameters: str) -> Told:
    """New tokens for a refresh token."""
    return post(TOKEN, {"grant_type": "refresh_token", "refresh_token": token, **client.credentials(), **parameters})


def tokens_of(client: Registered, user: User, scope: str = "workflow.read") -> dict[str, Any]:
    """What the client has after the user allowed it."""
    told = exchange(client, decide(browser_of(user), authorize_url(client, scope=scope))["code"])
    assert told.status == 200, told.body
    return told.body


def service_token(client: Registered, scope: str = "workflow.read") -> Told:
    """Ask for a token of client credentials."""
    return post(TOKEN, {"grant_type": "client_credentials", "scope": scope, **client.credentials()})


def works(token: str) -> bool:
    """Whether the API takes the token."""
    answer = Api(token).get("/workflows")
    assert answer.status in {200, 401}
    if answer.status == 401:
        assert answer.body["message"] == "Invalid or expired credentials"
    return answer.status == 200
