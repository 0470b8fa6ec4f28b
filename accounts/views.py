"""REST: log in, refresh, log out, who am I."""

from rest_framework.request import Request
from rest_framework.response import Response

from accounts import services
from accounts.authentication import caller
from accounts.serializers import LoginSerializer, RefreshSerializer, me_data, token_data
from accounts.throttling import client_address
from core.envelope import reply
from core.views import View


class LoginView(View):
    """`POST auth/login`."""

    public = True
    authentication_classes = ()

    def post(self, request: Request) -> Response:
        body = LoginSerializer(data=request.data).validated()
        pair = services.log_in(
            login=body["username"],
            password=body["password"],
            address=client_address(request),
            user_agent=request.headers.get("User-Agent", ""),
        )
        return reply(token_data(pair))


class RefreshView(View):
    """`POST auth/refresh`."""

    public = True
    authentication_classes = ()

    def post(self, request: Request) -> Response:
        body = RefreshSerializer(data=request.data).validated()
        return reply(token_data(services.refresh(refresh_token=body["refresh_token"])))


class LogoutView(View):
    """`POST auth/logout`."""

    public = True
    authentication_classes = ()

    def post(self, request: Request) -> Response:
        body = RefreshSerializer(data=request.data).validated()
        services.log_out(refresh_token=body["refresh_token"])
        return reply(message="Logged out")


class MeView(View):
    """`GET auth/me`: for any good credential, whatever its scopes."""

    any_scope = True

    def get(self, request: Request) -> Response:
        return reply(me_data(caller(request)))
