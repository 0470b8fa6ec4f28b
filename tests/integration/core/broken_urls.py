"""Views that fail in every way, for `test_error_texts`."""

from typing import NoReturn

from django.db import connection
from django.http import HttpRequest, HttpResponse, HttpResponseForbidden, HttpResponseNotAllowed
from django.urls import URLPattern, URLResolver, path
from rest_framework.request import Request

from config import urls
from config.urls import handler400, handler403, handler404, handler500
from core.views import View

__all__ = ["handler400", "handler403", "handler404", "handler500", "urlpatterns"]


class RaisesView(View):
    """A bug."""

    public = True

    def get(self, request: Request) -> NoReturn:
        raise RuntimeError("canary in /srv/apg/secret.py")


class BrokenSQLView(View):
    """A broken database function."""

    public = True

    def get(self, request: Request) -> NoReturn:
        with connection.cursor() as cursor:
            cursor.execute("SELECT canary(1 / 0) FROM accounts_user")
        raise AssertionError


def raises(request: HttpRequest) -> NoReturn:
    raise RuntimeError("canary in /srv/apg/secret.py")


def forbids(request: HttpRequest) -> HttpResponse:
    return HttpResponseForbidden("<h1>canary</h1>")


def not_allowed(request: HttpRequest) -> HttpResponse:
    return HttpResponseNotAllowed(["POST"])


urlpatterns: list[URLPattern | URLResolver] = [
    path("api/v1/broken", RaisesView.as_view()),
    path("api/v1/broken-sql", BrokenSQLView.as_view()),
    path("api/v1/broken-plain", raises),
    path("api/v1/forbidden", forbids),
    path("api/v1/not-allowed", not_allowed),
    path("broken-page", raises),
    *urls.urlpatterns,
]
