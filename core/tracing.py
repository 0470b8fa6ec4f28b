"""Spans of what the platform does, for an OpenTelemetry collector; nothing at all unless an address of one is set.

A trace goes from the request over the execution and the attempts of its components to the calls that these make, over
web and worker processes. What connects them is kept with the execution: `traceparent` (W3C Trace Context), of whatever
was going on when it was accepted. Spans tell ids, types and outcomes; never parameters, outputs, paths, queries or
texts of errors.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from importlib import import_module
from types import TracebackType
from typing import Any, Literal, Protocol

Kind = Literal["internal", "server", "client", "producer", "consumer"]
Facts = Mapping[str, str | int]


class Span(Protocol):
    """What happens in a block."""

    def set(self, name: str, value: str | int) -> None:
        """One more fact of it."""

    def rename(self, name: str) -> None:
        """Its name, where that is only known later."""

    def fail(self, word: str) -> None:
        """It did not go well; a word for how, which is no text of an error."""


class _Nothing:
    """The span where nobody asked for any."""

    def set(self, name: str, value: str | int) -> None:
        pass

    def rename(self, name: str) -> None:
        pass

    def fail(self, word: str) -> None:
        pass

    def __enter__(self) -> "_Nothing":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        pass


_NOTHING = _Nothing()


_backend: Any = None


def turn_on(endpoint: str, version: str) -> None:
    """From now on there are spans, sent to the collector at this address (OTLP over HTTP, without /v1/traces)."""
    global _backend  # noqa: PLW0603 - one a process
    # By name, so that nothing of OpenTelemetry is loaded, or need be there, where nobody wants spans.
    _backend = import_module("core.tracing_sdk").Backend(endpoint, version)


def enabled() -> bool:
    """Whether anybody wants spans."""
    return _backend is not None


def span(
    name: str, *, kind: Kind = "internal", parent: str | None = None, facts: Facts | None = None
) -> AbstractContextManager[Span]:
    """What happens in the block, as part of `parent` (a traceparent, "" for none; None: of the block around it)."""
    if _backend is None:
        return _NOTHING
    opened: AbstractContextManager[Span] = _backend.span(name, kind, parent, facts or {})
    return opened


def current_traceparent() -> str:
    """The header that makes what is called from here a part of the block; "" outside one."""
    return str(_backend.current_traceparent()) if _backend is not None else ""


def current_trace_id() -> str:
    """The trace that this is part of, 32 hexadecimal digits; "" outside one."""
    return str(_backend.current_trace_id()) if _backend is not None else ""


def of_execution(execution_id: str, accepted_in: str) -> str:
    """The traceparent of an execution; `accepted_in` is the one that was kept with it, "" if there was none."""
    return str(_backend.of_execution(execution_id, accepted_in)) if _backend is not None else ""


def execution_ended(execution_id: str, accepted_in: str, *, start: datetime, end: datetime, status: str) -> None:
    """The span of a whole execution, told when it has ended, by whoever ended it."""
    if _backend is not None:
        _backend.execution_ended(execution_id, accepted_in, start, end, status)


def close() -> None:
    """Send what there is, within two seconds, before the process ends."""
    if _backend is not None:
        _backend.close()
