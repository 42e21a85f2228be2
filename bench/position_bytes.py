"""What is stored of recorded accounts: the followed coin's changes, beside every account message as it came."""

import asyncio
import sqlite3
import tempfile
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import bson
import msgspec
from bson.datetime_ms import DatetimeMS
from bson.objectid import ObjectId

from bench import recorded
from bench.figures import Aim, Benchmark, Round, main
from market_scraper.domain.events import PositionChanged
from market_scraper.domain.positions import Cause, Position, PositionState
from market_scraper.domain.values import Address, Symbol
from market_scraper.ports.stores import PositionRow, PositionStateRow, Row
from market_scraper.storage import documents
from market_scraper.storage.mongo.wire import to_bson
from market_scraper.storage.sqlite import SqliteStore

COIN = Symbol("BTC")
SZ_DECIMALS = 5
A_TRANSACTION = 1_000  # rows

Message = tuple[str, int, dict[str, Any]]  # who, when, the account as it was told


class Stored(msgspec.Struct, frozen=True):
    """What both ways have to keep."""

    messages: Sequence[Message]
    rows: Sequence[Row]  # two a change: history, and the newest one


@cache
def heard(share: float) -> Stored:
    """The recorded messages and the followed coin's changes."""
    return kept(recorded.captures(share))


def kept(captures: Iterable[recorded.Capture], *, every_coin: bool = False) -> Stored:
    """All messages, and one change for each size that is not the one before; a coin that is absent is flat."""
    messages: list[Message] = []
    rows: list[Row] = []
    held: dict[tuple[str, str], float] = {}
    for capture in captures:
        for account in capture.accounts:
            who = account["address"]
            messages.append((who, capture.t_ms, account))
            told = {each["coin"]: each for each in account["positions"] if every_coin or each["coin"] == COIN}
            known = {coin for trader, coin in held if trader == who} if every_coin else {COIN}
            for coin in sorted(known | told.keys()):
                size, before = recorded.size_of(told[coin]) if coin in told else 0.0, held.get((who, coin), 0.0)
                if size != before:
                    held[who, coin] = size
                    rows += _rows(account, capture.t_ms, coin, told.get(coin), (before, size), len(rows))
    return Stored(messages, rows)


def _rows(
    account: dict[str, Any],
    t_ms: int,
    coin: str,
    told: dict[str, Any] | None,
    sizes: tuple[float, float],
    number: int,
) -> list[Row]:
    """The fact with every field that a tracked trader's fact has."""
    before, after = (round(size * 10**SZ_DECIMALS) for size in sizes)
    position = Position(
        trader=Address(account["address"]),
        symbol=Symbol(coin),
        sz_decimals=SZ_DECIMALS,
        lots=after,
        net_lots=after,
        state=PositionState.EXACT,
        doubt=None,
        because=None,
        since_ms=None,
        epoch_ms=t_ms - 7_200_000,
        changes=number,
        watched_from_ms=t_ms - 7_200_000,
        entry_px=float(told["entryPx"]) if told else None,
        leverage=round(told["leverage"]) if told else None,
        liquidation_px=float(told["liquidationPx"]) if told and told["liquidationPx"] else None,
        confirmed_ms=t_ms,
        account_value=account["accountValue"],
        t_ms=t_ms,
        tid=10**14 + number,
        version=t_ms * 1_000 + number,
        net_share=0.123456789,
    )
    changed = PositionChanged(known_at_ms=t_ms + 40, after=position, lots_before=before, cause=Cause.PRINT, px=97_000.5)
    return [PositionRow(changed=changed), PositionStateRow(position=position, known_at_ms=t_ms + 40)]


def sqlite_bytes(stored: Stored) -> tuple[float, float]:
    """(our rows with their indexes, every message with its key): how much a file grows."""
    with tempfile.TemporaryDirectory() as folder:
        ours, empty, bare = (Path(folder) / name for name in ("ours.db", "empty.db", "bare.db"))
        asyncio.run(_write(ours, stored.rows))
        asyncio.run(_write(empty, []))
        connection = sqlite3.connect(bare)
        connection.execute("CREATE TABLE messages (eth TEXT, t INTEGER, said TEXT, PRIMARY KEY (eth, t)) WITHOUT ROWID")
        connection.executemany(
            "INSERT INTO messages VALUES (?, ?, ?)",
            ((who, t_ms, msgspec.json.encode(said).decode()) for who, t_ms, said in stored.messages),
        )
        connection.commit()
        connection.close()
        return ours.stat().st_size - empty.stat().st_size, bare.stat().st_size


async def _write(path: Path, rows: Sequence[Row]) -> None:
    async with SqliteStore(path) as store:
        for first in range(0, len(rows), A_TRANSACTION):
            await store.write(rows[first : first + A_TRANSACTION])


def mongo_bytes(stored: Stored) -> tuple[float, float]:
    """The same of documents as they are sent; of states only the newest of each key stays."""
    newest: dict[object, int] = {}
    ours = 0
    for row in stored.rows:
        _, shape = documents.collection_of(row)
        document = documents.to_document(row)
        length = len(bson.encode({"_id": ObjectId()} | to_bson(shape, document)))
        if shape is documents.POSITION_STATE:
            newest[tuple(document[name] for name in shape.key)] = length
        else:
            ours += length
    every = sum(
        len(bson.encode({"_id": ObjectId(), "t": DatetimeMS(t_ms)} | said)) for _, t_ms, said in stored.messages
    )
    return ours + sum(newest.values()), every


def _measure_sqlite(size: float, rounds: int) -> Sequence[Round]:
    """Once: the same bytes come out each time."""
    stored = heard(size)
    ours, every = sqlite_bytes(stored)
    return [Round(ours / len(stored.messages), every / len(stored.messages))] * rounds


def _measure_mongo(size: float, rounds: int) -> Sequence[Round]:
    stored = heard(size)
    ours, every = mongo_bytes(stored)
    return [Round(ours / len(stored.messages), every / len(stored.messages))] * rounds


_SAYS = (
    "34,449 recorded messages of 2,000 accounts: what is stored of the followed coin (BTC), history and newest state"
)

SQLITE = Benchmark(
    name="position_bytes_sqlite",
    unit="bytes a message",
    says=f"{_SAYS}, as the file grows",
    floor_is="no floor here but the other way: every message as JSON text by account and time, in a file of its own",
    measure=_measure_sqlite,
    aim=Aim(of="ratio", at_most=0.05),
)
MONGO = Benchmark(
    name="position_bytes_mongo",
    unit="bytes a message",
    says=f"{_SAYS}, as BSON documents",
    floor_is="no floor here but the other way: every message as a BSON document",
    measure=_measure_mongo,
    aim=Aim(of="ratio", at_most=0.05),
)

if __name__ == "__main__":
    main(SQLITE)
    main(MONGO)
    everything = kept(recorded.captures(), every_coin=True)
    for way in (sqlite_bytes, mongo_bytes):
        ours, every = way(everything)
        print(f"{way.__name__}, were every coin followed: ratio {ours / every:.2f}")
