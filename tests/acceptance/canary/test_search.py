"""The searcher itself: a planted leak is found in every form and every sink, and told without being repeated."""

import base64
import gzip
import json
import secrets
from collections.abc import Callable
from urllib.parse import quote

import pytest

from tests.acceptance.canary.search import PIECE, Searcher, Sink, new_plain_text, new_text

NOISE = secrets.token_hex(500)


def base64_at(offset: int) -> Callable[[str], str]:
    return lambda value: base64.b64encode(b"x" * offset + value.encode() + b"tail").decode()


@pytest.mark.parametrize(
    ("form", "encode"),
    [
        ("raw", lambda value: value),
        ("base64 at offset 0", base64_at(0)),
        ("base64 at offset 1", base64_at(1)),
        ("base64 at offset 2", base64_at(2)),
        ("base64 at offset 1", lambda value: base64.urlsafe_b64encode(b"x" + value.encode()).decode()),
        ("hex", lambda value: value.encode().hex()),
        ("hex", lambda value: value.encode().hex().upper()),
        ("URL-encoded", lambda value: quote(value, safe="")),
        ("URL-encoded", lambda value: quote(value, safe="").replace("%2F", "%2f")),
        ("JSON-escaped", json.dumps),
        ("JSON-escaped", lambda value: json.dumps([json.dumps({"a": value})])),
        ("reversed", lambda value: value[::-1]),
    ],
)
def test_every_form_is_found_and_named(form: str, encode: Callable[[str], str]) -> None:
    searcher = Searcher()
    value = searcher.add("a secret", new_text())
    hits = searcher.search(Sink("a log", f"{NOISE} {encode(value)} {NOISE}".encode()))
    assert form in " / ".join(hit.form for hit in hits)
    assert {(hit.kind, hit.sink) for hit in hits} == {("a secret", "a log")}


@pytest.mark.parametrize("start", range(0, 30, 5))
def test_a_piece_of_twelve_characters_is_enough_and_eleven_are_not(start: int) -> None:
    searcher = Searcher()
    value = searcher.add("a secret", new_plain_text())
    (hit,) = searcher.search(Sink("a log", f"{NOISE}|{value[start : start + PIECE]}|{NOISE}".encode()))
    assert (hit.form, hit.count) == ("a piece of it raw", 1)
    assert searcher.search(Sink("a log", f"{NOISE}|{value[start : start + PIECE - 1]}|{NOISE}".encode())) == []


def test_a_hit_tells_the_surroundings_and_masks_every_canary_in_them() -> None:
    searcher = Searcher()
    value, other = searcher.add("a secret", new_plain_text()), searcher.add("another", new_plain_text())
    hits = searcher.search(Sink("a log", f"the password is {value} and {other}, as told".encode()))
    assert [hit.kind for hit in hits] == ["a secret", "another"]
    for hit in hits:
        assert "the password is ***" in hit.around
        assert searcher.search(Sink("the report", str(hit).encode())) == []


def test_a_place_that_may_tell_one_kind_may_tell_no_other() -> None:
    searcher = Searcher()
    shown, kept = searcher.add("a key", new_plain_text()), searcher.add("a secret", new_plain_text())
    hits = searcher.search(Sink("an answer", f"{shown} {kept}".encode(), frozenset({"a key"})))
    assert [hit.kind for hit in hits] == ["a secret"]


def test_what_was_encrypted_or_compressed_is_no_hit() -> None:
    searcher = Searcher()
    searcher.add("a secret", new_text())
    assert searcher.search(Sink("a table", gzip.compress(NOISE.encode()) + secrets.token_bytes(10_000))) == []
