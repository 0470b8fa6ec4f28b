"""Secrets written into a definition: what they are, and the definition as it may be shown (contract §4)."""

import base64
import binascii
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Final
from urllib.parse import unquote, unquote_plus

from core.errors import Problem
from core.redact import REDACTED, Redactor, looks_secret, value_keys
from core.types import JSONObject, JSONValue
from workflows.components import registry
from workflows.components.base import Component
from workflows.definition import BODY_FIELDS
from workflows.expressions import ExpressionError, has_expression
from workflows.expressions.constants import written
from workflows.parameters import is_sensitive
from workflows.schemas import CUT, join_path, received

# Shorter ones are hidden where they stand, and not looked for elsewhere in the definition: they may be ordinary words.
MIN_FOUND_ELSEWHERE = 8
# Looking for thousands of texts in thousands of others takes minutes. All are hidden where they stand.
MAX_TEXTS = 100

_SCHEME: Final = re.compile(r"\s*(?:bearer|basic|digest|token|apikey|api-key|negotiate|dpop)\s+", re.IGNORECASE)
# What joins two expressions, as in {{ user }}:{{ password }}; and too little to be a secret.
_JOINT: Final = re.compile(r"[\W_]{0,2}")
_BRACES: Final = re.compile(r"\{\{|\}\}")
# A password ends at the last @ before path, query and fragment, as urlsplit has it.
_URL_PASSWORD: Final = re.compile(r"(?<=://)[^\s/?#:@]*:(?P<secret>[^\s/?#]*)@")
_URL_FIELD: Final = re.compile(r"""[?&#](?P<name>[\w.~%+-]+)=(?P<secret>[^\s&#"'<>]+)""")
_URL_TAIL: Final = re.compile(r"\s*[A-Za-z][A-Za-z0-9+.-]*://[^\s/?#]*[/?#](?P<secret>\S+)\s*")


def hide(definition: JSONValue) -> tuple[Any, frozenset[str]]:
    """(The definition with `[REDACTED]` for each literal secret, the texts of these secrets); a copy.

    Literal is what does not come out of an expression: under a secret-looking key of a config, in a field that its
    component's schema says is `writeOnly`, as default or choice of a sensitive parameter, and as the password, or the
    secret-looking query field, of a URL anywhere. A schema's `writeOnly: false` says of a field that names in it mean
    nothing. A secret of some length is hidden wherever else it stands, too. Of very many texts, the longest are given.
    Takes any JSON, so that what a report repeats of a broken definition can be judged too.
    """
    finding = _Hiding()
    shown = finding.definition(definition)
    texts = sorted(finding.texts, key=lambda text: (-len(text), text))[:MAX_TEXTS]
    elsewhere = tuple(text for text in texts if len(text) >= MIN_FOUND_ELSEWHERE and text not in REDACTED)
    if elsewhere:
        shown = _Hiding(elsewhere).definition(definition)
    return shown, frozenset(texts)


def without_secrets(problems: Iterable[Problem], definition: JSONValue) -> list[Problem]:
    """The problems of a definition, without the literal secrets of it that they repeat."""
    problems = list(problems)
    shown, texts = hide(definition) if problems else (definition, frozenset())
    if not texts:
        return problems
    redactor = Redactor(texts)
    # What was received in a place is told as it is shown there; by their texts alone, only so many would be found.
    places = {_place_name(path): value for path, value in _hidden_places(definition, shown, "definition")}

    def safe(problem: Problem) -> Problem:
        details = dict(problem.details)
        if "received" in details and _place_name(problem.field or "") in places:
            details["received"] = received(places[_place_name(problem.field or "")])
        told = {
            name: redactor.redact_cut(value, CUT) if isinstance(value, str) else redactor.redact(value, by_name=False)
            for name, value in details.items()
        }
        return replace(problem, message=redactor.redact_cut(problem.message, CUT), details=told)

    return [safe(problem) for problem in problems]


def _hidden_places(value: JSONValue, shown: JSONValue, path: str) -> Iterator[tuple[str, JSONValue]]:
    """Where something is hidden, and around it: path, and what is shown there."""
    if value == shown:
        return
    yield path, shown
    if isinstance(value, dict) and isinstance(shown, dict):
        for key, child in value.items():
            yield from _hidden_places(child, shown[key], join_path(path, [key]))
    elif isinstance(value, list) and isinstance(shown, list):
        for index, child in enumerate(value):
            yield from _hidden_places(child, shown[index], f"{path}[{index}]")


def _place_name(path: str) -> str:
    """A path in one spelling: below a config, a quoted key comes with a dot before it."""
    return path.replace(".[", "[")


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a value stands: its schemas, whether it is secret, and what its keys and braces mean."""

    schemas: tuple[JSONObject, ...] = ()
    root: JSONObject = field(default_factory=dict)
    secret: bool = False
    by_name: bool = True
    rendered: bool = True

    def under(self, key: str, *, pair: bool) -> "_Place":
        """The place of what stands under a key; `pair`: beside a secret-looking name that it is the value of."""
        schemas = tuple(self._expanded(child for schema in self.schemas for child in _under(schema, key)))
        secret = self.secret or (self.by_name and (pair or looks_secret(key)))
        return replace(self, schemas=schemas, secret=secret)._marked()

    def item(self) -> "_Place":
        """The place of a list's items."""
        items = (schema.get("items") for schema in self.schemas)
        return replace(self, schemas=tuple(self._expanded(items)))._marked()

    @property
    def is_url(self) -> bool:
        return any(schema.get("format") == "uri" and schema.get("writeOnly") is True for schema in self.schemas)

    def _marked(self) -> "_Place":
        marks = {schema["writeOnly"] for schema in self.schemas if isinstance(schema.get("writeOnly"), bool)}
        if True in marks:
            return replace(self, secret=True)
        return replace(self, secret=False, by_name=False) if marks else self

    def _expanded(self, schemas: Iterable[JSONValue]) -> Iterator[JSONObject]:
        """The schemas and all that they are made of."""
        pending, seen = list(schemas), set()
        while pending:
            schema = pending.pop()
            if not isinstance(schema, dict) or id(schema) in seen:
                continue
            seen.add(id(schema))
            yield schema
            for keyword in ("allOf", "anyOf", "oneOf"):
                pending += schema.get(keyword, [])
            pending += [schema.get("then"), schema.get("else"), _resolved(self.root, schema.get("$ref"))]


@lru_cache(maxsize=256)
def _place_of(component: Component) -> _Place:
    whole = _Place(root=component.config_schema)
    return replace(whole, schemas=tuple(whole._expanded([component.config_schema])))


def _under(schema: JSONObject, key: str) -> Iterator[JSONValue]:
    properties = schema.get("properties", {})
    yield properties[key] if key in properties else schema.get("additionalProperties")


def _resolved(root: JSONObject, reference: JSONValue) -> JSONValue:
    """What a `$ref` within its own schema means."""
    if not isinstance(reference, str) or not reference.startswith("#"):
        return None
    found: Any = root
    for part in reference.split("/")[1:]:
        found = found.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(found, dict) else None
    return found


class _Hiding:
    """One walk over a definition: `texts` collects what it hid; `known`, longest first, is hidden wherever it is."""

    def __init__(self, known: tuple[str, ...] = ()) -> None:
        self._known = known
        self.texts: set[str] = set()

    def definition(self, raw: JSONValue) -> JSONValue:
        """A definition, or the body of a loop."""
        if not isinstance(raw, dict):
            return self._value(raw, _Place())
        parts = {"components": self._component, "connections": self._connection, "parameters": self._parameter}
        return {
            key: [parts[key](item) for item in value]
            if key in parts and isinstance(value, list)
            else self._value(value, _Place())
            for key, value in raw.items()
        }

    def _component(self, raw: JSONValue) -> JSONValue:
        if not isinstance(raw, dict):
            return self._value(raw, _Place())
        type_ = raw.get("type")
        component = registry.get(type_) if isinstance(type_, str) else None
        return {
            key: self._config(value, component)
            if key == "config" and isinstance(value, dict)
            else value
            if key in {"id", "type"}
            else self._value(value, _Place())
            for key, value in raw.items()
        }

    def _config(self, config: JSONObject, component: Component | None) -> JSONValue:
        if component is None:
            return self._value(config, _Place())
        fields = BODY_FIELDS if component.has_body else frozenset()
        body = self.definition({key: value for key, value in config.items() if key in fields})
        own = {key: value for key, value in config.items() if key not in fields}
        shown = self._object(own, _place_of(component), component.verbatim) | body
        return {key: shown[key] for key in config}

    def _connection(self, raw: JSONValue) -> JSONValue:
        if not isinstance(raw, dict):
            return self._value(raw, _Place())
        return {key: self._value(value, _Place()) if key == "condition" else value for key, value in raw.items()}

    def _parameter(self, raw: JSONValue) -> JSONValue:
        if not isinstance(raw, dict):
            return self._value(raw, _Place())
        secret = is_sensitive(raw)
        # Defaults are values: nothing in them is an expression.
        value_place = _Place(secret=secret, rendered=False)
        shown = {
            key: self._value(value, value_place if key in {"default_value", "options"} else _Place())
            for key, value in raw.items()
            if key not in {"name", "type", "validation_rules"}
        }
        rules = raw.get("validation_rules")
        if isinstance(rules, dict):
            shown["validation_rules"] = {
                key: self._value(value, value_place if key == "enum" else _Place(by_name=False))
                for key, value in rules.items()
            }
        return {key: shown.get(key, value) for key, value in raw.items()}

    def _object(self, value: JSONObject, place: _Place, verbatim: frozenset[str] = frozenset()) -> JSONObject:
        pair = value_keys(value) if place.by_name else frozenset()
        return {
            key: self._value(
                child, replace(place.under(key, pair=key in pair), rendered=place.rendered and key not in verbatim)
            )
            for key, child in value.items()
        }

    def _value(self, value: JSONValue, place: _Place) -> JSONValue:
        if isinstance(value, dict):
            return self._object(value, place)
        if isinstance(value, list):
            return [self._value(item, place.item()) for item in value]
        if isinstance(value, str):
            return self._text(value, place)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return self._number(value, place)
        return value

    def _number(self, value: float, place: _Place) -> float | str:
        text = str(value)
        if place.secret:
            self.texts.add(text)
        return REDACTED if place.secret or text in self._known else value

    def _text(self, text: str, place: _Place) -> str:
        if place.is_url and "://" in text:
            text = self._without_tail(text, rendered=place.rendered)
        elif place.secret:
            text = self._secret(text, rendered=place.rendered)
        if "://" in text:
            text = self._without(_URL_PASSWORD, text, rendered=place.rendered)
            text = self._without(_URL_FIELD, text, rendered=place.rendered)
        for known in self._known:
            if known in text:
                text = text.replace(known, REDACTED)
        return text

    def _without(self, pattern: re.Pattern[str], text: str, *, rendered: bool) -> str:
        """The text with what the pattern calls secret hidden, unless it is the value of a name that is none."""
        shown, end = "", 0
        for found in pattern.finditer(_masked(text) if rendered else text):
            if looks_secret(unquote_plus(found.groupdict().get("name", "secret"))):
                start, stop = found.span("secret")
                shown += text[end:start] + self._secret(text[start:stop], rendered=rendered)
                end = stop
        return shown + text[end:]

    def _without_tail(self, url: str, *, rendered: bool) -> str:
        """A URL up to its host: what follows is as good as a password, unless that stands in an expression there."""
        found = _URL_TAIL.fullmatch(_masked(url) if rendered else url)
        start, stop = found.span("secret") if found else (0, 0)
        tail = url[start:stop]
        if tail in {"", REDACTED} or (rendered and has_expression(tail)):
            return url
        self.texts.add(url[start - 1 : stop])
        return url[:start] + REDACTED + url[stop:]

    def _secret(self, text: str, *, rendered: bool) -> str:
        """A text in a secret's place: as it is if all of it comes out of expressions."""
        found = set(_literals(text, rendered=rendered))
        self.texts |= found
        return REDACTED if found else text


def _literals(text: str, *, rendered: bool) -> Iterator[str]:
    """The secrets that a text in a secret's place holds by itself."""
    pieces: Iterable[str] = [text]
    if rendered and has_expression(text):
        try:
            said = written(text)
        except ExpressionError:
            # No template, so all of it is text; what is wrong with it is told without its braces.
            pieces = [text, *_BRACES.split(text)]
        else:
            pieces = [piece for piece in (*said.parts, *said.constants) if not _is_frame(piece)]
    for piece in pieces:
        yield from _forms(piece)


def _masked(text: str) -> str:
    """The text with its expressions blotted out: they have no part in how a URL is divided."""
    masked, end = "", 0
    # No regular expression: it would look for the end again from every `{{` of a text that has none.
    while (start := text.find("{{", end)) >= 0 and (stop := text.find("}}", start)) >= 0:
        masked += text[end:start] + "_" * (stop + 2 - start)
        end = stop + 2
    return masked + text[end:]


def _is_frame(piece: str) -> bool:
    """What stands around expressions, and is no secret: a scheme, white space, a sign or two."""
    return bool(_SCHEME.fullmatch(piece) or _JOINT.fullmatch(piece.strip()))


def _forms(piece: str) -> Iterator[str]:
    """A literal secret as it may be told: whole, without its authentication scheme, decoded."""
    text = piece.strip()
    scheme = _SCHEME.match(text)
    bare = text[scheme.end() :] if scheme else text
    if not bare or bare == REDACTED:
        return
    yield text
    yield bare
    yield unquote(bare)
    if scheme and scheme[0].strip().lower() == "basic":
        try:
            _, _, password = base64.b64decode(bare, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return  # no base64, so the text is all there is
        if password:
            yield password
