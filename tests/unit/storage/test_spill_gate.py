"""Who begins from the store waits until what was spilled is in it; everyone else reads on."""

from pathlib import Path

import pytest

from market_scraper.domain.errors import StoreError
from market_scraper.ports.stores import TapeMarkRow
from market_scraper.storage.spill import Spill
from market_scraper.storage.spill_folder import SpillFolder
from market_scraper.storage.spill_gate import GatedStore
from tests.contracts.store_rows import candle_row, fact, gathered, state
from tests.facts import BTC, address, mark
from tests.fakes import FakeStore


async def test_states_and_marks_are_not_given_while_rows_of_them_are_elsewhere(tmp_path: Path) -> None:
    folder, inner = SpillFolder(tmp_path / "store.spill"), FakeStore()
    store = GatedStore(inner, folder)
    await store.write([state(1, 1), fact(1, 1, 1, 1), TapeMarkRow(mark=mark(1)), candle_row(0)])
    with Spill(folder, max_bytes=1 << 20) as spill:
        spill.append([state(1, 2)], 0)
        with pytest.raises(StoreError, match="spilled"):
            await store.positions.marks()
        with pytest.raises(StoreError, match="spilled"):
            await gathered(store.positions.states(BTC))
        assert len(await store.positions.history(address(1), BTC, since_ms=0, limit=9)) == 1  # as far as it goes
        await store.check()
    with pytest.raises(StoreError):  # its worker is gone, and nobody has stored it yet
        await store.positions.marks()
    with Spill(folder, max_bytes=1 << 20) as spill:
        spill.adopt(folder.take())
        chunk = spill.read(10, 0)
        assert chunk is not None
        await store.write(chunk.rows)
        spill.done(chunk)
        assert (await store.positions.marks())[BTC].watermark_ms == 1
        ((position,),) = [list(part) async for part in store.positions.states(BTC)]
        assert position.version == 2
