"""The platform's addresses, and a bare DRF view: what Django, DRF and the server take by themselves."""

from django.urls import path
from rest_framework.permissions import AllowAny
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from config import urls

_BODY = {"id": "01HQNZ2G5XKJ8P7M9N6V3R4T5W", "name": "bare", "components": [{"id": "a", "type": "log"}] * 4}


class BareView(APIView):
    """No authentication, no throttle, no query, no envelope."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    throttle_classes = ()
    renderer_classes = (JSONRenderer,)

    def get(self, request: Request) -> Response:
        return Response(_BODY)


urlpatterns = [*urls.urlpatterns, path("bare", BareView.as_view())]

handler400, handler403, handler404, handler500 = urls.handler400, urls.handler403, urls.handler404, urls.handler500
