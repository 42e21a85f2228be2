"""The leaderboard: one download an hour, published in slices."""

import asyncio

from market_scraper.domain.errors import InvalidInput, SourceError
from market_scraper.domain.events import LeaderboardCaptured
from market_scraper.domain.traders import LeaderboardRow
from market_scraper.ports.bus import Bus
from market_scraper.ports.clock import Clock
from market_scraper.ports.reporting import Reporter
from market_scraper.ports.sources import VenueHttp

ROWS_A_PART = 1_000
RETRY_S, RETRY_MOST_S = 10.0, 600.0


class LeaderboardCollector:
    """Pulls the leaderboard when told to (`refresh`), and after a failure until it works."""

    def __init__(self, *, http: VenueHttp, bus: Bus, clock: Clock, reporter: Reporter) -> None:
        self._http = http
        self._bus = bus
        self._clock = clock
        self._reporter = reporter
        self._wanted = asyncio.Event()

    def refresh(self) -> None:
        """Ask for a pull; a pull under way serves. The scheduler's `leaderboard_refresh` calls this."""
        self._wanted.set()

    async def run(self) -> None:
        """Pull once at the start, then whenever wanted, until cancelled."""
        self._wanted.set()
        delay_s = RETRY_S
        while True:
            await self._wanted.wait()
            try:
                await self._pull()
            except SourceError as error:
                self._reporter.failed(str(error), told=True)
                await self._clock.sleep(max(delay_s, error.retry_after_s or 0.0))
                delay_s = min(2 * delay_s, RETRY_MOST_S)
            except InvalidInput as error:
                self._reporter.failed(f"unreadable leaderboard: {error}")
                await self._clock.sleep(RETRY_MOST_S)
            else:
                delay_s = RETRY_S
                self._wanted.clear()

    async def _pull(self) -> None:
        captured_at_ms = self._clock.now_ms()
        rows: list[LeaderboardRow] = []
        async for some in self._http.leaderboard():
            rows.extend(some)
        if not rows:
            raise SourceError("leaderboard", "no readable row in it", retry_after_s=RETRY_S)
        parts = [tuple(rows[i : i + ROWS_A_PART]) for i in range(0, len(rows), ROWS_A_PART)]
        total = len(rows)
        rows.clear()
        for number, part in enumerate(parts):
            await self._bus.publish(
                [
                    LeaderboardCaptured(
                        known_at_ms=self._clock.now_ms(),
                        captured_at_ms=captured_at_ms,
                        part=number,
                        parts=len(parts),
                        rows=part,
                    )
                ]
            )
            await self._clock.sleep(0)
        self._reporter.ok({"rows": total, "captured_at_ms": captured_at_ms})
