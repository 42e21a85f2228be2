"""Forty megabytes of ranks are read in small steps, and a bad row costs nobody else a place."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_scraper.connectors.hyperliquid import leaderboard
from market_scraper.domain.errors import InvalidInput
from market_scraper.domain.traders import LeaderboardRow


def row(number: int, name: str | None = None, **changed: object) -> dict[str, object]:
    window = {"pnl": "1.5", "roi": "0.5", "vlm": "9"}
    made: dict[str, object] = {
        "ethAddress": f"0x{number:040x}",
        "accountValue": "1.0",
        "windowPerformances": [["day", window]],
    }
    return made | {"prize": 0, "displayName": name} | changed


def read(body: bytes, piece_bytes: int) -> tuple[list[LeaderboardRow], leaderboard.Tally, int]:
    tally = leaderboard.Tally()
    parts = list(leaderboard.slices(body, tally, piece_bytes=piece_bytes))
    return [found for part in parts for found in part], tally, max(len(part) for part in parts)


@given(
    names=st.lists(
        st.none() | st.text(max_size=30) | st.sampled_from(['{"ethAddress"', '},{"ethAddress":"', "]}", "\\"])
    ),
    piece_bytes=st.integers(1, 2_000),
    indent=st.sampled_from([None, 1]),
)
def test_wherever_it_is_cut_no_row_is_lost(names: list[str | None], piece_bytes: int, indent: int | None) -> None:
    rows = [row(number, name) for number, name in enumerate(names)]
    body = json.dumps({"asOf": 1, "leaderboardRows": rows, "next": [1]}, indent=indent).encode()
    found, tally, _ = read(body, piece_bytes)
    assert [entry.display_name for entry in found] == names
    assert (tally.read, tally.parked) == (len(names), 0)


def test_a_step_is_small() -> None:
    body = json.dumps({"leaderboardRows": [row(number) for number in range(2_000)]}).encode()
    found, _, largest = read(body, 10_000)
    assert len(found) == 2_000
    assert largest < 100


def test_bad_rows_are_parked_with_a_reason_and_doubles_too() -> None:
    rows = [
        row(1),
        row(2, accountValue="inf"),
        row(3, ethAddress="0x3"),
        row(1),
        row(4, windowPerformances="none"),
        row(5),
    ]
    found, tally, _ = read(json.dumps({"leaderboardRows": rows}).encode(), 100)
    assert [int(entry.trader, 16) for entry in found] == [1, 5]
    assert tally.parked == 4
    assert len(tally.reasons) == leaderboard.MAX_REASONS


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.9, 0.999])
def test_a_body_that_is_cut_short_gives_no_row_at_all(keep: float) -> None:
    body = json.dumps({"leaderboardRows": [row(number) for number in range(500)]}).encode()
    with pytest.raises(InvalidInput):
        next(leaderboard.slices(body[: int(len(body) * keep)], leaderboard.Tally(), piece_bytes=5_000))


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"null", b"[]", b'{"leaderboardRows":{}}', b'{"leaderboardRows":null}']
)
def test_what_is_no_leaderboard_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidInput):
        list(leaderboard.slices(body, leaderboard.Tally()))


def test_the_recorded_rows_are_read_as_they_stand(recordings: Path) -> None:
    body = (recordings / "hl_raw_api/leaderboard_12_rows.json").read_bytes()
    whole, tally, _ = read(body, 10**9)
    pieces, _, _ = read(body, 1)
    assert whole == pieces
    assert (tally.read, tally.parked) == (12, 0)
    first = whole[0]
    assert first.trader == "0xe6111266afdcdf0b1fe8505028cc1f7419d798a7"
    assert first.week is not None
    assert first.all_time is not None
    assert (first.week.pnl, first.week.roi, first.all_time.pnl) == (159888191.6189309955, 0.2109292762, -500.0)
