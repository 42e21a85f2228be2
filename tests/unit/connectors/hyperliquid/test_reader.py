"""A socket's frames become what collectors hear, and the session is told what it must know."""

import json

import pytest

from market_scraper.connectors.hyperliquid.addresses import AddressTable
from market_scraper.connectors.hyperliquid.reader import MAX_NOTES, PULSE, FrameReader
from market_scraper.connectors.hyperliquid.session import Session
from market_scraper.connectors.hyperliquid.table import MarketTable
from market_scraper.domain.market import Candle, Market
from market_scraper.domain.values import Interval, Symbol
from market_scraper.ports.sources import CandleHeard, FrameLost, PrintsHeard, PulseHeard, TradesSubscribed

BTC = Symbol("BTC")
TRADES: dict[str, object] = {"type": "trades", "coin": "BTC"}


def frame(channel: str, data: object) -> bytes:
    return json.dumps({"channel": channel, "data": data}).encode()


def trades(sz: str = "0.1", coin: str = "BTC") -> bytes:
    match = {"coin": coin, "px": "1", "sz": sz, "time": 5, "tid": 1, "users": ["0x" + "a" * 40, "0x" + "b" * 40]}
    return frame("trades", [match])


def answer(method: str) -> bytes:
    return frame("subscriptionResponse", {"method": method, "subscription": TRADES})


@pytest.fixture
def reader() -> FrameReader:
    table = MarketTable([BTC, Symbol("ETH")])
    table.learn([Market(symbol=BTC, sz_decimals=5, max_leverage=40)])
    session = Session()
    session.want([TRADES])
    session.opened(0.0)
    session.due(0.0)
    return FrameReader(session, table, AddressTable())


def replays(reader: FrameReader, *frames: bytes) -> list[bool]:
    heard = [reader.read(data, 1.0) for data in frames]
    return [one.replay for one in heard if isinstance(one, PrintsHeard)]


def test_only_the_first_frame_after_a_subscribe_is_a_replay(reader: FrameReader) -> None:
    assert reader.read(answer("subscribe"), 1.0) == TradesSubscribed(BTC)
    assert replays(reader, trades(), trades()) == [True, False]


def test_the_replay_may_come_before_the_confirmation(reader: FrameReader) -> None:
    assert replays(reader, trades(), answer("subscribe"), trades()) == [True, False]


def test_an_unreadable_replay_leaves_the_next_frame_to_open_the_stretch(reader: FrameReader) -> None:
    assert replays(reader, answer("subscribe"), trades(sz="0.000001"), trades(), trades()) == [True, False]


def test_a_confirmation_is_told_once(reader: FrameReader) -> None:
    reader.read(answer("subscribe"), 1.0)
    assert reader.read(answer("subscribe"), 1.1) is PULSE


def test_a_frame_of_no_prints_loses_none_and_is_no_news(reader: FrameReader) -> None:
    assert reader.read(frame("trades", []), 1.0) is PULSE
    assert (reader.parked, reader.notes) == (0, [])


def test_a_bar_is_read_alone_and_in_a_list_of_which_the_newest_forms(reader: FrameReader) -> None:
    old = {"t": 60_000, "T": 119_999, "s": "BTC", "i": "1m", "o": "2", "c": "3", "h": "4", "l": "1", "v": "5", "n": 6}
    new = old | {"t": 120_000, "c": "2.5"}
    expected = CandleHeard(BTC, Interval.M1, Candle(t_ms=120_000, o=2.0, h=4.0, l=1.0, c=2.5, v=5.0, n=6))
    assert [reader.read(frame("candle", data), 1.0) for data in (new, [new], [new, old], [])] == [
        *[expected] * 3,
        PULSE,
    ]
    assert reader.parked == 0


def test_a_broken_frame_of_a_foreign_coin_may_be_a_broken_one_of_ours(reader: FrameReader) -> None:
    lost = reader.read(trades(coin="BTD"), 1.0)
    assert isinstance(lost, FrameLost)
    assert lost.symbol is None


def test_a_coin_that_is_followed_but_not_listed_is_lost_for_itself(reader: FrameReader) -> None:
    lost = reader.read(trades(coin="ETH"), 1.0)
    assert isinstance(lost, FrameLost)
    assert lost.symbol == "ETH"


def test_every_frame_says_that_the_socket_lives(reader: FrameReader) -> None:
    for data in (b'{"channel":"pong"}', b"Websocket connection established.", frame("error", "what"), frame("news", 1)):
        assert isinstance(reader.read(data, 1.0), PulseHeard)


def test_the_same_complaint_is_noted_once_a_connection(reader: FrameReader) -> None:
    for _ in range(3):
        reader.read(frame("error", "Cannot send more than 2000 messages per minute."), 1.0)
    assert len(reader.notes) == 1
    reader.opened()
    reader.read(frame("error", "Cannot send more than 2000 messages per minute."), 1.0)
    assert len(reader.notes) == 2


def test_nonsense_without_end_does_not_fill_the_log(reader: FrameReader) -> None:
    for number in range(1_000):
        reader.read(frame("error", f"error {number}"), 1.0)
    assert len(reader.notes) == MAX_NOTES
