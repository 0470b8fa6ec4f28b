"""Spans by OpenTelemetry's SDK, to a collector by OTLP over HTTP. Loaded only where `core.tracing` is turned on.

A collector that is away, or slow, costs nothing but the spans: they wait in a bounded queue, from which a thread of
the SDK's sends them, and the newest are dropped when it is full.
"""

import atexit
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from threading import Lock, Thread

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from core.ids import to_uuid
from core.tracing import Facts

_SEND_SECONDS = 1.0
# Of one attempt to send, and of all of a process's last ones.
_EXPORT_SECONDS, _CLOSE_SECONDS = 5, 2.0
_QUEUE = 4096
_KINDS = {
    "internal": SpanKind.INTERNAL,
    "server": SpanKind.SERVER,
    "client": SpanKind.CLIENT,
    "producer": SpanKind.PRODUCER,
    "consumer": SpanKind.CONSUMER,
}
_HEADER = "traceparent"
_propagator = TraceContextTextMapPropagator()

# The ids that the next span is to have: of its trace, where it has no parent, and its own.
_wanted: ContextVar[tuple[int, int] | None] = ContextVar("wanted_ids", default=None)


class _Ids(RandomIdGenerator):
    """Random, but for the span of an execution, whose ids follow from the execution's."""

    def generate_span_id(self) -> int:
        wanted = _wanted.get()
        return super().generate_span_id() if wanted is None else wanted[1]

    def generate_trace_id(self) -> int:
        wanted = _wanted.get()
        return super().generate_trace_id() if wanted is None else wanted[0]


class _Span:
    def __init__(self, span: trace.Span) -> None:
        self._span = span

    def set(self, name: str, value: str | int) -> None:
        self._span.set_attribute(name, value)

    def rename(self, name: str) -> None:
        self._span.update_name(name)

    def fail(self, word: str) -> None:
        self._span.set_status(Status(StatusCode.ERROR, word))


class Backend:
    """What `core.tracing` does, where it does anything. Each process has its own queue and thread."""

    def __init__(self, endpoint: str, version: str) -> None:
        self._endpoint, self._version = endpoint, version
        self._lock = Lock()
        self._provider: TracerProvider | None = None
        atexit.register(self.close)
        os.register_at_fork(after_in_child=self._begin_anew)

    def _begin_anew(self) -> None:
        self._lock = Lock()
        self._provider = None

    def _tracer(self) -> trace.Tracer:
        with self._lock:
            if self._provider is None:
                self._provider = _provider(self._endpoint, self._version)
            return self._provider.get_tracer("apg", self._version)

    @contextmanager
    def span(self, name: str, kind: str, parent: str | None, facts: Facts) -> Iterator[_Span]:
        """Raises nothing of its own. What the block raises ends the span as failed, by the name of its class."""
        context = None if parent is None else _context(parent)
        with self._tracer().start_as_current_span(
            name,
            context,
            kind=_KINDS[kind],
            attributes=dict(facts),
            record_exception=False,
            set_status_on_exception=False,
        ) as opened:
            span = _Span(opened)
            try:
                yield span
            except BaseException as error:
                span.fail(type(error).__name__)
                raise

    def current_traceparent(self) -> str:
        """As the header has it."""
        carrier: dict[str, str] = {}
        _propagator.inject(carrier)
        return carrier.get(_HEADER, "")

    def current_trace_id(self) -> str:
        """Hexadecimal."""
        context = trace.get_current_span().get_span_context()
        return trace.format_trace_id(context.trace_id) if context.is_valid else ""

    def of_execution(self, execution_id: str, accepted_in: str) -> str:
        """The execution's own span is told at its end only, so its ids follow from the execution's."""
        outer = trace.get_current_span(_context(accepted_in)).get_span_context()
        trace_id, span_id = _ids(execution_id)
        if outer.is_valid:
            return _text(outer.trace_id, span_id, sampled=outer.trace_flags.sampled)
        self._tracer()
        assert self._provider is not None, "just made"
        decision = self._provider.sampler.should_sample(None, trace_id, "execution").decision
        sampled = decision is Decision.RECORD_AND_SAMPLE
        return _text(trace_id, span_id, sampled=sampled)

    def execution_ended(self, execution_id: str, accepted_in: str, start: datetime, end: datetime, status: str) -> None:
        """A span of the past."""
        token = _wanted.set(_ids(execution_id))
        try:
            span = self._tracer().start_span(
                "execution",
                _context(accepted_in),
                attributes={"apg.execution_id": execution_id, "apg.status": status},
                start_time=_nanoseconds(start),
            )
        finally:
            _wanted.reset(token)
        if status == "failed":
            span.set_status(Status(StatusCode.ERROR, status))
        span.end(_nanoseconds(end))

    def close(self) -> None:
        """Send what there is; a collector that does not answer keeps nobody from ending."""
        with self._lock:
            provider, self._provider = self._provider, None
        if provider is not None:
            last = Thread(target=provider.shutdown, daemon=True, name="spans")
            last.start()
            last.join(_CLOSE_SECONDS)


def _provider(endpoint: str, version: str) -> TracerProvider:
    exporter = OTLPSpanExporter(endpoint=endpoint.rstrip("/") + "/v1/traces", timeout=_EXPORT_SECONDS)
    resource = Resource.create(
        {
            "service.name": os.environ.get("OTEL_SERVICE_NAME", "apg"),
            "service.version": version,
            "service.instance.id": f"{platform.node()}:{os.getpid()}",
        }
    )
    provider = TracerProvider(resource=resource, id_generator=_Ids(), shutdown_on_exit=False)
    processor = BatchSpanProcessor(exporter, max_queue_size=_QUEUE, schedule_delay_millis=_SEND_SECONDS * 1000)
    provider.add_span_processor(processor)
    return provider


def _context(traceparent: str) -> Context:
    """Of a traceparent; one that cannot be read, or "", is none."""
    return _propagator.extract({_HEADER: traceparent}, Context())


def _ids(execution_id: str) -> tuple[int, int]:
    """(trace, span): the whole id, and its random half."""
    number = to_uuid(execution_id).int
    return number, number & (2**64 - 1)


def _text(trace_id: int, span_id: int, *, sampled: bool) -> str:
    return f"00-{trace_id:032x}-{span_id:016x}-{int(sampled):02x}"


def _nanoseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000) * 1000
