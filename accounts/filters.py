"""The query parameters of user lists and of the audit log; a bad one is 400 and named (contract §3)."""

from ipaddress import ip_address

from django.db.models import QuerySet
from django.http import QueryDict

from accounts import audit
from accounts.audit import Action
from accounts.models import Tier, User
from core.describing import (
    boolean_parameter,
    choice_parameter,
    id_parameter,
    text_parameter,
    time_parameters,
)
from core.pagination import Keys
from core.query import bad_parameter, boolean, choice, identifier, text, time_range

USER_FILTERS = (
    text_parameter("search", "Text in the e-mail or the username, in any case"),
    choice_parameter("tier", Tier.values, "Only users of this tier"),
    boolean_parameter("is_active", "Only those who may log in, or who may not"),
    boolean_parameter("is_staff", "Only staff, or only others"),
)
AUDIT_FILTERS = (
    choice_parameter("action", list(Action), "Only entries of this action"),
    id_parameter("actor_id", "Only what this user did"),
    text_parameter("object_type", "Only what was done to objects of this type"),
    text_parameter("object_id", "Only what was done to this object"),
    text_parameter("address", "Only what came from this IP address"),
    *time_parameters("entries made"),
)


def filter_users(users: QuerySet[User], query: QueryDict) -> QuerySet[User]:
    """Apply search (in email and username), tier, is_active and is_staff. Raises BadRequestError."""
    if search := text(query, "search"):
        users = users.filter(email__icontains=search) | users.filter(username__icontains=search)
    if (tier := choice(query, "tier", Tier.values)) is not None:
        users = users.filter(tier=tier)
    for name in ("is_active", "is_staff"):
        if name in query:
            users = users.filter(**{name: boolean(query, name, default=False)})
    return users


def entry_keys(query: QueryDict) -> Keys:
    """Entries of the audit log, the newest first. Raises BadRequestError.

    By action, actor_id, object_type, object_id, address, start_date, end_date.
    """
    entries = audit.entries()
    if (action := choice(query, "action", list(Action))) is not None:
        entries = entries.filter(action=action)
    if (actor_id := identifier(query, "actor_id")) is not None:
        entries = entries.filter(actor_id=actor_id)
    for name in ("object_type", "object_id"):
        if (value := text(query, name)) is not None:
            entries = entries.filter(**{name: value})
    if (address := text(query, "address")) is not None:
        entries = entries.filter(address=_address(address))
    start, end = time_range(query)
    if start:
        entries = entries.filter(at__gte=start)
    if end:
        entries = entries.filter(at__lte=end)
    # Within a range an index has the entries by time, which is all but the order of ids.
    return Keys((entries.order_by("-at", "-pk") if start or end else entries).values_list("pk"))


def _address(written: str) -> str:
    try:
        # No entry has a zone (fe80::1%eth0), and PostgreSQL's addresses have none.
        if "%" not in written:
            return str(ip_address(written))
    except ValueError:
        pass
    raise bad_parameter("address", "an IP address", written)
