"""How often a host is asked, by a clock that stands still."""

import asyncio

import pytest

from market_scraper.connectors.onchain.pace import PACES, Gate, Pace, Paused
from tests.fakes import FakeClock, settle

TWO_IN_TEN = Pace(2, 10.0, "test")


async def test_requests_beyond_the_window_wait_for_their_turn_in_order() -> None:
    clock = FakeClock()
    gate = Gate(TWO_IN_TEN, clock)
    entered: list[tuple[int, float]] = []
    began = clock.monotonic()

    async def ask(number: int) -> None:
        await gate.enter("a")
        entered.append((number, clock.monotonic() - began))

    async with asyncio.TaskGroup() as tasks:
        for number in range(5):
            tasks.create_task(ask(number))
        await clock.advance(30)
    assert entered == [(0, 0.0), (1, 0.0), (2, 10.0), (3, 10.0), (4, 20.0)]


async def test_no_window_ever_holds_more_than_the_pace_allows() -> None:
    clock = FakeClock()
    gate = Gate(Pace(3, 6.0, "test"), clock)
    times: list[float] = []

    async def ask_often() -> None:
        for _ in range(12):
            await gate.enter("a")
            times.append(clock.monotonic())
            await clock.sleep(0.7)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(ask_often())
        await clock.advance(60)
    assert len(times) == 12
    assert all(later - earlier >= 6.0 for earlier, later in zip(times, times[3:], strict=False))


async def test_a_host_that_asks_for_a_pause_gets_it_also_from_those_who_wait() -> None:
    clock = FakeClock()
    gate = Gate(TWO_IN_TEN, clock)
    await gate.enter("a")
    await gate.enter("a")
    waiting = asyncio.create_task(gate.enter("a"))
    await settle()
    gate.pause("a", 60)
    gate.pause("a", 5)  # a shorter one takes nothing away
    await clock.advance(10)
    with pytest.raises(Paused) as paused:
        await waiting
    assert paused.value.left_s == 50
    with pytest.raises(Paused):
        await gate.enter("a")
    await gate.enter("b")  # may be another host behind the same name
    await clock.advance(50)
    await gate.enter("a")


async def test_who_is_cancelled_while_waiting_takes_nobodys_turn() -> None:
    clock = FakeClock()
    gate = Gate(Pace(1, 10.0, "test"), clock)
    await gate.enter("a")
    first, second = asyncio.create_task(gate.enter("a")), asyncio.create_task(gate.enter("a"))
    await settle()
    first.cancel()
    await clock.advance(10)
    assert second.done()


def test_every_pace_says_where_it_is_from() -> None:
    assert all(pace.source and pace.requests >= 1 and pace.per_s > 0 for pace in PACES.values())
    assert PACES["community-api.coinmetrics.io"].requests < 10  # 10 in 6 s are allowed
