"""Opening the store that the settings name."""

import asyncio
from pathlib import Path
from typing import Literal

import pytest

from market_scraper.domain.errors import StoreUnreachable
from market_scraper.ports.stores import Retention
from market_scraper.storage import open_store
from tests.contracts.store_rows import DAY_MS, HOUR_MS, signal_row
from tests.facts import BTC
from tests.fakes import FakeClock


class RoundClock(FakeClock):
    """Tells when a round is over: when its task sleeps again."""

    def __init__(self) -> None:
        super().__init__()
        self.rested = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self.rested.set()
        await super().sleep(seconds)


@pytest.mark.parametrize("backend", ["memory", "sqlite"])
async def test_what_is_too_old_goes_by_itself_at_once_and_hourly(
    backend: Literal["memory", "sqlite"], tmp_path: Path
) -> None:
    clock = RoundClock()
    now_ms = clock.now_ms()
    path = tmp_path / "folder" / "store.db"
    async with (
        asyncio.timeout(10.0),
        open_store(backend, path=path, retention=Retention(signals=1), clock=clock) as store,
    ):
        await clock.rested.wait()
        clock.rested.clear()
        almost_old = now_ms - DAY_MS + HOUR_MS // 2
        await store.write([signal_row(1, now_ms - 2 * DAY_MS), signal_row(2, almost_old), signal_row(3, now_ms)])
        assert len(await store.signals.history(BTC, since_ms=0, limit=9)) == 3
        await clock.advance(3_600.0)
        await clock.rested.wait()
        assert len(await store.signals.history(BTC, since_ms=0, limit=9)) == 1


async def test_a_file_that_cannot_be_used_is_told_at_the_door(tmp_path: Path) -> None:
    opening = open_store("sqlite", path=tmp_path, retention=Retention(), clock=FakeClock())
    with pytest.raises(StoreUnreachable, match=str(tmp_path)):
        await opening.__aenter__()
