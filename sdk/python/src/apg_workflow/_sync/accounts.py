"""Accounts: logins, API keys, users, groups, secrets, and what was changed by whom."""

from __future__ import annotations

from collections.abc import Iterator

from typing_extensions import Unpack

from apg_workflow import bodies, models
from apg_workflow._sync.resource import Resource
from apg_workflow.calls import Call, get, nothing, one, operation, page_of, path, post


class Auth(Resource):
    """The caller's own account. A client logs in by itself; these are for programs that manage logins of others."""

    @operation("log_in")
    def log_in(self, username: str, password: str) -> models.Tokens:
        """Raises AuthenticationError."""
        return self._send(
            post(
                path("auth", "login"), one(models.Tokens), {"username": username, "password": password}, anonymous=True
            )
        )

    @operation("refresh_login")
    def refresh(self, refresh_token: str) -> models.Tokens:
        """New tokens; the old refresh token must not be used again."""
        return self._send(
            post(path("auth", "refresh"), one(models.Tokens), {"refresh_token": refresh_token}, anonymous=True)
        )

    @operation("log_out")
    def log_out(self, refresh_token: str) -> None:
        """End a login."""
        self._send(post(path("auth", "logout"), nothing, {"refresh_token": refresh_token}, anonymous=True))

    @operation("get_caller")
    def get_caller(self) -> models.Caller:
        """Who the credential is of, and its scopes."""
        return self._send(get(path("auth", "me"), one(models.Caller)))

    @operation("change_password")
    def change_password(self, *, current_password: str, new_password: str) -> None:
        """Ends all logins of the account."""
        self._send(
            post(
                path("auth", "password"), nothing, {"current_password": current_password, "new_password": new_password}
            )
        )


class ApiKeys(Resource):
    """API keys of the caller; an API key may not manage keys."""

    @operation("list_api_keys")
    def list(self, *, limit: int | None = None, offset: int | None = None) -> models.Page[models.ApiKey]:
        """The caller's keys."""
        return self._send(get(path("auth", "api-keys"), page_of(models.ApiKey), limit=limit, offset=offset))

    def iterate(self, *, page_size: int = 100) -> Iterator[models.ApiKey]:
        """All of `list`, page after page."""
        return self._walk(
            lambda limit, offset: get(path("auth", "api-keys"), page_of(models.ApiKey), limit=limit, offset=offset),
            page_size,
        )

    @operation("create_api_key")
    def create(self, body: bodies.ApiKeyBody) -> models.NewApiKey:
        """`key` of the answer is shown this once."""
        return self._send(post(path("auth", "api-keys"), one(models.NewApiKey), body))

    @operation("get_api_key")
    def get(self, key_id: str) -> models.ApiKey:
        """Raises NotFoundError."""
        return self._send(get(path("auth", "api-keys", key_id), one(models.ApiKey)))

    @operation("delete_api_key")
    def delete(self, key_id: str) -> None:
        """It is refused from now on."""
        self._send(Call("DELETE", path("auth", "api-keys", key_id), nothing))


class Users(Resource):
    """Accounts; for staff."""

    @operation("list_users")
    def list(
        self, *, limit: int | None = None, offset: int | None = None, **filters: Unpack[bodies.UserFilters]
    ) -> models.Page[models.User]:
        """All accounts."""
        return self._send(get(path("auth", "users"), page_of(models.User), limit=limit, offset=offset, **filters))

    def iterate(self, *, page_size: int = 100, **filters: Unpack[bodies.UserFilters]) -> Iterator[models.User]:
        """All of `list`, page after page."""
        return self._walk(
            lambda limit, offset: get(
                path("auth", "users"), page_of(models.User), limit=limit, offset=offset, **filters
            ),
            page_size,
        )

    @operation("create_user")
    def create(self, body: bodies.UserBody) -> models.User:
        """Raises ValidationError, ConflictError."""
        return self._send(post(path("auth", "users"), one(models.User), body))

    @operation("get_user")
    def get(self, user_id: str) -> models.User:
        """Raises NotFoundError."""
        return self._send(get(path("auth", "users", user_id), one(models.User)))

    @operation("replace_user")
    def replace(self, user_id: str, body: bodies.ReplaceUserBody) -> models.User:
        """Set all fields; those left out get their defaults."""
        return self._send(Call("PUT", path("auth", "users", user_id), one(models.User), body=body))

    @operation("update_user")
    def update(self, user_id: str, changes: bodies.UserChanges) -> models.User:
        """Change the fields given."""
        return self._send(Call("PATCH", path("auth", "users", user_id), one(models.User), body=changes))


class Groups(Resource):
    """Groups of users."""

    @operation("list_groups")
    def list(self, *, limit: int | None = None, offset: int | None = None) -> models.Page[models.Group]:
        """The groups that the caller sees."""
        return self._send(get(path("auth", "groups"), page_of(models.Group), limit=limit, offset=offset))

    def iterate(self, *, page_size: int = 100) -> Iterator[models.Group]:
        """All of `list`, page after page."""
        return self._walk(
            lambda limit, offset: get(path("auth", "groups"), page_of(models.Group), limit=limit, offset=offset),
            page_size,
        )

    @operation("create_group")
    def create(self, body: bodies.GroupBody) -> models.Group:
        """For staff."""
        return self._send(post(path("auth", "groups"), one(models.Group), body))

    @operation("get_group")
    def get(self, group_id: str) -> models.Group:
        """Raises NotFoundError."""
        return self._send(get(path("auth", "groups", group_id), one(models.Group)))

    @operation("replace_group")
    def replace(self, group_id: str, body: bodies.GroupBody) -> models.Group:
        """Set name and members. For staff."""
        return self._send(Call("PUT", path("auth", "groups", group_id), one(models.Group), body=body))

    @operation("update_group")
    def update(self, group_id: str, changes: bodies.GroupChanges) -> models.Group:
        """Change the fields given. For staff."""
        return self._send(Call("PATCH", path("auth", "groups", group_id), one(models.Group), body=changes))

    @operation("delete_group")
    def delete(self, group_id: str) -> None:
        """With it go its shares. For staff."""
        self._send(Call("DELETE", path("auth", "groups", group_id), nothing))


class Secrets(Resource):
    """Secrets of the caller, which definitions name and nobody reads."""

    @operation("list_secrets")
    def list(self, *, limit: int | None = None, offset: int | None = None) -> models.Page[models.Secret]:
        """Their names."""
        return self._send(get(path("secrets"), page_of(models.Secret), limit=limit, offset=offset))

    def iterate(self, *, page_size: int = 100) -> Iterator[models.Secret]:
        """All of `list`, page after page."""
        return self._walk(
            lambda limit, offset: get(path("secrets"), page_of(models.Secret), limit=limit, offset=offset),
            page_size,
        )

    @operation("create_secret")
    def create(self, body: bodies.SecretBody) -> models.Secret:
        """Raises ConflictError for a name that is taken."""
        return self._send(post(path("secrets"), one(models.Secret), body))

    @operation("replace_secret")
    def replace(self, name: str, value: str) -> models.Secret:
        """Another value."""
        return self._send(Call("PUT", path("secrets", name), one(models.Secret), body={"value": value}))

    @operation("delete_secret")
    def delete(self, name: str) -> None:
        """Executions that need it fail from now on."""
        self._send(Call("DELETE", path("secrets", name), nothing))
