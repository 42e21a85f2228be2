"""The bus on Redis Streams: publishers, readers and leases of one process, over one link."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Self

import structlog

from market_scraper.domain.errors import BusUnreachable, Fenced
from market_scraper.domain.events import Event
from market_scraper.event_bus.group import Counters, DeadLetter
from market_scraper.event_bus.memory import forget
from market_scraper.event_bus.numbers import BLOCK, Reserve
from market_scraper.event_bus.redis.acks import Acks
from market_scraper.event_bus.redis.address import RedisAddress
from market_scraper.event_bus.redis.follower import Follower
from market_scraper.event_bus.redis.inbox import RedisInbox
from market_scraper.event_bus.redis.lease import RedisLease
from market_scraper.event_bus.redis.link import BEHIND, JOIN, Delays, Link
from market_scraper.event_bus.redis.member import AHEAD, Member, Patience
from market_scraper.event_bus.redis.publisher import Fence, Publisher
from market_scraper.event_bus.redis.reading import Unreadable, forget_bytes
from market_scraper.event_bus.redis.retained import retained
from market_scraper.event_bus.redis.upkeep import Upkeep
from market_scraper.event_bus.redis.wakes import Wakes
from market_scraper.ports.bus import Bus, Envelope, Inbox
from market_scraper.ports.clock import Clock
from market_scraper.ports.lease import Lease

log = structlog.get_logger(__name__)

LONGEST = 200_000
"""Events in one partition from which on publishers wait, whoever has not read them: some 60 MB of position facts."""

GOODBYE_S = 2.0
"""How long leaving waits for the last acknowledgements; what is not acknowledged then comes again."""


class RedisBus:
    """Implements `ports.bus.Bus` and `ports.lease.LeasedBus`. Open it (`async with`) before use.

    `clock` runs in real time. While Redis is away publishers wait and readers have nothing; nothing raises but opening
    (BusUnreachable). A group that nobody reads keeps its events, and holds up publishers only when a partition gets
    `longest`; a reader that is away for `patience.reader_s` is given up: its inbox then raises ReaderLost.
    """

    def __init__(
        self,
        address: RedisAddress,
        reserve: Reserve,
        *,
        clock: Clock,
        delays: Delays,
        dead_letter: DeadLetter = forget,
        unreadable: Unreadable = forget_bytes,
        namespace: str = "market-scraper",
        patience: Patience | None = None,
        lease_s: float = 4.0,
        block: int = BLOCK,
        longest: int = LONGEST,
    ) -> None:
        self._link = Link(address, namespace, clock, delays)
        self._delays = delays
        self._dead_letter = dead_letter
        self._unreadable = unreadable
        self._patience = patience or Patience()
        self._lease_s = lease_s
        self._counters = Counters()
        self._wakes = Wakes(self._link, delays)
        self._acks = Acks(self._link)
        self._publisher = Publisher(
            self._link, self._wakes, reserve, self._counters, delays, block=block, longest=longest
        )
        self._upkeep = Upkeep(self._link, self._acks, beat_s=self._patience.member_s / 3)
        self._groups: dict[str, tuple[frozenset[type], int, int]] = {}  # kinds, size, members here
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        await self._link.open()
        try:
            await self._publisher.open()
        except BaseException:
            await self._link.close()
            raise
        for name, run in (
            ("wakes", self._wakes.run),
            ("acks", self._acks.run),
            ("publisher", self._publisher.run),
            ("upkeep", self._upkeep.run),
        ):
            self._tasks.append(asyncio.create_task(self._for_life(run), name=f"redis-bus-{name}"))
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """End what runs; inboxes and leases end with their own blocks, before this."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._link.close()

    async def publish(self, events: Sequence[Event]) -> None:
        await self._publisher.publish(events)

    @asynccontextmanager
    async def subscribe(self, group: str, *kinds: type[Event], size: int = 10_000) -> AsyncIterator[Inbox]:
        """As the port says. All inboxes of one group ask for the same kinds and size (else ValueError)."""
        wanted = frozenset[type](kinds)
        others = self._groups.get(group, (wanted, size, 0))
        if others[2] and others[:2] != (wanted, size):
            raise ValueError(f"group {group} is subscribed already, to other kinds or with another size")
        inbox = self._inbox(lambda envelopes: self._acks.add(group, envelopes), low=AHEAD // 2 - 1)
        member = Member(
            group,
            wanted,
            size,
            link=self._link,
            wakes=self._wakes,
            acks=self._acks,
            inbox=inbox,
            patience=self._patience,
            delays=self._delays,
            unreadable=self._unreadable,
        )
        self._groups[group] = (wanted, size, others[2] + 1)
        try:
            async with self._reading(member):
                yield inbox
        finally:
            kinds_, size_, members = self._groups[group]
            self._groups[group] = (kinds_, size_, members - 1)

    @asynccontextmanager
    async def follow(self, *kinds: type[Event], size: int = 10_000) -> AsyncIterator[Inbox]:
        inbox = self._inbox(None, low=size // 2)
        follower = Follower(
            frozenset[type](kinds),
            size,
            link=self._link,
            wakes=self._wakes,
            inbox=inbox,
            patience=self._patience,
            delays=self._delays,
            unreadable=self._unreadable,
        )
        async with self._reading(follower):
            yield inbox

    def retained(self, *kinds: type[Event]) -> AsyncIterator[Sequence[Envelope]]:
        """As the port says: what is not cut yet."""
        return retained(self._link, *kinds)

    async def keep_for(self, group: str, *kinds: type[Event]) -> None:
        await self._link.insist(
            JOIN, group, 0, round(self._patience.reader_s * 1000), *sorted(kind.__name__ for kind in kinds)
        )

    async def lost_before(self, group: str) -> int:
        (behind,) = await self._link.insist(BEHIND, group)
        return int(behind)

    @asynccontextmanager
    async def lease(self, name: str) -> AsyncIterator[Lease]:
        """As `ports.lease.LeasedBus` says."""
        lease = RedisLease(name, link=self._link, ttl_s=self._lease_s, delays=self._delays)
        renewing = asyncio.create_task(self._for_life(lease.run), name=f"redis-lease-{name}")
        try:
            yield lease
        finally:
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)
            try:
                async with self._link.clock.timeout(GOODBYE_S):
                    await lease.release()
            except TimeoutError:
                self._link.hangs()  # it runs out by itself

    def fenced_by(self, lease: Lease) -> Bus:
        """As `ports.lease.LeasedBus` says, for a lease that this bus gave (else ValueError)."""
        if not isinstance(lease, RedisLease):
            raise ValueError("this lease is not kept in Redis: it fences nothing here")
        return _FencedBus(self, self._publisher, lease)

    async def flushed(self) -> None:
        """Wait until the server has every acknowledgement that was given here."""
        await self._acks.flushed()

    @property
    def newest_seq(self) -> int:
        return self._wakes.newest_seq

    @property
    def oldest_seq(self) -> int:
        return self._publisher.oldest_seq

    def stats(self) -> dict[str, int]:
        """As the port says, for the groups read in this process. Besides: `held` events in Redis, `groups_absent` that
        nobody reads now, `readers_given_up`, and, while Redis is away, `away_since_ms`."""
        counted, away = self._counters, self._link.away_since_ms
        waiting = self._acks.waiting()
        return {
            "published": counted.published,
            "delivered": counted.delivered,
            "acknowledged": counted.acknowledged,
            "retried": counted.retried,
            "parked": counted.parked,
            "held": self._upkeep.held,
            "groups_absent": len(self._upkeep.absent),
            "readers_given_up": self._upkeep.given_up,
            **({} if away is None else {"away_since_ms": away}),
            **{f"waiting_{name}": waiting.get(name, 0) for name in self._groups},
        }

    def _inbox(self, acknowledge: Callable[[Sequence[Envelope]], None] | None, *, low: int) -> RedisInbox:
        return RedisInbox(counters=self._counters, dead_letter=self._dead_letter, acknowledge=acknowledge, low=low)

    @asynccontextmanager
    async def _reading(self, reader: Member | Follower) -> AsyncIterator[None]:
        async def read() -> None:
            try:
                await reader.run()
            except Exception as error:  # whoever takes must hear of it
                log.error("reader_failed", exc_info=error)
                reader.inbox.end(error)

        await reader.join()
        self._upkeep.beats.append(reader.beat)
        task = asyncio.create_task(read(), name="redis-bus-reader")
        try:
            yield
        finally:
            self._upkeep.beats.remove(reader.beat)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await self._say_goodbye(reader)

    async def _say_goodbye(self, reader: Member | Follower) -> None:
        reader.end()
        if self._link.away_since_ms is None:
            try:
                async with self._link.clock.timeout(GOODBYE_S):
                    await self._acks.flushed()
                    await reader.leave()
            except BusUnreachable:
                pass  # told by the link; the server gives us up by itself
            except TimeoutError:
                self._link.hangs()  # so that nobody else waits as long on the way out

    async def _for_life(self, run: Callable[[], Awaitable[None]]) -> None:
        """Run it until cancelled; what it must not raise is told, and it begins anew."""
        for delay_s in self._delays():
            try:
                await run()
            except Exception as error:
                log.error("redis_bus_part_failed", part=run.__qualname__, exc_info=error)
                await self._link.clock.sleep(delay_s)


class _FencedBus:
    """The bus as the holder of a lease may use it."""

    def __init__(self, bus: RedisBus, publisher: Publisher, lease: RedisLease) -> None:
        self._bus = bus
        self._publisher = publisher
        self._lease = lease

    async def publish(self, events: Sequence[Event]) -> None:
        token = self._lease.token
        if token is None:
            raise Fenced(f"the lease {self._lease.name} is not ours: nothing was published")
        fence: Fence = (self._lease.name, token)
        try:
            await self._publisher.publish(events, fence)
        except Fenced:
            if self._lease.token == token:
                self._lease.lose()
            raise

    def subscribe(self, group: str, *kinds: type[Event], size: int = 10_000) -> AbstractAsyncContextManager[Inbox]:
        return self._bus.subscribe(group, *kinds, size=size)

    def follow(self, *kinds: type[Event], size: int = 10_000) -> AbstractAsyncContextManager[Inbox]:
        return self._bus.follow(*kinds, size=size)

    def retained(self, *kinds: type[Event]) -> AsyncIterator[Sequence[Envelope]]:
        return self._bus.retained(*kinds)

    async def keep_for(self, group: str, *kinds: type[Event]) -> None:
        await self._bus.keep_for(group, *kinds)

    async def lost_before(self, group: str) -> int:
        return await self._bus.lost_before(group)

    @property
    def newest_seq(self) -> int:
        return self._bus.newest_seq

    @property
    def oldest_seq(self) -> int:
        return self._bus.oldest_seq

    def stats(self) -> dict[str, int]:
        return self._bus.stats()
