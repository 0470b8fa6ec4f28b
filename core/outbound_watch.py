"""What is told of a call to a user's address: where to, how it ended and how long it took.

Neither its path nor its query, which may be as secret as a password; nor what was sent or answered.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from core import measures, tracing
from core.outbound_policy import OutboundError, Target
from core.tracing import Span

_TRACE = "traceparent"


class Watched:
    """One call. `status_code` is that of its last answer."""

    def __init__(self, span: Span) -> None:
        self.status_code: int | None = None
        self._span = span

    def goes_to(self, target: Target, headers: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
        """The headers with the one that makes the far end's work part of this trace, unless they say one."""
        self._span.set("server.address", target.host)
        self._span.set("server.port", target.port)
        self._span.set("url.scheme", target.scheme)
        traceparent = tracing.current_traceparent()
        if not traceparent or any(name.lower() == _TRACE for name, _ in headers):
            return headers
        return (*headers, (_TRACE, traceparent))


@contextmanager
def watched(method: str) -> Iterator[Watched]:
    """Counts the call in the block by its end: the class of the status, or what kept it from having one."""
    with tracing.span(method, kind="client", facts={"http.request.method": method}) as span:
        call = Watched(span)
        began = time.perf_counter()
        outcome = "interrupted"
        try:
            yield call
            outcome = f"{call.status_code // 100}xx" if call.status_code else "none"
        except OutboundError as error:
            outcome = error.kind
            raise
        finally:
            measures.OUTBOUND_REQUESTS.count(outcome)
            measures.OUTBOUND_SECONDS.observe(time.perf_counter() - began)
            if call.status_code:
                span.set("http.response.status_code", call.status_code)
            if outcome not in _GOOD:
                span.fail(outcome)


_GOOD = frozenset({"2xx", "3xx"})
