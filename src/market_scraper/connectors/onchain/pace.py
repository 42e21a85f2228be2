"""How often a host may be asked: a sliding window each, and a pause when it asks for one."""

import asyncio
from collections import deque
from dataclasses import dataclass

from market_scraper.ports.clock import Clock


@dataclass(frozen=True, slots=True)
class Pace:
    """At most `requests` in any `per_s` seconds of venue time."""

    requests: int
    per_s: float
    source: str  # who says so, and when


DEFAULT_PACE = Pace(9, 6.0, "as Coin Metrics: a host that we do not know (one's own node, the paper venue)")

PACES = {
    # 10 are allowed; one fewer, for requests do not arrive as evenly as they were sent.
    "community-api.coinmetrics.io": Pace(9, 6.0, "openapi.yaml of coinmetrics-api-client 2026.10: 10 in 6 s"),
    "api.blockchain.info": Pace(1, 10.0, "the text API of the same host asks for it; none is published for this one"),
    "api.alternative.me": Pace(6, 60.0, "60 a minute are usually quoted; we need one a day"),
    "colintalkscrypto.com": Pace(2, 60.0, "none published; a file of 1.5 MB behind a CDN, daily"),
    "bitview.space": Pace(2, 1.0, "README of brk, 2026-06: none; a cap on an answer's weight instead"),
    "raw.githubusercontent.com": Pace(2, 60.0, "60 an hour for strangers to its API; we need one a day"),
}
"""By host name. Politeness belongs to the host: sources that share one share its pace."""


class Paused(Exception):
    """The host asked not to be asked for a while."""

    def __init__(self, left_s: float) -> None:
        super().__init__(f"asked for a pause, {left_s:.0f} s are left of it")
        self.left_s = left_s


class Gate:
    """The way to one host: `enter` before each request, first come first served.

    The pace is everyone's. A pause is the source's whose request was answered with it: a paper venue or a mirror has
    several hosts behind one name, and of those only one may be in trouble.
    """

    def __init__(self, pace: Pace, clock: Clock) -> None:
        self._pace = pace
        self._clock = clock
        self._turn = asyncio.Lock()
        self._entered: deque[float] = deque(maxlen=pace.requests)  # monotonic s of the newest requests
        self._paused_until_s: dict[str, float] = {}  # by source

    async def enter(self, source: str) -> None:
        """Wait until the pace allows a request, and count it. Raises Paused while the host wants none of the source."""
        async with self._turn:
            while True:
                now_s = self._clock.monotonic()
                paused_s = self._paused_until_s.get(source, now_s) - now_s
                if paused_s > 0:
                    raise Paused(paused_s)
                wait_s = self._entered[0] + self._pace.per_s - now_s if self._is_full() else 0.0
                if wait_s <= 0:
                    self._entered.append(now_s)
                    return
                await self._clock.sleep(wait_s)

    def pause(self, source: str, seconds: float) -> None:
        """Keep a source out for `seconds` from now; a longer pause that runs already stays."""
        until_s = self._clock.monotonic() + seconds
        self._paused_until_s[source] = max(self._paused_until_s.get(source, until_s), until_s)

    def _is_full(self) -> bool:
        return len(self._entered) == self._pace.requests
