"""The examples of docs/api-reference.md: read from the page, sent, and compared with what is answered.

An example is a request as printed, the body printed for it, and the answer printed after it. It is named by its
section; the second and later ones of a section carry their number: `List Workflows (2)`.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from tests.api import Answer, Api

PAGE = Path(__file__).parents[2] / "docs" / "api-reference.md"
PARTS = ("Authentication", "REST API Endpoints", "Error Handling", "Rate Limiting", "Webhooks", "Bulk Operations")
ENVELOPE = {"success", "data", "message", "errors", "metadata"}
ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")

_HEADING = re.compile(r"(#{2,4}) (.+)")
# `boolean`, `object | array | null`, `{...}`: words in the place of values.
_WORDS = re.compile(r"(?<=: )(?!true\b|false\b|null\b)([a-z]+(?: \| [a-z]+)*|\{\.\.\.\})(?=[,\n])")

F = TypeVar("F", bound=Callable[..., object])


@dataclass(frozen=True)
class Example:
    """One request of the page, or an answer that stands by itself (`request` is empty then)."""

    name: str
    request: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    answer: Any = None

    @property
    def method(self) -> str:
        return self.request.partition(" ")[0]

    @property
    def path(self) -> str:
        return self.request.partition(" ")[2]


def examples(text: str) -> Iterator[Example]:
    """The examples of the REST parts, in their order."""
    current: Example | None = None
    counts: dict[str, int] = {}
    for part, section, label, language, code in _blocks(text):
        if part not in PARTS or language not in {"http", "json"}:
            continue
        if language == "json" and current is not None and current.name.partition(" (")[0] == section:
            value = json.loads(_WORDS.sub(r'"\1"', code))
            current = replace(current, **{"body" if label == "Request Body" else "answer": value})
            continue
        if current is not None:
            yield current
        counts[section] = counts.get(section, 0) + 1
        name = section if counts[section] == 1 else f"{section} ({counts[section]})"
        current = (
            _request(name, code) if language == "http" else Example(name, answer=json.loads(_WORDS.sub(r'"\1"', code)))
        )
    if current is not None:
        yield current


def _request(name: str, code: str) -> Example:
    head, _, body = code.partition("\n\n")
    lines = head.splitlines()
    request = lines.pop(0) if re.match(r"[A-Z]+ /", lines[0]) else ""
    headers = dict(line.strip().split(": ", 1) for line in lines)
    return Example(name, request, headers, json.loads(_WORDS.sub(r'"\1"', body)) if body else None)


def _blocks(text: str) -> Iterator[tuple[str, str, str, str, str]]:
    """Each block of code: part, section, the bold words before it, language, text."""
    part = section = label = ""
    for piece in re.split(r"^(```\w*\n.*?^```$)", text, flags=re.MULTILINE | re.DOTALL):
        if piece.startswith("```"):
            language, _, code = piece[3:-3].partition("\n")
            yield part, section, label, language, code
            label = ""
            continue
        for line in piece.splitlines():
            if heading := _HEADING.fullmatch(line):
                section, label = heading[2], ""
                part = section if heading[1] == "##" else part
            elif bold := re.match(r"\*\*(.+?):\*\*", line):
                label = bold[1]


def printed_messages(text: str) -> dict[str, Any]:
    """The messages of "WebSocket API" by the bold words before each, else by their section."""
    return {
        label or section: json.loads(code)
        for part, section, label, language, code in _blocks(text)
        if part == "WebSocket API" and language == "json"
    }


EXAMPLES = {example.name: example for example in examples(PAGE.read_text())}


STATUSES = [int(status) for status in re.findall(r"^- `(\d{3}) [\w ]+` - ", PAGE.read_text(), re.MULTILINE)]
CODES = re.findall(r"^\| `([A-Z_]+)` \| ", PAGE.read_text(), re.MULTILINE)


def query_parameters(text: str) -> dict[str, list[str]]:
    """The query parameters that the page lists, by section."""
    found: dict[str, list[str]] = {}
    section, listing = "", False
    for line in text.splitlines():
        if heading := _HEADING.fullmatch(line):
            section, listing = heading[2], False
        elif line.startswith("**"):
            listing = line == "**Query Parameters:**"
        elif listing and (bullet := re.match(r"- `(\w+)`", line)):
            found.setdefault(section, []).append(bullet[1])
    return found


MODELS: dict[str, Any] = {
    section: json.loads(code) for part, section, _, _, code in _blocks(PAGE.read_text()) if part == "Data Models"
}
_TYPES: dict[str, Any] = {
    "string": str, "integer": int, "number": int | float, "boolean": bool, "object": dict, "any": object,
}  # fmt: skip


def faults(model: Any, answered: Any, path: str = "") -> Iterator[str]:
    """Where a value is not as "Data Models" describes it: `string (active|draft)`, `integer (nullable)`."""
    if isinstance(model, dict):
        for key, value in model.items():
            place = f"{path}.{key}" if path else key
            if key in answered:
                yield from faults(value, answered[key], place)
            elif "optional" not in str(value):
                yield f"there is no {place}"
    elif isinstance(model, list):
        for each in answered:
            yield from faults(model[0], each, f"{path}[]")
    else:
        name, _, about = model.partition(" ")
        if answered is None and ("nullable" in about or name == "any"):
            return
        if not isinstance(answered, _TYPES[name]) or (isinstance(answered, bool) and name in {"integer", "number"}):
            yield f"{path} is {answered!r}, not {model}"
        elif "(UUID)" in about and not ULID.fullmatch(answered):
            yield f"{path} is {answered!r}, no id"
        elif "datetime" in about and not TIME.fullmatch(answered):
            yield f"{path} is {answered!r}, no time"
        elif "|" in about and answered not in about.strip("()").split("|"):
            yield f"{path} is {answered!r}, not one of {about}"


def quotes(*names: str) -> Callable[[F], F]:
    """Marks a test as that of examples; `test_reference.py` looks for one of each."""
    unknown = set(names) - set(EXAMPLES)
    assert not unknown, f"docs/api-reference.md has no {unknown}"

    def mark(test: F) -> F:
        return test

    return mark


def provokes(*codes: int | str) -> Callable[[F], F]:
    """Marks a test as one that brings about a status or a code of the two tables; looked for like `quotes`."""
    unknown = set(codes) - set(STATUSES) - set(CODES)
    assert not unknown, f"docs/api-reference.md has no {unknown}"

    def mark(test: F) -> F:
        return test

    return mark


def send(api: Api, name: str, *, body: Any = None, **ids: str) -> Answer:
    """The request as it is printed, but for ids, tokens and what `body` says instead."""
    example = EXAMPLES[name]
    headers: dict[str, Any] = {
        header.replace("-", "_"): value
        for header, value in example.headers.items()
        if header not in {"Authorization", "X-API-Key", "Content-Type"}
    }
    sent = example.body if body is None else body
    return api.call(example.method, example.path.format(**ids), sent, **headers)


def assert_as_printed(answer: Answer, name: str, *, status: int, free: tuple[str, ...] = ()) -> None:
    """Every key that is printed is answered with the value that is printed, in an envelope of all five keys.

    Ids and times are compared by their form, and so are values at the paths `free` (`data[].version`) and below
    them; a printed null stands for what may be null. More keys than are printed are welcome.
    """
    assert answer.status == status, answer.body
    assert set(answer.body) == ENVELOPE
    assert {"timestamp", "request_id", "version"} <= set(answer.body["metadata"])
    assert TIME.fullmatch(answer.body["metadata"]["timestamp"])
    assert answer.headers["X-Request-ID"] == answer.body["metadata"]["request_id"]
    assert list(differences(EXAMPLES[name].answer, answer.body, free=free)) == []


def differences(printed: Any, answered: Any, path: str = "", *, free: tuple[str, ...] = ()) -> Iterator[str]:
    """Where an answer is not as printed, each as a sentence."""
    is_free = any(path == each or path.startswith((f"{each}.", f"{each}[")) for each in free)
    if isinstance(printed, dict):
        if not isinstance(answered, dict):
            yield f"{path} is {answered!r}, not an object"
            return
        for key, value in printed.items():
            if key not in answered:
                yield f"{path} has no {key}"
            else:
                yield from differences(value, answered[key], f"{path}.{key}" if path else key, free=free)
    elif isinstance(printed, list):
        if not isinstance(answered, list):
            yield f"{path} is {answered!r}, not a list"
        elif not is_free and len(answered) != len(printed):
            yield f"{path} has {len(answered)} items, not {len(printed)}"
        else:
            # Of a free list, every item is like the first that is printed.
            pairs = zip(printed[:1] * len(answered) if is_free else printed, answered, strict=not is_free)
            for one, other in pairs:
                yield from differences(one, other, f"{path}[]", free=free)
    elif printed is not None:
        yield from _unlike(printed, answered, path, is_free=is_free)


def _unlike(printed: Any, answered: Any, path: str, *, is_free: bool) -> Iterator[str]:
    form = next((form for form in (ULID, TIME) if isinstance(printed, str) and form.fullmatch(printed)), None)
    if form is not None:
        if not (isinstance(answered, str) and form.fullmatch(answered)):
            yield f"{path} is {answered!r}, not of the form of {printed}"
    elif _kind(printed) != _kind(answered):
        yield f"{path} is {answered!r}, and {printed!r} is another type"
    elif not is_free and printed != answered:
        yield f"{path} is {answered!r}, not {printed!r}"


def _kind(value: Any) -> str:
    """The type that JSON has for it."""
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__
