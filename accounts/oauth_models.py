"""What OAuth 2 keeps: applications, codes and tokens; of codes, tokens and client secrets hashes alone."""

import hashlib
from typing import Any, ClassVar
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from oauth2_provider.models import AbstractAccessToken, AbstractApplication, AbstractGrant, AbstractRefreshToken

from core.ids import id_field

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def digest(credential: str) -> str:
    """SHA-256 in hex: what stands in the database for a code or token, which is random enough to need no salt."""
    return hashlib.sha256(credential.encode()).hexdigest()


class DigestField(models.CharField):  # type: ignore[type-arg]  # not generic at run time
    """A text that is stored, and looked up, as its digest. A row that was read is changed by `update` alone."""

    def get_prep_value(self, value: Any) -> Any:
        return None if value is None else digest(str(value))


def _owner(**options: Any) -> Any:
    return models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", **options)


class OAuthApplication(AbstractApplication):  # type: ignore[misc]  # the toolkit has no types
    """A program that may ask users for access, or act as its owner; registered in the admin."""

    GRANTS: ClassVar[list[tuple[str, str]]] = [
        (AbstractApplication.GRANT_AUTHORIZATION_CODE, "Authorization code: acts for the people who allow it"),
        (AbstractApplication.GRANT_CLIENT_CREDENTIALS, "Client credentials: acts as its owner"),
    ]

    id = id_field()
    name = models.CharField(max_length=100)
    user = _owner(null=True, blank=True, verbose_name="owner")
    authorization_grant_type = models.CharField(max_length=44, choices=GRANTS)
    # Always: no column, so that no row can say otherwise.
    hash_client_secret = True
    # What the toolkit has for OpenID, CORS, other registries and trust without asking.
    post_logout_redirect_uris = None
    skip_authorization = None
    algorithm = None
    allowed_origins = None
    registration_source = None
    cimd_expires_at = None

    class Meta:
        verbose_name = "OAuth application"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(authorization_grant_type=AbstractApplication.GRANT_AUTHORIZATION_CODE)
                | models.Q(
                    authorization_grant_type=AbstractApplication.GRANT_CLIENT_CREDENTIALS,
                    client_type=AbstractApplication.CLIENT_CONFIDENTIAL,
                ),
                name="oauth_application_grant",
            )
        ]

    @property
    def is_confidential(self) -> bool:
        """Whether it can keep a secret, and so has one."""
        return bool(self.client_type == self.CLIENT_CONFIDENTIAL)

    def redirect_uri_allowed(self, uri: str) -> bool:
        """Whether the address is registered, character for character (RFC 9700 §2.1)."""
        return uri in self.redirect_uris.split()

    def clean(self) -> None:
        """Raises ValidationError, by field, for an application that could not work or would not be safe."""
        errors: dict[str, str] = {}
        addresses = self.redirect_uris.split()
        if self.authorization_grant_type == self.GRANT_CLIENT_CREDENTIALS:
            if not self.is_confidential:
                errors["client_type"] = "Client credentials need a confidential client"
            if self.user_id is None:
                errors["user"] = "Client credentials act as the owner: name one"
        elif not addresses:
            errors["redirect_uris"] = "An authorization code needs a redirect address to be sent to"
        bad = [address for address in addresses if not _is_safe_redirect(address)]
        if bad:
            errors["redirect_uris"] = (
                f"Not an https address without fragment and user name, or http to this machine: {', '.join(bad)}"
            )
        if errors:
            raise ValidationError(errors)


def _is_safe_redirect(uri: str) -> bool:
    try:
        parts = urlsplit(uri)
        host = parts.hostname
        parts.port  # noqa: B018 - raises for a bad one
    except ValueError:
        return False
    if not host or "*" in host or "@" in parts.netloc or "#" in uri or "\\" in uri or not uri.isascii():
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and host in _LOOPBACK)


class OAuthGrant(AbstractGrant):  # type: ignore[misc]  # the toolkit has no types
    """An authorization code. It is kept when it was used, so that a second use is seen."""

    id = id_field()
    user = _owner()
    code = DigestField(max_length=64, unique=True)
    used_at = models.DateTimeField(null=True)


class OAuthAccessToken(AbstractAccessToken):  # type: ignore[misc]  # the toolkit has no types
    """An access token; without a user, one of client credentials, which acts as the application's owner."""

    id = id_field()
    user = _owner(null=True)
    # The toolkit's place for the token itself, and for OpenID's.
    token = None
    id_token = None


class OAuthRefreshToken(AbstractRefreshToken):  # type: ignore[misc]  # the toolkit has no types
    """A refresh token. Its family is everything that came of one authorization code, and is that grant's id."""

    id = id_field()
    user = _owner()
    token = None


class OAuthUnused(models.Model):
    """Stands where the toolkit must be given models of OpenID and of the device flow; there is neither here."""

    id = id_field()

    def __str__(self) -> str:
        return str(self.pk)
