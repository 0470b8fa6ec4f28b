"""Headers by which a browser protects its user, on every answer; and no caller's data in caches."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.middleware.security import SecurityMiddleware

API_PREFIX = "/api/"
_NOTHING = "default-src 'none'; frame-ancestors 'none'"
# Pages are ours alone (the admin): their own scripts, styles and pictures, no inline code, nobody else's frames.
_OWN_PAGES = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_NO_DEVICES = "camera=(), geolocation=(), microphone=(), payment=(), usb=()"
# On answers made without Django: files, and what cannot be parsed.
PLAIN = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Content-Security-Policy": _NOTHING,
}


def security_headers_middleware(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Outside Django's own SecurityMiddleware: answers made before it get its headers too.

    A view that sets one of these headers itself keeps its own value.
    """
    django = SecurityMiddleware(get_response)

    def middleware(request: HttpRequest) -> HttpResponse:
        response = django.process_response(request, get_response(request))
        response.setdefault("X-Frame-Options", "DENY")
        if response.get("Content-Type", "").startswith("text/html"):
            response.setdefault("Content-Security-Policy", _OWN_PAGES)
            response.setdefault("Permissions-Policy", _NO_DEVICES)
        else:
            response.setdefault("Content-Security-Policy", _NOTHING)
        if request.path_info.startswith(API_PREFIX):
            response.setdefault("Cache-Control", "no-store")
        return response

    return middleware
