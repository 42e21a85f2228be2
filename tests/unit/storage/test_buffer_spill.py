"""The buffer while the store is away: rows go to disk, come back in order, and nothing accepted is lost."""

import asyncio
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from market_scraper.domain.errors import StoreUnreachable
from market_scraper.domain.positions import Position, TapeMark
from market_scraper.ports.stores import PositionRow, Row, SettingRow, TapeMarkRow
from market_scraper.storage import Buffer, MemoryRepository
from market_scraper.storage.spill import Spill
from market_scraper.storage.spill_folder import SpillFolder
from market_scraper.storage.spill_records import record_of
from market_scraper.storage.spill_recovery import replay_left, replay_orphans
from tests.contracts.store_rows import fact, gathered, state
from tests.facts import BTC, address, mark
from tests.fakes import FakeClock, FakeStore

T = TypeVar("T")


async def at_once(work: Callable[[], T]) -> T:
    """File work without a thread: a clock that stands still does not wait for threads."""
    return work()


def setting(number: int) -> SettingRow:
    return SettingRow(key=f"k{number}", value=str(number))


def spilling(store: FakeStore, clock: FakeClock, folder: SpillFolder, *, spill_max_bytes: int = 1 << 30) -> Buffer:
    return Buffer(
        store,
        clock,
        max_size=2,
        capacity=8,
        spill_folder=folder,
        spill_max_bytes=spill_max_bytes,
        in_thread=at_once,
    )


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store() -> FakeStore:
    return FakeStore()


@pytest.fixture
def folder(tmp_path: Path) -> SpillFolder:
    return SpillFolder(tmp_path / "store.spill")


def written(store: FakeStore) -> list[Row]:
    return [row for rows in store.writes for row in rows]


async def test_rows_are_told_once_they_are_durable_and_come_in_order_when_the_store_is_back(
    store: FakeStore, clock: FakeClock, folder: SpillFolder
) -> None:
    told: list[int] = []
    store.away = True
    with capture_logs() as logs:
        async with spilling(store, clock, folder) as buffer:
            for number in range(100):
                await buffer.put([setting(number)], lambda number=number: told.append(number))  # type: ignore[misc]
                await clock.advance(1.0)
            await clock.advance(60.0)
            assert told == list(range(100))
            found = buffer.spill_state()
            assert found.rows == 100
            assert found.bytes == sum(path.stat().st_size for path in folder.path.glob("*/*.spill"))
            assert found.away_since_ms == 1_700_000_000_000 + 1_000
            assert buffer.stats()["waiting"] == 0
            store.away = False
            for number in range(100, 104):
                await buffer.put([setting(number)], lambda number=number: told.append(number))  # type: ignore[misc]
            await clock.advance(15.0)
            assert buffer.spill_state().rows == 0
            assert buffer.spill_state().away_since_ms is None
            await buffer.put([setting(104)], lambda: told.append(104))
    assert written(store) == [setting(number) for number in range(105)]
    assert told == list(range(105))
    assert [line["event"] for line in logs] == ["store_away", "store_back", "spill_emptied"]


async def test_ten_minutes_away_at_load_take_no_memory(store: FakeStore, clock: FakeClock, folder: SpillFolder) -> None:
    """85 prints a second, two facts each: in memory there are never more than some flushes."""
    told = 0
    most = 0

    def tell() -> None:
        nonlocal told
        told += 1

    store.away = True
    buffer = Buffer(store, clock, spill_folder=folder, in_thread=at_once)
    async with buffer:
        version = 0
        for second in range(600):
            rows: list[Row] = []
            for _ in range(170):
                version += 1
                rows.append(state(version % 2_000 + 1, version, t_ms=version))
            for at in range(0, 170, 17):
                await buffer.put(rows[at : at + 17], tell)
                most = max(most, buffer.stats()["waiting"])
            await buffer.put([TapeMarkRow(mark=mark(version))], tell)
            await clock.advance(1.0)
            assert buffer.spill_state().rows + buffer.stats()["waiting"] + buffer.stats()["merged"] >= 170 * second
        await clock.advance(60.0)
        assert told == 600 * 11
        assert most <= 300
        assert store.attempts < 60  # it is asked now and then, not with each flush
        store.away = False
        for _ in range(1_000):  # it takes turns of the loop, not time
            await clock.advance(0.1)
            if not buffer.spill_state().rows:
                break
        assert buffer.spill_state().rows == 0
    states = await gathered(store.positions.states(BTC))
    assert sorted(position.version for position in states) == list(range(version - 1_999, version + 1))
    assert max(map(len, store.writes)) < 2_000


async def test_on_the_way_out_with_the_store_away_rows_stay_for_the_next_start(
    store: FakeStore, clock: FakeClock, folder: SpillFolder
) -> None:
    told: list[str] = []
    store.away = True
    buffer = spilling(store, clock, folder)
    await buffer.__aenter__()
    await buffer.put([setting(1)], lambda: told.append("a"))
    await buffer.__aexit__(None, None, None)  # nobody waits for anything
    assert told == ["a"]
    assert buffer.stats()["lost"] == 0
    store.away = False
    assert await replay_left(folder, store, clock) == 1
    assert await store.settings.get("k1") == "1"
    assert list(folder.path.glob("*/*.spill")) == []


async def test_on_the_way_out_a_store_that_is_back_gets_what_is_spilled(
    store: FakeStore, clock: FakeClock, folder: SpillFolder
) -> None:
    store.away = True
    async with spilling(store, clock, folder) as buffer:
        for number in range(40):
            await buffer.put([setting(number)], lambda: None)
            await clock.advance(1.0)
        store.away = False
        await clock.advance(20.0)
        await buffer.put([setting(40)], lambda: None)
    assert written(store) == [setting(number) for number in range(41)]


async def test_at_the_limit_the_rest_waits_and_says_so_and_goes_on_by_itself(
    store: FakeStore, clock: FakeClock, folder: SpillFolder
) -> None:
    store.away = True
    told: list[int] = []
    async with spilling(store, clock, folder, spill_max_bytes=2_000) as buffer:

        async def put_many() -> None:
            for number in range(300):
                await buffer.put([setting(number)], lambda number=number: told.append(number))  # type: ignore[misc]

        task = asyncio.create_task(put_many())
        await clock.advance(100.0)
        assert not task.done()
        found = buffer.spill_state()
        assert found.limit_since_ms is not None
        assert found.bytes <= 2_000
        assert buffer.stats()["waiting"] <= 8
        assert told == list(range(found.rows))  # none that is not durable
        store.away = False
        await clock.advance(60.0)
        await task
        await clock.advance(60.0)
        assert told == list(range(300))
        assert buffer.spill_state().limit_since_ms is None
        assert buffer.spill_state().rows == 0
    assert written(store) == [setting(number) for number in range(300)]


async def test_at_the_limit_facts_of_one_trader_merge_and_the_tape_goes_on(
    store: FakeStore, clock: FakeClock, folder: SpillFolder
) -> None:
    store.away = True
    told = 0

    def tell() -> None:
        nonlocal told
        told += 1

    async with spilling(store, clock, folder, spill_max_bytes=50_000) as buffer:
        for version in range(1, 1_001):
            trader = version % 7 + 1
            rows: list[Row] = [fact(trader, version, version, version, lots=version), state(trader, version)]
            await buffer.put(rows, tell)
            await clock.advance(0.1)
        await clock.advance(60.0)
        assert told == 1_000
        assert buffer.spill_state().merged > 400
        assert buffer.spill_state().limit_since_ms is not None
        store.away = False
        await clock.advance(60.0)
    states = await gathered(store.positions.states(BTC))
    assert sorted(position.version for position in states) == list(range(994, 1_001))
    history = await store.positions.history(address(3), BTC, since_ms=0, limit=10_000)
    versions = [changed.after.version for changed in history]
    assert versions == sorted(versions, reverse=True)
    assert sum(1 + changed.merged for changed in history) == len(range(2, 1_001, 7))


class BadDisk(SpillFolder):
    """A folder that cannot be made while `is_full`."""

    is_full = True

    def take(self):  # type: ignore[no-untyped-def]
        if self.is_full:
            raise OSError(28, "No space left on device")
        return super().take()


async def test_a_full_disk_is_said_once_and_rows_wait_in_memory(
    store: FakeStore, clock: FakeClock, tmp_path: Path
) -> None:
    folder = BadDisk(tmp_path / "spill")
    store.away = True
    told: list[str] = []
    with capture_logs() as logs:
        async with spilling(store, clock, folder) as buffer:
            await buffer.put([setting(1), setting(2)], lambda: told.append("a"))
            await clock.advance(60.0)
            assert told == []
            assert buffer.spill_state().disk_error == "No space left on device"
            folder.is_full = False
            await clock.advance(15.0)
            assert told == ["a"]
            assert buffer.spill_state().disk_error is None
            folder.is_full = True
            store.away = False
            await clock.advance(15.0)
    assert written(store) == [setting(1), setting(2)]
    assert [line["event"] for line in logs].count("spill_failed") == 1


async def test_without_room_anywhere_rows_are_lost_only_at_the_end_and_told(
    store: FakeStore, clock: FakeClock, tmp_path: Path
) -> None:
    store.away = True
    told: list[str] = []
    buffer = spilling(store, clock, BadDisk(tmp_path / "spill"))
    await buffer.__aenter__()
    await buffer.put([setting(1)], lambda: told.append("a"))
    leaving = asyncio.create_task(buffer.__aexit__(None, None, None))
    await clock.advance(10.0)
    assert leaving.done()
    assert told == []
    assert buffer.stats()["lost"] == 1


async def test_a_bad_row_in_the_spill_is_parked_alone_and_once(
    store: FakeStore, clock: FakeClock, folder: SpillFolder
) -> None:
    store.away = True
    store.bad = {"k3"}
    async with spilling(store, clock, folder) as buffer:
        for number in range(6):
            await buffer.put([setting(number)], lambda: None)
            await clock.advance(1.0)
        await buffer.put([SettingRow(key="half\ud800", value=""), setting(6)], lambda: None)
        await clock.advance(20.0)
        store.away = False
        await clock.advance(20.0)
    assert [letter.source for letter in store.dead_letters] == ["buffer.SettingRow", "buffer.SettingRow"]
    assert sorted(await store.settings.with_prefix("k")) == ["k0", "k1", "k2", "k4", "k5", "k6"]


async def test_a_mark_waits_for_the_rows_of_another_worker(
    store: FakeStore, clock: FakeClock, folder: SpillFolder
) -> None:
    """The other one has facts that the mark speaks for: who starts from the store must not believe the mark."""
    with Spill(folder, max_bytes=1 << 20) as other:
        other.append([state(1, 5)], 0)
        async with spilling(store, clock, folder) as buffer:
            await buffer.put([state(2, 9), TapeMarkRow(mark=mark(9))], lambda: None)
            await clock.advance(60.0)
            assert len(await gathered(store.positions.states(BTC))) == 1
            assert await store.positions.marks() == {}
            other.close()  # it died: nobody else will store its rows
            await buffer.put([TapeMarkRow(mark=mark(10))], lambda: None)
    assert len(await gathered(store.positions.states(BTC))) == 2
    assert (await store.positions.marks())[BTC].watermark_ms == 10


async def test_at_start_what_all_dead_workers_left_is_stored_facts_first(
    store: FakeStore, clock: FakeClock, folder: SpillFolder
) -> None:
    with Spill(folder, max_bytes=1 << 20) as one, Spill(folder, max_bytes=1 << 20) as other:
        one.append([state(1, 1), TapeMarkRow(mark=mark(10))], 0)
        other.append([state(1, 2), state(2, 3)], 0)
    assert await replay_left(folder, store, clock) == 4
    assert [isinstance(row, TapeMarkRow) for row in written(store)] == [False, False, False, True]
    assert {p.version for p in await gathered(store.positions.states(BTC))} == {2, 3}
    assert await replay_left(folder, store, clock) == 0


async def test_at_start_a_live_worker_keeps_its_rows(store: FakeStore, clock: FakeClock, folder: SpillFolder) -> None:
    with Spill(folder, max_bytes=1 << 20) as one:
        one.append([state(1, 1)], 0)
        assert await replay_left(folder, store, clock) == 0
        assert one.rows == 1
    assert store.writes == []


async def test_at_start_a_store_that_stays_away_is_an_error_and_nothing_is_lost(
    store: FakeStore, clock: FakeClock, folder: SpillFolder
) -> None:
    with Spill(folder, max_bytes=1 << 20) as one:
        one.append([setting(1)], 0)
    store.away = True
    starting = asyncio.create_task(replay_left(folder, store, clock, patience_s=5.0))
    while not starting.done():
        await asyncio.sleep(0.01)
        await clock.advance(1.0)
    with pytest.raises(StoreUnreachable, match="spilled rows cannot be stored"):
        await starting
    store.away = False
    assert await replay_left(folder, store, clock) == 1


@dataclass
class World:
    """A buffer before a store that comes and goes, killed now and then, and what was put into it."""

    root: Path
    clock: FakeClock
    max_bytes: int
    store: FakeStore = field(default_factory=FakeStore)
    lives: int = 0
    version: int = 0
    open_puts: dict[int, list[Row]] = field(default_factory=dict)  # not told yet, by number: the bus has them still
    everything: list[list[Row]] = field(default_factory=list)

    @property
    def folder(self) -> SpillFolder:
        return SpillFolder(self.root / f"life-{self.lives}")

    def start(self) -> Buffer:
        return spilling(self.store, self.clock, self.folder, spill_max_bytes=self.max_bytes)

    def rows(self, shape: Sequence[int]) -> list[Row]:
        """Facts of a tape that goes on: versions and times rise; a mark speaks for all before it."""
        rows: list[Row] = []
        for trader in shape:
            self.version += 1
            if trader == 0:
                rows.append(TapeMarkRow(mark=mark(self.version)))
            elif trader == 9:
                rows.append(SettingRow(key="newest", value=str(self.version)))
            else:
                t_ms = self.version
                rows.append(state(trader, self.version, t_ms=t_ms, lots=t_ms))
                rows.append(fact(trader, t_ms, t_ms, self.version, lots=t_ms))
        return rows

    def put(self, buffer: Buffer, rows: list[Row]) -> asyncio.Task[None]:
        number = len(self.everything)
        self.everything.append(rows)
        return self._put(buffer, number, rows)

    def put_again(self, buffer: Buffer) -> list["asyncio.Task[None]"]:
        """What the bus delivers to the next one: all that was never acknowledged, in order."""
        return [self._put(buffer, number, rows) for number, rows in sorted(self.open_puts.items())]

    def _put(self, buffer: Buffer, number: int, rows: list[Row]) -> asyncio.Task[None]:
        def tell() -> None:
            self.open_puts.pop(number, None)

        self.open_puts[number] = rows
        return asyncio.create_task(buffer.put(rows, tell))

    def kill(self, tail: int) -> None:
        """What kill -9 leaves: committed writes, and the files as they are, perhaps with a record half written."""
        left, old = self.folder.path, self.store
        self.lives += 1
        if left.exists():
            shutil.copytree(left, self.folder.path)
            for path in sorted(self.folder.path.glob("*/*.spill"))[-1:]:
                torn = record_of([setting(0)] * 20, 0)
                with path.open("ab") as file:
                    file.write(torn[: tail % len(torn)])
        self.store = FakeStore()
        self.store.away = False
        self.committed = [list(rows) for rows in old.writes]
        old.away = True

    async def restart(self) -> None:
        """Start on what was left, with the store there."""
        for rows in self.committed:
            await self.store.write(rows)
        await replay_orphans(self.folder, self.store, self.clock.now_ms(), in_thread=at_once)


async def believable(store: MemoryRepository, everything: Sequence[Sequence[Row]]) -> bool:
    """Whether the store's mark speaks only for what is in it."""
    stored = (await store.positions.marks()).get(BTC)
    if stored is None:
        return True
    newest = {p.trader: p.version for p in await gathered(store.positions.states(BTC))}
    return all(
        newest.get(row.changed.after.trader, 0) >= row.changed.after.version
        for rows in everything
        for row in rows
        if isinstance(row, PositionRow) and row.changed.after.version <= stored.watermark_ms
    )


async def kept_in(store: MemoryRepository) -> tuple[dict[str, str], TapeMark | None, set[Position]]:
    states = set(await gathered(store.positions.states(BTC)))
    return await store.settings.with_prefix("newest"), (await store.positions.marks()).get(BTC), states


async def history_in(store: MemoryRepository, trader: int) -> list[tuple[int, int]]:
    found = await store.positions.history(address(trader), BTC, since_ms=0, limit=100_000)
    return [(changed.after.version, changed.merged) for changed in reversed(found)]


PUT = st.lists(st.sampled_from([0, 1, 2, 3, 4, 9]), min_size=1, max_size=6)
TURN = st.sampled_from(["away", "away", "back", "wait", "wait long", "stop"])
KILL = st.integers(0, 10_000)  # with so much of a record half written
OUTAGE = st.tuples(st.just("away"), PUT, st.just("wait"), PUT, st.just("wait"), PUT).map(list)
STEPS = st.lists(st.one_of(OUTAGE, st.one_of(PUT, TURN, KILL).map(lambda step: [step])), min_size=4, max_size=16).map(
    lambda parts: [step for part in parts for step in part]
)


@pytest.fixture(scope="module")
def quick_folder() -> Iterator[Path]:
    shared = Path("/dev/shm")  # hundreds of runs, each with its fsyncs
    with TemporaryDirectory(dir=shared if shared.is_dir() else None) as name:
        yield Path(name)


@pytest.mark.parametrize("max_bytes", [1 << 20, 3_000])
@settings(deadline=None, max_examples=60)
@given(steps=STEPS)
async def test_whatever_goes_away_and_dies_the_store_ends_as_one_that_never_went_away(
    quick_folder: Path, max_bytes: int, steps: list[list[int] | str | int]
) -> None:
    with TemporaryDirectory(dir=quick_folder) as name:
        world = World(Path(name), FakeClock(), max_bytes)
        buffer = world.start()
        old: list[Buffer] = []
        tasks: list[asyncio.Task[None]] = []
        await buffer.__aenter__()
        for step in steps:
            if isinstance(step, list):
                tasks.append(world.put(buffer, world.rows(step)))
                await world.clock.advance(0.01)
            elif step in ("away", "back"):
                world.store.away = step == "away"
            elif step == "wait":
                await world.clock.advance(1.0)
            elif step == "wait long":
                await world.clock.advance(120.0)
            else:
                if step == "stop":
                    ending = asyncio.create_task(buffer.__aexit__(None, None, None))
                    await world.clock.advance(5.0)
                    await ending
                else:
                    old.append(buffer)
                for task in tasks:
                    task.cancel()
                world.kill(step if isinstance(step, int) else 0)
                await world.restart()
                assert await believable(world.store, world.everything)
                buffer = world.start()
                await buffer.__aenter__()
                tasks = world.put_again(buffer)
                await world.clock.advance(0.01)
            assert await believable(world.store, world.everything)
        world.store.away = False
        await world.clock.advance(300.0)
        await asyncio.wait_for(asyncio.gather(*tasks), 10)
        await buffer.__aexit__(None, None, None)
        assert world.open_puts == {}
        assert buffer.stats()["lost"] == 0
        for killed in old:
            ending = asyncio.create_task(killed.__aexit__(None, None, None))
            await world.clock.advance(5.0)
            await ending

        steady = MemoryRepository()
        for rows in world.everything:
            await steady.write(rows)
        assert await kept_in(world.store) == await kept_in(steady)
        for trader in range(1, 5):
            versions = [version for version, _ in await history_in(steady, trader)]
            found = await history_in(world.store, trader)
            if max_bytes > 100_000:
                assert [version for version, _ in found] == versions
            else:  # facts may have merged: the newest is there, and none that never was
                assert [version for version, _ in found][-1:] == versions[-1:]
                assert {version for version, _ in found} <= set(versions)
