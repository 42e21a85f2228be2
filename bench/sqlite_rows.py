"""Rows through the buffer into SQLite, and back through the readers; beside bare sqlite3 with the same values."""

import asyncio
import sqlite3
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from bench import made, tape
from bench.figures import Benchmark, Round, Stopwatch, main
from market_scraper.domain.events import PositionChanged
from market_scraper.domain.values import Address
from market_scraper.ports.sources import PrintsHeard
from market_scraper.ports.stores import PositionRow, PositionStateRow, Row
from market_scraper.runtime.clock import ScaledClock
from market_scraper.storage import documents
from market_scraper.storage.buffer import Buffer
from market_scraper.storage.sqlite import SqliteStore
from market_scraper.storage.sqlite.schema import create_table, migrate, select, upsert, values

TRADERS = 500
A_TRANSACTION = 100  # rows: the buffer's own size for a flush
HISTORY_MOST = 10_000  # rows asked for at once, more than anyone has


def facts(count: int) -> list[PositionChanged]:
    """Position changes of tracked traders, from the ledger itself."""
    traders = made.addresses(TRADERS)
    listener = tape.Listener()
    listener.hear(made.trade_frames(200, traders, seed=8, start_ms=tape.START_MS - 100_000), first_is_replay=True)
    listener.know(traders, tape.START_MS - 50_000)
    reader = listener.readers[tape.SOCKETS[0]]
    found: list[PositionChanged] = []
    for frame in made.trade_frames(count, traders, start_ms=tape.START_MS):
        heard = reader.read(frame, 1.0)
        assert isinstance(heard, PrintsHeard)
        known_at_ms = heard.prints[-1].time_ms + 50
        for fact in listener.watch.hear_prints(
            tape.SOCKETS[0], heard.prints, replay=False, now_s=1.0, known_at_ms=known_at_ms
        ):
            assert isinstance(fact, PositionChanged)
            found.append(fact)
    return found[:count]


def rows_of(changes: Sequence[PositionChanged]) -> list[Row]:
    """As the persister makes them: each change for the history, and as its trader's newest state."""
    return [
        row
        for changed in changes
        for row in (
            PositionRow(changed=changed),
            PositionStateRow(position=changed.after, known_at_ms=changed.known_at_ms),
        )
    ]


async def write(path: Path, batches: Sequence[Sequence[Row]]) -> float:
    """Processor seconds, each batch put and waited for, so that it is a transaction of its own."""
    async with SqliteStore(path) as store, Buffer(store, ScaledClock(), max_size=1) as buffer:
        with Stopwatch() as watch:
            for batch in batches:
                stored = asyncio.Event()
                await buffer.put(batch, stored.set)
                await stored.wait()
        assert buffer.stats()["flushes"] == len(batches)
        return watch.cpu_s


async def read(path: Path, traders: Sequence[Address], wanted: int) -> float:
    """Processor seconds for everybody's history and all states, as domain facts."""
    async with SqliteStore(path) as store:
        with Stopwatch() as watch:
            count = 0
            for trader in traders:
                count += len(await store.positions.history(trader, tape.BTC, since_ms=0, limit=HISTORY_MOST))
            async for states in store.positions.states(tape.BTC):
                count += len(states)
        assert count == wanted, (count, wanted)
        return watch.cpu_s


def write_bare(path: Path, batches: Sequence[Sequence[Row]]) -> float:
    """The same values by the same statements in the same transactions, ready-made."""
    ready = [[_ready(group) for group in _by_table(batch)] for batch in batches]
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    migrate(connection)
    for shape in (documents.TRADER_POSITIONS, documents.POSITION_STATE):
        create_table(connection, shape, shape.name)
    with Stopwatch() as watch:
        for groups in ready:
            connection.execute("BEGIN IMMEDIATE")
            for statement, rows in groups:
                connection.executemany(statement, rows)
            connection.execute("COMMIT")
    connection.close()
    return watch.cpu_s


def read_bare(path: Path, traders: Sequence[Address]) -> tuple[float, int]:
    """The same queries, their rows fetched as tuples: (processor seconds, rows)."""
    facts = select(documents.TRADER_POSITIONS, documents.TRADER_POSITIONS.name)
    states = select(documents.POSITION_STATE, documents.POSITION_STATE.name)
    connection = sqlite3.connect(path)
    with Stopwatch() as watch:
        count = 0
        for trader in traders:
            query = f"{facts} WHERE eth = ? AND coin = ? AND t >= 0 ORDER BY t DESC, tid DESC LIMIT {HISTORY_MOST}"
            count += len(connection.execute(query, (trader, tape.BTC)).fetchall())
        count += len(connection.execute(f"{states} WHERE coin = ? ORDER BY eth", (tape.BTC,)).fetchall())
    connection.close()
    return watch.cpu_s, count


def _by_table(batch: Sequence[Row]) -> list[list[Row]]:
    """A batch as the buffer hands it on: rows of one kind together, of states only the newest."""
    newest = {row.position.trader: row for row in batch if isinstance(row, PositionStateRow)}
    return [[row for row in batch if isinstance(row, PositionRow)], list(newest.values())]


def _ready(rows: Sequence[Row]) -> tuple[str, list[tuple[Any, ...]]]:
    name, shape = documents.collection_of(rows[0])
    return upsert(shape, name), [values(shape, documents.to_document(row)) for row in rows]


@cache
def run(size: float, rounds: int) -> tuple[Sequence[Round], Sequence[Round]]:
    """Both figures' rounds: written and read, rows a second of processor time."""
    changes = facts(max(500, round(20_000 * size)))
    rows = rows_of(changes)
    batches = [rows[first : first + A_TRANSACTION] for first in range(0, len(rows), A_TRANSACTION)]
    traders = sorted({changed.after.trader for changed in changes})
    written, read_back = [], []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            ours, bare = Path(folder) / "ours.db", Path(folder) / "bare.db"
            floor_s = write_bare(bare, batches)
            written.append(Round(len(rows) / asyncio.run(write(ours, batches)), len(rows) / floor_s))
            floor_s, count = read_bare(bare, traders)
            read_back.append(Round(count / asyncio.run(read(ours, traders, count)), count / floor_s))
    return written, read_back


WRITTEN = Benchmark(
    name="sqlite_rows_written",
    unit="rows/s",
    says="position changes, each as history and as newest state, put into the buffer by 100 rows, a transaction each",
    floor_is="sqlite3 `executemany` of the same values by the same statements in the same transactions",
    measure=lambda size, rounds: run(size, rounds)[0],
)
READ = Benchmark(
    name="sqlite_rows_read",
    unit="rows/s",
    says="the same read back through the readers as domain facts, a query for each trader",
    floor_is="the same queries with sqlite3, `fetchall`",
    measure=lambda size, rounds: run(size, rounds)[1],
)

if __name__ == "__main__":
    main(WRITTEN)
    main(READ)
