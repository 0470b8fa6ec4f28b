"""Times on the wire: ISO 8601, UTC, `Z`; inputs take any offset and a naive time is read as UTC (contract §2)."""

from datetime import UTC, date, datetime


def iso(value: datetime) -> str:
    """`2025-01-01T12:00:00Z`, with microseconds only where there are any."""
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def parse_time(text: str) -> datetime:
    """An aware UTC datetime. Raises ValueError for anything that is not an ISO 8601 date and time in 1970–9998."""
    value = datetime.fromisoformat(text)
    if value.tzinfo is None:
        value = value.replace(tzinfo=UTC)
    # The margins keep conversions between time zones from leaving the calendar.
    if not 1970 <= value.year <= 9998:
        raise ValueError("year out of range")
    return value.astimezone(UTC)


def midnight(day: date) -> datetime:
    """The day's beginning, in UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
