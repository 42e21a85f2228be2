"""The only home of time: real, or scaled for a paper venue that runs faster.

Venue now = ORIGIN + (real now - ORIGIN) x SPEED, with ORIGIN in Unix seconds (`CLOCK__ORIGIN`, `CLOCK__SPEED`).
With speed 1 it is the real time.
"""

import asyncio
import time
from contextlib import AbstractAsyncContextManager


class ScaledClock:
    """Implements `ports.clock.Clock`."""

    def __init__(self, *, origin_s: float = 0.0, speed: float = 1.0) -> None:
        if not speed > 0:
            raise ValueError(f"speed must be above 0, was {speed}")
        self.origin_s = origin_s
        self.speed = speed

    def now_ms(self) -> int:
        """Venue milliseconds since the epoch."""
        real = time.time()
        if self.speed == 1.0:
            return int(real * 1000)
        return int((self.origin_s + (real - self.origin_s) * self.speed) * 1000)

    def monotonic(self) -> float:
        """Venue seconds that never fall."""
        return time.monotonic() * self.speed

    async def sleep(self, seconds: float) -> None:
        """Wait `seconds` of venue time; 0 and less lets others run once."""
        await asyncio.sleep(max(0.0, seconds) / self.speed)

    def timeout(self, seconds: float | None) -> AbstractAsyncContextManager[object]:
        """Raise TimeoutError after `seconds` of venue time; None = never."""
        return asyncio.timeout(None if seconds is None else seconds / self.speed)


async def real_sleep(seconds: float) -> None:
    """Wait real seconds: for what does not scale (see `runtime.timeouts`)."""
    await asyncio.sleep(seconds)


def real_timeout(seconds: float) -> AbstractAsyncContextManager[object]:
    """Raise TimeoutError after real seconds: for what does not scale (see `runtime.timeouts`)."""
    return asyncio.timeout(seconds)


def real_monotonic() -> float:
    """Real seconds that never fall."""
    return time.monotonic()
