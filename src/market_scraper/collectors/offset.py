"""How far the venue's clock is from ours, as the times inside its frames show."""

import math

WINDOW_S = 300.0


class ClockOffset:
    """The venue's clock minus ours, in milliseconds, less the shortest way that a frame took to us.

    A frame's time minus ours at receipt is the offset less the delay; the greatest of the last minutes is nearest.
    """

    def __init__(self) -> None:
        self._best = -math.inf
        self._before = -math.inf
        self._turned_s = 0.0

    def note(self, frame_ms: int, now_ms: int, now_s: float) -> None:
        """Take one frame's time, our clock's and our monotonic seconds at receipt."""
        if now_s - self._turned_s > WINDOW_S:
            self._turned_s, self._before, self._best = now_s, self._best, -math.inf
        self._best = max(self._best, frame_ms - now_ms)

    @property
    def ms(self) -> int:
        """The offset; 0 before the first frame."""
        best = max(self._best, self._before)
        return 0 if best == -math.inf else int(best)
