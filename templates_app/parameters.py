"""A template's form: its fields, what they are checked by, and how their values get into a definition.

Values become JSON values of the definition (reliability E6): each the default of a parameter of the workflow, or, where
the `start` reads it, the value there, since a trigger is read before there is an execution to render it for. No value
is ever pasted into a text.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from core.errors import Problem, bounded
from core.redact import REDACTED
from core.types import JSONObject, JSONValue
from workflows.definition_schema import MAX_PARAMETERS, PARAMETER
from workflows.parameters import ParameterError, check, parameter_problems, parse_parameter
from workflows.schemas import Schema, join_path, received

INPUT_TYPES = ("text", "textarea", "number", "checkbox", "select", "password", "email", "url", "date", "json")
MAX_OPTIONS = 1000
_INPUT_TYPE_OF = {"integer": "number", "number": "number", "boolean": "checkbox", "secret": "password"}
_DECLARED: JSONObject = PARAMETER["properties"]


def _text(description: str, max_length: int) -> JSONObject:
    return {"description": description, "type": "string", "maxLength": max_length}


FIELD: JSONObject = {
    "description": "One field of the form",
    "type": "object",
    "properties": {
        "name": _DECLARED["name"],
        "display_name": _text("What people call it", 255),
        "description": _DECLARED["description"],
        "parameter_type": _DECLARED["type"],
        "required": {"description": "Whether it must be given", "type": "boolean"},
        "default_value": _DECLARED["default_value"],
        "validation_rules": _DECLARED["validation_rules"],
        "input_type": {"description": "What a form shows", "enum": list(INPUT_TYPES)},
        "options": {
            "description": "The texts that a form offers and that are allowed; for type string",
            "type": "array",
            "maxItems": MAX_OPTIONS,
            "uniqueItems": True,
            "items": _text("One of them", 255),
        },
        "placeholder": _text("What an empty field shows", 255),
        "help_text": _text("More than the description says", 1000),
    },
    "required": ["name", "parameter_type"],
    "additionalProperties": False,
}
_FORM = Schema({"type": "array", "maxItems": MAX_PARAMETERS, "items": FIELD})
# The whole of a text of the start: the name of a field, and nothing else.
_PLACE = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_]{0,63})\s*\}\}", re.ASCII)
# What a start may read at run time, so that it is left as it is.
_RENDERED = frozenset({"parameters", "hmac_secret"})


def form_problems(form: JSONValue, definition: JSONObject) -> list[Problem]:
    """What is wrong with a form by itself, and with it beside the definition's own parameters, `parameters[…]` each."""
    found = bounded(_FORM.problems(form, "parameters"))
    if found:
        return found
    complete = completed(form, definition)
    places = set(places_of(definition, complete).values())
    declared = _by_name(definition)
    for index, (given, field) in enumerate(zip(form, complete, strict=True)):
        found += _field_problems(given, field, declared.get(field["name"]), f"parameters[{index}]")
        if field["name"] in places and field["default_value"] is None:
            message = f"The start reads {field['name']}, so it needs a default"
            found.append(_problem(message, f"parameters[{index}].default_value", "a value", "nothing"))
    if found:
        return found
    beside = parameter_problems([_declaration(field) for field in complete])
    return [replace(each, field=(each.field or "").removeprefix("definition.")) for each in beside]


def _field_problems(given: JSONObject, field: JSONObject, own: JSONObject | None, path: str) -> Iterator[Problem]:
    type_, options = field["parameter_type"], given.get("options")
    if options and type_ != "string":
        yield _problem("Options are for texts", f"{path}.options", "no options, or the type string", type_)
    if options and given.get("validation_rules", {}).get("enum", options) != options:
        message = "The options are not those of the rule enum"
        yield _problem(message, f"{path}.options", "the same list, or one of the two", options)
    if own is not None and own["type"] != type_:
        message = f"The definition declares {field['name']} with another type"
        yield _problem(message, f"{path}.parameter_type", own["type"], type_)
    if parse_parameter(_merged(field, own)).sensitive:
        advice = "A template holds no secrets: leave it to who makes a workflow of it, or let them name a secret"
        if field["default_value"] is not None:
            yield _problem(advice, f"{path}.default_value", "no default", REDACTED)
        if "enum" in field["validation_rules"]:
            place = "options" if options else "validation_rules.enum"
            yield _problem(advice, f"{path}.{place}", "no choices", REDACTED)


def completed(form: Sequence[JSONObject], definition: JSONObject) -> list[JSONObject]:
    """The form with every field of the API's model; what it leaves out is as the definition declares it."""
    declared = _by_name(definition)
    return [_completed(field, declared.get(field["name"], {})) for field in form]


def form_of(definition: JSONObject) -> list[JSONObject]:
    """The form of a definition alone: a field for each of its parameters, none of which must be given beforehand."""
    own = definition.get("parameters", [])
    fields = [{"name": each["name"], "parameter_type": each["type"], "required": False} for each in own]
    return completed(fields, definition)


def declaring(definition: JSONObject, form: Sequence[JSONObject]) -> JSONObject:
    """The definition with the form's fields among its parameters: they first, in the form's order, then its others.

    A field that the start reads is a parameter of the workflow only if the definition declares it as one.
    """
    return {**definition, "parameters": [parameter for _, parameter in _declared(definition, form)]}


def origins(definition: JSONObject, form: Sequence[JSONObject]) -> list[str]:
    """Where each parameter of `declaring` was written: `parameters[0]` of the form, or `definition.parameters[0]`."""
    return [origin for origin, _ in _declared(definition, form)]


def values_of(definition: JSONObject, form: Sequence[JSONObject], given: JSONObject) -> JSONObject:
    """The values of the form's fields: those given, else the defaults; without those that have neither.

    Raises ParameterError naming each that is missing, wrong or of another name, as `parameters.NAME`.
    """
    known = {field["name"] for field in form}
    expected = _one_of(known)
    unknown = bounded(
        _problem("The template has no such parameter", join_path("parameters", [name]), expected, name)
        for name in given
        if name not in known
    )
    own = _by_name(definition)
    # By the form's word on what must be given, by the definition's on what is sensitive.
    declared = [{**_merged(field, own.get(field["name"])), "required": field["required"]} for field in form]
    try:
        values = check(
            [*map(parse_parameter, declared)], {name: value for name, value in given.items() if name in known}
        )
    except ParameterError as error:
        raise ParameterError([*unknown, *error.problems]) from None
    if unknown:
        raise ParameterError(unknown)
    return {name: value for name, value in values.items() if value is not None}


def filled(definition: JSONObject, form: Sequence[JSONObject], values: JSONObject) -> JSONObject:
    """The definition with the values in it: a copy where it differs."""
    places = places_of(definition, form)
    components = list(definition["components"])
    for index, component in enumerate(components):
        config = dict(component.get("config", {}))
        for name in config:
            field = places.get(f"definition.components[{index}].config.{name}")
            if field is not None:
                config[name] = values[field]
        if config != component.get("config", {}):
            components[index] = {**component, "config": config}
    parameters = [
        {**each, "default_value": values[each["name"]]} if each["name"] in values else each
        for each in definition.get("parameters", [])
    ]
    return {**definition, "components": components, **({"parameters": parameters} if parameters else {})}


def places_of(definition: JSONObject, form: Sequence[JSONObject]) -> Mapping[str, str]:
    """Where the start reads a field of the form: place -> the field's name."""
    names = {field["name"] for field in form}
    places = {}
    for index, component in enumerate(definition["components"]):
        if component["type"] != "start":
            continue
        for key, value in component.get("config", {}).items():
            match = _PLACE.fullmatch(value) if isinstance(value, str) and key not in _RENDERED else None
            if match and match[1] in names:
                places[f"definition.components[{index}].config.{key}"] = match[1]
    return places


def defaults_of(form: Sequence[JSONObject]) -> JSONObject:
    """The defaults of the fields that have one."""
    return {field["name"]: field["default_value"] for field in form if field["default_value"] is not None}


def _declared(definition: JSONObject, form: Sequence[JSONObject]) -> list[tuple[str, JSONObject]]:
    places = set(places_of(definition, form).values())
    own = _by_name(definition)
    names = {field["name"] for field in form}
    fields = [
        (f"parameters[{index}]", _merged(field, own.get(field["name"])))
        for index, field in enumerate(form)
        if field["name"] not in places or field["name"] in own
    ]
    others = [
        (f"definition.parameters[{index}]", each)
        for index, each in enumerate(definition.get("parameters", []))
        if each["name"] not in names
    ]
    return fields + others


def _completed(field: JSONObject, declared: JSONObject) -> JSONObject:
    type_ = field["parameter_type"]
    declared_rules: JSONObject = declared.get("validation_rules", {})
    rules: JSONObject = field.get("validation_rules", declared_rules)
    options = field.get("options") or (rules.get("enum", []) if type_ == "string" else [])
    if options and "enum" not in rules:
        rules = {**rules, "enum": options}
    default_input = "select" if "enum" in rules else _INPUT_TYPE_OF.get(type_, "text" if type_ == "string" else "json")
    return {
        "name": field["name"],
        "display_name": field.get("display_name") or field["name"].replace("_", " ").strip().capitalize(),
        "description": field.get("description", declared.get("description", "")),
        "parameter_type": type_,
        "required": field.get("required", False),
        "default_value": field.get("default_value", declared.get("default_value")),
        "validation_rules": rules,
        "input_type": field.get("input_type", default_input),
        "options": options,
        "placeholder": field.get("placeholder", ""),
        "help_text": field.get("help_text", ""),
    }


def _declaration(field: JSONObject) -> JSONObject:
    """A field as a definition declares a parameter."""
    said = {"description": field["description"], "validation_rules": field["validation_rules"]}
    return {
        "name": field["name"],
        "type": field["parameter_type"],
        "required": field["required"],
        **({} if field["default_value"] is None else {"default_value": field["default_value"]}),
        **{name: value for name, value in said.items() if value},
    }


def _merged(field: JSONObject, declared: JSONObject | None) -> JSONObject:
    """What the definition says beyond the form holds on: whether an execution must give it, whether it is sensitive."""
    declaration = _declaration(field)
    if declared is None:
        return declaration
    beyond = {"sensitive": declared["sensitive"]} if "sensitive" in declared else {}
    return {**declaration, **beyond, "required": declared.get("required", False)}


def _by_name(definition: JSONObject) -> dict[str, JSONObject]:
    return {each["name"]: each for each in definition.get("parameters", [])}


def _one_of(names: set[str]) -> str:
    return "one of " + ", ".join(sorted(names)) if names else "no parameters"


def _problem(message: str, field: str, expected: str, value: JSONValue) -> Problem:
    return Problem(message, field=field, details={"expected": expected, "received": received(value)})
