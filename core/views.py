"""The base of every REST view."""

from collections.abc import Mapping
from typing import Any, ClassVar

from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView


class View(APIView):
    """A view says who may call it: `scopes` by method, `any_scope` of a user, or `public`.

    Every answer, errors too, carries the rate limit headers that the throttle left on the request.
    """

    scopes: ClassVar[Mapping[str, str]] = {}
    public: ClassVar[bool] = False
    any_scope: ClassVar[bool] = False

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Response:
        final = super().finalize_response(request, response, *args, **kwargs)
        for name, value in getattr(request, "rate_limit_headers", {}).items():
            final[name] = value
        return final
