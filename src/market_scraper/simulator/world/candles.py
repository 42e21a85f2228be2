"""One coin's candles: recent minutes kept bar by bar, everything else merged from them or from `history`."""

from array import array

from market_scraper.simulator.world.bars import DAY_MS, INTERVALS, MINUTE_MS, Bar, merge, next_open, open_of
from market_scraper.simulator.world.facts import Candle
from market_scraper.simulator.world.history import LEVELS, History, minutes_before
from market_scraper.simulator.world.markets import Market

RETAINED = 5000  # bars of an interval that the venue still has
# The finest bars that an interval is made of where no minutes are kept.
_MADE_OF = {"3m": "1m", "30m": "15m", "2h": "1h", "8h": "4h", "12h": "4h", "3d": "1d", "1w": "1d", "1M": "1d"}


class CandleBook:
    """Minutes from the beginning of the day before the start on; those from the start on are the tape's own."""

    def __init__(self, market: Market, seed: int, start_ms: int, days: int, start_px: int, prints_per_s: float) -> None:
        self._market = market
        self._first_ms = start_ms // DAY_MS * DAY_MS - DAY_MS
        self._now_ms = start_ms
        self._forming: dict[str, tuple[int, int, Bar | None]] = {}  # interval -> open, next minute, merged so far
        minutes = (start_ms - self._first_ms) // MINUTE_MS
        self._minutes = list(minutes_before(market, seed, minutes, start_px, prints_per_s))
        self._history = History(market, seed, self._first_ms, days, self._minutes[0].o, prints_per_s)
        self._volume = array("q", [0])  # running sums over the minutes before each minute
        self._notional = array("q", [0])
        for bar in self._minutes:
            self._close_minute(bar, bar.v * (bar.h + bar.l) // 2)
        self._minutes.append(Bar(start_px, start_px, start_px, start_px, 0, 0))
        self._minute_notional = 0

    def add(self, px: int, lots: int, at_ms: int) -> None:
        """Take in one print, the newest so far."""
        self.reach(at_ms)
        bar = self._minutes[-1]
        if bar.n == 0:
            self._minutes[-1] = Bar(px, px, px, px, lots, 1)
        else:
            high = px if px > bar.h else bar.h
            low = px if px < bar.l else bar.l
            self._minutes[-1] = Bar(bar.o, high, low, px, bar.v + lots, bar.n + 1)
        self._minute_notional += px * lots

    def reach(self, at_ms: int) -> None:
        """Open the minutes up to `at_ms`; one without a print is flat at the last close."""
        self._now_ms = max(self._now_ms, at_ms)
        wanted = (at_ms - self._first_ms) // MINUTE_MS + 1
        while len(self._minutes) < wanted:
            last = self._minutes[-1]
            self._close_minute(last, self._minute_notional)
            self._minute_notional = 0
            self._minutes.append(Bar(last.c, last.c, last.c, last.c, 0, 0))

    def day_sums(self, at_ms: int) -> tuple[int, int]:
        """Volume in lots and in millionths of a USD over the 24 hours before `at_ms`, in whole minutes."""
        place = min((at_ms - self._first_ms) // MINUTE_MS, len(self._minutes) - 1)
        volume, notional = self._volume[place], self._notional[place]
        if place == len(self._minutes) - 1:
            volume, notional = volume + self._minutes[place].v, notional + self._minute_notional
        before = max(0, place - 1440)
        return volume - self._volume[before], notional - self._notional[before]

    def close_a_day_before(self, at_ms: int) -> int:
        """The price of 24 hours before `at_ms`."""
        return self._minutes[max(0, min((at_ms - self._first_ms) // MINUTE_MS, len(self._minutes) - 1) - 1440)].c

    def candles(self, interval: str, start_ms: int, end_ms: int) -> list[Candle]:
        """Bars that open in [start_ms, end_ms], oldest first; of the last `RETAINED` only."""
        oldest = self._oldest(interval)
        open_ms = open_of(interval, max(start_ms, oldest))
        if open_ms < max(start_ms, oldest):
            open_ms = next_open(interval, open_ms)
        found = []
        while open_ms <= min(end_ms, self._now_ms):
            then = next_open(interval, open_ms)
            bar = self._bar(interval, open_ms, then)
            if bar is not None:
                found.append(self._candle(interval, open_ms, then, bar))
            open_ms = then
        return found

    def forming(self, interval: str) -> Candle:
        """The bar that contains the newest moment. What closed minutes add is merged once."""
        open_ms = open_of(interval, self._now_ms)
        known_open, minute, merged = self._forming.get(interval, (-1, 0, None))
        if known_open != open_ms:
            minute = max(0, (open_ms - self._first_ms) // MINUTE_MS)
            merged = self._from_history(interval, open_ms, self._first_ms) if open_ms < self._first_ms else None
        last = len(self._minutes) - 1
        for at in range(minute, last):
            merged = merge(merged, self._minutes[at])
        self._forming[interval] = (open_ms, last, merged)
        return self._candle(interval, open_ms, next_open(interval, open_ms), merge(merged, self._minutes[last]))

    def _oldest(self, interval: str) -> int:
        if interval == "1M":
            return self._history.begin_ms
        newest = open_of(interval, self._now_ms)
        return max(self._history.begin_ms, newest - (RETAINED - 1) * INTERVALS[interval])

    def _bar(self, interval: str, open_ms: int, then_ms: int) -> Bar | None:
        bar = None
        if open_ms < self._first_ms:
            bar = self._from_history(interval, open_ms, min(then_ms, self._first_ms))
        first = max(0, (open_ms - self._first_ms) // MINUTE_MS)
        last = min(len(self._minutes), max(0, (then_ms - self._first_ms) // MINUTE_MS))
        for at in range(first, last):
            bar = merge(bar, self._minutes[at])
        return bar

    def _from_history(self, interval: str, open_ms: int, until_ms: int) -> Bar | None:
        level = _MADE_OF.get(interval, interval)
        bar = None
        for at_ms in range(max(open_ms, self._history.begin_ms), until_ms, LEVELS[level]):
            bar = merge(bar, self._history.bar(level, at_ms))
        return bar

    def _close_minute(self, bar: Bar, notional: int) -> None:
        self._volume.append(self._volume[-1] + bar.v)
        self._notional.append(self._notional[-1] + notional)

    def _candle(self, interval: str, open_ms: int, then_ms: int, bar: Bar) -> Candle:
        return Candle(self._market.coin, interval, open_ms, then_ms - 1, bar.o, bar.h, bar.l, bar.c, bar.v, bar.n)
