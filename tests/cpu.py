"""How much of the processor something takes."""

import time
from collections.abc import Callable


def assert_within(limit: float, call: Callable[[], object]) -> None:
    """It takes less than so many seconds of the processor, at least once in ten times.

    At the others, what other tests left may be collected, or threads of theirs and neighbours of the machine have
    their part.
    """
    took: list[float] = []
    while not took or (took[-1] >= limit and len(took) < 10):
        began = time.process_time()
        call()
        took.append(time.process_time() - began)
    assert took[-1] < limit, f"{min(took):.3f} s at the least, more than {limit} s allow"
