"""A signal: what the tracked traders' positions in one coin add up to."""

from enum import StrEnum

import msgspec

from market_scraper.domain.positions import PositionState
from market_scraper.domain.values import Address, Recommendation, Symbol


class SignalState(StrEnum):
    """Whether a signal may be leaned on."""

    WARMING_UP = "warming_up"  # too few voters or too little coverage: NEUTRAL is forced
    LIVE = "live"
    STALE = "stale"  # the tape stands still: voters are unsure, the last picture is shown


class Contribution(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What one voter added. `share` is its signed part of net_exposure."""

    trader: Address
    size: float  # coins, signed
    weight: float  # skill weight x data quality, > 0
    conviction: float  # -1..1, sign of the position
    share: float
    state: PositionState
    doubt: float | None


class Signal(msgspec.Struct, frozen=True, kw_only=True):
    """One symbol's aggregate at `t_ms`. Biases are shares or differences of shares, see each field."""

    id: str  # 24 hex: 8 of the second, 16 of the digest of (symbol, t, model)
    t_ms: int
    known_at_ms: int
    symbol: Symbol
    recommendation: Recommendation
    confidence: float  # probability, 0..1, that the direction of net_exposure is right
    calibrated: bool
    long_bias: float  # skill-weighted share that is long, 0..1
    short_bias: float  # likewise short
    net_exposure: float  # long_bias - short_bias
    head_count_bias: float  # (longs - shorts) / voters, -1..1
    dollar_bias: float  # sum of signed notional / sum of |notional|, -1..1
    traders_long: int
    traders_short: int
    traders_flat: int
    effective_voters: float  # (sum |c|)^2 / sum c^2
    coverage: float  # sum of |size| over exact traders / (2 x open interest), 0..1
    price: float | None  # USD, mark or last print
    state: SignalState
    model: str  # version of the rule that made it
    contributions: tuple[Contribution, ...] = ()  # largest |share| first; what `explain` shows
    others: int = 0  # voters with a size that are not among the contributions
    others_share: float = 0.0  # sum of their shares: with those of the contributions, net_exposure
    left_out: dict[str, int] = {}  # tracked traders with a known size whose class does not vote, by class


class Action(StrEnum):
    """What a trader did."""

    OPEN = "open"
    CLOSE = "close"
    INCREASE = "increase"
    DECREASE = "decrease"
    FLIP = "flip"


class TraderSignal(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One tracked trader's act in one coin."""

    trader: Address
    symbol: Symbol
    t_ms: int
    known_at_ms: int
    tid: int  # of the fact that it comes from: with trader, symbol and t its natural key
    action: Action
    direction: str  # "long" or "short": the side after the act, or the side that was closed
    size: float  # coins, signed, after the act
    price: float | None  # USD
    confidence: float  # 0..1
