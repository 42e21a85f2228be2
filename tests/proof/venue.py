"""`python -m tests.proof.venue OPTIONS`: the paper venue with everything that may be chosen about it, as JSON.

`simulate` has flags for what users choose; a proof also chooses the pace and the coins. It says the same ready line.
"""

import asyncio
import json
import signal
import sys

import msgspec

from market_scraper import logs
from market_scraper.config import load
from market_scraper.runtime.clock import ScaledClock
from market_scraper.simulator.options import VenueOptions
from market_scraper.simulator.server import PaperVenue


async def serve(options: VenueOptions) -> None:
    """Serve until SIGTERM."""
    clock = ScaledClock(origin_s=ScaledClock().now_ms() / 1000, speed=options.speed)
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    async with PaperVenue(options, clock) as venue:
        print(json.dumps({"url": venue.url, "origin": clock.origin_s, "speed": clock.speed}), flush=True)
        await stopped.wait()


def main() -> None:
    """Read the options and serve."""
    logs.configure(load({"logging.format": "json"}).logging)
    asyncio.run(serve(msgspec.json.decode(sys.argv[1], type=VenueOptions)))


if __name__ == "__main__":
    main()
