"""Answers of `/api/v1/signals` and of a trader's own signals."""

from collections.abc import Mapping
from datetime import datetime

import msgspec

from market_scraper.domain import signals as domain
from market_scraper.domain.positions import PositionState
from market_scraper.domain.signals import Action, SignalState
from market_scraper.domain.values import Recommendation
from market_scraper.schemas.times import moment


class Signal(msgspec.Struct, frozen=True, kw_only=True):
    """What the tracked traders' positions in one coin add up to."""

    id: str | None  # 24 hex; null before the first signal
    timestamp: datetime
    symbol: str
    recommendation: Recommendation
    confidence: float  # probability, 0..1, that the direction of net_exposure is right
    calibrated: bool  # whether `confidence` was checked against outcomes
    long_bias: float  # share that is long, 0..1
    short_bias: float  # share that is short, 0..1
    net_exposure: float  # long_bias - short_bias
    head_count_bias: float  # (longs - shorts) / voters
    dollar_bias: float  # sum of signed notional / sum of |notional|
    traders_long: int
    traders_short: int
    traders_flat: int
    effective_voters: float
    coverage: float  # sum of |size| over exact traders / (2 x open interest), 0..1
    price: float | None  # USD
    state: SignalState
    known_at: datetime
    model: str | None  # version of the rule that made it


class SignalList(msgspec.Struct, frozen=True, kw_only=True):
    """Signals of one symbol, newest first."""

    signals: list[Signal]
    total: int  # in the period, that match the filters
    count: int
    symbol: str
    next_cursor: str | None


class SignalStats(msgspec.Struct, frozen=True, kw_only=True):
    """Signals of a period, counted."""

    symbol: str
    period_hours: int
    total_signals: int
    buy_signals: int
    sell_signals: int
    neutral_signals: int
    avg_confidence: float | None  # null without signals
    current_bias: float | None  # net_exposure of the newest signal


class Contribution(msgspec.Struct, frozen=True, kw_only=True):
    """What one voter added. All shares, those of the others included, sum to net_exposure."""

    address: str
    size: float  # coins, signed
    weight: float  # skill weight x data quality
    conviction: float  # -1..1
    share: float  # signed part of net_exposure
    state: PositionState
    doubt: float | None


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """How one trader's share moved since the signal before.

    A signal names its largest contributions. Who is named in one of the two alone, and may have been among the others
    in the other one, `rose` or `fell`: that share is null, and so is the change.
    """

    address: str
    kind: str  # joined, left, changed, rose, fell
    share_before: float | None
    share_after: float | None
    change: float | None
    size_before: float | None  # coins; null for one who had no vote, or was not named
    size_after: float | None


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """Why a signal says what it says."""

    signal: Signal
    effective_voters: float
    voters: int
    contributions: list[Contribution]  # the 100 largest |shares|, largest first
    others: int  # voters with a size that are not named
    others_share: float  # the sum of their shares
    previous: Signal | None
    left_out: dict[str, int]  # tracked traders with a known size who did not vote, by class
    net_exposure_change: float | None  # since the previous signal
    changes: list[Change]  # largest |change| first, the unknown ones last


class TraderSignal(msgspec.Struct, frozen=True, kw_only=True):
    """One act of one trader."""

    timestamp: datetime
    known_at: datetime
    symbol: str
    action: Action
    direction: str  # long or short: the side after the act, or the side that was closed
    size: float  # coins, signed, after the act
    price: float | None  # USD
    confidence: float


class TraderSignalList(msgspec.Struct, frozen=True, kw_only=True):
    """One trader's acts in one coin, newest first."""

    address: str
    symbol: str
    signals: list[TraderSignal]
    count: int
    next_cursor: str | None


def signal(of: domain.Signal) -> Signal:
    """Show a signal."""
    return Signal(
        id=of.id,
        timestamp=moment(of.t_ms),
        symbol=of.symbol,
        recommendation=of.recommendation,
        confidence=of.confidence,
        calibrated=of.calibrated,
        long_bias=of.long_bias,
        short_bias=of.short_bias,
        net_exposure=of.net_exposure,
        head_count_bias=of.head_count_bias,
        dollar_bias=of.dollar_bias,
        traders_long=of.traders_long,
        traders_short=of.traders_short,
        traders_flat=of.traders_flat,
        effective_voters=of.effective_voters,
        coverage=of.coverage,
        price=of.price,
        state=of.state,
        known_at=moment(of.known_at_ms),
        model=of.model,
    )


def before_the_first(symbol: str, now_ms: int, *, coverage: float, price: float | None) -> Signal:
    """What is answered while no signal was ever made: NEUTRAL, and nobody has voted."""
    return Signal(
        id=None,
        timestamp=moment(now_ms),
        symbol=symbol,
        recommendation=Recommendation.NEUTRAL,
        confidence=0.5,  # a coin's toss: nothing is known
        calibrated=False,
        long_bias=0.0,
        short_bias=0.0,
        net_exposure=0.0,
        head_count_bias=0.0,
        dollar_bias=0.0,
        traders_long=0,
        traders_short=0,
        traders_flat=0,
        effective_voters=0.0,
        coverage=coverage,
        price=price,
        state=SignalState.WARMING_UP,
        known_at=moment(now_ms),
        model=None,
    )


def stats(
    symbol: str,
    hours: int,
    counts: Mapping[Recommendation, int],
    *,
    avg_confidence: float | None,
    current_bias: float | None,
) -> SignalStats:
    """Show a period's counts."""
    return SignalStats(
        symbol=symbol,
        period_hours=hours,
        total_signals=sum(counts.values()),
        buy_signals=counts.get(Recommendation.BUY, 0),
        sell_signals=counts.get(Recommendation.SELL, 0),
        neutral_signals=counts.get(Recommendation.NEUTRAL, 0),
        avg_confidence=avg_confidence,
        current_bias=current_bias,
    )


def explanation(of: domain.Signal, previous: domain.Signal | None) -> Explanation:
    """Say who made a signal, and what moved since the one before."""
    return Explanation(
        signal=signal(of),
        effective_voters=of.effective_voters,
        voters=of.traders_long + of.traders_short + of.traders_flat,
        contributions=[_contribution(c) for c in of.contributions],
        others=of.others,
        others_share=of.others_share,
        previous=None if previous is None else signal(previous),
        left_out=of.left_out,
        net_exposure_change=None if previous is None else of.net_exposure - previous.net_exposure,
        changes=[] if previous is None else _changes(previous, of),
    )


def trader_signal(of: domain.TraderSignal) -> TraderSignal:
    """Show a trader's act."""
    return TraderSignal(
        timestamp=moment(of.t_ms),
        known_at=moment(of.known_at_ms),
        symbol=of.symbol,
        action=of.action,
        direction=of.direction,
        size=of.size,
        price=of.price,
        confidence=of.confidence,
    )


def _contribution(of: domain.Contribution) -> Contribution:
    return Contribution(
        address=of.trader,
        size=of.size,
        weight=of.weight,
        conviction=of.conviction,
        share=of.share,
        state=of.state,
        doubt=of.doubt,
    )


def _changes(before: domain.Signal, after: domain.Signal) -> list[Change]:
    old = {c.trader: c for c in before.contributions}
    new = {c.trader: c for c in after.contributions}
    # Who is not named had no vote, or, where others are, may have been one of them.
    unnamed_before, unnamed_after = (None if before.others else 0.0), (None if after.others else 0.0)
    changes = []
    for trader in old.keys() | new.keys():
        was, now = old.get(trader), new.get(trader)
        share_before = unnamed_before if was is None else was.share
        share_after = unnamed_after if now is None else now.share
        if was is not None and now is not None and share_before == share_after:
            continue
        is_known = share_before is not None and share_after is not None
        if was is None:
            kind = "joined" if is_known else "rose"
        elif now is None:
            kind = "left" if is_known else "fell"
        else:
            kind = "changed"
        changes.append(
            Change(
                address=trader,
                kind=kind,
                share_before=share_before,
                share_after=share_after,
                change=None if share_before is None or share_after is None else share_after - share_before,
                size_before=None if was is None else was.size,
                size_after=None if now is None else now.size,
            )
        )
    return sorted(changes, key=lambda c: (c.change is None, -abs(c.change or 0.0), c.address))
