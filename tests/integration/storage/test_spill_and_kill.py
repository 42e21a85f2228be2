"""A real SQLite file that another program keeps locked, and a real process that is killed meanwhile."""

import asyncio
import random
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from market_scraper.runtime.clock import ScaledClock
from market_scraper.storage import Buffer, SqliteStore
from market_scraper.storage.spill_folder import SpillFolder
from market_scraper.storage.spill_recovery import replay_left
from tests.contracts.store_rows import fact, gathered, state
from tests.facts import BTC, address

ROOT = Path(__file__).resolve().parents[3]
TRADERS = range(1, 8)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Nobody else can write while this is entered."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


async def killed_after(path: Path, first: int, accepted: int) -> int:
    """Let a child store while the file is locked, kill it; gives the newest number that it was told of."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.integration.storage.spilling_child", str(path), str(first)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        cwd=ROOT,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        assert await asyncio.wait_for(child.stdout.readline(), 30) == b"open\n"
        with locked(path):
            child.stdin.write(b"go\n")
            await child.stdin.drain()
            newest = first - 1
            while newest < first + accepted:
                newest = int(await asyncio.wait_for(child.stdout.readline(), 30))
            child.kill()
            told = (await child.stdout.read()).decode().splitlines(keepends=True)
            await child.wait()
        return max([newest, *(int(line) for line in told if line.endswith("\n"))])
    finally:
        if child.returncode is None:
            child.kill()
        await child.wait()


async def test_what_was_accepted_while_the_store_was_away_survives_kill_9(tmp_path: Path) -> None:
    path, rng, first = tmp_path / "store.db", random.Random(5), 1
    folder = SpillFolder(path.with_name("store.db.spill"))
    for _ in range(4):
        newest = await killed_after(path, first, rng.randrange(20, 1_500))
        async with SqliteStore(path) as store:
            assert await replay_left(folder, store, ScaledClock()) > 0
            kept = int(await store.settings.get("newest") or 0)
            assert kept >= newest
            states = {p.trader: p.version for p in await gathered(store.positions.states(BTC))}
            assert (await store.positions.marks())[BTC].watermark_ms == kept
            for trader in TRADERS:
                mine = [number for number in range(1, kept + 1) if number % 7 + 1 == trader]
                history = await store.positions.history(address(trader), BTC, since_ms=0, limit=100_000)
                assert [changed.after.version for changed in reversed(history)] == mine
                assert states[address(trader)] == mine[-1]
        first = kept + 1
    assert list(folder.path.glob("*/*.spill")) == []


async def test_a_locked_file_is_spilled_around_and_refilled_by_itself(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    folder = SpillFolder(tmp_path / "store.db.spill")
    told = asyncio.Event()
    async with SqliteStore(path, busy_s=0.05) as store:
        async with Buffer(store, ScaledClock(), max_size=2, spill_folder=folder) as buffer:
            with locked(path):
                await buffer.put([state(1, 1), fact(1, 1, 1, 1)], lambda: None)
                await buffer.put([state(1, 2), fact(1, 2, 2, 2)], told.set)
                await asyncio.wait_for(told.wait(), 10)  # accepted, though nothing can be stored
                assert buffer.spill_state().rows >= 2
                trouble = buffer.spill_state().trouble()
                assert trouble is not None
                assert trouble.startswith("the store is away since 20")
            for _ in range(1_000):
                if buffer.spill_state().trouble() is None:
                    break
                await asyncio.sleep(0.01)
            assert buffer.spill_state().trouble() is None
            (position,) = await gathered(store.positions.states(BTC))
            assert position.version == 2
        assert len(await store.positions.history(address(1), BTC, since_ms=0, limit=10)) == 2
