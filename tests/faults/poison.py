"""A plug-in component that misbehaves in every way that the fault matrix names; installed nowhere but here."""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, cast

from core.types import JSONObject
from workflows.components.base import Completed, Component, Context, Failed, Outcome


class Poison(Component):
    """`mode` names the misbehaviour."""

    type = "test_poison"
    name = "Poison"
    description = "Misbehaves"
    category = "test"
    config_schema = {
        "type": "object",
        "required": ["mode"],
        "properties": {"mode": {"type": "string"}, "seconds": {"type": "number"}, "path": {"type": "string"}},
    }
    input_schema = {}
    output_schema = {}

    def run(self, config: JSONObject, context: Context) -> Outcome:
        return MODES[config["mode"]](config, context)


class BadStringError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class UnpicklableError(Exception):
    def __init__(self) -> None:
        super().__init__("locked")
        self.lock = threading.Lock()


def _raise(make: Callable[[], BaseException]) -> Callable[[JSONObject, Context], Outcome]:
    def run(config: JSONObject, context: Context) -> Outcome:
        raise make()

    return run


def _output(make: Callable[[], Any]) -> Callable[[JSONObject, Context], Outcome]:
    return lambda config, context: Completed(make())


def _memory(config: JSONObject, context: Context) -> Outcome:
    held = []
    while True:
        held.append(bytearray(16 * 1024 * 1024))


def _segfault(config: JSONObject, context: Context) -> Outcome:
    ctypes.string_at(0)
    return Completed(None)


def _exit(config: JSONObject, context: Context) -> Outcome:
    os._exit(3)


def _kill(config: JSONObject, context: Context) -> Outcome:
    os.kill(os.getpid(), signal.SIGKILL)
    return Completed(None)


def _loop(config: JSONObject, context: Context) -> Outcome:
    while True:
        pass


def _swallow(config: JSONObject, context: Context) -> Outcome:
    while True:
        try:
            # The poison itself: it stays, whatever is raised into it.
            time.sleep(60)
        except BaseException:
            continue


def _sleep_in_c(config: JSONObject, context: Context) -> Outcome:
    # Keeps the interpreter's lock: no signal handler of Python's runs.
    ctypes.PyDLL(None).usleep(int(config.get("seconds", 60) * 1_000_000))
    return Completed(None)


def _sleep(config: JSONObject, context: Context) -> Outcome:
    """For `seconds`; if there are `again_seconds`, only at the first attempt, and for these at the others."""
    again = context.attempt > 1 and "again_seconds" in config
    time.sleep(config["again_seconds"] if again else config.get("seconds", 1))
    return Completed({"attempt": context.attempt})


def _grandchildren(config: JSONObject, context: Context) -> Outcome:
    """Leave a child, one of its own session, and one whose parent is gone; `seconds`: stay with them."""
    subprocess.Popen(["sleep", "300"])
    subprocess.Popen(["sleep", "300"], start_new_session=True)
    subprocess.run(["sh", "-c", "setsid sleep 300 & exit 0"], check=True)
    time.sleep(config.get("seconds", 0))
    return Completed(None)


def _fork_bomb(config: JSONObject, context: Context) -> Outcome:
    # Bounded, so that a suite whose subject fails does not take the machine with it.
    for _ in range(1500):
        if os.fork() == 0:
            time.sleep(300)
            os._exit(0)
    time.sleep(300)
    return Completed(None)


def _forked_copy(config: JSONObject, context: Context) -> Outcome:
    os.fork()
    return Completed("both return")


def _threads(config: JSONObject, context: Context) -> Outcome:
    for _ in range(100_000):
        threading.Thread(target=time.sleep, args=(300,), daemon=True).start()
    return Completed(None)


def _files(config: JSONObject, context: Context) -> Outcome:
    held = []
    while True:
        held.append(os.open("/dev/null", os.O_RDONLY))


def _leak(config: JSONObject, context: Context) -> Outcome:
    """Leave a thread and many open files, and end well."""
    threading.Thread(target=time.sleep, args=(300,), daemon=True).start()
    for _ in range(100):
        os.open("/dev/null", os.O_RDONLY)
    return Completed({"pid": os.getpid()})


def _pid(config: JSONObject, context: Context) -> Outcome:
    return Completed({"pid": os.getpid()})


def _million_lines(config: JSONObject, context: Context) -> Outcome:
    for number in range(1_000_000):
        context.log("info", f"line {number}")
    return Completed(None)


def _bad_lines(config: JSONObject, context: Context) -> Outcome:
    context.log("info", "x" * 10_000_000)
    context.log("info", "nul \0 and half \ud800")
    context.log("info", "not a number", value=float("nan"), other=cast("Any", object()))
    context.log("info", cast("Any", b"bytes \xff"))
    return Completed(None)


def _stdout(config: JSONObject, context: Context) -> Outcome:
    sys.stdout.write("x" * 1_000_000)
    return Completed(None)


def _deep(config: JSONObject, context: Context) -> Outcome:
    value: list[Any] = []
    for _ in range(5000):
        value = [value]
    return Completed(value)


def _recurse(config: JSONObject, context: Context) -> Outcome:
    return _recurse(config, context)


def _class_name(config: JSONObject, context: Context) -> Outcome:
    raise type("E" * 1_000_000, (Exception,), {})


MODES: dict[str, Callable[[JSONObject, Context], Outcome]] = {
    "memory": _memory,
    "segfault": _segfault,
    "exit": _exit,
    "kill": _kill,
    "loop": _loop,
    "swallow": _swallow,
    "sleep_in_c": _sleep_in_c,
    "sleep": _sleep,
    "grandchildren": _grandchildren,
    "fork_bomb": _fork_bomb,
    "forked_copy": _forked_copy,
    "threads": _threads,
    "files": _files,
    "leak": _leak,
    "pid": _pid,
    "million_lines": _million_lines,
    "bad_lines": _bad_lines,
    "stdout": _stdout,
    "deep": _deep,
    "recurse": _recurse,
    "class_name": _class_name,
    "memory_error": _raise(MemoryError),
    "system_exit": _raise(lambda: SystemExit(0)),
    "keyboard_interrupt": _raise(KeyboardInterrupt),
    "generator_exit": _raise(GeneratorExit),
    "bad_str": _raise(BadStringError),
    "huge_message": _raise(lambda: ValueError("x" * 10_000_000)),
    "surrogate_message": _raise(lambda: ValueError("\ud800\0")),
    "unpicklable": _raise(UnpicklableError),
    "failed_huge": lambda config, context: Failed("x" * 10_000_000, details={"deep": ["y" * 10_000_000]}),
    "failed_bad": lambda config, context: Failed("nul \0 half \udfff", details={"a": cast("Any", object())}),
    "no_outcome": lambda config, context: cast("Any", "text"),
    "huge_output": _output(lambda: "x" * 100_000_000),
    "nan": _output(lambda: [float("nan"), float("inf")]),
    "nul": _output(lambda: {"a\0b": "c\0d"}),
    "surrogate": _output(lambda: "half \ud800"),
    "bytes": _output(lambda: b"\xff\xfe"),
    "huge_integer": _output(lambda: 10**100_000),
    "object": _output(object),
}
