"""The base of every REST view."""

from collections.abc import Mapping
from typing import Any, ClassVar

from rest_framework.request import Request
from rest_framework.views import APIView

from core.errors import BadRequestError

_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})


class View(APIView):
    """A view says who may call it: `scopes` by method, `any_scope` of a user, `person_only`, or `public`.

    `person_only` wants somebody logged in, no key and no application; `staff_only` narrows any of them. A view that
    says nothing is refused.
    """

    scopes: ClassVar[Mapping[str, str]] = {}
    any_scope: ClassVar[bool] = False
    public: ClassVar[bool] = False
    person_only: ClassVar[bool] = False
    staff_only: ClassVar[bool] = False
    optional_body: ClassVar[bool] = False
    counts_requests: ClassVar[bool] = True

    def perform_authentication(self, request: Request) -> None:
        """Counts the request whatever comes of it: refused callers use up their rate too."""
        try:
            super().perform_authentication(request)
        except Exception:
            # Counts by address, and is not asked for again: a database that is away costs its time-out once.
            request.user = request.auth = None  # type: ignore[assignment]  # as UNAUTHENTICATED_USER has it
            raise
        finally:
            super().check_throttles(request)

    def check_throttles(self, request: Request) -> None:
        """Nothing: it was counted with the authentication."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Raises BadRequestError where a body is due and none came: the parser is not asked then."""
        super().initial(request, *args, **kwargs)
        method = request.method or ""
        if method in _WITH_BODY and hasattr(self, method.lower()) and not self.optional_body and not has_body(request):
            raise BadRequestError("Request body is empty; expected a JSON object")


def has_body(request: Request) -> bool:
    """Whether the request came with a body."""
    return request.headers.get("Content-Length", "0") not in {"", "0"} or "Transfer-Encoding" in request.headers
