"""Requests wait for the budget no longer than they must, and none is forgotten."""

import asyncio

from market_scraper.connectors.hyperliquid.limits import Share, Ticket, WeightBudget
from market_scraper.connectors.hyperliquid.turnstile import Turnstile
from tests.fakes import FakeClock, settle


def turnstile(clock: FakeClock, limit: int = 10) -> Turnstile:
    return Turnstile(WeightBudget({"a": Share(limit, 1), "b": Share(limit, 1)}, limit=limit), clock)


async def pass_through(gate: Turnstile, passed: list[int], number: int, kind: str = "a") -> Ticket:
    ticket = await gate.enter(kind, 2)
    passed.append(number)
    gate.settle(ticket)
    return ticket


async def test_a_long_queue_moves_on_as_the_minutes_pass() -> None:
    clock, passed = FakeClock(), list[int]()
    gate = turnstile(clock)
    tasks = [asyncio.create_task(pass_through(gate, passed, number)) for number in range(12)]
    await settle()
    assert passed == list(range(5))
    await clock.advance(60.5)
    assert len(passed) == 5
    await clock.advance(1.0)
    assert passed == list(range(10))
    await clock.advance(61.0)
    await asyncio.gather(*tasks)
    assert passed == list(range(12))


async def test_an_answer_that_was_cheaper_lets_the_next_go_at_once() -> None:
    clock = FakeClock()
    gate = turnstile(clock)
    first = await gate.enter("a", 10)
    waiting = asyncio.create_task(gate.enter("b", 4))
    await settle()
    assert not waiting.done()
    gate.settle(first, 5)
    await settle()
    assert waiting.done()


async def test_when_the_watching_one_is_cancelled_another_watches() -> None:
    clock, passed = FakeClock(), list[int]()
    gate = turnstile(clock)
    gate.settle(await gate.enter("a", 10))
    tasks = [asyncio.create_task(pass_through(gate, passed, number)) for number in range(3)]
    await settle()
    tasks[0].cancel()
    await clock.advance(61.5)
    assert passed == [1, 2]


async def test_a_refusal_holds_everyone_for_its_time_and_no_longer() -> None:
    clock, passed = FakeClock(), list[int]()
    gate = turnstile(clock)
    gate.refuse(await gate.enter("a", 2), 15.0)
    task = asyncio.create_task(pass_through(gate, passed, 1))
    await clock.advance(14.5)
    assert passed == []
    await clock.advance(1.0)
    assert passed == [1]
    await task


async def test_what_was_given_up_counts_for_longer() -> None:
    clock = FakeClock()
    gate = turnstile(clock)
    gate.give_up(await gate.enter("a", 10))
    await clock.advance(62)
    assert gate.spent() == 10
    await clock.advance(30)
    assert gate.spent() == 0
