"""Changes without a print."""

import pytest

from market_scraper.simulator.world.facts import Kind
from tests.unit.simulator.world.worlds import START_MS, make, prints_of


def test_a_change_off_the_tape_moves_two_accounts_and_prints_nothing() -> None:
    world = make(traders=60)
    world.advance(START_MS + 5_000)
    user = next(person.user for person in world.people() if person.kind is Kind.DORMANT)
    at_ms = world.inject_off_tape(user, "BTC", 12_345, START_MS + 6_000)
    assert at_ms == START_MS + 6_000
    world.advance(START_MS + 8_000)
    first, second = world.off_tape_log
    assert (first.user, first.after_lots, first.at_ms, first.cause) == (user, 12_345, at_ms, "settlement")
    assert second.user != user
    assert first.after_lots - first.before_lots == second.before_lots - second.after_lots
    assert world.size_at(user, "BTC", at_ms) == 12_345
    assert world.size_at(user, "BTC", at_ms - 1) == first.before_lots
    assert sum(world.sizes_at("BTC", world.now_ms).values()) == 0
    assert world.fills(user) == []


def test_a_change_in_the_past_happens_right_after_now() -> None:
    world = make(traders=60)
    world.advance(START_MS + 5_000)
    user = world.people()[-1].user
    assert world.inject_off_tape(user, "BTC", 5, START_MS) == START_MS + 5_001
    world.advance(START_MS + 5_001)
    assert world.size_at(user, "BTC", START_MS + 5_000) == 0 or world.off_tape_log[0].user == user


@pytest.mark.parametrize("delisted", [True, False])
def test_an_ended_coin_is_settled_without_prints_and_shows_no_prices(delisted: bool) -> None:
    world = make(traders=60)
    end = world.delist if delisted else world.halt
    at_ms = end("xyz:XYZ100", START_MS + 10_000)
    before = world.advance(START_MS + 9_000)
    assert world.sizes_at("xyz:XYZ100", START_MS + 9_000)
    worth = {
        person.user: world.account_at(person.user, "xyz", START_MS + 9_000).account_value_micro
        for person in world.people()
    }
    after = world.advance(START_MS + 30_000)
    assert all(one.time_ms < at_ms for one in prints_of(before + after) if one.coin == "xyz:XYZ100")
    assert world.sizes_at("xyz:XYZ100", at_ms - 1)
    assert world.sizes_at("xyz:XYZ100", at_ms) == {}
    assert all(change.after_lots == 0 and change.at_ms == at_ms for change in world.off_tape_log)
    context = world.context("xyz:XYZ100", START_MS + 30_000)
    assert (context.open_interest_lots, context.mid_px, context.premium, context.impact_pxs) == (0, None, None, None)
    assert world.bbo("xyz:XYZ100") is None
    assert "xyz:XYZ100" not in world.mids(START_MS + 30_000, "xyz")
    assert world.is_delisted("xyz:XYZ100", START_MS + 30_000) is delisted
    assert world.is_delisted("xyz:XYZ100", at_ms - 1) is False
    assert world.context("xyz:XYZ100", at_ms - 1).mid_px is not None
    # Settled at the mark: nobody is richer or poorer for it, beyond what prices and fees did in those seconds.
    total = sum(worth.values())
    now = sum(world.account_at(user, "xyz", START_MS + 30_000).account_value_micro for user in worth)
    assert abs(now - total) < 0.001 * total


def test_random_changes_come_at_about_the_rate_that_was_asked_for() -> None:
    world = make(traders=60, prints_per_s=1.0, off_tape_per_hour=360.0)
    world.advance(START_MS + 600_000)
    assert 2 * 25 < len(world.off_tape_log) < 2 * 110
