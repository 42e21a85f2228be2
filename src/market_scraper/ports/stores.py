"""What is kept. Writing is one call for all rows; reading is one small protocol a subject.

Every row is idempotent by its natural key, and an older version never overwrites a newer one. Times are
milliseconds since the epoch (UTC). `before` is the key of the last item of the page before; lists are newest first
unless they say otherwise. `known_by_ms` leaves out what became known later than that.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Protocol

import msgspec

from market_scraper.domain.events import PositionChanged
from market_scraper.domain.market import Candle
from market_scraper.domain.onchain import Reading, Source
from market_scraper.domain.positions import Position, TapeMark
from market_scraper.domain.signals import Signal, TraderSignal
from market_scraper.domain.traders import LeaderboardRow
from market_scraper.domain.values import Address, Interval, Recommendation, Symbol


class CandleRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A closed candle. Key: (symbol, interval, t_ms). A later save replaces it (the venue's word is final)."""

    symbol: Symbol
    interval: Interval
    candle: Candle


class PositionRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A position fact for the history of a tracked trader. Key: (trader, symbol, t_ms, tid) of `changed.after`."""

    changed: PositionChanged


class PositionStateRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The newest fact of one trader and coin, kept for everyone. Key: (trader, symbol); newest version wins."""

    position: Position
    known_at_ms: int


class TapeMarkRow(msgspec.Struct, frozen=True, kw_only=True):
    """How far a coin's tape is whole *and stored*. Key: symbol; the newest watermark wins."""

    mark: TapeMark


class LeaderboardPart(msgspec.Struct, frozen=True, kw_only=True):
    """A slice of one pull. Key: (captured_at_ms, part). Only rows that changed since the last pull are kept."""

    captured_at_ms: int
    known_at_ms: int
    part: int
    parts: int
    rows: tuple[LeaderboardRow, ...]


class ScoreRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A tracked trader's score at one pull. Key: (captured_at_ms, trader)."""

    captured_at_ms: int
    known_at_ms: int
    trader: Address
    score: float
    parts: dict[str, float]
    tags: tuple[str, ...]
    account_value: float


class TrackedRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A currently tracked trader. Key: trader. `tracked=False` takes it out."""

    trader: Address
    tracked: bool
    score: float | None
    tags: tuple[str, ...]
    by_hand: bool
    known_at_ms: int  # the newest wins


class SignalRow(msgspec.Struct, frozen=True, kw_only=True):
    """A signal. Key: its id."""

    signal: Signal


class TraderSignalRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A trader's act. Key: (trader, symbol, t_ms, tid)."""

    signal: TraderSignal


class ReadingRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An on-chain reading. Key: (source, metric, t_ms, revision); the later known wins. Nothing of it expires."""

    reading: Reading


CHOICE_PREFIX = "choice:"
"""Settings `choice:<address>` hold what the user's hand decided of a trader: the text of a `Choice`."""


class SettingRow(msgspec.Struct, frozen=True, kw_only=True):
    """A choice that survives restarts. Key: key. The last write wins."""

    key: str
    value: str


class DeadLetterRow(msgspec.Struct, frozen=True, kw_only=True):
    """Something that could not be handled. Key: (source, known_at_ms, digest of body)."""

    source: str
    known_at_ms: int
    reason: str
    body: bytes


Row = (
    CandleRow
    | PositionRow
    | PositionStateRow
    | TapeMarkRow
    | LeaderboardPart
    | ScoreRow
    | TrackedRow
    | SignalRow
    | TraderSignalRow
    | ReadingRow
    | SettingRow
    | DeadLetterRow
)


class CandleReader(Protocol):
    """Closed candles."""

    async def newest(self, symbol: Symbol, interval: Interval) -> Candle | None: ...

    async def history(
        self, symbol: Symbol, interval: Interval, *, start_ms: int | None, end_ms: int | None, limit: int
    ) -> list[Candle]:
        """Oldest first. With start_ms the first `limit` from there, else the newest `limit`; end_ms inclusive."""
        ...

    async def gaps(
        self, symbol: Symbol, interval: Interval, *, start_ms: int | None = None, end_ms: int | None = None
    ) -> list[tuple[int, int]]:
        """Stretches without stored candles between stored ones, as (first missing t, last missing t)."""
        ...


class PositionReader(Protocol):
    """Position states, history and tape marks."""

    def states(self, symbol: Symbol) -> AsyncIterator[Sequence[Position]]:
        """Every trader's newest position in one coin, in slices."""
        ...

    async def marks(self) -> dict[Symbol, TapeMark]: ...

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
        """Facts with t_ms >= since_ms. `before` = (t_ms, tid)."""
        ...

    async def at(self, symbol: Symbol, moment_ms: int, traders: Sequence[Address]) -> dict[Address, PositionChanged]:
        """Each trader's newest fact with t_ms and known_at_ms <= moment_ms; traders without one are left out."""
        ...


class TraderReader(Protocol):
    """Leaderboard rows, scores, and who is tracked."""

    async def latest_rows(self) -> tuple[int, list[LeaderboardRow]] | None:
        """The newest *complete* pull as (captured_at_ms, all rows ever seen, each as last seen), or None."""
        ...

    async def tracked(self) -> list[TrackedRow]: ...

    async def scores(self, trader: Address, *, since_ms: int, limit: int) -> list[ScoreRow]: ...

    async def scores_at(self, moment_ms: int) -> list[ScoreRow]:
        """The scores of the newest pull with known_at_ms <= moment_ms, best first; [] before the first."""
        ...


class SignalReader(Protocol):
    """Signals and trader signals."""

    async def get(self, signal_id: str) -> Signal | None: ...

    async def latest(self, symbol: Symbol, *, known_by_ms: int | None = None) -> Signal | None: ...

    async def previous(self, signal: Signal) -> Signal | None:
        """The one before it of the same symbol."""
        ...

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
        """`before` = (t_ms, id). Contributions are left out (see `get`)."""
        ...

    async def count(
        self, symbol: Symbol, *, since_ms: int, known_by_ms: int | None = None
    ) -> dict[Recommendation, int]: ...

    async def mean_confidence(
        self, symbol: Symbol, *, since_ms: int, known_by_ms: int | None = None
    ) -> float | None: ...

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
        """`before` = (t_ms, tid)."""
        ...


class ReadingReader(Protocol):
    """On-chain readings. A day's value is its newest revision, or the newest one known by `known_by_ms`.

    Nothing is known before its own t.
    """

    async def recent(self, *, days: int, known_by_ms: int | None = None) -> list[Reading]:
        """Each (source, metric)'s newest `days` values by t, oldest first; one series after the other, by name."""
        ...

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
        """One value for each t >= since_ms, newest first. `before` = t_ms."""
        ...

    async def revisions(self, source: Source, metric: str, t_ms: int) -> list[Reading]:
        """All that was ever said of one day, oldest first."""
        ...

    async def newest(self, source: Source) -> dict[str, int]:
        """The newest t of each of the source's metrics."""
        ...

    def values(self, source: Source, *, since_ms: int) -> AsyncIterator[Sequence[Reading]]:
        """Every metric's values with t >= since_ms, in slices and in no order."""
        ...


class SettingReader(Protocol):
    """Choices that survive restarts."""

    async def get(self, key: str) -> str | None: ...

    async def with_prefix(self, prefix: str) -> dict[str, str]: ...


class Retention(msgspec.Struct, frozen=True, kw_only=True):
    """Days that history is kept (`storage.retention`)."""

    signals: int = 30
    trader_positions: int = 30
    trader_signals: int = 30
    leaderboard_history: int = 90
    trader_scores: int = 90


class Store(Protocol):
    """Opened by an async context manager of its backend; closing twice is harmless."""

    @property
    def candles(self) -> CandleReader: ...

    @property
    def positions(self) -> PositionReader: ...

    @property
    def traders(self) -> TraderReader: ...

    @property
    def signals(self) -> SignalReader: ...

    @property
    def readings(self) -> ReadingReader: ...

    @property
    def settings(self) -> SettingReader: ...

    async def write(self, rows: Sequence[Row]) -> None:
        """Commit all rows or none. Returned = acknowledged: inside a committed transaction.

        Raises StoreError when it could not, and the caller may write the same rows again.
        """
        ...

    async def expire(self, now_ms: int) -> dict[str, int]:
        """Delete what is older than the retention; rows deleted by collection."""
        ...

    async def check(self) -> None:
        """Answer, or raise StoreError."""
        ...


class RowSink(Protocol):
    """Takes rows that may wait a while to be stored together (`storage.buffer`)."""

    async def put(self, rows: Sequence[Row], on_stored: Callable[[], None]) -> None:
        """Queue rows; `on_stored` is called once, after all of them are durable, in the order of putting.

        Durable = committed, or, while the store is away, on this machine's disk, from where they are stored in their
        order before anything newer, after a restart too. Waits while the buffer is full; nothing is skipped.
        """
        ...
