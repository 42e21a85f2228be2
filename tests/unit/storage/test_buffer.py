"""The buffer: rows wait together, survive a store that is away, and one bad row harms nobody else."""

import asyncio
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from market_scraper.domain.errors import StoreError
from market_scraper.ports.stores import PositionStateRow, Row, RowSink, SettingRow, TapeMarkRow
from market_scraper.storage import Buffer
from tests.contracts.store_rows import fact, state
from tests.facts import mark
from tests.fakes import FakeClock, FakeStore, settle


def setting(number: int) -> SettingRow:
    return SettingRow(key=f"k{number}", value=str(number))


class Told:
    """Notes which puts were told, in order."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def by(self, name: str) -> Callable[[], None]:
        return lambda: self.names.append(name)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store() -> FakeStore:
    return FakeStore()


@pytest.fixture
def told() -> Told:
    return Told()


async def test_rows_wait_for_the_interval_since_the_oldest(store: FakeStore, clock: FakeClock, told: Told) -> None:
    async with Buffer(store, clock, flush_interval_s=50.0, max_size=100) as buffer:
        sink: RowSink = buffer
        await sink.put([setting(1)], told.by("a"))
        await clock.advance(30.0)
        await sink.put([setting(2)], told.by("b"))
        await clock.advance(19.9)
        assert store.writes == []
        await clock.advance(0.1)
        assert store.writes == [[setting(1), setting(2)]]
        assert told.names == ["a", "b"]
        await buffer.put([setting(3)], told.by("c"))  # the interval begins anew
        await clock.advance(49.9)
        assert len(store.writes) == 1
        await clock.advance(0.1)
        assert store.writes[1:] == [[setting(3)]]


async def test_enough_rows_are_stored_at_once(store: FakeStore, clock: FakeClock, told: Told) -> None:
    async with Buffer(store, clock, max_size=3) as buffer:
        await buffer.put([setting(1), setting(2)], told.by("a"))
        await settle()
        assert store.writes == []
        await buffer.put([setting(3)], told.by("b"))
        await settle()
        assert store.writes == [[setting(1), setting(2), setting(3)]]
        assert told.names == ["a", "b"]


async def test_who_is_in_a_hurry_does_not_wait(store: FakeStore, clock: FakeClock, told: Told) -> None:
    async with Buffer(store, clock) as buffer:
        buffer.hurry()  # nothing waits: the next row is not hurried
        await buffer.put([setting(1)], told.by("a"))
        await settle()
        assert store.writes == []
        buffer.hurry()
        await settle()
        assert told.names == ["a"]


async def test_leaving_stores_what_waits(store: FakeStore, clock: FakeClock, told: Told) -> None:
    async with Buffer(store, clock) as buffer:
        await buffer.put([setting(1)], told.by("a"))
        await buffer.put([], told.by("nothing"))
    assert store.writes == [[setting(1)]]
    assert told.names == ["a", "nothing"]
    with pytest.raises(StoreError):
        await buffer.put([setting(2)], told.by("late"))


async def test_waiting_states_and_marks_merge_and_all_are_told(store: FakeStore, clock: FakeClock, told: Told) -> None:
    early, late = mark(10), mark(20)
    async with Buffer(store, clock) as buffer:
        await buffer.put([state(1, 1), fact(1, 1, 1, 1), TapeMarkRow(mark=early)], told.by("a"))
        await buffer.put([state(1, 3), state(2, 9)], told.by("b"))
        await buffer.put([state(1, 2), fact(1, 2, 2, 2), TapeMarkRow(mark=late)], told.by("c"))
        await buffer.put([TapeMarkRow(mark=early)], told.by("d"))
        assert buffer.stats()["waiting"] == 5
    (rows,) = store.writes
    assert [row.position.version for row in rows if isinstance(row, PositionStateRow)] == [9, 3]
    assert [row.mark for row in rows if isinstance(row, TapeMarkRow)] == [late]
    assert len([row for row in rows if row in (fact(1, 1, 1, 1), fact(1, 2, 2, 2))]) == 2
    assert told.names == ["a", "b", "c", "d"]
    assert buffer.stats() == {
        "put": 9,
        "merged": 4,
        "written": 5,
        "flushes": 1,
        "failures": 0,
        "parked": 0,
        "lost": 0,
        "waiting": 0,
    }


async def test_a_mark_is_stored_after_every_fact(store: FakeStore, clock: FakeClock, told: Told) -> None:
    async with Buffer(store, clock) as buffer:
        await buffer.put([state(1, 1), TapeMarkRow(mark=mark(10))], told.by("a"))
        await buffer.put([state(1, 2)], told.by("b"))  # takes the first one's place, behind the mark
    assert store.writes == [[state(1, 2), TapeMarkRow(mark=mark(10))]]


async def test_the_same_rows_are_tried_until_the_store_is_back(store: FakeStore, clock: FakeClock, told: Told) -> None:
    store.away = True
    with capture_logs() as logs:
        async with Buffer(store, clock, max_size=2) as buffer:
            await buffer.put([setting(1), setting(2)], told.by("a"))
            await clock.advance(60.0)
            await buffer.put([setting(3)], told.by("b"))
            assert 5 < store.attempts < 15  # tried again and again, not in a hurry
            assert told.names == []
            store.away = False
            await clock.advance(15.0)
            assert store.writes == [[setting(1), setting(2)]]
            assert told.names == ["a"]
            assert buffer.stats()["failures"] == store.attempts - 1
    assert told.names == ["a", "b"]
    assert [line["event"] for line in logs] == ["store_away", "store_back"]


async def test_a_full_buffer_makes_putters_wait(store: FakeStore, clock: FakeClock, told: Told) -> None:
    store.away = True
    putting: list[int] = []
    async with Buffer(store, clock, max_size=2, capacity=4) as buffer:

        async def put_many() -> None:
            for number in range(12):
                await buffer.put([setting(number)], told.by(str(number)))
                putting.append(number)

        task = asyncio.create_task(put_many())
        await clock.advance(100.0)
        assert len(putting) <= 2 * 4  # one batch under way, one waiting
        assert not task.done()
        store.away = False
        await clock.advance(15.0)
        await task
    assert told.names == [str(number) for number in range(12)]
    assert [row for rows in store.writes for row in rows] == [setting(number) for number in range(12)]


async def test_many_puts_of_one_position_make_putters_wait_too(store: FakeStore, clock: FakeClock, told: Told) -> None:
    store.away = True
    async with Buffer(store, clock, max_size=2, capacity=4) as buffer:

        async def put_many() -> None:
            for version in range(30):
                await buffer.put([state(1, version)], told.by(str(version)))

        task = asyncio.create_task(put_many())
        await clock.advance(60.0)
        assert not task.done()
        store.away = False
        await clock.advance(60.0)
        await task
    assert len(told.names) == 30


async def test_a_bad_row_is_parked_alone(store: FakeStore, clock: FakeClock, told: Told) -> None:
    store.bad = {"k3", "k6"}
    async with Buffer(store, clock, max_size=8) as buffer:
        await buffer.put([setting(number) for number in range(8)], told.by("a"))
        await settle()
        assert told.names == ["a"]
        assert buffer.stats()["parked"] == 2
        assert buffer.stats()["written"] == 6
    kept = await store.settings.with_prefix("k")
    assert sorted(kept) == ["k0", "k1", "k2", "k4", "k5", "k7"]
    letters = store.dead_letters
    assert [letter.source for letter in letters] == ["buffer.SettingRow"] * 2
    assert "k3 cannot be stored" in letters[0].reason
    assert b"k3" in letters[0].body


async def test_text_that_no_store_takes_is_parked_in_words(store: FakeStore, clock: FakeClock, told: Told) -> None:
    store.bad = {"k\ud800"}
    async with Buffer(store, clock) as buffer:
        await buffer.put([SettingRow(key="k\ud800", value="")], told.by("a"))
    assert b"ud800" in store.dead_letters[0].body
    assert "\ud800" not in store.dead_letters[0].reason


async def test_an_outage_while_parking_parks_each_row_once(store: FakeStore, clock: FakeClock, told: Told) -> None:
    store.bad = {"k1"}
    real_write = store.write

    async def write(rows: list[Row]) -> None:
        await real_write(rows)
        if len(store.writes) == 2:  # the dead letter is in; the next write fails
            store.writes.append([])
            store.away = True

    store.write = write  # type: ignore[method-assign, assignment]
    async with Buffer(store, clock, max_size=3) as buffer:
        await buffer.put([setting(0), setting(1), setting(2)], told.by("a"))
        await settle()
        assert told.names == []
        store.away = False
        await clock.advance(1.0)
        assert told.names == ["a"]
    assert len(store.dead_letters) == 1
    assert await store.settings.get("k2") == "2"


async def test_at_the_end_a_store_that_stays_away_is_not_waited_for_for_ever(
    store: FakeStore, clock: FakeClock, told: Told
) -> None:
    store.away = True
    buffer = Buffer(store, clock, max_size=1, patience_s=3.0)
    with capture_logs() as logs:
        await buffer.__aenter__()
        await buffer.put([setting(1)], told.by("a"))
        await clock.advance(40.0)
        leaving = asyncio.create_task(buffer.__aexit__(None, None, None))
        await clock.advance(2.0)
        assert not leaving.done()
        await clock.advance(2.0)
        await leaving
    assert told.names == []
    assert buffer.stats()["lost"] == 1
    assert logs[-1]["event"] == "rows_lost"


async def test_at_the_end_all_that_waits_shares_one_patience(store: FakeStore, clock: FakeClock, told: Told) -> None:
    """Whoever stops us has one deadline, however many flushes are due."""
    store.away = True
    buffer = Buffer(store, clock, max_size=1, patience_s=3.0)
    await buffer.__aenter__()
    await buffer.put([setting(1)], told.by("a"))
    await clock.advance(1.0)  # the first flush is under way: the second row is another one's
    await buffer.put([setting(2)], told.by("b"))
    leaving = asyncio.create_task(buffer.__aexit__(None, None, None))
    await clock.advance(4.0)
    assert leaving.done()
    assert buffer.stats()["lost"] == 2


async def test_at_the_end_a_store_that_comes_back_gets_the_rows(store: FakeStore, clock: FakeClock, told: Told) -> None:
    store.away = True
    buffer = Buffer(store, clock, max_size=1)
    await buffer.__aenter__()
    await buffer.put([setting(1)], told.by("a"))
    await clock.advance(40.0)
    leaving = asyncio.create_task(buffer.__aexit__(None, None, None))
    await clock.advance(1.0)
    store.away = False
    await clock.advance(1.0)
    await leaving
    assert told.names == ["a"]
    assert await store.settings.get("k1") == "1"


async def test_an_error_of_the_teller_ends_the_owner(store: FakeStore, clock: FakeClock) -> None:
    def broken() -> None:
        raise RuntimeError("broken callback")

    async def run() -> None:
        async with Buffer(store, clock, max_size=1) as buffer:
            await buffer.put([setting(1)], broken)
            await clock.sleep(1000.0)

    with pytest.raises(ExceptionGroup):
        await run()
