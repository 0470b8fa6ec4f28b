"""The OpenAPI document and the page that shows it: for anybody, since they hold the contract and nobody's data."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.module_loading import import_string
from django.views.decorators.http import require_safe

from core.envelope import error_response
from core.errors import BadRequestError
from core.query import choice

_YAML, _JSON = "application/yaml", "application/json"
_MEDIA_TYPES = {_YAML: "yaml", _JSON: "json", "application/vnd.oai.openapi+json": "json"}
_FORMATS = {"yaml": _YAML, "json": _JSON}


@require_safe
def schema(request: HttpRequest) -> HttpResponse:
    """`GET schema`: YAML, or JSON by `?format=json` or by Accept."""
    try:
        wanted = choice(request.GET, "format", tuple(_FORMATS))
    except BadRequestError as error:
        return error_response(error)
    if wanted is None:
        wanted = _MEDIA_TYPES.get(request.get_preferred_type(list(_MEDIA_TYPES)) or "", "yaml")
    # By name, so that drf-spectacular is loaded by the first request for the document, and by nothing else.
    made: bytes = import_string(f"config.openapi.as_{wanted}")()
    headers = {"Vary": "Accept", "Content-Disposition": f'inline; filename="openapi.{wanted}"'}
    return HttpResponse(made, content_type=_FORMATS[wanted], headers=headers)


@require_safe
def docs(request: HttpRequest) -> HttpResponse:
    """`GET docs`: Swagger UI, all of it from here; nothing inline, so that the policy of pages stays as it is."""
    return render(request, "config/docs.html")
