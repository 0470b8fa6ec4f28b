"""What hostile expressions can't do: reach the host, run long, grow large, be evaluated twice."""

import builtins
import resource
import string
import sys
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import jinja2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import nodes

from tests import cpu
from workflows.expressions import (
    ExpressionError,
    Limits,
    evaluate_condition,
    parse,
    parse_condition,
    references,
    render,
    templates,
)
from workflows.expressions.syntax import ALLOWED, check

NOW = datetime(2026, 1, 2, tzinfo=UTC)
SCOPE: dict[str, Any] = {
    "x": "text", "n": 1, "f": 1.5, "xs": [1, 2], "d": {"k": {"l": []}}, "t": True, "z": None, "secret": "hunter2",
}  # fmt: skip

REFUSED_NODES = {
    # Abstract, never made by the parser
    "BinExpr", "_FilterTestCommon", "Expr", "Helper", "Literal", "Node", "Stmt", "UnaryExpr",
    # Statements
    "Assign", "AssignBlock", "Block", "Break", "CallBlock", "Continue", "EvalContextModifier", "ExprStmt", "Extends",
    "FilterBlock", "For", "FromImport", "If", "Import", "Include", "Macro", "NSRef", "Output", "OverlayScope",
    "Scope", "ScopedEvalContextModifier", "Template", "TemplateData", "With",
    # Made by extensions; they name objects of the host
    "ContextReference", "DerivedContextReference", "EnvironmentAttribute", "ExtensionAttribute", "ImportedName",
    "InternalName", "MarkSafe", "MarkSafeIfAutoescape",
}  # fmt: skip


def attempt(text: str, scope: dict[str, Any] = SCOPE) -> Any:
    """The result, or the error (anything but ExpressionError is a failure of the test)."""
    try:
        return render(text, scope, now=NOW)
    except ExpressionError as error:
        return error


def test_every_node_type_of_jinja_is_either_allowed_or_refused_on_purpose() -> None:
    every = {
        name: member
        for name, member in vars(nodes).items()
        if isinstance(member, type) and issubclass(member, nodes.Node)
    }
    allowed = {name for name, member in every.items() if member in ALLOWED}
    assert len(allowed) == len(ALLOWED)
    assert not allowed & REFUSED_NODES
    assert set(every) == allowed | REFUSED_NODES


@pytest.mark.parametrize(
    "node",
    [nodes.ContextReference(), nodes.MarkSafe(nodes.Const(1)), nodes.InternalName.__new__(nodes.InternalName),
     nodes.ImportedName("os.system"), nodes.EnvironmentAttribute("filters"), nodes.NSRef("a", "b")],
)  # fmt: skip
def test_a_node_that_is_not_allowed_is_refused_wherever_it_stands(node: nodes.Expr) -> None:
    for tree in (node, nodes.Not(node), nodes.List([nodes.Const(1), node])):
        with pytest.raises(ExpressionError, match=f"^{type(node).__name__} is not part of the language$"):
            check(tree)


HOST_ACCESS = [
    "''.__class__.__mro__",
    "''.__class__",
    "x.__class__.__base__.__subclasses__()",
    "x['__class__']",
    "x['__cl' + 'ass__']",
    "x['__cl' ~ 'ass__']",
    "x[('__cl', 'ass__') | join]",
    "x['\\x5f\\x5fclass\\x5f\\x5f']",
    "x['\\u005f\\u005fclass\\u005f\\u005f']",
    "x['\\N{LOW LINE}' * 2 ~ 'class' ~ '_' * 2]",
    "x['__ssalc__' | reverse]",
    "x['__CLASS__' | lower]",
    "x['X19jbGFzc19f' | b64decode]",
    "x['\"__class__\"' | fromjson]",
    "x.__ｃlass__",
    "x.＿＿class＿＿",
    "x | attr('__class__')",
    "xs | map('attr', '__class__')",
    "xs | map(attribute='__class__')",
    "xs | map(attribute='__class__.__mro__')",
    "xs | selectattr('__class__')",
    "xs | groupby('__class__')",
    "xs | sort(attribute='__class__')",
    "xs | sum(attribute='__class__')",
    "xs | join(attribute='__class__')",
    "xs | unique(attribute='__class__')",
    "xs | max(attribute='__class__')",
    "x.constructor.constructor('return process')()",
    "x['constructor']['constructor']",
    "x[`constructor`]",
    "$json.constructor",
    "(() => process)()",
    "[...xs]",
    "{...d}",
    "{['a']: 1}",
    "x?.constructor",
    "new Function('x')",
    "__proto__",
    "d.__proto__",
    "d['__proto__']",
    "d.k.__init__.__globals__",
    "xs.append",
    "xs.append(3)",
    "xs.sort()",
    "d.update({'a': 1})",
    "d.items()",
    "d.get('k')",
    "d.keys",
    "x.format",
    "x.format(x)",
    "'{0.__class__}'.format(1)",
    "'{0.__class__}' | format(1)",
    "'%s' % x",
    "'%(x)s' % d",
    "x.format_map(d)",
    "n.real",
    "n.bit_length()",
    "f.as_integer_ratio()",
    "t.__bool__",
    "z.__class__",
    "now.__globals__",
    "now().__class__",
    "range.__class__",
    "range(3).index",
    "cycler",
    "cycler.__init__.__globals__.os.popen('id').read()",
    "cycler()",
    "joiner",
    "joiner()",
    "lipsum",
    "lipsum.__globals__['os']",
    "lipsum(n=20000)",
    "namespace",
    "namespace()",
    "dict",
    "dict()",
    "self",
    "self._TemplateReference__context",
    "self.__init__",
    "_self",
    "config",
    "config.items()",
    "request",
    "request.application.__globals__",
    "url_for.__globals__",
    "get_flashed_messages.__globals__",
    "loop",
    "loop.index",
    "super",
    "super()",
    "caller",
    "caller()",
    "varargs",
    "kwargs",
    "_",
    "gettext('a')",
    "context",
    "environment",
    "debug",
    "process",
    "global",
    "this",
    "require('fs')",
    "import os",
    "__import__('os')",
    "lambda: 1",
    "x := 1",
    "[y for y in xs]",
    "x if (y := 1)",
    "f'{x}'",
    "`x`",
    "@x",
    "x; n",
    "{{ {{ x }} }}",
    "eval('1')",
    "exec('1')",
    "open('/etc/passwd')",
    "None.__class__",
    "True.__class__",
    "1.__class__",
    "(1).__class__",
    "[].__class__",
    "{}.__class__",
    "[].__class__.__base__",
    "().__class__",
    "xs[0].__class__",
    "xs['__getitem__']",
    "d['k'].__class__",
    "xs[:1].__class__",
    "(x ~ x).__class__",
    "(n + 1).__class__",
    "(x is string).__class__",
    "(d | items | first).__class__",
]


@pytest.mark.parametrize("source", HOST_ACCESS)
@pytest.mark.parametrize("read", [render, evaluate_condition])
def test_e1_e2_no_spelling_reaches_the_host_language(source: str, read: Callable[..., Any]) -> None:
    text = "{{ " + source + " }}" if read is render else source
    with pytest.raises(ExpressionError) as caught:
        read(text, SCOPE, now=NOW)
    assert caught.value.kind in ("syntax", "undefined", "type")


def test_e2_names_of_the_host_language_are_plain_data_where_the_data_has_them() -> None:
    names = ["__class__", "__proto__", "constructor", "__mro__", "self", "config", "request", "loop", "items", "now"]
    scope = {"d": {name: index for index, name in enumerate(names)}, **dict.fromkeys(names, "own")}
    for index, name in enumerate(names):
        assert render("{{ d." + name + " }}", scope, now=NOW) == index
        assert render("{{ d['" + name + "'] }}", scope, now=NOW) == index
        assert render("{{ " + name + " }}", scope, now=NOW) == "own"
    assert render("{{ [d] | map(attribute='__class__') }}", scope, now=NOW) == [0]


class Trap(str):
    """Text of a type of the host, every operation of which would run the host's code."""

    def _run(self, *_: object) -> Any:
        pytest.fail("code of the host was run")

    __eq__ = __lt__ = __le__ = __add__ = __radd__ = __mul__ = __contains__ = __getitem__ = __len__ = __bool__ = _run
    __iter__ = __str__ = __repr__ = __format__ = __hash__ = _run
    lower = upper = strip = split = replace = join = encode = startswith = _run  # type: ignore[assignment]


USES = [
    "o", "o.a", "o['a']", "o[0]", "o[:1]", "o == o", "o == 'a'", "o < 'a'", "'a' >= o", "o in [o]", "o in 'abc'",
    "'a' in o", "not o", "o ~ ''", "o + o", "'a' + o", "o * 2", "-o", "[o] | unique", "[o] | sort", "[o] | join",
    "o is string", "o is lower", "1 if o else 2", "{o: 1}", "d[o]", "o | tojson", "o | lower", "o | trim",
    "o | replace('a', 'b')", "'a' | replace(o, 'b')", "o | split", "o | length", "o | first", "o | reverse",
    "o | int", "o | bool", "o | date", "o | fromjson", "o | b64encode", "o | b64decode", "o | urlencode",
    "o | default(1, true)", "0 | date(o)", "1 | round(1, o)", "[d] | map(attribute=o)",
]  # fmt: skip


@pytest.mark.parametrize("source", USES)
@pytest.mark.parametrize("value", [Trap("a"), object()], ids=["subclass", "object"])
def test_values_of_other_types_are_refused_before_any_of_their_code_runs(source: str, value: object) -> None:
    with pytest.raises(ExpressionError):
        render("{{ " + source + " }}", {"o": value, "d": {}}, now=NOW)


HOSTILE = [
    "9**9**9",
    "9**(9**9)",
    "2**64",
    "10**308*10**308",
    "1e308*10",
    "-1e308-1e308",
    "1e308**2",
    "9223372036854775807 + 1",
    "9223372036854775807 * 9223372036854775807",
    "-(-9223372036854775807 - 1)",
    "1e300 // 1e-300",
    "'a'*10**9",
    "10**9*'a'",
    "[0]*10**9",
    "(('a'*1000)*1000)*1000",
    "'a' * 4000000 ~ 'a' * 4000000 ~ 'a' * 4000000",
    "'a' * 4000000 + 'a' * 4000000",
    "range(10**9)",
    "range(10000) * 1000",
    "(range(10000) * 20) | map('string') | map('b64encode') | map('upper') | map('lower') | join",
    "([[0] * 1000] * 1000) | tojson",
    "([[[[0] * 100] * 100] * 100] * 100) ~ ''",
    "([['a' * 1000] * 1000] * 1000) | string",
    "[[['a' * 1000] * 1000] * 1000]",
    "('a' * 100000) | replace('a', 'b' * 1000)",
    "('a' * 1000000) | replace('a', 'bb' * 1000)",
    "('a,' * 2000000) | split(',')",
    "('a ' * 2000000) | split",
    "range(10000) | join('x' * 10000)",
    "('%A' * 2000000) | length ~ (0 | date('%A' * 2000000))",
    "'[' * 1000000 | fromjson",
    "('[' ~ '[],' * 1000000 ~ '0]') | fromjson",
    "('[' ~ '1,' * 300000 ~ '1]') | fromjson | map('float') | map('string') | unique",
    "('é' * 1000000) | urlencode",
    "('é' * 2000000) | b64encode",
    "(range(10000) * 30) | sort",
    "(range(10000) * 30) | unique",
    "(range(10000) * 30) | map('string') | sort | unique | reverse | groupby(0)",
    "(range(10000) * 3) | groupby('x', default=1)",
    "(['a' * 100000] * 1000) | sort | length",
    "(['a' * 100000] * 10000) | unique",
    "(['a' * 100000] * 10000) | map('upper')",
    "(['a' * 100000] * 10000) | map('length') | sum",
    "(['a' * 100000 ~ 'b'] * 10000) | select('in', ['a' * 100000 ~ 'c'])",
    "([[0] * 10000] * 1000) | unique",
    "([[0] * 10000] * 1000) | select('eq', [0] * 10000)",
    "([[0] * 10000] * 1000) == ([[0] * 10000] * 1000)",
    "('a' * 1000000) in ('a' * 999999 ~ 'b') * 2",
    "('a' * 1000000) | trim('b' * 99 ~ 'a')",
    "(['a' * 100000] * 1000) | map('trim', 'b' * 99 ~ 'a') | map('length')",
    "(['a'] * 100000) | map('split', 'a' * 100000)",
    "(['a' * 100000] * 1000) | select('==', 'a' * 99999 ~ 'b')",
    "(['a' * 100000] * 1000) | select('<', 'a' * 99999 ~ 'b')",
    "({'a': 'x' * 100000} | merge({'b': 1})) | tojson | tojson | tojson | tojson | length",
    "('\\\\' * 1000)" + " | tojson" * 11,
    "('\\x01' * 300000) | tojson | tojson | tojson",
    "range(10000) | map('date') | map('date', '%A %B' * 10)",
    "'{{ x }}' * 1000000",
    "(" * 10_000 + "1" + ")" * 10_000,
    "(" * 31 + "1" + ")" * 31,
    "[" * 3_100,
    "{'a':" * 40 + "1" + "}" * 40,
    "x" + "[0]" * 1_600,
    "x" + ".a" * 2_400,
    "x" + "|upper" * 800,
    "1" + "+1" * 2_400,
    "1" + "**1" * 1_600,
    "not " * 1_200 + "x",
    "-" * 3_100 + "1",
    "{" * 30 + "}" * 30,
    "- " * 2_400 + "1",
    "1 if 1 else " * 800 + "1",
    "1 " + "if 1 " * 900,
    "x is " + "not " * 1_200 + "none",
    "(-" * 1_600 + "1" + ")" * 1_600,
    "'" * 4_950,
    "'\\" + "'\\" * 2_400,
    "'\\'" * 1_600,
    "\"'" * 2_450,
    "1_" * 2_400,
    "0." * 2_400,
    "1" * 3_100,
    "0x" + "f" * 3_100,
    "1e" + "9" * 30,
    "'\\N{" + "A" * 4_900 + "}'",
    "1," * 2_400,
    "[" + "1," * 2_450 + "]",
    "[" + "'a'," * 1_200 + "]",
    "x or " * 900 + "x",
    "xs | map('" + "upper" * 900 + "')",
    "xs | " + "q" * 4_900,
    "q" * 4_900 + "()",
    "x." + "q" * 4_900 + "()",
    "f(" * 29 + ")" * 29,
    "x" * 1_000_000,
    " " * 1_000_000,
]


@pytest.mark.parametrize("source", HOSTILE, ids=lambda source: source[:60])
def test_e3_hostile_expressions_end_within_100_milliseconds(source: str) -> None:
    text = "{{ " + source + " }}"

    def play() -> None:
        templates._parse_cached.cache_clear()
        attempt(text)

    # A coverage tracer makes each line several times as slow.
    cpu.assert_within(0.1 if sys.gettrace() is None else 1.0, play)


@pytest.mark.parametrize(
    "source",
    ["9**9**9", "'a'*10**9", "range(10**9)", "(" * 10_000 + "1" + ")" * 10_000, "x" * 1_000_000, "[0]*10**9",
     "1e308*10", "'a' * 9000000", "range(10000) * 40"],
    ids=lambda source: source[:30],
)  # fmt: skip
def test_e3_what_is_too_much_is_a_budget_error(source: str) -> None:
    error = attempt("{{ " + source + " }}")
    assert isinstance(error, ExpressionError)
    assert error.kind == "budget"
    with pytest.raises(ExpressionError) as caught:
        evaluate_condition(source, SCOPE, now=NOW)
    assert caught.value.kind == "budget"


def test_many_expressions_of_one_text_are_bounded_together() -> None:
    assert attempt("{{ n }}" * 1_666) == "1" * 1_666
    error = attempt("{{ n }}" * 1_667)
    assert isinstance(error, ExpressionError)
    assert (error.kind, error.position) == ("budget", "line 1, column 11663")


def test_e3_memory_stays_flat_under_hostile_expressions() -> None:
    peaks = [resource.getrusage(resource.RUSAGE_SELF).ru_maxrss]
    for _ in range(2):
        for source in HOSTILE:
            attempt("{{ " + source + " }}")
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    first, second = peaks[1] - peaks[0], peaks[2] - peaks[1]  # KiB
    assert first < 96 * 1024
    assert second < 8 * 1024


def test_large_data_passes_through_and_is_worked_on_within_the_budget() -> None:
    rows = [{"id": index, "name": f"customer {index}", "tags": ["a", "b"]} for index in range(15_000)]
    scope = {"rows": rows}
    assert render("{{ rows }}", scope, now=NOW) == rows
    assert render("{{ rows | map(attribute='id') | sum }}", scope, now=NOW) == sum(range(15_000))
    assert render("{{ rows | selectattr('id', '<', 10) | length }}", scope, now=NOW) == 10
    assert render("{{ rows | sort(attribute='name', reverse=true) | first }}", scope, now=NOW) == rows[9_999]


def test_the_parts_of_one_configuration_share_one_budget() -> None:
    scope = {"big": "x" * 1_000_000}
    assert len(str(render("{{ big }}{{ big }}", scope, now=NOW))) == 2_000_000
    with pytest.raises(ExpressionError) as caught:
        render({"parts": ["{{ big }}"] * 20}, scope, now=NOW)
    assert (caught.value.kind, caught.value.path) == ("budget", "parts[8]")


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (Limits(source_chars=10), "the expressions are longer than 10 characters"),
        (Limits(steps=10), "evaluation takes more than 10 steps"),
        (Limits(output_bytes=60), "evaluation makes more than 60 bytes of data"),
        (Limits(depth=1), "the value is nested deeper than 1"),
    ],
)
def test_each_limit_can_be_set(limits: Limits, message: str) -> None:
    config: Any = {"a": "{{ [[xs]] + [n] }}", "b": "{{ xs + xs + xs }}"}
    assert render(config, SCOPE, now=NOW) == {"a": [[[1, 2]], 1], "b": [1, 2, 1, 2, 1, 2]}
    with pytest.raises(ExpressionError) as caught:
        render(config, SCOPE, now=NOW, limits=limits)
    assert (caught.value.kind, caught.value.message) == ("budget", message)


def test_a_deep_configuration_is_a_budget_error_and_its_references_are_still_found() -> None:
    config: Any = "{{ n }}"
    for _ in range(5_000):
        config = [config]
    error = attempt(config)
    assert isinstance(error, ExpressionError)
    assert (error.kind, error.path) == ("budget", "[0]" * 64)
    assert references(config).names == {"n"}


def test_a_deep_or_long_number_in_the_data_is_an_error_and_not_a_crash() -> None:
    deep: Any = 1
    for _ in range(5_000):
        deep = [deep]
    for source in ("v", "v ~ ''", "v | tojson", "[v] | unique"):
        error = attempt("{{ " + source + " }}", {"v": deep})
        assert isinstance(error, ExpressionError)
        assert error.kind == "budget"
    assert attempt("{{ v == v }}", {"v": deep}) is True
    assert isinstance(attempt("a{{ v }}", {"v": 10**5_000}), ExpressionError)
    assert attempt("{{ v }}", {"v": 2**1_000}) == 2**1_000


def test_near_the_recursion_limit_parsing_is_an_error_and_not_a_crash() -> None:
    def parse_at(depth: int) -> Any:
        return parse_at(depth - 1) if depth else attempt("{{ " + "(" * 25 + "n" + ")" * 25 + " }}")

    used = 0
    frame: Any = sys._getframe()
    while frame:
        used, frame = used + 1, frame.f_back
    error = parse_at(sys.getrecursionlimit() - used - 60)
    assert isinstance(error, ExpressionError)
    assert (error.kind, error.message) == ("budget", "the expression is nested too deeply")
    assert attempt("{{ " + "(" * 25 + "n" + ")" * 25 + " }}") == 1


def test_what_parses_at_the_bounds_evaluates() -> None:
    assert attempt("{{ " + "(" * 30 + "n" + ")" * 30 + " }}") == 1
    assert attempt("{{ " + "(--" * 30 + "n" + ")" * 30 + " }}") == 1
    assert attempt("{{ 0" + " + 1" * 90 + " }}") == 90
    assert attempt("{{ " + "0 if no else " * 50 + "1 }}", {"no": False}) == 1
    assert attempt("{{ 'a'" + " ~ 'a'" * 700 + " }}") == "a" * 701


@pytest.mark.parametrize(
    "source",
    ["(" * 31 + "n" + ")" * 31, "[" * 31 + "]" * 31, "-" * 6 + "n", "not " * 6 + "n", "0 if t else " * 51 + "1"],
)
def test_what_is_beyond_the_bounds_is_refused_on_its_text_wherever_it_runs(source: str) -> None:
    error = attempt("{{ " + source + " }}")
    assert isinstance(error, ExpressionError)
    assert (error.kind, error.message, error.expression) == ("budget", "the expression is nested too deeply", "")


@pytest.mark.parametrize("text", ["{{ secret }}", "{{ 1 + 1 }}", "{% x %}", "{{", "}}", "{# #}", "{{ x }", "\\{{ x }}"])
@pytest.mark.parametrize(
    "source",
    ["v", "[v][0]", "d.v", "v ~ ''", "v | default('')", "[v] | join", "d | tojson | fromjson | values | first",
     "v | replace('q', v)", "[v] | map('string') | first"],
)  # fmt: skip
def test_e4_text_that_comes_out_of_data_is_never_evaluated(text: str, source: str) -> None:
    scope = {"v": text, "d": {"v": text}, "secret": "hunter2", "x": "hunter2"}
    assert render("{{ " + source + " }}", scope, now=NOW) == text
    assert render("<{{ " + source + " }}>", scope, now=NOW) == f"<{text}>"
    assert render({"k": ["{{ " + source + " }}"]}, scope, now=NOW) == {"k": [text]}


def test_e4_an_expression_built_from_data_is_not_evaluated_either() -> None:
    assert render("{{ '{' ~ '{ secret }' ~ '}' }}", SCOPE, now=NOW) == "{{ secret }}"
    assert render("{{ open }}{{ open }} secret }}", {"open": "{"}, now=NOW) == "{{ secret }}"


@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: b", "'; DROP TABLE x; --", "../../etc/passwd", "?a=b&c#d"])
def test_e5_values_reach_their_place_unchanged_and_urlencode_makes_them_one_part(value: str) -> None:
    assert render("{{ v }}", {"v": value}, now=NOW) == value
    encoded = str(render("{{ v | urlencode }}", {"v": value}, now=NOW))
    assert not set(encoded) & set("\r\n/?&#' ;")


def test_errors_never_hold_a_value() -> None:
    secret = "hunter2-hunter2"
    scope = {"s": secret, "d": {}, "l": [{"a": secret}, {"a": 1}]}
    for source in (
        "s + 1", "1 + s", "d[s]", "s.x", "s[99]", "s | int", "s | float", "s | bool", "s | date",
        "s | fromjson", "('{\"' ~ s ~ '\":1,\"' ~ s ~ '\":2}') | fromjson", "(s ~ '!') | b64decode",
        "0 | date('%' ~ s)", "s < 1", "s in 5", "s in d + 1", "l | sort(attribute='a')", "l | map(attribute=s)",
        "l | groupby(s)", "s is odd", "1 | round(1, s)", "s | keys", "xs[s]", "[1][s:]", "s | urlencode | date",
        "{1: s}", "range(s)", "s()", "s.a()", "-s",
    ):  # fmt: skip
        error = attempt("{{ " + source + " }}", scope)
        assert isinstance(error, ExpressionError), source
        if source not in ("l | map(attribute=s)", "l | groupby(s)"):
            assert secret not in str(error), source


def snapshot() -> tuple[Any, ...]:
    environment = jinja2.Environment()
    return (
        sorted(vars(builtins)), sorted(sys.modules), sorted(jinja2.defaults.DEFAULT_NAMESPACE),
        sorted(environment.filters), sorted(environment.tests), sys.getrecursionlimit(), list(warnings.filters),
    )  # fmt: skip


def test_no_global_state_changes_under_ten_thousand_expressions() -> None:
    sources = [*HOST_ACCESS, *(source for source in HOSTILE if len(source) < 40)]
    for source in sources:
        attempt("{{ " + source + " }}")
    before, scope = snapshot(), repr(SCOPE)
    for count in range(10_000):
        attempt("{{ " + HOST_ACCESS[count % len(HOST_ACCESS)] + " }}")
    assert snapshot() == before
    assert repr(SCOPE) == scope


PIECES = st.sampled_from(
    [
    "{{", "}}", " ", "x", "n", "xs", "d", "(", ")", "[", "]", "{", "}", ",", ":", ".", "|", "~", "+", "-", "*",
    "**", "/", "//", "%", "<", ">", "==", "!=", "is", "not", "in", "and", "or", "if", "else", "'a'", "'", '"',
    "\\", "1", "0", "2.5", "1e9", "\n", "\r", "٣", "²", "ａ", "·", "$", "!", "=", "upper", "map('upper')", "now()",
    "range(", "|sort", "|map(", "|default(", "defined", "\0", "\ud800", "{%", "{#", "_", "é",
    ]
)  # fmt: skip


@settings(max_examples=400)
@given(st.lists(PIECES, max_size=25).map("".join) | st.text(max_size=60) | st.text(string.printable, max_size=60))
def test_any_text_renders_or_is_an_expression_error(text: str) -> None:
    def play() -> None:
        templates._parse_cached.cache_clear()
        templates._parse_condition_cached.cache_clear()
        for candidate in (text, "{{ " + text + " }}", "{{" + text):
            attempt(candidate)
        for read in (parse, parse_condition, references):
            try:
                read(text)
            except ExpressionError as error:
                assert error.kind in ("syntax", "budget")

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cpu.assert_within(1, play)
