"""A reader with a cursor of its own: every event of its kinds, in the order of their numbers over all partitions."""

import asyncio
import uuid

import structlog

from market_scraper.domain.errors import BusUnreachable, ReaderLost
from market_scraper.domain.events import key_of
from market_scraper.event_bus.redis.inbox import RedisInbox
from market_scraper.event_bus.redis.link import FOLLOW, UNFOLLOW, Delays, Link
from market_scraper.event_bus.redis.member import AT_ONCE, Patience
from market_scraper.event_bus.redis.reading import Unreadable, envelopes_of
from market_scraper.event_bus.redis.wakes import Wakes

log = structlog.get_logger(__name__)


class Follower:
    """Run `run` as a task between `join` and `leave`."""

    def __init__(
        self,
        kinds: frozenset[type],
        size: int,
        *,
        link: Link,
        wakes: Wakes,
        inbox: RedisInbox,
        patience: Patience,
        delays: Delays,
        unreadable: Unreadable,
    ) -> None:
        self.inbox = inbox
        self._name = uuid.uuid4().hex
        self._kinds = sorted(kind.__name__ for kind in kinds)
        self._size = size
        self._link = link
        self._wakes = wakes
        self._patience = patience
        self._delays = delays
        self._unreadable = unreadable
        self._cursor = 0
        self._look = asyncio.Event()
        self._has_more = False
        inbox.on_room = self._go_on

    async def join(self) -> None:
        """Begin behind everything; from here on nothing is missed."""
        name, away_ms = self._name, round(self._patience.reader_s * 1000)
        self._cursor, newest, *_ = await self._link.insist(FOLLOW, name, away_ms, 0, "", *self._kinds)
        self._wakes.newest_seq = max(self._wakes.newest_seq, newest)
        self._wakes.add(self._look.set)

    async def leave(self) -> None:
        """Let go of what is unread; raises BusUnreachable."""
        await self._link.ask(UNFOLLOW, self._name)

    def end(self) -> None:
        """Give no more events."""
        self._wakes.remove(self._look.set)
        self.inbox.end(RuntimeError("this inbox was left"))

    def beat(self) -> None:
        """Say to the server, soon, that we live: a question for more says so."""
        self._look.set()

    async def run(self) -> None:
        """Read until cancelled, or until the server has given us up: then the inbox says so."""
        waits = self._delays()
        while True:
            self._look.clear()
            try:
                self._has_more = await self._read()
            except ReaderLost as error:
                log.error("reader_lost", follower=self._name, reason=str(error))
                self.inbox.end(error)
                return
            except BusUnreachable:
                await self._link.clock.sleep(next(waits))
                continue
            waits = self._delays()
            if not self._has_more or self.inbox.unread >= self._size:
                await self._look.wait()

    def _go_on(self) -> None:
        if self._has_more:
            self._look.set()

    async def _read(self) -> bool:
        room = max(0, min(AT_ONCE, self._size - self.inbox.unread))
        away_ms = round(self._patience.reader_s * 1000)
        answer = await self._link.ask(FOLLOW, self._name, away_ms, room, self._cursor, *self._kinds)
        if answer[0] == -1:
            raise ReaderLost("a follower was away beyond its deadline: events were given up")
        cursor, newest, more, flat = answer
        read, unreadable = await envelopes_of(None, flat, attempt=1, key_of_event=key_of)
        for seq, data, reason in unreadable:
            log.error("event_unreadable", seq=seq, reason=reason)
            try:
                await self._unreadable(data, reason)
            except Exception as error:  # the groups keep it too; a follower must go on
                log.error("unreadable_event_not_kept", seq=seq, exc_info=error)
        self._cursor = cursor
        self._wakes.newest_seq = max(self._wakes.newest_seq, newest)
        self.inbox.put(read)
        return bool(more)
