"""Who waits for what in this web process: bells wake them, pages are read once for all who ask for the same.

A bell (`events.bells`) names a subject of the ledger. Bells may be lost; so, while anybody watches, a look at the
ledger's end once a second wakes whom they would have. Watchers keep their own place (a sequence number) and read from
there: nothing is queued for a slow one, and nothing can be lost or doubled by what woke them.
"""

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from functools import partial
from typing import Any, Protocol, TypeVar

from channels.layers import get_channel_layer
from django.db import Error as DatabaseError
from django.utils import timezone
from redis.exceptions import RedisError

from accounts.ws_auth import Credential, still_good
from core import measures
from core.connections import drop_dead_connections
from events import bells
from executions import pages
from executions.audience import Audience, Watch
from executions.frames import ENDS
from workflows import access

logger = logging.getLogger(__name__)

T = TypeVar("T")
Place = TypeVar("Place", bound=Hashable)
Topic = tuple[str, str]

LOOK_SECONDS = 1.0
# A transaction that commits longer after it numbered its rows than this, and whose bell was lost, is told with the
# subject's next event.
OVERLAP_SECONDS = 5.0
CHECK_SECONDS = 2.0
# Between two reads of one subject, whoever asks.
_PAUSE_SECONDS = 0.01
# Between two questions whose subjects the bells were about, and how many answers are kept.
_BELLS_SECONDS = 0.025
_MAX_REMEMBERED = 10_000
EVERYBODY: Topic = ("everybody", "")
STAFF: Topic = ("staff", "")


def execution(execution_id: str) -> Topic:
    """What happens to one execution."""
    return "execution", execution_id


def workflow(workflow_id: str) -> Topic:
    """What happens to a workflow and to all of its executions."""
    return "workflow", workflow_id


def owner(user_id: str) -> Topic:
    """The ends of the executions of a user's workflows."""
    return "owner", user_id


class Peer(Protocol):
    """A connection, as the hub looks at it."""

    credential: Credential | None
    sending_since: float | None

    @property
    def subscriptions(self) -> int:
        """How much it watches."""

    async def end(self, code: int) -> None:
        """Close it."""


class Hub:
    """One a process; runs while anybody watches."""

    SLOW_SECONDS = 10.0

    def __init__(self) -> None:
        # What ails the platform now, as staff have been told of it.
        self.alerts: dict[str, str] = {}
        # Since when somebody watches; and what was announced since, of which they have been told.
        self.watched_since = timezone.now()
        self.announced: set[str] = set()
        self._audiences: dict[Topic, Audience] = {}
        # How many topics of each kind are watched.
        self._kinds: Counter[str] = Counter()
        self._peers: set[Peer] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._executor = ThreadPoolExecutor(4, thread_name_prefix="live")
        self._listening = asyncio.Lock()
        self._rung: set[str] = set()
        self._ringing = asyncio.Event()
        # Of the subjects that bells were about lately: (workflow id, owner's id where it was asked for).
        self._whose: dict[str, tuple[str, str | None]] = {}
        self._reads: dict[tuple[Any, ...], _Read] = {}
        self._next_read: dict[str, float] = {}
        # The ledger's ends of the last seconds, the oldest first; empty until the first look.
        self._ends: deque[int] = deque(maxlen=int(OVERLAP_SECONDS / LOOK_SECONDS))
        # How often it has looked.
        self.looks = 0
        self._looking = asyncio.Event()
        self._looked_at: float | None = None
        measures.SOCKETS.tell(lambda: len(self._peers))
        # Copied: the event loop goes on meanwhile.
        measures.SUBSCRIPTIONS.tell(lambda: sum(peer.subscriptions for peer in self._peers.copy()))
        measures.LIVE_LOOK_AGE_SECONDS.tell(lambda: _age(self._looked_at))
        measures.SOCKET_SEND_SECONDS.tell(
            lambda: max((_age(peer.sending_since) for peer in self._peers.copy()), default=0.0)
        )

    # --- who watches

    @contextmanager
    def watching(self, *topics: Topic, right: tuple[str, str] | None = None) -> Iterator[Watch]:
        """A watch of these topics, for as long as the block lasts. Whoever reads after it began misses nothing."""
        watch = Watch(right)
        for topic in topics:
            if topic not in self._audiences:
                self._audiences[topic] = Audience()
                self._kinds[topic[0]] += 1
            self._audiences[topic].watches.add(watch)
        try:
            yield watch
        finally:
            for topic in topics:
                watches = self._audiences[topic].watches
                watches.discard(watch)
                if not watches:
                    del self._audiences[topic]
                    self._kinds[topic[0]] -= 1

    def watched(self, topic: Topic) -> bool:
        """Whether anybody watches it."""
        return topic in self._audiences

    def join(self, peer: Peer) -> None:
        """A connection is open: its credential and its speed are looked at from now on."""
        self._peers.add(peer)
        if not self._tasks:
            self._looked_at = time.monotonic()
            self.watched_since = timezone.now()
            jobs = [self._listen, self._answer_bells, self._look, self._check]
            self._tasks = [asyncio.create_task(self._keep(job)) for job in jobs]
            self._tasks += [asyncio.create_task(self._keep(partial(tell, self))) for tell in sources]

    def leave(self, peer: Peer) -> None:
        """A connection is closed."""
        self._peers.discard(peer)
        if not self._peers:
            for task in self._tasks:
                task.cancel()
            self._tasks = []
            self._looked_at = None
            self.alerts.clear()
            self.announced.clear()
            self._looking.clear()
            self._ends.clear()

    async def ready(self) -> int:
        """Waits until nothing that is written to the ledger from now on is missed; the row from which on bells are
        rung again, and may therefore be heard late.
        """
        await self._looking.wait()
        return self._ends[0]

    def tell(self, topic: Topic, message: str) -> None:
        """Hand a message to everybody who watches a topic."""
        if audience := self._audiences.get(topic):
            for watch in audience.watches:
                watch.hand(message)

    # --- what they read

    async def in_thread(self, read: Callable[..., T], *arguments: Any) -> T:
        """Ask the database, in a thread of the hub's own."""
        # With the request id that is bound here.
        run = partial(copy_context().run, _in_thread, read, arguments)
        return await asyncio.get_running_loop().run_in_executor(self._executor, run)

    async def page(
        self, read: Callable[[str, Place, frozenset[Credential]], T], subject_id: str, place: Place, asker: Credential
    ) -> T:
        """A page of a subject after a place in it, one read for all who ask for the same at the same time."""
        key = (read, subject_id, place)
        waiting = self._reads.get(key)
        if waiting is None or waiting.has_begun:
            waiting = self._reads[key] = _Read()
            waiting.result = asyncio.create_task(self._read(key, waiting))
        waiting.asked.add(asker)
        page: T = await asyncio.shield(waiting.result)
        return page

    async def _read(self, key: tuple[Any, ...], reading: "_Read") -> Any:
        read, subject_id, place = key
        pause = self._next_read.get(subject_id, 0.0) - time.monotonic()
        try:
            if pause > 0:
                await asyncio.sleep(pause)
            reading.has_begun = True
            page = await self.in_thread(read, subject_id, place, frozenset(reading.asked))
        finally:
            if self._reads.get(key) is reading:
                del self._reads[key]
        self._next_read[subject_id] = time.monotonic() + _PAUSE_SECONDS
        for topic in (execution(subject_id), workflow(subject_id)):
            if audience := self._audiences.get(topic):
                audience.was_told(len(page.messages))
        return page

    # --- what wakes them

    def _wake(self, topic: Topic, subject_id: str, sequence: int | None = None) -> None:
        if audience := self._audiences.get(topic):
            audience.wake(subject_id, sequence)

    async def _keep(self, job: Callable[[], Awaitable[None]]) -> None:
        """Run for ever; what fails (PostgreSQL is away, Redis is) is tried again."""
        while True:
            try:
                await job()
            except (DatabaseError, RedisError, OSError) as error:
                logger.warning("Live views wait: %s", type(error).__name__, extra={"action": "live_waits"})
            except Exception:
                logger.exception("Live views failed", extra={"action": "live_failed"})
            await asyncio.sleep(1)

    async def _listen(self) -> None:
        layer = get_channel_layer()
        assert layer is not None
        # A hub that is wanted again at once waits until what it left behind is cleared away.
        async with self._listening:
            try:
                channel = await layer.new_channel()
                await layer.group_add(bells.GROUP, channel)
                while True:
                    bell = await layer.receive(channel)
                    subject_id = bell["subject_id"]
                    # Not said by a process of an earlier release.
                    if bell.get("workflow_id") and subject_id not in self._whose:
                        self._remember(subject_id, bell["workflow_id"], None)
                    self._wake(execution(subject_id), subject_id)
                    self._ring(subject_id)
            finally:
                # Else the layer would keep every bell for a channel that nobody reads.
                await layer.flush()

    def _ring(self, subject_id: str) -> None:
        """Wake who watches the subject's workflow; find out whose it is, where that is not known and asked for.

        Whether it has ended, which its owner is told, is found out at every bell while the owner watches.
        """
        workflow_id, owner_id = self._whose.get(subject_id, (None, None))
        if workflow_id is not None:
            self._wake(workflow(workflow_id), subject_id)
        if owner_id is not None:
            is_asked_for = self.watched(owner(owner_id))
        else:
            is_asked_for = self._kinds["owner"] > 0 or (workflow_id is None and self._kinds["workflow"] > 0)
        if is_asked_for:
            self._rung.add(subject_id)
            self._ringing.set()

    def _remember(self, subject_id: str, workflow_id: str, owner_id: str | None) -> None:
        if len(self._whose) >= _MAX_REMEMBERED:
            self._whose.clear()
        self._whose[subject_id] = workflow_id, owner_id

    async def _answer_bells(self) -> None:
        while True:
            await self._ringing.wait()
            self._ringing.clear()
            rung, self._rung = self._rung, set()
            try:
                found = await self.in_thread(pages.latest, list(rung))
            except DatabaseError:
                self._rung |= rung
                self._ringing.set()
                raise
            for last in found:
                self._remember(last.subject_id, last.workflow_id, last.owner_id)
                self._wake(execution(last.subject_id), last.subject_id, last.sequence)
                self._wake(workflow(last.workflow_id), last.subject_id, last.sequence)
                if last.type in ENDS and last.owner_id is not None:
                    self._wake(owner(last.owner_id), last.subject_id, last.sequence)
            await asyncio.sleep(_BELLS_SECONDS)

    async def _look(self) -> None:
        """Ring the bells of the last seconds again. After a failure it goes on from where it last looked."""
        while True:
            end = await self.in_thread(pages.ledger_end)
            if self._audiences and self._ends and end > self._ends[0]:
                self._rung.update(await self.in_thread(pages.subjects_since, self._ends[0]))
                self._ringing.set()
            self._ends.append(end)
            self.looks += 1
            self._looked_at = time.monotonic()
            self._looking.set()
            now = time.monotonic()
            self._next_read = {subject: at for subject, at in self._next_read.items() if at > now}
            await asyncio.sleep(LOOK_SECONDS)

    async def _check(self) -> None:
        """Close what has lost its credential (contract §8), wake who has lost a right, and end what does not read."""
        checked_at = time.monotonic()
        while True:
            await asyncio.sleep(0.5)
            peers = list(self._peers)
            now = time.monotonic()
            slow = {peer for peer in peers if peer.sending_since and now - peer.sending_since > self.SLOW_SECONDS}
            for peer in slow:
                await peer.end(4408)
            if now - checked_at < CHECK_SECONDS:
                continue
            checked_at = now
            held = {peer: peer.credential for peer in peers if peer.credential is not None and peer not in slow}
            good = await self.in_thread(still_good, set(held.values()))
            for peer, credential in held.items():
                if credential not in good and peer.credential == credential:
                    await peer.end(4401)
            watches = {watch for audience in self._audiences.values() for watch in audience.watches}
            rights = {watch: watch.right for watch in watches if watch.right}
            if rights:
                seen = await self.in_thread(access.seen, set(rights.values()))
                for watch, right in rights.items():
                    if right not in seen:
                        watch.wake(right[0])


class _Read:
    """A page that is being asked for; whoever comes before it has begun shares it."""

    result: "asyncio.Task[Any]"

    def __init__(self) -> None:
        self.asked: set[Credential] = set()
        self.has_begun = False


def _age(moment: float | None) -> float:
    return 0.0 if moment is None else time.monotonic() - moment


def _in_thread(read: Callable[..., T], arguments: tuple[Any, ...]) -> T:
    drop_dead_connections()
    return read(*arguments)


# What else is told, by those who know of it; each runs while the hub does.
sources: list[Callable[[Hub], Coroutine[Any, Any, None]]] = []
_hub: Hub | None = None


def hub() -> Hub:
    """The process's hub. Belongs to the event loop that first asks for it."""
    global _hub  # noqa: PLW0603 - one a process
    if _hub is None:
        _hub = Hub()
    return _hub
