"""Ids: 26-character ULIDs in Python and on the wire, a 128-bit uuid column in PostgreSQL (contract §2)."""

import re
import uuid
from datetime import datetime
from typing import Any

import uuid_utils.compat as uuid_utils
from django.core.exceptions import ValidationError
from django.db import models
from ulid_transform import bytes_to_ulid, ulid_to_bytes

from core.shapes import GIVEN_ID

# ulid-transform decodes any 26 characters, so the alphabet is checked here first.
_ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}", re.ASCII)
_UUID = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}", re.ASCII | re.IGNORECASE)


def new_id() -> str:
    """A new ULID, later than every one made before it in this process (UUIDv7, RFC 9562 §5.7)."""
    return bytes_to_ulid(uuid_utils.uuid7().bytes)


def first_id(moment: datetime) -> str:
    """No id made at the moment or later is smaller, and none made before it is larger; for ranges of ids."""
    return bytes_to_ulid((int(moment.timestamp() * 1000) << 80).to_bytes(16))


def parse_id(text: str) -> str:
    """The canonical ULID of a ULID or UUID text in any case. Raises ValueError for anything else."""
    upper = text.upper()
    if _ULID.fullmatch(upper):
        return upper
    if _UUID.fullmatch(text):
        return bytes_to_ulid(uuid.UUID(text).bytes)
    raise ValueError("not a ULID or a UUID")


def to_uuid(ulid: str) -> uuid.UUID:
    """The uuid stored for a canonical ULID; for SQL parameters."""
    return uuid.UUID(bytes=ulid_to_bytes(ulid))


def from_uuid(value: uuid.UUID) -> str:
    """The canonical ULID of a stored uuid."""
    return bytes_to_ulid(value.bytes)


class ULIDField(models.Field):  # type: ignore[type-arg]
    """A uuid column that is a 26-character `str` in Python.

    A `str`, not a ULID object: objects break JSON encoders, graphene, django-filter and DRF relations.
    """

    description = "ULID"
    default_error_messages = {"invalid": "“%(value)s” is not a valid id."}
    empty_strings_allowed = False

    def get_internal_type(self) -> str:
        return "UUIDField"

    def db_type(self, connection: Any) -> str:
        return "uuid"

    def rel_db_type(self, connection: Any) -> str:
        return "uuid"

    def from_db_value(self, value: uuid.UUID | None, expression: Any, connection: Any) -> str | None:
        return None if value is None else from_uuid(value)

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> uuid.UUID | None:
        return None if value is None else to_uuid(self.to_python(value))

    def to_python(self, value: Any) -> Any:
        if value is None:
            return None
        if isinstance(value, uuid.UUID):
            return from_uuid(value)
        try:
            return parse_id(str(value))
        except ValueError:
            raise ValidationError(
                self.error_messages["invalid"], code="invalid", params={"value": str(value)[:40]}
            ) from None


class IdConverter:
    """URL converter `<id:…>`: takes a ULID or a UUID; anything else is no match, hence 404."""

    # Loose on purpose: what is not an id must reach `to_python` and end as a 404, never as another route.
    regex = r"[0-9A-Za-z-]{26,36}"
    shape = GIVEN_ID

    def to_python(self, value: str) -> str:
        return parse_id(value)

    def to_url(self, value: str) -> str:
        return value


def id_field(**options: Any) -> ULIDField:
    """The primary key every model of ours has."""
    return ULIDField(primary_key=True, default=new_id, editable=False, **options)
