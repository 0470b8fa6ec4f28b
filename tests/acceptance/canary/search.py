"""Canaries, the forms in which one may leave, and the search for any piece of any form in what a sink holds."""

import base64
import json
import re
import secrets
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from urllib.parse import quote, quote_plus

PIECE = 12
_CONTEXT = 100


@dataclass(frozen=True, slots=True)
class Sink:
    """A place where secrets must not be; `may_hold` names the kinds that this one is meant to tell."""

    name: str
    data: bytes
    may_hold: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Hit:
    """A canary where none may be: of which kind, in which form, how often, and what stands around it, masked."""

    kind: str
    form: str
    sink: str
    count: int
    around: str

    def __str__(self) -> str:
        return f"{self.kind}, {self.form}, {self.count} times in {self.sink}: {self.around}"


def new_text() -> str:
    """32 random bytes as text, with characters that URLs and JSON escape."""
    text = base64.b64encode(secrets.token_bytes(32)).decode()
    return f'{text[:20]}"\\{text[20:]}'


def new_plain_text() -> str:
    """The same of letters, digits and `_` alone, for places that take nothing else."""
    return secrets.token_urlsafe(32).replace("-", "_")


def forms(value: str) -> Iterator[tuple[str, bytes]]:
    """The value as it may stand in a text: (name of the form, its bytes)."""
    raw = value.encode()
    yield "raw", raw
    yield "JSON-escaped", json.dumps(value)[1:-1].encode()
    for encoded in (quote(value, safe=""), quote_plus(value), quote(value)):
        yield "URL-encoded", encoded.encode()
        yield "URL-encoded", re.sub("%[0-9A-F]{2}", lambda escape: escape[0].lower(), encoded).encode()
    yield "hex", raw.hex().encode()
    yield "hex", raw.hex().upper().encode()
    yield "reversed", raw[::-1]
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for offset in range(3):
            # Characters hold 6 bits: those of the value alone, wherever in a group of three bytes it begins.
            start, end = -(-offset * 8 // 6), (offset + len(raw)) * 8 // 6
            yield f"base64 at offset {offset}", encode(bytes(offset) + raw)[start:end]


@dataclass
class Searcher:
    """Looks for every 12-byte piece of every form of every canary in one walk over the data."""

    values: dict[str, list[str]] = field(default_factory=dict)
    _pieces: dict[bytes, tuple[str, str, bytes]] = field(default_factory=dict)

    def add(self, kind: str, value: str) -> str:
        """Look for the value, too; the value."""
        assert len(value) >= 2 * PIECE, f"{kind} is too short to be told from chance"
        self.values.setdefault(kind, []).append(value)
        for name, form in forms(value):
            for at in range(len(form) - PIECE + 1):
                self._pieces.setdefault(form[at : at + PIECE], (kind, name, form))
        return value

    def search(self, sink: Sink) -> list[Hit]:
        """Each kind that is there and may not be, by form, with the first place of each."""
        data, pieces = sink.data, self._pieces
        places = [at for at in range(len(data) - PIECE + 1) if data[at : at + PIECE] in pieces]
        found: dict[tuple[str, str], list[int]] = {}
        for at in places:
            kind, name, form = pieces[data[at : at + PIECE]]
            if kind not in sink.may_hold:
                told = name if form in data else f"a piece of it {name}"
                found.setdefault((kind, told), []).append(at)
        return [
            Hit(kind, name, sink.name, _runs(at), _masked(data, places, at[0]))
            for (kind, name), at in sorted(found.items())
        ]


def _runs(places: list[int]) -> int:
    """How many stretches the places make."""
    return 1 + sum(after - before > PIECE for before, after in pairwise(places))


def _masked(data: bytes, places: Collection[int], at: int) -> str:
    """What stands around a place, with every piece of every canary as stars."""
    start, end = max(at - _CONTEXT, 0), at + _CONTEXT
    text = bytearray(data[start:end])
    for place in places:
        if start - PIECE < place < end:
            for index in range(max(place, start), min(place + PIECE, end, len(data))):
                text[index - start] = ord("*")
    return text.decode(errors="replace")
