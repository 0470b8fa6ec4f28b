"""What accounts look like in answers, for the OpenAPI document: the serializers beside it make them."""

from accounts.audit import Action
from accounts.models import SECRET_NAME, Tier
from accounts.scopes import EVERYTHING, Scope
from core.shapes import (
    ID,
    TIME,
    Named,
    Schema,
    any_object,
    array,
    boolean,
    enum,
    integer,
    nullable,
    record,
    text,
)
from core.types import JSONObject

EXAMPLE_LOGIN: JSONObject = {"username": "user@example.com", "password": "password"}
EXAMPLE_API_KEY: JSONObject = {
    "name": "My Integration",
    "description": "API key for workflow automation",
    "expires_at": "2025-12-31T23:59:59Z",
    "permissions": ["workflow.read", "workflow.execute"],
}
TOKENS = Named(
    "Tokens",
    record(
        {
            "access_token": text("For `Authorization: Bearer …`"),
            "refresh_token": text("For one call of auth/refresh"),
            "expires_in": integer("Seconds that the access token lives", 1),
            "token_type": {"const": "Bearer"},
        }
    ),
    example={
        "access_token": "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9...",
        "refresh_token": "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9...",
        "expires_in": 3600,
        "token_type": "Bearer",
    },
)
_LIMITS = Named("Limits", record({"requests_per_hour": integer("", 1), "concurrent_executions": integer("", 1)}))
_GROUPS = array(record({"id": ID, "name": text()}))
_PERSON: Schema = {
    "id": ID,
    "email": text(maxLength=254),
    "username": text(maxLength=254),
    "tier": enum(Tier.values),
    "is_staff": boolean(),
    "limits": _LIMITS,
    "groups": _GROUPS,
    "created_at": TIME,
}
ME = Named("Me", record({**_PERSON, "scopes": array(enum(Scope))}))
USER = Named(
    "User",
    record(
        {
            **_PERSON,
            "requests_per_hour": nullable(integer("Of the tier `custom`", 1)),
            "concurrent_executions": nullable(integer("Of the tier `custom`", 1)),
            "is_active": boolean(),
            "last_login_at": nullable(TIME),
        }
    ),
)
GROUP = Named("Group", record({"id": ID, "name": text(maxLength=150), "members": array(ID)}))
_KEY: Schema = {
    "id": ID,
    "name": text(maxLength=100),
    "description": text(maxLength=1000),
    "prefix": text("The first characters of the key, to tell keys apart"),
    "permissions": array(enum([*Scope, EVERYTHING])),
    "created_at": TIME,
    "expires_at": nullable(TIME),
    "last_used_at": nullable(TIME),
}
API_KEY = Named("ApiKey", record(_KEY))
NEW_API_KEY = Named("NewApiKey", record({**_KEY, "key": text("The key itself, this once", pattern="^apg_")}))
SECRET = Named("Secret", record({"name": text(pattern=f"^{SECRET_NAME}$"), "created_at": TIME, "updated_at": TIME}))
AUDIT_ENTRY = Named(
    "AuditEntry",
    record(
        {
            "id": ID,
            "at": TIME,
            "actor_id": nullable(ID),
            "actor": text("The actor's e-mail at that time"),
            "credential": text("What they called with"),
            "address": nullable(text()),
            "request_id": text(),
            "action": enum(Action),
            "object_type": text(),
            "object_id": text(),
            "details": any_object(),
        }
    ),
)
