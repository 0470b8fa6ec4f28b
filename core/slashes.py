"""A trailing slash answers the same, without a redirect that would drop a POST body (contract §1)."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse


def trailing_slash_middleware(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Takes one trailing slash off API paths before they are resolved."""

    def middleware(request: HttpRequest) -> HttpResponse:
        path = request.path_info
        if path.startswith("/api/") and path.endswith("/") and not path.endswith("//"):
            request.path_info = path[:-1]
        return get_response(request)

    return middleware
