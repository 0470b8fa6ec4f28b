"""Bodies of the auth endpoints, and a user on the wire."""

from accounts.authentication import Caller
from accounts.services import TokenPair
from core.serializers import StrictCharField, StrictSerializer
from core.types import JSONObject


class LoginSerializer(StrictSerializer):
    """`POST auth/login`."""

    username = StrictCharField(max_length=254)
    password = StrictCharField(trim_whitespace=False)


class RefreshSerializer(StrictSerializer):
    """`POST auth/refresh`, `POST auth/logout`."""

    refresh_token = StrictCharField()


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
