"""script: a piece of Python in a sandbox, for what expressions are too short for."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from core.errors import ErrorCode, Problem
from core.types import JSONObject, JSONValue
from workflows.components.base import Completed, Component, Context, Failed, Kind, Outcome
from workflows.components.control import ANY, object_schema
from workflows.components.sandbox import ScriptError, ScriptLimits, run_script, syntax_error
from workflows.expressions import References
from workflows.schemas import received

DEFAULT_TIMEOUT_SECONDS = 5
DEFAULT_MEMORY_MB = 64
MAX_CODE_CHARS = 100_000
MAX_PRINTED_CHARS = 10_000
MAX_PRINTED_LINES = 100
MAX_MESSAGE_CHARS = 1_000
# What a script sees of the scope. Secrets are not among it: code could take them apart, past every redaction.
_VARIABLES = ("input", "parameters", "components")
_OPTIONAL_VARIABLES = ("item", "index", "error")
_WORDS = re.compile(r"[A-Za-z_]\w*")
_COMPONENT = re.compile(r"""\bcomponents\s*\[\s*(?:"([\w-]+)"|'([\w-]+)')\s*\]""")


class Script(Component):
    """A Python script whose variable `result` is the output."""

    type: ClassVar = "script"
    name: ClassVar = "Script"
    description: ClassVar = "Runs a Python script in a sandbox without files, network and secrets"
    category: ClassVar = "data"
    kind: ClassVar = Kind.SCRIPT
    pure: ClassVar = True
    verbatim: ClassVar[frozenset[str]] = frozenset({"code"})
    config_schema: ClassVar[JSONObject] = object_schema(
        {
            "code": {
                "title": "Code",
                "description": "A subset of Python 3; reads input, parameters and components, and sets result",
                "type": "string",
                "minLength": 1,
                "maxLength": MAX_CODE_CHARS,
                "examples": ["result = [row['name'].title() for row in input['rows']]"],
            },
            "timeout_seconds": {
                "title": "Time limit",
                "description": "Seconds that the script may run",
                "type": "number",
                "exclusiveMinimum": 0,
                "maximum": 60,
                "default": DEFAULT_TIMEOUT_SECONDS,
                "examples": [10],
            },
            "memory_mb": {
                "title": "Memory limit",
                "description": "MiB that the script's data may take, what it reads included",
                "type": "integer",
                "minimum": 8,
                "maximum": 512,
                "default": DEFAULT_MEMORY_MB,
                "examples": [128],
            },
        },
        "code",
    )
    input_schema: ClassVar[JSONObject] = ANY
    output_schema: ClassVar[JSONObject] = {"title": "The value of result"}

    def check(self, config: JSONObject) -> Iterator[Problem]:
        try:
            found = syntax_error(config["code"])
        except ScriptError:
            return  # the sandbox could not be asked; the run says why
        if found is not None:
            details = {"expected": "code of the sandbox's Python", "received": received(_line_of(config, found))}
            yield Problem(_message(found), field="code", details=details)

    def reads(self, config: JSONObject) -> References:
        """By the words in its code: what a script computes cannot be known before it runs."""
        code: str = config["code"]
        words = set(_WORDS.findall(code))
        named = [first or second for first, second in _COMPONENT.findall(code)]
        return References(
            names=frozenset({"parameters", "input"} & words),
            components=frozenset(named),
            all_components=len(named) < code.count("components"),
        )

    def run(self, config: JSONObject, context: Context) -> Outcome:
        printed = _Printed()
        limits = ScriptLimits(
            seconds=config.get("timeout_seconds", DEFAULT_TIMEOUT_SECONDS),
            memory_bytes=config.get("memory_mb", DEFAULT_MEMORY_MB) * 1024 * 1024,
            output_bytes=context.max_output_bytes,
        )
        try:
            return Completed(run_script(config["code"], _variables(context.scope), limits, printed.add))
        except ScriptError as error:
            code = ErrorCode.TIMEOUT_ERROR if error.timed_out else ErrorCode.COMPONENT_ERROR
            details = {} if error.line is None else {"line": error.line}
            return Failed(_message(error), code=code, permanent=error.permanent, details=details)
        finally:
            for line in printed.lines():
                context.log("info", line)


def _variables(scope: Mapping[str, Any]) -> dict[str, JSONValue]:
    known = {name: scope[name] for name in _OPTIONAL_VARIABLES if name in scope}
    return {name: scope[name] for name in _VARIABLES} | known


def _message(error: ScriptError) -> str:
    place = "code" if error.line is None else f"code, line {error.line}"
    text = f"{place}: {error}"
    return text if len(text) <= MAX_MESSAGE_CHARS else text[: MAX_MESSAGE_CHARS - 1] + "…"


def _line_of(config: JSONObject, error: ScriptError) -> str:
    lines: list[str] = config["code"].split("\n")
    return lines[error.line - 1] if error.line is not None and 0 < error.line <= len(lines) else ""


class _Printed:
    """What a script prints, up to a cap."""

    def __init__(self) -> None:
        self._text = ""
        self._cut = False

    def add(self, text: str) -> None:
        self._cut = self._cut or len(self._text) + len(text) > MAX_PRINTED_CHARS
        self._text += text[: MAX_PRINTED_CHARS - len(self._text)]

    def lines(self) -> list[str]:
        lines = self._text.removesuffix("\n").split("\n") if self._text else []
        if self._cut or len(lines) > MAX_PRINTED_LINES:
            return [*lines[:MAX_PRINTED_LINES], "… the rest of what the script printed is left out"]
        return lines
