"""Holdings, bars, ticks and the mechanics below the world."""

import random
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from market_scraper.simulator.world.bars import Bar, merge, split
from market_scraper.simulator.world.holdings import Holding
from market_scraper.simulator.world.margin import isolated_raw_micro, liquidation_units
from market_scraper.simulator.world.markets import CATALOGUE
from market_scraper.simulator.world.path import PricePath, snap
from market_scraper.simulator.world.prints import direction
from market_scraper.simulator.world.schedule import Schedule

TRADES = st.lists(st.tuples(st.integers(-50, 50).filter(bool), st.integers(1, 10_000)), min_size=1, max_size=40)


@given(TRADES)
def test_a_holding_follows_the_venues_rule_for_entry_price_and_closed_profit(trades: list[tuple[int, int]]) -> None:
    holding = Holding(0, 0)
    size, entry, spent, closed = 0, Fraction(0), 0, Fraction(0)
    for at, (lots, px) in enumerate(trades):
        got = holding.trade(lots, px, 3, abs(lots * px), at)
        spent += lots * px
        after = size + lots
        reduced = min(abs(lots), abs(size)) if size * lots < 0 else 0
        profit = reduced * (px - entry) * (1 if size > 0 else -1)
        closed += profit
        assert abs(got - profit) <= len(trades)
        if size * lots >= 0:
            entry = (abs(size) * entry + abs(lots) * px) / abs(after)
        elif size * after < 0:
            entry = Fraction(px)
        size = after
        assert holding.lots == size
        assert abs(holding.cost_micro - size * entry) <= len(trades)
    assert holding.cash_micro == -spent - 3 * len(trades)
    assert holding.row(holding.row_number(10**9))[5] == sum(abs(lots * px) for lots, px in trades)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(-9, 9).filter(bool)), min_size=1, max_size=30))
def test_every_past_moment_is_answered_by_all_that_came_up_to_it(steps: list[tuple[int, int]]) -> None:
    holding = Holding(0, 0)
    at_ms, size = 1000, 0
    truth: dict[int, int] = {}
    for pause, lots in steps:
        at_ms += pause
        size += lots
        holding.trade(lots, 7, 0, 0, at_ms)
        truth[at_ms] = size
    assert holding.lots_at(999) == 0
    for moment in range(1000, at_ms + 3):
        known = [known_ms for known_ms in truth if known_ms <= moment]
        assert holding.lots_at(moment) == (truth[max(known)] if known else 0)


def test_funding_since_opening_and_since_change_begin_where_the_position_did() -> None:
    holding = Holding(0, 0)
    holding.trade(5, 100, 0, 0, 10)
    holding.pay_funding(7, 20)
    holding.trade(5, 100, 0, 0, 30)
    holding.pay_funding(3, 40)
    assert holding.funding_marks(holding.row_number(40)) == (0, 7)
    holding.trade(-20, 100, 0, 0, 50)
    holding.pay_funding(-1, 60)
    assert holding.funding_marks(holding.row_number(60)) == (10, 10)


@given(
    st.sampled_from(CATALOGUE),
    st.integers(100, 900_000),
    st.integers(2, 8),
    st.integers(0, 500),
    st.integers(0, 50_000),
    st.integers(0, 2**32),
)
def test_a_split_bar_merges_to_itself(market: object, px: int, parts: int, n: int, extra: int, seed: int) -> None:
    rng = random.Random(seed)
    assert isinstance(market, type(CATALOGUE[0]))
    corners = sorted(snap(market, round(px * (1 + rng.uniform(-0.05, 0.05)))) for _ in range(4))
    n += parts
    bar = Bar(corners[1], corners[3], corners[0], corners[2], n + extra, n)
    made: Bar | None = None
    for part in split(bar, parts, rng, market):
        assert part.l <= min(part.o, part.c) <= max(part.o, part.c) <= part.h
        assert part.v >= part.n >= 1
        made = merge(made, part)
    assert made == bar


@given(st.sampled_from(CATALOGUE), st.integers(1, 10**9))
def test_a_snapped_price_is_allowed_and_near(market: object, px: int) -> None:
    assert isinstance(market, type(CATALOGUE[0]))
    snapped = snap(market, px)
    assert snapped % market.whole_usd == 0 or len(str(snapped).rstrip("0")) <= 5
    assert abs(snapped - px) <= market.tick(px)


def test_the_path_is_the_same_however_it_is_asked() -> None:
    market = CATALOGUE[0]
    moments = [random.Random(1).randrange(0, 4_000_000) for _ in range(50)]
    forward, jumping = PricePath(market, 3, 0), PricePath(market, 3, 0)
    jumping.regime_at(40_000_000)
    jumping.mark_at(3_999_999)
    for moment in sorted(moments):
        assert forward.mark_at(moment) == jumping.mark_at(moment)
        assert forward.regime_at(moment) == jumping.regime_at(moment)
        bid, ask = forward.best_at(moment)
        assert bid < ask
        assert forward.mark_at(moment) in (bid, ask)


def test_the_liquidation_price_is_the_one_that_the_venue_gave_for_a_recorded_position() -> None:
    # facts 2.3: ETH 0.0335 long, isolated 20x, highest leverage 50x, raw -95.059824 at value 100.02765
    mark, lots, raw_micro = 298_590, 335, -95_059_824
    available = lots * mark + raw_micro - round(lots * mark * 0.01)
    assert lots * mark == 100_027_650
    assert abs(liquidation_units(mark, lots, available, 0.01) / 100 - 2866.26936529) < 1e-4


def test_the_margin_of_an_isolated_position_is_its_cost_over_the_leverage() -> None:
    assert isolated_raw_micro(1000, 20) == 50 - 1000
    assert isolated_raw_micro(-1000, 20) == 50 + 1000


def test_a_fills_word_says_what_it_did() -> None:
    said = {
        (0, 5): "Open Long", (2, 5): "Open Long", (0, -5): "Open Short", (-2, -1): "Open Short",
        (5, -5): "Close Long", (5, -2): "Close Long", (-5, 5): "Close Short",
        (5, -6): "Long > Short", (-5, 7): "Short > Long",
    }  # fmt: skip
    assert {case: direction(*case) for case in said} == said


def test_effects_run_in_the_order_of_their_moments_and_of_their_planning() -> None:
    schedule, seen = Schedule(), list[str]()
    schedule.plan(5, lambda at: seen.append(f"b{at}"))
    schedule.plan(5, lambda at: schedule.plan(at + 1, lambda later: seen.append(f"d{later}")))
    schedule.plan(3, lambda at: seen.append(f"a{at}"))
    schedule.plan(9, lambda at: seen.append(f"e{at}"))
    schedule.run_until(8)
    assert seen == ["a3", "b5", "d6"]
