"""The tape that the world prints."""

import itertools
from collections import Counter, defaultdict
from decimal import Decimal

from market_scraper.simulator.world.facts import ZERO_HASH, Kind
from tests.unit.simulator.world.worlds import lived, make, prints_of


def test_after_every_block_the_tape_and_the_truth_agree_sizes_sum_to_zero_and_make_the_open_interest() -> None:
    world = make(off_tape_per_hour=2000.0)
    start_ms = world.now_ms
    coins = [market.coin for market in world.markets]
    sizes = {coin: defaultdict(int, world.sizes_at(coin, start_ms)) for coin in coins}
    blocks = world.advance(start_ms + 30_000)
    changes = iter([*world.off_tape_log, None])
    change = next(changes)
    assert change is not None
    for number, block in enumerate(blocks):
        while change is not None and change.at_ms <= block.time_ms:
            assert sizes[change.coin][change.user] == change.before_lots
            sizes[change.coin][change.user] = change.after_lots
            change = next(changes)
        for coin, prints in block.prints:
            for one in prints:
                sizes[coin][one.buyer] += one.lots
                sizes[coin][one.seller] -= one.lots
        if number % 10 == 0:
            for coin in coins:
                truth = world.sizes_at(coin, block.time_ms)
                assert truth == {user: lots for user, lots in sizes[coin].items() if lots}
                assert sum(truth.values()) == 0
                open_interest = world.context(coin, block.time_ms).open_interest_lots
                assert sum(abs(lots) for lots in truth.values()) == 2 * open_interest


def test_activity_counts_each_print_for_both_its_sides() -> None:
    world = make()
    before = Counter(world.activity("BTC"))
    blocks = world.advance(world.now_ms + 20_000)
    ours = [one for block in blocks for coin, prints in block.prints if coin == "BTC" for one in prints]
    assert ours
    sides = Counter(user for one in ours for user in (one.buyer, one.seller))
    assert Counter(world.activity("BTC")) - before == sides


def test_prices_and_sizes_keep_the_venues_precision() -> None:
    world, blocks = lived()
    for one in prints_of(blocks):
        market = world.market(one.coin)
        assert market is not None
        px = Decimal(one.px).scaleb(-market.px_decimals).normalize()
        assert px == px.to_integral_value() or len(px.as_tuple().digits) <= 5
        assert one.lots > 0
        assert one.px > 0


def test_nobody_trades_with_itself_and_every_print_has_an_identity_of_its_own() -> None:
    _, blocks = lived()
    prints = prints_of(blocks)
    assert all(one.buyer != one.seller for one in prints)
    assert len({(one.coin, one.time_ms, one.tid) for one in prints}) == len(prints)
    assert all(0 < one.tid < 2**50 for one in prints)
    falls = sum(then.tid < one.tid for one, then in itertools.pairwise(prints))
    assert 0.4 < falls / len(prints) < 0.6


def test_blocks_come_about_twelve_times_a_second_at_strictly_rising_irregular_times() -> None:
    _, blocks = lived()
    gaps = [then.time_ms - one.time_ms for one, then in itertools.pairwise(blocks)]
    assert min(gaps) > 0
    assert len(set(gaps)) > 20
    assert 10 < 1000 * len(gaps) / sum(gaps) < 14
    assert [block.height for block in blocks] == list(range(blocks[0].height, blocks[0].height + len(blocks)))


def test_one_action_shares_its_hash_taker_and_side_and_sweeps_fill_a_block() -> None:
    _, blocks = lived()
    actions = defaultdict(list)
    for one in prints_of(blocks):
        if one.hash != ZERO_HASH:
            actions[one.hash].append(one)
    for prints in actions.values():
        assert (
            len(
                {(one.coin, one.time_ms, one.taker_buys, one.buyer if one.taker_buys else one.seller) for one in prints}
            )
            == 1
        )
    assert max(len(prints) for prints in actions.values()) >= 30


def test_prints_of_a_block_lie_at_the_prices_that_the_bbo_showed_or_worse_for_the_taker() -> None:
    _, blocks = lived()
    for block in blocks:
        best = {bbo.coin: bbo for bbo in block.bbos}
        for coin, prints in block.prints:
            assert best[coin].bid_px < best[coin].ask_px
            assert all(one.px >= best[coin].ask_px if one.taker_buys else one.px <= best[coin].bid_px for one in prints)


def test_the_pace_is_as_asked_and_a_burst_is_a_burst() -> None:
    world = make(prints_per_s=10.0)
    start_ms = world.now_ms
    world.burst("ETH", start_ms + 60_000, start_ms + 90_000, 100.0)
    calm = Counter(one.coin for one in prints_of(world.advance(start_ms + 60_000)))
    busy = Counter(one.coin for one in prints_of(world.advance(start_ms + 90_000)))
    after = Counter(one.coin for one in prints_of(world.advance(start_ms + 150_000)))
    assert 300 < calm["BTC"] < 1000
    assert busy["ETH"] > 1800
    assert after["ETH"] < 600
    assert all(calm[market.coin] > 0 for market in world.markets if not market.delisted)


def test_the_busiest_maker_is_in_about_a_seventh_of_the_prints_and_the_rest_has_a_heavy_tail() -> None:
    world, blocks = lived()
    prints = prints_of(blocks)
    busy = Counter(user for one in prints for user in (one.buyer, one.seller))
    makers = {person.user for person in world.people() if person.kind in (Kind.MARKET_MAKER, Kind.VAULT_CHILD)}
    (first, most), *_ = [entry for entry in busy.most_common() if entry[0] in makers]
    assert world.kind_of(first) is Kind.MARKET_MAKER
    assert 0.10 < most / len(prints) < 0.25
    others = sorted((count for user, count in busy.items() if user not in makers), reverse=True)
    assert sum(others[: len(others) // 10]) > 0.35 * sum(others)


def test_slices_of_twaps_have_the_zero_hash_and_are_about_a_tenth_of_the_tape() -> None:
    _, blocks = lived()
    prints = prints_of(blocks)
    assert 0.01 < sum(one.hash == ZERO_HASH for one in prints) / len(prints) < 0.2


def test_recent_prints_are_the_newest_ones_in_execution_order() -> None:
    world, blocks = lived()
    btc = [one for one in prints_of(blocks) if one.coin == "BTC"]
    assert world.recent_prints("BTC", 30) == btc[-30:]
    assert world.recent_prints("LOOM", 30) == []
