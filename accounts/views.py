"""REST: log in, refresh, log out, who am I, passwords; API keys; secrets."""

from rest_framework.request import Request
from rest_framework.response import Response

from accounts import api_keys, secret_store, services
from accounts.authentication import caller
from accounts.scopes import Scope
from accounts.serializers import (
    ApiKeySerializer,
    LoginSerializer,
    PasswordSerializer,
    RefreshSerializer,
    SecretSerializer,
    SecretValueSerializer,
    api_key_data,
    me_data,
    secret_data,
    token_data,
)
from accounts.shapes import API_KEY, EXAMPLE_API_KEY, EXAMPLE_LOGIN, ME, NEW_API_KEY, SECRET, TOKENS
from accounts.throttling import client_address
from core.describing import Answers, PageOf
from core.envelope import reply
from core.pagination import paginate
from core.views import View


class LoginView(View):
    """`POST auth/login`."""

    public = True
    authentication_classes = ()

    @Answers(TOKENS, body=LoginSerializer, example=EXAMPLE_LOGIN, errors=[401])
    def post(self, request: Request) -> Response:
        """Log in."""
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

    @Answers(TOKENS, body=RefreshSerializer, errors=[401])
    def post(self, request: Request) -> Response:
        """Refresh a login.

        The refresh token is used up; one that comes a second time ends its whole login.
        """
        body = RefreshSerializer(data=request.data).validated()
        return reply(token_data(services.refresh(refresh_token=body["refresh_token"])))


class LogoutView(View):
    """`POST auth/logout`."""

    public = True
    authentication_classes = ()

    @Answers(None, body=RefreshSerializer, errors=[401])
    def post(self, request: Request) -> Response:
        """Log out."""
        body = RefreshSerializer(data=request.data).validated()
        services.log_out(refresh_token=body["refresh_token"])
        return reply(message="Logged out")


class MeView(View):
    """`GET auth/me`: for any good credential, whatever its scopes."""

    any_scope = True

    @Answers(ME)
    def get(self, request: Request) -> Response:
        """Get the caller."""
        return reply(me_data(caller(request)))


class PasswordView(View):
    """`POST auth/password`: one's own; every session ends, the one that asks too."""

    person_only = True

    @Answers(None, body=PasswordSerializer)
    def post(self, request: Request) -> Response:
        """Change the password.

        The caller's own. Every session ends, the one that asks too.
        """
        body = PasswordSerializer(data=request.data).validated()
        services.change_password(
            user=caller(request).user, current=body["current_password"], password=body["new_password"]
        )
        return reply(message="Password changed; log in again")


class ApiKeyListView(View):
    """`GET`, `POST auth/api-keys`: the caller's own; the key itself is in the answer of POST, and nowhere else."""

    person_only = True

    @Answers(PageOf(API_KEY))
    def get(self, request: Request) -> Response:
        """List API keys.

        The caller's own.
        """
        page = paginate(api_keys.api_keys_of(caller(request).user), request.query_params)
        return reply([api_key_data(key) for key in page.items], metadata=page.metadata)

    @Answers(NEW_API_KEY, 201, body=ApiKeySerializer, example=EXAMPLE_API_KEY, errors=[409])
    def post(self, request: Request) -> Response:
        """Create an API key.

        The key itself is in this answer and nowhere else.
        """
        body = ApiKeySerializer(data=request.data).validated()
        key, text = api_keys.create_api_key(owner=caller(request).user, **body)
        message = "API key created; it is shown this once"
        return reply({**api_key_data(key), "key": text}, message=message, status=201)


class ApiKeyView(View):
    """`GET`, `DELETE auth/api-keys/{id}`."""

    person_only = True

    @Answers(API_KEY)
    def get(self, request: Request, key_id: str) -> Response:
        """Get an API key."""
        return reply(api_key_data(api_keys.get_api_key(owner=caller(request).user, key_id=key_id)))

    @Answers(None)
    def delete(self, request: Request, key_id: str) -> Response:
        """Delete an API key."""
        api_keys.delete_api_key(owner=caller(request).user, key_id=key_id)
        return reply(message="API key deleted successfully")


class SecretListView(View):
    """`GET secrets`, `POST secrets`: the caller's own."""

    scopes = {"GET": Scope.SECRET_MANAGE, "POST": Scope.SECRET_MANAGE}

    @Answers(PageOf(SECRET))
    def get(self, request: Request) -> Response:
        """List secrets.

        The names of the caller's own; nobody reads their values.
        """
        page = paginate(secret_store.secrets_of(caller(request).user), request.query_params)
        return reply([secret_data(secret) for secret in page.items], metadata=page.metadata)

    @Answers(SECRET, 201, body=SecretSerializer, errors=[409])
    def post(self, request: Request) -> Response:
        """Create a secret."""
        body = SecretSerializer(data=request.data).validated()
        secret = secret_store.create_secret(owner=caller(request).user, **body)
        return reply(secret_data(secret), message="Secret created successfully", status=201)


class SecretView(View):
    """`PUT`, `DELETE secrets/{name}`."""

    scopes = {"PUT": Scope.SECRET_MANAGE, "DELETE": Scope.SECRET_MANAGE}

    @Answers(SECRET, body=SecretValueSerializer)
    def put(self, request: Request, name: str) -> Response:
        """Replace a secret."""
        body = SecretValueSerializer(data=request.data).validated()
        secret = secret_store.replace_secret(owner=caller(request).user, name=name, value=body["value"])
        return reply(secret_data(secret), message="Secret updated successfully")

    @Answers(None)
    def delete(self, request: Request, name: str) -> Response:
        """Delete a secret."""
        secret_store.delete_secret(owner=caller(request).user, name=name)
        return reply(message="Secret deleted successfully")
