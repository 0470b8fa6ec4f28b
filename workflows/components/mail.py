"""email: one message through the platform's mail server."""

import re
from collections.abc import Iterator
from typing import ClassVar

from core.errors import Problem
from core.types import JSONObject
from workflows.components.base import Completed, Component, Context, Email, EmailRefusedError, Failed, Outcome
from workflows.components.control import ANY, object_schema
from workflows.expressions import has_expression
from workflows.schemas import received

MAX_RECIPIENTS = 100
_RECIPIENT_FIELDS = ("to", "cc", "bcc")
# RFC 5321's dot-atom and a domain; RFC 5322's quoted local parts and comments are not taken.
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ADDRESS = re.compile(rf"(?=.{{1,254}}\Z)(?P<local>{_ATOM}(?:\.{_ATOM})*)@(?P<domain>{_LABEL}(?:\.{_LABEL})*)")
_NAMED = re.compile(r'(?P<name>"[^"\\]*"\s*|[^"<>@,;\\]*)<(?P<address>[^<>]+)>')
# Commas between addresses, not those inside a quoted name.
_PART = re.compile(r'(?P<part>(?:"[^"]*"|[^",])*)(?P<end>,|\Z)')
_CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")
_EXPECTED = "an e-mail address, as in a@example.com or Name <a@example.com>"


def _recipients(title: str, description: str) -> JSONObject:
    return {
        "title": title,
        "description": f"{description}: one address, several with commas, or a list",
        "type": ["string", "array"],
        "minLength": 1,
        "minItems": 1,
        "maxItems": MAX_RECIPIENTS,
        "items": {"type": "string", "minLength": 1},
        "examples": ["ops@example.com", ["ops@example.com", "Boss <boss@example.com>"]],
    }


class AddressError(ValueError):
    """What should be an e-mail address is none; `field` says where it stands, with its place in a list."""

    def __init__(self, field: str, expected: str, value: str) -> None:
        super().__init__(f"{field}: expected {expected}")
        self.field = field
        self.expected = expected
        self.value = value


class SendEmail(Component):
    """One e-mail."""

    type: ClassVar = "email"
    name: ClassVar = "Email"
    description: ClassVar = "Sends an e-mail through the platform's mail server"
    category: ClassVar = "integration"
    config_schema: ClassVar[JSONObject] = object_schema(
        {
            "to": _recipients("To", "Whom it is for"),
            "subject": {
                "title": "Subject",
                "description": "One line",
                "type": "string",
                "maxLength": 900,
                "examples": ["Report of {{ day }}"],
            },
            "body": {
                "title": "Text",
                "description": "The message as plain text",
                "type": "string",
                "default": "",
                "examples": ["{{ input | length }} orders came in."],
            },
            "html": {
                "title": "HTML",
                "description": "The message as HTML, beside the text",
                "type": "string",
                "examples": ["<p>{{ input | length }} orders came in.</p>"],
            },
            "cc": _recipients("Cc", "Who gets a copy"),
            "bcc": _recipients("Bcc", "Who gets a copy that the others do not see"),
        },
        "to",
        "subject",
    )
    input_schema: ClassVar[JSONObject] = ANY
    output_schema: ClassVar[JSONObject] = {
        "type": "object",
        "properties": {"message_id": {"title": "The message's Message-ID", "type": "string"}},
        "required": ["message_id"],
    }

    def check(self, config: JSONObject) -> Iterator[Problem]:
        for field in _RECIPIENT_FIELDS:
            for place, text in _texts(field, config.get(field)):
                if has_expression(text):
                    continue
                try:
                    list(_addresses(place, text))
                except AddressError as error:
                    details = {"expected": error.expected, "received": received(error.value)}
                    yield Problem(f"Expected {error.expected}", field=error.field, details=details)
        subject = config["subject"]
        if not has_expression(subject) and _CONTROL.search(subject):
            details = {"expected": "one line", "received": received(subject)}
            yield Problem("Expected one line", field="subject", details=details)

    def run(self, config: JSONObject, context: Context) -> Outcome:
        if _CONTROL.search(config["subject"]):
            return Failed("subject: expected one line without control characters", permanent=True)
        try:
            to, cc, bcc = (
                tuple(
                    address for place, text in _texts(field, config.get(field)) for address in _addresses(place, text)
                )
                for field in _RECIPIENT_FIELDS
            )
        except AddressError as error:
            return Failed(str(error), permanent=True)
        count = len(to) + len(cc) + len(bcc)
        if count > MAX_RECIPIENTS:
            return Failed(f"to, cc and bcc: {count} addresses, at most {MAX_RECIPIENTS} are allowed", permanent=True)
        email = Email(
            to=to, subject=config["subject"], body=config.get("body", ""), html=config.get("html"), cc=cc, bcc=bcc
        )
        try:
            message_id = context.send_email(email)
        except EmailRefusedError as error:
            return Failed(str(error), permanent=error.permanent)
        context.log("info", f"Sent to {count} {'address' if count == 1 else 'addresses'}", message_id=message_id)
        return Completed({"message_id": message_id})


def _texts(field: str, value: object) -> Iterator[tuple[str, str]]:
    """(place, text) of each text of a field of recipients."""
    if isinstance(value, str):
        yield field, value
    elif isinstance(value, list):
        yield from ((f"{field}[{index}]", text) for index, text in enumerate(value))


def _addresses(place: str, text: str) -> Iterator[str]:
    """The addresses of a text with commas, as a header may hold them. Raises AddressError."""
    # A line break would end the header and start another one of the sender's choice.
    if _CONTROL.search(text):
        raise AddressError(place, "addresses without line breaks and control characters", text)
    if text.count('"') % 2:
        raise AddressError(place, _EXPECTED, text)
    parts = []
    for part in _PART.finditer(text):
        parts.append(part["part"].strip())
        if not part["end"]:
            break  # at the end of the text, where another match of nothing would follow
    for written in parts:
        named = _NAMED.fullmatch(written)
        address = named["address"] if named else written
        match = _ADDRESS.fullmatch(address)
        if match is None or len(match["local"]) > 64:
            raise AddressError(place, _EXPECTED, written)
        name = named["name"].strip().strip('"') if named else ""
        yield f'"{name}" <{address}>' if name else address
