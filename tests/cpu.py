"""How much of the processor something takes."""

import time
from collections.abc import Callable


def seconds(call: Callable[[], object]) -> float:
    """The least of three times, in which nothing of other tests is collected as garbage and no thread of theirs ran."""
    return min(_seconds(call) for _ in range(3))


def _seconds(call: Callable[[], object]) -> float:
    began = time.process_time()
    call()
    return time.process_time() - began
