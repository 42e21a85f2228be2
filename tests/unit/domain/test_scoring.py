"""Points, tags, and who is tracked."""

from math import inf, isclose, nan

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_scraper.domain.rules import FilterRules, InferenceRules, ScoringRules
from market_scraper.domain.scoring import Rater, rate_all
from market_scraper.domain.traders import Choice, LeaderboardRow, Performance, RatedTrader
from market_scraper.domain.values import Address

SCORING, FILTERS, INFERENCE = ScoringRules(), FilterRules(), InferenceRules()


def address(number: int) -> Address:
    return Address(f"0x{number:040x}")


def row(
    number: int = 1,
    *,
    account: float = 50_000.0,
    day: float | None = 0.0,
    week: float | None = 0.0,
    month: float | None = 0.0,
    all_time: float | None = 0.0,
    volume: float = 50_000.0,
    month_pnl: float = 1.0,
) -> LeaderboardRow:
    def window(roi: float | None) -> Performance | None:
        return None if roi is None else Performance(month_pnl, roi, volume)

    return LeaderboardRow(
        trader=address(number),
        account_value=account,
        day=window(day),
        week=window(week),
        month=window(month),
        all_time=window(all_time),
    )


def good(number: int, roi: float = 1.0) -> LeaderboardRow:
    """Scores above 50 points: 25 + 20 + 5 and the all-time part."""
    return row(number, day=0.1, week=0.3, month=0.6, all_time=roi)


def rate(one: LeaderboardRow) -> RatedTrader:
    return rate_all([one], SCORING, FILTERS, INFERENCE, {})[0]


def tracked(
    rows: list[LeaderboardRow], filters: FilterRules = FILTERS, choices: dict[Address, Choice] | None = None
) -> list[Address]:
    return [one.row.trader for one in rate_all(rows, SCORING, filters, INFERENCE, choices or {}) if one.tracked]


finite = st.floats(allow_nan=False, allow_infinity=False)
anything = st.one_of(st.none(), st.floats())
rows = st.builds(
    row,
    account=st.floats(),
    day=anything,
    week=anything,
    month=anything,
    all_time=anything,
    volume=st.floats(),
    month_pnl=st.floats(),
)


def test_the_worked_example_of_the_guide_adds_up() -> None:
    rated = rate(
        row(
            account=2_500_000.0,
            day=0.004,
            week=0.031,
            month=0.12,
            all_time=0.85,
            volume=64_000_000.0,
            month_pnl=268_000.0,
        )
    )

    assert rated.parts == pytest.approx(
        {
            "all_time_roi": 25.5,
            "month_roi": 6.0,
            "week_roi": 3.1,
            "account_value": 8.0,
            "month_volume": 7.0,
            "consistency": 5.0,
        }
    )
    assert rated.score == pytest.approx(54.6)
    assert rated.tags == ("large", "consistent", "medium_volume")
    assert rated.tracked


def test_a_class_is_the_last_tag_and_can_keep_a_trader_out_of_the_tracked() -> None:
    busy = row(1, account=1e6, day=0.1, week=0.3, month=0.6, all_time=1.0, volume=200e6, month_pnl=10.0)

    assert rate(busy).tags[-2:] == ("high_volume", "market_maker")
    assert tracked([busy]) == [address(1)]  # listed, with history, and without a vote
    assert tracked([busy], FilterRules(exclude_tags=frozenset({"market_maker"}))) == []


def test_the_best_and_the_worst_trader_reach_the_ends_of_the_scale() -> None:
    best = rate(row(account=2e7, day=1.0, week=1.0, month=1.0, all_time=9.0, volume=1e9, month_pnl=1e7))
    worst = rate(row(account=0.0, day=-1.0, week=-1.0, month=-1.0, all_time=-1.0))

    assert (best.score, worst.score) == (105.0, -10.0)
    assert best.tags == ("whale", "elite", "top_performer", "consistent", "high_performer", "high_volume")
    assert worst.tags == ()


@pytest.mark.parametrize(
    ("account", "points", "tags"),
    [
        (99_999.99, 0.0, ()),
        (100_000.0, 4.0, ()),
        (1_000_000.0, 8.0, ("large",)),
        (5_000_000.0, 12.0, ("large",)),
        (9_999_999.99, 12.0, ("large",)),
        (10_000_000.0, 15.0, ("whale",)),
        (0.0, 0.0, ()),
        (-1.0, 0.0, ()),
        (nan, 0.0, ()),
        (inf, 0.0, ()),
    ],
)
def test_an_account_value_gives_its_tier_from_the_threshold_on(
    account: float, points: float, tags: tuple[str, ...]
) -> None:
    rated = rate(row(account=account))

    assert (rated.score, rated.tags) == (points, tags)


@given(rows)
def test_every_row_scores_within_the_scale_and_its_parts_sum_to_the_score(one: LeaderboardRow) -> None:
    rated = rate(one)

    assert -10.0 <= rated.score <= 105.0
    assert isclose(sum(rated.parts.values()), rated.score, abs_tol=1e-9)


@given(rows, finite, finite, st.sampled_from(["account_value", "day", "week", "month", "all_time"]))
def test_a_better_result_never_lowers_the_score(one: LeaderboardRow, a: float, b: float, field: str) -> None:
    def having(value: float) -> float:
        changed = value if field == "account_value" else Performance(1.0, value, 1_000.0)
        return rate(msgspec.structs.replace(one, **{field: changed})).score

    assert having(min(a, b)) <= having(max(a, b)) + 1e-9


@pytest.mark.parametrize("bad", [None, nan, inf, -inf])
def test_a_window_that_is_missing_or_not_finite_counts_as_nothing(bad: float | None) -> None:
    rated = rate(row(day=0.1, week=bad, month=0.1, all_time=bad))

    assert rated.score == pytest.approx(5.0)  # the month's alone
    assert "consistent" not in rated.tags


def test_ratings_come_in_the_order_of_the_rows() -> None:
    assert [one.row.trader for one in rate_all([good(3), good(1), good(2)], SCORING, FILTERS, INFERENCE, {})] == [
        address(3),
        address(1),
        address(2),
    ]


def test_equal_scores_are_chosen_by_address_whatever_the_order() -> None:
    filters = FilterRules(max_count=2)

    assert tracked([good(3), good(1), good(2)], filters) == [address(1), address(2)]
    assert tracked([good(2), good(3), good(1)], filters) == [address(2), address(1)]


def test_a_hand_tracked_trader_comes_on_top_of_the_count_whatever_the_filters_say() -> None:
    filters = FilterRules(max_count=1, exclude_addresses=frozenset({address(9)}))
    rows = [good(1, roi=2.0), good(2), row(9, account=0.0)]

    assert tracked(rows, filters, {address(9): Choice.TRACK}) == [address(1), address(9)]


def test_a_hand_untracked_trader_stays_out_and_the_next_best_takes_the_place() -> None:
    assert tracked([good(1), good(2)], FilterRules(max_count=1), {address(1): Choice.UNTRACK}) == [address(2)]


@pytest.mark.parametrize(
    "filters",
    [
        FilterRules(min_score=99.0),
        FilterRules(min_account_value=60_000.0),
        FilterRules(exclude_addresses=frozenset({address(1)})),
        FilterRules(exclude_tags=frozenset({"consistent"})),
        FilterRules(max_count=0),
    ],
)
def test_each_filter_keeps_a_good_trader_out(filters: FilterRules) -> None:
    assert tracked([good(1)]) == [address(1)]
    assert tracked([good(1)], filters) == []


@pytest.mark.parametrize("pnl", [0.0, -5.0, nan, inf])
def test_require_positive_asks_for_a_month_with_a_gain(pnl: float) -> None:
    one = row(day=0.1, week=0.3, month=0.6, all_time=1.0, month_pnl=pnl)

    assert tracked([one], FilterRules(require_positive=True)) == []


def test_rating_in_slices_gives_what_rating_at_once_gives() -> None:
    rows = [good(number, roi=number % 7) for number in range(30)]
    filters = FilterRules(max_count=11)
    rater = Rater(SCORING, filters, INFERENCE)
    for first in range(0, 30, 8):
        rater.feed(rows[first : first + 8])

    parts = rater.choose({})

    assert [len(part) for part in parts] == [8, 8, 8, 6]
    assert [one for part in parts for one in part] == rate_all(rows, SCORING, filters, INFERENCE, {})


def test_choosing_again_takes_the_new_choices_only() -> None:
    rater = Rater(SCORING, FILTERS, INFERENCE)
    rater.feed([good(1), good(2)])
    rater.choose({address(1): Choice.UNTRACK})

    assert [one.tracked for one in rater.choose({})[0]] == [True, True]


def test_who_is_tracked_by_hand_is_followed_though_no_ranking_has_them() -> None:
    rater = Rater(SCORING, FILTERS, INFERENCE)
    rater.feed([good(1)])
    rater.feed([good(2)])
    choices = {address(7): Choice.TRACK, address(8): Choice.UNTRACK, address(2): Choice.TRACK}
    first, last = rater.choose(choices)
    assert [one.row.trader for one in first] == [address(1)]
    assert [(one.row.trader, one.tracked) for one in last] == [(address(2), True), (address(7), True)]
    assert last[-1].inference.has_position is False
    assert [one.row.trader for one in rater.choose({})[1]] == [address(2)]
