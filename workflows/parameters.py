"""Parameters: what a definition declares, and the values that an execution is given held against it."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from core.errors import Problem, bounded
from core.redact import REDACTED, looks_secret
from core.types import JSONObject, JSONValue
from workflows.schemas import Schema, SchemaError, one_of, received


class ParameterError(ValueError):
    """Values that do not fit the declaration; `problems` has each with its path, `parameters.NAME` (`bounded`)."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(bounded(problems))
        super().__init__("; ".join(problem.message for problem in self.problems))


@dataclass(frozen=True, slots=True)
class Parameter:
    """One declared parameter; `sensitive` values are sealed and never shown."""

    name: str
    type: str
    required: bool
    default: JSONValue
    has_default: bool
    description: str
    rules: JSONObject
    sensitive: bool

    @property
    def idle_rules(self) -> tuple[str, ...]:
        """Rules that say nothing about values of the type, such as `min` of a text."""
        return tuple(rule for rule in self.rules if rule not in _RULES[self.type])


def parse_parameter(raw: JSONObject) -> Parameter:
    """A parameter of its JSON, whose shape has been checked. An absent or null default is none."""
    return Parameter(
        name=raw["name"],
        type=raw["type"],
        required=raw.get("required", False),
        default=raw.get("default_value"),
        has_default=raw.get("default_value") is not None,
        description=raw.get("description", ""),
        rules=raw.get("validation_rules", {}),
        sensitive=is_sensitive(raw),
    )


def is_sensitive(raw: JSONObject) -> bool:
    """Whether the values of a parameter are secret: by its type, by its word, by its name. Takes any object.

    Also of a field of a template's form, which calls its type `parameter_type`.
    """
    name = raw.get("name")
    return (
        "secret" in (raw.get("type"), raw.get("parameter_type"))
        or raw.get("sensitive") is True
        or (isinstance(name, str) and looks_secret(name))
    )


def parameter_problems(raw: Sequence[JSONObject]) -> Iterator[Problem]:
    """Duplicate names, rules that no value can keep, defaults that break their own type or rules."""
    names: set[str] = set()
    for index, item in enumerate(raw):
        path = f"definition.parameters[{index}]"
        if item["name"] in names:
            yield Problem(
                f"Two parameters are called {item['name']}",
                field=f"{path}.name",
                details={"expected": "a name of its own", "received": item["name"]},
            )
        names.add(item["name"])
        parameter = parse_parameter(item)
        broken = list(_rule_problems(parameter, f"{path}.validation_rules"))
        yield from broken
        if parameter.has_default and not broken:
            yield from _value_problems(parameter, parameter.default, f"{path}.default_value")


def check(parameters: Sequence[Parameter], given: JSONObject) -> JSONObject:
    """The values of an execution: those given, undeclared ones too, and defaults for those that were not.

    Null counts as not given. Raises ParameterError naming each missing, wrongly typed or rule-breaking one.
    """
    values = dict(given)
    problems: list[Problem] = []
    for parameter in parameters:
        path = f"parameters.{parameter.name}"
        if values.get(parameter.name) is not None:
            problems += _value_problems(parameter, values[parameter.name], path)
        elif parameter.has_default:
            values[parameter.name] = parameter.default
        elif parameter.required:
            details = {"expected": _TYPES[parameter.type][1], "received": "nothing"}
            problems.append(Problem(f"Parameter {parameter.name} is required", field=path, details=details))
        else:
            values.setdefault(parameter.name, None)
    if problems:
        raise ParameterError(problems)
    return values


# bool is an int in Python and no number here.
_TYPES: dict[str, tuple[Callable[[JSONValue], bool], str]] = {
    "string": (lambda value: isinstance(value, str), "text"),
    "secret": (lambda value: isinstance(value, str), "text"),
    "integer": (lambda value: isinstance(value, int) and not isinstance(value, bool), "a whole number"),
    "number": (lambda value: isinstance(value, int | float) and not isinstance(value, bool), "a number"),
    "boolean": (lambda value: isinstance(value, bool), "true or false"),
    "object": (lambda value: isinstance(value, dict), "an object"),
    "array": (lambda value: isinstance(value, list), "a list"),
}
_TEXT_RULES = frozenset({"enum", "min_length", "max_length", "pattern"})
_NUMBER_RULES = frozenset({"enum", "min", "max"})
_RULES: dict[str, frozenset[str]] = {
    "string": _TEXT_RULES,
    "secret": _TEXT_RULES,
    "integer": _NUMBER_RULES,
    "number": _NUMBER_RULES,
    "boolean": frozenset({"enum"}),
    "object": frozenset({"enum"}),
    "array": frozenset({"enum", "min_length", "max_length"}),
}


def _rule_problems(parameter: Parameter, path: str) -> Iterator[Problem]:
    rules = parameter.rules
    for low, high in (("min", "max"), ("min_length", "max_length")):
        if low in rules and high in rules and rules[low] > rules[high]:
            details = {"expected": f"at most {high}, {rules[high]}", "received": received(rules[low])}
            yield Problem(f"No value is at least {low} and at most {high}", field=f"{path}.{low}", details=details)
    if "pattern" in rules:
        try:
            _compiled(rules["pattern"])
        except SchemaError:
            # Look-around and back-references need backtracking, and that takes exponential time on some texts.
            expected = "a regular expression of modest size without look-around and back-references"
            details = {"expected": expected, "received": received(rules["pattern"])}
            yield Problem(f"Expected {expected}", field=f"{path}.pattern", details=details)
    fits, expected = _TYPES[parameter.type]
    for index, option in enumerate(rules.get("enum", [])):
        if not fits(option):
            details = {"expected": expected, "received": REDACTED if parameter.sensitive else received(option)}
            message = f"Expected {expected}, as the parameter's type says"
            yield Problem(message, field=f"{path}.enum[{index}]", details=details)


def _value_problems(parameter: Parameter, value: JSONValue, path: str) -> Iterator[Problem]:
    fits, expected = _TYPES[parameter.type]
    broken = [expected] if not fits(value) else list(_broken_rules(parameter, value))
    for wanted in broken:
        shown = REDACTED if parameter.sensitive else received(value)
        yield Problem(
            f"Parameter {parameter.name} must be {wanted}", field=path, details={"expected": wanted, "received": shown}
        )


def _broken_rules(parameter: Parameter, value: JSONValue) -> Iterator[str]:
    rules = parameter.rules
    if "enum" in rules and not any(_same(value, option) for option in rules["enum"]):
        # The choices of a secret are secrets.
        yield "one of the values that are allowed" if parameter.sensitive else one_of(rules["enum"])
    if isinstance(value, int | float) and not isinstance(value, bool):
        if "min" in rules and value < rules["min"]:
            yield f"at least {rules['min']}"
        if "max" in rules and value > rules["max"]:
            yield f"at most {rules['max']}"
    if isinstance(value, str | list):
        unit = "characters" if isinstance(value, str) else "items"
        if "min_length" in rules and len(value) < rules["min_length"]:
            yield f"at least {rules['min_length']} {unit} long"
        if "max_length" in rules and len(value) > rules["max_length"]:
            yield f"at most {rules['max_length']} {unit} long"
    if isinstance(value, str) and "pattern" in rules and not _compiled(rules["pattern"]).is_valid(value):
        yield f"text matching {rules['pattern']}"


def _same(a: JSONValue, b: JSONValue) -> bool:
    return bool(a == b) and isinstance(a, bool) == isinstance(b, bool)


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> Schema:
    """The pattern, found anywhere in a text, in an engine that takes linear time. Raises SchemaError."""
    return Schema({"pattern": pattern})
