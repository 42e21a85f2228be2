"""After a gap: asks the venue's minute bars how many prints were missed, so that doubt need not lean on a forecast."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import structlog

from market_scraper.domain.errors import InvalidInput, SourceError
from market_scraper.domain.market import Candle
from market_scraper.domain.missed import first_minute
from market_scraper.domain.positions import TapeGap
from market_scraper.domain.values import Interval, Symbol
from market_scraper.domain.watch import CoinWatch
from market_scraper.ports.sources import VenueHttp

log = structlog.get_logger(__name__)

COINS = 4
"""The first so many followed coins are counted: an answer weighs 21, as much as ten accounts, and a gap is often a gap
of all coins at once. The others are told by their forecast."""

SHORTEST_MS, LONGEST_MS = 2_000, 600_000
"""Of a shorter gap little is doubted; a longer one reaches beyond what our own count holds."""

WAY_MOST_MS = 250
"""An answer is not longer on its way than this: what else it took, the question waited for its weight."""

WAIT_MS = 10_000
"""An answer waits so long for our own tape to come up to it: a late socket takes 2 s."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """The bars that hold a gap, as of `asked_ms`."""

    gap: TapeGap
    bars: list[Candle]
    asked_ms: int


class GapCounts:
    """Told of gaps, it has each counted once. `run` asks; `tick`, called several times a second, does the sum."""

    def __init__(
        self,
        http: VenueHttp,
        watches: Mapping[Symbol, CoinWatch],
        *,
        venue_now_ms: Callable[[], int],
        on_counted: Callable[[], None],
    ) -> None:
        self._http = http
        self._watches = watches
        self._venue_now_ms = venue_now_ms
        self._on_counted = on_counted
        self._gaps: dict[Symbol, TapeGap] = {}  # to be asked for, a coin's newest one only
        self._answers: dict[Symbol, _Answer] = {}
        self._told = asyncio.Event()

    def gapped(self, symbol: Symbol, gap: TapeGap) -> None:
        """Nobody heard this stretch of the coin's tape."""
        self._answers.pop(symbol, None)
        if SHORTEST_MS <= gap.until_ms - gap.since_ms <= LONGEST_MS and symbol in list(self._watches)[:COINS]:
            self._gaps[symbol] = gap
            self._told.set()

    def forget(self, symbol: Symbol) -> None:
        """This was a halt: what it hid was off the tape, so no count of prints tells anything of it."""
        self._gaps.pop(symbol, None)
        self._answers.pop(symbol, None)

    async def run(self) -> None:
        """Ask for ever."""
        while True:
            await self._told.wait()
            self._told.clear()
            while self._gaps:
                symbol = next(each for each in self._watches if each in self._gaps)
                await self._ask(symbol, self._gaps[symbol])

    async def _ask(self, symbol: Symbol, gap: TapeGap) -> None:
        asked_ms = self._venue_now_ms()
        bars: list[Candle] | None = None
        try:
            bars = await self._http.candles(symbol, Interval.M1, first_minute(gap), asked_ms, urgent=True)
        except (SourceError, InvalidInput) as error:  # the forecast holds
            log.info("gap_not_counted", symbol=symbol, reason=str(error))
        if self._gaps.get(symbol) != gap:
            return  # another one came, or it was a halt
        del self._gaps[symbol]
        if bars is not None:
            answered_ms = self._venue_now_ms()
            way_ms = min((answered_ms - asked_ms) // 2, WAY_MOST_MS)
            self._answers[symbol] = _Answer(gap, bars, answered_ms - way_ms)

    def tick(self) -> None:
        """Count what our own tape has come up to."""
        for symbol, answer in list(self._answers.items()):
            watch = self._watches[symbol]
            watermark_ms = watch.tape.watermark_ms
            if watermark_ms is not None and watermark_ms >= answer.asked_ms:
                del self._answers[symbol]
                if not watch.is_halted and watch.count_gap(answer.gap, answer.bars, answer.asked_ms):
                    pace = next((gap.pace for gap in watch.tape.gaps if gap.since_ms == answer.gap.since_ms), None)
                    log.info("gap_counted", symbol=symbol, since_ms=answer.gap.since_ms, times_usual=pace)
                    self._on_counted()
            elif self._venue_now_ms() - answer.asked_ms > WAIT_MS:
                del self._answers[symbol]
