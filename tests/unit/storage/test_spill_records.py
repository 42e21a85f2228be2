"""Records of the spill: every row comes back as it was, and what is not whole is never taken for a row."""

import io
import typing

import msgspec
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from market_scraper.domain.errors import InvalidInput
from market_scraper.ports.stores import DeadLetterRow, Row, SettingRow
from market_scraper.storage.spill_records import HEADER, RecordReader, record_of, rows_of
from tests.contracts.store_rows import candle_row, fact, part, reading_row, score, signal_row, state, tracked
from tests.strategies import of_type

KINDS = [kind for kind in typing.get_args(Row) if kind is not DeadLetterRow]  # of bytes there is no strategy


def read_all(data: bytes) -> list[Row]:
    records = RecordReader(io.BytesIO(data))
    rows: list[Row] = []
    while (record := records.next()) is not None:
        body, count = record
        found = rows_of(body)
        assert len(found) == count
        rows += found
    return rows


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@settings(deadline=None, max_examples=20)
@given(data=st.data())
def test_every_kind_of_row_comes_back_as_it_was(kind: type[Row], data: st.DataObject) -> None:
    rows = data.draw(st.lists(of_type(kind), min_size=1, max_size=3))
    assert read_all(record_of(rows, 1)) == rows


def test_many_kinds_share_a_record_in_their_order() -> None:
    letter = DeadLetterRow(source="bus", known_at_ms=1, reason="r", body=b"\x00\xff")
    rows: list[Row] = [state(1, 1), fact(1, 2, 3, 4), candle_row(1), score(1, 2, 3.0), part(1, []), letter]
    rows += [signal_row(1, 2), reading_row(1, 2.0), tracked(1, 5), state(1, 2)]
    assert read_all(record_of(rows, 1)) == rows


@settings(deadline=None, max_examples=200)
@given(data=st.data())
def test_what_is_cut_anywhere_gives_the_whole_records_before_the_cut(data: st.DataObject) -> None:
    records = [record_of([SettingRow(key=f"k{number}", value="x" * number)], 1) for number in range(5)]
    cut = data.draw(st.integers(0, sum(map(len, records))))
    ends = [sum(map(len, records[: number + 1])) for number in range(5)]
    rows = read_all(b"".join(records)[:cut])
    assert [row.key for row in rows if isinstance(row, SettingRow)] == [
        f"k{number}" for number in range(5) if ends[number] <= cut
    ]


@settings(deadline=None, max_examples=300)
@given(data=st.data())
def test_a_bit_that_fell_over_ends_the_reading_at_its_record(data: st.DataObject) -> None:
    records = [record_of([SettingRow(key=f"k{number}", value="value")], 1) for number in range(3)]
    damaged = bytearray(b"".join(records))
    bit = data.draw(st.integers(0, 8 * len(damaged) - 1))
    damaged[bit // 8] ^= 1 << bit % 8
    keys = [row.key for row in read_all(bytes(damaged)) if isinstance(row, SettingRow)]
    assert keys == [f"k{number}" for number in range(3) if sum(map(len, records[: number + 1])) <= bit // 8]


def test_zeros_that_a_power_cut_left_are_no_record() -> None:
    record = record_of([SettingRow(key="k", value="v")], 1)
    assert len(read_all(record + bytes(4096))) == 1


def test_a_row_that_has_no_bytes_becomes_a_dead_letter_and_harms_nobody_else() -> None:
    rows: list[Row] = [SettingRow(key="a", value="1"), SettingRow(key="half\ud800", value=""), state(1, 2**70)]
    first, second, third = read_all(record_of([*rows], 77))
    assert first == rows[0]
    assert isinstance(second, DeadLetterRow)
    assert second.known_at_ms == 77
    assert b"ud800" in second.body
    assert isinstance(third, DeadLetterRow)
    assert third.source == "buffer.PositionStateRow"


@pytest.mark.parametrize(
    "body",
    [
        b"no zstd",
        zstandard.compress(b"\xc1"),
        zstandard.compress(msgspec.msgpack.encode([["MoonRow", {}]])),
        zstandard.compress(msgspec.msgpack.encode([["SettingRow", {"key": 1}]])),
        zstandard.compress(msgspec.msgpack.encode({"rows": []})),
    ],
)
def test_a_body_of_another_program_is_invalid_and_not_a_crash(body: bytes) -> None:
    with pytest.raises(InvalidInput):
        rows_of(body)


def test_a_position_takes_a_tenth_of_its_plain_bytes() -> None:
    rows = [state(number, number, t_ms=1_700_000_000_000 + number) for number in range(100)]
    assert len(record_of(rows, 1)) - HEADER.size < len(msgspec.msgpack.encode(rows)) / 5
