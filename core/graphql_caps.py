"""What a GraphQL document may ask for: size, nesting, repetition and cost, told before any work is done (contract §9).

The figures are those of graphql-armor, but for depth. Everything here takes time linear in the text.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    Lexer,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    Source,
    TokenKind,
    get_named_type,
    get_nullable_type,
    parse,
)
from graphql.execution.values import get_argument_values

MAX_BYTES = 16 * 1024
MAX_TOKENS = 1_000
# Of brackets of any kind in the text: the parser is recursive.
MAX_NESTING = 96
MAX_DEPTH = 8
MAX_ALIASES = 15
# A field twice in one place says nothing, and comparing all such pairs takes quadratic time.
MAX_REPEATS = 15
MAX_DIRECTIVES = 50
MAX_COST = 5_000
# What a list without a `limit` counts as.
DEFAULT_LIMIT = 50

_OPENING = frozenset({TokenKind.BRACE_L, TokenKind.BRACKET_L, TokenKind.PAREN_L})
_CLOSING = frozenset({TokenKind.BRACE_R, TokenKind.BRACKET_R, TokenKind.PAREN_R})


class CapError(GraphQLError):
    """The document asks for too much. Ask for less at a time."""


def read(text: str) -> DocumentNode:
    """The document, parsed and within every cap but that of cost. Raises CapError, GraphQLSyntaxError."""
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_BYTES:
        raise CapError(f"The document has {size} bytes, at most {MAX_BYTES} are taken")
    source = Source(text)
    _check_tokens(source)
    document = parse(source)
    _check_shape(document)
    return document


def _check_tokens(source: Source) -> None:
    lexer = Lexer(source)
    count = nesting = 0
    while (kind := lexer.advance().kind) is not TokenKind.EOF:
        count += 1
        nesting += (kind in _OPENING) - (kind in _CLOSING)
        if count > MAX_TOKENS:
            raise CapError(f"The document has more than {MAX_TOKENS} tokens")
        if nesting > MAX_NESTING:
            raise CapError(f"The document is nested deeper than {MAX_NESTING}")


@dataclass(slots=True)
class _Tally:
    fragments: Mapping[str, FragmentDefinitionNode]
    aliases: int = 0
    repeats: int = 0
    directives: int = 0
    depths: dict[str, int] = field(default_factory=dict)
    entered: set[str] = field(default_factory=set)

    def depth(self, selections: SelectionSetNode | None) -> int:
        """How many fields lie below one another; those of introspection are bounded by a rule of graphql-core."""
        if selections is None:
            return 0
        seen: set[str] = set()
        return max((self._depth_of(each, seen) for each in _flat(selections, self)), default=0)

    def _depth_of(self, selection: SelectionNode, seen: set[str]) -> int:
        if isinstance(selection, FragmentSpreadNode):
            return self._depth_of_fragment(selection.name.value)
        assert isinstance(selection, FieldNode), "inline fragments have been opened"
        if selection.alias is not None:
            self.aliases += 1
        name = (selection.alias or selection.name).value
        self.repeats += name in seen
        seen.add(name)
        below = self.depth(selection.selection_set)
        return 0 if selection.name.value.startswith("__") else 1 + below

    def _depth_of_fragment(self, name: str) -> int:
        if name not in self.depths:
            if name in self.entered:
                raise CapError("Fragments may not lead back to themselves")
            self.entered.add(name)
            fragment = self.fragments.get(name)
            # One that there is not is told of by validation.
            depth = self.depth(fragment.selection_set) if fragment else 0
            is_introspection = fragment is not None and fragment.type_condition.name.value.startswith("__")
            self.depths[name] = 0 if is_introspection else depth
        return self.depths[name]


def _flat(selections: SelectionSetNode, tally: _Tally) -> Iterator[SelectionNode]:
    """The fields and spreads of one place: inline fragments are opened; directives are counted."""
    for selection in selections.selections:
        tally.directives += len(selection.directives)
        if isinstance(selection, InlineFragmentNode):
            yield from _flat(selection.selection_set, tally)
        else:
            yield selection


def _check_shape(document: DocumentNode) -> None:
    tally = _Tally(fragments_of(document))
    depth = 0
    for definition in document.definitions:
        if isinstance(definition, FragmentDefinitionNode):
            depth = max(depth, tally._depth_of_fragment(definition.name.value))
        elif isinstance(definition, OperationDefinitionNode):
            depth = max(depth, tally.depth(definition.selection_set))
        tally.directives += len(getattr(definition, "directives", None) or ())
    for what, found, most in (
        ("levels of fields", depth, MAX_DEPTH),
        ("aliases", tally.aliases, MAX_ALIASES),
        ("fields that stand in one place again", tally.repeats, MAX_REPEATS),
        ("directives", tally.directives, MAX_DIRECTIVES),
    ):
        if found > most:
            raise CapError(f"The document has {found} {what}, at most {most} are taken")


def fragments_of(document: DocumentNode) -> dict[str, FragmentDefinitionNode]:
    """The document's fragments by name."""
    return {each.name.value: each for each in document.definitions if isinstance(each, FragmentDefinitionNode)}


def check_cost(
    schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode, variables: Mapping[str, Any]
) -> None:
    """Raises CapError where the operation may answer with more than MAX_COST objects.

    A list counts its `limit`, with all that is asked of each item; the document is valid and `variables` are coerced.
    """
    root = schema.get_root_type(operation.operation)
    assert root is not None, "a valid operation has a root type"
    cost = _Cost(schema, fragments_of(document), variables).of(operation.selection_set, root)
    if cost > MAX_COST:
        raise CapError(
            f"The operation may answer with {cost} objects, at most {MAX_COST} are taken: use smaller limits"
        )


@dataclass(slots=True)
class _Cost:
    schema: GraphQLSchema
    fragments: Mapping[str, FragmentDefinitionNode]
    variables: Mapping[str, Any]
    known: dict[str, int] = field(default_factory=dict)

    def of(self, selections: SelectionSetNode, parent: Any) -> int:
        return sum(self._of_one(each, parent) for each in selections.selections)

    def _of_one(self, selection: SelectionNode, parent: Any) -> int:
        if isinstance(selection, FragmentSpreadNode):
            name = selection.name.value
            if name not in self.known:
                self.known[name] = self._of_fragment(self.fragments[name])
            return self.known[name]
        if isinstance(selection, InlineFragmentNode):
            return self._of_fragment(selection, parent)
        assert isinstance(selection, FieldNode)
        # Introspection is of a size of its own.
        if selection.selection_set is None or selection.name.value.startswith("__"):
            return 0
        definition = parent.fields[selection.name.value]
        below = self.of(selection.selection_set, get_named_type(definition.type))
        if not _is_list(definition.type):
            return 1 + below
        limit = get_argument_values(definition, selection, dict(self.variables)).get("limit")
        return max(DEFAULT_LIMIT if limit is None else limit, 0) * (1 + below)

    def _of_fragment(self, fragment: FragmentDefinitionNode | InlineFragmentNode, parent: Any = None) -> int:
        condition = fragment.type_condition
        type_ = parent if condition is None else self.schema.type_map[condition.name.value]
        assert isinstance(type_, GraphQLObjectType | GraphQLInterfaceType)
        return self.of(fragment.selection_set, type_)


def _is_list(type_: Any) -> bool:
    return isinstance(get_nullable_type(type_), GraphQLList)
