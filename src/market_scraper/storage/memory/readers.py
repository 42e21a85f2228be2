"""What `MemoryRepository` answers: each reader of `ports.stores` over the shared tables."""

from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import groupby, islice, pairwise, takewhile
from typing import Any

import msgspec

from market_scraper.domain.events import PositionChanged
from market_scraper.domain.market import Candle
from market_scraper.domain.onchain import Reading, Source
from market_scraper.domain.positions import Position, TapeMark
from market_scraper.domain.signals import Signal, TraderSignal
from market_scraper.domain.traders import LeaderboardRow
from market_scraper.domain.values import Address, Interval, Recommendation, Symbol
from market_scraper.ports.stores import ScoreRow, TrackedRow
from market_scraper.storage.gaps import missing_between
from market_scraper.storage.memory.series import Series
from market_scraper.storage.memory.tables import Tables

SLICE = 2_000
EMPTY: Series[Any] = Series()  # asking for what is not there must not make it


class MemoryCandles:
    """Implements `CandleReader`."""

    def __init__(self, tables: Tables) -> None:
        self._series = tables.candles

    async def newest(self, symbol: Symbol, interval: Interval) -> Candle | None:
        return next(self._series.get((symbol, interval), EMPTY).descending(), None)

    async def history(
        self, symbol: Symbol, interval: Interval, *, start_ms: int | None, end_ms: int | None, limit: int
    ) -> list[Candle]:
        series = self._series.get((symbol, interval), EMPTY)
        if start_ms is None:
            return list(islice(series.descending(None if end_ms is None else end_ms + 1), limit))[::-1]
        upto = takewhile(lambda candle: end_ms is None or candle.t_ms <= end_ms, series.ascending(start_ms))
        return list(islice(upto, limit))

    async def gaps(
        self, symbol: Symbol, interval: Interval, *, start_ms: int | None = None, end_ms: int | None = None
    ) -> list[tuple[int, int]]:
        times = (candle.t_ms for candle in self._series.get((symbol, interval), EMPTY).ascending())
        return missing_between(pairwise(times), interval.ms, start_ms=start_ms, end_ms=end_ms)


class MemoryPositions:
    """Implements `PositionReader`."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def states(self, symbol: Symbol) -> AsyncIterator[Sequence[Position]]:
        rows = list(self._tables.states.get(symbol, {}).values())
        for start in range(0, len(rows), SLICE):
            yield [row.position for row in rows[start : start + SLICE]]

    async def marks(self) -> dict[Symbol, TapeMark]:
        return dict(self._tables.marks)

    async def history(
        self,
        trader: Address,
        symbol: Symbol,
        *,
        since_ms: int,
        limit: int,
        known_by_ms: int | None = None,
        before: tuple[int, int] | None = None,
    ) -> list[PositionChanged]:
        newest_first = self._tables.facts.get((trader, symbol), EMPTY).descending(before)
        recent = takewhile(lambda changed: changed.after.t_ms >= since_ms, newest_first)
        known = (changed for changed in recent if known_by_ms is None or changed.known_at_ms <= known_by_ms)
        return list(islice(known, limit))

    async def at(self, symbol: Symbol, moment_ms: int, traders: Sequence[Address]) -> dict[Address, PositionChanged]:
        found = {}
        for trader in traders:
            known = [
                changed
                for changed in self._tables.facts.get((trader, symbol), EMPTY).descending((moment_ms + 1,))
                if changed.known_at_ms <= moment_ms
            ]
            if known:
                found[trader] = max(known, key=lambda changed: (changed.known_at_ms, changed.after.version))
        return found


class MemoryTraders:
    """Implements `TraderReader`."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def latest_rows(self) -> tuple[int, list[LeaderboardRow]] | None:
        return self._tables.leaderboard.latest()

    async def tracked(self) -> list[TrackedRow]:
        return [row for row in self._tables.tracked.values() if row.tracked]

    async def scores(self, trader: Address, *, since_ms: int, limit: int) -> list[ScoreRow]:
        newest_first = self._tables.scores_of.get(trader, EMPTY).descending()
        return list(islice(takewhile(lambda row: row.captured_at_ms >= since_ms, newest_first), limit))

    async def scores_at(self, moment_ms: int) -> list[ScoreRow]:
        for pull in self._tables.scores.descending():
            known = [row for row in pull.values() if row.known_at_ms <= moment_ms]
            if known:
                return sorted(known, key=lambda row: (-row.score, row.trader))
        return []


class MemorySignals:
    """Implements `SignalReader`."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def get(self, signal_id: str) -> Signal | None:
        return self._tables.signal_by_id.get(signal_id)

    async def latest(self, symbol: Symbol, *, known_by_ms: int | None = None) -> Signal | None:
        newest_first = self._tables.signals.get(symbol, EMPTY).descending()
        return next((s for s in newest_first if known_by_ms is None or s.known_at_ms <= known_by_ms), None)

    async def previous(self, signal: Signal) -> Signal | None:
        return next(self._tables.signals.get(signal.symbol, EMPTY).descending((signal.t_ms, signal.id)), None)

    async def history(
        self,
        symbol: Symbol,
        *,
        since_ms: int,
        limit: int,
        recommendation: Recommendation | None = None,
        known_by_ms: int | None = None,
        before: tuple[int, str] | None = None,
    ) -> list[Signal]:
        newest_first = self._tables.signals.get(symbol, EMPTY).descending(before)
        wanted = (
            _without_contributions(signal)
            for signal in takewhile(lambda signal: signal.t_ms >= since_ms, newest_first)
            if (recommendation is None or signal.recommendation is recommendation)
            and (known_by_ms is None or signal.known_at_ms <= known_by_ms)
        )
        return list(islice(wanted, limit))

    async def count(
        self, symbol: Symbol, *, since_ms: int, known_by_ms: int | None = None
    ) -> dict[Recommendation, int]:
        counted = dict.fromkeys(Recommendation, 0)
        for signal in self._since(symbol, since_ms, known_by_ms):
            counted[signal.recommendation] += 1
        return counted

    async def mean_confidence(self, symbol: Symbol, *, since_ms: int, known_by_ms: int | None = None) -> float | None:
        values = [signal.confidence for signal in self._since(symbol, since_ms, known_by_ms)]
        return sum(values) / len(values) if values else None

    async def of_trader(
        self,
        trader: Address,
        symbol: Symbol,
        *,
        since_ms: int,
        limit: int,
        known_by_ms: int | None = None,
        before: tuple[int, int] | None = None,
    ) -> list[TraderSignal]:
        newest_first = self._tables.trader_signals.get((trader, symbol), EMPTY).descending(before)
        recent = takewhile(lambda signal: signal.t_ms >= since_ms, newest_first)
        known = (signal for signal in recent if known_by_ms is None or signal.known_at_ms <= known_by_ms)
        return list(islice(known, limit))

    def _since(self, symbol: Symbol, since_ms: int, known_by_ms: int | None) -> list[Signal]:
        return [
            signal
            for signal in self._tables.signals.get(symbol, EMPTY).ascending((since_ms,))
            if known_by_ms is None or signal.known_at_ms <= known_by_ms
        ]


class MemoryReadings:
    """Implements `ReadingReader`."""

    def __init__(self, tables: Tables) -> None:
        self._series = tables.readings

    async def recent(self, *, days: int, known_by_ms: int | None = None) -> list[Reading]:
        return [
            reading
            for _, series in sorted(self._series.items())
            for reading in list(islice(_values_of(series, known_by_ms=known_by_ms), days))[::-1]
        ]

    async def history(
        self,
        source: Source,
        metric: str,
        *,
        since_ms: int,
        limit: int,
        known_by_ms: int | None = None,
        before: int | None = None,
    ) -> list[Reading]:
        values = _values_of(self._series.get((source, metric), EMPTY), known_by_ms=known_by_ms, before=before)
        return list(islice(takewhile(lambda reading: reading.t_ms >= since_ms, values), limit))

    async def revisions(self, source: Source, metric: str, t_ms: int) -> list[Reading]:
        from_there = self._series.get((source, metric), EMPTY).ascending((t_ms,))
        return list(takewhile(lambda reading: reading.t_ms == t_ms, from_there))

    async def newest(self, source: Source) -> dict[str, int]:
        return {
            metric: next(series.descending()).t_ms
            for (measured_by, metric), series in self._series.items()
            if measured_by is source
        }

    async def values(self, source: Source, *, since_ms: int) -> AsyncIterator[Sequence[Reading]]:
        for metric in await self.newest(source):
            found = await self.history(source, metric, since_ms=since_ms, limit=len(self._series[source, metric]))
            for end in range(len(found), 0, -SLICE):
                yield found[max(0, end - SLICE) : end][::-1]


class MemorySettings:
    """Implements `SettingReader`."""

    def __init__(self, tables: Tables) -> None:
        self._settings = tables.settings

    async def get(self, key: str) -> str | None:
        return self._settings.get(key)

    async def with_prefix(self, prefix: str) -> dict[str, str]:
        return {key: value for key, value in self._settings.items() if key.startswith(prefix)}


def _values_of(
    series: Series[Reading], *, known_by_ms: int | None = None, before: int | None = None
) -> Iterator[Reading]:
    """The newest revision of each t, newest first; nothing is known before the t that it speaks of."""
    ends = [end for end in (before, None if known_by_ms is None else known_by_ms + 1) if end is not None]
    for _, of_one_day in groupby(series.descending((min(ends),) if ends else None), lambda reading: reading.t_ms):
        known = (reading for reading in of_one_day if known_by_ms is None or reading.known_at_ms <= known_by_ms)
        newest = next(known, None)
        if newest is not None:
            yield newest


def _without_contributions(signal: Signal) -> Signal:
    return msgspec.structs.replace(signal, contributions=())
