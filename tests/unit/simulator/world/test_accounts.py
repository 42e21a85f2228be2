"""Accounts and fills, against the tape and against each other."""

from collections import defaultdict
from itertools import pairwise

import pytest

from market_scraper.simulator.world.facts import ZERO_HASH, Fill, Kind
from market_scraper.simulator.world.markets import MAIN_DEX
from tests.unit.simulator.world.worlds import START_MS, lived, make, prints_of


def signed(fill: Fill) -> int:
    return fill.lots if fill.buys else -fill.lots


@pytest.mark.parametrize("after_ms", [0, 1, 70_123, 240_000])
def test_an_account_holds_what_the_truth_says_at_that_moment_and_its_sums_agree(after_ms: int) -> None:
    world, _ = lived()
    at_ms = START_MS + after_ms
    for dex in world.dexes:
        for person in world.people():
            state = world.account_at(person.user, dex, at_ms)
            held = {position.coin: position.lots for position in state.positions}
            truth = {m.coin: world.size_at(person.user, m.coin, at_ms) for m in world.markets_of(dex)}
            assert held == {coin: lots for coin, lots in truth.items() if lots}
            value = sum(position.lots * position.mark_px for position in state.positions)
            assert state.account_value_micro == state.total_raw_micro + value
            assert state.total_notional_micro == sum(position.value_micro for position in state.positions)
            isolated = [position for position in state.positions if position.isolated_raw_micro is not None]
            assert state.cross_raw_micro == state.total_raw_micro - sum(
                position.isolated_raw_micro or 0 for position in isolated
            )
            for position in state.positions:
                assert position.cross == (position.isolated_raw_micro is None)
                assert 1 <= position.leverage <= position.max_leverage


def test_at_the_start_everybody_has_its_money_and_positions_were_opened_before() -> None:
    world, _ = lived()
    held = sum(len(world.account_at(one.user, MAIN_DEX, START_MS).positions) for one in world.people())
    assert held > 100
    assert all(world.account_at(one.user, MAIN_DEX, START_MS).account_value_micro >= 0 for one in world.people())


def test_liquidation_prices_stand_on_the_losing_side_of_the_mark() -> None:
    world, _ = lived()
    known = empty = 0
    for person in world.people():
        if person.kind in (Kind.MARKET_MAKER, Kind.VAULT_CHILD):
            continue  # never liquidated, by the house's rule
        for position in world.account_at(person.user, MAIN_DEX, world.now_ms).positions:
            if position.liquidation_px is None:
                assert position.lots > 0
                empty += 1
                continue
            known += 1
            market = world.market(position.coin)
            assert market is not None
            mark = market.usd(position.mark_px)
            # The path stands still for half a second; a block later at most the position is closed.
            assert (
                position.liquidation_px < mark * 1.002 if position.lots > 0 else position.liquidation_px > mark / 1.002
            )
    assert known > 50
    assert empty > 10


def test_each_traders_fills_chain_from_size_to_size_and_end_at_the_truth() -> None:
    world, _ = lived()
    for person in world.people():
        chain: dict[str, list[Fill]] = defaultdict(list)
        for fill in world.fills(person.user, limit=10**6):
            chain[fill.coin].append(fill)
        for coin, fills in chain.items():
            assert fills[0].start_lots == world.size_at(person.user, coin, START_MS)
            for one, then in pairwise(fills):
                assert then.start_lots == one.start_lots + signed(one)
                assert then.time_ms >= one.time_ms
            assert fills[-1].start_lots + signed(fills[-1]) == world.size_at(person.user, coin, world.now_ms)


def test_every_print_is_two_fills_that_agree_with_it() -> None:
    world, blocks = lived()
    for block in blocks[-40:]:
        for coin, prints in block.prints:
            for user in {user for one in prints for user in (one.buyer, one.seller)}:
                mine = [one for one in prints if user in (one.buyer, one.seller)]
                fills = [one for one in world.fills(user, block.time_ms, block.time_ms) if one.coin == coin]
                assert [one.tid for one in fills] == [one.tid for one in mine]
                for fill, one in zip(fills, mine, strict=True):
                    assert (fill.px, fill.lots, fill.hash) == (one.px, one.lots, one.hash)
                    assert fill.buys == (one.buyer == user)
                    assert fill.crossed == (fill.buys == one.taker_buys)


def test_only_the_owner_of_a_slice_sees_its_twap() -> None:
    world, blocks = lived()
    slices = [one for one in prints_of(blocks) if one.hash == ZERO_HASH]
    for one in slices[:200]:
        taker, maker = (one.buyer, one.seller) if one.taker_buys else (one.seller, one.buyer)
        own = world.fills(taker, one.time_ms, one.time_ms, twap=True)
        assert any(fill.tid == one.tid and fill.twap_id is not None for fill in own)
        assert all(fill.tid != one.tid for fill in world.fills(taker, one.time_ms, one.time_ms, twap=False))
        theirs = world.fills(maker, one.time_ms, one.time_ms, twap=False)
        assert any(fill.tid == one.tid and fill.twap_id is None for fill in theirs)


def test_the_newest_fills_are_the_last_of_all() -> None:
    world, _ = lived()
    busiest = max((person.user for person in world.people()), key=lambda user: len(world.fills(user, limit=10**6)))
    fills = world.fills(busiest, limit=10**6)
    assert len(fills) > 500
    assert world.newest_fills(busiest, 100) == fills[-100:]
    assert world.fills(busiest, fills[50].time_ms, limit=7)[0].time_ms == fills[50].time_ms


def test_money_is_neither_made_nor_lost_but_for_fees_and_the_insurance() -> None:
    world = make(traders=60)
    world.advance(START_MS + 20_000)
    drained = 0
    for person in world.people():
        drained += sum(fill.fee_micro for fill in world.fills(person.user, limit=10**6))

    def money(at_ms: int) -> int:
        return sum(
            world.account_at(person.user, dex, at_ms).total_raw_micro
            for person in world.people()
            for dex in world.dexes
        )

    insured = money(world.now_ms) - money(START_MS) + drained
    assert 0 <= insured < drained


def test_liquidations_close_the_whole_position_and_name_the_victim_on_both_sides() -> None:
    world = make(seed=3, traders=400, prints_per_s=5.0)
    world.advance(START_MS + 900_000)
    victims = 0
    for person in world.people():
        fills = world.fills(person.user, limit=10**6)
        for fill in fills:
            if fill.liquidation is not None:
                assert fill.crossed == (fill.liquidation.liquidated_user == person.user)
        last = [fill for fill in fills if fill.dir.startswith("Liquidated")]
        if last:
            victims += 1
            assert last[-1].start_lots + signed(last[-1]) == 0
            assert all(fill.hash != ZERO_HASH for fill in last)
    assert victims >= 1


def test_somebody_closes_flips_and_reopens_at_exactly_the_same_size() -> None:
    world, _ = lived()
    words: set[str] = set()
    again = 0
    for person in world.people():
        if person.kind in (Kind.MARKET_MAKER, Kind.VAULT_CHILD):
            continue
        fills = world.fills(person.user, limit=10**6)
        words |= {fill.dir for fill in fills}
        for market in world.markets:
            mine = [fill for fill in fills if fill.coin == market.coin]
            # Sizes between actions: an action's matches lie in one block.
            sizes = [fill.start_lots for last, fill in pairwise(mine) if fill.time_ms != last.time_ms]
            again += sum(
                size == 0 and before != 0 and abs(before) == abs(after)
                for before, size, after in zip(sizes, sizes[1:], sizes[2:], strict=False)
            )
    assert {"Open Long", "Open Short", "Close Long", "Close Short", "Long > Short", "Short > Long"} <= words
    assert again > 0


def test_a_stranger_has_nothing_and_an_unknown_dex_is_an_error() -> None:
    world, _ = lived()
    nobody = "0x" + "0" * 40
    assert world.account_at(nobody, MAIN_DEX, START_MS).positions == ()
    assert world.size_at(nobody, "BTC", START_MS) == 0
    assert world.fills(nobody) == world.newest_fills(nobody) == []
    assert world.portfolio(nobody, START_MS) == []
    with pytest.raises(KeyError):
        world.account_at(nobody, "nope", START_MS)


def test_funding_is_paid_once_an_hour_a_little_after_it() -> None:
    world = make(traders=30, prints_per_s=0.5)
    hour = START_MS // 3_600_000 * 3_600_000 + 3_600_000
    world.advance(hour + 100)
    paid = 0
    for person in world.people():
        for then, before in zip(
            world.account_at(person.user, MAIN_DEX, hour + 100).positions,
            world.account_at(person.user, MAIN_DEX, hour + 10).positions,
            strict=True,
        ):
            rise = then.funding_all_time_micro - before.funding_all_time_micro
            paid += rise != 0
            assert rise == pytest.approx(then.lots * then.mark_px * 0.0000125, rel=0.01, abs=2)
    assert paid > 10
