"""Times as text: reading ISO 8601 or epoch seconds, writing ISO 8601 or a format."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from workflows.expressions.errors import ExpressionError
from workflows.expressions.values import kind_of

MAX_TIME_CHARS: Final = 64

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS: Final = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip

# Not strftime: its directives depend on the machine's C library and locale, and take widths
# (`%9999999d`) that make a text of any length.
_DIRECTIVES: Final[dict[str, Callable[[datetime], str]]] = {
    "%": lambda time: "%",
    "Y": lambda time: f"{time.year:04}",
    "y": lambda time: f"{time.year % 100:02}",
    "m": lambda time: f"{time.month:02}",
    "d": lambda time: f"{time.day:02}",
    "H": lambda time: f"{time.hour:02}",
    "I": lambda time: f"{(time.hour + 11) % 12 + 1:02}",
    "M": lambda time: f"{time.minute:02}",
    "S": lambda time: f"{time.second:02}",
    "f": lambda time: f"{time.microsecond:06}",
    "p": lambda time: "AM" if time.hour < 12 else "PM",
    "j": lambda time: f"{time.timetuple().tm_yday:03}",
    "a": lambda time: _DAYS[time.weekday()][:3],
    "A": lambda time: _DAYS[time.weekday()],
    "u": lambda time: str(time.isoweekday()),
    "b": lambda time: _MONTHS[time.month - 1][:3],
    "B": lambda time: _MONTHS[time.month - 1],
    "V": lambda time: f"{time.isocalendar().week:02}",
    "G": lambda time: f"{time.isocalendar().year:04}",
    "F": lambda time: f"{time.year:04}-{time.month:02}-{time.day:02}",
    "T": lambda time: f"{time.hour:02}:{time.minute:02}:{time.second:02}",
    "s": lambda time: str((time - _EPOCH) // timedelta(seconds=1)),
    "z": lambda time: "+0000",
    "Z": lambda time: "UTC",
}


def to_time(value: object) -> datetime:
    """The aware UTC time of ISO 8601 text (without an offset: UTC) or of seconds since 1970.

    Raises ExpressionError for anything else and outside the years 1 to 9999.
    """
    try:
        if type(value) is int or type(value) is float:
            return _EPOCH + timedelta(seconds=value)
        if type(value) is str and len(value) <= MAX_TIME_CHARS:
            time = datetime.fromisoformat(value.strip())
            return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise ExpressionError(f"filter `date` needs ISO 8601 text or seconds since 1970, not this {kind_of(value)}")


def to_iso(time: datetime) -> str:
    """ISO 8601 in UTC with `Z`; a fraction only where there is one. A naive time is UTC."""
    aware = time if time.tzinfo else time.replace(tzinfo=UTC)
    return aware.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"


def formatted(time: datetime, pattern: str) -> str:
    """The time in a format of `%` directives, in English, in UTC. Raises ExpressionError for unknown ones."""
    literal, *pieces = pattern.split("%")
    parts = [literal]
    rest = iter(pieces)
    for piece in rest:
        # An empty piece stands between two percent signs: `%%`, and then the literal text after it.
        directive, after = (piece[0], piece[1:]) if piece else ("%", next(rest, None))
        if after is None or directive not in _DIRECTIVES:
            raise ExpressionError(f"filter `date` knows the directives {' '.join('%' + name for name in _DIRECTIVES)}")
        parts.extend((_DIRECTIVES[directive](time), after))
    return "".join(parts)
