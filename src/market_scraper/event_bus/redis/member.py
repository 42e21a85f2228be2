"""One member of a group: owns some of the partitions and reads them ahead into its inbox."""

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from market_scraper.domain.errors import BusUnreachable, ReaderLost
from market_scraper.domain.events import key_of
from market_scraper.event_bus.redis.acks import Acks
from market_scraper.event_bus.redis.inbox import RedisInbox
from market_scraper.event_bus.redis.link import DEAL, JOIN, LEAVE, TAKE, Argument, Delays, Link
from market_scraper.event_bus.redis.reading import Unreadable, envelopes_of
from market_scraper.event_bus.redis.wakes import Wakes
from market_scraper.ports.bus import Envelope

log = structlog.get_logger(__name__)

AHEAD = 2_000
"""Events read ahead of who takes them; more are asked for when half of them are taken."""

AT_ONCE = 500
"""Events asked for at once."""


DRAIN_S = 10.0
"""A partition that has to move and is never idle hands out nothing more from then on, so that it becomes so."""


@dataclass(slots=True)
class _Owned:
    last: int = 0  # the newest number that came
    is_live: bool = False  # else first what was delivered before, to a predecessor or in an answer that was lost


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Real seconds: how long a member, and how long a whole reader, may say nothing."""

    member_s: float = 6.0
    reader_s: float = 600.0


class Member:
    """Run `run` as a task between `join` and `leave`."""

    def __init__(
        self,
        group: str,
        kinds: frozenset[type],
        size: int,
        *,
        link: Link,
        wakes: Wakes,
        acks: Acks,
        inbox: RedisInbox,
        patience: Patience,
        delays: Delays,
        unreadable: Unreadable,
    ) -> None:
        self.group = group
        self.inbox = inbox
        self._name = uuid.uuid4().hex
        self._kinds = sorted(kind.__name__ for kind in kinds)
        self._size = size
        self._link = link
        self._wakes = wakes
        self._acks = acks
        self._patience = patience
        self._delays = delays
        self._unreadable = unreadable
        self._owned: dict[str, _Owned] = {}
        self._leaving: dict[str, float] = {}  # owned, to be given once nothing is under way; since when (monotonic)
        self._epoch = -1
        self._since = 0  # nothing up to here is unread in our live partitions
        self._is_to_deal = True
        self._was_cut_off = False
        self._waits_for_room = False
        self._confirmed_s = float("-inf")  # monotonic: our partitions were surely ours then
        self._look = asyncio.Event()
        inbox.on_room = self._go_on
        inbox.on_idle = self._idle
        inbox.may_give = self._is_confirmed

    async def join(self) -> None:
        """Register the group, or come back to it where it was; from here on it misses nothing."""
        await self._link.insist(JOIN, self.group, self._size, self._away_ms(), *self._kinds)
        try:
            await self._deal()
        except BusUnreachable:
            self._was_cut_off = self._is_to_deal = True  # `run` goes on from here
        self._wakes.add(self._look.set)

    async def leave(self) -> None:
        """Give our partitions to who is there; raises BusUnreachable."""
        stamp = self._acks.stamp
        (waiting,) = await self._link.ask(LEAVE, self.group, self._name)
        self._acks.waits(self.group, waiting, stamp)

    def end(self) -> None:
        """Give no more events."""
        self._wakes.remove(self._look.set)
        self.inbox.end(RuntimeError("this inbox was left"))

    def beat(self) -> None:
        """Say to the server, soon, that we live."""
        self._is_to_deal = True
        self._look.set()

    async def run(self) -> None:
        """Read until cancelled, or until the server has given the group up: then its inbox says so."""
        waits = self._delays()
        while True:
            self._look.clear()
            try:
                if self._is_to_deal:
                    await self._deal()
                self._waits_for_room = self.inbox.unread >= AHEAD // 2
                has_more = not self._waits_for_room and await self._read()
            except ReaderLost as error:
                log.error("reader_lost", group=self.group, reason=str(error))
                self.inbox.end(error)
                return
            except BusUnreachable:
                # Its answer may have been lost on the way: what was in it is read again as delivered before.
                for owned in self._owned.values():
                    owned.is_live = False
                self._was_cut_off = self._is_to_deal = True
                await self._link.clock.sleep(next(waits))
                continue
            waits = self._delays()
            if not has_more and not self._is_to_deal:
                await self._look.wait()

    async def _deal(self) -> None:
        """Say that we live and learn which partitions are ours; give those that are asked for and idle."""
        self._is_to_deal = False
        given = [key for key in self._leaving if self.inbox.is_aside(key) and self.inbox.is_idle(key)]
        if given:
            await self._acks.flushed()  # or the next owner would get again what is done
        asked_s = self._link.clock.monotonic()
        answer = await self._link.ask(
            DEAL,
            self.group,
            self._name,
            round(self._patience.member_s * 1000),
            self._away_ms(),
            int(self._was_cut_off),
            *given,
        )
        if answer[0] == -1:
            raise self._lost()
        self._was_cut_off = False
        self._epoch = answer[0]
        mine = {key.decode() for key in answer[1]}
        leaving = {key.decode() for key in answer[2]}
        for key in self._owned.keys() - mine:
            del self._owned[key]
            self.inbox.drop(key)
        for key in mine - self._owned.keys():
            self._owned[key] = _Owned()
            self.inbox.own(key)
        for key in self._leaving.keys() - leaving:
            del self._leaving[key]
            if key in mine:
                self.inbox.bring_back(key)
                self._since = 0
        for key in leaving:
            since_s = self._leaving.setdefault(key, asked_s)
            if self.inbox.is_idle(key) or asked_s - since_s > DRAIN_S:
                self.inbox.set_aside(key)
        self._is_to_deal = any(self.inbox.is_idle(key) for key in leaving)
        self._confirmed_s = asked_s
        self.inbox.look()

    async def _read(self) -> bool:
        """Read once; gives whether there may be more."""
        due: list[Argument] = []
        for key, owned in self._owned.items():
            if not self.inbox.is_aside(key):
                due += [key, ">" if owned.is_live else owned.last]
        stamp = self._acks.stamp
        answer = await self._link.ask(
            TAKE, self.group, self._name, AT_ONCE, self._since, len(self._kinds), *self._kinds, *due
        )
        if answer[0] == -1:
            raise self._lost()
        epoch, newest, waiting, more, parts = answer
        self._wakes.newest_seq = max(self._wakes.newest_seq, newest)
        self._acks.waits(self.group, waiting, stamp)
        arrived: list[Envelope] = []
        for key_bytes, is_live, before, fresh in parts:
            key = key_bytes.decode()
            arrived += await self._decode(key, before, attempt=2)
            arrived += await self._decode(key, fresh, attempt=1)
            owned = self._owned[key]
            for flat in (before, fresh):
                if flat:
                    owned.last = int(flat[-3][:-2])
            owned.is_live = bool(is_live)
        self.inbox.put(arrived)
        if epoch != self._epoch:
            self._is_to_deal = True
        if not more and not self._is_to_deal:
            self._since = newest
        return bool(more)

    async def _decode(self, key: str, flat: Sequence[bytes], *, attempt: int) -> list[Envelope]:
        if not flat:
            return []
        read, unreadable = await envelopes_of(key, flat, attempt=attempt, key_of_event=key_of)
        for seq, data, reason in unreadable:
            log.error("event_unreadable", group=self.group, key=key, seq=seq, reason=reason)
            try:
                await self._unreadable(data, reason)
            except Exception as error:  # it stays unacknowledged, and comes to the next owner
                log.error("unreadable_event_not_kept", seq=seq, exc_info=error)
            else:
                self._acks.done(self.group, key, seq)
        if attempt == 1:
            return read
        return [envelope for envelope in read if not self.inbox.is_taken(envelope.seq)]

    def _go_on(self) -> None:
        if self._waits_for_room:
            self._look.set()

    def _idle(self, key: str) -> None:
        if key in self._leaving:
            self.inbox.set_aside(key)
            self.beat()

    def _is_confirmed(self) -> bool:
        """Whether our partitions are still ours. After a pause they may be somebody else's: ask before going on."""
        if self._link.clock.monotonic() - self._confirmed_s < self._patience.member_s:
            return True
        self.beat()
        return False

    def _away_ms(self) -> int:
        return round(self._patience.reader_s * 1000)

    def _lost(self) -> ReaderLost:
        return ReaderLost(f"the group {self.group} was away beyond its deadline: events were given up")
