"""GraphQL over HTTP: JSON by POST, and GraphiQL for a browser (contract §9; GraphQL over HTTP, June 2025)."""

from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import render
from graphql import OperationType
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import caller
from accounts.throttling import count_requests
from config import graphql
from core.envelope import EnvelopeRenderer, error_headers
from core.errors import BadRequestError, MethodNotAllowedError
from core.exception_handler import to_error
from core.types import JSONObject
from core.views import View


class _GraphQLRenderer(EnvelopeRenderer):
    """For clients that ask for the media type of GraphQL over HTTP alone."""

    media_type = "application/graphql-response+json"


class GraphQLView(View):
    """`POST graphql`: one operation. Each field asks for its own scope; refusals of the whole are 4xx."""

    any_scope = True
    renderer_classes = (EnvelopeRenderer, _GraphQLRenderer)

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """A browser's GET is GraphiQL: a page with nobody's data, so for anybody. It is counted when it is answered."""
        if request.method in {"GET", "HEAD"} and "text/html" in request.headers.get("Accept", ""):
            return render(request, "config/graphiql.html")
        return super().dispatch(request, *args, **kwargs)

    def post(self, request: Request) -> Response:
        """Execute one operation."""
        body: Any = request.data  # its parser gives objects alone
        text, variables, name = graphql.read(body)
        operation = graphql.parse_and_check(text, variables, name)
        if operation.kind is OperationType.SUBSCRIPTION:
            raise BadRequestError("Subscriptions need a WebSocket at this address")
        if operation.kind is OperationType.MUTATION:
            # Rates count what is done, not requests: the request itself has been counted as one.
            count_requests(request, max(len(operation.fields) - 1, 0))
        return Response(graphql.run(operation, caller(request)))

    def get_exception_handler(self) -> Any:
        return _refused


def _refused(exception: Exception, context: JSONObject) -> Response:
    """DRF's exception handler: errors as GraphQL has them, in place of the envelope."""
    if isinstance(exception, graphql.RequestRefusedError):
        return Response({"errors": exception.errors, "data": None}, status=400)
    error = to_error(exception)
    headers = error_headers(error)
    if isinstance(error, MethodNotAllowedError):
        headers["Allow"] = "POST, OPTIONS"
    return Response({"errors": [graphql.error_of(error)], "data": None}, status=error.status, headers=headers)
