"""The truth behind the on-chain hosts: identities hold on every day, and levels are those of the real chain."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_scraper.simulator.onchain.chain import (
    AGE_BANDS,
    COIN,
    ERA_BLOCKS,
    FIRST_FLOWS,
    HASHES_PER_DIFFICULTY,
    Chain,
    supply_at_height,
)
from market_scraper.simulator.onchain.days import DAY_MS, GENESIS, SECOND_BLOCK
from tests.unit.simulator.onchain.asking import NOW, TODAY, at

CHAIN = Chain(1)
DAYS = st.integers(GENESIS, TODAY)
MOMENTS = st.integers(SECOND_BLOCK * DAY_MS, NOW)


def end(day: int) -> int:
    return (day + 1) * DAY_MS


def test_supply_follows_the_halving_schedule() -> None:
    assert supply_at_height(-1) == 0
    assert supply_at_height(0) == 50 * COIN
    assert supply_at_height(ERA_BLOCKS - 1) == 10_500_000 * COIN
    assert supply_at_height(ERA_BLOCKS) == 10_500_025 * COIN
    assert supply_at_height(840_000) == 1_968_750_312_500_000  # 3.125 after the halving of April 2024
    assert supply_at_height(10**8) == 2_099_999_997_690_000  # all there will ever be


@given(MOMENTS)
def test_the_chain_only_grows_and_its_tip_is_never_in_the_future(moment: int) -> None:
    assert CHAIN.height_at(moment) <= CHAIN.height_at(moment + 3_600_000)
    tip = CHAIN.tip_ms(moment)
    assert tip <= moment
    assert CHAIN.height_at(moment) - CHAIN.height_at(tip) in (0, 1)  # whole ms of a block's time


@given(DAYS.filter(lambda day: day > SECOND_BLOCK))
def test_a_day_has_about_144_blocks_and_the_hash_rate_that_finds_them(day: int) -> None:
    blocks = CHAIN.blocks_at(end(day))
    assert 100 < blocks < 200
    found = blocks * CHAIN.difficulty(CHAIN.height_at(end(day))) * HASHES_PER_DIFFICULTY / 86_400
    assert math.isclose(CHAIN.hash_rate_at(end(day)), found)


@given(st.integers(GENESIS * DAY_MS, NOW))
def test_age_bands_are_the_supply_to_the_last_satoshi(moment: int) -> None:
    ages = CHAIN.ages_at(moment)
    assert sum(ages.values()) == CHAIN.supply_at(moment)
    assert all(coins >= 0 for coins in ages.values())
    assert list(ages) == [name for name, *_ in AGE_BANDS]


def test_nothing_is_older_than_the_chain() -> None:
    young = CHAIN.ages_at(at("2010-01-09T00:00:00"))
    assert young["under_1h"] > 0
    assert young["9m_to_1y"] > 0
    assert young["18m_to_2y"] == young["over_15y"] == 0
    assert CHAIN.ages_at(at("2026-01-09T00:00:00"))["over_15y"] > 0


@given(st.integers(FIRST_FLOWS + 1, TODAY))
def test_exchanges_hold_what_came_less_what_went(day: int) -> None:
    before, flows = CHAIN.flows(day - 1), CHAIN.flows(day)
    assert before is not None
    assert flows is not None
    assert flows.held - before.held == flows.inflow - flows.outflow
    assert min(flows.inflow, flows.outflow, flows.held) > 0


def test_levels_are_those_of_the_real_chain() -> None:
    """The row of 2025-12-29 that the facts quote from Coin Metrics' file."""
    day = at("2025-12-29T00:00:00") // DAY_MS
    flows = CHAIN.flows(day)
    assert flows is not None
    near = {
        693_511: CHAIN.addresses(day),
        548_253: CHAIN.transactions(day),
        1_134_974_870.44: CHAIN.hash_rate_at(end(day)) / 1e12,
        32_455.35: flows.inflow / COIN,
        2_504_439.23: flows.held / COIN,
    }
    assert all(0.6 < ours / theirs < 1.6 for theirs, ours in near.items()), near
    assert abs(CHAIN.height_at(at("2026-10-20T00:00:00")) - 970_695) < 20


def test_a_day_is_the_same_however_one_comes_to_it() -> None:
    ahead, behind = Chain(7), Chain(7)
    days = range(TODAY - 40, TODAY)
    first = {day: (ahead.hash_rate_at(end(day)), ahead.flows(day), ahead.ages_at(end(day))) for day in days}
    last = {day: (behind.hash_rate_at(end(day)), behind.flows(day), behind.ages_at(end(day))) for day in reversed(days)}
    assert first == last
    assert Chain(8).transactions(TODAY) != ahead.transactions(TODAY)


@pytest.mark.parametrize("day", [GENESIS, GENESIS + 1, SECOND_BLOCK - 1])
def test_the_first_week_has_one_block(day: int) -> None:
    assert CHAIN.last_height(day) == 0
    assert CHAIN.supply_at(end(day)) == 50 * COIN
    assert CHAIN.transactions(day) == int(day == GENESIS)
