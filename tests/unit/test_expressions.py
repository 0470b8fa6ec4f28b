"""The expression language: types kept, data access, operators, undefined, conditions, references, errors."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from workflows.expressions import (
    Budget,
    ExpressionError,
    Limits,
    References,
    evaluate_condition,
    has_expression,
    parse,
    parse_condition,
    references,
    render,
)

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SCOPE: dict[str, Any] = {
    "n": 7,
    "half": 0.5,
    "name": "Ada",
    "yes": True,
    "no": False,
    "nothing": None,
    "xs": [3, 1, 2],
    "empty": [],
    "order": {"total": 12.5, "lines": [{"sku": "a", "qty": 2}, {"sku": "b", "qty": 1}], "a.b": 1, "0": "zero"},
    "components": {"fetch-1": {"output": {"n": 1}, "status": "completed"}},
}


def evaluate(source: str, scope: Mapping[str, Any] = SCOPE) -> Any:
    return render("{{ " + source + " }}", scope, now=NOW)


def failure(text: Any, scope: Mapping[str, Any] = SCOPE, limits: Limits | None = None) -> ExpressionError:
    with pytest.raises(ExpressionError) as caught:
        render(text, scope, now=NOW, limits=limits or Limits())
    return caught.value


def same(left: Any, right: Any) -> bool:
    """Equal, and of the same types all the way down."""
    return repr(left) == repr(right)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("n", 7),
        ("half", 0.5),
        ("yes", True),
        ("nothing", None),
        ("xs", [3, 1, 2]),
        ("order.lines[0]", {"sku": "a", "qty": 2}),
        ("'text'", "text"),
        ("'a' \"b\"", "ab"),
        ("true", True),
        ("False", False),
        ("none", None),
        ("0x10", 16),
        ("1_000", 1000),
        ("1e3", 1000.0),
        ("[1, 'a', none]", [1, "a", None]),
        ("(1, 2)", [1, 2]),
        ("()", []),
        ("(n)", 7),
        ("{'a': n, 'b': [half]}", {"a": 7, "b": [0.5]}),
        ("{}", {}),
        ("'\\u00e9\\x41\\n'", "éA\n"),
    ],
)
def test_a_whole_expression_keeps_the_type_of_its_value(source: str, expected: Any) -> None:
    assert same(evaluate(source), expected)


def test_white_space_around_a_whole_expression_does_not_make_it_text() -> None:
    assert render(" \n{{ n }}\t", SCOPE, now=NOW) == 7


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hi {{ name }}!", "Hi Ada!"),
        ("{{ n }}{{ n }}", "77"),
        ("a{{ nothing }}b", "ab"),
        ("{{ yes }} {{ no }}", "true false"),
        ("{{ half }}/{{ 1e300 }}/{{ 2.0 }}", "0.5/1e+300/2.0"),
        ("x={{ xs }}", "x=[3,1,2]"),
        ("x={{ order.lines }}", 'x=[{"sku":"a","qty":2},{"sku":"b","qty":1}]'),
        ("x={{ {'é': none} }}", 'x={"é":null}'),
        ("{ {{ n }} } }} %} #}", "{ 7 } }} %} #}"),
        ('{"a": {"b": {{ n }}}}', '{"a": {"b": 7}}'),
        ('{{ "{{" }} and {{ "{%" }} and {{ "{#" }}', "{{ and {% and {#"),
        ("line\r\n{{ name }}\r\n", "line\r\nAda\r\n"),
        ("{{ {'a': {'b': '}}'}}['a']['b'] }}.", "}}."),
        ("plain", "plain"),
        ("", ""),
    ],
)
def test_parts_of_a_text_are_joined_as_text(text: str, expected: str) -> None:
    assert render(text, SCOPE, now=NOW) == expected


def test_a_configuration_is_rendered_at_any_depth_and_its_keys_are_left_alone() -> None:
    config: Any = {"{{ n }}": ["{{ n }}", {"deep": "{{ name }} {{ n }}"}], "n": 1, "f": 1.5, "b": True, "z": None}
    assert same(
        render(config, SCOPE, now=NOW),
        {"{{ n }}": [7, {"deep": "Ada 7"}], "n": 1, "f": 1.5, "b": True, "z": None},
    )


def test_the_result_shares_no_list_or_object_with_the_scope() -> None:
    scope = {"data": {"xs": [1]}}
    result: Any = render({"a": "{{ data }}"}, scope, now=NOW)
    result["a"]["xs"].append(2)
    assert scope == {"data": {"xs": [1]}}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("order.total", 12.5),
        ("order['total']", 12.5),
        ("order['to' ~ 'tal']", 12.5),
        ("order['a.b']", 1),
        ("order['0']", "zero"),
        ("order.lines[0].sku", "a"),
        ("order.lines.1.sku", "b"),
        ("order.lines[-1]['sku']", "b"),
        ("components['fetch-1'].output.n", 1),
        ("name[0]", "A"),
        ("name[-1]", "a"),
        ("xs[1:]", [1, 2]),
        ("xs[:-1]", [3, 1]),
        ("xs[::-1]", [2, 1, 3]),
        ("name[:2]", "Ad"),
        ("{'items': 1, 'keys': 2}.items", 1),
    ],
)
def test_a_dot_or_an_index_reads_a_key_or_an_item(source: str, expected: Any) -> None:
    assert same(evaluate(source), expected)


@pytest.mark.parametrize(
    ("source", "named"),
    [
        ("missing", "`missing` is undefined"),
        ("missing.a.b", "`missing` is undefined"),
        ("missing[0][1:2]", "`missing` is undefined"),
        ("order.nope", "`order.nope` is undefined: the object has no such key"),
        ("order.nope.deeper", "`order.nope` is undefined: the object has no such key"),
        ("order['nope']", "`order['nope']` is undefined: the object has no such key"),
        ("order[0]", "`order[0]` is undefined: object has no index"),
        ("xs[3]", "`xs[3]` is undefined: the list is shorter"),
        ("xs[-4]", "`xs[-4]` is undefined: the list is shorter"),
        ("xs.length", "`xs.length` is undefined: list has no keys"),
        ("nothing.a", "`nothing.a` is undefined: null has no keys"),
        ("(xs | first).a", "`….a` is undefined: number has no keys"),
        ("missing + 1", "`missing` is undefined"),
        ("missing == 1", "`missing` is undefined"),
        ("not missing", "`missing` is undefined"),
        ("missing and true", "`missing` is undefined"),
        ("true and missing", "`missing` is undefined"),
        ("no or missing", "`missing` is undefined"),
        ("[missing]", "`missing` is undefined"),
        ("{'a': missing}", "`missing` is undefined"),
        ("1 in missing", "`missing` is undefined"),
        ("missing ~ 'a'", "`missing` is undefined"),
        ("missing if yes else 1", "`missing` is undefined"),
        ("1 if missing else 2", "`missing` is undefined"),
        ("missing | length", "`missing` is undefined"),
        ("'a' | replace('a', missing)", "`missing` is undefined"),
        ("missing is none", "`missing` is undefined"),
        ("n | default(missing) + missing", "`missing` is undefined"),
        ("nothing | default(1, missing)", "`missing` is undefined"),
        ("empty | first", "`first` of an empty list is undefined"),
    ],
)
def test_using_what_is_not_there_is_an_error_that_names_it(source: str, named: str) -> None:
    error = failure("{{ " + source + " }}")
    assert (error.kind, error.message, error.expression) == ("undefined", named, source)


def test_a_key_taken_from_data_is_not_shown_in_the_error() -> None:
    error = failure("{{ order[name] }}", {"order": {}, "name": "hunter2"})
    assert "hunter2" not in str(error)
    assert error.message == "`order[name]` is undefined: the object has no such key"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("missing | default('x')", "x"),
        ("missing.a.b[0] | default('x')", "x"),
        ("nothing.a | default('x')", "x"),
        ("missing | default", ""),
        ("missing | default(other) | default('y')", "y"),
        ("n | default(missing)", 7),
        ("nothing | default('x')", None),
        ("nothing | default('x', true)", "x"),
        ("'' | default('x', boolean=true)", "x"),
        ("n | default('x', true)", 7),
        ("missing | default(default_value=[1])", [1]),
        ("empty | first | default('none')", "none"),
        ("(missing if yes else 1) | default('x')", "x"),
        ("missing is defined", False),
        ("missing is undefined", True),
        ("order.nope is defined", False),
        ("missing.a.b is undefined", True),
        ("nothing is defined", True),
        ("order.total is defined and order.total > 10", True),
    ],
)
def test_default_and_the_defined_tests_take_what_is_not_there(source: str, expected: Any) -> None:
    assert same(evaluate(source), expected)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("n + 1", 8),
        ("n - 1.5", 5.5),
        ("n * 2", 14),
        ("n / 2", 3.5),
        ("6 / 2", 3.0),
        ("n // 2", 3),
        ("-7 // 2", -4),
        ("n % 4", 3),
        ("-7 % 4", 1),
        ("2 ** 10", 1024),
        ("2 ** -1", 0.5),
        ("(-1) ** 9223372036854775807", -1),
        ("0 ** 4611686018427387904", 0),
        ("2 ** 62", 4611686018427387904),
        ("-n", -7),
        ("+n", 7),
        ("- -n", 7),
        ("2 + 3 * 4 - 1", 13),
        ("'a' + 'b'", "ab"),
        ("[1] + [2]", [1, 2]),
        ("'ab' * 2", "abab"),
        ("2 * 'ab'", "abab"),
        ("[0] * 3", [0, 0, 0]),
        ("3 * [0]", [0, 0, 0]),
        ("'ab' * -1", ""),
        ("'a' ~ 1 ~ none ~ true ~ [1]", "a1true[1]"),
        ("1 ~ 2", "12"),
        ("not yes", False),
        ("not empty", True),
        ("no or 'x'", "x"),
        ("'y' or 'x'", "y"),
        ("yes and 'x'", "x"),
        ("empty and missing", []),
        ("'a' if yes else 'b'", "a"),
        ("'a' if no else 'b'", "b"),
        ("'a' if no", None),
        ("1 == 1.0", True),
        ("true == 1", False),
        ("'1' == 1", False),
        ("none == none", True),
        ("[1, {'a': [2]}] == [1.0, {'a': [2]}]", True),
        ("[1] == [1, 2]", False),
        ("{'a': 1} == {'b': 1}", False),
        ("{'a': 1} == {'a': 1, 'b': 1}", False),
        ("{'a': 1} != {'a': 2}", True),
        ("'a' < 'b'", True),
        ("'b' <= 'a'", False),
        ("2 > 1.5", True),
        ("2 >= 3", False),
        ("1 < n < 10", True),
        ("1 < n < 5", False),
        ("'d' in name", True),
        ("2 in xs", True),
        ("5 in xs", False),
        ("'total' in order", True),
        ("5 not in xs", True),
        ("'x' not in name", True),
    ],
)
def test_operators(source: str, expected: Any) -> None:
    assert same(evaluate(source), expected)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("'a' + 1", "`+` can't add text and number; `~` joins any values as text"),
        ("1 + 'a'", "`+` can't add number and text; `~` joins any values as text"),
        ("1 + none", "`+` needs numbers, not null"),
        ("true + 1", "`+` needs numbers, not boolean"),
        ("[1] + 1", "`+` needs numbers, not list"),
        ("'%s' % 1", "`%` needs numbers, not text"),
        ("'a' - 'b'", "`-` needs numbers, not text"),
        ("'a' * true", "`*` needs numbers, not text"),
        ("-'a'", "`-` needs numbers, not text"),
        ("+none", "`+` needs numbers, not null"),
        ("1 / 0", "`/` by zero"),
        ("1 // 0", "`//` by zero"),
        ("1.5 % 0", "`%` by zero"),
        ("0 ** -1", "zero can't be raised to a negative power"),
        ("(-8) ** 0.5", "a negative number has no fractional power"),
        ("1 < 'a'", "`<` can't compare number with text"),
        ("none <= none", "`<=` can't compare null with null"),
        ("true > 0", "`>` can't compare boolean with number"),
        ("[1] >= [0]", "`>=` can't compare list with list"),
        ("1 in 5", "`in` can't look into number"),
        ("1 in name", "`in` can't look for number in text"),
        ("1 in order", "`in` can't look for number in object"),
        ("{1: 2}", "an object's keys must be text, not number"),
        ("xs[1.0]", "a key is text and an index a whole number, not number"),
        ("xs[true]", "a key is text and an index a whole number, not boolean"),
        ("xs['a':]", "a slice needs whole numbers, not text"),
        ("xs[::0]", "a slice needs a step other than 0"),
        ("order[1:]", "object can't be sliced, only a list or text"),
    ],
)
def test_an_operation_that_does_not_fit_its_values_is_an_error(source: str, message: str) -> None:
    error = failure("{{ " + source + " }}")
    assert (error.kind, error.message) == ("type", message)


@pytest.mark.parametrize(
    ("text", "message", "position"),
    [
        ("a\n {{ }}", "the expression is empty", "line 2, column 2"),
        ("{{ n", "`{{` is not closed by `}}`", "line 1, column 1"),
        ("{{ 'n }}", "the text in quotes is not closed", "line 1, column 4"),
        ("{{ n) }}", "unexpected `)`", "line 1, column 5"),
        ("{{ (n] }}", "unexpected ']', expected ')'", "line 1, column 1"),
        ("{{ n n }}", "unexpected `n`", "line 1, column 1"),
        ("{{ n,n }}", "unexpected `,`", "line 1, column 1"),
        ("ab {{ n +\n }}", "unexpected 'the end'", "line 1, column 4"),
        ("{{ n +\n\n * }}", "unexpected '*'", "line 3"),
        ("{{ n && n }}", "unexpected `&`; write and", "line 1, column 6"),
        ("{{\r\n n\r\n ! }}", "unexpected `!`; write not", "line 3, column 1"),
        ("{{ n ? 1 : 2 }}", "unexpected `?`; write `a if condition else b`", "line 1, column 6"),
        ("{{ n = 1 }}", "unexpected `=`; write ==", "line 1, column 1"),
        ("{{ n | }}", "unexpected the end, expected 'name'.", "line 1, column 1"),
        ("{{- n }}", "`{{-` and `-}}` are not supported; for a minus put a space", "line 1, column 1"),
        ("{{ n -}}", "`{{-` and `-}}` are not supported; for a minus put a space", "line 1, column 1"),
        ("{{ '\\d' }}", "unknown escape; for a backslash write two", "line 1, column 5"),
        ("{{ '\\0' }}", "unknown escape; for a backslash write two", "line 1, column 5"),
        ("{{ '\\u12' }}", "truncated \\uXXXX escape", "line 1, column 1"),
        ("{{ '\\x00' }}", "the text in quotes holds a NUL character", "line 1, column 1"),
        (
            "{{ '\\ud800' }}",
            "the text in quotes holds half a surrogate pair, which is no character",
            "line 1, column 1",
        ),
        ("{{ 1e999 }}", "the number is too large", "line 1, column 1"),
        ("{{ 9223372036854775808 }}", "a whole number is limited to 64 bits", "line 1, column 1"),
        ("{{ " + "1" * 41 + " }}", "not a number, or one of more than 40 characters", "line 1, column 4"),
        ("{{ ١٢ }}", "unexpected `١`", "line 1, column 4"),
        ("{{ 1٣.5 }}", "not a number, or one of more than 40 characters", "line 1, column 4"),
        ("{{ xs[1, 2] }}", "an index is one value, not several", "line 1, column 1"),
        ("{{ range(*xs) }}", "`*` and `**` can't spread arguments", "line 1, column 1"),
        ("{{ n | round(**order) }}", "`*` and `**` can't spread arguments", "line 1, column 1"),
        ("{{ n | srt }}", "unknown filter `srt`; did you mean `sort`?", "line 1, column 1"),
        ("{{ n | qqqqqqq }}", "unknown filter `qqqqqqq`", "line 1, column 1"),
        ("{{ n is nummer }}", "unknown test `nummer`; did you mean `number`?", "line 1, column 1"),
        ("{{ nwo() }}", "unknown function `nwo`; the functions are `now`, `range`", "line 1, column 1"),
        ("{{ upper(n) }}", "unknown function `upper`; `upper` is a filter: write `value | upper`", "line 1, column 1"),
        (
            "{{ select(n) }}",
            "unknown function `select`; `select` is a filter: write `value | select`",
            "line 1, column 1",
        ),
        ("{{ 'x'.upper() }}", "methods can't be called: `.upper()`; use the filter `| upper`", "line 1, column 1"),
        ("{{ 'x'.strip() }}", "methods can't be called: `.strip()`; use the filter `| trim`", "line 1, column 1"),
        ("{{ xs.qqqqqq() }}", "methods can't be called: `.qqqqqq()`", "line 1, column 1"),
        ("{{ xs[0]() }}", "only functions can be called", "line 1, column 1"),
        ("{{ n | upper() () }}", "only functions can be called", "line 1, column 1"),
        ("{{ now(1) }}", "function `now` has too many arguments; it takes no arguments", "line 1, column 1"),
        (
            "{{ range() }}",
            "function `range` needs its argument `start`; it takes (start, stop, step)",
            "line 1, column 1",
        ),
        (
            "{{ n | round(1, 'ceil', 3) }}",
            "filter `round` has too many arguments; it takes (digits, method)",
            "line 1, column 1",
        ),
        ("{{ n | round(d=1) }}", "filter `round` has no argument `d`; it takes (digits, method)", "line 1, column 1"),
        ("{{ n | round(1, digits=1) }}", "filter `round` has its argument `digits` twice", "line 1, column 1"),
        (
            "{{ n is divisibleby }}",
            "test `divisibleby` needs its argument `number`; it takes (number)",
            "line 1, column 1",
        ),
        (
            "{{ xs | map }}",
            "filter `map` needs the name of a filter in quotes, or `attribute=` (and `default=`)",
            "line 1, column 1",
        ),
        (
            "{{ xs | map(attribute='a', x=1) }}",
            "filter `map` needs the name of a filter in quotes, or `attribute=` (and `default=`)",
            "line 1, column 1",
        ),
        ("{{ xs | map(name) }}", "filter `map` needs the name of a filter in quotes", "line 1, column 1"),
        ("{{ xs | map('map', 'upper') }}", "unknown filter `map`; did you mean `max`?", "line 1, column 1"),
        (
            "{{ xs | map('round', 1, 2, 3) }}",
            "filter `round` has too many arguments; it takes (digits, method)",
            "line 1, column 1",
        ),
        ("{{ xs | select(name) }}", "filter `select` needs the name of a test in quotes", "line 1, column 1"),
        (
            "{{ xs | select('even', 1) }}",
            "test `even` has too many arguments; it takes no arguments",
            "line 1, column 1",
        ),
        ("{{ xs | select(test='even') }}", "filter `select` takes no named arguments", "line 1, column 1"),
        ("{{ xs | selectattr }}", "filter `selectattr` needs the key to look at", "line 1, column 1"),
    ],
)
def test_what_is_not_the_language_is_a_syntax_error_with_its_place(text: str, message: str, position: str) -> None:
    error = failure(text)
    assert (error.kind, error.message, error.position) == ("syntax", message, position)


@pytest.mark.parametrize("marker", ["{%", "{#"])
def test_statements_and_comments_are_refused_with_advice(marker: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse(f"{{{{ n }}}} a\nb {marker} if x")
    assert (caught.value.kind, caught.value.position) == ("syntax", "line 2, column 3")
    assert f'write {{{{ "{marker}" }}}}' in caught.value.message


def test_an_error_tells_the_path_the_expression_and_the_position() -> None:
    error = failure({"headers": {"Authorization": ["", "Bearer {{ missing }}"]}})
    assert (error.path, error.expression, error.position) == (
        "headers.Authorization[1]", "missing", "line 1, column 8",
    )  # fmt: skip
    assert str(error) == ("headers.Authorization[1]: `missing` is undefined in `missing` (line 1, column 8)")


def test_an_error_quotes_at_most_200_characters_of_source() -> None:
    assert len(failure("{{ missing ~ '" + "x" * 500 + "' }}").expression) == 200
    assert len(failure("{{ " + "x" * 500 + " }}").message) < 250


@pytest.mark.parametrize("value", [datetime(2026, 1, 1), (1, 2), {1}, b"x", object(), float("nan"), float("inf")])
@pytest.mark.parametrize(
    "text", ["{{ x }}", "a{{ x }}", "{{ [x] }}", "{{ x == x }}", "{{ x if x }}", "{{ x + 1 }}", "{{ x | tojson }}"]
)
def test_what_is_not_json_data_in_the_scope_is_an_error(value: Any, text: str) -> None:
    if isinstance(value, float) and text in ("{{ x == x }}",):
        assert isinstance(render(text, {"x": value}, now=NOW), bool)
        return
    assert failure(text, {"x": value}).kind == "type"


def test_keys_that_are_not_text_and_values_that_are_not_json_are_refused_in_the_configuration() -> None:
    assert failure("{{ x }}", {"x": {1: 2}}).message == "an object's keys must be text"
    error = failure({"a": [b"x"]})
    assert (error.path, error.message) == ("a[0]", "a value of type bytes is not JSON data")


class Lazy(Mapping[str, Any]):
    """Components whose outputs are loaded when they are read."""

    def __init__(self) -> None:
        self.read: list[str] = []

    def __getitem__(self, key: str) -> Any:
        if key not in ("a", "b"):
            raise KeyError(key)
        self.read.append(key)
        return {"output": [1, 2]}

    def __iter__(self) -> Iterator[str]:
        return iter(("a", "b"))

    def __len__(self) -> int:
        return 2


def test_mappings_in_the_scope_are_read_only_where_the_expression_says() -> None:
    lazy = Lazy()
    assert render("{{ components.a.output[1] }}", {"components": lazy}, now=NOW) == 2
    assert lazy.read == ["a"]
    assert failure("{{ components.c.output }}", {"components": lazy}).kind == "undefined"


def test_a_mapping_is_an_object_in_every_place() -> None:
    scope = {"m": Lazy()}
    assert same(evaluate("m", scope), {"a": {"output": [1, 2]}, "b": {"output": [1, 2]}})
    assert evaluate("m is mapping and m | length == 2 and 'a' in m and m == m", scope) is True
    assert evaluate("m | keys | join", scope) == "ab"
    assert evaluate("1 if m else 2", scope) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("n > 5", True),
        ("{{ n > 5 }}", True),
        ("  {{ n > 50 }} ", False),
        ("empty", False),
        ("xs", True),
        ("name == 'Ada' and not no", True),
        ("'}}' == '}}' ", True),
        ("'{{' == '{%'", False),
        ("{'a': 1}['a']", True),
        ("nothing", False),
    ],
)
def test_a_condition_is_one_expression_with_or_without_braces(text: str, expected: bool) -> None:
    assert evaluate_condition(text, SCOPE, now=NOW) is expected


@pytest.mark.parametrize(
    "text", ["", "  ", "{{ n }} and {{ n }}", "{{ n }} x", "x {{ n }}", "{% if n %}", "n }}", "{{ n"]
)
def test_what_is_not_one_expression_is_no_condition(text: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse_condition(text)
    assert caught.value.kind == "syntax"


def test_an_undefined_condition_is_an_error() -> None:
    with pytest.raises(ExpressionError) as caught:
        evaluate_condition("missing", SCOPE, now=NOW)
    assert (caught.value.kind, caught.value.expression) == ("undefined", "missing")


def test_long_texts_and_conditions_work_as_short_ones() -> None:
    filler = "x" * 1_000
    assert render(filler + "{{ n }}", SCOPE, now=NOW) == filler + "7"
    assert evaluate_condition("n == 7 and " + "yes and " * 80 + "yes", SCOPE, now=NOW) is True


def test_references_name_what_a_configuration_reads() -> None:
    config: Any = {
        "url": "https://x/{{ customer.id }}?k={{ secrets.KEY }}",
        "list": ["{{ components['fetch-1'].output }}", "{{ components.b.status if flag else items | map('upper') }}"],
        "plain": "components.z",
        "number": 1,
    }
    assert references(config) == References(
        names=frozenset({"customer", "secrets", "components", "flag", "items"}),
        components=frozenset({"fetch-1", "b"}),
        secrets=frozenset({"KEY"}),
    )


@pytest.mark.parametrize("source", ["components[x]", "components", "components | keys", "components[0]"])
def test_dynamic_reads_may_mean_any_component(source: str) -> None:
    found = parse("{{ " + source + " }}").references
    assert found.all_components and not found.components and not found.all_secrets


def test_dynamic_reads_may_mean_any_secret() -> None:
    found = references(["{{ secrets[n] }}", "{{ secrets['A'] }}"])
    assert found == References(names=frozenset({"secrets", "n"}), secrets=frozenset({"A"}), all_secrets=True)


def test_functions_are_not_references_unless_read_as_names() -> None:
    assert parse("{{ now() ~ range(n) }}").references.names == {"n"}
    assert parse_condition("now == 1").references.names == {"now"}


def test_references_tell_where_a_syntax_error_is() -> None:
    with pytest.raises(ExpressionError) as caught:
        references({"a": [{"b": "{{ ( }}"}]})
    assert (caught.value.kind, caught.value.path) == ("syntax", "a[0].b")


def test_has_expression_is_true_for_all_that_is_not_taken_literally() -> None:
    assert [has_expression(text) for text in ("a", "{ }}", "{{ a }}", "{% a", "{# a")] == [
        False,
        False,
        True,
        True,
        True,
    ]


def test_a_template_is_constant_without_expressions() -> None:
    assert parse("a").is_constant and not parse("a").is_whole
    assert not parse("{{ 1 }}").is_constant and parse(" {{ 1 }} ").is_whole and not parse("a{{ 1 }}").is_whole
    assert parse("a").render({}, Budget(Limits(), NOW)) == "a"
