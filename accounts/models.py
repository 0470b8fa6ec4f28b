"""Users and their tiers; sessions, API keys and secrets; the audit log."""

from typing import Any, ClassVar, NamedTuple

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.contrib.postgres.fields import ArrayField
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models.functions import Lower
from django.db.models.lookups import Exact
from django.utils import timezone

from accounts import oauth_models as oauth_models  # Django finds an app's models here
from core.ids import ULIDField, id_field

SECRET_NAME = r"[A-Za-z_][A-Za-z0-9_]{0,63}"  # noqa: S105 - the shape of a name


class Tier(models.TextChoices):
    """The rate limit tiers of the API reference; `custom` carries its own numbers on the user."""

    FREE = "free"
    PRO = "pro"
    ENTERPRISE = "enterprise"
    CUSTOM = "custom"


class Limits(NamedTuple):
    """What a tier allows."""

    requests_per_hour: int
    concurrent_executions: int


class UserManager(BaseUserManager["User"]):
    """Makes users with a normalised e-mail and a hashed password."""

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """A stored user. `username` defaults to the e-mail. Raises IntegrityError on a taken name."""
        email = self.normalize_email(email)
        user = self.model(email=email, username=fields.pop("username", None) or email, **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """A user who is staff and may do everything; for `manage.py createsuperuser`."""
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)

    def by_login(self, name: str) -> "User | None":
        """The user whose e-mail or username is `name`, in any case (contract §4); the one with the e-mail first."""
        if "\0" in name:
            return None
        # As PostgreSQL lowers both, so that the unique indexes answer.
        lowered = Lower(models.Value(name))
        email, username = Exact(Lower("email"), lowered), Exact(Lower("username"), lowered)
        return self.filter(models.Q(email) | models.Q(username)).order_by(email.desc()).first()


def _own_limit() -> "models.PositiveIntegerField[int | None, int | None]":
    return models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1)], help_text="custom tier only"
    )


class User(AbstractBaseUser, PermissionsMixin):
    """Who calls: a person or a service; logs in by e-mail or username."""

    id = id_field()
    email = models.EmailField(max_length=254, unique=True)
    username = models.CharField(max_length=254)
    tier = models.CharField(max_length=12, choices=Tier.choices, default=Tier.FREE)
    requests_per_hour = _own_limit()
    concurrent_executions = _own_limit()
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    objects = UserManager()

    class Meta:
        constraints = [
            models.UniqueConstraint(Lower("email"), name="user_email_unique"),
            models.UniqueConstraint(Lower("username"), name="user_username_unique"),
        ]

    def __str__(self) -> str:
        return self.email

    @property
    def limits(self) -> Limits:
        """The tier's numbers; a custom one's own, the free tier's where one is missing."""
        if self.tier != Tier.CUSTOM:
            return Limits(*settings.TIERS[self.tier])
        free = Limits(*settings.TIERS[Tier.FREE])
        return Limits(
            free.requests_per_hour if self.requests_per_hour is None else self.requests_per_hour,
            free.concurrent_executions if self.concurrent_executions is None else self.concurrent_executions,
        )


class Session(models.Model):
    """One login: a family of refresh tokens of which the last made is good, and the access tokens beside them.

    A request's token is good only while its session is: log out, a changed password or a disabled user end
    it at once.
    """

    id = id_field()
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="sessions")
    refresh_id = ULIDField()
    address = models.GenericIPAddressField(null=True)
    user_agent = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    last_used_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(db_index=True)
    revoked_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.user_id} since {self.created_at:%Y-%m-%d}"


class Secret(models.Model):
    """A value that its owner's workflows use by name and nobody reads; sealed for this row (contract §4)."""

    id = id_field()
    owner = models.ForeignKey(User, on_delete=models.CASCADE, related_name="secrets")
    name = models.CharField(max_length=64)
    sealed_value = models.BinaryField()
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["owner", "name"], name="secret_name_unique_per_owner"),
            models.CheckConstraint(condition=models.Q(name__regex=f"^{SECRET_NAME}$"), name="secret_name_shape"),
        ]

    def __str__(self) -> str:
        return self.name


class ApiKey(models.Model):
    """A key for programs. Kept are its prefix, to find and to show it, and a hash: 256 random bits need no slow one."""

    id = id_field()
    owner = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_keys")
    name = models.CharField(max_length=100)
    description = models.CharField(max_length=1000, blank=True)
    prefix = models.CharField(max_length=16, unique=True)
    key_hash = models.BinaryField()
    permissions = ArrayField(models.CharField(max_length=32))
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(null=True)
    last_used_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["owner", "-created_at"], name="api_key_owner_created")]

    def __str__(self) -> str:
        return self.name


class AuditEntry(models.Model):
    """Who did what, when, from where, to which object. The database refuses to change one.

    No foreign keys: an entry outlives what it tells of.
    """

    id = id_field()
    at = models.DateTimeField(default=timezone.now, editable=False)
    actor_id = ULIDField(null=True)
    actor = models.CharField(max_length=254, blank=True)
    credential = models.CharField(max_length=48, blank=True)
    address = models.GenericIPAddressField(null=True)
    request_id = models.CharField(max_length=128, blank=True)
    action = models.CharField(max_length=48)
    object_type = models.CharField(max_length=32, blank=True)
    object_id = models.CharField(max_length=64, blank=True)
    details = models.JSONField(default=dict)

    class Meta:
        verbose_name_plural = "audit entries"
        indexes = [
            models.Index(fields=["actor_id", "-id"], name="audit_actor"),
            models.Index(fields=["object_type", "object_id", "-id"], name="audit_object"),
            models.Index(fields=["action", "-id"], name="audit_action"),
            models.Index(fields=["object_type", "-id"], name="audit_object_type"),
            models.Index(fields=["address", "-id"], name="audit_address"),
            models.Index(fields=["-at", "-id"], name="audit_time"),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.object_type} {self.object_id}"
