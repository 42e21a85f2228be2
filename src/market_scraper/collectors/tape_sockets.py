"""The sockets that carry the tape: their silence, their renewal, and what each step of theirs means for the coins."""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Protocol, Self

import structlog

from market_scraper.collectors.offset import ClockOffset
from market_scraper.domain.market import Print
from market_scraper.domain.tape import SILENCE_S, CoinTape
from market_scraper.domain.values import Symbol
from market_scraper.domain.watch import Fact
from market_scraper.ports.clock import Clock
from market_scraper.ports.sources import (
    FrameLost,
    Heard,
    PrintsHeard,
    SocketLost,
    SocketOpened,
    TimeHeard,
    VenueSocket,
    VenueSockets,
)

log = structlog.get_logger(__name__)

RENEW_AFTER_S = 10_200.0
"""2 h 50 min: before the venue closes a socket at about 3 hours (facts 4.1), and at a moment that we choose."""

RESUBSCRIBE_S, RESUBSCRIBE_MOST_S = 8.0, 300.0
"""A coin without an interval is subscribed anew after this long, doubling: a coin that never traded has no replay."""


@dataclass(slots=True)
class _Probe:
    """One coin's unusual silence: the socket that was asked for a replay last, and when the next try is due."""

    name: str = ""
    not_before_s: float = -math.inf
    delay_s: float = RESUBSCRIBE_S


class Ear(Protocol):
    """Who hears one coin: a `CoinWatch`, which says what follows, or a `HeldTape`, which only remembers."""

    tape: CoinTape

    def hear_prints(
        self,
        socket: str,
        prints: Sequence[Print],
        *,
        replay: bool,
        now_s: float,
        known_at_ms: int,
        replay_to_ms: int = -1,
    ) -> Sequence[Fact]: ...

    def hear_time(self, socket: str, time_ms: int, *, now_s: float, known_at_ms: int) -> Sequence[Fact]: ...

    def end(self, socket: str, reason: str, *, now_s: float, known_at_ms: int) -> Sequence[Fact]: ...


class TapeSockets:
    """Opens `count` sockets with the same subscriptions and feeds every coin's watch with what they bring.

    `on_facts` is called at once with what follows from a frame, in order. Who hears may change while the sockets are
    open (`hand_to`). Left and entered again, it opens new sockets.
    """

    def __init__(
        self,
        sockets: VenueSockets,
        watches: Mapping[Symbol, Ear],
        clock: Clock,
        *,
        count: int,
        on_facts: Callable[[Sequence[Fact]], None],
        on_interval_ended: Callable[[], None],
    ) -> None:
        self.offset = ClockOffset()
        self._sockets = sockets
        self._watches = watches
        self._clock = clock
        self._names = [f"tape-{i}" for i in range(count)]
        self._on_facts = on_facts
        self._on_interval_ended = on_interval_ended
        self._open: dict[str, VenueSocket] = {}
        self._heard_s: dict[str, float] = {}  # connected sockets only
        self._renew_s: dict[str, float] = {}
        self._resubscribe: dict[tuple[str, Symbol], tuple[float, float]] = {}  # (not before, delay after that)
        self._probes: dict[Symbol, _Probe] = {}  # of coins whose trades were unusually quiet when looked at last
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._stack.__aenter__()
        now_s = self._clock.monotonic()
        for i, name in enumerate(self._names):
            socket = await self._stack.enter_async_context(self._sockets.open(name, self._hearer(name)))
            self._open[name] = socket
            self._renew_s[name] = now_s + RENEW_AFTER_S * (i + 1) / len(self._names)
            socket.want(self._subscriptions())
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._stack.aclose()
        self._open.clear()
        for name in list(self._heard_s):
            self._heard_s.pop(name)
            self._end_all(name, "closed")

    def hand_to(
        self,
        watches: Mapping[Symbol, Ear],
        *,
        on_facts: Callable[[Sequence[Fact]], None],
        on_interval_ended: Callable[[], None],
    ) -> None:
        """Somebody else hears from the next frame on; the coins' tapes are the same, or begin anew."""
        news = watches.keys() - self._watches.keys()
        self._watches, self._on_facts, self._on_interval_ended = watches, on_facts, on_interval_ended
        for symbol in news:
            self.follow(symbol)

    def renew_all(self) -> None:
        """Subscribe all trades anew, for their replays: the tapes before them are not to be trusted."""
        now_s = self._clock.monotonic()
        for name in self._heard_s:
            for symbol in self._watches:
                self._end(name, symbol, "not_trusted")
                self._resubscribe[name, symbol] = (now_s, RESUBSCRIBE_S)

    def follow(self, symbol: Symbol) -> None:
        """A coin has joined the watches: subscribe it on every socket."""
        not_before_s = self._clock.monotonic() + RESUBSCRIBE_S
        for name, socket in self._open.items():
            self._resubscribe[name, symbol] = (not_before_s, RESUBSCRIBE_S)
            socket.want(self._subscriptions())

    @property
    def connected(self) -> int:
        """Sockets that are connected now."""
        return len(self._heard_s)

    def venue_now_ms(self) -> int:
        """The venue's clock, as far as its frames show it."""
        return self._clock.now_ms() + self.offset.ms

    def tick(self) -> None:
        """Look for silence and for sockets that are due for renewal. Call it several times a second."""
        now_s = self._clock.monotonic()
        for name in list(self._heard_s):
            if now_s - self._heard_s[name] >= SILENCE_S:
                self._end_all(name, "silent")
                self._reconnect(name, f"silent for {SILENCE_S:g} s")
        for symbol, watch in self._watches.items():
            for name in watch.tape.silent(now_s):
                self._end(name, symbol, "prints_missing")
            for name in self._heard_s:
                if watch.tape.has_interval(name):
                    self._resubscribe.pop((name, symbol), None)
                else:
                    self._subscribe_anew(name, symbol, now_s)
            self._look_whether_mute(symbol, watch.tape, now_s)
        self._renew(now_s)

    # -- what a socket says --------------------------------------------------------------------------------------

    def _hearer(self, name: str) -> Callable[[Heard], None]:
        return lambda heard: self._hear(name, heard)

    def _hear(self, name: str, heard: Heard) -> None:
        now_s = self._clock.monotonic()
        if isinstance(heard, SocketLost):
            self._heard_s.pop(name, None)
            self._end_all(name, "lost")
            return
        if isinstance(heard, SocketOpened):
            self._heard_s[name] = now_s
            for symbol in self._watches:  # its subscriptions are on their way; no renewal is due before they answer
                self._resubscribe[name, symbol] = (now_s + RESUBSCRIBE_S, RESUBSCRIBE_S)
            return
        last_s = self._heard_s.get(name, now_s)
        if now_s - last_s >= SILENCE_S:  # whatever comes after such a silence, something before it may be lost
            self._end_all(name, "silent")
            self._reconnect(name, f"silent for {now_s - last_s:.1f} s")
            return
        self._heard_s[name] = now_s
        if isinstance(heard, PrintsHeard):
            self._hear_prints(name, heard, now_s)
        elif isinstance(heard, TimeHeard):
            self._hear_time(name, heard, now_s)
        elif isinstance(heard, FrameLost):
            for symbol in self._watches if heard.symbol is None else (heard.symbol,):
                self._end(name, symbol, "unreadable")

    def _hear_prints(self, name: str, heard: PrintsHeard, now_s: float) -> None:
        watch = self._watches.get(heard.symbol)
        if watch is None or not heard.prints:
            return
        now_ms = self._clock.now_ms()
        newest_ms = _newest_ms(heard.prints)
        if not self.offset.believes(newest_ms, now_ms, now_s):
            self._end(name, heard.symbol, "from_the_future")
            return
        if not heard.replay:
            self.offset.note(newest_ms, now_ms, now_s)
        self._give(
            watch.hear_prints(
                name,
                heard.prints,
                replay=heard.replay,
                now_s=now_s,
                known_at_ms=now_ms,
                # Before any clock was seen nothing can be exact yet, and a cut block does no harm.
                replay_to_ms=now_ms + self.offset.at_most_ms - 1 if self.offset.is_known else -1,
            )
        )

    def _hear_time(self, name: str, heard: TimeHeard, now_s: float) -> None:
        watch = self._watches.get(heard.symbol)
        now_ms = self._clock.now_ms()
        if watch is None or not self.offset.believes(heard.time_ms, now_ms, now_s):
            return
        self.offset.note(heard.time_ms, now_ms, now_s)
        self._give(watch.hear_time(name, heard.time_ms, now_s=now_s, known_at_ms=now_ms))

    # -- what follows --------------------------------------------------------------------------------------------

    def _give(self, facts: Sequence[Fact]) -> None:
        if facts:
            self._on_facts(facts)

    def _end_all(self, name: str, reason: str) -> None:
        for symbol in self._watches:
            self._end(name, symbol, reason)

    def _end(self, name: str, symbol: Symbol, reason: str) -> None:
        watch = self._watches.get(symbol)
        if watch is None or not watch.tape.has_interval(name):
            return
        log.info("tape_interval_ended", socket=name, symbol=symbol, reason=reason)
        self._give(watch.end(name, reason, now_s=self._clock.monotonic(), known_at_ms=self._clock.now_ms()))
        self._on_interval_ended()

    def _subscribe_anew(self, name: str, symbol: Symbol, now_s: float) -> None:
        not_before_s, delay_s = self._resubscribe.get((name, symbol), (now_s, RESUBSCRIBE_S))
        if now_s >= not_before_s:
            self._resubscribe[name, symbol] = (now_s + delay_s, min(2 * delay_s, RESUBSCRIBE_MOST_S))
            self._open[name].renew_trades(symbol)

    def _look_whether_mute(self, symbol: Symbol, tape: CoinTape, now_s: float) -> None:
        """Subscribe a coin anew on one socket where no trades spoke for unusually long: its replay tells.

        Should none come, though the coin has always traded, this connection's trades are mute: another's may not be.
        """
        quiet = tape.quiet(now_s)
        if quiet is None:
            self._probes.pop(symbol, None)
            return
        name, is_mute = quiet
        probe = self._probes.get(symbol)
        if probe is None:
            probe = self._probes[symbol] = _Probe()
        if now_s < probe.not_before_s:
            return
        if is_mute and probe.name in self._heard_s:
            self._end_all(probe.name, "mute")
            self._reconnect(probe.name, f"no trades of {symbol}, and no replay")
            probe.name = ""
        elif name in self._heard_s:
            self._open[name].renew_trades(symbol)
            probe.name = name
        probe.not_before_s = now_s + probe.delay_s
        probe.delay_s = min(2 * probe.delay_s, RESUBSCRIBE_MOST_S)

    def _reconnect(self, name: str, reason: str) -> None:
        self._heard_s.pop(name, None)
        self._open[name].reconnect(reason)

    def _renew(self, now_s: float) -> None:
        """Renew one socket that is due, if the others carry every coin meanwhile."""
        due = [name for name, at_s in self._renew_s.items() if now_s >= at_s and name in self._heard_s]
        if not due:
            return
        name = due[0]
        # Only coins that it carries itself can lose anything: one that never trades must not keep it from its turn.
        carried = [covered for w in self._watches.values() if name in (covered := w.tape.covered_by())]
        others_carry = all(len(covered) > 1 for covered in carried)
        if others_carry or len(self._names) == 1:
            self._renew_s[name] = now_s + RENEW_AFTER_S
            self._end_all(name, "renewed")
            self._reconnect(name, "renewed before the venue closes it")

    def _subscriptions(self) -> list[dict[str, object]]:
        """Trades first: their replay joins our past only while it reaches back far enough."""
        wanted: list[dict[str, object]] = [{"type": "trades", "coin": symbol} for symbol in self._watches]
        wanted.append({"type": "allMids"})
        wanted += [{"type": "bbo", "coin": symbol} for symbol in self._watches]
        return wanted


def _newest_ms(prints: Sequence[Print]) -> int:
    if len(prints) == 1:
        return prints[0].time_ms
    return max(p.time_ms for p in prints)
