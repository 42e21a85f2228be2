"""A paper venue on a loopback port, and clients that someone else wrote."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import httpx2
import pytest
import websockets

from market_scraper.runtime.clock import ScaledClock
from market_scraper.simulator.options import VenueOptions
from market_scraper.simulator.server import PaperVenue

SMALL = VenueOptions(traders=60, symbols=("BTC", "ETH"), history_days=2, warm_up_s=10)
"""A venue that is built at once."""

Start = Callable[..., Awaitable[PaperVenue]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Start a venue: `await start(options, speed=10)`."""
    async with AsyncExitStack() as stack:

        async def start(options: VenueOptions = SMALL, *, speed: float = 1.0) -> PaperVenue:
            clock = ScaledClock(origin_s=1_790_000_000.0, speed=speed)
            return await stack.enter_async_context(PaperVenue(options, clock))

        yield start


async def info(venue: PaperVenue, **payload: object) -> httpx2.Response:
    """POST /info."""
    async with httpx2.AsyncClient() as client:
        return await client.post(f"{venue.url}/info", json=payload)


async def control(venue: PaperVenue, *faults: dict[str, object]) -> None:
    """Ask for faults, `at_s` from now."""
    async with httpx2.AsyncClient() as client:
        answer = await client.post(f"{venue.url}/_control", json=list(faults))
    assert answer.status_code == 200, answer.text


async def subscribe(socket: websockets.ClientConnection, **subscription: object) -> None:
    """Send a subscribe."""
    await socket.send(json.dumps({"method": "subscribe", "subscription": subscription}))


async def frames(
    socket: websockets.ClientConnection, until: Callable[[Any], bool], within_s: float = 10.0
) -> list[Any]:
    """Read frames up to and including the first one for which `until` holds; the bare greeting is skipped."""
    heard: list[Any] = []
    async with asyncio.timeout(within_s):
        while True:
            text = await socket.recv()
            if text == "Websocket connection established.":
                continue
            heard.append(json.loads(text))
            if until(heard[-1]):
                return heard


def channel(name: str) -> Callable[[Any], bool]:
    """Whether a frame is of this channel."""
    return lambda frame: bool(frame["channel"] == name)
