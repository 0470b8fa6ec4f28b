"""Places where the fault suite makes a process die, sleep or fail; without APG_FAILPOINTS they do nothing.

`APG_FAILPOINTS="after_claim=kill:0.05,before_finish=sleep:2"`: an action for a place, and how likely it is (for
`sleep`, the seconds). APG_FAILPOINT_SEED makes the choices repeatable.
"""

import os
import random
import signal
import sys
import time
from collections.abc import Callable

# Every name that the code passes to `failpoint`; sweeps are named `sweep_` and their name.
PLACES = frozenset(
    {
        "after_claim",
        "before_run",
        "after_run",
        "before_finish",
        "after_finish",
        "after_publish",
        "mid_fan_out",
        "before_complete",
        "start_before_commit",
        "start_after_commit",
    }
)


class FailpointError(Exception):
    """A failpoint named in APG_FAILPOINTS raised this on purpose. Unset the variable."""


def failpoint(place: str) -> None:
    """Do what the environment asks for at this place; nothing, unless it names it."""
    action = _actions.get(place)
    if action is not None:
        action()


def parse(text: str, seed: str) -> dict[str, Callable[[], None]]:
    """What `APG_FAILPOINTS` asks for, by place. Raises ValueError for anything it cannot mean."""
    chance = random.Random(f"{seed}:{os.getpid()}" if seed else None)  # noqa: S311 - breaks things, guards nothing
    actions: dict[str, Callable[[], None]] = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        place, _, asked = entry.partition("=")
        if place not in PLACES and not place.startswith("sweep_"):
            raise ValueError(f"APG_FAILPOINTS: there is no failpoint {place[:40]!r}")
        name, _, argument = asked.partition(":")
        actions[place] = _action(place, name, float(argument) if argument else 1.0, chance)
    return actions


def _action(place: str, name: str, argument: float, chance: random.Random) -> Callable[[], None]:
    def fail() -> None:
        raise FailpointError(place)

    def kill() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def leave() -> None:
        sys.stderr.flush()
        os._exit(1)

    if name == "sleep":
        return lambda: time.sleep(argument)
    choices = {"kill": kill, "exit": leave, "raise": fail}
    if name not in choices:
        raise ValueError(f"APG_FAILPOINTS: {place} cannot {name[:40]!r}")
    chosen = choices[name]
    return lambda: chosen() if chance.random() < argument else None


def reload() -> None:
    """Read the environment again; once in each new process, so that forked ones do not all choose alike."""
    _actions.clear()
    _actions.update(parse(os.environ.get("APG_FAILPOINTS", ""), os.environ.get("APG_FAILPOINT_SEED", "")))


_actions: dict[str, Callable[[], None]] = {}
reload()
