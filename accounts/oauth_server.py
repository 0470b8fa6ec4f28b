"""How django-oauth-toolkit and oauthlib work here: which grants there are, what a client may ask, what is stored."""

import logging
import re
from typing import Any, ClassVar
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpRequest
from django.utils import timezone
from oauth2_provider.oauth2_backends import OAuthLibCore
from oauth2_provider.oauth2_validators import OAuth2Validator
from oauth2_provider.scopes import BaseScopes
from oauthlib.common import Request
from oauthlib.oauth2 import (
    AuthorizationCodeGrant,
    AuthorizationEndpoint,
    BearerToken,
    ClientCredentialsGrant,
    RefreshTokenGrant,
    RevocationEndpoint,
    TokenEndpoint,
)
from oauthlib.oauth2.rfc6749 import errors

from accounts import audit
from accounts.audit import Action
from accounts.models import User
from accounts.oauth_models import OAuthAccessToken, OAuthApplication, OAuthGrant, OAuthRefreshToken, digest
from accounts.scopes import ALL, DESCRIPTIONS
from core.ids import to_uuid

logger = logging.getLogger(__name__)

# SHA-256 in base64url without padding (RFC 7636 §4.2).
_S256_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
# No other parameter reaches the libraries, which know many more than are meant here. One without a value counts as
# left out (RFC 6749 §3.1).
_QUERY = ("response_type", "client_id", "redirect_uri", "scope", "state", "code_challenge", "code_challenge_method")
_FORM = (
    "grant_type", "client_id", "client_secret", "code", "redirect_uri", "code_verifier", "refresh_token", "scope",
    "token", "token_type_hint",
)  # fmt: skip


class Scopes(BaseScopes):  # type: ignore[misc]  # the toolkit has no types
    """Ours, with their texts; none by default."""

    def get_all_scopes(self) -> dict[str, str]:
        return {str(scope): text for scope, text in DESCRIPTIONS.items()}

    def get_available_scopes(self, application: Any = None, request: Any = None, *_: Any, **__: Any) -> list[str]:
        return sorted(ALL)

    def get_default_scopes(self, application: Any = None, request: Any = None, *_: Any, **__: Any) -> list[str]:
        return []


class Server(AuthorizationEndpoint, TokenEndpoint, RevocationEndpoint):  # type: ignore[misc]  # oauthlib has no types
    """Authorization code with PKCE, refresh and client credentials; nothing else is known."""

    def __init__(
        self,
        request_validator: "Validator",
        *,
        token_expires_in: int,
        token_generator: Any,
        refresh_token_generator: Any,
        **_: Any,
    ) -> None:
        code = AuthorizationCodeGrant(request_validator)
        code.custom_validators.post_auth.append(_require_s256)
        bearer = BearerToken(request_validator, token_generator, token_expires_in, refresh_token_generator)
        AuthorizationEndpoint.__init__(
            self, default_response_type="code", default_token_type=bearer, response_types={"code": code}
        )
        TokenEndpoint.__init__(
            self,
            default_grant_type="authorization_code",
            default_token_type=bearer,
            grant_types={
                "authorization_code": code,
                "refresh_token": RefreshTokenGrant(request_validator),
                "client_credentials": ClientCredentialsGrant(request_validator),
            },
        )
        RevocationEndpoint.__init__(self, request_validator)


def _require_s256(request: Request) -> dict[str, Any]:
    # oauthlib takes `plain`, and takes it for granted where no method is named.
    once = not {"code_challenge", "code_challenge_method"}.intersection(request.duplicate_params)
    if (
        not once
        or request.code_challenge_method != "S256"
        or not _S256_CHALLENGE.fullmatch(request.code_challenge or "")
    ):
        raise errors.InvalidRequestError(
            "PKCE is required: code_challenge_method S256, and a code_challenge of 43 characters", request=request
        )
    return {}


class Core(OAuthLibCore):  # type: ignore[misc]  # the toolkit has no types
    """Django's request as oauthlib's."""

    def _get_escaped_full_path(self, request: HttpRequest) -> str:
        known = [(name, value) for name in _QUERY for value in request.GET.getlist(name) if value]
        return f"{request.path}?{urlencode(known)}"

    def extract_body(self, request: HttpRequest) -> list[tuple[str, str]]:
        return [(name, value) for name in _FORM for value in request.POST.getlist(name) if value]

    def authenticated_client(self, request: HttpRequest) -> OAuthApplication | None:
        """The confidential application whose id and secret the request carries."""
        uri, method, body, headers = self._extract_params(request)
        asked = Request(uri, method, body, headers)
        return asked.client if self.server.request_validator.authenticate_client(asked) else None


class Validator(OAuth2Validator):  # type: ignore[misc]  # the toolkit has no types
    """The toolkit's, on our models and stricter. `create_token_response` needs a transaction: rows are locked."""

    GRANTS: ClassVar[dict[str, str]] = {
        "authorization_code": OAuthApplication.GRANT_AUTHORIZATION_CODE,
        "refresh_token": OAuthApplication.GRANT_AUTHORIZATION_CODE,
        "client_credentials": OAuthApplication.GRANT_CLIENT_CREDENTIALS,
    }

    def _load_application(self, client_id: str | None, request: Request) -> OAuthApplication | None:
        # PostgreSQL knows no NUL.
        return None if client_id is None or "\0" in client_id else super()._load_application(client_id, request)

    def authenticate_client(self, request: Request, *args: Any, **kwargs: Any) -> bool:
        # A public client has no secret that anybody was told.
        return bool(super().authenticate_client(request, *args, **kwargs) and request.client.is_confidential)

    def validate_grant_type(self, client_id: str, grant_type: str, client: Any, request: Request, *_: Any) -> bool:
        application: OAuthApplication = request.client
        if application.authorization_grant_type != self.GRANTS.get(grant_type):
            return False
        if grant_type != "client_credentials":
            return True
        owner: User | None = application.user
        return application.is_confidential and owner is not None and owner.is_active

    def validate_response_type(
        self, client_id: str, response_type: str, client: Any, request: Request, *_: Any
    ) -> bool:
        code = OAuthApplication.GRANT_AUTHORIZATION_CODE
        return response_type == "code" and request.client.authorization_grant_type == code

    def validate_scopes(self, client_id: str, scopes: list[str], client: Any, request: Request, *_: Any) -> bool:
        """Some scopes of ours, or `*` for all. None at all is refused (RFC 6749 §3.3)."""
        if scopes == ["*"]:
            request.scopes = sorted(ALL)
            return True
        return bool(scopes) and ALL.issuperset(scopes)

    def validate_code(self, client_id: str, code: str, client: Any, request: Request, *_: Any) -> bool:
        """A code that is used again ends all that came of it: somebody has a copy (RFC 6749 §4.1.2)."""
        # The race: two exchanges of one code. The second waits for the lock, and finds the code used.
        grant = (
            OAuthGrant.objects.select_for_update(of=("self",), no_key=True)
            .select_related("user")
            .filter(code=code, application=client)
            .first()
        )
        if grant is None:
            return False
        if grant.used_at is not None:
            family = to_uuid(grant.pk)
            if _lives(family):
                OAuthRefreshToken.revoke_family(family)
                _tell_of_reuse("code", grant.user, request.client)
            return False
        if grant.is_expired() or not grant.user.is_active:
            return False
        request.user, request.scopes, request.grant = grant.user, grant.scope.split(), grant
        return True

    def confirm_redirect_uri(
        self, client_id: str, code: str, redirect_uri: str, client: Any, request: Request, *_: Any
    ) -> bool:
        if not request.grant.redirect_uri_allowed(redirect_uri):
            # oauthlib's own is `invalid_request`; RFC 6749 §5.2 says otherwise.
            raise errors.InvalidGrantError("The code was issued for another redirect_uri", request=request)
        return True

    def invalidate_authorization_code(self, client_id: str, code: str, request: Request, *_: Any) -> None:
        OAuthGrant.objects.filter(pk=request.grant.pk).update(used_at=timezone.now())

    def validate_refresh_token(self, refresh_token: str, client: Any, request: Request, *_: Any) -> bool:
        # The race: two refreshes with one token. The second waits here, and then finds the token used.
        found = OAuthRefreshToken.objects.select_for_update(of=("self",), no_key=True).select_related("user")
        token = found.filter(token_checksum=digest(refresh_token)).first()
        reused = token is not None and token.revoked is not None and _lives(token.token_family)
        # This ends the family of a token that was used or revoked before.
        if super().validate_refresh_token(refresh_token, client, request):
            return bool(request.user.is_active)
        if reused:
            _tell_of_reuse("refresh_token", token.user, token.application)
        return False

    def _create_access_token(self, expires: Any, request: Request, token: Any, source_refresh_token: Any = None) -> Any:
        # The toolkit's names OpenID's token too.
        access_token = OAuthAccessToken(
            user=request.user,
            application=request.client,
            scope=token["scope"],
            expires=expires,
            source_refresh_token=source_refresh_token,
        )
        self._set_token_value(access_token, token["access_token"])
        access_token.save()
        if request.user is None:
            # Of a program by itself; what a person allows is told when they do.
            owner = request.client.user
            audit.record(Action.OAUTH_ISSUED, request.client, actor=owner, scopes=sorted(token["scope"].split()))
        return access_token

    def _create_refresh_token(self, request: Request, code: str, access_token: Any, previous: Any) -> Any:
        token = super()._create_refresh_token(request, code, access_token, previous)
        if previous is None:
            token.token_family = to_uuid(request.grant.pk)
            token.save(update_fields=["token_family"])
        return token


def _lives(family: UUID) -> bool:
    return bool(OAuthRefreshToken.objects.filter(token_family=family, revoked=None).exists())


def _tell_of_reuse(kind: str, user: User, application: OAuthApplication) -> None:
    logger.warning("OAuth %s reused; all that came of it is revoked", kind, extra={"action": "oauth_reused"})
    audit.record(Action.OAUTH_REUSED, application, actor=user, kind=kind)
