"""Bodies of the auth endpoints and of secrets, and a user on the wire."""

from django.core.validators import RegexValidator

from accounts.authentication import Caller
from accounts.models import SECRET_NAME, Secret
from accounts.services import TokenPair
from core.serializers import StrictCharField, StrictSerializer
from core.types import JSONObject

MAX_SECRET_CHARS = 65_536


class LoginSerializer(StrictSerializer):
    """`POST auth/login`."""

    username = StrictCharField(max_length=254)
    password = StrictCharField(trim_whitespace=False)


class RefreshSerializer(StrictSerializer):
    """`POST auth/refresh`, `POST auth/logout`."""

    refresh_token = StrictCharField()


class SecretValueSerializer(StrictSerializer):
    """`PUT secrets/{name}`. White space may be part of a secret."""

    value = StrictCharField(min_length=1, max_length=MAX_SECRET_CHARS, trim_whitespace=False)


class SecretSerializer(SecretValueSerializer):
    """`POST secrets`."""

    name = StrictCharField(
        trim_whitespace=False,
        validators=[
            RegexValidator(
                rf"\A{SECRET_NAME}\Z",
                "Must be 1 to 64 letters, digits and underscores, and not start with a digit.",
            )
        ],
    )


def secret_data(secret: Secret) -> JSONObject:
    """A secret on the wire: everything but its value."""
    return {"name": secret.name, "created_at": secret.created_at, "updated_at": secret.updated_at}


def token_data(pair: TokenPair) -> JSONObject:
    """The API reference's answer of a login."""
    return {
        "access_token": pair.access_token,
        "refresh_token": pair.refresh_token,
        "expires_in": pair.expires_in,
        "token_type": "Bearer",
    }


def me_data(caller: Caller) -> JSONObject:
    """`GET auth/me`."""
    user = caller.user
    return {
        "id": user.pk,
        "email": user.email,
        "username": user.username,
        "tier": user.tier,
        "is_staff": user.is_staff,
        "limits": user.limits._asdict(),
        "scopes": sorted(caller.scopes),
        "created_at": user.created_at,
    }
