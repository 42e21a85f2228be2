"""Looks at an API all the while, whatever is killed meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2

from tests.proof.course import COIN
from tests.proof.observer import Observer, is_exact

LOOK_S = 2.0  # venue seconds
AWAY = 503  # an API whose store is away, or that has heard of nothing yet


@asynccontextmanager
async def watching(*observers: Observer) -> AsyncIterator[None]:
    """While in the block each looks again and again; who does not answer is asked again. Any other error is raised."""

    async def watch(observer: Observer) -> None:
        while True:
            await glance(observer)
            await pause(observer, LOOK_S)

    tasks = [asyncio.create_task(watch(observer), name="watching") for observer in observers]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    for error in results:
        if error is not None and not isinstance(error, asyncio.CancelledError):
            raise error


async def glance(observer: Observer) -> float | None:
    """One look: the smaller of the shares of holders and of |size| that are exact; None when nobody answered."""
    try:
        look = await observer.look(COIN)
    except httpx2.TransportError:
        return None
    except httpx2.HTTPStatusError as error:
        if error.response.status_code != AWAY:
            raise
        return None
    return min(look.share(is_exact)) if look.newest_true else 0.0


async def pause(observer: Observer, venue_s: float) -> None:
    """Let so many venue seconds pass."""
    await observer.until(observer.now_ms() + venue_s * 1000)
