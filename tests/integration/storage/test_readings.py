"""On-chain readings at their real size: histories of years, restated as they were recorded, asked as of any moment."""

import asyncio
import gzip
import json
import sqlite3
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market_scraper.domain.onchain import DAY_MS, METRICS, Observation, Reading, Source, cbbi_metric
from market_scraper.domain.revisions import Revisions
from market_scraper.ports.stores import ReadingRow, Store
from market_scraper.storage import MemoryRepository, SqliteStore
from market_scraper.storage.sqlite import reading as sqlite_reading
from market_scraper.storage.sqlite.onchain import SqliteReadings
from market_scraper.storage.sqlite.reading import Readers
from market_scraper.storage.sqlite.schema import MIGRATIONS
from tests.contracts.store_rows import gathered, reading, reading_row

SOURCES = (Source.BITVIEW, Source.CBBI)
NAMES = ("mvrv", "mvrv_")
METRIC = cbbi_metric("Woobull")


@st.composite
def histories(draw: st.DrawFn) -> list[Reading]:
    """What sources said of a few days, each word known at or after the one before it; in any order, some twice."""
    said = []
    for source, metric, day in draw(
        st.sets(st.tuples(st.sampled_from(SOURCES), st.sampled_from(NAMES), st.integers(0, 4)), max_size=12)
    ):
        known_day = float(day)
        for revision in range(draw(st.integers(1, 3))):
            known_day += draw(st.sampled_from((0, 0.5, 1, 2, 4)))
            value = draw(st.integers(0, 9))
            said.append(reading(day, value, revision, known_day=known_day, source=source, metric=metric))
    again = draw(st.lists(st.sampled_from(said), max_size=5)) if said else []
    return draw(st.permutations([*said, *again]))


def known(said: list[Reading], source: Source, metric: str, known_by_ms: int) -> list[Reading]:
    """Each day's newest word that was known by then, oldest day first: the promise, spelled out."""
    newest: dict[int, Reading] = {}
    for each in said:
        if each.source is source and each.metric == metric and each.known_at_ms <= known_by_ms:
            kept = newest.get(each.t_ms)
            if kept is None or kept.revision < each.revision:
                newest[each.t_ms] = each
    return [newest[t_ms] for t_ms in sorted(newest)]


async def agrees(store: Store, said: list[Reading], *, day: float, limit: int) -> None:
    known_by_ms = int(day * DAY_MS)
    series = [(source, metric) for source in SOURCES for metric in NAMES]
    for each in series:
        expected = known(said, *each, known_by_ms)[::-1]
        history = await store.readings.history(*each, since_ms=0, limit=limit, known_by_ms=known_by_ms)
        assert history == expected[:limit]
        if history:
            oldest_ms = history[-1].t_ms
            assert expected[limit:] == await store.readings.history(
                *each, since_ms=0, limit=99, known_by_ms=known_by_ms, before=oldest_ms
            )
    recent = await store.readings.recent(days=limit, known_by_ms=known_by_ms)
    assert recent == [each for one in series for each in known(said, *one, known_by_ms)[-limit:]]


@settings(max_examples=40, deadline=None)
@given(said=histories(), day=st.floats(0, 18), limit=st.integers(1, 5), cut=st.integers(0, 40))
def test_both_stores_tell_alike_what_was_known_at_any_moment(
    said: list[Reading], day: float, limit: int, cut: int
) -> None:
    async def ask(store: Store) -> None:
        rows = [ReadingRow(reading=each) for each in said]
        await store.write(rows[:cut])
        await store.write(rows[cut:])
        await agrees(store, said, day=day, limit=limit)
        await agrees(store, said, day=1e5, limit=limit)
        for source in SOURCES:
            everything = [each for metric in NAMES for each in known(said, source, metric, 2**62)]
            values = await gathered(store.readings.values(source, since_ms=0))
            assert sorted(values, key=lambda each: (each.metric, each.t_ms)) == everything
            assert await store.readings.newest(source) == {each.metric: each.t_ms for each in everything}

    async def ask_both() -> None:
        with tempfile.TemporaryDirectory() as folder:
            async with SqliteStore(Path(folder) / "store.db") as store:
                await ask(store)
        await ask(MemoryRepository())

    asyncio.run(ask_both())


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    opened = MemoryRepository() if request.param == "memory" else SqliteStore(tmp_path / "store.db")
    async with opened as store:
        yield store


def woobull(path: Path) -> list[Observation]:
    with gzip.open(path, "rt") as file:
        told = json.load(file)["Woobull"]
    return [
        Observation(metric=METRIC, t_ms=int(second) * 1000, value=value)
        for second, value in told.items()
        if value is not None
    ]


async def test_recorded_restatements_are_revisions_and_as_of_before_them_the_old_values_stand(
    store: Store, recordings: Path
) -> None:
    """On 2026-08-15 at 04:27 Woobull was restated for 5,431 past days (SOURCES.md); of one of them it was withdrawn."""
    old = woobull(recordings / "cbbi" / "latest_20260815T024942Z.json.gz")
    new = woobull(recordings / "cbbi" / "latest_20260815T042734Z.json.gz")
    first_ms, second_ms = 1_786_762_182_000, 1_786_768_054_000  # 02:49:42 and 04:27:34
    revisions = Revisions(Source.CBBI)
    before, after = ({each.t_ms: each.value for each in said} for said in (old, new))
    first, second = revisions.take(old, first_ms), revisions.take(new, second_ms)
    second += revisions.take_back([(METRIC, t_ms) for t_ms in before.keys() - after.keys()], second_ms)
    for said in (first, second):
        await store.write([ReadingRow(reading=each) for each in said])

    async def values(known_by_ms: int | None) -> dict[int, float]:
        found = await store.readings.history(Source.CBBI, METRIC, since_ms=0, limit=9_999, known_by_ms=known_by_ms)
        return {each.t_ms: each.value for each in found if not each.withdrawn}

    restated = [each.t_ms for each in second if each.revision == 1]
    assert (len(restated), sum(each.withdrawn for each in second)) == (5_431, 1)
    assert await values(second_ms - 1) == before
    assert await values(None) == after
    assert [each.revision for each in await store.readings.revisions(Source.CBBI, METRIC, restated[0])] == [0, 1]


async def test_56_000_readings_of_one_write_are_kept_and_leave_the_loop_free(tmp_path: Path) -> None:
    names = [name for name in METRICS if name.startswith("cbbi")]
    rows = [reading_row(day, day / 7, source=Source.CBBI, metric=name) for name in names for day in range(5_600)]
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0.001)
            turns += 1

    async with SqliteStore(tmp_path / "store.db") as store:
        turning = asyncio.create_task(turn())
        await store.write(rows)
        wrote = turns
        found = 0
        async for part in store.readings.values(Source.CBBI, since_ms=0):
            found += len(part)
        turning.cancel()
    assert found == len(rows) == 56_000
    assert wrote > 10
    assert turns - wrote > 10


async def test_recent_does_not_read_the_whole_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_reading, "_THREADS", 1)  # so that all is asked over the connection that counts
    path, per_series = tmp_path / "store.db", 2_000
    series = [(source, f"metric_{number}") for source in SOURCES for number in range(8)]
    async with SqliteStore(path) as store:
        for source, metric in series:
            await store.write([reading_row(day, 1.0, source=source, metric=metric) for day in range(per_series)])
    readers = Readers(path, busy_s=1.0)
    steps = 0

    def step() -> int:  # called after every 10 of SQLite's own steps
        nonlocal steps
        steps += 1
        return 0

    try:
        await readers.run(lambda connection: connection.set_progress_handler(step, 10))
        asked = SqliteReadings(readers)
        assert len(await asked.recent(days=3)) == 3 * len(series)
        assert len(await asked.recent(days=3, known_by_ms=1_000 * DAY_MS)) == 3 * len(series)
        assert len(await asked.newest(Source.CBBI)) == 8
    finally:
        await asyncio.to_thread(readers.close)
    assert 10 < steps < per_series  # reading every row once would take more than 10 steps a row: 32,000 calls


async def test_a_file_from_before_on_chain_readings_gets_their_table(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with SqliteStore(path):
        pass
    connection = sqlite3.connect(path)
    connection.execute("DROP TABLE onchain_readings")
    connection.execute("PRAGMA user_version = 3")
    connection.commit()
    connection.close()
    for _ in range(2):
        async with SqliteStore(path) as store:
            await store.write([reading_row(1, 1.0)])
            assert await store.readings.recent(days=1) == [reading(1, 1.0)]
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
    connection.close()


async def test_a_later_write_of_a_provisional_day_is_found_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    moving, final = reading(3, 1.0, provisional=True), reading(3, 1.0, 1)
    async with SqliteStore(path) as store:
        await store.write([ReadingRow(reading=moving)])
    async with SqliteStore(path) as store:
        await store.write([ReadingRow(reading=final)])
        assert await store.readings.recent(days=1) == [final]
        assert await store.readings.recent(days=1, known_by_ms=moving.known_at_ms) == [moving]
