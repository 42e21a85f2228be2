"""Several writers share one MongoDB: the newest word stands, the leaderboard has one chain, marks come last."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

import pytest
from pymongo import AsyncMongoClient, monitoring

from market_scraper.domain.errors import InvalidInput
from market_scraper.domain.traders import LeaderboardRow
from market_scraper.domain.values import Address
from market_scraper.ports.stores import LeaderboardPart, Row, SettingRow, TapeMarkRow
from market_scraper.storage.address import MongoAddress
from market_scraper.storage.leaderboard import FULL_AFTER
from market_scraper.storage.mongo import MongoStore
from tests.contracts.store_rows import act, board_row, candle_row, fact, gathered, part, score, signal_row, state
from tests.facts import BTC, address, mark
from tests.servers.mongo import database

Stored = dict[str, Any]


@pytest.fixture
async def where(mongo_url: str) -> AsyncIterator[MongoAddress]:
    with database(mongo_url) as name:
        yield MongoAddress(url=mongo_url, database=name)


async def stored(where: MongoAddress, collection: str) -> list[Stored]:
    """As any client of the server sees it."""
    async with AsyncMongoClient[Stored](where.url, tz_aware=True) as client:
        return await client[where.database][collection].find({}, {"_id": False}).to_list()


async def test_documents_have_the_short_names_dates_and_no_nulls(where: MongoAddress) -> None:
    t_ms = 1_787_259_217_021
    async with MongoStore(where) as store:
        await store.write([fact(1, t_ms, 7, 3, lots=-150_000), signal_row(1, t_ms), candle_row(t_ms)])
    (position,) = await stored(where, "trader_positions")
    at = datetime.fromtimestamp(t_ms // 1_000, UTC).replace(microsecond=21_000)
    assert {name: position[name] for name in ("eth", "t", "coin", "sz", "st")} == {
        "eth": address(1),
        "t": at,
        "coin": "BTC",
        "sz": -1.5,
        "st": "exact",
    }
    assert None not in position.values()
    (signal,) = await stored(where, "signals")
    assert {"t", "symbol", "rec", "conf", "long_bias", "short_bias", "net_exp"} <= set(signal)
    (candle,) = await stored(where, "btc_candles_1h")
    assert candle == {"t": at, "o": 97_000.0, "h": 97_100.0, "l": 96_900.0, "c": 97_050.0, "v": 15.5, "n": 12}


async def test_of_two_writers_of_one_row_the_newest_version_stands(where: MongoAddress) -> None:
    chance = random.Random(5)
    async with MongoStore(where) as ours, MongoStore(where) as theirs:
        for trader in range(12):
            versions = chance.sample(range(100), 6)
            writes = [
                chance.choice([ours, theirs]).write([state(trader, version, lots=version), fact(trader, 5, 1, version)])
                for version in versions
            ]
            await asyncio.gather(*writes)
            (kept,) = await ours.positions.history(address(trader), BTC, since_ms=0, limit=9)
            assert kept.after.version == max(versions)
            states = {each.trader: each.version for each in await gathered(theirs.positions.states(BTC))}
            assert states[address(trader)] == max(versions)


async def test_of_one_row_twice_in_a_write_the_newest_stands(where: MongoAddress) -> None:
    async with MongoStore(where) as store:
        await store.write([state(1, version) for version in (3, 9, 4)])
        assert [each.version for each in await gathered(store.positions.states(BTC))] == [9]


class Heard(monitoring.CommandListener):
    """Which collections were written, in the order of the commands."""

    def __init__(self, database: str) -> None:
        self.database = database
        self.written: list[str] = []

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        if event.database_name == self.database and event.command_name in ("insert", "update"):
            self.written.append(event.command[event.command_name])

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """Told by the driver; not asked for here."""

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """Told by the driver; not asked for here."""


async def test_marks_are_written_after_everything_else(where: MongoAddress) -> None:
    heard = Heard(where.database)
    monitoring.register(heard)  # clients made from now on
    rows: list[Row] = [
        TapeMarkRow(mark=mark(9)),
        fact(1, 5, 1, 1),
        part(1, [board_row(1)]),
        state(1, 1),
        SettingRow(key="a", value="1"),
        act(1, 5, 1),
        score(1, 5, 1.0),
        candle_row(0),
    ]
    async with MongoStore(where) as store:
        for _ in range(2):
            heard.written.clear()
            await store.write(rows)
            assert set(heard.written[heard.written.index("tape_marks") :]) == {"tape_marks"}
            assert len(set(heard.written)) >= 7


async def test_what_the_driver_cannot_write_is_an_invalid_row(where: MongoAddress) -> None:
    bad = score(1, 1, 5.0)
    bad.parts["\0"] = 1.0
    async with MongoStore(where) as store:
        with pytest.raises(InvalidInput):
            await store.write([bad])


async def test_two_writers_of_the_leaderboard_make_one_chain(where: MongoAddress) -> None:
    """An old collector that wakes up beside the new one: every part is kept once, and the rows stay right."""
    expected: dict[Address, LeaderboardRow] = {}
    async with MongoStore(where) as ours, MongoStore(where) as theirs:
        for pull in range(1, 25):
            rows = [board_row(n, float(pull * (n % 3 + 1))) for n in range(8)]
            expected |= {row.trader: row for row in rows}
            parts = [part(pull, rows[:4], 0, 2), part(pull, rows[4:], 1, 2)]
            await asyncio.gather(*(store.write([each]) for store in (ours, theirs) for each in parts))
            assert await theirs.traders.latest_rows() is not None
    async with MongoStore(where) as another:
        latest = await another.traders.latest_rows()
    assert latest is not None
    assert latest[0] == 24
    assert {row.trader: row for row in latest[1]} == expected
    blocks = await stored(where, "leaderboard_history")
    assert len([block for block in blocks if not block["full"]]) == 48
    assert any(block["full"] for block in blocks)


async def test_a_full_copy_that_was_cut_short_is_not_looked_at(where: MongoAddress) -> None:
    rows = [board_row(n) for n in range(3)]
    async with MongoStore(where) as store:
        for pull in range(1, FULL_AFTER + 3):
            rows = [board_row(n, 1_000.0 * pull + n) for n in range(3)]
            await store.write([part(pull, rows)])
    async with AsyncMongoClient[Stored](where.url) as client:
        blocks = client[where.database]["leaderboard_history"]
        (full,) = await blocks.find({"full": True}).to_list()
        # As if it had had a second block, and the program had died after that one.
        await blocks.update_one({"_id": full["_id"]}, {"$set": {"part": full["part"] + 1, "rows": b"not even a block"}})
    async with MongoStore(where) as store:
        latest = await store.traders.latest_rows()
        assert latest is not None
        assert latest[1] == rows
        later = [board_row(n, 5.0) for n in range(4)]
        await store.write([part(FULL_AFTER + 9, later)])
        assert await store.traders.latest_rows() == (FULL_AFTER + 9, later)


async def test_no_block_of_a_long_leaderboard_comes_near_the_largest_document(where: MongoAddress) -> None:
    many = 12_000

    def pull(number: int) -> LeaderboardPart:
        return part(number, [board_row(n, number * 1_000.25 + n, name=f"trader {n}") for n in range(many)])

    async with MongoStore(where) as store, AsyncExitStack() as stack:
        for number in range(1, FULL_AFTER + 3):
            await store.write([pull(number)])
        client = await stack.enter_async_context(AsyncMongoClient[Stored](where.url))
        blocks = await client[where.database]["leaderboard_history"].find({}, {"rows": True, "full": True}).to_list()
        assert sum(block["full"] for block in blocks) == 2  # 10,000 rows each
        assert max(len(block["rows"]) for block in blocks) < 2 * 2**20
        latest = await store.traders.latest_rows()
        assert latest is not None
        assert latest[1] == list(pull(FULL_AFTER + 2).rows)
