"""The rows of `MemoryRepository`, by natural key. Nothing here waits, so what one call does is never half seen."""

from collections import defaultdict
from collections.abc import Callable
from typing import Any

from market_scraper.domain.events import PositionChanged
from market_scraper.domain.market import Candle
from market_scraper.domain.onchain import Reading, Source
from market_scraper.domain.positions import TapeMark
from market_scraper.domain.signals import Signal, TraderSignal
from market_scraper.domain.traders import LeaderboardRow
from market_scraper.domain.values import Address, Interval, Symbol
from market_scraper.ports.stores import (
    CandleRow,
    DeadLetterRow,
    LeaderboardPart,
    PositionRow,
    PositionStateRow,
    ReadingRow,
    Row,
    ScoreRow,
    SettingRow,
    SignalRow,
    TapeMarkRow,
    TrackedRow,
    TraderSignalRow,
)
from market_scraper.storage.memory.series import Series


class Leaderboard:
    """Rows as last seen, and the pulls that are not complete yet.

    Once a newer pull has begun, an older one is not continued.
    """

    def __init__(self) -> None:
        self._seen: dict[Address, LeaderboardRow] = {}
        self._captured_at_ms: int | None = None
        self._open: dict[int, dict[int, LeaderboardPart]] = {}

    def add(self, part: LeaderboardPart) -> None:
        """Take a part in; the pull becomes the latest with its last part."""
        newest = max((*self._open, self._captured_at_ms or 0))
        if part.captured_at_ms < newest or part.captured_at_ms == self._captured_at_ms:
            return
        pull = self._open.setdefault(part.captured_at_ms, {})
        pull.setdefault(part.part, part)
        if len(pull) < part.parts:
            return
        for parts in self._open.values():  # what an unfinished pull said was seen too
            for known in parts.values():
                self._seen.update((row.trader, row) for row in known.rows)
        self._open.clear()
        self._captured_at_ms = part.captured_at_ms

    def latest(self) -> tuple[int, list[LeaderboardRow]] | None:
        """The newest complete pull."""
        return None if self._captured_at_ms is None else (self._captured_at_ms, list(self._seen.values()))


class Tables:
    """Everything that is kept. `put` never fails for rows that `documents.to_document` accepts."""

    def __init__(self) -> None:
        self.candles: defaultdict[tuple[Symbol, Interval], Series[Candle]] = defaultdict(Series)
        self.facts: defaultdict[tuple[Address, Symbol], Series[PositionChanged]] = defaultdict(Series)
        self.states: defaultdict[Symbol, dict[Address, PositionStateRow]] = defaultdict(dict)
        self.marks: dict[Symbol, TapeMark] = {}
        self.leaderboard = Leaderboard()
        self.scores: Series[dict[Address, ScoreRow]] = Series()
        self.scores_of: defaultdict[Address, Series[ScoreRow]] = defaultdict(Series)
        self.tracked: dict[Address, TrackedRow] = {}
        self.signals: defaultdict[Symbol, Series[Signal]] = defaultdict(Series)
        self.signal_by_id: dict[str, Signal] = {}
        self.trader_signals: defaultdict[tuple[Address, Symbol], Series[TraderSignal]] = defaultdict(Series)
        self.readings: defaultdict[tuple[Source, str], Series[Reading]] = defaultdict(Series)
        self.settings: dict[str, str] = {}
        self.dead_letters: dict[tuple[str, int, bytes], DeadLetterRow] = {}
        self._put: dict[type[object], Callable[[Any], None]] = {
            CandleRow: self._put_candle,
            PositionRow: self._put_fact,
            PositionStateRow: self._put_state,
            TapeMarkRow: self._put_mark,
            LeaderboardPart: self.leaderboard.add,
            ScoreRow: self._put_score,
            TrackedRow: self._put_tracked,
            SignalRow: self._put_signal,
            TraderSignalRow: self._put_trader_signal,
            ReadingRow: self._put_reading,
            SettingRow: self._put_setting,
            DeadLetterRow: self._put_dead_letter,
        }

    def put(self, row: Row) -> None:
        """Keep a row, unless a newer one of its key is here."""
        self._put[type(row)](row)

    def _put_candle(self, row: CandleRow) -> None:
        self.candles[row.symbol, row.interval].put(row.candle.t_ms, row.candle)

    def _put_fact(self, row: PositionRow) -> None:
        after = row.changed.after
        series = self.facts[after.trader, after.symbol]
        kept = series.get((after.t_ms, after.tid))
        if kept is None or kept.after.version <= after.version:
            series.put((after.t_ms, after.tid), row.changed)

    def _put_state(self, row: PositionStateRow) -> None:
        states = self.states[row.position.symbol]
        kept = states.get(row.position.trader)
        if kept is None or kept.position.version <= row.position.version:
            states[row.position.trader] = row

    def _put_mark(self, row: TapeMarkRow) -> None:
        kept, mark = self.marks.get(row.mark.symbol), row.mark
        if kept is None or (kept.watermark_ms, kept.epoch_ms) <= (mark.watermark_ms, mark.epoch_ms):
            self.marks[mark.symbol] = mark

    def _put_score(self, row: ScoreRow) -> None:
        pull = self.scores.get(row.captured_at_ms)
        if pull is None:
            pull = {}
            self.scores.put(row.captured_at_ms, pull)
        kept = pull.get(row.trader)
        if kept is None or kept.known_at_ms <= row.known_at_ms:
            pull[row.trader] = row
            self.scores_of[row.trader].put(row.captured_at_ms, row)

    def _put_tracked(self, row: TrackedRow) -> None:
        kept = self.tracked.get(row.trader)
        if kept is None or kept.known_at_ms <= row.known_at_ms:
            self.tracked[row.trader] = row

    def _put_signal(self, row: SignalRow) -> None:
        signal = row.signal
        kept = self.signal_by_id.get(signal.id)
        if kept is None or kept.known_at_ms <= signal.known_at_ms:
            self.signal_by_id[signal.id] = signal
            self.signals[signal.symbol].put((signal.t_ms, signal.id), signal)

    def _put_trader_signal(self, row: TraderSignalRow) -> None:
        signal = row.signal
        series = self.trader_signals[signal.trader, signal.symbol]
        kept = series.get((signal.t_ms, signal.tid))
        if kept is None or kept.known_at_ms <= signal.known_at_ms:
            series.put((signal.t_ms, signal.tid), signal)

    def _put_reading(self, row: ReadingRow) -> None:
        reading = row.reading
        series = self.readings[reading.source, reading.metric]
        kept = series.get((reading.t_ms, reading.revision))
        if kept is None or kept.known_at_ms <= reading.known_at_ms:
            series.put((reading.t_ms, reading.revision), reading)

    def _put_setting(self, row: SettingRow) -> None:
        self.settings[row.key] = row.value

    def _put_dead_letter(self, row: DeadLetterRow) -> None:
        self.dead_letters[row.source, row.known_at_ms, row.body] = row
