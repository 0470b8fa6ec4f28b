"""PURE: what depends on a secret, found by putting another value in its place and looking what changes (contract §6).

The *shadow* of some data is the data with every secret in it replaced by a different value of the same kind. What is
computed from the data and from its shadow alike, and comes out the same, does not tell the secret; what comes out
different is as secret as it. Decision 18 says what this cannot see.
"""

import math
from collections.abc import Iterator
from typing import TypeAlias

from core.redact import REDACTED
from core.types import JSONObject, JSONValue

Difference: TypeAlias = "tuple[str | None, str | None]"
"""A text that differs and what it is in the shadow; where the two cannot be set side by side, one of them alone."""

_LOWER, _UPPER, _DIGITS = ("abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789")
_OTHERS = "".join(character for character in map(chr, range(32, 127)) if not character.isalnum())
# The steps are no divisors of a half, so that a shadow's shadow is not the real text again.
_SHIFTED = str.maketrans(
    {
        alphabet[place]: alphabet[(place + step) % len(alphabet)]
        for alphabet, step in ((_LOWER, 7), (_UPPER, 7), (_DIGITS, 3), (_OTHERS, 5))
        for place in range(len(alphabet))
    }
)
# What follows each of the other characters, in one round, so that no two become the same: the last control character
# before printable ASCII, the last character before the surrogates, and the last of all.
_NEXT = {"\x1f": "\x7f", "\ud7ff": "\ue000", "\U0010ffff": "\0"}
_ADDED = "x"


def substitute(value: JSONValue) -> JSONValue:
    """Another value of the same kind: no leaf, no key and no size in it is the same.

    A text becomes one of other characters (a letter another letter, a digit another digit) and one more of them; a
    whole number one of the other parity; lists and objects get one more item. The same each time.
    """
    if isinstance(value, str):
        return _substitute_text(value)
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value * 1013 + 7
    if isinstance(value, float):
        return _substitute_float(value)
    if isinstance(value, list):
        items = [substitute(item) for item in value]
        return [*items, substitute(items[-1]) if items else _ADDED]
    if isinstance(value, dict):
        entries = {_substitute_text(key): substitute(item) for key, item in value.items()}
        last = next(reversed(entries), "")
        added = _substitute_text(last)
        while added in entries:
            added += _ADDED
        return {**entries, added: substitute(entries.get(last))}
    return _ADDED  # for null, which has no other of its kind


def _substitute_text(text: str) -> str:
    moved = text.translate(_SHIFTED) if text.isascii() and text.isprintable() else "".join(map(_moved, text))
    return moved + (_moved(moved[-1]) if moved else _ADDED)


def _moved(character: str) -> str:
    """Another character; of those that ASCII does not print, the next one."""
    shifted = character.translate(_SHIFTED)
    if shifted != character:
        return shifted
    return _NEXT.get(character) or chr(ord(character) + 1)


def _substitute_float(number: float) -> float:
    moved = number * 1013.5 + 7.25
    if not math.isfinite(moved):
        moved = number / 1013.5
    return moved if moved != number else number + 1.0


def shadow_of(real: JSONValue, shown: JSONValue) -> JSONValue:
    """The shadow of what is stored in two forms: all that is not shown as it is, is replaced.

    `real` itself where nothing is hidden. In a text that is shown in part, the hidden parts alone are replaced.
    """
    if real is shown:
        return real
    if isinstance(real, dict) and isinstance(shown, dict):
        return _shadow_of_object(real, shown)
    if isinstance(real, list) and isinstance(shown, list) and len(real) == len(shown):
        items = [shadow_of(item, other) for item, other in zip(real, shown, strict=True)]
        return real if all(a is b for a, b in zip(items, real, strict=True)) else items
    # PostgreSQL writes some numbers in another form of the same value.
    if isinstance(real, bool) == isinstance(shown, bool) and real == shown:
        return real
    if isinstance(real, str) and isinstance(shown, str) and REDACTED in shown:
        return _shadow_of_parts(real, shown.split(REDACTED))
    return substitute(real)


def _shadow_of_object(real: JSONObject, shown: JSONObject) -> JSONObject:
    shadow: JSONObject = {}
    changed = False
    for key, item in real.items():
        if key in shown:
            shadow[key] = shadow_of(item, shown[key])
            changed = changed or shadow[key] is not item
        else:
            shadow[_substitute_text(key)] = substitute(item)
            changed = True
    return shadow if changed else real


def _shadow_of_parts(real: str, kept: list[str]) -> str:
    """The text with what stands between the kept parts replaced; all of it if they are not found in this order."""
    position, end = len(kept[0]), len(real) - len(kept[-1])
    if position > end or not (real.startswith(kept[0]) and real.endswith(kept[-1])):
        return _substitute_text(real)
    parts = [kept[0]]
    for part in kept[1:-1]:
        found = real.find(part, position, end)
        if found < 0:
            return _substitute_text(real)
        parts += [_substitute_text(real[position:found]), part]
        position = found + len(part)
    return "".join([*parts, _substitute_text(real[position:end]), kept[-1]])


def without_differences(real: JSONValue, shadow: JSONValue) -> JSONValue:
    """A copy of `real` in which everything that is not the same in `shadow` reads REDACTED; `real` if nothing.

    Where keys or lengths differ, the whole object or list does.
    """
    if isinstance(real, dict) and isinstance(shadow, dict) and real.keys() == shadow.keys():
        entries = {key: without_differences(item, shadow[key]) for key, item in real.items()}
        return real if all(entries[key] is item for key, item in real.items()) else entries
    if isinstance(real, list) and isinstance(shadow, list) and len(real) == len(shadow):
        items = [without_differences(item, other) for item, other in zip(real, shadow, strict=True)]
        return real if all(a is b for a, b in zip(items, real, strict=True)) else items
    return real if _is_same(real, shadow) else REDACTED


def differences(real: JSONValue, shadow: JSONValue) -> Iterator[Difference]:
    """The texts, and the texts of the numbers, in which the two differ."""
    if isinstance(real, dict) and isinstance(shadow, dict) and real.keys() == shadow.keys():
        for key, item in real.items():
            yield from differences(item, shadow[key])
    elif isinstance(real, list) and isinstance(shadow, list) and len(real) == len(shadow):
        for item, other in zip(real, shadow, strict=True):
            yield from differences(item, other)
    elif not _is_same(real, shadow):
        texts, others = list(_texts(real)), list(_texts(shadow))
        if len(texts) == len(others) == 1:
            yield texts[0], others[0]
        else:
            yield from ((text, None) for text in texts)
            yield from ((None, text) for text in others)


def _texts(value: JSONValue) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, str):
        yield value
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield str(value)


def _is_same(one: JSONValue, other: JSONValue) -> bool:
    """Equal, and written alike: `1`, `1.0` and `true` are three."""
    return type(one) is type(other) and bool(one == other)
