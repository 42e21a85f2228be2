"""What a ranked trader is worth: points, tags, and who is tracked.

Rating is fed slice by slice, so that 47,000 rows never hold the event loop; who is tracked is known at the end, for
it is chosen among all. What is missing or not finite gives no points, no tag and does not pass a filter.
"""

import heapq
from collections.abc import Callable, Mapping, Sequence
from math import inf

import msgspec

from market_scraper.domain.classes import Classifier, ClassName
from market_scraper.domain.inference import inferrer
from market_scraper.domain.rules import CappedRoi, FilterRules, InferenceRules, ScoringRules, TagRules, Tier
from market_scraper.domain.traders import Choice, LeaderboardRow, Performance, RatedTrader
from market_scraper.domain.values import Address

ALL_TIME_ROI = "all_time_roi"
MONTH_ROI = "month_roi"
WEEK_ROI = "week_roi"
ACCOUNT_VALUE = "account_value"
MONTH_VOLUME = "month_volume"
CONSISTENCY = "consistency"

_NOTHING = Performance(0.0, 0.0, 0.0)


def rater(scoring: ScoringRules, inference: InferenceRules) -> Callable[[LeaderboardRow], RatedTrader]:
    """Make the function that gives one row its points, tags and inference; `tracked` is still False."""
    all_time_points, month_points, week_points = map(
        _roi_points, (scoring.all_time_roi, scoring.month_roi, scoring.week_roi)
    )
    account_points, volume_points = map(_tier_points, (scoring.account_value_tiers, scoring.month_volume_tiers))
    consistency_points = scoring.consistency_points
    tags_of = _tagger(scoring.tags)
    class_of = Classifier(scoring.tags.classes).ranked
    infer = inferrer(inference)

    def rate(row: LeaderboardRow) -> RatedTrader:
        day, week, month, all_time = (
            row.day or _NOTHING,
            row.week or _NOTHING,
            row.month or _NOTHING,
            row.all_time or _NOTHING,
        )
        month_roi, week_roi = month.roi, week.roi
        is_consistent = 0.0 < day.roi < inf and 0.0 < week_roi < inf and 0.0 < month_roi < inf
        parts = {
            ALL_TIME_ROI: (a := all_time_points(all_time.roi)),
            MONTH_ROI: (m := month_points(month_roi)),
            WEEK_ROI: (w := week_points(week_roi)),
            ACCOUNT_VALUE: (v := account_points(row.account_value)),
            MONTH_VOLUME: (t := volume_points(month.vlm)),
            CONSISTENCY: (c := consistency_points if is_consistent else 0.0),
        }
        score = a + m + w + v + t + c
        tags = tags_of(row.account_value, score, is_consistent, all_time.roi, month.vlm, class_of(row))
        return RatedTrader(row=row, score=score, parts=parts, tags=tags, inference=infer(row), tracked=False)

    return rate


def _roi_points(rule: CappedRoi) -> Callable[[float], float]:
    multiplier, low, high = rule.multiplier, rule.low, rule.high
    nothing = min(max(0.0, low), high)  # what a roi of 0, and one that is missing, gives

    def points(roi: float) -> float:
        if not -inf < roi < inf:
            return nothing
        reached = roi * multiplier
        return low if reached < low else high if reached > high else reached

    return points


def _tier_points(tiers: Sequence[Tier]) -> Callable[[float], float]:
    steps = [(tier.at_least, tier.points) for tier in sorted(tiers, key=lambda tier: -tier.at_least)]
    lowest = steps[-1][0] if steps else inf

    def points(value: float) -> float:
        if not lowest <= value < inf:  # most traders: one comparison
            return 0.0
        for at_least, given in steps:
            if value >= at_least:
                return given
        return 0.0

    return points


def _tagger(rules: TagRules) -> Callable[[float, float, bool, float, float, ClassName | None], tuple[str, ...]]:
    """Traders with the same tags share one tuple."""
    whale, large, elite, top = (
        rules.whale_account_value,
        rules.large_account_value,
        rules.elite_score,
        rules.top_performer_score,
    )
    high_roi, high_volume, medium_volume = rules.high_performer_roi, rules.high_volume, rules.medium_volume
    shared: dict[tuple[bool | ClassName | None, ...], tuple[str, ...]] = {}

    def tags(
        account: float,
        score: float,
        is_consistent: bool,
        all_time_roi: float,
        volume: float,
        name: ClassName | None,
    ) -> tuple[str, ...]:
        fired = (
            whale <= account < inf,
            large <= account < inf,
            score >= elite,
            score >= top,
            is_consistent,
            high_roi <= all_time_roi < inf,
            high_volume <= volume < inf,
            medium_volume <= volume < inf,
            name,
        )
        known = shared.get(fired)
        return known if known is not None else shared.setdefault(fired, _named(*fired))

    return tags


def _named(
    whale: bool,
    large: bool,
    elite: bool,
    top: bool,
    consistent: bool,
    roi: bool,
    high: bool,
    medium: bool,
    name: ClassName | None,
) -> tuple[str, ...]:
    named = (
        ("whale", whale),
        ("large", large and not whale),
        ("elite", elite),
        ("top_performer", top),
        ("consistent", consistent),
        ("high_performer", roi),
        ("high_volume", high),
        ("medium_volume", medium and not high),
    )
    tags = tuple(tag for tag, fires in named if fires)
    return tags if name is None else (*tags, name.value)


class _Candidate(msgspec.Struct, frozen=True, order=True, gc=False):
    """Sorts best first: by score, ties by address, so that the same pull chooses the same traders anywhere."""

    minus_score: float
    trader: Address


class Rater:
    """Rates one leaderboard pull. Feed it every slice, then choose; choosing again takes other choices."""

    def __init__(self, scoring: ScoringRules, filters: FilterRules, inference: InferenceRules) -> None:
        self._rate = rater(scoring, inference)
        self._filters = filters
        self._candidates: list[_Candidate] = []
        self._slices: list[list[RatedTrader]] = []

    def feed(self, rows: Sequence[LeaderboardRow]) -> None:
        """Rate one slice."""
        rate, passes = self._rate, self._passes
        rated = [rate(row) for row in rows]
        self._slices.append(rated)
        self._candidates += [_Candidate(-one.score, one.row.trader) for one in rated if passes(one)]

    def choose(self, choices: Mapping[Address, Choice]) -> list[list[RatedTrader]]:
        """Say who is tracked: the slices as fed, with `tracked` set.

        The hand has the last word: a trader tracked by hand is tracked whatever the filters and exclude lists say,
        on top of `max_count`, and stands behind the last slice when the pull does not have it; one untracked by hand
        stays out however good.
        """
        undecided = (one for one in self._candidates if one.trader not in choices)
        tracked = {one.trader for one in heapq.nsmallest(self._filters.max_count, undecided)}
        by_hand = {trader for trader, choice in choices.items() if choice is Choice.TRACK}
        tracked |= by_hand
        chosen = [
            [msgspec.structs.replace(one, tracked=True) if one.row.trader in tracked else one for one in rated]
            for rated in self._slices
        ]
        if chosen and by_hand:
            unranked = by_hand.difference(one.row.trader for rated in chosen for one in rated)
            # The venue says nothing of them here; their account answers will.
            rows = (self._rate(LeaderboardRow(trader=trader, account_value=0.0)) for trader in sorted(unranked))
            chosen[-1] += [msgspec.structs.replace(one, tracked=True) for one in rows]
        return chosen

    def _passes(self, rated: RatedTrader) -> bool:
        rules, row = self._filters, rated.row
        return (
            rated.score >= rules.min_score
            and rules.min_account_value <= row.account_value < inf
            and (not rules.require_positive or (row.month is not None and 0.0 < row.month.pnl < inf))
            and row.trader not in rules.exclude_addresses
            and rules.exclude_tags.isdisjoint(rated.tags)
        )


def rate_all(
    rows: Sequence[LeaderboardRow],
    scoring: ScoringRules,
    filters: FilterRules,
    inference: InferenceRules,
    choices: Mapping[Address, Choice],
) -> list[RatedTrader]:
    """Rate one whole pull at once, in the order of `rows`."""
    whole = Rater(scoring, filters, inference)
    whole.feed(rows)
    return whole.choose(choices)[0]
