"""script: what it sees and gives, every limit, and that no process is left behind."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

import psutil
import pytest

from core.errors import ErrorCode
from tests.eventually import eventually
from tests.stopwatch import Stopwatch
from tests.unit.components.context import context, run
from workflows.components import registry
from workflows.components.base import Completed, Failed
from workflows.components.sandbox import ScriptLimits, run_script
from workflows.components.script import Script
from workflows.definition import parse
from workflows.expressions import References
from workflows.validation import check_config, report

ROOT = Path(__file__).parents[3]


def sandboxes(process: psutil.Process | None = None) -> list[psutil.Process]:
    """The sandboxes below a process that have not ended."""
    found = []
    for child in (process or psutil.Process()).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if child.status() != psutil.STATUS_ZOMBIE and "apg-script" in child.cmdline():
                found.append(child)
    return found


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    yield
    assert sandboxes() == []


def failed(code: str, **more: Any) -> Failed:
    outcome = run("script", {"code": code, **more})
    assert isinstance(outcome, Failed), outcome
    return outcome


@pytest.mark.parametrize(
    ("code", "result"),
    [
        ("result = input['n'] + 1", 5),
        ("result = parameters['who'].upper()", "ADA"),
        ("result = components['a']['output'][1]", 20),
        ("result = [item, index]", [{"k": "v"}, 3]),
        ("result = error['message']", "broken"),
        ("result = None", None),
        ("result = (1, [True, {2: 'two'}])", [1, [True, {"2": "two"}]]),
        ("result = 2 ** 70", 2**70),
        ("import json, math, re\nresult = [json.dumps({}), math.floor(2.5), re.sub('a', 'b', 'aa')]", ["{}", 2, "bb"]),
        ("result = '{{ not_an_expression }} {% nor this %}'", "{{ not_an_expression }} {% nor this %}"),
        ("async def f():\n    return 3\nresult = await f()", 3),
    ],
)
def test_a_script_reads_its_variables_and_gives_its_result(code: str, result: object) -> None:
    given = context(
        input={"n": 4}, parameters={"who": "ada"}, components={"a": {"output": [10, 20]}}, item={"k": "v"}, index=3,
        error={"message": "broken"}, secrets={"key": "s3cr3t"},
    )  # fmt: skip
    assert run("script", {"code": code}, given) == Completed(result)


def test_what_it_changes_stays_in_the_sandbox() -> None:
    given = context(input={"list": [1]})
    assert run("script", {"code": "input['list'].append(2)\nresult = input"}, given) == Completed({"list": [1, 2]})
    assert given.scope["input"] == {"list": [1]}


@pytest.mark.parametrize(
    "name", ["secrets", "item", "index", "error", "execution", "workflow", "context", "__builtins__"]
)
def test_other_names_are_not_there(name: str) -> None:
    assert failed(f"result = {name}").message == f"code, line 1: NameError: name '{name}' is not defined"


@pytest.mark.parametrize(
    "code",
    [
        "result = open('/etc/passwd').read()",
        "open('/tmp/out', 'w').write('x')\nresult = 1",
        "import os\nresult = os.environ['PATH']",
        "import os\nos.system('id')\nresult = 1",
        "import socket\nresult = 1",
        "import subprocess\nresult = 1",
        "import pathlib\nresult = pathlib.Path('/etc/passwd').read_text()",
        "import urllib.request\nresult = 1",
        "import time\ntime.sleep(60)\nresult = 1",
        "import asyncio\nasync def f():\n    await asyncio.sleep(60)\nawait f()\nresult = 1",
        "result = (1).__class__.__bases__[0].__subclasses__()",
    ],
)
def test_there_is_no_way_out(code: str) -> None:
    started = time.monotonic()
    found = failed(code)
    assert (found.code, found.permanent) == (ErrorCode.COMPONENT_ERROR, True)
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("code", "message", "line"),
    [
        ("x = (", "code, line 1: syntax error: unexpected EOF while parsing", 1),
        ("def f():\n    yield 1", "code, line 2: does not yet support yield expressions", 2),
        ("x = 1\n\nx / 0", "code, line 3: ZeroDivisionError: division by zero", 3),
        ("raise ValueError('no such order')", "code, line 1: ValueError: no such order", 1),
        ("x = 1", "code: the script sets no variable called result", None),
        ("result = {1, 2}",
         "code: result cannot be read: TypeError: Object of type set is not JSON serializable", None),
        ("result = float('nan')",
         "code: result cannot be read: ValueError: Out of range float values are not JSON compliant: nan", None),
        ("result = []\nresult.append(result)",
         "code: result cannot be read: ValueError: Circular reference detected", None),
        ("result = 'x' * 20000", "code: result has 20002 bytes as JSON, at most 10000 are stored", None),
        ("x = [0] * 1000\ny = [x] * 1000\nresult = [y] * 1000",
         "code: result cannot be read: it used too much memory", None),
        ("def f():\n    return f()\nresult = f()", "code, line 2: RecursionError: maximum recursion depth exceeded", 2),
        ("result = 10 ** 10 ** 9", "code, line 1: it used too much memory", 1),
        ("result = 'x' * 10 ** 9", "code, line 1: it used too much memory", 1),
        ("x = []\nwhile True:\n    x.append('y' * 1000)", "code: it used too much memory", None),
        ("result = [0] * 10 ** 9", "code, line 1: it used too much memory", 1),
        ("x = 'a,' * 10 ** 7\nresult = x.split(',')", "code: it used too much memory", None),
    ],
)  # fmt: skip
def test_a_bad_script_fails_for_good_and_says_why(code: str, message: str, line: int | None) -> None:
    found = failed(code)
    assert (found.message, found.code, found.permanent) == (message, ErrorCode.COMPONENT_ERROR, True)
    # Where memory runs out is not always known.
    if line is not None:
        assert found.details == {"line": line}


@pytest.mark.parametrize(
    "code",
    [
        "while True: pass",
        "while True:\n    try:\n        while True: pass\n    except BaseException:\n        pass",
        "result = sum(range(10 ** 12))",
        "import re\nresult = [re.match('(a+)+$', 'a' * 5000 + 'b') for _ in range(10 ** 9)]",
    ],
)
def test_a_script_over_its_time_is_ended(code: str) -> None:
    with Stopwatch() as watch:
        found = failed(code, timeout_seconds=0.5)
    assert (found.message, found.code, found.permanent) == (
        "code: it took too long", ErrorCode.TIMEOUT_ERROR, True
    )  # fmt: skip
    assert watch.seconds < 4


def test_memory_is_the_limit_that_was_given() -> None:
    code = "result = len('x' * (90 * 1024 * 1024))"
    assert failed(code).message == "code, line 1: it used too much memory"
    assert run("script", {"code": code, "memory_mb": 128}) == Completed(90 * 1024 * 1024)


def test_what_is_printed_goes_to_the_log_up_to_a_cap() -> None:
    given = context()
    run("script", {"code": "print('one', 2)\nprint('three', end='')\nresult = 1"}, given)
    assert [(line.level, line.message) for line in given.lines] == [("info", "one 2"), ("info", "three")]
    given = context()
    assert run("script", {"code": "for i in range(10 ** 4): print('x' * 99)\nresult = 1"}, given) == Completed(1)
    assert len(given.lines) == 101
    assert {line.message for line in given.lines[:-1]} == {"x" * 99}
    assert given.lines[-1].message == "… the rest of what the script printed is left out"


def test_all_pieces_of_what_is_printed_have_come_when_the_script_returns() -> None:
    for count in (1, 100, 20_000):
        pieces: list[str] = []
        limits = ScriptLimits(seconds=60, memory_bytes=64 * 1024 * 1024, output_bytes=100)
        code = f"for i in range({count}): print(i)\nresult = 1"
        assert run_script(code, {}, limits, pieces.append) == 1
        assert "".join(pieces) == "".join(f"{number}\n" for number in range(count))


def test_what_was_printed_before_a_failure_is_told_too() -> None:
    given = context()
    run("script", {"code": "print('before')\n1 / 0"}, given)
    assert [line.message for line in given.lines] == ["before"]


class Stop(BaseException):
    """What the engine's signal handler raises."""


def test_an_interrupt_ends_the_wait_and_the_process_at_once() -> None:
    def stop(signal_number: int, frame: FrameType | None) -> None:
        raise Stop

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    started = time.monotonic()
    try:
        with pytest.raises(Stop):
            run("script", {"code": "while True: pass", "timeout_seconds": 30})
    finally:
        signal.signal(signal.SIGALRM, before)
    assert time.monotonic() - started < 3
    assert sandboxes() == []


def test_an_interrupt_before_the_wait_ends_the_process_too(monkeypatch: pytest.MonkeyPatch) -> None:
    begin = threading.Thread.start

    def stop(thread: threading.Thread) -> None:
        begin(thread)
        raise Stop

    monkeypatch.setattr(threading.Thread, "start", stop)
    started = time.monotonic()
    with pytest.raises(Stop):
        run("script", {"code": "while True: pass", "timeout_seconds": 30})
    assert time.monotonic() - started < 3
    assert sandboxes() == []


def test_a_killed_worker_leaves_no_sandbox_behind() -> None:
    code = (
        "from tests.unit.components.context import run\n"
        "run('script', {'code': 'while True: pass', 'timeout_seconds': 60})"
    )
    worker = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
    try:
        found = eventually(lambda: sandboxes(psutil.Process(worker.pid)), timeout=20)
    finally:
        worker.kill()
        worker.wait()
    eventually(lambda: not [each for each in found if _lives(each)], timeout=5)


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize(
    ("code", "message", "received"),
    [
        ("a = 1\nb = (", "code, line 2: syntax error: unexpected EOF while parsing", "b = ("),
        (
            "class A(B): pass",
            "code, line 1: does not yet support class inheritance and metaclasses",
            "class A(B): pass",
        ),
    ],
)
def test_code_that_is_none_is_refused_when_saved(code: str, message: str, received: str) -> None:
    spec = parse({"components": [{"id": "c", "type": "script", "config": {"code": code}}]}).components[0]
    (problem,) = check_config(spec, "x")
    assert (problem.field, problem.message, problem.details["received"]) == ("x.config.code", message, received)


def test_checking_code_does_not_run_it() -> None:
    spec = parse({"components": [{"id": "c", "type": "script", "config": {"code": "while True: pass"}}]}).components[0]

    def check() -> float:
        started = time.monotonic()
        assert list(check_config(spec, "x")) == []
        return time.monotonic() - started

    assert min(check() for _ in range(3)) < 1.5


def test_braces_in_code_are_no_expressions() -> None:
    code = "result = '{%s}' % {'a': {'b': 1}}['a'] if '{{' else '{# x'"
    assert report({"components": [{"id": "c", "type": "script", "config": {"code": code}}]}).errors == []


@pytest.mark.parametrize(
    ("code", "reads"),
    [
        ("result = 1", References()),
        ("result = input", References(names=frozenset({"input"}))),
        ("result = parameters['x']", References(names=frozenset({"parameters"}))),
        ("result = components['a-b']['output'], components[ \"c\" ]", References(components=frozenset({"a-b", "c"}))),
        ("result = [components[x] for x in 'ab']", References(all_components=True)),
        ("result = components['a'], list(components)", References(components=frozenset({"a"}), all_components=True)),
    ],
)
def test_what_a_script_reads_is_known_by_its_words(code: str, reads: References) -> None:
    assert Script().reads({"code": code}) == reads


def test_the_type_is_in_the_table() -> None:
    assert isinstance(registry.get("script"), Script)
