"""Filters on text, numbers and times, and the conversions between values and text."""

import base64
import binascii
import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Final
from urllib.parse import quote

from workflows.expressions.budget import Budget
from workflows.expressions.dates import formatted, to_iso, to_time
from workflows.expressions.errors import ExpressionError
from workflows.expressions.operations import NOT_GIVEN
from workflows.expressions.operators import number_operand
from workflows.expressions.values import (
    JSON,
    Undefined,
    checked_number,
    checked_text,
    defined,
    kind_of,
    plain,
    to_json,
    to_text,
    truth,
)

MAX_TRIM_CHARS: Final = 100
MAX_DIGITS: Final = 15
MAX_NUMBER_TEXT: Final = 64
# Parsed JSON takes several times the memory of its text; the densest is a list of empty lists.
PARSED_BYTES_PER_CHAR: Final = 4
# A part of a split text: the text object and its place in the list.
PART_BYTES: Final = 64

_TRUE_WORDS: Final = frozenset({"true", "yes", "on", "1"})
_FALSE_WORDS: Final = frozenset({"false", "no", "off", "0", ""})


def text_of(value: object, name: str, what: str = "") -> str:
    """The value, which must be text. Raises ExpressionError naming the filter (and argument)."""
    if type(value) is not str:
        place = f"filter `{name}` needs text" + (f" as `{what}`" if what else "")
        raise ExpressionError(f"{place}, not {kind_of(value)}")
    return value


def whole_of(value: object, name: str, what: str) -> int:
    """The value, which must be a whole number. Raises ExpressionError naming filter and argument."""
    if type(value) is not int:
        raise ExpressionError(f"`{name}` needs a whole number as `{what}`, not {kind_of(value)}")
    return value


def default(budget: Budget, value: object, default_value: object = "", boolean: object = False) -> object:
    """The other value where this one is undefined; with `boolean`, where it is false or empty too."""
    replaced = isinstance(value, Undefined) or (truth(defined(boolean)) and not truth(value))
    return default_value if replaced else value


def lower(budget: Budget, value: object) -> str:
    """Text in lower case."""
    text = text_of(value, "lower")
    budget.allocate_text(len(text))
    return text.lower()


def upper(budget: Budget, value: object) -> str:
    """Text in upper case."""
    text = text_of(value, "upper")
    budget.allocate_text(len(text))
    return text.upper()


def trim(budget: Budget, value: object, chars: object = None) -> str:
    """Text without white space, or without these characters, at both ends."""
    text = text_of(value, "trim")
    if chars is not None:
        chars = text_of(chars, "trim", "chars")
        if len(chars) > MAX_TRIM_CHARS:
            raise ExpressionError(f"filter `trim` takes at most {MAX_TRIM_CHARS} characters", kind="budget")
        budget.spend(len(chars) * (len(text) >> 8))
    budget.allocate_text(len(text))
    return text.strip(chars)


def replace(budget: Budget, value: object, old: object, new: object) -> str:
    """Text with each `old` replaced by `new`."""
    text = text_of(value, "replace")
    old_text, new_text = text_of(old, "replace", "old"), text_of(new, "replace", "new")
    if not old_text:
        raise ExpressionError("filter `replace` can't replace empty text")
    budget.spend(1 + (len(text) >> 6))
    count = text.count(old_text)
    budget.spend(count)
    budget.allocate_text(len(text) + count * (len(new_text) - len(old_text)))
    return text.replace(old_text, new_text)


def split(budget: Budget, value: object, separator: object = None) -> list[str]:
    """The parts of a text between separators (between white space, if none is given)."""
    text = text_of(value, "split")
    if separator is not None:
        separator = text_of(separator, "split", "separator")
        if not separator:
            raise ExpressionError("filter `split` needs a separator that is not empty")
    budget.allocate_text(len(text))
    budget.spend(len(text) >> 6)
    affordable = min(budget.bytes_left // PART_BYTES, budget.steps_left)
    parts = text.split(separator, affordable)
    budget.spend(len(parts))
    budget.allocate(PART_BYTES * len(parts))
    return parts


def string(budget: Budget, value: object) -> str:
    """The value as it would read between other text."""
    return to_text(value, budget)


def to_int(budget: Budget, value: object, default: object = NOT_GIVEN) -> object:
    """A whole number: fractions are cut off; of text, boolean or number."""
    number = _number_of(value)
    if number is None:
        return _converted(default, value, "int")
    return checked_number(int(number))


def to_float(budget: Budget, value: object, default: object = NOT_GIVEN) -> object:
    """A number with a fractional part, of text, boolean or number."""
    number = _number_of(value)
    if number is None:
        return _converted(default, value, "float")
    return float(number)


def _converted(default: object, value: object, name: str) -> object:
    if default is NOT_GIVEN:
        raise ExpressionError(f"filter `{name}` can't read a number from this {kind_of(value)}")
    return default


def _number_of(value: object) -> int | float | None:
    if type(value) is bool:
        return int(value)
    if type(value) is int or type(value) is float:
        return number_operand(value, "int")
    # Python would take digits of any script and `_` between them, and "nan", which is no JSON number.
    if type(value) is not str or len(value) > MAX_NUMBER_TEXT or "_" in value or not value.isascii():
        return None
    try:
        return int(value)
    except ValueError:
        pass
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def to_bool(budget: Budget, value: object) -> bool:
    """True or false: of the words true/false, yes/no, on/off, 1/0 in any case; of others by truth."""
    if type(value) is not str:
        return truth(value)
    word = value.strip().lower() if len(value) <= MAX_NUMBER_TEXT else value
    if word in _TRUE_WORDS or word in _FALSE_WORDS:
        return word in _TRUE_WORDS
    raise ExpressionError("filter `bool` reads true, false, yes, no, on, off, 1 and 0, not this text")


def absolute(budget: Budget, value: object) -> int | float:
    """The number without its sign."""
    return checked_number(abs(number_operand(value, "abs")))


_ROUNDINGS: Final[dict[object, Callable[[float | Decimal], int]]] = {
    "common": round,
    "ceil": math.ceil,
    "floor": math.floor,
}


def round_number(budget: Budget, value: object, digits: object = 0, method: object = "common") -> int | float:
    """The number rounded to `digits` after the point; a whole number if that is 0 (halves go to even)."""
    number = number_operand(value, "round")
    places = whole_of(digits, "round", "digits")
    if abs(places) > MAX_DIGITS:
        raise ExpressionError(f"filter `round` takes at most {MAX_DIGITS} digits")
    rounding = _ROUNDINGS.get(method) if type(method) is str else None
    if rounding is None:
        raise ExpressionError("filter `round` knows the methods common, ceil and floor")
    if places == 0:
        return checked_number(rounding(number))
    if method == "common":
        return checked_number(round(number, places))
    if type(number) is int and places > 0:
        return number
    # As it is written: in binary, 1.1 * 100 is more than 110.
    exact = Decimal(repr(number)).scaleb(places)
    if exact.adjusted() > sys.float_info.max_10_exp:
        raise ExpressionError("the result is too large for a number", kind="budget")
    rounded = Decimal(rounding(exact)).scaleb(-places)
    return checked_number(int(rounded) if places < 0 else float(rounded))


def date(budget: Budget, value: object, format: object = None) -> str:  # noqa: A002  # the users' word
    """A time, from ISO 8601 text or seconds since 1970, as ISO 8601 in UTC or in a format."""
    budget.spend(8)
    time = to_time(value)
    if format is None:
        budget.allocate_text(MAX_NUMBER_TEXT)
        return to_iso(time)
    pattern = text_of(format, "date", "format")
    # The longest directive, `%s`, writes up to twelve characters for its two.
    budget.spend(6 * pattern.count("%"))
    budget.allocate_text(6 * len(pattern))
    return formatted(time, pattern)


def tojson(budget: Budget, value: object) -> str:
    """The value as compact JSON text."""
    return to_json(value, budget)


def fromjson(budget: Budget, value: object) -> JSON:
    """The value of a JSON text. Strict: no NaN, no duplicate keys, no NUL."""
    text = text_of(value, "fromjson")
    budget.spend(1 + (len(text) >> 3))
    budget.allocate(PARSED_BYTES_PER_CHAR * len(text))
    try:
        parsed = json.loads(text, object_pairs_hook=_unique_keys, parse_constant=_parse_constant)
    except ExpressionError:
        raise
    except json.JSONDecodeError as error:
        raise ExpressionError(
            f"filter `fromjson` got text that is not JSON ({error.msg} at line {error.lineno}, column {error.colno})"
        ) from None
    except ValueError:
        # Python's own bound on the digits of a whole number, which its error doesn't tell apart.
        raise ExpressionError("filter `fromjson` got a whole number that is too long", kind="budget") from None
    except RecursionError:
        raise ExpressionError("filter `fromjson` got text nested too deeply", kind="budget") from None
    result = plain(parsed, budget)
    if "\\u" in text:
        for made in _texts(result):
            checked_text(made, "the JSON text")
    return result


def _texts(value: JSON) -> Iterator[str]:
    """All the text in a value, keys too."""
    if type(value) is str:
        yield value
    elif type(value) is list:
        for item in value:
            yield from _texts(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from _texts(item)


def _unique_keys(pairs: list[tuple[str, JSON]]) -> dict[str, JSON]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ExpressionError("filter `fromjson` got an object with the same key twice")
    return result


def _parse_constant(word: str) -> float:
    raise ExpressionError(f"filter `fromjson` got {word}, which is not JSON")


def b64encode(budget: Budget, value: object) -> str:
    """Base64 of the UTF-8 bytes of a text."""
    text = text_of(value, "b64encode")
    budget.spend(len(text) >> 6)
    budget.allocate_text(6 * len(text))
    try:
        return base64.b64encode(text.encode()).decode()
    except UnicodeEncodeError:
        raise ExpressionError("filter `b64encode` got half a surrogate pair") from None


def b64decode(budget: Budget, value: object) -> str:
    """The UTF-8 text in Base64 of either alphabet, with or without its padding."""
    text = text_of(value, "b64decode")
    budget.spend(len(text) >> 6)
    budget.allocate_text(len(text))
    standard = text.replace("-", "+").replace("_", "/").rstrip("=")
    try:
        decoded = base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True).decode()
    except (binascii.Error, ValueError):
        raise ExpressionError("filter `b64decode` needs Base64 of UTF-8 text") from None
    return checked_text(decoded, "the decoded text")


def urlencode(budget: Budget, value: object) -> str:
    """Text for one place in a URL, or an object as a query string (a list gives its key several times)."""
    if isinstance(value, Mapping):
        budget.allocate_list(len(value))
        return "&".join(
            f"{_quoted(budget, key)}={_quoted(budget, item)}"
            for key, items in value.items()
            for item in (items if type(items) is list else [items])
        )
    return _quoted(budget, value)


def _quoted(budget: Budget, value: object) -> str:
    if isinstance(value, Mapping | list):
        raise ExpressionError(f"filter `urlencode` can't write {kind_of(value)} in this place")
    text = to_text(value, budget)
    budget.spend(1 + (len(text) >> 3))
    budget.allocate_text((3 if text.isascii() else 12) * len(text))
    try:
        return quote(text, safe="")
    except UnicodeEncodeError:
        raise ExpressionError("filter `urlencode` got half a surrogate pair") from None
