"""Which executions staff mean: the filters of their list, and of what is done to all that match them."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timedelta
from typing import Self

from django.db.models import Q

from accounts.models import User
from core.errors import BadRequestError, Problem
from core.ids import first_id, parse_id
from core.types import JSONObject
from executions.models import ExecutionQuerySet
from executions.states import ExecutionStatus

TRIGGERS = ("manual", "schedule", "webhook", "event", "sub_workflow")
# By the name in the address: what it is called, and how old at most, or at least, an execution is.
AGES: Mapping[str, tuple[str, timedelta, bool]] = {
    "1": ("Last hour", timedelta(hours=1), True),
    "24": ("Last 24 hours", timedelta(hours=24), True),
    "168": ("Last 7 days", timedelta(days=7), True),
    "720": ("Last 30 days", timedelta(days=30), True),
    "over-1": ("Older than 1 hour", timedelta(hours=1), False),
    "over-24": ("Older than 24 hours", timedelta(hours=24), False),
    "over-168": ("Older than 7 days", timedelta(days=7), False),
}
_IDS = ("workflow", "workflow_owner_id", "created_by")
_PLACES = frozenset({"older", "newer", "p", "e", "_changelist_filters"})


@dataclass(frozen=True, slots=True)
class Selection:
    """What is asked for; None is any. `made_from` and `made_before` bound ids; `named` is an id, of it or its workflow.

    Empty, it is all there are.
    """

    status: str | None = None
    trigger: str | None = None
    workflow: str | None = None
    workflow_owner_id: str | None = None
    created_by: str | None = None
    made_from: str | None = None
    made_before: str | None = None
    named: str | None = None

    @classmethod
    def of_query(cls, query: Mapping[str, str], now: datetime) -> Self:
        """What the address of the list says. Raises BadRequestError naming what it does not know."""
        found: dict[str, str] = {}
        for name, value in query.items():
            if name in _PLACES or not value:
                continue
            found.update(_read(name, value.strip(), now))
        return cls(**found)

    @classmethod
    def of_json(cls, stored: JSONObject) -> Self:
        """As `to_json` made it."""
        return cls(**stored)

    def to_json(self) -> JSONObject:
        """Only what is asked for."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @property
    def is_empty(self) -> bool:
        """Whether it is all there are."""
        return not self.to_json()

    def lines(self) -> Iterator[str]:
        """What is asked for, in words."""
        words = {"workflow_owner_id": "owner of the workflow", "created_by": "started by", "named": "id or workflow"}
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None:
                yield f"{words.get(field.name, field.name.replace('_', ' '))}: {value}"

    def apply(self, executions: ExecutionQuerySet) -> ExecutionQuerySet:
        """Those of the executions that are meant."""
        wanted = {
            "status": self.status,
            "trigger__type": self.trigger,
            "workflow": self.workflow,
            "workflow_owner_id": self.workflow_owner_id,
            "created_by": self.created_by,
            "pk__gte": self.made_from,
            "pk__lt": self.made_before,
        }
        found = executions.filter(**{name: value for name, value in wanted.items() if value is not None})
        return found if self.named is None else found.filter(Q(pk=self.named) | Q(workflow=self.named))


def _read(name: str, value: str, now: datetime) -> dict[str, str]:
    if name == "status" and value in set(ExecutionStatus):
        return {"status": value}
    if name == "trigger" and value in TRIGGERS:
        return {"trigger": value}
    if name == "made" and value in AGES:
        _, age, newer = AGES[value]
        return {"made_from" if newer else "made_before": first_id(now - age)}
    if name in _IDS or name == "q":
        try:
            return {"named" if name == "q" else name: parse_id(value)}
        except ValueError:
            user = User.objects.by_login(value) if name == "q" else None
            if user is not None:
                return {"workflow_owner_id": user.pk}
    raise BadRequestError(problems=[Problem("There is no such filter of executions", field=name[:64])])
