"""A process that stores through a buffer until it is killed, and says what was accepted: `DATABASE FIRST`."""

import asyncio
import sys
from functools import partial
from pathlib import Path

import structlog

from market_scraper.ports.stores import SettingRow, TapeMarkRow
from market_scraper.runtime.clock import ScaledClock
from market_scraper.storage import Buffer, SqliteStore
from market_scraper.storage.spill_folder import SpillFolder
from tests.contracts.store_rows import fact, state
from tests.facts import mark


async def main(path: Path, first: int) -> None:
    folder = SpillFolder(path.with_name(f"{path.name}.spill"))
    async with SqliteStore(path, busy_s=0.05) as store:
        print("open", flush=True)
        await asyncio.to_thread(sys.stdin.readline)  # the parent takes the store away now
        async with Buffer(store, ScaledClock(), max_size=10, spill_folder=folder, spill_max_bytes=1 << 22) as buffer:
            for number in range(first, first + 100_000):
                trader = number % 7 + 1
                await buffer.put(
                    [
                        state(trader, number, t_ms=number),
                        fact(trader, number, number, number),
                        SettingRow(key="newest", value=str(number)),
                        TapeMarkRow(mark=mark(number)),
                    ],
                    partial(print, number, flush=True),
                )
                await asyncio.sleep(0)


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
