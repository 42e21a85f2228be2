"""The venue as a program: it opens, it says when it is ready, it stops, and it does not die in silence."""

import asyncio
from dataclasses import replace

import httpx2
import pytest

from market_scraper.runtime.clock import ScaledClock
from market_scraper.simulator.server import PaperVenue, run
from tests.integration.simulator.conftest import SMALL, Start, info


async def test_a_taken_port_is_an_error(start: Start) -> None:
    venue = await start()
    with pytest.raises(OSError, match="in use"):
        await PaperVenue(SMALL, ScaledClock(), port=venue.port).__aenter__()


async def test_an_impossible_world_is_an_error_and_frees_the_port() -> None:
    with pytest.raises(ValueError, match="NOPE"):
        await PaperVenue(replace(SMALL, symbols=("NOPE",)), ScaledClock()).__aenter__()


async def test_run_serves_until_it_is_cancelled() -> None:
    ready: asyncio.Future[PaperVenue] = asyncio.get_running_loop().create_future()
    running = asyncio.create_task(run(SMALL, ScaledClock(), on_ready=ready.set_result))
    venue = await asyncio.wait_for(ready, 5)
    assert (await info(venue, type="allMids")).status_code == 200
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    with pytest.raises(httpx2.ConnectError):
        await info(venue, type="allMids")


async def test_what_breaks_the_feed_is_raised() -> None:
    class Broken(ScaledClock):
        """A clock that stops working."""

        async def sleep(self, seconds: float) -> None:
            raise RuntimeError("no more time")

    with pytest.raises(RuntimeError, match="no more time"):
        async with PaperVenue(SMALL, Broken()) as venue:
            await venue.wait()


async def test_the_venues_time_runs_at_its_speed(start: Start) -> None:
    venue = await start(replace(SMALL, speed=50.0), speed=50.0)
    before_ms = venue.world.now_ms
    await asyncio.sleep(0.3)
    venue.venue.step()
    assert 10_000 < venue.world.now_ms - before_ms < 60_000
