"""Following an execution, a workflow or the system: pages of messages, without a gap or a repeat, as they come."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Hashable
from typing import TypeVar

from django.db import Error as DatabaseError

from accounts.ws_auth import Credential, is_staff, still_good
from executions import hub as topics
from executions import pages
from executions.hub import EVERYBODY, Hub, Topic
from executions.pages import Mark, Page

logger = logging.getLogger(__name__)

T = TypeVar("T")
Place = TypeVar("Place", bound=Hashable)

# Many more than may still name an execution that has ended. Not seconds: while PostgreSQL is away they pass without a
# look, and the next one names what ended before.
_REMEMBER_LOOKS = 30
_PATIENCE_SECONDS = 2.0


class GoneError(Exception):
    """What was followed is not there, or not for this caller, any more."""


async def follow_execution(
    hub: Hub, credential: Credential, execution_id: str, workflow_id: str, after: int
) -> AsyncGenerator[Page]:
    """The pages after a sequence number until the execution has ended. Raises GoneError."""
    with hub.watching(topics.execution(execution_id), right=(workflow_id, credential.user_id)) as watch:
        await hub.ready()
        while True:
            page = await _page(hub, pages.execution_page, execution_id, after, credential)
            if credential not in page.allowed:
                raise GoneError
            after = page.last
            if page.messages:
                yield page
            if page.ended:
                return
            while not page.more:
                subjects, _ = await watch.woken()
                sequence = subjects.get(execution_id)
                if sequence is None or sequence > after:
                    break


async def follow_workflow(hub: Hub, credential: Credential, workflow_id: str) -> AsyncGenerator[Page]:
    """What happens from now on to a workflow and to its executions, until it is deleted. Raises GoneError.

    The first page is empty: it says that the following has begun.
    """
    ended: dict[str, int] = {}
    with hub.watching(topics.workflow(workflow_id), right=(workflow_id, credential.user_id)) as watch:
        began = await hub.ready()
        places = await hub.in_thread(pages.positions_in, workflow_id, began)
        yield Page((), 0, False, False, frozenset({credential}))
        while True:
            subjects, _ = await watch.woken()
            looks = hub.looks
            # What is new; or a late bell of what ended before this began.
            marks = [
                Mark(subject_id, places[subject_id]) if subject_id in places else Mark(subject_id, after_row=began)
                for subject_id, sequence in subjects.items()
                if sequence is None or sequence > places.get(subject_id, 0)
            ]
            while marks:
                news = await _page(hub, pages.workflow_news, workflow_id, tuple(marks), credential)
                if credential not in news.allowed:
                    raise GoneError
                for subject_id, part in news.parts.items():
                    if part.found:
                        places[subject_id] = part.last
                    if part.found and part.ended:
                        ended[subject_id] = hub.looks
                if news.messages:
                    yield news.page
                if news.page.ended:
                    return
                marks = [
                    Mark(mark.subject_id, places[mark.subject_id]) if mark.subject_id in news.parts else mark
                    for mark in marks
                    if mark.subject_id not in news.parts or news.parts[mark.subject_id].more
                ]
            _forget(ended, places, looks)


async def follow_system(hub: Hub, credential: Credential, *, staff: bool) -> AsyncGenerator[Page]:
    """Notifications: the ends of executions of one's own workflows, and what everybody is told; staff, alerts too.

    The first page is empty, as above. Raises GoneError when the caller is no longer what they were.
    """
    told: dict[str, int] = {}
    wanted: list[Topic] = [topics.owner(credential.user_id), EVERYBODY]
    with hub.watching(*wanted, *([topics.STAFF] if staff else [])) as watch:
        alerts = tuple(hub.alerts.values()) if staff else ()
        await hub.ready()
        yield Page((), 0, False, False, frozenset({credential}))
        if alerts:
            yield Page(alerts, 0, False, False, frozenset({credential}))
        while True:
            subjects, messages = await watch.woken()
            looks = hub.looks
            if messages:
                if not await _may_be_told(hub, credential, staff):
                    raise GoneError
                yield Page(tuple(messages), 0, False, False, frozenset({credential}))
            for subject_id in subjects:
                if subject_id in told:
                    continue
                page = await _page(hub, pages.notification_page, subject_id, 0, credential)
                told[subject_id] = hub.looks
                if credential in page.allowed:
                    yield page
            _forget(told, {}, looks)


async def _page(
    hub: Hub,
    read: Callable[[str, Place, frozenset[Credential]], T],
    subject_id: str,
    place: Place,
    credential: Credential,
) -> T:
    """A page, however long PostgreSQL is away."""
    while True:
        try:
            return await hub.page(read, subject_id, place, credential)
        except DatabaseError as error:
            logger.warning("A live view waits: %s", type(error).__name__, extra={"action": "live_waits"})
            await asyncio.sleep(1)


async def _may_be_told(hub: Hub, credential: Credential, staff: bool) -> bool:
    try:
        return await asyncio.wait_for(hub.in_thread(_is_what_it_was, credential, staff), _PATIENCE_SECONDS)
    except (DatabaseError, TimeoutError):
        # PostgreSQL is away, which is what staff are to be told.
        return not credential.has_expired


def _is_what_it_was(credential: Credential, staff: bool) -> bool:
    return bool(still_good({credential})) and (not staff or is_staff(credential.user_id))


def _forget(ended: dict[str, int], places: dict[str, int], looks: int) -> None:
    """Let go of what ended many looks before those that have been answered; the first to end comes first."""
    while ended and ended[first := next(iter(ended))] < looks - _REMEMBER_LOOKS:
        del ended[first]
        places.pop(first, None)
