"""The scalars of the GraphQL schema: JSON and DateTime, as strict as request bodies are (contract §2, §3, §9)."""

import math
from datetime import datetime
from typing import Any, NoReturn

import graphene
from graphql import (
    BooleanValueNode,
    FloatValueNode,
    GraphQLError,
    IntValueNode,
    ListValueNode,
    NullValueNode,
    ObjectValueNode,
    StringValueNode,
    Undefined,
    ValueNode,
    VariableNode,
)

from core import strict_json
from core.times import iso, parse_time
from core.types import JSONObject, JSONValue

MAX_NUMBER_CHARS = 400

# The default of an input field; one object, by which the scalar knows it.
EMPTY_OBJECT: JSONObject = {}


class _EmptyObjectLiteral(int):
    """How graphql-core can be made to print the default `{}`: it knows numbers, and prints what str() gives."""

    def __str__(self) -> str:
        return "{}"


class JSON(graphene.Scalar):
    """Any JSON value; an object, a list, text, a number, true, false or null."""

    @staticmethod
    def serialize(value: JSONValue) -> JSONValue:
        """As it is."""
        return _EmptyObjectLiteral() if value is EMPTY_OBJECT else value

    @staticmethod
    def parse_value(value: JSONValue) -> JSONValue:
        """A value that came as a variable. Raises GraphQLError."""
        return _checked(value)

    @staticmethod
    def parse_literal(node: ValueNode, variables: dict[str, Any] | None = None) -> JSONValue:
        """A value that stands in the document. Raises GraphQLError."""
        return _checked(_literal(node, variables or {}, 1))


def _literal(node: ValueNode, variables: dict[str, Any], depth: int) -> JSONValue:
    if depth > strict_json.MAX_DEPTH + 1:
        _refuse(f"is nested deeper than {strict_json.MAX_DEPTH}")
    if isinstance(node, ObjectValueNode):
        names = [field.name.value for field in node.fields]
        if len(set(names)) < len(names):
            _refuse("has a key twice")
        values = [_literal(field.value, variables, depth + 1) for field in node.fields]
        # A variable that was not given leaves its key out, as in any input object.
        return {name: value for name, value in zip(names, values, strict=True) if value is not Undefined}
    if isinstance(node, ListValueNode):
        values = [_literal(value, variables, depth + 1) for value in node.values]
        return [None if value is Undefined else value for value in values]
    if isinstance(node, VariableNode):
        return variables.get(node.name.value, Undefined)
    return _scalar(node)


def _scalar(node: ValueNode) -> JSONValue:
    if isinstance(node, IntValueNode | FloatValueNode):
        if len(node.value) > MAX_NUMBER_CHARS:
            _refuse(f"has a number of more than {MAX_NUMBER_CHARS} characters")
        return int(node.value) if isinstance(node, IntValueNode) else float(node.value)
    if isinstance(node, StringValueNode | BooleanValueNode):
        return node.value
    if not isinstance(node, NullValueNode):
        _refuse("has a word in it that is neither text, a number, true, false nor null")
    return None


def _checked(value: JSONValue) -> JSONValue:
    if value is Undefined:
        return value
    _check_numbers_and_depth(value)
    try:
        strict_json.check_storable(value)
    except strict_json.UnstorableTextError as error:
        _refuse(f"cannot be kept: {error}")
    return value


def _check_numbers_and_depth(value: JSONValue) -> None:
    stack = [(value, 0)]
    while stack:
        item, depth = stack.pop()
        if isinstance(item, float) and not math.isfinite(item):
            _refuse("has a number that is out of range")
        if isinstance(item, dict | list):
            if depth >= strict_json.MAX_DEPTH:
                _refuse(f"is nested deeper than {strict_json.MAX_DEPTH}")
            stack.extend((child, depth + 1) for child in (item.values() if isinstance(item, dict) else item))


def _refuse(fault: str) -> NoReturn:
    raise GraphQLError(f"The JSON {fault}")


class DateTime(graphene.Scalar):
    """An ISO 8601 time in UTC; inputs take any offset, and without one it is read as UTC."""

    @staticmethod
    def serialize(value: datetime) -> str:
        """`2025-01-01T12:00:00Z`."""
        return iso(value)

    @staticmethod
    def parse_value(value: Any) -> datetime:
        """A time that came as a variable. Raises GraphQLError."""
        try:
            return parse_time(value)
        except (TypeError, ValueError):
            raise GraphQLError("DateTime must be an ISO 8601 date and time in quotes") from None

    @staticmethod
    def parse_literal(node: ValueNode, variables: dict[str, Any] | None = None) -> datetime:
        """A time that stands in the document. Raises GraphQLError."""
        return DateTime.parse_value(node.value if isinstance(node, StringValueNode) else None)
