"""Traders as the leaderboard ranks them and as we rate them."""

from enum import StrEnum

import msgspec

from market_scraper.domain.values import Address


class Window(StrEnum):
    """The leaderboard's performance windows, by the venue's own names."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    ALL_TIME = "allTime"


class Performance(msgspec.Struct, frozen=True, gc=False):
    """One window's result. Values are finite; what upstream sent as NaN or infinity is missing instead."""

    pnl: float  # USD
    roi: float  # fraction: 0.0133 = 1.33 %
    vlm: float  # USD traded, >= 0


class LeaderboardRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One ranked trader. A missing window is None. `display_name` is user-chosen text: never log it."""

    trader: Address
    account_value: float  # USD, may be 0 or negative
    day: Performance | None = None
    week: Performance | None = None
    month: Performance | None = None
    all_time: Performance | None = None
    display_name: str | None = None


class Inference(msgspec.Struct, frozen=True, gc=False):
    """What the leaderboard alone says of a trader: has a position, or not. It claims no side and no size."""

    has_position: bool
    confidence: float  # measured precision of the indicators that fired, 0 when none did
    indicators: tuple[str, ...] = ()


class RatedTrader(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One trader with our score, tags and inference, all from the same leaderboard pull.

    Without `ranked` it is one whom no leaderboard has, tracked by hand: score and values say nothing.
    """

    row: LeaderboardRow
    score: float  # points; the default rules give -10..105
    parts: dict[str, float]  # what each rule gave; sums to the score
    tags: tuple[str, ...]
    inference: Inference
    tracked: bool  # listed, voting, with history
    ranked: bool = True


class Choice(StrEnum):
    """What the user's hand has decided about a trader; it survives every refresh."""

    TRACK = "track"
    UNTRACK = "untrack"
