"""What authentication and the throttle cost a request, in CPU time of the web process."""

import os
import statistics
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

from benchmarks.report import Figure, Report, show
from benchmarks.stack import EMAIL, Stack, platform

REQUESTS = 500
RUNS = 9
WARM_UP = 2
_BAR_MS = 2
_PATH = "api/v1/gate"


def measure(stack: Stack) -> Report:
    """Needs a platform. In this process, through Django's whole handler, on the platform's PostgreSQL and Valkey."""
    os.environ.update(stack.environment)
    import django  # noqa: PLC0415 - it reads the platform's environment

    django.setup()
    handlers = import_module("django.core.handlers.base")
    settings = import_module("django.conf").settings
    override = import_module("django.test").override_settings
    guarded, open_ = _addresses()
    # The same chain twice: as it is, and without what counts.
    full = handlers.BaseHandler()
    full.load_middleware()
    with override(MIDDLEWARE=[name for name in settings.MIDDLEWARE if "throttling" not in name]):
        bare = handlers.BaseHandler()
        bare.load_middleware()
    # One row a credential: what a request carries.
    credentials = {
        "JWT": {"HTTP_AUTHORIZATION": f"Bearer {stack.token}"},
        "API key": {"HTTP_X_API_KEY": _api_key()},
        "OAuth token": {"HTTP_AUTHORIZATION": f"Bearer {_oauth_token()}"},
    }
    samples: dict[str, list[float]] = {name: [] for name in (*credentials, "")}
    # In turn: the machine's speed drifts.
    for round_ in range(WARM_UP + RUNS):
        for name, headers in (("", {}), *credentials.items()):
            addresses, handler = (guarded, full) if name else (open_, bare)
            took = _cpu_ms(handler.get_response, addresses, headers)
            if round_ >= WARM_UP:
                samples[name].append(took)
    import_module("django.db").connections.close_all()
    without = statistics.median(samples[""])
    return Report(
        "Authentication and throttle of one request",
        f"CPU time of the process, {RUNS} runs of {REQUESTS} requests each after {WARM_UP} to warm up, in turn; a view "
        "that only answers, through the whole chain of middleware. The cost is what a run took more than the median "
        "of the same view, open to anyone and not counted.",
        [
            *(
                Figure(f"cost with: {name}", [value - without for value in samples[name]], "ms", bar=_BAR_MS, digits=2)
                for name in credentials
            ),
            *(Figure(f"whole request with: {name}", samples[name], "ms", digits=2) for name in credentials),
            Figure("whole request, open and not counted", samples[""], "ms", digits=2),
        ],
    )


def _api_key() -> str:
    owner = import_module("accounts.models").User.objects.get(email=EMAIL)
    _, key = import_module("accounts.api_keys").create_api_key(owner=owner, name="gate", permissions=[])
    return str(key)


def _oauth_token() -> str:
    """Of a program's own client."""
    owner = import_module("accounts.models").User.objects.get(email=EMAIL)
    application = import_module("accounts.oauth_models").OAuthApplication(
        name="gate", user=owner, client_type="confidential", authorization_grant_type="client-credentials"
    )
    asked = {
        "grant_type": "client_credentials",
        "scope": "*",
        "client_id": application.client_id,
        # Replaced by its hash when it is saved.
        "client_secret": application.client_secret,
    }
    application.save()
    body = "&".join(f"{name}={value}" for name, value in asked.items())
    answer = (
        import_module("django.test")
        .Client()
        .post("/api/v1/oauth/token", body, content_type="application/x-www-form-urlencoded", HTTP_HOST="localhost")
    )
    return str(answer.json()["access_token"])


def _addresses() -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Addresses with a view for any good credential, and with the same one for anybody, uncounted."""
    path = import_module("django.urls").path
    base = import_module("core.views").View
    reply = import_module("core.envelope").reply

    class Guarded(base):  # type: ignore[misc, valid-type]  # imported when Django is set up
        any_scope = True

        def get(self, request: Any) -> Any:
            return reply({"answer": 42})

    class Open(Guarded):
        public = True
        authentication_classes = ()
        throttle_classes = ()

    return (path(_PATH, Guarded.as_view()),), (path(_PATH, Open.as_view()),)


def _cpu_ms(respond: Callable[[Any], Any], addresses: tuple[Any, ...], headers: dict[str, str]) -> float:
    """Milliseconds of CPU for one request, over a run of them."""
    factory = import_module("django.test").RequestFactory()
    requests = [factory.get(f"/{_PATH}", HTTP_HOST="localhost", **headers) for _ in range(REQUESTS)]
    for request in requests:
        request.urlconf = addresses
    started = time.process_time()
    for request in requests:
        response = respond(request)
    took = time.process_time() - started
    assert response.status_code == 200, response.content
    return took / REQUESTS * 1000


if __name__ == "__main__":
    with platform() as running:
        show(measure(running))
