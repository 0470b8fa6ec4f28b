"""PURE: replace secret values and the values of secret-looking keys in any JSON (contract §4).

Two independent nets. By value: each known secret, as it is and in the encodings it usually leaves in. By name: what
stands under a key such as `password` or `X-API-Key`. Redact before cutting text short, or half a secret gets through.
"""

import base64
import json
import re
from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from itertools import pairwise
from typing import Any
from urllib.parse import quote, quote_plus

from core.types import JSONValue

REDACTED = "[REDACTED]"
MIN_SECRET_LENGTH = 4
"""Shorter secrets are not searched for: `1` or `ab` would redact most of any text, and by that show what it is."""

_MIN_FRAGMENT_SECRET = 8
_MAX_CACHED_NAME = 128

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_SECRET_WORDS = frozenset(
    {"password", "passwords", "passwd", "pwd", "passphrase", "passcode", "secret", "secrets", "token", "tokens"}
    | {"apikey", "apikeys", "credential", "credentials", "authorization", "cookie", "cookies", "bearer", "jwt", "dsn"}
)
_SECRET_ENDINGS = (
    *("password", "passwd", "passphrase", "secret", "token", "credentials"),
    *("apikey", "privatekey", "accesskey"),
)
_KEY_KINDS = frozenset(
    {"api", "access", "private", "secret", "encryption", "signing", "master", "auth", "ssh", "shared", "hmac"}
    | {"account", "session", "host"}
)
_SECRET_PAIRS = frozenset(
    {("connection", "string"), ("connection", "uri"), ("connection", "url"), ("database", "url")}
    | {("pass", "word"), ("pass", "phrase"), ("pass", "code")}
    | {(owner, "pass") for owner in ("user", "db", "smtp", "ftp", "mail", "email", "proxy", "root", "admin")}
    | {(kind, key) for kind in _KEY_KINDS for key in ("key", "keys")}
)
# Words that turn a secret's name into the name of a fact about it: max_tokens, token_type, password_length, is_secret.
_FACT_STARTS = frozenset({"max", "min", "num", "total", "is", "has", "needs", "requires", "allow", "show"})
_FACT_ENDS = frozenset(
    {"count", "counts", "type", "length", "size", "limit", "limits", "ttl", "policy", "expiry", "expires", "at", "in"}
    | {"name", "names", "used", "usage", "budget", "index", "enabled", "required", "remaining", "rate"}
)
# OAuth's addresses are public; other URLs (password_reset_url) carry what they are named after.
_OAUTH_ADDRESSES = frozenset((what, end) for what in ("token", "authorization") for end in ("url", "uri", "endpoint"))
# Places where `tokens` are counted, and the marks by which pages of a list are fetched.
_COUNTED_TOKENS = frozenset({"input", "output", "prompt", "completion", "cached", "reasoning", "used", "remaining"})
_PAGE_TOKENS = frozenset({"page", "continuation", "cursor", "sync"})
_NAME_KEYS = ("name", "key")
_VALUE_KEYS = frozenset({"value", "default_value", "default"})


def looks_secret(name: str) -> bool:
    """Whether a field, header or parameter of this name holds a secret; any spelling (api_key, apiKey, X-API-Key).

    Names of counters and other facts about secrets (`max_tokens`, `token_type`) do not. Doubtful names do.
    """
    return _looks_secret_cached(name) if len(name) <= _MAX_CACHED_NAME else _looks_secret(name)


def value_keys(item: Mapping[str, JSONValue]) -> frozenset[str]:
    """The keys of an object that hold the value of a secret-looking `name` or `key` in it, as in name/value pairs."""
    named = any(isinstance(name := item.get(key), str) and looks_secret(name) for key in _NAME_KEYS)
    return _VALUE_KEYS if named else frozenset()


def redact(value: JSONValue, *, secrets: Collection[str] = (), by_name: bool = True) -> JSONValue:
    """`Redactor(secrets).redact(value)` for a set of secrets that is used once."""
    return Redactor(secrets).redact(value, by_name=by_name)


def redact_text(text: str, secrets: Collection[str]) -> str:
    """`Redactor(secrets).redact_text(text)` for a set of secrets that is used once."""
    return Redactor(secrets).redact_text(text)


class Redactor:
    """Redaction for a fixed set of secrets, prepared once and used for many values.

    Secrets shorter than MIN_SECRET_LENGTH are ignored. Found are a secret's own text, its JSON-escaped, URL-encoded and
    base64 forms (standard and URL alphabet; from 8 bytes on also inside a longer encoded text, as in Basic
    authentication), in strings and keys; and numbers whose text equals a secret.
    """

    def __init__(self, secrets: Collection[str] = ()) -> None:
        # What stands between markers is searched, so a secret that holds the marker is looked for in parts.
        parts = {part for secret in secrets for part in secret.split(REDACTED) if len(part) >= MIN_SECRET_LENGTH}
        self._texts = frozenset(parts)
        forms = {form for part in parts for form in _forms(part) if len(form) >= MIN_SECRET_LENGTH}
        self._forms = sorted(forms, key=lambda form: (-len(form), form))

    def redact_text(self, text: str) -> str:
        """The text with every known secret replaced. Doing it twice changes nothing more."""
        # Searching for each form is far faster than the alternation, and most texts hold none. One of all forms would
        # take seconds to compile, too, where a definition has a megabyte of text in a secret's place.
        found = [form for form in self._forms if form in text]
        if not found:
            return text
        pattern = re.compile("|".join(map(re.escape, found)))
        return REDACTED.join(pattern.sub(REDACTED, between) for between in text.split(REDACTED))

    def redact_cut(self, text: str, mark: str) -> str:
        """`redact_text` of a text in which `mark` stands where something was cut off: the beginning of a secret too."""
        *cut, rest = text.split(mark)
        return self.redact_text(mark.join([*map(self._without_half, cut), rest]))

    def _without_half(self, text: str) -> str:
        longest = max((_overlap(text, form) for form in self._forms), default=0)
        return text[: len(text) - longest] + REDACTED if longest else text

    def redact(self, value: JSONValue, *, by_name: bool = True) -> JSONValue:
        """A copy of the JSON value without secrets; the value itself is not changed.

        With `by_name`, the value under a secret-looking key becomes REDACTED whole, unless it is null, empty or a
        boolean; so do the `value` and the `default_value` of an object whose `name` or `key` looks secret. Keys that
        become equal by redaction are numbered. Any depth of nesting is handled. Raises TypeError for what is not JSON.
        """
        if not by_name and not self._forms:
            return value
        root: list[JSONValue] = [value]
        # Containers whose content is still to be redacted; each is ours to fill.
        open_containers: list[list[JSONValue] | dict[str, JSONValue]] = [root]
        while open_containers:
            container = open_containers.pop()
            slots = list(enumerate(container)) if isinstance(container, list) else list(container.items())
            for slot, item in slots:
                copied = self._shallow(item, by_name)
                container[slot] = copied  # type: ignore[index]  # an index or a key, as slots has it
                if isinstance(copied, list | dict):
                    open_containers.append(copied)
        return root[0]

    def _shallow(self, item: JSONValue, by_name: bool) -> JSONValue:
        """A leaf redacted, or a new container with its keys redacted and its items as they were."""
        if isinstance(item, str):
            return self.redact_text(item)
        if item is None or isinstance(item, bool):
            return item
        if isinstance(item, int | float):
            return REDACTED if self._texts and _number_text(item) in self._texts else item
        if isinstance(item, list | tuple):
            return list(item)
        if isinstance(item, dict):
            return dict(self._entries(item, by_name))
        raise TypeError(f"not a JSON value: {type(item).__name__}")

    def _entries(self, item: dict[Any, JSONValue], by_name: bool) -> Iterator[tuple[str, JSONValue]]:
        pair = self._value_keys(item) if by_name else frozenset()
        taken: set[str] = set()
        for key, value in item.items():
            if not isinstance(key, str):
                raise TypeError(f"not a JSON key: {type(key).__name__}")
            hidden = by_name and (looks_secret(key) or key in pair)
            redacted_key = self.redact_text(key)
            if redacted_key != key:
                # What is left of a name is a name too, and would be judged when this is redacted again.
                hidden = hidden or (by_name and looks_secret(redacted_key))
                redacted_key = _free_name(redacted_key, taken, item)
            taken.add(redacted_key)
            yield redacted_key, REDACTED if hidden and _has_content(value) else value

    def _value_keys(self, item: Mapping[str, JSONValue]) -> frozenset[str]:
        """Of the object as it is, and as it will be."""
        names = {key: self.redact_text(name) for key in _NAME_KEYS if isinstance(name := item.get(key), str)}
        return value_keys(item) or value_keys(names)


def _has_content(value: JSONValue) -> bool:
    return not (value is None or isinstance(value, bool) or value in ("", [], {}))


def _free_name(name: str, taken: set[str], siblings: dict[Any, JSONValue]) -> str:
    number, free = 1, name
    while free in taken or free in siblings:
        number += 1
        free = f"{name}_{number}"
    return free


def _overlap(text: str, form: str) -> int:
    """How much of the beginning of `form` is the end of `text`; less than a short secret counts as nothing."""
    for length in range(min(len(form) - 1, len(text)), MIN_SECRET_LENGTH - 1, -1):
        if text.endswith(form[:length]):
            return length
    return 0


def _number_text(number: int | float) -> str:
    # Python refuses to print integers of over 4,300 digits; no secret is such a number.
    return "" if isinstance(number, int) and number.bit_length() > 14_000 else str(number)


def _forms(secret: str) -> Iterator[str]:
    """The secret as it may stand in a text."""
    yield secret
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    raw = secret.encode("utf-8", errors="surrogatepass")
    for encoded in (quote(raw, safe=""), quote(raw), quote_plus(raw)):
        yield encoded
        yield re.sub("%[0-9A-F]{2}", lambda escape: escape[0].lower(), encoded)
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        whole = encode(raw).decode("ascii")
        yield whole
        yield whole.rstrip("=")
        if len(raw) >= _MIN_FRAGMENT_SECRET:
            for offset in range(3):
                # Of 6-bit characters, those that hold bits of the secret alone, at each position in a group of three.
                start, end = -(-offset * 8 // 6), (offset + len(raw)) * 8 // 6
                yield encode(bytes(offset) + raw).decode("ascii")[start:end]


def _looks_secret(name: str) -> bool:
    words = [word.lower() for word in _WORDS.findall(name)]
    return name.lower() == "pass" or (_mentions_secret(words) and not _is_fact(words))


_looks_secret_cached = lru_cache(maxsize=4096)(_looks_secret)


def _mentions_secret(words: list[str]) -> bool:
    return any(word in _SECRET_WORDS or word.endswith(_SECRET_ENDINGS) for word in words) or any(
        pair in _SECRET_PAIRS for pair in pairwise(words)
    )


def _is_fact(words: list[str]) -> bool:
    if len(words) < 2:
        return False
    before = words[-2]
    return (
        words[0] in _FACT_STARTS
        or words[-1] in _FACT_ENDS
        or (before, words[-1]) in _OAUTH_ADDRESSES
        or (words[-1] == "tokens" and before in _COUNTED_TOKENS)
        or (words[-1] == "token" and before in _PAGE_TOKENS)
    )
