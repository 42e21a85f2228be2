"""The witness of the restart proof would see a row that is lost, changed or doubled. Quick: it runs with all tests."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from market_scraper.ports.stores import Row
from market_scraper.storage import SqliteStore
from tests.contracts.store_rows import candle_row, fact, part, score, signal_row, state
from tests.proof.acknowledging import duplicates, lost, noted

ROWS: list[Row] = [
    fact(1, 1_000, tid=7, version=1),
    state(1, 1),
    state(1, 2),
    candle_row(60_000),
    signal_row(1, 1_000),
    signal_row(2, 2_000),
    score(1, 1_000, 50.0),
    part(1_000, []),
]


@pytest.fixture
async def connection(tmp_path: Path) -> AsyncIterator[sqlite3.Connection]:
    async with SqliteStore(tmp_path / "store.db") as store:
        await store.write(ROWS)
    with closing(sqlite3.connect(tmp_path / "store.db")) as connection:
        yield connection


async def test_a_store_that_kept_everything_lost_and_doubled_nothing(connection: sqlite3.Connection) -> None:
    assert lost(connection, map(noted, ROWS)) == []
    assert duplicates(connection) == []


@pytest.mark.parametrize(
    "table", ["trader_positions", "position_state", "btc_candles_1h", "signals", "trader_scores", "leaderboard_history"]
)
async def test_a_row_that_is_gone_is_found(connection: sqlite3.Connection, table: str) -> None:
    connection.execute(f'DELETE FROM "{table}"')
    assert lost(connection, map(noted, ROWS)) != []


async def test_a_table_that_is_gone_is_found(connection: sqlite3.Connection) -> None:
    connection.execute('DROP TABLE "btc_candles_1h"')
    assert lost(connection, map(noted, ROWS)) != []


async def test_an_older_row_in_its_place_is_found_and_a_newer_one_is_fine(connection: sqlite3.Connection) -> None:
    assert lost(connection, [noted(state(1, 3))]) != []
    assert lost(connection, [noted(state(1, 1))]) == []


async def test_other_values_of_the_same_row_are_found(connection: sqlite3.Connection) -> None:
    assert lost(connection, [noted(candle_row(60_000, close=1.0))]) != []


async def test_one_print_as_two_facts_and_two_signals_of_one_moment_are_found(connection: sqlite3.Connection) -> None:
    connection.execute("UPDATE signals SET t = 1000")
    assert len(duplicates(connection)) == 1
    connection.execute("CREATE TEMP TABLE again AS SELECT * FROM trader_positions")
    connection.execute("UPDATE again SET t = t + 1")
    connection.execute("INSERT INTO trader_positions SELECT * FROM again")
    assert len(duplicates(connection)) == 2
