"""A schedule is read strictly, begins on time, and ends."""

from pathlib import Path

import msgspec
import pytest

from market_scraper.simulator.faults import (
    Answer,
    Disconnect,
    FaultBoard,
    HalfOpen,
    Mute,
    Outage,
    decode_faults,
    load_faults,
)


def test_a_schedule_is_read_from_yaml(tmp_path: Path) -> None:
    file = tmp_path / "faults.yaml"
    file.write_text(
        "- {kind: disconnect, at_s: 30, code: 1008, sockets: [0]}\n"
        "- {kind: half_open, at_s: 40, for_s: 5}\n"
        "- {kind: answer, type: meta, status: 429}\n",
        encoding="utf-8",
    )
    assert load_faults(file) == (
        Disconnect(at_s=30, code=1008, sockets=(0,)),
        HalfOpen(at_s=40, for_s=5),
        Answer(type="meta", status=429),
    )


def test_an_empty_file_is_an_empty_schedule(tmp_path: Path) -> None:
    file = tmp_path / "faults.yaml"
    file.write_text("", encoding="utf-8")
    assert load_faults(file) == ()


@pytest.mark.parametrize(
    "raw",
    [
        [{"kind": "disconect"}],
        [{"kind": "disconnect", "when": 3}],
        [{"kind": "disconnect", "code": 1234}],
        [{"kind": "slow"}],
        "disconnect",
    ],
)
def test_a_mistake_in_a_schedule_is_an_error(raw: object) -> None:
    with pytest.raises(msgspec.ValidationError):
        decode_faults(raw)


def test_faults_begin_once_and_last_as_long_as_they_say() -> None:
    outage, mute, cut = Outage(at_s=10, for_s=5), Mute(at_s=10), Disconnect(at_s=10)
    board = FaultBoard((outage, mute, cut), start_ms=1_000)
    assert board.due(10_999) == []
    assert board.due(11_000) == [(11_000, outage), (11_000, mute), (11_000, cut)]
    assert board.due(11_000) == []
    assert board.in_force(15_999) == [outage, mute]
    assert board.in_force(16_000) == [mute]
    assert board.due(10**9) == []
    assert board.in_force(10**9) == [mute]


def test_faults_can_be_added_from_now() -> None:
    board = FaultBoard((), start_ms=0)
    board.add((Disconnect(at_s=1),), from_ms=5_000)
    assert board.next_ms() == 6_000
    assert len(board.due(6_000)) == 1
    assert board.happened == 1
