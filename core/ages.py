"""How long ago the earliest of some rows was, by PostgreSQL's clock."""

from datetime import timedelta

from django.db.models import DurationField, ExpressionWrapper, Min, Q
from django.db.models.expressions import CombinedExpression
from django.db.models.functions import Now


def age_of_oldest(field: str, rows: Q | None = None) -> "ExpressionWrapper[CombinedExpression]":
    """An aggregate: since the earliest time in the field, of these rows; NULL where there is none."""
    return ExpressionWrapper(Now() - Min(field, filter=rows), output_field=DurationField())


def in_seconds(age: timedelta | None) -> float:
    """What the aggregate gave, as a number; 0 where there was no row."""
    return max(age.total_seconds(), 0.0) if age is not None else 0.0
