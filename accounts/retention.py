"""What of accounts grows, and when it goes: the audit log, sessions and tokens, the admin's own records."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.contrib.sessions.models import Session as AdminSession
from django.db import connection
from django.db.models import QuerySet

from accounts import access_end, oauth
from accounts.models import AuditEntry, Session
from accounts.oauth_models import OAuthAccessToken, OAuthGrant, OAuthRefreshToken
from core.pruning import Pruned, Rule, batch, rule_of_rows

AUDIT_ROWS = 5_000
_ADMIN_LOG_ROWS = 20_000


def _old_entries(now: datetime) -> QuerySet[AuditEntry]:
    return AuditEntry.objects.filter(at__lt=now - timedelta(days=settings.RETENTION["AUDIT_DAYS"]))


def _count_entries(now: datetime) -> Mapping[str, int]:
    return {AuditEntry._meta.db_table: _old_entries(now).count()}


def _prune_entries(now: datetime) -> Pruned:
    """The database allows it for old entries alone, and records how many went, of when, and a digest of them."""
    with batch():
        ids = list(_old_entries(now).order_by("at").values_list("pk", flat=True)[:AUDIT_ROWS])
        if ids:
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL apg.prune_audit = 'on'")
            AuditEntry.objects.filter(pk__in=ids).delete()
    return Pruned({AuditEntry._meta.db_table: len(ids)}, more=len(ids) == AUDIT_ROWS)


def _old_admin_sessions(now: datetime) -> QuerySet[AdminSession]:
    return AdminSession.objects.filter(expire_date__lt=now)


def _old_admin_log(now: datetime) -> QuerySet[LogEntry]:
    """What the audit log has too."""
    return LogEntry.objects.filter(action_time__lt=now - timedelta(days=settings.RETENTION["AUDIT_DAYS"]))


_TOKEN_DAYS = "APG_REFRESH_TOKEN_DAYS after its end"  # noqa: S105 - the name of a setting

RULES = (
    Rule("audit log", AuditEntry._meta.db_table, "APG_KEEP_AUDIT_DAYS", _count_entries, _prune_entries),
    rule_of_rows("sessions", Session, _TOKEN_DAYS, access_end.ended_sessions),
    rule_of_rows("OAuth codes", OAuthGrant, _TOKEN_DAYS, oauth.ended_grants),
    rule_of_rows("OAuth refresh tokens", OAuthRefreshToken, _TOKEN_DAYS, oauth.ended_refresh_tokens),
    rule_of_rows("OAuth access tokens", OAuthAccessToken, _TOKEN_DAYS, oauth.ended_access_tokens),
    rule_of_rows("sessions of the admin", AdminSession, "8 hours", _old_admin_sessions),
    rule_of_rows("the admin's own log", LogEntry, "APG_KEEP_AUDIT_DAYS", _old_admin_log, first=_ADMIN_LOG_ROWS),
)
