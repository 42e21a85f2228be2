"""Rows for store tests, made from the few fields that a test cares about."""

from collections.abc import AsyncIterator, Sequence
from typing import Any, TypeVar

from market_scraper.domain.market import Candle
from market_scraper.domain.onchain import Reading, Source
from market_scraper.domain.positions import PositionState
from market_scraper.domain.signals import Action, Contribution, Signal, SignalState, TraderSignal
from market_scraper.domain.traders import LeaderboardRow, Performance
from market_scraper.domain.values import Interval, Recommendation, Symbol
from market_scraper.ports.stores import (
    CandleRow,
    LeaderboardPart,
    PositionRow,
    PositionStateRow,
    ReadingRow,
    ScoreRow,
    SignalRow,
    TrackedRow,
    TraderSignalRow,
)
from tests.facts import BTC, address, changed, position

T = TypeVar("T")
HOUR_MS = 3_600_000
DAY_MS = 86_400_000


def candle(t_ms: int, close: float = 97_050.0) -> Candle:
    return Candle(t_ms=t_ms, o=97_000.0, h=97_100.0, l=96_900.0, c=close, v=15.5, n=12)


def candle_row(
    t_ms: int, close: float = 97_050.0, *, symbol: Symbol = BTC, interval: Interval = Interval.H1
) -> CandleRow:
    return CandleRow(symbol=symbol, interval=interval, candle=candle(t_ms, close))


def fact(
    trader: int, t_ms: int, tid: int, version: int, *, known_at_ms: int | None = None, lots: int = 1
) -> PositionRow:
    after = position(trader, t_ms=t_ms, tid=tid, version=version, lots=lots)
    return PositionRow(changed=changed(after, known_at_ms=known_at_ms))


def state(trader: int, version: int, **fields: Any) -> PositionStateRow:
    return PositionStateRow(position=position(trader, version=version, **fields), known_at_ms=1_000 + version)


def board_row(trader: int, account_value: float = 1_000.5, name: str | None = None) -> LeaderboardRow:
    return LeaderboardRow(
        trader=address(trader),
        account_value=account_value,
        day=Performance(1.25, 0.0133582723, 3_250_555_746.66),
        all_time=Performance(-500.0, -0.05, 0.0),
        display_name=name,
    )


def part(captured_at_ms: int, rows: Sequence[LeaderboardRow], number: int = 0, parts: int = 1) -> LeaderboardPart:
    return LeaderboardPart(
        captured_at_ms=captured_at_ms, known_at_ms=captured_at_ms, part=number, parts=parts, rows=tuple(rows)
    )


def score(trader: int, captured_at_ms: int, points: float, *, known_at_ms: int | None = None) -> ScoreRow:
    return ScoreRow(
        captured_at_ms=captured_at_ms,
        known_at_ms=captured_at_ms if known_at_ms is None else known_at_ms,
        trader=address(trader),
        score=points,
        parts={"month_roi": points - 5.0, "consistency": 5.0},
        tags=("whale", "consistent"),
        account_value=2e7,
    )


def tracked(trader: int, known_at_ms: int, *, is_tracked: bool = True, points: float | None = 60.0) -> TrackedRow:
    return TrackedRow(
        trader=address(trader),
        tracked=is_tracked,
        score=points,
        tags=("elite",),
        by_hand=points is None,
        known_at_ms=known_at_ms,
    )


def signal(
    number: int,
    t_ms: int,
    *,
    known_at_ms: int | None = None,
    symbol: Symbol = BTC,
    recommendation: Recommendation = Recommendation.BUY,
    confidence: float = 0.75,
) -> Signal:
    return Signal(
        id=f"{number:024x}",
        t_ms=t_ms,
        known_at_ms=t_ms if known_at_ms is None else known_at_ms,
        symbol=symbol,
        recommendation=recommendation,
        confidence=confidence,
        calibrated=False,
        long_bias=0.7,
        short_bias=0.3,
        net_exposure=0.4,
        head_count_bias=0.1,
        dollar_bias=-0.2,
        traders_long=7,
        traders_short=3,
        traders_flat=2,
        effective_voters=4.5,
        coverage=0.25,
        price=97_000.5,
        state=SignalState.LIVE,
        model="m1",
        left_out={"dormant": 3, "market_maker": 1},
        others=4,
        others_share=-0.0625,
        contributions=(
            Contribution(
                trader=address(2),
                size=-1.5,
                weight=0.3,
                conviction=-0.9,
                share=-0.27,
                state=PositionState.UNSURE,
                doubt=0.125,
            ),
            Contribution(
                trader=address(1),
                size=0.5,
                weight=0.2,
                conviction=1.0,
                share=0.2,
                state=PositionState.EXACT,
                doubt=None,
            ),
        ),
    )


def signal_row(number: int, t_ms: int, **fields: Any) -> SignalRow:
    return SignalRow(signal=signal(number, t_ms, **fields))


def act(trader: int, t_ms: int, tid: int, *, known_at_ms: int | None = None, size: float = 1.5) -> TraderSignalRow:
    return TraderSignalRow(
        signal=TraderSignal(
            trader=address(trader),
            symbol=BTC,
            t_ms=t_ms,
            known_at_ms=t_ms if known_at_ms is None else known_at_ms,
            tid=tid,
            action=Action.INCREASE,
            direction="long",
            size=size,
            price=97_000.5,
            confidence=0.5,
        )
    )


def reading(
    day: int,
    value: float,
    revision: int = 0,
    *,
    known_day: float | None = None,
    source: Source = Source.BITVIEW,
    metric: str = "mvrv",
    **fields: Any,
) -> Reading:
    """What was said of a day, known on the next unless said otherwise; a revision a day later each."""
    return Reading(
        source=source,
        metric=metric,
        t_ms=day * DAY_MS,
        revision=revision,
        value=value,
        known_at_ms=int((day + 1 + revision if known_day is None else known_day) * DAY_MS),
        **fields,
    )


def reading_row(day: int, value: float, revision: int = 0, **fields: Any) -> ReadingRow:
    return ReadingRow(reading=reading(day, value, revision, **fields))


async def gathered(slices: AsyncIterator[Sequence[T]]) -> list[T]:
    return [each async for part in slices for each in part]
