"""The bus within one process: lists and deques, no task and no future per event.

Its promises hold for the life of the process: what was not acknowledged when it ends is gone, and comes again from
the source (the tape's gap, the next pull), never from here.
"""

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Self

from market_scraper.domain.events import Event, key_of
from market_scraper.event_bus.group import Counters, DeadLetter, Group, one_turn
from market_scraper.event_bus.lease import LocalLease
from market_scraper.event_bus.numbers import BLOCK, Numbers, Reserve
from market_scraper.ports.bus import Bus, Envelope, Inbox
from market_scraper.ports.lease import Lease

EVENTS_PER_TURN = 500
"""After so many events a publisher lets others run, so that a burst does not hold the loop."""


async def forget(envelope: Envelope, reason: str) -> None:
    """A `DeadLetter` that keeps nothing: the count in `stats` is all that remains."""


class MemoryBus:
    """Implements `ports.bus.Bus`. Open it (`async with`) before publishing: the first numbers are reserved there.

    A group's inbox counts as full when `size` events are unread or unacknowledged; a publisher waits only for the
    groups that want its events. Publishers are served in the order in which they came.
    """

    def __init__(self, reserve: Reserve, *, dead_letter: DeadLetter = forget, block: int = BLOCK) -> None:
        self._numbers = Numbers(reserve, block)
        self._dead_letter = dead_letter
        self._groups: dict[str, Group] = {}
        self._follows: list[Group] = []
        self._estates: dict[str, bytes] = {}  # what holders of leases have left
        self._routes: dict[type, tuple[Group, ...]] = {}
        self._counters = Counters()
        self._turn = asyncio.Lock()  # publishers that had to wait, first come first served
        self._queued: Counter[str] = Counter()  # keys of those publishers: nobody may overtake them there
        self._freed = asyncio.Event()
        self._since_turn = 0

    async def __aenter__(self) -> Self:
        await self._numbers.refill()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Nothing is held that would need closing; inboxes end with their own blocks."""

    async def publish(self, events: Sequence[Event]) -> None:
        if not events:
            return
        kinds = {type(event) for event in events}
        if len(events) <= self._numbers.left and len(events) <= self._room(kinds) and not self._is_behind(events):
            self._put(events, kinds)
        else:
            await self._publish_in_turn(events, kinds)
        self._since_turn += len(events)
        if self._since_turn >= EVENTS_PER_TURN:
            self._since_turn = 0
            await one_turn()

    @asynccontextmanager
    async def subscribe(self, group: str, *kinds: type[Event], size: int = 10_000) -> AsyncIterator[Inbox]:
        """As the port says. All inboxes of one group ask for the same kinds and size (else ValueError)."""
        wanted = frozenset[type](kinds)
        shared = self._groups.get(group)
        if shared is None:
            shared = self._groups[group] = self._make(group, wanted, size)
        elif not shared.members:
            shared.kinds, shared.size = wanted, size
        elif (shared.kinds, shared.size) != (wanted, size):
            raise ValueError(f"group {group} is subscribed already, to other kinds or with another size")
        inbox = shared.join()
        self._reroute()
        try:
            yield inbox
        finally:
            shared.leave(inbox)
            self._reroute()

    @asynccontextmanager
    async def follow(self, *kinds: type[Event], size: int = 10_000) -> AsyncIterator[Inbox]:
        own = self._make("", frozenset[type](kinds), size, follows=True)
        inbox = own.join()
        self._follows.append(own)
        self._reroute()
        try:
            yield inbox
        finally:
            own.leave(inbox)
            self._follows.remove(own)
            self._reroute()

    async def retained(self, *kinds: type[Event]) -> AsyncIterator[Sequence[Envelope]]:
        """As the port says: what some group has not acknowledged. Followers hold nothing."""
        wanted = frozenset[type](kinds)
        held = {e.seq: e for group in self._groups.values() for e in group.held() if type(e.event) in wanted}
        envelopes = [held[seq] for seq in sorted(held)]
        for first in range(0, len(envelopes), EVENTS_PER_TURN):
            yield envelopes[first : first + EVENTS_PER_TURN]
            await one_turn()

    async def keep_for(self, group: str, *kinds: type[Event]) -> None:
        """Nothing to do: within one process the inboxes open before anyone publishes."""

    async def lost_before(self, group: str) -> int:  # noqa: ARG002
        """0: nobody is ever given up here."""
        return 0

    @asynccontextmanager
    async def lease(self, name: str) -> AsyncIterator[Lease]:
        """A lease that nobody contests: this bus ends where the process does."""
        lease = LocalLease(name, self._estates)
        try:
            yield lease
        finally:
            await lease.release()

    def fenced_by(self, lease: Lease) -> Bus:  # noqa: ARG002 - there is nothing to compare it with
        """This bus: no other holder can exist."""
        return self

    async def drained(self, *, taking_is_enough: Collection[str] = ()) -> None:
        """Wait until no group has an event that is unread or unacknowledged, and no follower an unread one.

        Groups named in `taking_is_enough` acknowledge late (rows wait to be stored together): there, nothing unread
        is enough.
        """
        while any(
            group.unread if group.name in taking_is_enough else group.waiting
            for group in (*self._groups.values(), *self._follows)
            if group.members
        ):
            self._freed.clear()
            await self._freed.wait()

    @property
    def newest_seq(self) -> int:
        return self._numbers.newest

    @property
    def oldest_seq(self) -> int:
        return self._numbers.oldest

    def stats(self) -> dict[str, int]:
        counted = self._counters
        return {
            "published": counted.published,
            "delivered": counted.delivered,
            "acknowledged": counted.acknowledged,
            "retried": counted.retried,
            "parked": counted.parked,
            **{f"waiting_{name}": group.waiting for name, group in self._groups.items()},
        }

    def _make(self, name: str, kinds: frozenset[type], size: int, *, follows: bool = False) -> Group:
        return Group(
            name,
            kinds,
            size,
            counters=self._counters,
            on_freed=self._freed.set,
            dead_letter=self._dead_letter,
            follows=follows,
        )

    def _reroute(self) -> None:
        # Followers first: what people watch does not wait for what is stored and counted.
        live = [group for group in (*self._follows, *self._groups.values()) if group.members]
        kinds = {kind for group in live for kind in group.kinds}
        self._routes = {kind: tuple(group for group in live if kind in group.kinds) for kind in kinds}
        self._freed.set()

    def _room(self, kinds: set[type]) -> int:
        rooms = [group.room for kind in kinds for group in self._routes.get(kind, ())]
        return min(rooms, default=sys.maxsize)

    def _is_behind(self, events: Sequence[Event]) -> bool:
        """Whether a publisher of one of these keys waits already."""
        return bool(self._queued) and any(key_of(event) in self._queued for event in events)

    async def _publish_in_turn(self, events: Sequence[Event], kinds: set[type]) -> None:
        keys = [key_of(event) for event in events]
        self._queued.update(keys)
        try:
            async with self._turn:
                done = 0
                while done < len(events):
                    if not self._numbers.left:
                        await self._numbers.refill()
                    fitting = min(self._room(kinds), self._numbers.left)
                    if fitting > 0:
                        part = events[done : done + fitting]
                        self._put(part, kinds)
                        done += len(part)
                    else:
                        self._freed.clear()
                        await self._freed.wait()
        finally:
            self._queued.subtract(keys)
            self._queued += Counter()  # drops the keys that nobody waits with any more

    def _put(self, events: Sequence[Event], kinds: set[type]) -> None:
        """Number the events and hand them to every group that wants them."""
        first = self._numbers.give(len(events))
        envelopes = [Envelope(seq, key_of(event), event) for seq, event in enumerate(events, first)]
        wants = self._routes.get
        if len(kinds) == 1:  # nearly always
            for group in wants(type(events[0]), ()):
                group.put(envelopes)
        else:
            for group in {group: None for kind in kinds for group in wants(kind, ())}:  # each group once
                group.put([envelope for envelope in envelopes if type(envelope.event) in group.kinds])
        self._counters.published += len(events)
