"""Recorded candles load, and gap detection finds the gaps that are known to be in them (SOURCES.md, section 3)."""

import csv
import gzip
from collections.abc import AsyncIterator
from datetime import datetime
from itertools import islice
from pathlib import Path

import pytest

from market_scraper.domain.market import Candle
from market_scraper.domain.values import Interval, Symbol, to_ms
from market_scraper.ports.stores import CandleRow, Store
from market_scraper.storage import MemoryRepository, SqliteStore

HYPERLIQUID = [
    ("BTC", Interval.M1, 6_808),
    ("BTC", Interval.M5, 38_531),
    ("BTC", Interval.M15, 16_176),
    ("BTC", Interval.H1, 7_793),
    ("ETH", Interval.H1, 7_793),
    ("BTC", Interval.H4, 5_814),
    ("BTC", Interval.D1, 1_802),
    ("ETH", Interval.D1, 1_802),
]


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    opened = MemoryRepository() if request.param == "memory" else SqliteStore(tmp_path / "store.db")
    async with opened as store:
        yield store


def read(path: Path) -> list[list[str]]:
    with gzip.open(path, "rt") as file:
        return list(islice(csv.reader(file), 1, None))


def candle(t_ms: int, fields: list[str]) -> Candle:
    o, h, low, c, v = map(float, fields)
    return Candle(t_ms=t_ms, o=o, h=h, l=low, c=c, v=v)


async def load(store: Store, symbol: Symbol, interval: Interval, candles: list[Candle]) -> None:
    rows = [CandleRow(symbol=symbol, interval=interval, candle=candle) for candle in candles]
    for start in range(0, len(rows), 5_000):
        await store.write(rows[start : start + 5_000])


async def test_hyperliquid_candles_have_no_gaps(store: Store, recordings: Path) -> None:
    for name, interval, count in HYPERLIQUID:
        rows = read(recordings / "hl_candles" / "csv" / f"{name}-{interval}.csv.gz")
        candles = [candle(int(row[0]), row[1:]) for row in rows]
        assert len(candles) == count
        symbol = Symbol(name)
        await load(store, symbol, interval, candles)
        assert await store.candles.gaps(symbol, interval) == []
        assert await store.candles.newest(symbol, interval) == candles[-1]
        assert await store.candles.history(symbol, interval, start_ms=0, end_ms=None, limit=100) == candles[:100]


async def test_binance_candles_have_the_gaps_that_are_known(store: Store, recordings: Path) -> None:
    rows = read(recordings / "binance_candles" / "BTCUSDT_1h.csv.gz")
    candles = [candle(to_ms(datetime.fromisoformat(row[0])), row[1:]) for row in rows]
    assert len(candles) == 8_100
    await load(store, Symbol("BTC"), Interval.H1, candles)
    gaps = await store.candles.gaps(Symbol("BTC"), Interval.H1)
    hours = [(last - first) // Interval.H1.ms + 1 for first, last in gaps]
    assert hours.count(1) == 181
    assert len([length for length in hours if length > 1]) == 10
    assert min(length for length in hours if length > 1) == 4
    assert sum(hours) + len(candles) == (candles[-1].t_ms - candles[0].t_ms) // Interval.H1.ms + 1
