import asyncio

import pytest

from tests.fakes import FakeClock, settle


async def test_sleepers_wake_in_the_order_of_their_moments() -> None:
    clock = FakeClock(now_ms=1_000)
    woke: list[tuple[str, int]] = []

    async def nap(name: str, seconds: float) -> None:
        await clock.sleep(seconds)
        woke.append((name, clock.now_ms()))

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(nap("long", 3))
        tasks.create_task(nap("short", 1))
        await clock.advance(2)
        assert woke == [("short", 2_000)]
        await clock.advance(1)
    assert woke == [("short", 2_000), ("long", 4_000)]


async def test_a_timeout_ends_its_block_when_time_reaches_it_and_not_before() -> None:
    clock = FakeClock()

    async def wait_forever() -> None:
        async with clock.timeout(5):
            await asyncio.Event().wait()

    task = asyncio.create_task(wait_forever())
    await clock.advance(4.9)
    assert not task.done()
    await clock.advance(0.2)
    with pytest.raises(TimeoutError):
        await task


async def test_a_timeout_that_was_left_in_time_does_nothing_later() -> None:
    clock = FakeClock()
    async with clock.timeout(5):
        await settle()
    await clock.advance(10)
    assert clock.monotonic() == 1_010


async def test_a_loop_of_sleeps_runs_once_a_period() -> None:
    clock = FakeClock()
    rounds = 0

    async def loop() -> None:
        nonlocal rounds
        while True:
            await clock.sleep(1)
            rounds += 1

    task = asyncio.create_task(loop())
    await clock.advance(10)
    task.cancel()
    assert rounds == 10


async def test_a_timeout_of_nothing_ends_what_would_wait() -> None:
    with pytest.raises(TimeoutError):
        async with FakeClock().timeout(0):
            await asyncio.Event().wait()
