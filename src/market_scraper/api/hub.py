"""Follows the bus and hands messages to WebSocket clients; keeps recent ones for those who come back."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import msgspec
import structlog

from market_scraper.api.mailbox import Mailbox
from market_scraper.api.messages import KINDS, Channel, Message, message_of
from market_scraper.api.recent import RecentSignals
from market_scraper.domain.events import SignalGenerated
from market_scraper.domain.values import Address, Symbol
from market_scraper.ports.bus import Bus, Envelope
from market_scraper.ports.views import Views

RING = {Channel.TRADERS: 20_000, Channel.SIGNALS: 1_000}
"""Messages kept for those who come back, by channel; at 200 changes/s that is more than a minute and a half, and a
thousand signals an hour were measured at the usual pace. Older ones stand in the store."""

RATINGS_KEPT = 60_000
"""A pull of the leaderboard rates 47,000 traders, an hour after the last one. On a quiet coin twenty thousand messages
reach back for days, and with them would as many pulls: who comes back from before the last one is told of a gap."""

log = structlog.get_logger(__name__)


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What one client asked for."""

    channel: Channel
    symbol: Symbol | None = None  # None = all collected ones
    address: Address | None = None  # None = tracked traders

    def pick(self, message: Message) -> Message | None:
        """The message as this client gets it, or None."""
        if message.channel is not self.channel:
            return None
        if self.symbol is not None and message.symbol is not None and message.symbol != self.symbol:
            return None
        if self.address is not None and self.channel is Channel.TRADERS:
            return message.only_of(self.address)
        return message if message.tracked else None


class Seat(msgspec.Struct, frozen=True, kw_only=True):
    """One client's place: read `missed` first, then the mailbox. `missed` None = what it asked for is gone."""

    mailbox: Mailbox
    newest_seq: int
    missed: Sequence[Message] | None


class Ring:
    """The newest messages of one channel, and from which number on it has all of them."""

    def __init__(self, size: int, ratings: int = RATINGS_KEPT) -> None:
        self._messages: deque[Message] = deque()
        self._size = size
        self._most_ratings = ratings
        self._ratings = 0
        self.whole_after_seq = 0

    def add(self, message: Message) -> None:
        self._messages.append(message)
        self._ratings += message.ratings_held
        while len(self._messages) > self._size or self._ratings > self._most_ratings:
            gone = self._messages.popleft()
            self._ratings -= gone.ratings_held
            self.whole_after_seq = gone.seq

    def after(self, seq: int) -> list[Message]:
        """Messages with a higher number, oldest first; walks back, for most who come back were away briefly."""
        found: list[Message] = []
        for message in reversed(self._messages):
            if message.seq <= seq:
                break
            found.append(message)
        found.reverse()
        return found


class Hub:
    """One per process. `run` is its task; clients take a seat and leave it."""

    def __init__(self, bus: Bus, views: Views, *, ring: dict[Channel, int] | None = None) -> None:
        self._bus = bus
        self._views = views
        self._rings = {channel: Ring(size) for channel, size in (ring or RING).items()}
        self._seats: dict[Mailbox, Wanted] = {}
        self._newest_seq = 0
        self._closed = False
        self.recent_signals = RecentSignals()
        self.errors = 0  # events that could not be shown

    @property
    def newest_seq(self) -> int:
        """The newest number that has passed here."""
        return self._newest_seq

    def clients(self) -> dict[Channel, int]:
        """Connected clients by channel."""
        counts = dict.fromkeys(Channel, 0)
        for wanted in self._seats.values():
            counts[wanted.channel] += 1
        return counts

    async def run(self, on_following: Callable[[], None] | None = None) -> None:
        """Follow the bus until cancelled; `on_following` is called once nothing can be missed any more."""
        async with self._bus.follow(*KINDS) as inbox:
            self._begin_after(max(self._bus.newest_seq, self._bus.oldest_seq - 1))
            if on_following is not None:
                on_following()
            while True:
                for envelope in await inbox.take():
                    self.show(envelope)

    def _begin_after(self, seq: int) -> None:
        self._newest_seq = seq
        for ring in self._rings.values():
            ring.whole_after_seq = seq

    def show(self, envelope: Envelope) -> None:
        """Hand one event to those who want it. Never waits; one that cannot be shown is counted and left out."""
        self._newest_seq = max(self._newest_seq, envelope.seq)
        if isinstance(envelope.event, SignalGenerated):
            self.recent_signals.add(envelope.event.signal)
        try:
            message = message_of(envelope.seq, envelope.event, self._views)
        except Exception as error:  # one strange event must not silence all clients
            self.errors += 1
            log.error("message_not_made", kind=type(envelope.event).__name__, exc_info=error)
            return
        if message is None:
            return
        self._rings[message.channel].add(message)
        for mailbox, wanted in self._seats.items():
            picked = wanted.pick(message)
            if picked is not None:
                mailbox.put(picked)

    @contextmanager
    def seat(self, wanted: Wanted, last_seq: int | None = None) -> Iterator[Seat]:
        """Listen from now on, or from after `last_seq`, each message once. Leaving the block gives the seat up."""
        mailbox = Mailbox()
        missed = [] if last_seq is None else self._missed(wanted, last_seq)
        self._seats[mailbox] = wanted
        if self._closed:
            mailbox.close()
        try:
            yield Seat(mailbox=mailbox, newest_seq=self._newest_seq, missed=missed)
        finally:
            del self._seats[mailbox]

    def _missed(self, wanted: Wanted, last_seq: int) -> list[Message] | None:
        ring = self._rings[wanted.channel]
        newest = max(self._newest_seq, self._bus.newest_seq)
        if last_seq < ring.whole_after_seq or last_seq > newest:
            return None
        return [picked for message in ring.after(last_seq) if (picked := wanted.pick(message)) is not None]

    def close(self) -> None:
        """Ask every client's task to close its socket, and those that come later too."""
        self._closed = True
        for mailbox in self._seats:
            mailbox.close()
