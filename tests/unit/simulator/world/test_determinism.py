"""The same world twice."""

from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market_scraper.simulator.world import World, WorldOptions
from market_scraper.simulator.world.facts import Block
from tests.unit.simulator.world.worlds import START_MS, make

SPAN_MS = 15_000


def digest(blocks: list[Block]) -> str:
    return sha256(repr(blocks).encode()).hexdigest()


def whole() -> World:
    return make(traders=40, off_tape_per_hour=900.0)


EXPECTED = digest(whole().advance(START_MS + SPAN_MS))


@settings(max_examples=6, deadline=None)
@given(st.lists(st.integers(0, SPAN_MS), max_size=12))
def test_however_time_is_cut_up_the_blocks_are_the_same(cuts: list[int]) -> None:
    world = whole()
    blocks = [block for cut in [*sorted(cuts), SPAN_MS] for block in world.advance(START_MS + cut)]
    assert digest(blocks) == EXPECTED
    assert blocks[-1].time_ms <= START_MS + SPAN_MS == world.now_ms


def test_another_seed_is_another_world() -> None:
    assert digest(make(seed=8, traders=40).advance(START_MS + SPAN_MS)) != EXPECTED


def test_questions_about_past_and_future_change_nothing() -> None:
    world = whole()
    blocks = world.advance(START_MS + 5_000)
    for person in world.people():
        for dex in world.dexes:
            world.account_at(person.user, dex, START_MS + 4_000)
        world.portfolio(person.user, START_MS + 5_000)
        world.vault_details(person.user, START_MS + 5_000)
    world.leaderboard(START_MS + 5_000)
    world.contexts(START_MS + 3_600_000)
    world.mids(START_MS + 3_600_000)
    for interval in ("1m", "1h", "1d", "1M"):
        world.candles("BTC", interval, 0, START_MS + 10**9)
        world.forming_candle("BTC", interval)
    blocks += world.advance(START_MS + SPAN_MS)
    assert digest(blocks) == EXPECTED


def test_a_moment_that_is_over_brings_no_block_again() -> None:
    world = whole()
    world.advance(START_MS + 1_000)
    assert world.advance(START_MS + 1_000) == []
    assert world.advance(START_MS) == []
    assert world.now_ms == START_MS + 1_000


@pytest.mark.parametrize(("traders", "symbols"), [(20, ("BTC",)), (25, ("xyz:TSLA",)), (60, ("ETH", "kPEPE"))])
def test_small_worlds_of_few_coins_live_too(traders: int, symbols: tuple[str, ...]) -> None:
    world = World(WorldOptions(seed=1, traders=traders, start_ms=START_MS, symbols=symbols, prints_per_s=30))
    coins = {coin for block in world.advance(START_MS + 20_000) for coin, _ in block.prints}
    assert coins == set(symbols)


def test_options_that_make_no_world_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown symbols"):
        World(WorldOptions(seed=1, traders=20, start_ms=START_MS, symbols=("NOPE",)))
    with pytest.raises(ValueError, match="20 traders"):
        WorldOptions(seed=1, traders=3, start_ms=START_MS)
