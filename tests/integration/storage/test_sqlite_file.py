"""The SQLite file outlives processes, is shared by them, and says clearly when it cannot be used."""

import asyncio
import os
import random
import signal
import sqlite3
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from market_scraper.domain.errors import InvalidInput, StoreError, StoreUnreachable
from market_scraper.domain.traders import LeaderboardRow, Performance
from market_scraper.domain.values import Interval
from market_scraper.ports.stores import LeaderboardPart, SettingRow, SignalRow, TapeMarkRow
from market_scraper.storage import SqliteStore, documents
from market_scraper.storage.sqlite.schema import MIGRATIONS
from market_scraper.storage.sqlite.store import EXPIRE_REST_S, EXPIRE_ROWS
from tests.contracts.store_rows import board_row, candle_row, fact, gathered, part, state
from tests.contracts.store_rows import signal as signal_at
from tests.facts import BTC, address, mark
from tests.fakes import FakeClock
from tests.integration.storage.writing_child import ROWS

ROOT = Path(__file__).resolve().parents[3]


async def start_writer(path: Path, name: str, count: int) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.integration.storage.writing_child",
        str(path),
        name,
        str(count),
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def written(settings: dict[str, str]) -> Counter[int]:
    """Rows by number of the write."""
    return Counter(int(key.split(".")[1]) for key in settings)


async def test_a_reopened_store_continues(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "folder" / "store.db"
    async with SqliteStore(path) as store:
        await store.write([state(1, 5), candle_row(0), part(1, [board_row(1), board_row(2)]), fact(1, 5, 1, 1)])
    async with SqliteStore(path) as store:
        await store.write([state(1, 4), candle_row(3_600_000), part(2, [board_row(2, 7.0)])])
        (position,) = await gathered(store.positions.states(BTC))
        assert position.version == 5
        assert await store.candles.gaps(BTC, Interval.H1) == []
        assert await store.traders.latest_rows() == (2, [board_row(1), board_row(2, 7.0)])
        assert await store.positions.history(address(1), BTC, since_ms=0, limit=1) == [fact(1, 5, 1, 1).changed]


async def test_a_killed_process_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    writer = await start_writer(path, "child", 1_000_000)
    assert writer.stdout is not None
    async with asyncio.timeout(30):
        for _ in range(150):
            acknowledged = int(await writer.stdout.readline())
        os.kill(writer.pid, signal.SIGKILL)
        for line in (await writer.stdout.read()).splitlines():
            acknowledged = int(line)
        await writer.wait()
    async with SqliteStore(path) as store:
        counted = written(await store.settings.with_prefix("child."))
        assert set(range(acknowledged + 1)) <= set(counted)
        assert len(counted) <= acknowledged + 2  # the one that was under way may be there, whole
        assert set(counted.values()) == {ROWS}
        (position,) = await gathered(store.positions.states(BTC))
        assert position.version == max(counted)
        await store.write([SettingRow(key="after", value="1")])


async def test_two_processes_write_one_file(tmp_path: Path) -> None:
    path, count = tmp_path / "store.db", 100
    async with SqliteStore(path) as store, asyncio.timeout(60):
        others = [await start_writer(path, name, count) for name in ("a", "b")]
        for number in range(count):
            await store.write([SettingRow(key=f"ours.{number}.{row}", value="") for row in range(ROWS)])
            await store.settings.get("ours.0.0")
        for other in others:
            await other.communicate()
            assert other.returncode == 0
        for name in ("a.", "b.", "ours."):
            assert written(await store.settings.with_prefix(name)) == Counter(dict.fromkeys(range(count), ROWS))


async def test_two_stores_continue_one_chain_of_leaderboards(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with SqliteStore(path) as one, SqliteStore(path) as two:
        for pull in range(1, 30):
            await (one if pull % 3 else two).write([part(pull, [board_row(pull % 5, float(pull))])])
        latest = await one.traders.latest_rows()
        assert latest is not None
        assert latest == await two.traders.latest_rows()
        assert {row.trader: row.account_value for row in latest[1]} == {
            address(n): max(float(pull) for pull in range(1, 30) if pull % 5 == n) for n in range(5)
        }


async def test_an_undone_part_is_forgotten_though_somebody_else_takes_its_place(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with SqliteStore(path) as one, SqliteStore(path) as two:
        await one.write([part(1, [board_row(1, 1.0)])])
        with pytest.raises(InvalidInput):
            await one.write([part(2, [board_row(1, 2.0)]), candle_row(0, float("nan"))])
        await two.write([part(2, [board_row(1, 3.0)])])  # gets the very row id
        await one.write([part(3, [board_row(1, 2.0)])])
        assert await one.traders.latest_rows() == (3, [board_row(1, 2.0)])


async def test_another_process_that_keeps_the_lock_is_waited_for_and_then_told(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with SqliteStore(path, busy_s=0.05) as store:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        row = SettingRow(key="a", value="1")
        with pytest.raises(StoreError, match="locked"):
            await store.write([row])
        assert await store.settings.get("a") is None  # readers do not wait
        other.execute("COMMIT")
        other.close()
        await store.write([row])
        assert await store.settings.get("a") == "1"


async def test_a_closed_store_says_so(tmp_path: Path) -> None:
    async with SqliteStore(tmp_path / "store.db") as store:
        pass
    for asked in (store.write([SettingRow(key="a", value="1")]), store.check(), store.settings.get("a")):
        with pytest.raises(StoreError, match="closed"):
            await asked


async def test_a_write_under_way_is_finished_by_close(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with SqliteStore(path) as store:
        tasks = [asyncio.create_task(store.write([SettingRow(key=str(n), value="1")])) for n in range(50)]
        await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    async with SqliteStore(path) as store:
        assert len(await store.settings.with_prefix("")) == 50


async def test_a_start_that_is_cancelled_ends_the_thread_in_order(tmp_path: Path) -> None:
    crashes: list[threading.ExceptHookArgs] = []
    before = threading.excepthook
    threading.excepthook = crashes.append
    try:
        for _ in range(20):
            store = SqliteStore(tmp_path / "market.db")
            opening = asyncio.create_task(store.__aenter__())
            await asyncio.sleep(0)  # the thread is started
            opening.cancel()
            with pytest.raises(asyncio.CancelledError):
                await opening
            await store.close()  # joins the thread
    finally:
        threading.excepthook = before
    assert crashes == []


async def test_what_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    path.write_text("this is not a database, but somebody's notes " * 100)
    before = path.read_bytes()
    with pytest.raises(StoreUnreachable, match=r"notes\.db"):
        async with SqliteStore(path):
            pass
    assert path.read_bytes() == before


async def test_a_path_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "file" / "store.db"):
        with pytest.raises(StoreUnreachable, match=str(path)):
            async with SqliteStore(path):
                pass


async def test_a_file_of_a_newer_program_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    connection.close()
    with pytest.raises(StoreUnreachable, match="newer"):
        async with SqliteStore(path):
            pass


async def test_a_file_from_before_classes_is_brought_up_to_date_and_keeps_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with SqliteStore(path) as store:
        await store.write([SignalRow(signal=signal_at(1, 1_000)), TapeMarkRow(mark=mark(20, pace=0.5, spread=2.0))])
    connection = sqlite3.connect(path)
    for table, column in (
        ("trader_positions", "nets"),
        ("position_state", "nets"),
        ("signals", "out"),
        ("signals", "oth"),
        ("signals", "oth_s"),
        ("tape_marks", "pace"),
        ("tape_marks", "spread"),
    ):
        connection.execute(f'ALTER TABLE "{table}" DROP COLUMN "{column}"')
    connection.execute("PRAGMA user_version = 1")
    connection.commit()
    connection.close()

    async with SqliteStore(path) as store:
        await store.write([state(1, 1, net_share=0.5)])
        (position,) = await gathered(store.positions.states(BTC))
        old = await store.signals.latest(BTC)
        marks = await store.positions.marks()

    assert old is not None
    assert marks == {BTC: mark(20)}
    assert (old.left_out, old.others, old.others_share, position.net_share) == ({}, 0, 0.0, 0.5)


async def test_a_file_that_breaks_while_open_is_named(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with SqliteStore(path) as store:
        await store.write([SettingRow(key=f"{n:05d}", value="x" * 500) for n in range(2_000)])
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size // 2)
        file.write(b"\xff" * (size // 4))
    async with SqliteStore(path) as store:
        with pytest.raises(StoreUnreachable, match=r"store\.db"):
            await store.settings.with_prefix("")


async def test_a_block_that_cannot_be_read_is_told_and_nobody_elses_row_is_blamed(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with SqliteStore(path) as store:
        await store.write([part(1, [board_row(1)])])
    connection = sqlite3.connect(path)
    connection.execute("UPDATE leaderboard_history SET rows = x'00'")
    connection.commit()
    connection.close()
    async with SqliteStore(path) as store:
        with pytest.raises(StoreUnreachable, match=r"store\.db"):
            await store.traders.latest_rows()
        with pytest.raises(StoreUnreachable, match=r"store\.db"):
            await store.write([part(2, [board_row(1)])])
        await store.write([SettingRow(key="a", value="1")])


async def test_tables_have_the_documented_columns(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with SqliteStore(path) as store:
        await store.write([candle_row(0)])
    connection = sqlite3.connect(path)
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert tables == {*(shape.name for shape in documents.COLLECTIONS), "btc_candles_1h"}
    for shape in documents.COLLECTIONS:
        columns = [row[1] for row in connection.execute(f'PRAGMA table_info("{shape.name}")')]
        assert columns == list(shape.names)
    assert connection.execute("SELECT t, o, h, l, c, v FROM btc_candles_1h").fetchone() == (
        0, 97_000.0, 97_100.0, 96_900.0, 97_050.0, 15.5,
    )  # fmt: skip
    connection.close()


def board(chance: random.Random, trader: int) -> LeaderboardRow:
    """A row with figures as long as the venue's: 6 decimals of USD, 10 of a rate."""
    value = round(10 ** chance.uniform(0.5, 6.5), 6)
    active = chance.random() < 0.5
    windows = []
    for window in range(4):
        pnl = round(chance.gauss(0, 0.1) * value, 6) if active or window > 1 else 0.0
        volume = round(10 ** chance.uniform(3, 8), 2) if window > 1 or (active and chance.random() < 0.6) else 0.0
        windows.append(Performance(pnl, round(pnl / value, 10), volume))
    day, week, month, all_time = windows
    name = f"0x{random.Random(trader).getrandbits(160):040x}"
    return LeaderboardRow(
        trader=address(int(name, 16)), account_value=value, day=day, week=week, month=month, all_time=all_time
    )


async def test_a_refresh_of_47_000_rows_is_small_and_leaves_the_loop_free(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, chance, parts = tmp_path / "store.db", random.Random(1), 24
    rows = [board(chance, n) for n in range(47_000)]
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0.001)
            turns += 1

    async with SqliteStore(path) as store:
        turning = asyncio.create_task(turn())
        for pull in (1, 2, 3):
            if pull > 1:  # a third of the accounts moved; 27 % of the listed have 10,000 USD and traded this month
                rows = [board(chance, n) if chance.random() < 0.33 else row for n, row in enumerate(rows)]
            slices = [tuple(rows[number::parts]) for number in range(parts)]
            turns, started = 0, time.perf_counter()
            for number, piece in enumerate(slices):
                await store.write(
                    [LeaderboardPart(captured_at_ms=pull, known_at_ms=pull, part=number, parts=parts, rows=piece)]
                )
            wrote_s, started, had_turns = time.perf_counter() - started, time.perf_counter(), turns
            latest = await store.traders.latest_rows()
            read_s = time.perf_counter() - started
            assert latest is not None
            assert latest[0] == pull
            assert {row.trader: row for row in latest[1]} == {row.trader: row for row in rows}
            assert had_turns > parts
        turning.cancel()
    connection = sqlite3.connect(path)
    sizes = [
        n for (n,) in connection.execute("SELECT sum(length(rows)) FROM leaderboard_history GROUP BY t ORDER BY t")
    ]
    connection.close()
    with capsys.disabled():
        print(f"\n47,000 rows: bytes {sizes}, written in {wrote_s:.2f} s, read in {read_s:.2f} s")
    assert sizes[0] < 4_500_000
    assert max(sizes[1:]) <= 1_000_000


async def test_expiry_deletes_a_few_rows_at_a_time_and_leaves_the_file_to_others_in_between(tmp_path: Path) -> None:
    old = 2 * EXPIRE_ROWS + 10
    clock = FakeClock()
    path = tmp_path / "store.db"
    async with SqliteStore(path, clock=clock) as store, SqliteStore(path) as other:
        await store.write([fact(1, t, 0, 1) for t in range(old)])
        expiring = asyncio.create_task(store.expire(10**12))
        left = [old]
        while not expiring.done():
            if clock.sleepers:  # it rests: whoever wants may write
                await other.write([SettingRow(key="a", value="1")])
                left.append(len(await store.positions.history(address(1), BTC, since_ms=0, limit=old)))
                await clock.advance(EXPIRE_REST_S)
            await asyncio.sleep(0.001)
        assert (await expiring)["trader_positions"] == old
        assert left == [old, old - EXPIRE_ROWS, old - 2 * EXPIRE_ROWS, 0]
