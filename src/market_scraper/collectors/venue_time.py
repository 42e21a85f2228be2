"""How late it is at the venue, as far as its bars show: what no wrong clock of ours can deceive."""

import math

SANE_MS = 86_400_000
"""A bar that begins a day after our clock is a mistake, whosever."""


class VenueTime:
    """A lower bound of the venue's time, in milliseconds.

    Fed with 1m bars alone: a longer one says less. A bar exists from its first trade on, so the venue is past its open
    time when we see it; from then on the bound grows with our monotonic seconds. Only a bound lets us say that a bar
    has closed: our own clock may be ahead.
    """

    def __init__(self) -> None:
        self._ahead_ms = -math.inf  # the bound less our monotonic milliseconds

    def note(self, open_ms: int, now_ms: int, now_s: float) -> None:
        """Take a bar's open time, with our clock and monotonic seconds at receipt."""
        if open_ms <= now_ms + SANE_MS:
            self._ahead_ms = max(self._ahead_ms, open_ms - now_s * 1000)

    def at_least_ms(self, now_s: float) -> int | None:
        """What the venue's clock shows at least; None before the first bar."""
        return None if self._ahead_ms == -math.inf else int(self._ahead_ms + now_s * 1000)
