"""What one reader of this process has at hand: events that were read ahead, and those that were taken."""

import asyncio
import heapq
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence

import msgspec

from market_scraper.event_bus.group import Counters, DeadLetter, one_turn
from market_scraper.ports.bus import Envelope


def _nobody_hears(*_: object) -> None:
    """For hooks that nobody has set."""


class RedisInbox:
    """Implements `ports.bus.Inbox`. Its reader puts events in and hears, by `on_room`, when it may put in more.

    `acknowledge` None: a follower, where nothing needs acknowledging.
    """

    def __init__(
        self,
        *,
        counters: Counters,
        dead_letter: DeadLetter,
        acknowledge: Callable[[Sequence[Envelope]], None] | None,
        low: int,
    ) -> None:
        self._counters = counters
        self._dead_letter = dead_letter
        self._acknowledge = acknowledge
        self._low = low  # the reader hears when no more than so many are unread
        self._unread: deque[Envelope] = deque()  # by rising number
        self._taken: dict[int, Envelope] = {}
        self._under_way: Counter[str] = Counter()  # of what was taken, by key
        self._aside: dict[str, list[Envelope]] = {}  # unread ones of keys that are about to move
        self._foreign: set[str] = set()  # keys that were ours and are somebody else's
        self._arrived = asyncio.Event()
        self._ended: Exception | None = None
        self.on_room: Callable[[], None] = _nobody_hears
        self.on_idle: Callable[[str], None] = _nobody_hears
        self.may_give: Callable[[], bool] = lambda: True

    async def take(self, limit: int = 500) -> Sequence[Envelope]:
        await one_turn()
        while not self._unread or not self.may_give():
            if self._ended is not None:
                raise self._ended
            self._arrived.clear()
            await self._arrived.wait()
        unread = self._unread
        taken = [unread.popleft() for _ in range(min(limit, len(unread)))]
        self._counters.delivered += len(taken)
        if self._acknowledge is not None:
            for envelope in taken:
                self._taken[envelope.seq] = envelope
            self._under_way.update(envelope.key for envelope in taken)
        if len(unread) <= self._low:
            self.on_room()
        return taken

    def ack(self, envelopes: Sequence[Envelope]) -> None:
        if self._acknowledge is None:
            return
        known = [done for envelope in envelopes if (done := self._taken.pop(envelope.seq, None)) is not None]
        if known:
            self._counters.acknowledged += len(known)
            self._acknowledge(known)
            self._no_longer_under_way(known)

    def retry(self, envelopes: Sequence[Envelope]) -> None:
        if self._acknowledge is None:
            known = list(envelopes)
        else:
            known = [back for envelope in envelopes if (back := self._taken.pop(envelope.seq, None)) is not None]
        again = [msgspec.structs.replace(envelope, attempt=envelope.attempt + 1) for envelope in known]
        self._counters.retried += len(again)
        self.put(again)
        if self._acknowledge is not None:
            self._no_longer_under_way(known)

    async def park(self, envelope: Envelope, reason: str) -> None:
        """Keep the dead letter first and acknowledge then; what keeping raises leaves the event unacknowledged."""
        if self._acknowledge is not None and envelope.seq not in self._taken:
            return
        await self._dead_letter(envelope, reason)
        self._counters.parked += 1
        self.ack([envelope])

    def put(self, envelopes: Iterable[Envelope]) -> None:
        """Add events wherever their numbers belong."""
        fitting = []
        for envelope in sorted(envelopes, key=_seq):
            if envelope.key in self._foreign:
                continue  # put back too late: the new owner has it
            if envelope.key in self._aside:
                self._aside[envelope.key].append(envelope)
            else:
                fitting.append(envelope)
        if not fitting:
            return
        unread = self._unread
        if not unread or unread[-1].seq < fitting[0].seq:
            unread.extend(fitting)
        elif fitting[-1].seq < unread[0].seq:
            unread.extendleft(reversed(fitting))
        else:
            self._unread = deque(heapq.merge(unread, fitting, key=_seq))
        self._arrived.set()

    def look(self) -> None:
        """Let who waits see whether it may take now."""
        self._arrived.set()

    def end(self, why: Exception) -> None:
        """No more events come: every `take` that finds none raises this."""
        self._unread.clear()
        self._ended = why
        self._arrived.set()

    @property
    def unread(self) -> int:
        return len(self._unread)

    def is_taken(self, seq: int) -> bool:
        """Whether it was taken and is neither acknowledged nor put back."""
        return seq in self._taken

    def is_idle(self, key: str) -> bool:
        """Whether nothing of this key is under way."""
        return not self._under_way[key]

    def set_aside(self, key: str) -> None:
        """Hand out no more of this key."""
        if key not in self._aside:
            self._aside[key] = self._without(key)

    def is_aside(self, key: str) -> bool:
        return key in self._aside

    def bring_back(self, key: str) -> None:
        """Hand out this key again."""
        if (back := self._aside.pop(key, None)) is not None:
            self.put(back)

    def own(self, key: str) -> None:
        """Events of this key may come."""
        self._foreign.discard(key)

    def drop(self, key: str) -> None:
        """Forget what is unread of this key, and what is put back: it is somebody else's now."""
        self._foreign.add(key)
        if self._aside.pop(key, None) is None:
            self._without(key)

    def _without(self, key: str) -> list[Envelope]:
        out = [envelope for envelope in self._unread if envelope.key == key]
        if out:
            self._unread = deque(envelope for envelope in self._unread if envelope.key != key)
        return out

    def _no_longer_under_way(self, envelopes: Sequence[Envelope]) -> None:
        for key, count in Counter(envelope.key for envelope in envelopes).items():
            self._under_way[key] -= count
            if not self._under_way[key]:
                del self._under_way[key]
                self.on_idle(key)


def _seq(envelope: Envelope) -> int:
    return envelope.seq
