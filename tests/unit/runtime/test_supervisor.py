import asyncio
from collections.abc import Awaitable, Callable
from itertools import repeat

import pytest

from market_scraper.domain.errors import Fenced, ReaderLost, UnknownThing
from market_scraper.runtime.supervisor import Supervisor
from tests.fakes import FakeClock, settle


def living(log: list[str], name: str) -> Callable[[], Awaitable[None]]:
    """A component that runs until it is stopped and writes down its beginnings and ends."""

    async def run() -> None:
        log.append(f"{name} began")
        try:
            await asyncio.Event().wait()
        finally:
            log.append(f"{name} ended")

    return run


async def test_components_stop_in_reverse_order_of_starting() -> None:
    log: list[str] = []
    async with Supervisor(FakeClock()) as supervisor:
        for name in ("store", "persister", "collector"):
            supervisor.add(name, living(log, name))
        supervisor.start_all()
        await settle()
        assert [state.running for state in supervisor.states()] == [True, True, True]
    assert log[3:] == ["collector ended", "persister ended", "store ended"]
    assert not supervisor.state("store").running


async def test_a_component_that_crashes_is_counted_told_and_restarted_after_a_delay() -> None:
    clock = FakeClock()
    heard: list[tuple[str, str]] = []
    lives = 0

    async def run() -> None:
        nonlocal lives
        lives += 1
        if lives < 3:
            raise OSError("no luck")
        await asyncio.Event().wait()

    async with Supervisor(
        clock, delays=lambda name: repeat(5.0), on_crash=lambda name, reason: heard.append((name, reason))
    ) as supervisor:
        supervisor.add("shaky", run)
        supervisor.start("shaky")
        await clock.advance(4.9)
        assert lives == 1
        await clock.advance(5.2)
        assert lives == 3
        state = supervisor.state("shaky")
        assert (state.running, state.crashes, state.last_crash) == (True, 2, "OSError: no luck")
    assert heard == [("shaky", "OSError: no luck")] * 2


async def test_delays_begin_anew_after_a_long_healthy_life() -> None:
    clock = FakeClock()

    async def run() -> None:
        await clock.sleep(100)
        raise OSError("after a while")

    async with Supervisor(clock, delays=lambda name: iter([1.0, 1_000_000.0])) as supervisor:
        supervisor.add("long", run)
        supervisor.start("long")
        await clock.advance(505)
        assert supervisor.state("long").crashes == 5


async def test_one_crash_leaves_the_others_alone() -> None:
    log: list[str] = []

    async def crash() -> None:
        raise OSError("no luck")

    async with Supervisor(FakeClock()) as supervisor:
        supervisor.add("well", living(log, "well"))
        supervisor.add("ill", crash)
        supervisor.start_all()
        await settle()
        assert log == ["well began"]


async def test_starting_and_stopping_one_by_name_may_be_repeated() -> None:
    log: list[str] = []
    async with Supervisor(FakeClock()) as supervisor:
        supervisor.add("one", living(log, "one"))
        supervisor.start("one")
        supervisor.start("one")
        await settle()
        await supervisor.stop("one")
        await supervisor.stop("one")
        assert not supervisor.state("one").running
        supervisor.start("one")
        await settle()
        assert supervisor.state("one").running
    assert log == ["one began", "one ended", "one began", "one ended"]


async def test_a_component_that_returns_is_done_and_not_restarted() -> None:
    lives = 0

    async def run() -> None:
        nonlocal lives
        lives += 1

    clock = FakeClock()
    async with Supervisor(clock) as supervisor:
        supervisor.add("once", run)
        supervisor.start("once")
        await clock.advance(1_000)
        assert (lives, supervisor.state("once").running) == (1, False)


async def test_a_component_that_will_not_stop_leaves_time_for_the_others() -> None:
    log: list[str] = []
    may_end = asyncio.Event()

    async def stubborn() -> None:
        while not may_end.is_set():
            try:
                await may_end.wait()
            except asyncio.CancelledError:
                log.append("stubborn refused")

    supervisor = Supervisor(FakeClock(), stop_s=0.1)
    supervisor.add("store", living(log, "store"))
    supervisor.add("stubborn", stubborn)
    supervisor.start_all()
    await settle()
    async with asyncio.timeout(5):
        await supervisor.stop_all()
    assert log == ["store began", "stubborn refused", "store ended"]
    may_end.set()
    await settle()


async def test_an_unknown_name_is_said() -> None:
    supervisor = Supervisor(FakeClock())
    with pytest.raises(UnknownThing):
        supervisor.start("nobody")
    with pytest.raises(UnknownThing):
        await supervisor.stop("nobody")
    supervisor.add("somebody", living([], "somebody"))
    with pytest.raises(ValueError, match="already"):
        supervisor.add("somebody", living([], "somebody"))


@pytest.mark.parametrize("error", [ReaderLost("away"), ExceptionGroup("both halves", [OSError(), ReaderLost("away")])])
async def test_a_fatal_error_is_told_once_and_never_tried_again_while_the_others_go_on(error: Exception) -> None:
    """A reader that was given up has a hole in what it knows: on the same inbox it would fail for ever."""
    log: list[str] = []
    heard: list[str] = []
    lives = 0

    async def lost() -> None:
        nonlocal lives
        lives += 1
        raise error

    clock = FakeClock()
    async with Supervisor(clock, fatal=(ReaderLost,), on_crash=lambda name, _: heard.append(name)) as supervisor:
        supervisor.add("well", living(log, "well"))
        supervisor.add("views", lost)
        failing = asyncio.create_task(supervisor.failed())
        await settle()
        assert not failing.done()
        supervisor.start_all()
        await clock.advance(1_000)
        assert await failing is error
        assert await supervisor.failed() is error
        assert (lives, heard, log) == (1, ["views"], ["well began"])
        state = supervisor.state("views")
        assert (state.running, state.crashes) == (False, 1)


async def test_without_fatal_errors_nothing_ends_the_program() -> None:
    clock = FakeClock()

    async def crash() -> None:
        raise ExceptionGroup("two", [OSError(), ReaderLost("away")])

    async with Supervisor(clock) as supervisor:
        supervisor.add("ill", crash)
        supervisor.start("ill")
        failing = asyncio.create_task(supervisor.failed())
        await clock.advance(100)
        assert not failing.done()
        failing.cancel()


@pytest.mark.parametrize("error", [Fenced("not ours"), ExceptionGroup("tasks", [Fenced("not ours")])])
async def test_a_component_whose_time_is_over_ends_without_a_crash_and_may_begin_again(error: Exception) -> None:
    crashed: list[str] = []
    lives = 0

    async def run() -> None:
        nonlocal lives
        lives += 1
        raise error

    clock = FakeClock()
    async with Supervisor(clock, over=(Fenced,), on_crash=lambda name, _: crashed.append(name)) as supervisor:
        supervisor.add("positions", run)
        supervisor.start("positions")
        await clock.advance(60)
        assert (lives, crashed, supervisor.state("positions").running) == (1, [], False)
        supervisor.start("positions")
        await settle()
        assert lives == 2
