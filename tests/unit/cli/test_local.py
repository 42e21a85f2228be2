"""Commands that look at this machine: doctor and gaps."""

import asyncio
import json
import socket
import threading
from pathlib import Path

import pytest

from market_scraper.cli import checkup
from market_scraper.config import Settings
from market_scraper.domain.market import Candle
from market_scraper.domain.onchain import Source
from market_scraper.domain.positions import TapeGap, TapeMark
from market_scraper.domain.values import Interval, Symbol
from market_scraper.ports.stores import CandleRow, Row, TapeMarkRow
from market_scraper.storage import SqliteStore
from tests.unit.cli.test_cli import run

BTC = Symbol("BTC")
HOUR = Interval.H1.ms
T0 = 1_780_272_000_000  # 2026-06-01T00:00Z


def stored(path: Path, *rows: Row) -> None:
    async def write() -> None:
        async with SqliteStore(path) as store:
            await store.write(rows)

    asyncio.run(write())


def bar(hour: int) -> CandleRow:
    return CandleRow(symbol=BTC, interval=Interval.H1, candle=Candle(t_ms=T0 + hour * HOUR, o=1, h=1, l=1, c=1, v=0))


def test_gaps_shows_missing_candles_and_unheard_tape(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    mark = TapeMark(symbol=BTC, watermark_ms=T0 + 9, epoch_ms=T0 + 5, gaps=(TapeGap(T0, T0 + 5),))
    stored(tmp_path / "s.db", bar(0), bar(3), bar(4), TapeMarkRow(mark=mark))
    code, out, _ = run(capsys, monkeypatch, "gaps", "--path", "s.db", "--json")
    candles, tape = json.loads(out)
    assert code == 1
    assert (candles["from"], candles["to"], candles["missing"]) == (
        "2026-06-01T01:00:00.000Z",
        "2026-06-01T02:00:00.000Z",
        2,
    )
    assert (tape["kind"], tape["to"]) == ("tape", "2026-06-01T00:00:00.005Z")
    assert "candles  BTC     1h" in run(capsys, monkeypatch, "gaps", "--path", "s.db")[1]


def test_gaps_is_0_without_missing_candles_and_1_without_a_store(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    stored(tmp_path / "s.db", bar(0), bar(1))
    assert run(capsys, monkeypatch, "gaps", "--path", "s.db")[:2] == (0, "no gaps\n")
    code, _, err = run(capsys, monkeypatch, "gaps", "--path", "other.db")
    assert (code, err) == (1, "error: there is no store at other.db\n")
    assert not (tmp_path / "other.db").exists()


def settings(folder: Path, **more: object) -> Settings:
    """Of a machine on which nothing listens where the upstreams should be."""
    nowhere = "http://127.0.0.1:1"
    onchain = {f"{source.value}_url": nowhere for source in Source}
    venue = {"api_url": nowhere, "leaderboard_url": nowhere, "ws_url": "ws://127.0.0.1:1"}
    raw = {
        "api_port": 0,
        "hyperliquid": venue,
        "onchain": onchain,
        "storage": {"path": str(folder / "s.db")},
        **more,
    }
    return Settings.model_validate(raw)


def answer_nonsense(listening: socket.socket) -> None:
    """Be some other program, for one question."""
    conversation, _ = listening.accept()
    with conversation:
        conversation.recv(1_000)
        conversation.sendall(b"what?")


def test_doctor_finds_a_fresh_machine_well_and_makes_nothing(tmp_path: Path) -> None:
    found = asyncio.run(checkup.examine(settings(tmp_path), upstreams=False))
    assert [it.check for it in found if not it.ok] == []
    assert list(tmp_path.iterdir()) == []


def test_doctor_tells_a_broken_store_a_missing_backend_and_a_taken_port(tmp_path: Path) -> None:
    (tmp_path / "s.db").write_text("not a database, but longer than the header of one " * 20)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        answering = threading.Thread(target=answer_nonsense, args=(taken,))
        answering.start()
        port = taken.getsockname()[1]
        found = asyncio.run(checkup.examine(settings(tmp_path, api_port=port), upstreams=False))
        answering.join()
    assert {it.check for it in found if not it.ok} == {"port", "store"}

    missing = settings(tmp_path, redis={"url": "redis://user:hunter2@127.0.0.1:1"})
    bus = next(it for it in asyncio.run(checkup.examine(missing, upstreams=False)) if it.check == "bus")
    assert not bus.ok
    assert bus.detail.startswith("cannot reach Redis at 127.0.0.1:1")
    assert "hunter2" not in bus.detail


def test_doctor_says_which_upstream_cannot_be_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkup, "SOCKET_OPEN_S", 0.2)
    found = asyncio.run(checkup.examine(settings(tmp_path), upstreams=True))
    unwell = {it.check: it.detail for it in found if not it.ok}
    venue = {"hyperliquid markets", "hyperliquid candles", "leaderboard", "hyperliquid trades"}
    assert set(unwell) == venue | {source.value for source in Source} | {"internet"}
    assert unwell["internet"].startswith("none of the upstreams can be reached")
    assert all(detail.startswith("cannot reach") for check, detail in unwell.items() if check != "internet")
    assert all(detail.count("cannot reach") == 1 for detail in unwell.values() if "internet" not in detail)


def test_doctor_leaves_the_venue_out_when_nothing_is_collected_from_it(tmp_path: Path) -> None:
    found = asyncio.run(checkup.examine(settings(tmp_path, hyperliquid={"enabled": False}), upstreams=True))
    assert {it.check for it in found if not it.ok} == {source.value for source in Source} | {"internet"}
