"""A process that writes to a store until it is killed, and says what was acknowledged: `PATH NAME [COUNT]`."""

import asyncio
import sys
from pathlib import Path

from market_scraper.ports.stores import Row, SettingRow
from market_scraper.storage import SqliteStore
from tests.contracts.store_rows import candle_row, state

ROWS = 20


async def main(path: Path, name: str, count: int) -> None:
    async with SqliteStore(path) as store:
        for number in range(count):
            rows: list[Row] = [SettingRow(key=f"{name}.{number}.{row}", value="x" * 200) for row in range(ROWS)]
            await store.write([*rows, state(1, number), candle_row(number * 3_600_000)])
            print(number, flush=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
