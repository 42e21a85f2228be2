"""Documents: whatever a row says comes back, and what could not come back is refused."""

import math
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from market_scraper.domain.errors import InvalidInput
from market_scraper.domain.values import Interval, Symbol, from_ms
from market_scraper.ports.stores import (
    CandleRow,
    DeadLetterRow,
    PositionRow,
    PositionStateRow,
    ReadingRow,
    ScoreRow,
    SettingRow,
    SignalRow,
    TapeMarkRow,
    TrackedRow,
    TraderSignalRow,
)
from market_scraper.storage import documents
from market_scraper.storage.shapes import Kind, candles_name, series_of
from tests.contracts.store_rows import candle_row, fact
from tests.facts import address
from tests.strategies import of_type

READERS: dict[type[Any], Callable[[Any, documents.Document], Any]] = {
    PositionRow: lambda row, stored: PositionRow(changed=documents.changed_from(stored)),
    PositionStateRow: lambda row, stored: PositionStateRow(
        position=documents.position_from(stored), known_at_ms=stored[documents.KNOWN_AT]
    ),
    TapeMarkRow: lambda row, stored: TapeMarkRow(mark=documents.mark_from(stored)),
    ScoreRow: lambda row, stored: documents.score_from(stored),
    TrackedRow: lambda row, stored: documents.tracked_from(stored),
    SignalRow: lambda row, stored: SignalRow(signal=documents.signal_from(stored)),
    TraderSignalRow: lambda row, stored: TraderSignalRow(signal=documents.trader_signal_from(stored)),
    ReadingRow: lambda row, stored: ReadingRow(reading=documents.reading_from(stored)),
    SettingRow: lambda row, stored: SettingRow(key=stored[documents.KEY], value=stored[documents.VALUE]),
}


def possible(row: Any) -> Any:
    """Lots of at most 8 decimals: a power of ten of a wild number would take for ever."""
    if isinstance(row, PositionStateRow):
        return replace(row, position=replace(row.position, sz_decimals=row.position.sz_decimals % 9))
    if isinstance(row, PositionRow):
        after = replace(row.changed.after, sz_decimals=row.changed.after.sz_decimals % 9)
        return replace(row, changed=replace(row.changed, after=after))
    return row


@settings(max_examples=200, deadline=None)
@given(row=st.one_of(*map(of_type, READERS)).map(possible))
def test_every_field_of_a_row_comes_back(row: Any) -> None:
    try:
        stored = documents.to_document(row)
    except InvalidInput:
        return  # an infinity, which the strategy draws now and then
    assert READERS[type(row)](row, stored) == row
    assert tuple(stored) == documents.collection_of(row)[1].names


def test_a_candle_comes_back() -> None:
    row = candle_row(5)
    assert documents.candle_from(documents.to_document(row)) == row.candle
    assert documents.collection_of(row)[0] == "btc_candles_1h"


def test_names_that_users_know_are_used() -> None:
    row = fact(1, 5_000, 7, 1, lots=-150_000)
    stored = documents.to_document(row)
    assert {name: stored[name] for name in ("eth", "t", "coin", "sz", "ep", "upnl", "lev", "liq", "st")} == {
        "eth": address(1),
        "t": 5_000,
        "coin": "BTC",
        "sz": -1.5,
        "ep": 60_000.0,
        "upnl": 0.0,
        "lev": None,
        "liq": None,
        "st": "exact",
    }
    assert {"t", "symbol", "rec", "conf", "long_bias", "short_bias", "net_exp"} <= set(documents.SIGNALS.names)
    assert documents.CANDLES.names[:6] == ("t", "o", "h", "l", "c", "v")


def test_unrealized_pnl_is_negative_when_a_short_goes_wrong() -> None:
    changed = replace(fact(1, 1, 1, 1, lots=-100_000).changed, px=61_000.0)
    assert documents.to_document(PositionRow(changed=changed))["upnl"] == -1_000.0


def test_datetimes_and_milliseconds_turn_into_each_other() -> None:
    stored = documents.to_document(fact(1, 1_787_259_217_021, 7, 1))
    dated = documents.with_datetimes(documents.TRADER_POSITIONS, stored)
    assert dated["t"] == from_ms(1_787_259_217_021)
    assert [name for name, value in dated.items() if isinstance(value, datetime)] == ["t", "k", "epoch", "watch"]
    assert documents.with_milliseconds(dated) == stored


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_refused(value: float) -> None:
    with pytest.raises(InvalidInput, match="`c`"):
        documents.to_document(candle_row(5, value))


def test_integers_beyond_64_bits_are_refused() -> None:
    with pytest.raises(InvalidInput, match="`lots`"):
        documents.to_document(fact(1, 1, 1, 1, lots=2**63))


def test_what_is_no_row_is_refused() -> None:
    with pytest.raises(InvalidInput):
        documents.to_document("row")  # type: ignore[arg-type]
    with pytest.raises(InvalidInput):
        documents.to_document(CandleRow(symbol=Symbol("BTC"), interval="3m", candle=candle_row(1).candle))  # type: ignore[arg-type]


def test_two_bodies_of_one_moment_are_two_dead_letters() -> None:
    first, second = (
        documents.to_document(DeadLetterRow(source="a", known_at_ms=1, reason="", body=body)) for body in (b"1", b"2")
    )
    assert first["digest"] != second["digest"]


SYMBOLS = st.from_regex(r"(?:[a-z0-9]{1,12}:)?[A-Za-z0-9]{1,24}", fullmatch=True).map(Symbol)


@given(symbol=SYMBOLS, interval=st.sampled_from(Interval))
def test_a_series_name_is_read_back(symbol: Symbol, interval: Interval) -> None:
    name = candles_name(symbol, interval)
    assert series_of(name) == (symbol, interval)
    assert name == name.lower()  # so two names never differ in case alone
    assert not name.startswith("sqlite_")


@pytest.mark.parametrize(
    ("symbol", "name"),
    [
        ("BTC", "btc_candles_1h"),
        ("kPEPE", "_kpepe_candles_1h"),
        ("xyz:TSLA", "xyz__tsla_candles_1h"),
        ("SQLITE", "__sqlite_candles_1h"),
    ],
)
def test_series_have_plain_names(symbol: str, name: str) -> None:
    assert candles_name(Symbol(symbol), Interval.H1) == name


@pytest.mark.parametrize("name", ["signals", "btc_candles_3m", "btc_candles_", "B_candles_1h", "a____candles_1h"])
def test_other_names_are_no_series(name: str) -> None:
    assert series_of(name) is None


@pytest.mark.parametrize("raw", ['BTC"; DROP TABLE signals', "", "@107"])
def test_a_strangers_text_never_becomes_a_table(raw: str) -> None:
    with pytest.raises(InvalidInput):
        candles_name(Symbol(raw), Interval.H1)


def test_every_collection_is_described() -> None:
    for shape in (*documents.COLLECTIONS, documents.CANDLES):
        assert set(shape.key) <= set(shape.names)
        assert len(set(shape.names)) == len(shape.names)
        assert all(field.meaning for field in shape.fields)
        by_name = {field.name: field for field in shape.fields}
        assert shape.expires_by is None or by_name[shape.expires_by].kind is Kind.TIME
