"""Who does not vote like a directional trader: the edges of each rule, and how often the rules are right."""

from math import inf, nan
from pathlib import Path
from typing import Any

import msgspec
import pytest
from bench.classes import DIRECTIONAL, paper, precision_and_recall, recorded
from hypothesis import given
from hypothesis import strategies as st

from market_scraper.connectors.hyperliquid import parse
from market_scraper.connectors.hyperliquid.messages import WireLeaderboardRow
from market_scraper.domain.classes import Classifier, ClassName, class_in, is_busy
from market_scraper.domain.positions import Position, PositionState
from market_scraper.domain.rules import HLP, ClassRules, ClassVotes
from market_scraper.domain.traders import LeaderboardRow, Performance
from market_scraper.domain.values import Symbol
from market_scraper.simulator.world.facts import Kind
from tests.facts import address, position

GUIDE = Path(__file__).parents[3] / "docs" / "TRADER_FILTER_GUIDES.md"
MINUTE_MS = 60_000
classifier = Classifier()


def row(
    *,
    account: float = 1_000_000.0,
    pnl: float = 50_000.0,
    volume: float = 5_000_000.0,
    ever: Performance | None = None,
    **windows: Performance | None,
) -> LeaderboardRow:
    """An ordinary trader, unless said otherwise: `pnl` and `volume` are the month's."""
    month = Performance(pnl, 0.05, volume)
    made = LeaderboardRow(trader=address(1), account_value=account, month=month, all_time=ever or month)
    return msgspec.structs.replace(made, **windows)


def watched(changes: int, minutes: float, **fields: Any) -> Position:
    return position(changes=changes, watched_from_ms=0, t_ms=round(minutes * MINUTE_MS), **fields)


def test_an_ordinary_trader_has_no_class() -> None:
    assert classifier.ranked(row()) is None
    assert classifier.seen(position(account_value=900_000.0, net_share=1.0), 1_000_000.0) is None
    assert classifier.classed(address(1), row(), [position()]) is None
    assert classifier.classed(address(1), None, []) is None


def test_who_traded_nothing_in_a_month_is_dormant_and_who_traded_at_all_is_not() -> None:
    assert classifier.ranked(row(volume=0.0, pnl=0.0)) is ClassName.DORMANT
    assert classifier.ranked(row(volume=0.01)) is None
    classed = classifier.classed(address(1), row(volume=0.0), [])
    assert classed is not None
    assert classed.reason == "traded 0 USD in a month (dormant: up to 0)"


def test_a_month_that_is_missing_takes_nobodys_vote() -> None:
    assert classifier.ranked(row(month=None, all_time=None)) is None


@pytest.mark.parametrize(
    ("volume", "pnl", "account", "is_maker"),
    [
        (25_000_000.0, 25_000.0, 1_000_000.0, True),  # 25 times, 10 bps: both thresholds are inclusive
        (25_000_000.0, -25_000.0, 1_000_000.0, True),  # a maker may lose
        (24_999_999.0, 50.0, 1_000_000.0, False),
        (25_000_000.0, 25_001.0, 1_000_000.0, False),  # earns too much for one who only quotes
        (9_999_999.0, 0.0, 10.0, False),  # an emptied account
        (1e9, 0.0, 0.0, False),
        (1e9, 0.0, -5.0, False),
        (inf, 0.0, 1.0, False),
        (1e9, nan, 1.0, False),
    ],
)
def test_a_market_maker_turns_its_money_over_and_earns_next_to_nothing_on_it(
    volume: float, pnl: float, account: float, is_maker: bool
) -> None:
    assert (classifier.ranked(row(volume=volume, pnl=pnl, account=account)) is ClassName.MARKET_MAKER) is is_maker


def test_one_flat_month_makes_no_market_maker_of_who_earned_before() -> None:
    assert classifier.ranked(row(volume=100e6, pnl=0.0, ever=Performance(10e6, 1.0, 1e9))) is None
    assert classifier.ranked(row(volume=100e6, pnl=0.0, ever=Performance(0.9e6, 0.1, 1e9))) is ClassName.MARKET_MAKER


def test_a_market_makers_reason_has_the_numbers_that_decided() -> None:
    classed = classifier.classed(address(1), row(volume=512e6, pnl=-61_440.0), [])
    assert classed is not None
    assert "512 times its account value" in classed.reason
    assert "1.20 bps" in classed.reason
    assert classed.vote == 0.0


def test_windows_that_contradict_each_other_are_a_phantoms() -> None:
    nothing, won = Performance(0.0, 0.0, 0.0), Performance(159_888_191.0, 0.2, 0.0)
    assert (
        classifier.ranked(row(week=won, month=nothing, all_time=Performance(-500.0, -0.05, 0.0))) is ClassName.PHANTOM
    )
    more = Performance(1.0, 0.0, 2_000_000.0)
    assert classifier.ranked(row(week=more, volume=1_000_000.0, ever=more)) is ClassName.PHANTOM
    late = Performance(1.0, 0.0, 1_009_999.0)  # windows need not be counted at the same moment
    assert classifier.ranked(row(week=late, volume=1_000_000.0, ever=late)) is None


def test_a_fortune_that_never_traded_came_by_transfer() -> None:
    ever = Performance(445_038_914.0, 26_412.0, 15_999.0)
    classed = classifier.classed(address(1), row(account=225e6, pnl=1.0, volume=15_000.0, ever=ever), [])
    assert classed is not None
    assert classed.name is ClassName.PHANTOM
    assert classed.reason.startswith("225,000,000 USD in the account, but only 15,999 USD ever traded")


def test_of_the_recorded_giants_those_without_trades_are_phantoms_and_only_those_who_quote_are_makers(
    recordings: Path,
) -> None:
    known = {
        HLP: ClassName.VAULT,
        "0xecb63caa47c7c4e77f60f1ce858cf28dc2b82b00": ClassName.MARKET_MAKER,  # 113 times a month, 0.6 bps
        "0xfc667adba8d4837586078f4fdcdc29804337ca06": ClassName.MARKET_MAKER,  # 43 times, 1.5 bps
    }
    said = msgspec.json.decode((recordings / "hl_raw_api" / "leaderboard_12_rows.json").read_bytes())
    rows = [
        parse.leaderboard_row(msgspec.json.decode(msgspec.json.encode(one), type=WireLeaderboardRow, strict=False))
        for one in said["leaderboardRows"]
    ]
    for one in rows:
        assert one.all_time is not None
        expected = None if one.all_time.vlm > 1e6 else ClassName.PHANTOM
        assert classifier.ranked(one) is known.get(one.trader, expected), one.trader


def test_the_venues_own_vault_and_those_that_the_user_names_are_vaults_whatever_they_do() -> None:
    assert classifier.ranked(msgspec.structs.replace(row(), trader=HLP)) is ClassName.VAULT
    told = Classifier(ClassRules(vaults=frozenset({HLP, address(1)})))
    assert told.ranked(row(volume=0.0)) is ClassName.VAULT
    classed = told.classed(address(1), None, [position()])  # tracked by hand, in no ranking
    assert classed is not None
    assert (classed.name, classed.reason) == (ClassName.VAULT, "is listed in tags.classes.vaults")


def test_who_acts_many_times_a_minute_for_an_hour_is_a_market_maker() -> None:
    rules = ClassRules()
    assert is_busy(watched(1_200, 60), rules)
    assert not is_busy(watched(1_199, 60), rules)
    assert not is_busy(watched(100_000, 59.9), rules)  # a burst proves nothing
    classed = classifier.classed(address(1), row(), [watched(1_500, 60)])
    assert classed is not None
    assert classed.name is ClassName.MARKET_MAKER
    assert classed.reason.startswith("changed its BTC position 25.0 times a minute, over 60 minutes")


def test_a_master_is_ranked_with_money_that_lies_elsewhere_and_holds_nothing_itself() -> None:
    def seen(ranked: float | None, **fields: Any) -> ClassName | None:
        return classifier.seen(position(**{"lots": 0, "account_value": 40_000.0, **fields}), ranked)

    assert seen(60_300_000.0) is ClassName.MASTER
    assert seen(60_300_000.0, lots=5) is None  # it has a view of its own
    assert seen(60_300_000.0, lots=None, state=PositionState.UNKNOWN) is None
    assert seen(60_300_000.0, account_value=None) is None  # nobody has asked yet
    assert seen(60_300_000.0, symbol=Symbol("xyz:TSLA")) is None  # another dex's money
    assert seen(799_999.0) is None
    assert seen(800_000.0) is ClassName.MASTER
    assert seen(99_999.0, account_value=0.0) is None
    assert seen(None) is None
    classed = classifier.classed(address(1), row(account=60.3e6), [position(lots=0, account_value=40_000.0)])
    assert classed is not None
    assert classed.reason.startswith("ranked with 60,300,000 USD, of which 40,000 USD lie at the address itself")


def test_legs_that_cancel_are_a_hedge() -> None:
    assert classifier.seen(position(net_share=0.1), None) is ClassName.HEDGED
    assert classifier.seen(position(net_share=0.11), None) is None
    assert classifier.seen(position(net_share=None), None) is None
    classed = classifier.classed(address(1), row(), [position(net_share=0.034)])
    assert classed is not None
    assert classed.reason.startswith("longs less shorts are 3.4 % of longs and shorts together")


def test_the_row_comes_before_what_is_seen_and_a_vote_can_be_given_back() -> None:
    hedged = position(net_share=0.0)
    classed = classifier.classed(address(1), row(volume=0.0), [hedged])
    assert classed is not None
    assert classed.name is ClassName.DORMANT
    half = Classifier(ClassRules(votes=ClassVotes(hedged=0.5))).classed(address(1), row(), [hedged])
    assert half is not None
    assert half.vote == 0.5


def test_a_class_is_found_again_among_tags() -> None:
    assert class_in(("whale", "market_maker")) is ClassName.MARKET_MAKER
    assert class_in(("whale", "high_volume")) is None


anything = st.one_of(st.none(), st.builds(Performance, st.floats(), st.floats(), st.floats()))


@given(
    st.builds(
        LeaderboardRow,
        trader=st.just(address(1)),
        account_value=st.floats(),
        day=anything,
        week=anything,
        month=anything,
        all_time=anything,
    )
)
def test_whatever_a_row_says_the_tag_and_the_reason_agree(odd: LeaderboardRow) -> None:
    name, classed = classifier.ranked(odd), classifier.classed(odd.trader, odd, [])
    assert (classed is None) is (name is None)
    if classed is not None:
        assert classed.name is name
        assert classed.reason


def test_in_the_paper_venue_nearly_nobody_without_a_view_keeps_a_vote() -> None:
    counted = paper(10, ClassRules(maker_watched_minutes=9.0), prints_per_s=12.0)

    precision, recall = precision_and_recall(counted)
    assert recall >= 0.98
    assert precision >= 0.6  # those whose money is too little to trade are dormant, whatever they would like to do
    for kind, name in (
        (Kind.MARKET_MAKER, ClassName.MARKET_MAKER),
        (Kind.PHANTOM, ClassName.PHANTOM),
        (Kind.DORMANT, ClassName.DORMANT),
        (Kind.SPOT_HOLDER, ClassName.DORMANT),
    ):
        assert counted[kind][name] == sum(counted[kind].values()) > 0
    wrongly = sum(
        n for kind in DIRECTIONAL for name, n in counted[kind].items() if name not in (None, ClassName.DORMANT)
    )
    assert wrongly <= 0.1 * sum(counted[kind][None] for kind in DIRECTIONAL)


def test_the_guide_tells_what_the_classes_of_the_recordings_hold(recordings: Path) -> None:
    found, guide = recorded(recordings / "hl_whale_snapshots", ClassRules()), GUIDE.read_text()

    assert sum(group.rows for group in found.values()) == 20_800
    for name, group in found.items():
        net_share = "" if group.net_share is None else f"{group.net_share:.2f}"
        used = "" if group.used is None else f"{group.used:.2f}"
        assert f"| `{name}` | {group.rows:,} | {group.traders:,} | {group.holders:,} | {net_share} | {used} |" in guide
