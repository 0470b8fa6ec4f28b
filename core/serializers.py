"""Request bodies, read strictly: no unknown fields, and no "5" where 5 is meant."""

from collections.abc import Iterator
from datetime import datetime
from itertools import chain
from typing import Any, ClassVar

from rest_framework import serializers

from core.errors import Problem, ValidationFailedError, bounded
from core.ids import parse_id
from core.shapes import GIVEN_ID, GIVEN_TIME, Named, Schema
from core.times import parse_time


class StrictSerializer(serializers.Serializer[Any]):
    """A body whose every key is a field of ours; a read-only or unknown one is 422 and named.

    `rules` tell the OpenAPI document of what holds between fields.
    """

    rules: ClassVar[Schema] = {}

    def validated(self) -> dict[str, Any]:
        """The checked fields. Raises ValidationFailedError with one problem for each fault, of very many the first."""
        expected = {"expected": "one of " + ", ".join(self.fields)}
        unknown = (
            Problem("Unknown field", field=name, details=expected)
            for name in self.initial_data
            if name not in self.fields
        )
        self.is_valid()
        problems = bounded(chain(unknown, _problems(self.errors, "")))
        if problems:
            raise ValidationFailedError(problems=problems)
        return dict(self.validated_data)


def _problems(errors: Any, path: str) -> Iterator[Problem]:
    if isinstance(errors, dict):
        for key, child in errors.items():
            here = f"{path}[{key}]" if isinstance(key, int) else f"{path}.{key}" if path else str(key)
            yield from _problems(child, path if key == "non_field_errors" else here)
    else:
        for error in errors:
            if isinstance(error, dict):
                yield from _problems(error, path)
            else:
                yield Problem(str(error), field=path or None)


class StrictCharField(serializers.CharField):
    """Text and nothing else; NUL was refused by the parser already."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class StrictIntegerField(serializers.IntegerField):
    """A JSON integer: no text, no fraction, no boolean."""

    default_error_messages = {"invalid": "Must be an integer."}

    def to_internal_value(self, data: Any) -> int:
        if not isinstance(data, int) or isinstance(data, bool):
            self.fail("invalid")
        return data


class StrictBooleanField(serializers.BooleanField):
    """true or false."""

    default_error_messages = {"invalid": "Must be true or false."}

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid")
        return data


class StrictListField(serializers.ListField):
    """A list, of which none that is too long is looked into."""

    def to_internal_value(self, data: Any) -> list[Any]:
        if isinstance(data, list) and self.max_length is not None and len(data) > self.max_length:
            self.fail("max_length", max_length=self.max_length)
        return super().to_internal_value(data)


class EntriesField(StrictListField):
    """A list whose entries are judged one by one, each by `entry`; here it is any list."""

    def __init__(self, entry: type[StrictSerializer], **options: Any) -> None:
        super().__init__(**options)
        self.entry = entry


class TimeField(serializers.Field[datetime, Any, str, Any]):
    """An ISO 8601 time of a body, read as UTC where it names no offset."""

    shape: ClassVar[Named] = GIVEN_TIME
    default_error_messages = {"invalid": "Must be an ISO 8601 date and time."}

    def to_internal_value(self, data: Any) -> datetime:
        try:
            return parse_time(data)
        except (TypeError, ValueError):
            self.fail("invalid")

    def to_representation(self, value: datetime) -> str:
        return value.isoformat()


class IdField(serializers.Field[str, Any, str, Any]):
    """An id of a body, as a canonical ULID."""

    shape: ClassVar[Named] = GIVEN_ID
    default_error_messages = {"invalid": "Must be an id (26-character ULID)."}

    def to_internal_value(self, data: Any) -> str:
        try:
            return parse_id(data)
        except (AttributeError, TypeError, ValueError):
            self.fail("invalid")

    def to_representation(self, value: str) -> str:
        return value
