"""Parameters: what a definition declares, and the values that an execution is given held against it."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from core.errors import Problem
from core.types import JSONObject, JSONValue
from workflows.schemas import Schema, SchemaError, short


class ParameterError(ValueError):
    """Values that do not fit the declaration; `problems` has each with its path, `parameters.NAME`."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
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


def parse_parameter(raw: JSONObject, looks_secret: Callable[[str], bool]) -> Parameter:
    """A parameter of its JSON, whose shape has been checked. An absent or null default is none."""
    return Parameter(
        name=raw["name"],
        type=raw["type"],
        required=raw.get("required", False),
        default=raw.get("default_value"),
        has_default=raw.get("default_value") is not None,
        description=raw.get("description", ""),
        rules=raw.get("validation_rules", {}),
        sensitive=raw["type"] == "secret" or raw.get("sensitive", False) or looks_secret(raw["name"]),
    )


def parameter_problems(raw: Sequence[JSONObject]) -> Iterator[Problem]:
    """Duplicate names, patterns that are none, defaults that break their own type or rules."""
    names: set[str] = set()
    for index, item in enumerate(raw):
        path = f"definition.parameters[{index}]"
        if item["name"] in names:
            yield Problem(f"Two parameters are called {item['name']}", field=f"{path}.name")
        names.add(item["name"])
        parameter = parse_parameter(item, lambda name: False)
        if parameter.has_default:
            yield from _value_problems(parameter, parameter.default, f"{path}.default_value")


def check(parameters: Sequence[Parameter], given: JSONObject) -> JSONObject:
    """The values of an execution: those given, undeclared ones too, and defaults for those that were not.

    Raises ParameterError naming each missing, wrongly typed or rule-breaking one.
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


def _value_problems(parameter: Parameter, value: JSONValue, path: str) -> Iterator[Problem]:
    fits, expected = _TYPES[parameter.type]
    broken = [expected] if not fits(value) else list(_broken_rules(parameter.rules, value))
    for wanted in broken:
        received = "[REDACTED]" if parameter.sensitive else short(value)
        yield Problem(
            f"Parameter {parameter.name} must be {wanted}",
            field=path,
            details={"expected": wanted, "received": received},
        )


def _broken_rules(rules: JSONObject, value: JSONValue) -> Iterator[str]:
    if "enum" in rules and not any(_same(value, option) for option in rules["enum"]):
        yield "one of " + ", ".join(short(option) for option in rules["enum"])
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
    if isinstance(value, str) and "pattern" in rules and not _matches(rules["pattern"], value):
        yield f"text matching {rules['pattern']}"


def _same(a: JSONValue, b: JSONValue) -> bool:
    return bool(a == b) and isinstance(a, bool) == isinstance(b, bool)


def _matches(pattern: str, value: str) -> bool:
    try:
        return Schema({"pattern": pattern}).is_valid(value)
    except SchemaError:
        # Definitions with such a pattern are refused when saved; an older one accepts nothing.
        return False
