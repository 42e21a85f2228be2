"""What happened: the facts that travel over the bus, in the past tense.

Every event has `known_at_ms`, when we could know it (never before it was true, never falling). `key_of` names the
partition in which order is kept: the symbol for positions, tape and signals.
"""

import msgspec

from market_scraper.domain.market import Candle, Market, MarketContext
from market_scraper.domain.onchain import Reading
from market_scraper.domain.positions import Cause, Position, TapeMark
from market_scraper.domain.signals import Signal, TraderSignal
from market_scraper.domain.traders import Choice, LeaderboardRow, RatedTrader
from market_scraper.domain.values import Address, Interval, Symbol


class _Event(msgspec.Struct, frozen=True, tag=True):
    known_at_ms: int


class PositionChanged(_Event, frozen=True, gc=False):
    """One trader's position in one coin after one block (or one account answer); absolute before and after.

    Name its fields when making one: only the ledger, which makes thousands a second, goes by place.
    """

    after: Position
    lots_before: int | None
    cause: Cause
    px: float | None  # USD, of the last print; None for snapshots
    merged: int = 0  # facts that were merged into this one while the bus was full


class TapeAdvanced(_Event, frozen=True, kw_only=True):
    """All facts of this coin up to `mark.watermark_ms` have been published before this."""

    mark: TapeMark
    venue_offset_ms: int  # venue's clock minus ours, as frame times show


class TapeGapped(_Event, frozen=True, kw_only=True):
    """Prints were lost: every position of the coin is unsure since the last of `mark.gaps` began."""

    mark: TapeMark


class CandlesClosed(_Event, frozen=True, kw_only=True):
    """Closed bars of one series, oldest first; never a forming one."""

    symbol: Symbol
    interval: Interval
    candles: tuple[Candle, ...]


class CandleFormed(_Event, frozen=True, kw_only=True):
    """The bar that is still forming, as of now: shown, never stored."""

    symbol: Symbol
    interval: Interval
    candle: Candle


class MarketsListed(_Event, frozen=True, kw_only=True):
    """The collected markets as listed; comes at start and whenever a listing changes."""

    markets: tuple[Market, ...]


class MarketContextChanged(_Event, frozen=True, kw_only=True):
    """Mark, mid and open interest of one collected market."""

    context: MarketContext


class LeaderboardCaptured(_Event, frozen=True, kw_only=True):
    """A slice of one leaderboard pull: part `part` of `parts` (from 0); all parts share `captured_at_ms`."""

    captured_at_ms: int
    part: int
    parts: int
    rows: tuple[LeaderboardRow, ...]


class TradersRated(_Event, frozen=True, kw_only=True):
    """A slice of one pull's ratings, in the same parts and order as its LeaderboardCaptured.

    Published once the whole pull is known, for `tracked` is chosen among all of them.
    """

    captured_at_ms: int
    part: int
    parts: int
    traders: tuple[RatedTrader, ...]


class TraderChosen(_Event, frozen=True, kw_only=True):
    """The user tracked or untracked a trader by hand."""

    trader: Address
    choice: Choice


class ConnectorChosen(_Event, frozen=True, kw_only=True):
    """The user started or stopped a connector; the choice is stored. Whoever runs connectors obeys."""

    name: str
    running: bool


class SignalGenerated(_Event, frozen=True, kw_only=True):
    """A symbol's aggregated signal."""

    signal: Signal


class TraderSignalGenerated(_Event, frozen=True, kw_only=True):
    """One tracked trader acted."""

    signal: TraderSignal


class ReadingsTaken(_Event, frozen=True, kw_only=True):
    """On-chain readings that are new: a first value, or a revision of an old one. One source, oldest first."""

    readings: tuple[Reading, ...]


class ComponentReported(_Event, frozen=True, kw_only=True):
    """How one component is doing. Health is judged from `last_success_ms` against `allowed_age_s`."""

    name: str
    kind: str  # connector, processor, scheduler, store, bus, tape, api
    running: bool
    last_success_ms: int | None
    allowed_age_s: float | None  # None = no data is due
    errors: int  # since start
    reason: str | None  # what fails now, None = nothing
    failing_since_ms: int | None
    detail: dict[str, bool | float | int | str | None] = {}


Event = (
    PositionChanged
    | TapeAdvanced
    | TapeGapped
    | CandlesClosed
    | CandleFormed
    | MarketsListed
    | MarketContextChanged
    | LeaderboardCaptured
    | TradersRated
    | TraderChosen
    | ConnectorChosen
    | SignalGenerated
    | TraderSignalGenerated
    | ReadingsTaken
    | ComponentReported
)


def key_of(event: Event) -> str:
    """The partition in which this event keeps its place."""
    match event:
        case PositionChanged():
            return event.after.symbol
        case TapeAdvanced() | TapeGapped():
            return event.mark.symbol
        case CandlesClosed() | CandleFormed():
            return event.symbol
        case MarketContextChanged():
            return event.context.symbol
        case SignalGenerated() | TraderSignalGenerated():
            return event.signal.symbol
        case LeaderboardCaptured() | TradersRated() | TraderChosen():
            return "traders"
        case MarketsListed():
            return "markets"
        case ConnectorChosen():
            return "commands"
        case ReadingsTaken():
            return "onchain"
        case ComponentReported():
            return "health"
