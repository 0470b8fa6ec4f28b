"""Bodies of the auth endpoints, of API keys and secrets; users, groups, keys and audit entries on the wire."""

from datetime import datetime

from django.contrib.auth.models import Group
from django.core.validators import RegexValidator
from django.utils import timezone
from rest_framework import serializers

from accounts.api_keys import MAX_LIFETIME
from accounts.callers import Caller
from accounts.groups import group_id
from accounts.models import SECRET_NAME, ApiKey, AuditEntry, Secret, Tier, User
from accounts.scopes import EVERYTHING, Scope
from accounts.services import TokenPair
from core.ids import parse_id
from core.serializers import (
    IdField,
    StrictBooleanField,
    StrictCharField,
    StrictIntegerField,
    StrictListField,
    StrictSerializer,
    TimeField,
)
from core.types import JSONObject

MAX_SECRET_CHARS = 65_536


class LoginSerializer(StrictSerializer):
    """`POST auth/login`."""

    username = StrictCharField(max_length=254)
    password = StrictCharField(trim_whitespace=False)


class RefreshSerializer(StrictSerializer):
    """`POST auth/refresh`, `POST auth/logout`."""

    refresh_token = StrictCharField()


class PasswordSerializer(StrictSerializer):
    """`POST auth/password`."""

    current_password = StrictCharField(trim_whitespace=False)
    new_password = StrictCharField(trim_whitespace=False)


class ApiKeySerializer(StrictSerializer):
    """`POST auth/api-keys`."""

    name = StrictCharField(min_length=1, max_length=100)
    description = StrictCharField(max_length=1000, allow_blank=True, required=False, default="")
    permissions = StrictListField(child=serializers.ChoiceField(choices=[*Scope, EVERYTHING]), max_length=50)
    expires_at = TimeField(required=False, allow_null=True)

    def validate_permissions(self, value: list[str]) -> list[str]:
        return sorted(set(value))

    def validate_expires_at(self, value: datetime | None) -> datetime | None:
        now = timezone.now()
        if value is not None and not now < value <= now + MAX_LIFETIME:
            raise serializers.ValidationError(f"Must be in the future, and within {MAX_LIFETIME.days // 366} years.")
        return value


class UserSerializer(StrictSerializer):
    """`POST auth/users`, `PUT auth/users/{id}`; with partial=True, PATCH."""

    email = serializers.EmailField(max_length=254)
    username = StrictCharField(min_length=1, max_length=254, required=False)
    password = StrictCharField(trim_whitespace=False)
    tier = serializers.ChoiceField(choices=Tier.choices, required=False)
    requests_per_hour = StrictIntegerField(min_value=1, max_value=10**9, required=False, allow_null=True)
    concurrent_executions = StrictIntegerField(min_value=1, max_value=10**6, required=False, allow_null=True)
    is_active = StrictBooleanField(required=False)
    is_staff = StrictBooleanField(required=False)


class ReplaceUserSerializer(UserSerializer):
    """`PUT auth/users/{id}`: as create, but what is not told, the password, may stay."""

    password = StrictCharField(trim_whitespace=False, required=False)


class GroupSerializer(StrictSerializer):
    """`POST auth/groups`, `PUT auth/groups/{id}`; with partial=True, PATCH."""

    name = StrictCharField(min_length=1, max_length=150)
    members = StrictListField(child=IdField(), max_length=10_000, required=False, default=list)

    def validate_name(self, value: str) -> str:
        # An approval's `approvers` are ids of users and names of groups.
        try:
            parse_id(value)
        except ValueError:
            return value
        raise serializers.ValidationError("May not read as an id.")


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
        "groups": [{"id": group_id(group.pk), "name": group.name} for group in user.groups.order_by("name")],
        "created_at": user.created_at,
    }


def user_data(user: User) -> JSONObject:
    """A user as staff see one."""
    return {
        "id": user.pk,
        "email": user.email,
        "username": user.username,
        "tier": user.tier,
        "requests_per_hour": user.requests_per_hour,
        "concurrent_executions": user.concurrent_executions,
        "limits": user.limits._asdict(),
        "is_active": user.is_active,
        "is_staff": user.is_staff,
        "groups": [{"id": group_id(group.pk), "name": group.name} for group in user.groups.all()],
        "created_at": user.created_at,
        "last_login_at": user.last_login,
    }


def group_data(group: Group) -> JSONObject:
    """A group with the ids of its members."""
    members = [user.pk for user in group.user_set.all()]
    return {"id": group_id(group.pk), "name": group.name, "members": sorted(members)}


def api_key_data(key: ApiKey) -> JSONObject:
    """A key on the wire: everything but the key itself."""
    return {
        "id": key.pk,
        "name": key.name,
        "description": key.description,
        "prefix": key.prefix,
        "permissions": key.permissions,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "last_used_at": key.last_used_at,
    }


def audit_data(entry: AuditEntry) -> JSONObject:
    """An entry of the audit log."""
    return {
        "id": entry.pk,
        "at": entry.at,
        "actor_id": entry.actor_id,
        "actor": entry.actor,
        "credential": entry.credential,
        "address": entry.address,
        "request_id": entry.request_id,
        "action": entry.action,
        "object_type": entry.object_type,
        "object_id": entry.object_id,
        "details": entry.details,
    }
