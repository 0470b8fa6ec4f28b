"""Literal secrets of definitions: which are hidden, what stays to be read, and how they come back."""

import copy
import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.redact import REDACTED, Redactor
from core.types import JSONObject
from tests import cpu
from workflows.components import registry
from workflows.definition import DefinitionError
from workflows.expressions.constants import written
from workflows.literal_secrets import hide, without_secrets
from workflows.restoring import restore, unkept
from workflows.validation import load

SECRET = "hunter2-and-more"


def one(type_: str, config: Any, **more: Any) -> JSONObject:
    """A definition of one component."""
    return {"components": [{"id": "a", "type": type_, "config": config}], **more}


def hidden(type_: str, config: Any) -> Any:
    """The component's config as it is shown."""
    shown, _ = hide(one(type_, config))
    return shown["components"][0]["config"]


URL = "https://api.example.com/v1"
HOOK = "https://hooks.example.com"
HTTP: list[tuple[JSONObject, JSONObject, set[str]]] = [
    ({"headers": {"Authorization": f"Bearer {SECRET}"}}, {"headers": {"Authorization": REDACTED}}, {SECRET}),
    (
        {"headers": {"authorization": "Basic dXNlcjpodW50ZXIy"}},
        {"headers": {"authorization": REDACTED}},
        {"dXNlcjpodW50ZXIy", "hunter2"},
    ),
    (
        {"headers": {"X-API-Key": SECRET, "Accept": "*/*"}},
        {"headers": {"X-API-Key": REDACTED, "Accept": "*/*"}},
        {SECRET},
    ),
    ({"headers": {"X-API-Key": 12345}}, {"headers": {"X-API-Key": REDACTED}}, {"12345"}),
    ({"headers": {"Cookie": f"session={SECRET}"}}, {"headers": {"Cookie": REDACTED}}, {f"session={SECRET}"}),
    ({"query": {"access_token": [SECRET], "page": 1}}, {"query": {"access_token": [REDACTED], "page": 1}}, {SECRET}),
    (
        {"auth": {"type": "basic", "username": "ann", "password": SECRET}},
        {"auth": {"type": "basic", "username": "ann", "password": REDACTED}},
        {SECRET},
    ),
    ({"auth": {"type": "bearer", "token": SECRET}}, {"auth": {"type": "bearer", "token": REDACTED}}, {SECRET}),
    (
        # By its schema: nothing in the names tells.
        {"auth": {"type": "api_key", "name": "X-Mine", "value": SECRET}},
        {"auth": {"type": "api_key", "name": "X-Mine", "value": REDACTED}},
        {SECRET},
    ),
    (
        {"body": {"users": [{"name": "ann", "credentials": {"pin": 12345, "active": True, "hint": None}}]}},
        {"body": {"users": [{"name": "ann", "credentials": {"pin": REDACTED, "active": True, "hint": None}}]}},
        {"12345"},
    ),
    ({"body": [{"name": "api_key", "value": SECRET}]}, {"body": [{"name": "api_key", "value": REDACTED}]}, {SECRET}),
    (
        {"url": f"https://ann:{SECRET}@{{{{ host }}}}/v1?page=2"},
        {"url": f"https://ann:{REDACTED}@{{{{ host }}}}/v1?page=2"},
        {SECRET},
    ),
    (
        {"url": f"https://api.example.com/v1?api_key={SECRET}&page=2"},
        {"url": f"https://api.example.com/v1?api_key={REDACTED}&page=2"},
        {SECRET},
    ),
    (
        {"url": "https://ann:a%40b%2Fcdefgh@{{ host }}/{{ path }}"},
        {"url": f"https://ann:{REDACTED}@{{{{ host }}}}/{{{{ path }}}}"},
        {"a%40b%2Fcdefgh", "a@b/cdefgh"},
    ),
    (
        {"body": f"see https://a:{SECRET}@b.example and https://c:other-one@d.example"},
        {"body": f"see https://a:{REDACTED}@b.example and https://c:{REDACTED}@d.example"},
        {SECRET, "other-one"},
    ),
]
OTHERS: list[tuple[str, JSONObject, JSONObject, set[str]]] = [
    (
        "start",
        {"trigger_type": "webhook", "hmac_secret": SECRET},
        {"trigger_type": "webhook", "hmac_secret": REDACTED},
        {SECRET},
    ),
    (
        "start",
        {"trigger_type": "schedule", "interval_seconds": 60, "parameters": {"api_token": SECRET, "size": 100}},
        {"trigger_type": "schedule", "interval_seconds": 60, "parameters": {"api_token": REDACTED, "size": 100}},
        {SECRET},
    ),
    ("end", {"output": {"password": SECRET, "n": 1}}, {"output": {"password": REDACTED, "n": 1}}, {SECRET}),
    ("transform", {"output": [{"apiKey": SECRET}]}, {"output": [{"apiKey": REDACTED}]}, {SECRET}),
    ("log", {"message": {"token": SECRET}}, {"message": {"token": REDACTED}}, {SECRET}),
    (
        "sub_workflow",
        {"workflow_id": "w", "parameters": {"client_secret": SECRET}},
        {"workflow_id": "w", "parameters": {"client_secret": REDACTED}},
        {SECRET},
    ),
    (
        "database_query",
        {"connection": "warehouse_url", "query": "SELECT :password", "parameters": {"password": SECRET, "id": 7}},
        {"connection": "warehouse_url", "query": "SELECT :password", "parameters": {"password": REDACTED, "id": 7}},
        {SECRET},
    ),
    (
        "notification",
        {"url": f"{HOOK}/services/{SECRET}", "message": "m"},
        {"url": f"{HOOK}/{REDACTED}", "message": "m"},
        {f"/services/{SECRET}"},
    ),
    (
        "notification",
        {"url": "https://{{ host }}/services/abc", "message": "m"},
        {"url": f"https://{{{{ host }}}}/{REDACTED}", "message": "m"},
        {"/services/abc"},
    ),
    (
        "script",
        {"code": f"url = 'https://a:{SECRET}@b.example/x'\nresult = {{'password': 1}}"},
        {"code": f"url = 'https://a:{REDACTED}@b.example/x'\nresult = {{'password': 1}}"},
        {SECRET},
    ),
    ("email", {"to": "a@example.com", "subject": "s", "body": f"https://u:{SECRET}@h/"},
     {"to": "a@example.com", "subject": "s", "body": f"https://u:{REDACTED}@h/"}, {SECRET}),
    ("of_a_plug_in_not_installed", {"api_key": SECRET}, {"api_key": REDACTED}, {SECRET}),
]  # fmt: skip


@pytest.mark.parametrize(("config", "shown", "texts"), HTTP)
def test_literal_secrets_of_an_http_request_are_hidden(config: JSONObject, shown: JSONObject, texts: set[str]) -> None:
    config, shown = ({"url": URL, "method": "GET", **part} for part in (config, shown))
    load(one("http_request", config))
    found, found_texts = hide(one("http_request", config))
    assert found == one("http_request", shown)
    assert texts <= found_texts


@pytest.mark.parametrize(("type_", "config", "shown", "texts"), OTHERS)
def test_literal_secrets_of_other_components_are_hidden(
    type_: str, config: JSONObject, shown: JSONObject, texts: set[str]
) -> None:
    given_ = copy.deepcopy(config)
    found, found_texts = hide(one(type_, config))
    assert found == one(type_, shown)
    assert texts <= found_texts
    assert config == given_


STAYS: list[tuple[str, JSONObject]] = [
    ("http_request", {"url": URL, "headers": {"Authorization": "Bearer {{api_token}}"}}),
    ("http_request", {"url": URL, "headers": {"Authorization": "Basic {{ (user ~ ':' ~ secrets.pw) | b64encode }}"}}),
    ("http_request", {"url": URL, "headers": {"Authorization": "{{ 'Bearer ' ~ secrets['api token'] }}"}}),
    ("http_request", {"url": URL, "headers": {"X-API-Key": "{{ tokens | map(attribute='value') | first }}"}}),
    ("http_request", {"url": URL, "headers": {"X-API-Key": "{{ a if stage == 'production' else b.c['key'] }}"}}),
    ("http_request", {"url": URL, "headers": {"X-API-Key": "{{ (a ~ b)[:16] | lower }}{{ c | round(2) }}"}}),
    ("http_request", {"url": URL, "headers": {"Token-Type": "JWT", "Max-Tokens": 500}}),
    ("http_request", {"url": URL, "auth": {"type": "api_key", "name": "X-API-Key", "value": "{{ secrets.k }}"}}),
    ("http_request", {"url": URL, "auth": {"type": "basic", "username": "ann", "password": "{{ p }}"}}),
    ("http_request", {"url": "https://{{ user }}:{{ secrets.p }}@host/a?token={{ t }}&page=2", "method": "GET"}),
    ("http_request", {"url": "https://host:8443/a@b?next=https://c:80/@d", "method": "GET"}),
    ("http_request", {"url": URL, "body": {"token_url": "https://sso/x", "password": "", "secret": None, "jwt": True}}),
    ("notification", {"url": "{{ secrets.slack_url }}", "message": "m"}),
    ("notification", {"url": "https://hooks.example.com/services/{{ secrets.path }}", "message": "m"}),
    ("notification", {"url": "https://hooks.example.com/", "message": "m"}),
    ("database_query", {"connection": "warehouse_url", "query": "SELECT 1"}),
    ("validate", {"value": "{{ x }}", "schema": {"properties": {"password": {"type": "string", "minLength": 8}}}}),
    ("start", {"trigger_type": "webhook", "hmac_secret": "{{ secrets.hook }}"}),
    ("wait_for_signal", {"signal": "token_received"}),
    ("switch", {"cases": [{"name": "token", "condition": "input.token == 'a'"}], "default": "other"}),
    ("script", {"code": "password = '{{ no template }}'"}),
]


@pytest.mark.parametrize(("type_", "config"), STAYS)
def test_what_is_no_literal_secret_stays_as_it_is(type_: str, config: JSONObject) -> None:
    assert hide(one(type_, config)) == (one(type_, config), frozenset())


HIDDEN_TEMPLATES: list[tuple[str, set[str]]] = [
    ("{{ x | default('sekret') }}", {"sekret"}),
    ("{{ 'abc' ~ y }}", {"abc"}),
    ("Bearer sekret{{ x }}", {"sekret"}),
    ("{{ x }}sekret", {"sekret"}),
    ("{{ {'k': 'sekret'}[name] }}", {"sekret"}),
    ("{{ ['sekret'][0] }}", {"sekret"}),
    ("{{ 'sekret' if stage == 'production' else token }}", {"sekret"}),
    ("{{ 12345 }}", {"12345"}),
    ("{{ not closed", {"{{ not closed"}),
    ("{% if x %}", {"{% if x %}"}),
    ("Bearer", {"Bearer"}),
    ("!", {"!"}),
]


@pytest.mark.parametrize(("text", "texts"), HIDDEN_TEMPLATES)
def test_a_template_with_a_secret_in_it_is_hidden_whole(text: str, texts: set[str]) -> None:
    found, found_texts = hide(one("transform", {"output": {"password": text}}))
    assert found == one("transform", {"output": {"password": REDACTED}})
    assert texts <= found_texts


def test_keys_names_and_what_is_compared_are_no_constants_of_a_value() -> None:
    text = "a {{ b['c'].d[e ~ 'f'] | selectattr('g') | map('upper') | join('h') ~ {'i': 'j'}.i }} k {{ 1.5 == x }}"
    found = written(text)
    assert (found.parts, sorted(found.constants)) == (("a ", " k "), ["f", "h", "j"])


def test_secrets_in_bodies_metadata_and_conditions_are_hidden() -> None:
    inner = {"id": "b", "type": "http_request", "config": {"url": URL, "headers": {"X-Api-Key": SECRET}}}
    deeper = {"id": "c", "type": "repeat_until", "config": {"condition": "true", "components": [inner]}}
    config = {"items": [1], "components": [deeper], "connections": []}
    definition = {
        "components": [{"id": "a", "type": "for_each", "config": config, "metadata": {"password": SECRET}}],
        "connections": [{"source": "a", "target": "b", "type": "conditional", "condition": f"input == '{SECRET}'"}],
        "metadata": {"notes": f"the key is {SECRET}"},
    }
    shown, texts = hide(definition)
    assert SECRET not in str(shown)
    assert texts == {SECRET}
    assert shown["components"][0]["config"]["components"][0]["config"]["components"][0]["config"]["url"] == URL
    assert shown["connections"][0]["condition"] == f"input == '{REDACTED}'"
    assert shown["metadata"] == {"notes": f"the key is {REDACTED}"}
    assert restore(shown, definition, shown) == definition


def test_of_very_many_secrets_all_are_hidden_where_they_stand_and_some_are_looked_for() -> None:
    many = [f"secret-{number:06}" for number in range(20_000)]
    definition = one("transform", {"output": {"tokens": many, "others": [many[0], many[-1]]}})
    shown, texts = hide(definition)
    assert shown["components"][0]["config"]["output"] == {
        "tokens": [REDACTED] * 20_000,
        "others": [REDACTED, many[-1]],
    }
    assert texts == set(many[:100])


@pytest.mark.parametrize(
    "text", ["://" + "{{" * 400_000, "://" + "a:" * 400_000 + "@", "https://u:p" * 80_000, "?a" * 400_000]
)
def test_a_long_text_takes_no_long_time(text: str) -> None:
    def play() -> None:
        shown, _ = hide(one("transform", {"output": {"text": text, "password": text}}))
        assert shown["components"][0]["config"]["output"]["password"] == REDACTED

    cpu.assert_within(5, play)


def test_a_secret_that_looks_like_the_mark_does_no_harm() -> None:
    definition = one("transform", {"output": {"password": "REDACTED", "token": SECRET, "text": f"REDACTED {SECRET}"}})
    shown, _ = hide(definition)
    assert shown["components"][0]["config"]["output"] == {
        "password": REDACTED,
        "token": REDACTED,
        "text": f"REDACTED {REDACTED}",
    }
    assert restore(shown, definition, shown) == definition


PARAMETERS: list[tuple[JSONObject, JSONObject]] = [
    ({"name": "p", "type": "secret", "default_value": SECRET}, {"default_value": REDACTED}),
    ({"name": "p", "type": "integer", "sensitive": True, "default_value": 5}, {"default_value": REDACTED}),
    ({"name": "db_password", "type": "string", "default_value": "{{ x }}"}, {"default_value": REDACTED}),
    (
        {"name": "p", "type": "object", "sensitive": True, "default_value": {"a": [SECRET, True]}},
        {"default_value": {"a": [REDACTED, True]}},
    ),
    (
        {"name": "api_key", "type": "string", "validation_rules": {"enum": ["one", "two"], "min_length": 3}},
        {"validation_rules": {"enum": [REDACTED, REDACTED], "min_length": 3}},
    ),
    ({"name": "p", "type": "object", "default_value": {"token": SECRET}}, {"default_value": {"token": REDACTED}}),
    ({"name": "p", "type": "string", "default_value": "plain", "description": "the password"}, {}),
    ({"name": "max_tokens", "type": "integer", "default_value": 500}, {}),
]


@pytest.mark.parametrize(("parameter", "shown"), PARAMETERS)
def test_defaults_and_choices_of_sensitive_parameters_are_hidden(parameter: JSONObject, shown: JSONObject) -> None:
    found, _ = hide(one("end", {}, parameters=[parameter]))
    assert found["parameters"] == [{**parameter, **shown}]
    assert list(found["parameters"][0]) == list(parameter)


def test_every_secret_looking_field_of_a_built_in_schema_says_that_it_is_one() -> None:
    def fields(schema: Any) -> Any:
        if isinstance(schema, dict):
            for name, field in schema.get("properties", {}).items():
                yield name, field
                yield from fields(field)
            for option in schema.get("oneOf", []):
                yield from fields(option)

    marked = {
        f"{type_}.{name}": field["writeOnly"]
        for type_, component in registry.BUILT_IN.items()
        for name, field in fields(component.config_schema)
        if "writeOnly" in field
    }
    assert marked == {
        "start.header_secret": True,
        "start.hmac_secret": True,
        "http_request.password": True,
        "http_request.token": True,
        "http_request.value": True,
        "notification.url": True,
        "validate.schema": False,
    }


BROKEN: list[Any] = [
    *(None, 1, "x", [], {"components": 1}, {"components": [1, {"id": 2, "type": []}]}),
    *({"parameters": [1, {"name": 5}]}, {"connections": [1]}, {"components": [{"type": "end", "config": 5}]}),
]


@pytest.mark.parametrize("broken", BROKEN)
def test_broken_definitions_are_taken_as_they_are(broken: Any) -> None:
    assert hide(broken) == (broken, frozenset())
    assert restore(broken, broken, broken) == broken


# -- putting back ----------------------------------------------------------------------------------------------------

STORED: JSONObject = {
    "components": [
        {"id": "a", "type": "http_request", "config": {"url": URL, "headers": {"X-Api-Key": SECRET}}},
        {"id": "l", "type": "for_each", "config": {"items": [], "components": [
            {"id": "b", "type": "http_request", "config": {"url": f"https://u:{SECRET}2@h/", "method": "GET"}}]}},
    ],
    "parameters": [{"name": "x", "type": "string"}, {"name": "p", "type": "secret", "default_value": f"{SECRET}3"}],
}  # fmt: skip
SHOWN = hide(STORED)[0]


def test_a_definition_is_put_back_wherever_its_components_and_parameters_stand() -> None:
    given_ = copy.deepcopy(SHOWN)
    given_["components"].reverse()
    given_["parameters"].reverse()
    given_["components"].append({"id": "new", "type": "end"})
    given_["components"][1]["config"]["url"] = "https://other.example/"
    moved = given_["components"][0]["config"]["components"].pop()
    given_["components"].append(moved)
    restored = restore(given_, STORED, SHOWN)
    by_id = {component["id"]: component for component in restored["components"]}
    assert by_id["a"]["config"] == {"url": "https://other.example/", "headers": {"X-Api-Key": SECRET}}
    assert by_id["b"]["config"]["url"] == f"https://u:{SECRET}2@h/"
    assert by_id["new"] == {"id": "new", "type": "end"}
    assert restored["parameters"] == STORED["parameters"][::-1]


def misplaced() -> dict[str, tuple[JSONObject, str]]:
    """Changes of what is shown, and the field that names each."""
    renamed, header, edited, name, type_, more = (copy.deepcopy(SHOWN) for _ in range(6))
    renamed["components"][0]["id"] = "c"
    header["components"][0]["config"]["headers"] = {"X-Other-Key": REDACTED}
    edited["components"][1]["config"]["components"][0]["config"]["url"] = f"https://someone:{REDACTED}@h/"
    name["parameters"][1]["name"] = "q"
    type_["components"][0]["config"]["headers"]["X-Api-Key"] = f"Bearer {REDACTED}"
    more["components"][0]["config"]["body"] = [{"any": REDACTED}]
    return {
        "component renamed": (renamed, "definition.components[0].config.headers.X-Api-Key"),
        "other key": (header, "definition.components[0].config.headers.X-Other-Key"),
        "text around it changed": (edited, "definition.components[1].config.components[0].config.url"),
        "parameter renamed": (name, "definition.parameters[1].default_value"),
        "more than was shown": (type_, "definition.components[0].config.headers.X-Api-Key"),
        "nothing stored there": (more, "definition.components[0].config.body[0].any"),
    }


@pytest.mark.parametrize(("given_", "field"), misplaced().values(), ids=misplaced())
def test_a_mark_in_another_place_is_refused_and_named(given_: JSONObject, field: str) -> None:
    with pytest.raises(DefinitionError) as raised:
        restore(given_, STORED, SHOWN)
    (problem,) = raised.value.problems
    assert problem.field == field
    assert "stands for a value that is stored in this place" in problem.message
    assert REDACTED in problem.details["received"]
    assert SECRET not in str(problem)


def test_without_anything_stored_every_mark_is_refused() -> None:
    with pytest.raises(DefinitionError) as raised:
        restore(SHOWN)
    assert len(raised.value.problems) == 3


def loosened() -> dict[str, tuple[JSONObject, JSONObject, str]]:
    """Definitions in which a mark was left, and what makes its place secret was taken away; and the mark's field."""
    stored = {
        "components": [
            {"id": "n", "type": "notification", "config": {"url": f"{HOOK}/services/{SECRET}", "message": "m"}},
            {
                "id": "t",
                "type": "transform",
                "config": {"output": {"name": "api_key", "value": SECRET, "text": SECRET}},
            },
        ],
        "parameters": [{"name": "p", "type": "secret", "default_value": SECRET}],
    }
    url, pair, parameter, elsewhere = (hide(stored)[0] for _ in range(4))
    url["components"][0] |= {"type": "http_request"}
    pair["components"][1]["config"]["output"] |= {"name": "x", "text": ""}
    parameter["parameters"][0]["type"] = "string"
    elsewhere["components"] = elsewhere["components"][1:]
    del elsewhere["components"][0]["config"]["output"]["value"], elsewhere["parameters"]
    found = {
        "other type": (url, "definition.components[0].config.url"),
        "other name": (pair, "definition.components[1].config.output.value"),
        "no secret any more": (parameter, "definition.parameters[0].default_value"),
        "hidden elsewhere only": (elsewhere, "definition.components[0].config.output.text"),
    }
    # The others still hide its text; without them it would be told.
    pair["parameters"] = []
    parameter["components"] = []
    return {name: (restore(given_, stored, hide(stored)[0]), given_, field) for name, (given_, field) in found.items()}


@pytest.mark.parametrize(("restored", "given_", "field"), loosened().values(), ids=loosened())
def test_a_mark_whose_place_would_show_the_secret_is_refused(
    restored: JSONObject, given_: JSONObject, field: str
) -> None:
    (problem,) = unkept(given_, hide(restored)[0])
    assert (problem.field, SECRET in str(problem)) == (field, False)


# -- what reports repeat ---------------------------------------------------------------------------------------------


def leaks(definition: JSONObject) -> list[dict[str, Any]]:
    with pytest.raises(DefinitionError) as raised:
        load(definition)
    told = [{"message": problem.message, **problem.details} for problem in raised.value.problems]
    assert SECRET[:8] not in str(told)
    return told


def test_what_saving_refuses_repeats_no_literal_secret() -> None:
    http = {"url": "not a url", "method": "GET", "headers": {"X-Api-Key": [SECRET]}}
    assert [entry["received"] for entry in leaks(one("http_request", http))] == ["not a url", f'["{REDACTED}"]']
    auth = {"type": "digest", "password": SECRET}
    leaks(one("http_request", {"url": URL, "method": "GET", "auth": auth}))
    leaks(one("http_request", {"url": f"https://u:{SECRET}@h h/", "method": "GET"}))
    (short,) = leaks(one("http_request", {"url": URL, "method": "GET", "auth": {"type": "bearer", "token": 42}}))
    assert short["received"] == REDACTED
    parameter = {"name": "p", "type": "secret", "default_value": "x", "validation_rules": {"enum": [SECRET]}}
    leaks(one("end", {}, parameters=[parameter]))
    (broken,) = leaks(one("transform", {"output": {"password": f"{{{{ '{SECRET}' ~~ }}}}"}}))
    assert broken["received"] == REDACTED
    many = {"tokens": [f"{SECRET}-{number:06}" for number in range(1000)]}
    entries = leaks(one("http_request", {"url": URL, "method": "GET", "auth": [{"password": SECRET}], "body": many}))
    assert {entry["received"] for entry in entries} == {f'[{{"password": "{REDACTED}"}}]'}
    (quoted,) = leaks(one("http_request", {"url": URL, "method": "GET", "headers": {"api key": [1234]}}))
    assert quoted["received"] == f'["{REDACTED}"]'
    leaks({"components": [], "metadata": {"password": SECRET}, "parameters": [{"api_key": SECRET}], "nope": SECRET})


def test_a_secret_that_a_report_cut_in_the_middle_is_not_half_told() -> None:
    for padding in range(150, 200):
        leaks(one("http_request", {"url": URL, "method": "GET", "headers": {"X-Api-Key": ["x" * padding + SECRET]}}))
        body = {"password": SECRET, "padding": "x" * padding}
        for entry in leaks(one("http_request", {"url": URL, "method": ["x" * padding, SECRET, body]})):
            assert entry["received"].startswith('["xxx')


def test_problems_of_a_definition_without_secrets_stay_as_they_are() -> None:
    with pytest.raises(DefinitionError) as raised:
        load(one("http_request", {"url": 5, "method": "GET"}))
    problems = list(raised.value.problems)
    assert without_secrets(problems, one("http_request", {"url": 5})) == problems


# -- properties ------------------------------------------------------------------------------------------------------

secrets_ = st.integers(10**6, 10**9).map(lambda number: f"Zq{number}x")
keys = st.sampled_from(["a", "name", "value", "password", "Authorization", "api_key", "url", "default", "key"])
expressions = st.sampled_from(
    ["{{ a }}", "Bearer {{ b.c }}", "{{ x | default('Zqzqzqzqzq') }}", "plain", "", "api_key"]
)
urls = st.builds(lambda secret: f"https://user:{secret}@host/path?token={secret}&a=b", secrets_)
scalars = st.one_of(st.none(), st.booleans(), expressions, secrets_, urls, st.integers(10**7, 10**9))
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(keys, inner, max_size=4)),
    max_leaves=12,
)
types = st.sampled_from([*sorted(set(registry.BUILT_IN) - {"for_each", "repeat_until"}), "unknown"])


def components(depth: int) -> st.SearchStrategy[list[JSONObject]]:
    """Components with ids that are given afterwards; loops hold more of them."""
    plain = st.fixed_dictionaries(
        {"type": types, "config": st.dictionaries(keys, values, max_size=4), "metadata": values}
    )
    if depth:
        body = st.fixed_dictionaries({"items": values, "components": components(depth - 1)})
        plain = st.one_of(plain, st.fixed_dictionaries({"type": st.just("for_each"), "config": body}))
    return st.lists(plain, max_size=3)


def numbered(found: list[JSONObject], count: Any) -> list[JSONObject]:
    for component in found:
        component["id"] = f"c{next(count)}"
        if component["type"] == "for_each":
            numbered(component["config"]["components"], count)
    return found


parameters = st.lists(
    st.fixed_dictionaries({"name": keys, "type": st.sampled_from(["string", "secret"]), "default_value": values}),
    max_size=3,
    unique_by=lambda parameter: str(parameter["name"]),
)
definitions = st.builds(
    lambda found, declared, metadata: {
        "components": numbered(found, itertools.count()), "parameters": declared, "metadata": metadata
    },
    components(2), parameters, values,
)  # fmt: skip


@settings(deadline=None)
@given(definitions)
def test_hiding_and_restoring_gives_the_definition_back(definition: JSONObject) -> None:
    given_ = copy.deepcopy(definition)
    shown, texts = hide(definition)
    assert definition == given_
    assert restore(shown, definition, shown) == definition
    assert hide(shown) == (shown, frozenset())
    assert restore(definition) == definition
    assert not list(unkept(shown, shown))
    long = [text for text in texts if len(text) >= 8]
    assert Redactor(long).redact(shown["metadata"], by_name=False) == shown["metadata"]
    assert not [text for text in texts if text.startswith("Zq") and text in str(shown)]
