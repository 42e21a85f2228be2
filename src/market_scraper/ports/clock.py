"""The program's only source of time."""

from contextlib import AbstractAsyncContextManager
from typing import Protocol


class Clock(Protocol):
    """Venue time. With `CLOCK__SPEED` it runs faster than real time, and everything measured with it too."""

    def now_ms(self) -> int:
        """Milliseconds since the epoch, by our clock. May jump (suspend, NTP)."""
        ...

    def monotonic(self) -> float:
        """Seconds that never fall, from an arbitrary start."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait `seconds` of venue time."""
        ...

    def timeout(self, seconds: float | None) -> AbstractAsyncContextManager[object]:
        """Raise TimeoutError in the block's task after `seconds` of venue time; None = never."""
        ...
