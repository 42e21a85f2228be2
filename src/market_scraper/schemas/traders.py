"""Answers of `/api/v1/traders`."""

from datetime import datetime

import msgspec

from market_scraper.domain import classes
from market_scraper.domain import traders as domain
from market_scraper.domain.classes import ClassName
from market_scraper.domain.values import Address
from market_scraper.schemas.positions import Position


class TraderSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the list of tracked traders."""

    address: str
    display_name: str | None  # chosen by the trader: not to be trusted
    score: float | None  # points
    tags: tuple[str, ...]
    account_value: float | None  # USD, as the leaderboard said
    active: bool  # tracked now: listed, voting, with history
    position: Position | None  # in the asked symbol; null when nothing is known of it


class TraderList(msgspec.Struct, frozen=True, kw_only=True):
    """Tracked traders, best first unless sorted otherwise."""

    traders: list[TraderSummary]
    total: int  # that match the filters
    count: int  # on this page
    symbol: str
    captured_at: datetime | None  # the leaderboard pull that scores and values come from
    next_cursor: str | None


class EncodedList(TraderList, frozen=True, kw_only=True):
    """A `TraderList` whose lines are encoded already."""

    traders: list[msgspec.Raw]  # type: ignore[assignment]


class Performance(msgspec.Struct, frozen=True, kw_only=True):
    """One window of the leaderboard."""

    pnl: float  # USD
    roi: float  # fraction: 0.0133 = 1.33 %
    volume: float  # USD


class PerformanceWindows(msgspec.Struct, frozen=True, kw_only=True):
    """What the leaderboard says of a trader; a window that it left out is null."""

    day: Performance | None
    week: Performance | None
    month: Performance | None
    all_time: Performance | None


class Inference(msgspec.Struct, frozen=True, kw_only=True):
    """What the leaderboard alone lets us guess: a position, but neither side nor size."""

    has_position: bool
    confidence: float  # measured precision of the indicators that fired, 0..1
    indicators: tuple[str, ...]


class ScoreDetail(msgspec.Struct, frozen=True, kw_only=True):
    """Where a score comes from."""

    score: float
    parts: dict[str, float]  # points by rule; they sum to the score
    captured_at: datetime | None


class TraderClass(msgspec.Struct, frozen=True, kw_only=True):
    """Why a trader does not vote like a directional one."""

    name: ClassName
    reason: str  # with the numbers that decided
    vote: float  # what a vote counts with: 0 = none .. 1 = in full


class TraderDetail(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about one followed trader."""

    address: str
    display_name: str | None
    score: float | None
    tags: tuple[str, ...]
    account_value: float | None
    active: bool
    choice: domain.Choice | None  # tracked or untracked by hand
    position: Position | None  # in the asked symbol
    positions: list[Position]  # one for each collected symbol
    performance: PerformanceWindows | None
    score_detail: ScoreDetail | None
    inference: Inference | None
    trader_class: TraderClass | None = msgspec.field(name="class")  # null: votes as usual when tracked


class ScoreUpdate(msgspec.Struct, frozen=True, kw_only=True):
    """One trader's new rating, as `/ws` tells it."""

    address: str
    display_name: str | None
    score: float
    tags: tuple[str, ...]
    account_value: float
    active: bool


class ScoreUpdates(msgspec.Struct, frozen=True, kw_only=True):
    """Data of a `score` message: one slice of a leaderboard pull."""

    traders: list[ScoreUpdate]
    captured_at: datetime


def performance(row: domain.LeaderboardRow) -> PerformanceWindows:
    """Show a row's windows."""
    return PerformanceWindows(
        day=_window(row.day), week=_window(row.week), month=_window(row.month), all_time=_window(row.all_time)
    )


def _window(of: domain.Performance | None) -> Performance | None:
    return None if of is None else Performance(pnl=of.pnl, roi=of.roi, volume=of.vlm)


def inference(of: domain.Inference) -> Inference:
    """Show what the leaderboard alone says."""
    return Inference(has_position=of.has_position, confidence=of.confidence, indicators=of.indicators)


def trader_class(of: classes.TraderClass) -> TraderClass:
    """Show a class."""
    return TraderClass(name=of.name, reason=of.reason, vote=of.vote)


def tagged(tags: tuple[str, ...], name: ClassName | None) -> tuple[str, ...]:
    """Add the class to the tags; one that the leaderboard's row gave is there already."""
    return tags if name is None or name.value in tags else (*tags, name.value)


def summary(
    trader: domain.RatedTrader, *, active: bool, position: Position | None, name: ClassName | None = None
) -> TraderSummary:
    """Show one tracked trader in a list; of one whom no leaderboard has, neither score nor value is known."""
    return TraderSummary(
        address=trader.row.trader,
        display_name=trader.row.display_name,
        score=trader.score if trader.ranked else None,
        tags=tagged(trader.tags, name),
        account_value=trader.row.account_value if trader.ranked else None,
        active=active,
        position=position,
    )


def score_update(trader: domain.RatedTrader) -> ScoreUpdate:
    """Show a new rating."""
    return ScoreUpdate(
        address=trader.row.trader,
        display_name=trader.row.display_name,
        score=trader.score,
        tags=trader.tags,
        account_value=trader.row.account_value,
        active=trader.tracked,
    )


def detail(
    address: Address,
    rated: domain.RatedTrader | None,
    *,
    captured_at: datetime | None,
    active: bool,
    choice: domain.Choice | None,
    position: Position | None,
    positions: list[Position],
    classed: classes.TraderClass | None = None,
) -> TraderDetail:
    """Show a followed trader; `rated` None: on no leaderboard, seen on the tape or chosen by hand."""
    return TraderDetail(
        address=address,
        display_name=None if rated is None else rated.row.display_name,
        score=None if rated is None else rated.score,
        tags=tagged(() if rated is None else rated.tags, None if classed is None else classed.name),
        account_value=None if rated is None else rated.row.account_value,
        active=active,
        choice=choice,
        position=position,
        positions=positions,
        performance=None if rated is None else performance(rated.row),
        score_detail=None
        if rated is None
        else ScoreDetail(score=rated.score, parts=rated.parts, captured_at=captured_at),
        inference=None if rated is None else inference(rated.inference),
        trader_class=None if classed is None else trader_class(classed),
    )
