"""Who is there, and what the leaderboard says of them."""

from collections import Counter
from math import isfinite
from statistics import mean

from market_scraper.simulator.world import World, WorldOptions
from market_scraper.simulator.world.facts import Kind
from market_scraper.simulator.world.markets import MARGIN_TIERS
from tests.unit.simulator.world.worlds import START_MS, lived, make


def test_every_kind_is_there_and_only_the_informed_have_skill() -> None:
    world, _ = lived()
    people = world.people()
    assert len(people) == 300 == len({person.user for person in people})
    assert {person.kind for person in people} == set(Kind)
    assert all((person.skill > 0) == (person.kind is Kind.INFORMED) for person in people)
    assert Counter(person.kind for person in people)[Kind.VAULT] == 1


def test_kinds_that_hold_no_perps_never_do() -> None:
    world, _ = lived()
    for person in world.people():
        if person.kind in (Kind.SPOT_HOLDER, Kind.PHANTOM, Kind.MASTER, Kind.VAULT):
            assert not any(world.account_at(person.user, dex, world.now_ms).positions for dex in world.dexes)


def test_skill_pays_and_noise_does_not() -> None:
    world = make(seed=11, traders=400, prints_per_s=3.0)
    world.advance(START_MS + 3_600_000)
    gains: dict[Kind, list[float]] = {Kind.INFORMED: [], Kind.NOISE: []}
    for person in world.people():
        if person.kind in gains and len(world.newest_fills(person.user, 10)) == 10:
            then, now = (
                sum(world.account_at(person.user, dex, at_ms).account_value_micro for dex in world.dexes)
                for at_ms in (START_MS, world.now_ms)
            )
            gains[person.kind].append(now / then - 1)
    assert mean(gain > 0 for gain in gains[Kind.INFORMED]) > mean(gain > 0 for gain in gains[Kind.NOISE]) + 0.25
    assert mean(gains[Kind.INFORMED]) > mean(gains[Kind.NOISE])


def test_the_leaderboard_ranks_masters_with_their_sub_accounts_and_no_vaults() -> None:
    world, _ = lived()
    at_ms = world.now_ms
    rows = {row.user: row for row in world.leaderboard(at_ms)}
    people = {person.user: person for person in world.people()}
    for user, person in people.items():
        hidden = person.master is not None or person.kind in (Kind.VAULT, Kind.VAULT_CHILD)
        assert (user not in rows) == hidden
    masters = [user for user, person in people.items() if person.kind is Kind.MASTER]
    for master in masters:
        subs = [sub.user for sub in world.sub_accounts(master)]
        assert subs
        assert all(people[sub].master == master for sub in subs)
        worth = sum(
            world.account_at(user, dex, at_ms).account_value_micro for user in [master, *subs] for dex in world.dexes
        )
        assert abs(rows[master].account_value - worth / 1e6) < 0.01
    assert world.sub_accounts(next(user for user, person in people.items() if person.kind is Kind.NOISE)) == []


def test_rows_are_as_odd_as_the_recorded_ones_and_always_numbers() -> None:
    world, _ = lived()
    rows = world.leaderboard(world.now_ms)
    for row in rows:
        windows = (row.day, row.week, row.month, row.all_time)
        assert all(isfinite(number) for one in windows for number in (one.pnl, one.roi, one.vlm))
        kind = world.kind_of(row.user)
        if kind is Kind.SPOT_HOLDER:
            assert all(one.vlm == 0 for one in windows)
            assert row.account_value > 0
            assert row.all_time.pnl != 0
        if kind is Kind.PHANTOM:
            assert row.account_value > 1e8
            assert all(one.vlm == 0 for one in windows)
        if kind is Kind.DORMANT:
            assert row.day.vlm == row.week.vlm == 0
    assert 0.3 < sum(row.account_value < 1000 for row in rows) / len(rows) < 0.55
    assert any(row.display_name is None for row in rows)


def test_what_happens_after_the_start_moves_the_rows() -> None:
    world = make(traders=60)
    before = {row.user: row for row in world.leaderboard(START_MS)}
    world.advance(START_MS + 60_000)
    traded = 0
    for row in world.leaderboard(world.now_ms):
        volume = sum(fill.px * fill.lots for fill in world.fills(row.user, limit=10**6)) / 1e6
        if volume > 10_000 and not world.sub_accounts(row.user):
            traded += 1
            assert row.week.vlm > before[row.user].week.vlm * 0.99
            assert abs(row.day.vlm - before[row.user].day.vlm * (1 - 60 / 86_400) - volume) < 1e-3 * volume + 1
    assert traded > 3


def test_portfolios_have_the_eight_windows_and_end_at_todays_value() -> None:
    world, _ = lived()
    names = ["day", "week", "month", "allTime", "perpDay", "perpWeek", "perpMonth", "perpAllTime"]
    rows = {row.user: row for row in world.leaderboard(world.now_ms)}
    for person in world.people()[:80]:
        windows = world.portfolio(person.user, world.now_ms)
        assert [window.name for window in windows] == names
        for window in windows:
            times = [time_ms for time_ms, _ in window.account_values]
            assert times == sorted(times)
            assert times[-1] == world.now_ms
        if person.user in rows and person.kind is not Kind.MASTER:
            assert abs(windows[0].account_values[-1][1] - rows[person.user].account_value) < 0.01


def test_the_vault_has_followers_and_children_that_trade() -> None:
    world, _ = lived()
    parent = next(person.user for person in world.people() if person.kind is Kind.VAULT)
    details = world.vault_details(parent, world.now_ms)
    assert details is not None
    assert details.children
    assert details.followers
    for child in details.children:
        assert world.newest_fills(child)
        own = world.vault_details(child, world.now_ms)
        assert own is not None
        assert own.parent == parent
    assert world.vault_details(world.people()[-1].user, world.now_ms) is None


def test_markets_have_their_indices_their_margin_tables_and_a_delisted_one_among_them() -> None:
    world, _ = lived()
    assert [market.coin for market in world.markets_of("")] == ["BTC", "ETH", "SOL", "LOOM", "HYPE", "DOGE", "kPEPE"]
    assert [market.coin for market in world.markets_of("xyz")] == ["xyz:TSLA", "xyz:XYZ100"]
    assert all(market.margin_table_id in MARGIN_TIERS for market in world.markets)
    assert world.is_delisted("LOOM", START_MS)
    contexts = world.contexts(world.now_ms)
    assert [context.coin for context in contexts] == [market.coin for market in world.markets_of("")]
    loom = contexts[3]
    assert (loom.mid_px, loom.open_interest_lots) == (None, 0)
    mids = world.mids(world.now_ms)
    assert {"BTC", "@107", "PURR/USDC"} <= set(mids)
    assert "LOOM" not in mids
    assert set(world.mids(world.now_ms, "xyz")) == {"xyz:TSLA", "xyz:XYZ100"}


def test_ten_thousand_traders_are_there_at_once() -> None:
    world = World(WorldOptions(seed=1, traders=10_000, start_ms=START_MS, history_days=3))
    assert len(world.leaderboard(START_MS)) > 9_000
    assert world.advance(START_MS + 1_000)
