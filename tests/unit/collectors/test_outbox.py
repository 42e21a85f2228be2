"""Facts on their way to the bus: order, counts, and merging that no reader can tell from the whole stream."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_scraper.collectors.outbox import Outbox
from market_scraper.domain.events import PositionChanged, TapeGapped
from market_scraper.domain.positions import Cause, Position, PositionState
from market_scraper.domain.values import Address
from market_scraper.domain.watch import Fact
from tests.facts import ETH, changed, gapped, mark, position


def fact(lots_before: int | None, lots: int | None, *, trader: int = 1, t_ms: int = 1, **fields: Any) -> Fact:
    state = PositionState.UNKNOWN if lots is None else PositionState.EXACT
    after = position(trader, **{"lots": lots, "t_ms": t_ms, "version": t_ms, "state": state, **fields})
    return changed(after, lots_before)


def taken(*facts: Fact, merge_above: int = -1) -> tuple[list[Fact], int]:
    outbox = Outbox(merge_above=merge_above)
    for one in facts:
        outbox.put(one)
    return outbox.take_now(), outbox.merged


def spans(facts: Sequence[Fact]) -> list[tuple[int | None, int | None]]:
    return [(f.lots_before, f.after.lots) for f in facts if isinstance(f, PositionChanged)]


def test_below_the_limit_nothing_merges_and_order_is_kept() -> None:
    facts = [fact(i, i + 1, t_ms=i) for i in range(1, 50)]
    assert taken(*facts, merge_above=49) == (facts, 0)


def test_above_the_limit_one_traders_facts_become_one_with_the_first_before_and_the_newest_after() -> None:
    (merged,), count = taken(fact(1, 2, t_ms=1), fact(2, 5, t_ms=2), fact(5, 3, t_ms=3))
    assert isinstance(merged, PositionChanged)
    assert (merged.lots_before, merged.after.lots, merged.after.t_ms, merged.merged, count) == (1, 3, 3, 2, 2)


def test_the_newer_takes_the_later_place() -> None:
    facts, _ = taken(fact(1, 2, t_ms=1), fact(7, 8, trader=2, t_ms=2), fact(2, 3, t_ms=3))
    assert [f.after.t_ms for f in facts if isinstance(f, PositionChanged)] == [2, 3]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((3, 1), (1, 0)),  # a close
        ((0, 1), (1, 2)),  # an open
        ((2, 1), (1, -1)),  # a flip
        ((1, 0), (0, 1)),  # a close and a reopening at the same size
        ((-1, 0), (0, -1)),
    ],
)
def test_opens_closes_and_flips_are_never_merged_away(first: tuple[int, int], second: tuple[int, int]) -> None:
    facts, count = taken(fact(*first, t_ms=1), fact(*second, t_ms=2))
    assert (spans(facts), count) == ([first, second], 0)


def test_a_change_of_state_reason_or_cause_is_never_merged_away() -> None:
    unsure: dict[str, Any] = {"state": PositionState.UNSURE, "doubt": 1.0, "since_ms": 1}
    row = [
        fact(1, 2, t_ms=1),
        fact(2, 2, t_ms=2, because=Cause.DRIFT, **unsure),
        fact(2, 2, t_ms=3, because=Cause.CANDIDATES, **unsure),
        msgspec.structs.replace(fact(2, 2, t_ms=4, because=Cause.CANDIDATES, **unsure), cause=Cause.LATE),
        fact(2, None, t_ms=5),
    ]
    assert taken(*row) == (row, 0)


def test_nothing_merges_over_a_gap() -> None:
    row = [fact(1, 2, t_ms=1), gapped(mark(5, gaps=((2, 5),))), fact(2, 3, t_ms=6)]
    assert taken(*row) == (row, 0)


def test_two_coins_of_one_trader_are_two_things() -> None:
    row = [fact(1, 2, t_ms=1), fact(2, 3, t_ms=2, symbol=ETH)]
    assert taken(*row) == (row, 0)


def test_what_was_taken_is_not_merged_into() -> None:
    outbox = Outbox(merge_above=-1)
    outbox.put(fact(1, 2, t_ms=1))
    outbox.take_now()
    outbox.put(fact(2, 3, t_ms=2))
    assert spans(outbox.take_now()) == [(2, 3)]


def test_a_bus_that_is_away_for_hours_costs_one_fact_a_trader() -> None:
    outbox = Outbox(merge_above=10)
    for i in range(1, 50_000):
        outbox.put(fact(i, i + 1, trader=i % 7 + 1, t_ms=i))
    assert len(outbox) <= 11
    assert outbox.merged + len(outbox) == 49_999


def test_adding_facts_together_is_the_same_as_one_by_one() -> None:
    facts = [fact(i, i + 1, trader=i % 3 + 1, t_ms=i) for i in range(1, 50)]
    for merge_above in (-1, 5, 48, 49):
        together = Outbox(merge_above=merge_above)
        together.extend(facts)
        assert (together.take_now(), together.merged) == taken(*facts, merge_above=merge_above)


async def test_filled_waits_until_something_is_pending_or_the_reader_is_woken() -> None:
    outbox = Outbox()
    outbox.put(fact(1, 2))
    await outbox.filled()
    assert len(outbox.take_now()) == 1
    outbox.wake()
    await outbox.filled()
    assert outbox.take_now() == []


# -- a reader cannot tell the difference --------------------------------------------------------------------------


@st.composite
def streams(draw: st.DrawFn) -> list[list[Fact]]:
    """Facts of three traders as a ledger gives them, cut into takes."""
    sizes: dict[int, int | None] = {}
    takes: list[list[Fact]] = [[]]
    steps = draw(
        st.lists(
            st.tuples(
                st.sampled_from(["change"] * 6 + ["unsure", "gap", "take"]), st.integers(1, 3), st.integers(-3, 3)
            ),
            max_size=60,
        )
    )
    for t_ms, (kind, trader, lots) in enumerate(steps, 1):
        if kind == "take":
            takes.append([])
        elif kind == "gap":
            takes[-1].append(gapped(mark(t_ms, gaps=((t_ms - 1, t_ms),))))
        else:
            unsure = {"state": PositionState.UNSURE, "because": Cause.GAP, "doubt": 0.0, "since_ms": t_ms}
            takes[-1].append(
                fact(sizes.get(trader, 0), lots, trader=trader, t_ms=t_ms, **(unsure if kind == "unsure" else {}))
            )
            sizes[trader] = lots
    return takes


@given(streams(), st.integers(-1, 10))
def test_at_the_end_of_each_take_a_reader_of_the_merged_stream_knows_the_same(
    takes: list[list[Fact]], merge_above: int
) -> None:
    plain: dict[Address, Position] = {}
    merged: dict[Address, Position] = {}
    before: dict[Address, int | None] = {}
    outbox = Outbox(merge_above=merge_above)
    total = told = 0
    for take in takes:
        outbox.extend(take)
        for one in take:
            if isinstance(one, PositionChanged):
                total += 1
                plain[one.after.trader] = one.after
        given_ = outbox.take_now()
        assert [f for f in given_ if isinstance(f, TapeGapped)] == [f for f in take if isinstance(f, TapeGapped)]
        for one in given_:
            if isinstance(one, PositionChanged):
                told += 1 + one.merged
                assert one.lots_before == before.get(one.after.trader, 0)  # no step is missing in between
                before[one.after.trader] = one.after.lots
                merged[one.after.trader] = one.after
        assert merged == plain
    assert told == total


@given(streams())
def test_merging_keeps_every_turn_of_side_and_state(takes: list[list[Fact]]) -> None:
    def turns(facts: Sequence[Fact]) -> list[tuple[Address, int, PositionState]]:
        row: list[tuple[Address, int, PositionState]] = []
        last: dict[Address, tuple[int, PositionState]] = {}
        for one in facts:
            if isinstance(one, PositionChanged):
                lots = one.after.lots or 0
                now = ((lots > 0) - (lots < 0), one.after.state)
                if last.get(one.after.trader) != now:
                    last[one.after.trader] = now
                    row.append((one.after.trader, *now))
        return sorted(row, key=lambda turn: turn[0])

    for take in takes:
        facts, _ = taken(*take)
        assert turns(facts) == turns(take)
