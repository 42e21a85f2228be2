"""Candles of all six intervals: history back to what the venue keeps, then each bar once it is closed.

Closed bars come from REST alone, a few seconds after their end: the socket's last frame of a bar need not be its last
word, and says nothing of minutes without trades. The socket shows the bar that is still forming.
"""

import asyncio
from collections.abc import Sequence

import structlog

from market_scraper.collectors.markets import Listing
from market_scraper.domain.errors import InvalidInput, SourceError
from market_scraper.domain.events import CandleFormed, CandlesClosed, Event
from market_scraper.domain.market import Candle
from market_scraper.domain.values import Interval, Symbol
from market_scraper.ports.bus import Bus
from market_scraper.ports.clock import Clock
from market_scraper.ports.reporting import Reporter
from market_scraper.ports.sources import CandleHeard, Heard, VenueHttp, VenueSockets
from market_scraper.ports.stores import CandleReader

log = structlog.get_logger(__name__)

REACH = 5_000
"""About so many newest bars of each interval exist at the venue (facts 2.2); older ones are gone for good."""

GRACE_MS = 5_000
"""A closed bar is asked for this long after its end: a node's answer may lag by up to 2 s."""

CERTAIN_MS = 60_000
"""A bar is closed when a later one is in the same answer; without one, this long after its end by our clock."""

ASK_AGAIN_S = 5.0

REPAIR_EVERY_S = 3_600.0
SHOW_S = 0.5
RETRY_S = 5.0
CHEAP_SYMBOLS = 5
"""Asking for one closed 1m bar costs weight 21. With more symbols than this, several bars are fetched at a time."""


class Series:
    """One symbol's bars of one interval: which are had, which are due."""

    def __init__(self, symbol: Symbol, interval: Interval) -> None:
        self.symbol = symbol
        self.interval = interval
        self.next_ms: int | None = None  # open time of the first bar that is not had; None = nothing is
        self.empty: set[tuple[int, int]] = set()  # holes for which the venue has nothing
        self.repaired_s: float | None = None
        self.not_before_s = 0.0

    def closed_before(self, venue_now_ms: int) -> int:
        """Open time of the bar that is still forming, or has closed too recently to be believed."""
        return (venue_now_ms - GRACE_MS) // self.interval.ms * self.interval.ms

    def due(self, venue_now_ms: int, every: int) -> tuple[int, int] | None:
        """(first open time, last open time) of closed bars to ask for; None when fewer than `every` are due."""
        end_ms = self.closed_before(venue_now_ms)
        start_ms = max(self.next_ms or 0, end_ms - REACH * self.interval.ms)
        if end_ms - start_ms < every * self.interval.ms:
            return None
        return start_ms, end_ms - self.interval.ms


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
        self._forming: dict[tuple[Symbol, Interval], Candle] = {}
        self.stored = 0  # bars published since start

    async def run(self) -> None:
        """Collect until cancelled."""
        series = await self._open_series()
        if self._sockets is None:
            await self._keep_complete(series)
            return
        async with self._sockets.open("candles", self._hear) as socket, asyncio.TaskGroup() as tasks:
            socket.want([{"type": "candle", "coin": s.symbol, "interval": s.interval.value} for s in series])
            tasks.create_task(self._show_forming(), name="candles-forming")
            tasks.create_task(self._keep_complete(series), name="candles-closed")

    async def backfill(self) -> int:
        """Fill every series once, holes included; gives how many bars came. Raises SourceError."""
        before = self.stored
        for series in await self._open_series():
            await self._fetch_due(series, 1)
            await self._repair(series)
        return self.stored - before

    async def _open_series(self) -> list[Series]:
        """Every series of every listed symbol, the short intervals first, each at what the store has."""
        markets = await self._listing.wait()
        opened = [Series(market.symbol, interval) for interval in self._intervals for market in markets]
        for series in opened:
            newest = await self._store.newest(series.symbol, series.interval)
            series.next_ms = None if newest is None else newest.t_ms + series.interval.ms
        return opened

    async def _keep_complete(self, all_series: Sequence[Series]) -> None:
        every = max(1, len(self._listing.symbols) // CHEAP_SYMBOLS)
        while True:
            try:
                for series in all_series:
                    await self._fetch_due(series, every if series.interval is Interval.M1 else 1)
                for series in all_series:
                    now_s = self._clock.monotonic()
                    if series.repaired_s is None or now_s - series.repaired_s >= REPAIR_EVERY_S:
                        series.repaired_s = now_s
                        await self._repair(series)
            except SourceError as error:
                self._reporter.failed(str(error), told=True)
                await self._clock.sleep(RETRY_S if error.retry_after_s is None else max(1.0, error.retry_after_s))
            except InvalidInput as error:
                self._reporter.failed(f"unreadable candles: {error}")
                await self._clock.sleep(60.0)
            else:
                self._reporter.ok({"series": len(all_series), "bars_published": self.stored})
                await self._clock.sleep(1.0)

    async def _fetch_due(self, series: Series, every: int) -> None:
        now_s, now_ms = self._clock.monotonic(), self._clock.now_ms()
        due = series.due(now_ms, every)
        if due is None or now_s < series.not_before_s:
            return
        series.not_before_s = now_s + ASK_AGAIN_S
        start_ms, end_ms = due
        last_ms = await self._fetch(series, start_ms, end_ms)
        if end_ms + series.interval.ms + CERTAIN_MS <= now_ms:
            # What the venue did not give of long closed time does not exist yet: the hourly repair asks again.
            series.next_ms = end_ms + series.interval.ms
        elif last_ms is not None:
            series.next_ms = last_ms + series.interval.ms

    async def _fetch(self, series: Series, start_ms: int, end_ms: int) -> int | None:
        """Publish the closed bars of that stretch; gives the last one's open time, None when there was none."""
        length_ms, now_ms = series.interval.ms, self._clock.now_ms()
        bars = await self._http.candles(series.symbol, series.interval, start_ms, end_ms + 2 * length_ms)
        newest_ms = bars[-1].t_ms if bars else 0
        closed = tuple(
            bar
            for bar in bars
            if start_ms <= bar.t_ms <= end_ms
            and bar.t_ms % length_ms == 0
            and (bar.t_ms < newest_ms or bar.t_ms + length_ms + CERTAIN_MS <= now_ms)
        )
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
        return closed[-1].t_ms

    async def _repair(self, series: Series) -> None:
        """Ask for the holes between stored bars, as far back as the venue goes."""
        reach_ms = series.closed_before(self._clock.now_ms()) - REACH * series.interval.ms
        for hole in await self._store.gaps(series.symbol, series.interval, start_ms=reach_ms):
            if hole in series.empty:
                continue
            found = await self._fetch(series, *hole) is not None
            if not found:
                series.empty.add(hole)
            log.info(
                "candle_gap_asked", symbol=series.symbol, interval=series.interval.value, first_ms=hole[0], found=found
            )

    def _hear(self, heard: Heard) -> None:
        if isinstance(heard, CandleHeard):
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
