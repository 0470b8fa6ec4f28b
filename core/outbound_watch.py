"""What is told of a call to a user's address: how it ended and how long it took, and nothing of what it said."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from core import measures
from core.outbound_policy import OutboundError


class Watched:
    """One call. `status_code` is that of its last answer."""

    status_code: int | None = None


@contextmanager
def watched() -> Iterator[Watched]:
    """Counts the call in the block by its end: the class of the status, or what kept it from having one."""
    call = Watched()
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
