"""What one socket has read, the others need not read again; what they hear stays the same."""

import msgspec
import pytest

from market_scraper.connectors.hyperliquid.addresses import AddressTable
from market_scraper.connectors.hyperliquid.reader import FrameReader
from market_scraper.connectors.hyperliquid.session import Session
from market_scraper.connectors.hyperliquid.table import MarketTable
from market_scraper.connectors.hyperliquid.twins import MAX_BYTES, TAIL, Twins
from market_scraper.domain.market import Market
from market_scraper.domain.values import Symbol
from market_scraper.ports.sources import Heard, PrintsHeard

BTC = Symbol("BTC")
TRADES = {"type": "trades", "coin": "BTC"}


def frame(tid: int, *, size: str = "0.5") -> bytes:
    trade = {"coin": "BTC", "px": "97000.0", "sz": size, "time": 1_000 + tid, "tid": tid}
    return msgspec.json.encode(
        {"channel": "trades", "data": [{**trade, "users": [f"0x{1:040x}", f"0x{2:040x}"]}]}, order=None
    )


def listing(sz_decimals: int) -> Market:
    return Market(symbol=BTC, sz_decimals=sz_decimals, max_leverage=40)


@pytest.fixture
def table() -> MarketTable:
    made = MarketTable((BTC,))
    made.learn([listing(5)])
    return made


def reader(table: MarketTable, twins: Twins) -> FrameReader:
    session = Session()
    session.want([TRADES])
    session.opened(0.0)
    session.due(0.0)
    session.confirmed("subscribe", TRADES, 0.0)
    return FrameReader(session, table, AddressTable(), twins)


def prints_of(heard: Heard) -> PrintsHeard:
    assert isinstance(heard, PrintsHeard)
    return heard


def test_the_second_socket_hears_the_very_prints_of_the_first(table: MarketTable) -> None:
    twins = Twins()
    one, two = reader(table, twins), reader(table, twins)
    first, second = prints_of(one.read(frame(1), 0.0)), prints_of(two.read(frame(1), 1.0))
    assert second == first
    assert second.prints is first.prints


def test_each_socket_has_a_replay_of_its_own(table: MarketTable) -> None:
    twins = Twins()
    one, two = reader(table, twins), reader(table, twins)
    assert [prints_of(one.read(frame(n), 0.0)).replay for n in (1, 2)] == [True, False]
    assert [prints_of(two.read(frame(n), 0.0)).replay for n in (2, 1)] == [True, False]


def test_a_listing_that_changes_changes_the_lot_on_no_socket(table: MarketTable) -> None:
    twins = Twins()
    one, two = reader(table, twins), reader(table, twins)
    assert prints_of(one.read(frame(1), 0.0)).prints[0].lots == 50_000
    table.learn([listing(3)])
    assert [prints_of(socket.read(frame(1), 0.0)).prints[0].lots for socket in (one, two)] == [50_000, 50_000]


def test_frames_that_cannot_be_read_are_lost_on_every_socket(table: MarketTable) -> None:
    twins = Twins()
    broken = frame(1, size="0.1234567")
    heard = [reader(table, twins).read(broken, 0.0) for _ in range(2)]
    assert heard[0] == heard[1]
    assert not isinstance(heard[0], PrintsHeard)


def test_a_frame_is_read_once_for_three_sockets_and_forgotten_after_the_last(table: MarketTable) -> None:
    twins = Twins()
    sockets = [reader(table, twins) for _ in range(3)]
    for socket in sockets[:2] + sockets:
        socket.read(frame(1), 0.0)  # by then each is known to hear trades
    heard = [prints_of(socket.read(frame(9), 1.0)).prints for socket in sockets]
    assert heard[0] is heard[1] is heard[2]
    again = prints_of(sockets[0].read(frame(9), 2.0)).prints
    assert again == heard[0]
    assert again is not heard[0]


def test_frames_that_end_alike_are_told_apart(table: MarketTable) -> None:
    twins = Twins()
    one, two = reader(table, twins), reader(table, twins)
    last = frame(9).partition(b"[")[2]
    frames = [frame(n)[:-2] + b"," + last for n in (1, 2)]
    assert frames[0][-TAIL:] == frames[1][-TAIL:]
    for socket in (one, two):
        heard = [prints_of(socket.read(data, 0.0)).prints for data in frames]
        assert [[p.tid for p in prints] for prints in heard] == [[1, 9], [2, 9]]


def test_what_is_remembered_is_bounded() -> None:
    twins = Twins(capacity=2)
    heard = PrintsHeard(BTC, (), replay=False)
    for tid in range(5):
        twins.keep(frame(tid), listing(5), heard)
    assert [twins.take(frame(tid)) is None for tid in range(5)] == [True, True, True, False, False]
    long = frame(9).ljust(MAX_BYTES + 1)
    twins.keep(long, listing(5), heard)
    assert twins.take(long) is None
