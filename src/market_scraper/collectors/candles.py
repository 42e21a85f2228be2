"""Candles of all six intervals: history back to what the venue keeps, then each bar once it is closed.

Closed bars come from REST alone, a few seconds after their end: the socket's last frame of a bar need not be its last
word, and says nothing of minutes without trades. The socket shows the bar that is still forming. Whether a bar has
closed is read off the venue's own bars (`VenueTime`), for our clock may be minutes wrong.
"""

import asyncio
import math
from bisect import bisect_right
from collections.abc import Awaitable, Callable, Sequence

import structlog

from market_scraper.collectors.markets import Listing
from market_scraper.collectors.venue_time import VenueTime
from market_scraper.domain.errors import InvalidInput, SourceError, StoreError
from market_scraper.domain.events import CandleFormed, CandlesClosed, Event
from market_scraper.domain.market import Candle
from market_scraper.domain.values import Interval, Symbol
from market_scraper.ports.bus import Bus
from market_scraper.ports.clock import Clock
from market_scraper.ports.reporting import Reporter
from market_scraper.ports.sources import CandleHeard, Heard, VenueHttp, VenueSocket, VenueSockets
from market_scraper.ports.stores import CandleReader

log = structlog.get_logger(__name__)

REACH = 5_000
"""About so many newest bars of each interval exist at the venue (facts 2.2); older ones are gone for good."""

FIRST = 240
"""Newest bars of an empty series that are asked for first (weight 25): every chart has something within the first
minute, and the rest (weight 104 a series) follows as the budget allows."""

GRACE_MS = 5_000
"""A closed bar is asked for this long after its end: a node's answer may lag by up to 2 s."""

CERTAIN_MS = 60_000
"""A bar is closed when a later one is in the same answer; without one, this long after its end at the venue."""

ASK_AGAIN_S, ASK_AGAIN_MOST_S = 5.0, 60.0
"""An answer without the bar that is due is asked for again, doubling: a minute without trades has none (weight 21)."""

REPAIR_EVERY_S = 3_600.0
SHOW_S = 0.5
RETRY_S, RETRY_MOST_S = 5.0, 300.0
CHEAP_SYMBOLS = 5
"""Asking for one closed 1m bar costs weight 21. With more symbols than this, several bars are fetched at a time."""


class Series:
    """One symbol's bars of one interval: which are had, which are due."""

    def __init__(self, symbol: Symbol, interval: Interval) -> None:
        self.symbol = symbol
        self.interval = interval
        self.next_ms: int | None = None  # open time of the first bar that is not had; None = nothing is
        self.oldest_ms: int | None = None  # open time of the oldest bar that was had or asked for
        self.past_asked = False  # what the venue keeps before that
        self.empty: set[int] = set()  # open times for which the venue was asked in vain
        self.repaired_s: float | None = None
        self.not_before_s = 0.0
        self.vain = 0  # answers in a row without the bar that was due
        self.failures = 0  # in a row
        self.reason: str | None = None  # what fails, None = nothing
        self.told = False  # the source itself has logged that reason

    def closed_before(self, venue_now_ms: int) -> int:
        """Open time of the bar that is still forming, or has closed too recently to be believed."""
        return (venue_now_ms - GRACE_MS) // self.interval.ms * self.interval.ms

    def due(self, venue_now_ms: int, every: int) -> tuple[int, int] | None:
        """(first open time, last open time) of closed bars to ask for; None when fewer than `every` are due."""
        end_ms = self.closed_before(venue_now_ms)
        if self.next_ms is None:
            return end_ms - FIRST * self.interval.ms, end_ms - self.interval.ms
        start_ms = max(self.next_ms, end_ms - REACH * self.interval.ms)
        if end_ms - start_ms < every * self.interval.ms:
            return None
        return start_ms, end_ms - self.interval.ms

    def past(self, venue_now_ms: int) -> tuple[int, int] | None:
        """(first, last open time) of what the venue may keep before our oldest bar; None = nothing, or asked."""
        start_ms = self.closed_before(venue_now_ms) - REACH * self.interval.ms
        if self.past_asked or self.oldest_ms is None or self.oldest_ms <= start_ms:
            return None
        return start_ms, self.oldest_ms - self.interval.ms


class CandlesCollector:
    """Keeps every series complete from the venue's oldest bar to the newest closed one."""

    def __init__(
        self,
        *,
        http: VenueHttp,
        sockets: VenueSockets | None,
        bus: Bus,
        store: CandleReader,
        clock: Clock,
        reporter: Reporter,
        listing: Listing,
        intervals: Sequence[Interval] = tuple(Interval),
    ) -> None:
        """`sockets` None: closed bars only, as for a backfill."""
        self._http = http
        self._sockets = sockets
        self._bus = bus
        self._store = store
        self._clock = clock
        self._reporter = reporter
        self._listing = listing
        self._intervals = intervals
        self._venue_time = VenueTime()
        self._series: list[Series] = []
        self._over_ms: dict[Symbol, int] = {}  # delisted: venue time when we learned it; -1 = of old
        self._socket: VenueSocket | None = None
        self._forming: dict[tuple[Symbol, Interval], Candle] = {}
        self.stored = 0  # bars published since start

    async def run(self) -> None:
        """Collect until cancelled."""
        self._series = []
        if self._sockets is None:
            await self._keep_complete()
            return
        async with self._sockets.open("candles", self._hear) as self._socket, asyncio.TaskGroup() as tasks:
            tasks.create_task(self._show_forming(), name="candles-forming")
            tasks.create_task(self._keep_complete(), name="candles-closed")

    async def backfill(self) -> int:
        """Fill every series once, holes included; gives how many bars came. Raises SourceError."""
        before = self.stored
        self._series = []
        await self._listing.wait()
        await self._open_series()
        for series in self._alive():
            await self._fetch_due(series, 1)
            await self._fetch_past(series, 1)
            await self._repair(series)
        return self.stored - before

    async def _open_series(self) -> None:
        """Every series of every listed symbol, each at what the store has; a symbol may be listed later than others."""
        known = {series.symbol for series in self._series}
        markets = [market for market in self._listing.markets if market.symbol not in known]
        opened = [Series(market.symbol, interval) for interval in self._intervals for market in markets]
        if not opened:
            return
        for series in opened:
            newest = await self._store.newest(series.symbol, series.interval)
            if newest is not None:
                series.next_ms = newest.t_ms + series.interval.ms
                (oldest,) = await self._store.history(
                    series.symbol, series.interval, start_ms=0, end_ms=newest.t_ms, limit=1
                )
                series.oldest_ms = oldest.t_ms
        self._series = sorted([*self._series, *opened], key=lambda series: series.interval.ms)  # short intervals first
        if self._socket is not None:
            wanted: list[dict[str, object]] = [
                {"type": "candle", "coin": s.symbol, "interval": s.interval.value} for s in self._series
            ]
            self._socket.want(wanted)

    async def _keep_complete(self) -> None:
        await self._listing.wait()
        every = max(1, len(self._listing.symbols) // CHEAP_SYMBOLS)
        while True:
            await self._open_series()
            for series in self._alive():
                await self._tend(series, every if series.interval is Interval.M1 else 1, self._fetch_due)
            for series in self._alive():
                await self._tend(series, every, self._repair_if_due)
            now_s = self._clock.monotonic()
            young = next((s for s in self._alive() if not s.past_asked and now_s >= s.not_before_s), None)
            if young is not None:
                await self._tend(young, every, self._fetch_past)  # one at a time: it may wait for its weight
            self._report()
            await self._clock.sleep(1.0)

    def _alive(self) -> list[Series]:
        """The series in which a bar may come: a delisted market's end with the bar in which we learned of it."""
        now_ms = self._venue_time.at_least_ms(self._clock.monotonic()) or self._clock.now_ms()
        first_look = {series.symbol for series in self._series if series.next_ms is None and not series.past_asked}
        for market in self._listing.markets:
            if not market.is_delisted:
                self._over_ms.pop(market.symbol, None)
            elif market.symbol not in self._over_ms:
                self._over_ms[market.symbol] = -1 if market.symbol in first_look else now_ms
        return [s for s in self._series if (s.next_ms or 0) <= self._over_ms.get(s.symbol, math.inf)]

    def _report(self) -> None:
        worst = next((series for series in self._series if series.reason is not None), None)
        if worst is not None:
            self._reporter.failed(f"{worst.symbol} {worst.interval.value}: {worst.reason}", told=worst.told)
        else:
            self._reporter.ok({"series": len(self._series), "bars_published": self.stored})

    async def _tend(self, series: Series, every: int, work: Callable[[Series, int], Awaitable[None]]) -> None:
        """Do it unless the series has to wait; one that fails waits by itself, and keeps none of the others waiting."""
        if self._clock.monotonic() < series.not_before_s:
            return
        try:
            await work(series, every)
        except SourceError as error:
            self._put_off(series, str(error), error.retry_after_s or 0.0, told=True)
        except InvalidInput as error:
            self._put_off(series, f"unreadable candles: {error}", 60.0, told=False)

    def _put_off(self, series: Series, reason: str, at_least_s: float, *, told: bool) -> None:
        delay_s = min(RETRY_S * 2 ** min(series.failures, 10), RETRY_MOST_S)
        series.failures += 1
        series.reason, series.told = reason, told
        series.not_before_s = self._clock.monotonic() + max(delay_s, at_least_s)

    async def _fetch_due(self, series: Series, every: int) -> None:
        now_s = self._clock.monotonic()
        venue_ms = self._venue_time.at_least_ms(now_s)
        due = series.due(self._clock.now_ms() if venue_ms is None else venue_ms, every)
        if due is None:
            return
        end_ms = due[1]
        last_ms = await self._fetch(series, [due])
        if series.oldest_ms is None:
            series.oldest_ms = due[0]
        had_ms = [] if last_ms is None else [last_ms + series.interval.ms]
        if venue_ms is not None:
            # What the venue did not give of long closed time does not exist yet: the hourly repair asks again.
            had_ms.append((venue_ms - CERTAIN_MS) // series.interval.ms * series.interval.ms)
        if had_ms:
            series.next_ms = max(*had_ms, series.next_ms or 0)
        series.vain = 0 if (series.next_ms or 0) > end_ms else series.vain + 1
        if series.vain:
            series.not_before_s = now_s + min(ASK_AGAIN_S * 2 ** min(series.vain - 1, 10), ASK_AGAIN_MOST_S)

    async def _fetch_past(self, series: Series, _every: int) -> None:
        if (past := series.past(self._clock.now_ms())) is not None:
            await self._fetch(series, [past])
        series.past_asked = series.oldest_ms is not None

    async def _fetch(self, series: Series, stretches: Sequence[tuple[int, int]]) -> int | None:
        """Ask once for all stretches (oldest first) and publish their closed bars; gives the last one's open time."""
        length_ms = series.interval.ms
        venue_ms = self._venue_time.at_least_ms(self._clock.monotonic())  # as of asking: the answer may lag, not lead
        bars = await self._http.candles(
            series.symbol, series.interval, stretches[0][0], stretches[-1][1] + 2 * length_ms
        )
        series.failures, series.reason = 0, None
        now_ms = self._clock.now_ms()
        newest_ms = max((bar.t_ms for bar in bars), default=0)
        if bars and series.interval is Interval.M1:
            self._venue_time.note(newest_ms, now_ms, self._clock.monotonic())
        firsts = [first for first, _ in stretches]

        def is_asked(t_ms: int) -> bool:
            at = bisect_right(firsts, t_ms) - 1
            return at >= 0 and t_ms <= stretches[at][1] and t_ms % length_ms == 0

        def is_closed(t_ms: int) -> bool:
            return t_ms < newest_ms or (venue_ms is not None and t_ms + length_ms + CERTAIN_MS <= venue_ms)

        closed = tuple(bar for bar in bars if is_asked(bar.t_ms) and is_closed(bar.t_ms))
        if not closed:
            return None
        await self._bus.publish(
            [
                CandlesClosed(
                    known_at_ms=max(now_ms, closed[-1].t_ms + length_ms),
                    symbol=series.symbol,
                    interval=series.interval,
                    candles=closed,
                )
            ]
        )
        self.stored += len(closed)
        self._report()  # not only after a whole round: a first one takes minutes
        return closed[-1].t_ms

    async def _repair_if_due(self, series: Series, _every: int) -> None:
        now_s = self._clock.monotonic()
        if series.repaired_s is None or now_s - series.repaired_s >= REPAIR_EVERY_S:
            await self._repair(series)

    async def _repair(self, series: Series) -> None:
        """Ask for the holes between stored bars, as far back as the venue goes: all of them in one request.

        A quiet coin has thousands, one for each run of minutes without trades; what the venue does not have is asked
        for once. While the store is away nobody knows of holes, and the next look comes soon.
        """
        length_ms = series.interval.ms
        reach_ms = series.closed_before(self._clock.now_ms()) - REACH * length_ms
        try:
            stored = await self._store.gaps(series.symbol, series.interval, start_ms=reach_ms)
        except StoreError as error:
            log.debug("candle_gaps_not_looked_for", symbol=series.symbol, reason=str(error))
            return
        now_s = self._clock.monotonic()
        holes = [hole for hole in stored if not series.empty.issuperset(range(hole[0], hole[1] + 1, length_ms))]
        if not holes:
            series.repaired_s = now_s
            return
        before = self.stored
        await self._fetch(series, holes)
        series.repaired_s = now_s
        for first_ms, last_ms in holes:
            series.empty.update(range(first_ms, last_ms + 1, length_ms))
        series.empty = {t_ms for t_ms in series.empty if t_ms >= reach_ms}
        log.info(
            "candle_gaps_asked",
            symbol=series.symbol,
            interval=series.interval.value,
            holes=len(holes),
            found=self.stored - before,
        )

    def _hear(self, heard: Heard) -> None:
        if isinstance(heard, CandleHeard):
            if heard.interval is Interval.M1:
                self._venue_time.note(heard.candle.t_ms, self._clock.now_ms(), self._clock.monotonic())
            self._forming[heard.symbol, heard.interval] = heard.candle

    async def _show_forming(self) -> None:
        shown: dict[tuple[Symbol, Interval], Candle] = {}
        while True:
            await self._clock.sleep(SHOW_S)
            now_ms = self._clock.now_ms()
            events: list[Event] = []
            for key, candle in self._forming.items():
                if shown.get(key) != candle:
                    shown[key] = candle
                    events.append(CandleFormed(known_at_ms=now_ms, symbol=key[0], interval=key[1], candle=candle))
            if events:
                await self._bus.publish(events)
