"""The sandbox of the script component: one process for each run, and no way out of it but its result.

The interpreter (pydantic-monty) is a Python of its own in a process of its own: it has no files, no network and no
host functions, and counts its time and memory itself. Starting it takes about 30 ms, most of that for the leash.
"""

import contextlib
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import psutil
import pydantic_monty
from pydantic_monty._binary import find_monty_binary

from core.types import JSONValue

T = TypeVar("T")

MAX_CALL_DEPTH = 200
# The process may take this long to stop by itself, and to hand its result over.
_GRACE_SECONDS = 2.0
_NAME = "apg-script"
_OVER_TIME = "feed time limit exceeded"
# The result leaves as text: what the host reads is JSON, and no longer than the sandbox's memory.
_RESULT = "import json as _json\n_json.dumps(result, allow_nan=False)"
# Whatever is parsed is parsed as a whole before its first line runs, and this line ends it.
_STOP = "raise StopIteration\n"
# Linux ends the process with the one that started it (prctl PR_SET_PDEATHSIG, SIGKILL): a killed worker must not
# leave an endless loop behind. The name in front tells our process from others.
_LEASH = """#!{python} -IS
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 9)
if os.getppid() == {parent}:
    os.execv({binary!r}, [{name!r}, *sys.argv[1:]])
"""


class ScriptError(Exception):
    """The script did not reach a result. `line` counts from 1; `timed_out`: it took too long.

    `permanent` is false where the sandbox itself was lost, which another attempt may cure.
    """

    def __init__(
        self, message: str, *, line: int | None = None, timed_out: bool = False, permanent: bool = True
    ) -> None:
        super().__init__(message)
        self.line = line
        self.timed_out = timed_out
        self.permanent = permanent


@dataclass(frozen=True, slots=True)
class ScriptLimits:
    """What one run may take."""

    seconds: float
    memory_bytes: int
    output_bytes: int


_CHECK_LIMITS = ScriptLimits(seconds=2, memory_bytes=64 * 1024 * 1024, output_bytes=0)


def run_script(
    code: str, variables: Mapping[str, JSONValue], limits: ScriptLimits, on_print: Callable[[str], None]
) -> JSONValue:
    """The value of `result` after the script. Raises ScriptError.

    The calling thread waits in Python, so that a signal's exception ends the wait; the process ends with it.
    `on_print` gets what is printed, in pieces, on another thread, and not after the return.
    """
    with _leash() as binary:
        text = _in_sandbox(lambda session: _result(session, code, variables, on_print), limits, binary)
    size = len(text.encode("utf-8", errors="surrogatepass"))
    if size > limits.output_bytes:
        raise ScriptError(f"result has {size} bytes as JSON, at most {limits.output_bytes} are stored")
    value: JSONValue = json.loads(text)
    return value


@lru_cache(maxsize=1024)
def syntax_error(code: str) -> ScriptError | None:
    """Why the code is none of the sandbox's language, or None; nothing of it is run."""

    def parse(session: pydantic_monty.MontySession) -> ScriptError | None:
        try:
            session.feed_run(_STOP + code)
        except pydantic_monty.MontySyntaxError as error:
            return ScriptError(f"syntax error: {error}", line=_line(error, before=1))
        except pydantic_monty.MontyRuntimeError as error:
            if isinstance(error.exception(), NotImplementedError):
                return ScriptError(_reason(error), line=_line(error, before=1))
        return None

    return _in_sandbox(parse, _CHECK_LIMITS, None)


def _result(
    session: pydantic_monty.MontySession,
    code: str,
    variables: Mapping[str, JSONValue],
    on_print: Callable[[str], None],
) -> str:
    try:
        session.feed_run(code, inputs=dict(variables), print_callback=lambda _, text: on_print(text))
    except pydantic_monty.MontySyntaxError as error:
        raise ScriptError(f"syntax error: {error}", line=_line(error)) from None
    except pydantic_monty.MontyRuntimeError as error:
        raise ScriptError(_reason(error), line=_line(error), timed_out=_OVER_TIME in str(error)) from None
    try:
        text = session.feed_run(_RESULT)
    except pydantic_monty.MontyRuntimeError as error:
        if isinstance(error.exception(), NameError):
            raise ScriptError("the script sets no variable called result") from None
        raise ScriptError(f"result cannot be read: {_reason(error)}", timed_out=_OVER_TIME in str(error)) from None
    if not isinstance(text, str):
        raise ScriptError("result cannot be read as JSON")
    return text


def _reason(error: pydantic_monty.MontyRuntimeError) -> str:
    text = str(error)
    if _OVER_TIME in text:
        return "it took too long"
    if text.startswith("MemoryError: ") and "memory limit" in text:
        return "it used too much memory"
    return text.removeprefix("NotImplementedError: The monty syntax parser ") if "monty syntax" in text else text


def _line(error: pydantic_monty.MontySyntaxError | pydantic_monty.MontyRuntimeError, *, before: int = 0) -> int | None:
    """The line of the script, the innermost one; `before` lines stand in front of it."""
    frames = error.traceback()
    return frames[-1].line - before if frames else None


def _in_sandbox(work: Callable[[pydantic_monty.MontySession], T], limits: ScriptLimits, binary: str | None) -> T:
    """What `work` makes of a fresh session; the process has ended when this returns or raises."""
    answer: Future[T] = Future()
    try:
        with (
            pydantic_monty.Monty(
                binary_path=binary, max_processes=1, request_timeout=limits.seconds + _GRACE_SECONDS
            ) as pool,
            pool.checkout(
                limits={
                    "max_feed_duration_secs": limits.seconds,
                    "max_memory": limits.memory_bytes,
                    "max_recursion_depth": MAX_CALL_DEPTH,
                },
                # Sleeping would not count as time; `delay` waits without a worker.
                os_policy={"sleep": "call_host"},
            ) as session,
        ):
            thread = threading.Thread(target=_answer, args=(answer, work, session), daemon=True)
            try:
                thread.start()
                return answer.result()
            finally:
                # Interrupted: the session cannot be left while its process works.
                if not answer.done():
                    _kill_children()
                with contextlib.suppress(RuntimeError):  # it has not begun
                    thread.join(_GRACE_SECONDS)
    except FileNotFoundError:
        raise ScriptError("the sandbox is not installed on this worker", permanent=False) from None
    except pydantic_monty.MontyCrashedError as error:
        if error.timed_out:
            raise ScriptError("it took too long", timed_out=True) from None
        raise ScriptError("the sandbox ended unexpectedly", permanent=False) from None
    except pydantic_monty.MontyError as error:
        raise ScriptError(str(error)) from None


def _answer(
    answer: "Future[T]", work: Callable[[pydantic_monty.MontySession], T], session: pydantic_monty.MontySession
) -> None:
    try:
        answer.set_result(work(session))
    except BaseException as error:  # handed to the caller's thread, which raises it
        answer.set_exception(error)


def _kill_children() -> None:
    """End the sandbox of this process, wherever it is in its work; a worker's process runs one at a time."""
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess):
            if child.cmdline()[:1] == [_NAME]:
                child.kill()


@contextlib.contextmanager
def _leash() -> Iterator[str | None]:
    """The program that starts the sandbox so that it ends with this process; a file in memory (Linux)."""
    if not sys.platform.startswith("linux"):
        yield None  # there, the time limit alone ends what a killed worker leaves behind
        return
    descriptor = os.memfd_create("leash")
    try:
        text = _LEASH.format(python=sys.executable, parent=os.getpid(), binary=find_monty_binary(), name=_NAME)
        os.write(descriptor, text.encode())
        yield f"/proc/{os.getpid()}/fd/{descriptor}"
    finally:
        os.close(descriptor)
