"""A GraphQL operation from its text to its answer; for HTTP and for sockets, always synchronous (contract §9)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from graphql import (
    DocumentNode,
    GraphQLError,
    OperationDefinitionNode,
    OperationType,
    execute,
    get_operation_ast,
    validate,
)
from graphql.execution.collect_fields import collect_fields
from graphql.execution.values import get_argument_values, get_variable_values

from accounts.callers import Caller
from config.schema import schema
from core import graphql_caps
from core.envelope import error_entry
from core.errors import APGError, BadRequestError, ErrorCode, Problem
from core.exception_handler import to_error
from core.graphql_rest import camel
from core.request_id import current_request_id
from core.types import JSONObject

_SCHEMA = schema.graphql_schema
_MAX_ERRORS = 10
_KEYS = ("query", "variables", "operationName", "extensions")
# No "Did you mean": what there is, introspection tells, to those who may ask.
import_module("graphql.pyutils.did_you_mean").MAX_LENGTH = 0  # type: ignore[attr-defined]


class RequestRefusedError(Exception):
    """The document is not run: it cannot be read, does not fit the schema, or asks for too much.

    `errors` are ready for the answer's `errors`, each with `extensions.code`.
    """

    def __init__(self, errors: Sequence[GraphQLError]) -> None:
        self.errors = [_formatted(error) for error in errors]
        super().__init__(self.errors[0]["message"])


@dataclass(frozen=True, slots=True)
class RootField:
    """A field that the operation starts with, and its arguments by their names in Python: `execution_id`."""

    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a document that was checked together with its variables; may be run many times.

    `fields` are those that will be executed, from fragments too; a subscription has one.
    """

    document: DocumentNode
    node: OperationDefinitionNode
    variables: Mapping[str, Any]
    fields: tuple[RootField, ...]

    @property
    def kind(self) -> OperationType:
        return self.node.operation


def read(body: JSONObject) -> tuple[str, JSONObject | None, str | None]:
    """query, variables and operationName. Raises BadRequestError naming what is wrong."""
    problems = [
        Problem("Unknown field", field=name[:100], details={"expected": "one of " + ", ".join(_KEYS)})
        for name in body
        if name not in _KEYS
    ]
    text, variables, name = body.get("query"), body.get("variables"), body.get("operationName")
    if not isinstance(text, str):
        problems.append(Problem("Must be text: the GraphQL document", field="query"))
    if not isinstance(variables, dict | None):
        problems.append(Problem("Must be an object", field="variables"))
    if not isinstance(name, str | None):
        problems.append(Problem("Must be text", field="operationName"))
    if not isinstance(body.get("extensions"), dict | None):
        problems.append(Problem("Must be an object", field="extensions"))
    if problems:
        raise BadRequestError(problems=problems)
    assert isinstance(text, str)
    return text, variables, name


def parse_and_check(
    text: str, variables: Mapping[str, Any] | None = None, operation_name: str | None = None
) -> Operation:
    """The operation, after every cap and the whole validation; nothing has been asked of the database.

    `variables` are what JSON gave. Raises RequestRefusedError.
    """
    try:
        document = graphql_caps.read(text)
    except GraphQLError as error:
        raise RequestRefusedError([error]) from None
    errors = validate(_SCHEMA, document, max_errors=_MAX_ERRORS)
    if errors:
        raise RequestRefusedError(errors)
    node = get_operation_ast(document, operation_name)
    if node is None:
        raise RequestRefusedError([GraphQLError(_no_operation(operation_name))])
    given = dict(variables or {})
    coerced = get_variable_values(_SCHEMA, node.variable_definitions or (), given, max_errors=_MAX_ERRORS)
    if isinstance(coerced, list):
        raise RequestRefusedError(coerced)
    try:
        graphql_caps.check_cost(_SCHEMA, document, node, coerced)
        fields = tuple(_root_fields(document, node, coerced))
    except GraphQLError as error:
        raise RequestRefusedError([error]) from None
    if node.operation is OperationType.SUBSCRIPTION and len(fields) != 1:
        # Validation lets through one that is left out by @skip or @include.
        raise RequestRefusedError([GraphQLError("A subscription needs one field that is not left out", node)])
    return Operation(document, node, given, fields)


def _root_fields(
    document: DocumentNode, node: OperationDefinitionNode, variables: dict[str, Any]
) -> Iterator[RootField]:
    root = _SCHEMA.get_root_type(node.operation)
    assert root is not None, "the schema has all three"
    fragments = graphql_caps.fragments_of(document)
    for same, *_ in collect_fields(_SCHEMA, fragments, variables, root, node.selection_set).values():
        definition = root.fields.get(same.name.value)
        arguments = get_argument_values(definition, same, variables) if definition else {}
        yield RootField(same.name.value, arguments)


def _no_operation(name: str | None) -> str:
    if name is None:
        return "Give operationName: the document has several operations, or none"
    return f"The document has no operation called {name[:100]}"


def run(operation: Operation, caller: Caller, root: Any = None) -> JSONObject:
    """Execute it for the caller, in this thread: `{"data": …}`, and `errors` where there are any.

    Of a subscription this is one event's answer; `root` is then what the event told. Whatever resolvers raise is in
    `errors`, with `extensions.code`; what is none of ours is logged, and told as an internal error.
    """
    name = operation.node.name.value if operation.node.name else None
    result: Any = execute(
        _SCHEMA,
        operation.document,
        root_value=root,
        context_value=caller,
        variable_values=dict(operation.variables),
        operation_name=name,
        is_awaitable=_never,
    )
    answer: JSONObject = {"data": result.data}
    if result.errors:
        answer["errors"] = [_formatted(error) for error in result.errors]
    return answer


def _never(value: Any) -> bool:
    """Resolvers are plain functions: nothing that they give is waited for."""
    return False


def error_of(error: APGError) -> JSONObject:
    """One entry of `errors` for an error of ours."""
    extensions: JSONObject = {"code": str(error.code)}
    if error.status >= 500:
        extensions["request_id"] = current_request_id()
    problems = [error_entry(problem, error.code) for problem in error.problems]
    for entry in problems:
        if "field" in entry:
            entry["message"] = entry["message"].replace(entry["field"], camel(entry["field"]))
            entry["field"] = camel(entry["field"])
    if problems:
        extensions["errors"] = problems
    message = problems[0]["message"] if len(problems) == 1 else error.message
    return {"message": "Internal error" if error.status == 500 else message, "extensions": extensions}


def _formatted(error: GraphQLError) -> JSONObject:
    """The error without internals: the cause's code and words where it is ours, else no more than that it failed."""
    cause = error.original_error
    if cause is not None and not isinstance(cause, GraphQLError):
        ours = error_of(to_error(cause))
    else:
        ours = {"message": error.message, "extensions": {"code": str(ErrorCode.VALIDATION_ERROR)}}
    places = {name: value for name, value in error.formatted.items() if name in {"locations", "path"}}
    return {"message": ours["message"], **places, "extensions": ours["extensions"]}
