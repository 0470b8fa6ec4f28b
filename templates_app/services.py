"""What users do with templates: create, update, delete, rate, and make workflows of them."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

from django.db import transaction
from django.db.models import Avg, Count, F
from django.utils import timezone

from accounts import audit
from accounts.audit import Action
from accounts.models import User
from core.errors import NotFoundError, Problem, ValidationFailedError
from core.redact import REDACTED
from core.types import JSONObject, JSONValue
from core.unique import name_conflicts
from templates_app import parameters as forms
from templates_app.models import Template, TemplateRating
from workflows.checking import checked, limits
from workflows.definition import shape_problems
from workflows.literal_secrets import hide, without_secrets
from workflows.models import Workflow
from workflows.parameters import ParameterError
from workflows.part_references import secrets_read
from workflows.schemas import join_path, short
from workflows.services import create_workflow

_NAME_CONSTRAINT = "template_name_unique_per_owner"
DEFINITION_FIELD = "workflow_definition"
_PARAMETER = re.compile(r"definition\.parameters\[(\d+)\](.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Content:
    """A checked definition with its form, and what is known of them."""

    definition: JSONObject
    parameters: list[JSONObject]
    secret_names: list[str]
    component_count: int

    @property
    def columns(self) -> JSONObject:
        return {
            "definition": self.definition,
            "parameters": self.parameters,
            "secret_names": self.secret_names,
            "component_count": self.component_count,
        }


def create_template(
    *,
    user: User,
    name: str,
    definition: JSONValue,
    parameters: JSONValue = None,
    definition_field: str = DEFINITION_FIELD,
    **fields: Any,
) -> Template:
    """A private template; without `parameters`, with a form of the definition's own.

    Opens its own transaction. Raises ValidationFailedError, its paths below `definition_field` and `parameters`;
    ConflictError for a name that the owner has given already.
    """
    content = checked_content(definition, parameters, definition_field)
    template = Template(created_by=user, name=name, **fields, **content.columns)
    with _name_conflicts(name), audit.recording(Action.TEMPLATE_CREATED, template, name=name):
        template.save(force_insert=True)
    return template


def update_template(
    *, template: Template, user: User, changes: JSONObject, definition_field: str = DEFINITION_FIELD
) -> Template:
    """Set the given fields; what changes nothing writes nothing.

    What staff published is what others get: a change by its owner makes it private again, until staff publish it
    anew. Opens its own transaction. Raises as `create_template` does, and NotFoundError if the template has been
    deleted meanwhile.
    """
    with _name_conflicts(changes.get("name", template.name)), transaction.atomic():
        current = _locked(template)
        wanted = dict(changes)
        if {"definition", "parameters"} & wanted.keys():
            definition = wanted.get("definition", current.definition)
            # A new definition with the form as it is, unless it comes with one of its own.
            form = wanted.get("parameters", current.parameters)
            wanted |= checked_content(definition, form, definition_field).columns
        changed = {
            name: value for name, value in wanted.items() if _canonical(getattr(current, name)) != _canonical(value)
        }
        if not changed:
            return current
        if current.published and not user.is_staff:
            changed["published"] = False
        for name, value in changed.items():
            setattr(current, name, value)
        current.updated_at = timezone.now()
        current.save(update_fields=[*changed, "updated_at"])
        audit.record(Action.TEMPLATE_UPDATED, current, fields=sorted(changed), published=current.published)
    return current


def delete_template(*, template: Template) -> None:
    """Delete it with its ratings; workflows made of it stay. Raises NotFoundError if it has been deleted meanwhile."""
    with audit.recording(Action.TEMPLATE_DELETED, template, name=template.name):
        _locked(template).delete()


def rate_template(*, template: Template, user: User, rating: int) -> Template:
    """What the user thinks of it, 1 to 5, instead of what they thought before; the mean follows.

    Opens its own transaction. Raises NotFoundError if the template has been deleted meanwhile.
    """
    with audit.recording(Action.TEMPLATE_RATED, template, rating=rating):
        # The lock makes one of two who rate at once see the other's.
        current = _locked(template)
        now = timezone.now()
        TemplateRating.objects.update_or_create(
            template=current, user=user, defaults={"rating": rating, "updated_at": now}
        )
        numbers = current.ratings.aggregate(mean=Avg("rating"), count=Count("pk"))
        current.rating, current.rating_count = round(numbers["mean"], 2), numbers["count"]
        current.save(update_fields=["rating", "rating_count"])
    return current


def create_workflow_from(
    *, template: Template, user: User, name: str, parameters: JSONObject, description: str | None = None
) -> Workflow:
    """A draft of the template's definition with the given values in it; counted as a use.

    Opens its own durable transaction. Raises ValidationFailedError naming `parameters.NAME`, and ConflictError
    for a name that the user has given already.
    """
    try:
        values = forms.values_of(template.definition, template.parameters, parameters)
    except ParameterError as error:
        raise ValidationFailedError(problems=error.problems) from None
    places = forms.places_of(template.definition, template.parameters)
    try:
        with transaction.atomic(durable=True):
            workflow = create_workflow(
                user=user,
                name=name,
                description=template.description if description is None else description,
                category=template.category,
                tags=template.tags,
                definition=forms.filled(template.definition, template.parameters, values),
                durable=False,
            )
            Template.objects.filter(pk=template.pk).update(usage_count=F("usage_count") + 1)
    except ValidationFailedError as error:
        moved = {place: f"parameters.{field}" for place, field in places.items()}
        problems = [_as_value(problem, template) for problem in _moved(error.problems, moved)]
        raise ValidationFailedError(error.message, problems=problems) from None
    return workflow


def checked_content(definition: JSONValue, parameters: JSONValue, definition_field: str) -> Content:
    """A definition and its form, which is the definition's own where `parameters` is None.

    What is checked is the workflow that the defaults alone would make. Raises ValidationFailedError with every problem
    below `definition_field` or `parameters`.
    """
    problems = shape_problems(definition, limits())
    if problems:
        raise _invalid(without_secrets(problems, definition), definition_field)
    form = forms.form_of(definition) if parameters is None else parameters
    problems = _form_problems(form, definition)
    if problems:
        # A form that was made of the definition has its faults.
        if parameters is None:
            problems = [replace(each, field=f"definition.{each.field}") for each in problems]
        raise _invalid(problems, definition_field)
    complete = forms.completed(form, definition)
    declared = forms.declaring(definition, complete)
    try:
        parsed = checked(forms.filled(declared, complete, forms.defaults_of(complete)))
    except ValidationFailedError as error:
        raise _invalid(_as_given(error.problems, definition, complete), definition_field) from None
    problems = list(_secret_problems(declared, hide(declared)[0], "definition"))
    if problems:
        raise _invalid(_as_given(problems, definition, complete), definition_field)
    return Content(declared, complete, sorted(secrets_read(parsed).secrets), len(parsed.components))


def _form_problems(form: JSONValue, definition: JSONObject) -> list[Problem]:
    """What is wrong with a form, without the literal secrets in it, which would be repeated."""
    found = [replace(each, field=f"definition.{each.field}") for each in forms.form_problems(form, definition)]
    told = without_secrets(found, {"parameters": form})
    return [replace(each, field=(each.field or "").removeprefix("definition.")) for each in told]


def _secret_problems(given: JSONValue, shown: JSONValue, path: str) -> Iterator[Problem]:
    """Each place in which a definition has a secret, or the mark that somebody else's secret was shown as."""
    if isinstance(given, dict):
        for key, value in given.items():
            yield from _secret_problems(value, shown[key], join_path(path, [key]))
    elif isinstance(given, list):
        for index, value in enumerate(given):
            yield from _secret_problems(value, shown[index], f"{path}[{index}]")
    elif given != shown or (isinstance(given, str) and REDACTED in given):
        message = "A template holds no secrets: declare a parameter, or name a secret as {{ secrets.NAME }}"
        yield Problem(message, field=path, details={"expected": "a value that is no secret", "received": REDACTED})


def _as_given(problems: Iterable[Problem], definition: JSONObject, form: list[JSONObject]) -> list[Problem]:
    """The problems of the workflow that the defaults make, at the places of what was given."""
    indexes = {field["name"]: index for index, field in enumerate(form)}
    places = forms.places_of(definition, form)
    found = _moved(problems, {place: f"parameters[{indexes[name]}].default_value" for place, name in places.items()})
    origins = forms.origins(definition, form)
    for index, problem in enumerate(found):
        match = _PARAMETER.fullmatch(problem.field or "")
        if match:
            found[index] = replace(problem, field=origins[int(match[1])] + match[2])
    return found


def _as_value(problem: Problem, template: Template) -> Problem:
    """A problem of the default that a parameter got, told of as the value that was given."""
    match = _PARAMETER.fullmatch(problem.field or "")
    if match is None or not match[2].startswith(".default_value"):
        return problem
    name = template.definition["parameters"][int(match[1])]["name"]
    return replace(problem, field=f"parameters.{name}{match[2].removeprefix('.default_value')}")


def _moved(problems: Iterable[Problem], to: Mapping[str, str]) -> list[Problem]:
    return [replace(problem, field=to.get(problem.field or "", problem.field)) for problem in problems]


def _invalid(problems: Iterable[Problem], definition_field: str) -> ValidationFailedError:
    renamed = [
        replace(problem, field=definition_field + (problem.field or "").removeprefix("definition"))
        if (problem.field or "").startswith("definition")
        else problem
        for problem in problems
    ]
    return ValidationFailedError("Invalid template", problems=renamed)


def _locked(template: Template) -> Template:
    """The row as it is now, locked, with its owner. Raises NotFoundError."""
    rows = Template.objects.select_related("created_by").select_for_update(of=("self",), no_key=True)
    found = rows.filter(pk=template.pk).first()
    if found is None:
        raise NotFoundError("Template not found")
    return found


def _canonical(value: JSONValue) -> str:
    """Text that is equal for equal JSON. Python's == takes true for 1, which a component would not."""
    return json.dumps(value, sort_keys=True)


def _name_conflicts(name: str) -> AbstractContextManager[None]:
    return name_conflicts(_NAME_CONSTRAINT, f"There is a template called {short(name)} already", "Choose another name")
