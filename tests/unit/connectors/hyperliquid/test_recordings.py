"""Every recording in the venue's own shape is read, or parked with a reason."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from market_scraper.connectors.hyperliquid import messages, parse
from market_scraper.connectors.hyperliquid.addresses import AddressTable
from market_scraper.connectors.hyperliquid.reader import PULSE, FrameReader
from market_scraper.connectors.hyperliquid.session import Session
from market_scraper.connectors.hyperliquid.table import MarketTable
from market_scraper.domain.errors import InvalidInput
from market_scraper.domain.market import Market
from market_scraper.domain.values import Address, Interval, Symbol

TRADER = Address("0x" + "ab" * 20)


def exchanges(folder: Path) -> list[tuple[str, dict[str, Any], bytes]]:
    """All recorded (file, request, answer) of the official SDK's cassettes."""
    found = []
    for path in sorted(folder.glob("*.yaml*")):
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        for interaction in yaml.load(raw, Loader=yaml.CSafeLoader)["interactions"]:
            answer = interaction["response"]["body"]["string"]
            answer = answer.encode() if isinstance(answer, str) else answer
            if answer[:2] == b"\x1f\x8b":
                answer = gzip.decompress(answer)
            found.append((path.name, json.loads(interaction["request"]["body"]), answer))
    return found


def is_refused(answer: bytes, shape: type) -> bool:
    try:
        messages.decode_answer(answer, shape)
    except InvalidInput:
        return True
    return False


def test_every_recorded_answer_that_we_ask_for_is_read(recordings: Path) -> None:
    read: dict[str, int] = {}
    for name, request, answer in exchanges(recordings / "hl_raw_api/sdk_cassettes"):
        kind = str(request["type"])
        match kind:
            case "meta":
                markets = parse.markets(messages.decode_answer(answer, messages.WireMeta), "")
                assert Symbol("BTC") in [market.symbol for market in markets], name
            case "clearinghouseState":
                table = MarketTable([Symbol("BTC"), Symbol("ETH"), Symbol("ATOM")])
                table.learn(Market(symbol=symbol, sz_decimals=5, max_leverage=1) for symbol in table.symbols)
                with pytest.raises(InvalidInput, match="time"):  # of 2023: without its time it can join no tape
                    messages.decode_answer(answer, messages.WireAccount)
                dated = b'{"time":1679900000000,' + answer.lstrip()[1:]
                wire = messages.decode_answer(dated, messages.WireAccount)
                snapshot = parse.account(TRADER, "", wire, table.get)
                assert all(held.lots for held in snapshot.positions), name
            case "candleSnapshot":
                asked = request["req"]
                bars, parked = parse.candles(
                    messages.decode_answer(answer, list[messages.WireCandle]),
                    asked["coin"],
                    Interval(asked["interval"]),
                )
                assert bars, name
                assert parked == [], name
            case "allMids":
                messages.decode_answer(answer, dict[str, float])
            case _:
                continue  # a request that we never send
        read[kind] = read.get(kind, 0) + 1
    assert read.keys() == {"meta", "clearinghouseState", "candleSnapshot", "allMids"}


def test_recorded_answers_to_other_requests_are_refused_and_never_misread(recordings: Path) -> None:
    for name, request, answer in exchanges(recordings / "hl_raw_api/sdk_cassettes"):
        for kind, shape in (("meta", messages.WireMeta), ("clearinghouseState", messages.WireAccount)):
            if request["type"] not in (kind, "metaAndAssetCtxs"):
                assert is_refused(answer, shape), f"{name} read as {kind}"


def test_every_recorded_frame_is_read_or_named(recordings: Path) -> None:
    frames = json.loads((recordings / "hl_raw_api/ws_messages.json").read_text())
    session = Session()
    users = [frame["data"]["subscription"] for frame in frames if frame["channel"] == "subscriptionResponse"]
    session.want([{"type": "userFills", "user": wanted["user"]} for wanted in users])
    session.opened(0.0)
    for second in range(30):
        session.due(float(second))
    reader = FrameReader(session, MarketTable([]), AddressTable())
    kinds: dict[str, int] = {}
    for frame in frames:
        data = json.dumps(frame).encode()
        assert reader.read(data, 30.0) is PULSE
        kind = type(messages.decode_frame(data)).__name__
        kinds[kind] = kinds.get(kind, 0) + 1
    # userFills is a channel that we do not follow: the tape says more (it has no hole where TWAP slices are).
    assert kinds == {"AnswerFrame": 15, "ErrorFrame": 25, "PongFrame": 1, "OtherFrame": 4}
    assert reader.parked == 0
    assert session.unconfirmed == 0
    assert reader.notes == ["the venue refused: Cannot track more than 15 total users."]


def test_the_recorded_refusal_of_a_coin_is_no_list_of_candles(recordings: Path) -> None:
    recorded = json.loads((recordings / "hl_raw_api/candle_snapshot_error.json").read_text())
    with pytest.raises(InvalidInput):
        messages.decode_answer(str(recorded["body"]).encode(), list[messages.WireCandle])
