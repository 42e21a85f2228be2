"""The sections that say how traders and positions are judged; each gives the domain's rules, with the same defaults."""

from typing import Annotated, Self

from pydantic import BeforeValidator, Field, model_validator

from market_scraper.config.fields import (
    AddressItem,
    NotNegative,
    Positive,
    Seconds,
    Section,
    Share,
    Words,
    split_commas,
)
from market_scraper.domain.rules import (
    CappedRoi,
    ClassRules,
    ClassVotes,
    FilterRules,
    InferenceRules,
    PositionRules,
    ScoringRules,
    SignalRules,
    TagRules,
    Tier,
)


class Indicators(Section):
    """`position_inference.indicators`: each fires when its value exceeds the threshold."""

    day_roi_threshold: NotNegative = InferenceRules().day_roi_threshold  # |roi|, fraction
    pnl_ratio_threshold: NotNegative = InferenceRules().pnl_ratio_threshold  # |day pnl| / account value
    day_volume_threshold: NotNegative = InferenceRules().day_volume_threshold  # USD


class PositionInference(Section):
    """`position_inference`."""

    enabled: bool = True
    confidence_threshold: Share = InferenceRules().confidence_threshold
    indicators: Indicators = Indicators()

    def rules(self) -> InferenceRules:
        """The same as the domain reads it."""
        return InferenceRules(
            enabled=self.enabled, confidence_threshold=self.confidence_threshold, **self.indicators.model_dump()
        )


class ScoringWeights(Section):
    """`scoring.weights`: the most points that each part may give; they sum to 105."""

    all_time_roi: NotNegative = 30.0
    month_roi: NotNegative = 25.0
    week_roi: NotNegative = 20.0
    account_value: NotNegative = 15.0
    month_volume: NotNegative = 10.0
    consistency: NotNegative = 5.0  # given whole when day, week and month roi are all > 0


class RoiMultipliers(Section):
    """`scoring.roi_multipliers`: points per 100 % of roi."""

    all_time: NotNegative = 30.0
    month: NotNegative = 50.0
    week: NotNegative = 100.0


class RoiFloors(Section):
    """`scoring.roi_floors`: the fewest points that a loss may give."""

    all_time: Annotated[float, Field(le=0)] = 0.0
    month: Annotated[float, Field(le=0)] = 0.0
    week: Annotated[float, Field(le=0)] = -10.0


class ScoringTier(Section):
    """From `at_least` USD on: `points`."""

    at_least: NotNegative
    points: NotNegative


def _tiers(rule: tuple[Tier, ...]) -> tuple[ScoringTier, ...]:
    return tuple(ScoringTier(at_least=tier.at_least, points=tier.points) for tier in rule)


class ScoringTiers(Section):
    """`scoring.tiers`, USD; the highest tier reached counts."""

    account_value: tuple[ScoringTier, ...] = _tiers(ScoringRules().account_value_tiers)
    month_volume: tuple[ScoringTier, ...] = _tiers(ScoringRules().month_volume_tiers)


class Scoring(Section):
    """`scoring`."""

    weights: ScoringWeights = ScoringWeights()
    roi_multipliers: RoiMultipliers = RoiMultipliers()
    roi_floors: RoiFloors = RoiFloors()
    tiers: ScoringTiers = ScoringTiers()

    def rules(self, tags: TagRules | None = None) -> ScoringRules:
        """The same as the domain reads it; tiers come highest first, none above its part's weight."""
        times, low, high = self.roi_multipliers, self.roi_floors, self.weights
        return ScoringRules(
            all_time_roi=CappedRoi(multiplier=times.all_time, low=low.all_time, high=high.all_time_roi),
            month_roi=CappedRoi(multiplier=times.month, low=low.month, high=high.month_roi),
            week_roi=CappedRoi(multiplier=times.week, low=low.week, high=high.week_roi),
            account_value_tiers=_capped(self.tiers.account_value, high.account_value),
            month_volume_tiers=_capped(self.tiers.month_volume, high.month_volume),
            consistency_points=high.consistency,
            tags=TagRules() if tags is None else tags,
        )


def _capped(tiers: tuple[ScoringTier, ...], most: float) -> tuple[Tier, ...]:
    highest_first = sorted(tiers, key=lambda tier: tier.at_least, reverse=True)
    return tuple(Tier(at_least=tier.at_least, points=min(tier.points, most)) for tier in highest_first)


class Exclude(Section):
    """`filters.exclude`: never tracked, unless by hand."""

    addresses: Annotated[tuple[AddressItem, ...], BeforeValidator(split_commas)] = ()
    tags: Words = ()


class Filters(Section):
    """`filters`: who is tracked, i.e. listed, voting and with history."""

    min_score: float = FilterRules().min_score
    max_count: Annotated[int, Field(ge=0, le=100_000)] = FilterRules().max_count
    min_account_value: NotNegative = FilterRules().min_account_value  # USD
    require_positive: bool = FilterRules().require_positive  # month pnl > 0
    exclude: Exclude = Exclude()

    def rules(self) -> FilterRules:
        """The same as the domain reads it."""
        return FilterRules(
            min_score=self.min_score,
            max_count=self.max_count,
            min_account_value=self.min_account_value,
            require_positive=self.require_positive,
            exclude_addresses=frozenset(self.exclude.addresses),
            exclude_tags=frozenset(self.exclude.tags),
        )


class Votes(Section):
    """`tags.classes.votes`: what a vote of each class counts with, 0 (none) .. 1 (in full)."""

    vault: Share = ClassVotes().vault
    phantom: Share = ClassVotes().phantom
    dormant: Share = ClassVotes().dormant
    market_maker: Share = ClassVotes().market_maker
    master: Share = ClassVotes().master
    hedged: Share = ClassVotes().hedged


class Classes(Section):
    """`tags.classes`: who does not vote like a directional trader; thresholds inclusive."""

    vaults: Annotated[tuple[AddressItem, ...], BeforeValidator(split_commas)] = tuple(sorted(ClassRules().vaults))
    phantom_account_value: NotNegative = ClassRules().phantom_account_value  # USD, from
    phantom_volume_share: NotNegative = ClassRules().phantom_volume_share  # all-time volume / account value, up to
    dormant_volume: NotNegative = ClassRules().dormant_volume  # USD a month, up to
    maker_turnover: NotNegative = ClassRules().maker_turnover  # month volume / account value, from
    maker_volume: NotNegative = ClassRules().maker_volume  # USD a month, from
    maker_margin: NotNegative = ClassRules().maker_margin  # |pnl| / volume, month and all-time, up to
    maker_changes_per_minute: Positive = ClassRules().maker_changes_per_minute  # in one coin, from; above 0
    maker_watched_minutes: Positive = ClassRules().maker_watched_minutes  # above 0
    master_account_value: NotNegative = ClassRules().master_account_value  # USD as ranked, from
    master_share: Share = ClassRules().master_share  # of it at the address itself, up to
    hedged_net_share: Share = ClassRules().hedged_net_share  # |longs - shorts| / (longs + shorts), up to
    votes: Votes = Votes()

    def rules(self) -> ClassRules:
        """The same as the domain reads it."""
        numbers = self.model_dump(exclude={"vaults", "votes"})
        return ClassRules(vaults=frozenset(self.vaults), votes=ClassVotes(**self.votes.model_dump()), **numbers)


class Tags(Section):
    """`tags`: thresholds, each inclusive."""

    whale_account_value: NotNegative = TagRules().whale_account_value  # USD
    large_account_value: NotNegative = TagRules().large_account_value  # USD
    elite_score: float = TagRules().elite_score
    top_performer_score: float = TagRules().top_performer_score
    high_performer_roi: float = TagRules().high_performer_roi  # all-time, fraction
    high_volume: NotNegative = TagRules().high_volume  # month, USD
    medium_volume: NotNegative = TagRules().medium_volume  # month, USD
    classes: Classes = Classes()

    def rules(self) -> TagRules:
        """The same as the domain reads it."""
        return TagRules(classes=self.classes.rules(), **self.model_dump(exclude={"classes"}))


class Positions(Section):
    """`positions`: how the tape is heard and the REST budget spent."""

    tape_sockets: Annotated[int, Field(ge=1, le=4)] = PositionRules().tape_sockets
    join_window_ms: Annotated[int, Field(ge=0, le=30_000)] = PositionRules().join_window_ms
    exact_max_age_seconds: Annotated[float, Field(gt=0, le=60)] = PositionRules().exact_max_age_ms / 1000
    rest_weight_per_minute: Annotated[int, Field(ge=20, le=1_200)] = PositionRules().rest_weight_per_minute
    user_slots: Annotated[int, Field(ge=0, le=10)] = PositionRules().user_slots

    def rules(self) -> PositionRules:
        """The same as the domain reads it."""
        return PositionRules(
            tape_sockets=self.tape_sockets,
            join_window_ms=self.join_window_ms,
            exact_max_age_ms=round(self.exact_max_age_seconds * 1000),
            rest_weight_per_minute=self.rest_weight_per_minute,
            user_slots=self.user_slots,
        )


class Signals(Section):
    """`signals`: when a net exposure becomes a recommendation, and how often it is told."""

    entry_threshold: Share = SignalRules().entry_threshold  # of |net_exposure|
    exit_threshold: Share = SignalRules().exit_threshold
    min_voters: Annotated[int, Field(ge=1)] = SignalRules().min_voters
    min_coverage: Share = SignalRules().min_coverage
    emit_interval_seconds: Seconds = SignalRules().emit_interval_s  # tape time
    confidence_step: Annotated[float, Field(gt=0, le=1)] = SignalRules().confidence_step

    @model_validator(mode="after")
    def _exit_is_not_above_entry(self) -> Self:
        if self.exit_threshold > self.entry_threshold:
            raise ValueError(
                f"exit_threshold {self.exit_threshold} must not be above entry_threshold {self.entry_threshold}"
            )
        return self

    def rules(self) -> SignalRules:
        """The same as the domain reads it."""
        return SignalRules(
            entry_threshold=self.entry_threshold,
            exit_threshold=self.exit_threshold,
            min_voters=self.min_voters,
            min_coverage=self.min_coverage,
            emit_interval_s=self.emit_interval_seconds,
            confidence_step=self.confidence_step,
        )
