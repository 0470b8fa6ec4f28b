"""A pass over things of which each must be seen to: one that fails or is held keeps none of the others from it."""

import logging
import random
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from core.connections import is_away, is_held

logger = logging.getLogger(__name__)

Thing = TypeVar("Thing")
Result = TypeVar("Result")

# The keeper has leases to renew, and comes again.
PASS_SECONDS = 2.0


def see_to_each(
    name: str,
    things: Sequence[Thing],
    see_to: Callable[[Thing], Result],
    *,
    whose: Callable[[Thing], str],
    seconds: float | None = None,
) -> list[Result]:
    """What `see_to` gives for one thing after another, until so many seconds have passed (None: PASS_SECONDS).

    In no order, so that not always the same come first. One that fails is logged, one that waits for a lock too long
    (`patient_for`) is left for the next pass, and with either what else belongs to `whose`: the id of an execution or
    an account. Raises DatabaseError where PostgreSQL is away. Forbids a transaction if `see_to` does.
    """
    ends_at = time.monotonic() + (PASS_SECONDS if seconds is None else seconds)
    left, results = set[str](), list[Result]()
    for thing in random.sample(things, len(things)):
        if time.monotonic() > ends_at:
            break
        if whose(thing) in left:
            continue
        try:
            results.append(see_to(thing))
        except Exception as error:
            left.add(whose(thing))
            if is_held(error):
                logger.warning("Sweep waits for a lock: %s", name, extra={"action": "sweep_waits"})
            elif is_away(error):
                raise
            else:
                logger.exception("Sweep failed: %s, of %s", name, whose(thing), extra={"action": "sweep_failed"})
    return results
