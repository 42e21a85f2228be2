"""A listener on a venue socket that remembers what it heard and lets a test wait for more."""

import asyncio
from collections.abc import Callable

from market_scraper.ports.sources import Heard

PATIENCE_S = 20.0
"""Real seconds: far more than any of these tests needs, so that a busy machine does not fail one."""


class Ears:
    """Pass it as `on_heard`."""

    def __init__(self) -> None:
        self.heard: list[Heard] = []
        self._more = asyncio.Event()

    def __call__(self, heard: Heard) -> None:
        self.heard.append(heard)
        self._more.set()

    def all(self, kind: type) -> list[Heard]:
        """What was heard of one kind, in order."""
        return [heard for heard in self.heard if isinstance(heard, kind)]

    async def of(self, kind: type, count: int = 1) -> list[Heard]:
        """Wait until `count` of one kind were heard, and give them."""
        await self.until(lambda: len(self.all(kind)) >= count)
        return self.all(kind)

    async def until(self, enough: Callable[[], bool]) -> None:
        """Wait until something that is asked again after every frame is true."""
        async with asyncio.timeout(PATIENCE_S):
            while not enough():
                self._more.clear()
                await self._more.wait()
