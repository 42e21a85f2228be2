"""The numbers that users may change, as the domain reads them; `config` fills them, defaults are the product's."""

import msgspec

from market_scraper.domain.values import Address


class InferenceRules(msgspec.Struct, frozen=True, kw_only=True):
    """`position_inference`: has a position when an indicator exceeds its threshold."""

    enabled: bool = True
    confidence_threshold: float = 0.5
    day_roi_threshold: float = 0.0001  # |roi|, fraction
    pnl_ratio_threshold: float = 0.001  # |day pnl| / account value
    day_volume_threshold: float = 100_000.0  # USD


class CappedRoi(msgspec.Struct, frozen=True, kw_only=True):
    """points = clamp(roi x multiplier, low, high)."""

    multiplier: float
    low: float
    high: float


class Tier(msgspec.Struct, frozen=True, kw_only=True):
    """From `at_least` on: `points` (or a tag)."""

    at_least: float
    points: float


HLP = Address("0xdfc24b077bc1425ad1dea75bcb6f8158e10df303")
"""The venue's own liquidity vault (facts 5.2); its children trade under addresses of their own."""


class ClassVotes(msgspec.Struct, frozen=True, kw_only=True):
    """`tags.classes.votes`: what a vote of each class counts with, 0 (none) .. 1 (in full)."""

    vault: float = 0.0
    phantom: float = 0.0
    dormant: float = 0.0
    market_maker: float = 0.0
    master: float = 0.0
    hedged: float = 0.0


class ClassRules(msgspec.Struct, frozen=True, kw_only=True):
    """`tags.classes`: who does not vote like a directional trader; thresholds inclusive (decision 9)."""

    vaults: frozenset[Address] = frozenset({HLP})
    phantom_account_value: float = 100_000_000.0  # USD, from
    phantom_volume_share: float = 0.001  # all-time volume / account value, up to
    dormant_volume: float = 0.0  # USD a month, up to
    maker_turnover: float = 25.0  # month volume / account value, from
    maker_volume: float = 10_000_000.0  # USD a month, from: an emptied account turns over anything
    maker_margin: float = 0.001  # |pnl| / volume, of the month and of all time, up to
    maker_changes_per_minute: float = 20.0  # in one coin, from
    maker_watched_minutes: float = 60.0  # before that, no rate is believed
    master_account_value: float = 100_000.0  # USD as ranked, from
    master_share: float = 0.05  # of it at the address itself, up to
    hedged_net_share: float = 0.1  # |longs - shorts| / (longs + shorts), up to
    votes: ClassVotes = ClassVotes()


class TagRules(msgspec.Struct, frozen=True, kw_only=True):
    """`tags`: thresholds, each inclusive."""

    whale_account_value: float = 10_000_000.0
    large_account_value: float = 1_000_000.0
    elite_score: float = 90.0
    top_performer_score: float = 80.0
    high_performer_roi: float = 1.0  # all-time
    high_volume: float = 100_000_000.0  # month, USD
    medium_volume: float = 10_000_000.0
    classes: ClassRules = ClassRules()


class ScoringRules(msgspec.Struct, frozen=True, kw_only=True):
    """`scoring`: the default score gives -10..105 points."""

    all_time_roi: CappedRoi = CappedRoi(multiplier=30.0, low=0.0, high=30.0)
    month_roi: CappedRoi = CappedRoi(multiplier=50.0, low=0.0, high=25.0)
    week_roi: CappedRoi = CappedRoi(multiplier=100.0, low=-10.0, high=20.0)
    account_value_tiers: tuple[Tier, ...] = (
        Tier(at_least=10_000_000.0, points=15.0),
        Tier(at_least=5_000_000.0, points=12.0),
        Tier(at_least=1_000_000.0, points=8.0),
        Tier(at_least=100_000.0, points=4.0),
    )
    month_volume_tiers: tuple[Tier, ...] = (
        Tier(at_least=100_000_000.0, points=10.0),
        Tier(at_least=50_000_000.0, points=7.0),
        Tier(at_least=10_000_000.0, points=4.0),
        Tier(at_least=1_000_000.0, points=2.0),
    )
    consistency_points: float = 5.0  # day, week and month roi all > 0
    tags: TagRules = TagRules()


class FilterRules(msgspec.Struct, frozen=True, kw_only=True):
    """`filters`: who is tracked, i.e. listed, voting and with history."""

    min_score: float = 50.0
    max_count: int = 500
    min_account_value: float = 10_000.0  # USD
    require_positive: bool = False  # month pnl > 0
    exclude_addresses: frozenset[Address] = frozenset()
    exclude_tags: frozenset[str] = frozenset()


class SignalRules(msgspec.Struct, frozen=True, kw_only=True):
    """`signals`."""

    entry_threshold: float = 0.2  # of |net_exposure|
    exit_threshold: float = 0.1
    min_voters: int = 5
    min_coverage: float = 0.1
    emit_interval_s: float = 60.0  # tape time
    confidence_step: float = 0.02


class PositionRules(msgspec.Struct, frozen=True, kw_only=True):
    """`positions`."""

    tape_sockets: int = 3
    join_window_ms: int = 2_000
    exact_max_age_ms: int = 5_000
    rest_weight_per_minute: int = 1_000
    user_slots: int = 10
