"""What the venue says becomes what the house means, exactly, or is refused with a reason."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_scraper.connectors.hyperliquid import messages, parse
from market_scraper.connectors.hyperliquid.addresses import AddressTable
from market_scraper.connectors.hyperliquid.table import MarketTable
from market_scraper.domain.errors import InvalidInput, UndecodableFrame
from market_scraper.domain.market import Market
from market_scraper.domain.traders import Performance
from market_scraper.domain.values import Address, Interval, Symbol
from market_scraper.ports.sources import PrintsHeard, TimeHeard

BTC, ETH = Symbol("BTC"), Symbol("ETH")
BUYER, SELLER = "0x" + "ab" * 20, "0x" + "cd" * 20


def table() -> MarketTable:
    listed = MarketTable([BTC, ETH])
    listed.learn(
        [
            Market(symbol=BTC, sz_decimals=5, max_leverage=40),
            Market(symbol=ETH, sz_decimals=4, max_leverage=25),
            Market(symbol=Symbol("SOL"), sz_decimals=2, max_leverage=20),
        ]
    )
    return listed


def trade(**changed: object) -> dict[str, Any]:
    return {
        "coin": "BTC",
        "side": "A",
        "px": "63689.0",
        "sz": "0.02665",
        "time": 1783437800125,
        "hash": "0x" + "0" * 64,
        "tid": 401561496816179,
        "users": [BUYER, SELLER],
    } | changed


def heard(*trades: dict[str, Any]) -> PrintsHeard:
    frame = messages.decode_frame(json.dumps({"channel": "trades", "data": trades}).encode())
    assert isinstance(frame, messages.TradesFrame)
    return parse.prints_heard(frame.data, table().get, AddressTable(), replay=False)


def test_the_first_user_bought_whatever_the_side_says() -> None:
    for side in "AB":
        (match,) = heard(trade(side=side)).prints
        assert (match.buyer, match.seller) == (BUYER, SELLER)


def test_a_size_becomes_whole_lots() -> None:
    (match,) = heard(trade()).prints
    assert (match.lots, match.px, match.time_ms, match.tid) == (2665, 63689.0, 1783437800125, 401561496816179)


def test_the_recorded_prints_are_read_to_the_last_lot(recordings: Path) -> None:
    rows = [
        json.loads(line) for line in (recordings / "hl_raw_api/trades_with_users_60.jsonl").read_text().splitlines()
    ]
    decimals = {"BTC": 5, "ETH": 4}
    seen = 0
    for coin in decimals:
        mine = [row for row in rows if row["coin"] == coin]
        for row, match in zip(mine, heard(*mine).prints, strict=True):
            assert match.lots == Decimal(row["sz"]).scaleb(decimals[coin])
            assert Decimal(repr(match.px)) == Decimal(row["px"])
            assert (match.time_ms, match.tid) == (row["time"], row["tid"])
            assert [match.buyer, match.seller] == row["users"]
            seen += 1
    assert seen == 60


@given(lots=st.integers(1, 2**50 - 1), decimals=st.integers(0, 8))
def test_every_size_on_the_grid_keeps_its_lots(lots: int, decimals: int) -> None:
    wire = str(Decimal(lots).scaleb(-decimals))
    assert parse.signed_lots(float(wire), decimals) == lots
    assert parse.signed_lots(-float(wire), decimals) == -lots


@given(lots=st.integers(0, 2**40), tenths=st.integers(1, 9), decimals=st.integers(0, 6))
def test_no_size_between_two_lots_passes_for_one(lots: int, tenths: int, decimals: int) -> None:
    wire = str((Decimal(lots) + Decimal(tenths) / 10).scaleb(-decimals))
    assert parse.signed_lots(float(wire), decimals) is None


@pytest.mark.parametrize("sz", ["0.0", "-1", "nan", "inf", "0.000001", "0.026651", "1e300", 0])
@pytest.mark.parametrize("px", ["1.0", "nan"])
def test_a_senseless_size_loses_the_frame_for_its_coin(sz: object, px: str) -> None:
    with pytest.raises(UndecodableFrame) as caught:
        heard(trade(), trade(sz=sz, px=px))
    assert caught.value.coin == "BTC"


@pytest.mark.parametrize("px", ["0", "-3", "NaN", "Infinity"])
def test_a_senseless_price_loses_the_frame_for_its_coin(px: str) -> None:
    with pytest.raises(UndecodableFrame) as caught:
        heard(trade(px=px))
    assert caught.value.coin == "BTC"


def test_a_frame_of_two_coins_loses_every_coin() -> None:
    with pytest.raises(UndecodableFrame) as caught:
        heard(trade(), trade(coin="ETH", sz="0.1"))
    assert caught.value.coin is None


def test_a_print_of_nobody_loses_the_frame() -> None:
    with pytest.raises(UndecodableFrame) as caught:
        heard(trade(users=[BUYER, "0x1"]))
    assert caught.value.coin == "BTC"


def test_mixed_case_addresses_are_one_account() -> None:
    (match,) = heard(trade(users=["0x" + "AB" * 20, BUYER])).prints
    assert match.buyer is match.seller


def test_the_address_table_never_grows_past_its_capacity() -> None:
    addresses = AddressTable(capacity=10)
    for number in range(100):
        assert addresses.get(f"0x{number:040x}") == f"0x{number:040x}"
        assert len(addresses) <= 11


@pytest.mark.parametrize(
    ("data", "coin"),
    [
        (b'{"channel":"trades","data":[{"coin":"BTC","side":"B","px":"1.0","s', "BTC"),
        (b'{"channel":"trades","data":[{"coin":"BTC","px":"1.0","size":"1","users":[]}]}', "BTC"),
        (b'{"channel":"trades","data":[{"coin":"BT', None),
        (b'{"channel":"trades","data":[{"coin":"BTC"},{"coin":"ETH"', None),
        (b'{"channel":"tra', None),
        (b'{"channel":"prints","data":[{"coin":"BTC","users":["0x1","0x2"]}]}', "BTC"),
        (b"\xff\xfe", None),
        (b"", None),
        (b"[" * 100_000, None),
    ],
)
def test_a_frame_that_may_hold_prints_is_lost_for_its_coin(data: bytes, coin: str | None) -> None:
    with pytest.raises(UndecodableFrame) as caught:
        messages.decode_frame(data)
    assert caught.value.coin == coin


@pytest.mark.parametrize(
    "data",
    [
        b'{"channel":"allMids","data":{"mids":{"BTC":"1.0","@10',
        b'{"channel":"bbo","data":{"coin":"BTC","time":"soon"}}',
        b'{"data":{"mids":{"BTC":[]}},"channel":"allMids"}',
    ],
)
def test_a_broken_frame_of_a_channel_without_prints_loses_none(data: bytes) -> None:
    with pytest.raises(InvalidInput) as caught:
        messages.decode_frame(data)
    assert not isinstance(caught.value, UndecodableFrame)


@pytest.mark.parametrize(
    ("data", "channel"),
    [
        (b"Websocket connection established.", "greeting"),
        (b'{"channel":"userFills","data":{"user":"0x1","fills":[]}}', "userFills"),
    ],
)
def test_a_frame_that_is_not_for_us_is_named(data: bytes, channel: str) -> None:
    assert messages.decode_frame(data) == messages.OtherFrame(channel)


def test_unknown_keys_are_ignored() -> None:
    frame = messages.decode_frame(b'{"channel":"bbo","new":1,"data":{"coin":"BTC","time":5,"bbo":[null,null],"x":[]}}')
    assert isinstance(frame, messages.BboFrame)
    assert parse.time_heard(frame.data) == TimeHeard(BTC, 5)


def test_a_pong_has_no_data() -> None:
    assert isinstance(messages.decode_frame(b'{"channel":"pong"}'), messages.PongFrame)


def test_only_wanted_and_sensible_mids_come_through() -> None:
    frame = messages.decode_frame(
        b'{"channel":"allMids","data":{"mids":{"BTC":"1.5","ETH":"nan","@107":"2","X":null}}}'
    )
    assert isinstance(frame, messages.MidsFrame)
    assert parse.mids(frame.data, [BTC, ETH, Symbol("X"), Symbol("SOL")]) == {BTC: 1.5}


def test_a_halted_market_has_no_mid() -> None:
    wire = messages.decode_answer(
        b'{"funding":"0.0000125","openInterest":"2.5","prevDayPx":"1","dayNtlVlm":"9.5","premium":null,'
        b'"oraclePx":"1","markPx":"1.5","midPx":null,"impactPxs":null}',
        messages.WireAssetContext,
    )
    state = parse.context("BTC", wire)
    assert (state.mark, state.mid, state.open_interest, state.funding) == (1.5, None, 2.5, 0.0000125)


def account(*positions: tuple[str, str], value: str = "10.5") -> messages.WireAccount:
    entries = [{"type": "oneWay", "position": {"coin": coin, "szi": szi}} for coin, szi in positions]
    body = {"marginSummary": {"accountValue": value}, "assetPositions": entries, "time": 1700000000000}
    return messages.decode_answer(json.dumps(body).encode(), messages.WireAccount)


def test_an_account_answer_keeps_followed_open_positions_only() -> None:
    wire = account(("BTC", "-0.5"), ("SOL", "3"), ("ETH", "0.0"))
    snapshot = parse.account(Address(BUYER), "", wire, table().get)
    assert [(held.symbol, held.lots) for held in snapshot.positions] == [(BTC, -50_000)]


@pytest.mark.parametrize(
    ("held", "net_share"),
    [
        ((("BTC", "1", "300"), ("SOL", "-9", "100")), 0.5),  # a coin that is not followed counts too
        ((("BTC", "1", "100"), ("SOL", "-9", "100")), 0.0),
        ((("BTC", "-1", "100"),), 1.0),
        ((), None),
        ((("BTC", "1", None),), None),
        ((("BTC", "1", "nan"),), None),
    ],
)
def test_an_account_answer_says_how_far_its_positions_cancel(
    held: tuple[tuple[str, str, str | None], ...], net_share: float | None
) -> None:
    entries = [{"position": {"coin": coin, "szi": szi, "positionValue": value}} for coin, szi, value in held]
    body = {"marginSummary": {"accountValue": "10"}, "assetPositions": entries, "time": 1700000000000}
    wire = messages.decode_answer(json.dumps(body).encode(), messages.WireAccount)
    assert parse.account(Address(BUYER), "", wire, table().get).net_share == net_share


def test_an_account_size_off_the_grid_has_no_lots() -> None:
    (held,) = parse.account(Address(BUYER), "", account(("BTC", "0.123456")), table().get).positions
    assert held.lots is None


@pytest.mark.parametrize(
    "wire", [account(("BTC", "nan")), account(("BTC", "1"), ("BTC", "1")), account(value="inf")], ids=str
)
def test_a_senseless_account_answer_is_refused(wire: messages.WireAccount) -> None:
    with pytest.raises(InvalidInput):
        parse.account(Address(BUYER), "", wire, table().get)


def test_the_recorded_accounts_are_read(recordings: Path) -> None:
    folder = recordings / "hl_raw_api"
    long = messages.decode_answer((folder / "state_long.json").read_bytes(), messages.WireAccount)
    (held,) = parse.account(Address(BUYER), "", long, table().get).positions
    assert (held.symbol, held.lots, held.entry_px, held.leverage) == (BTC, 133_308_472, 78056.9, 3)
    assert held.liquidation_px is None
    flat = messages.decode_answer((folder / "state_flat.json").read_bytes(), messages.WireAccount)
    assert parse.account(Address(BUYER), "", flat, table().get).positions == ()


def bar(**changed: object) -> dict[str, Any]:
    return {
        "t": 60_000,
        "T": 119_999,
        "s": "BTC",
        "i": "1m",
        "o": "2",
        "c": "3",
        "h": "4",
        "l": "1",
        "v": "0.0",
        "n": 0,
    } | changed


def read_bars(*bars: dict[str, Any]) -> tuple[list[int], int]:
    wire = messages.decode_answer(json.dumps(bars).encode(), list[messages.WireCandle])
    good, parked = parse.candles(wire, BTC, Interval.M1)
    return [found.t_ms for found in good], len(parked)


def test_bars_come_sorted_and_once() -> None:
    assert read_bars(bar(t=120_000), bar(), bar()) == ([60_000, 120_000], 0)


@pytest.mark.parametrize(
    "changed",
    [
        {"h": "2.5"},
        {"l": "2.5"},
        {"l": "0"},
        {"v": "-1"},
        {"h": "inf"},
        {"o": "nan"},
        {"c": "nan"},
        {"t": 60_001},
        {"s": "ETH"},
        {"i": "2m"},
    ],
    ids=str,
)
def test_a_senseless_bar_is_parked_and_the_rest_goes_on(changed: dict[str, Any]) -> None:
    assert read_bars(bar(**changed), bar(t=120_000)) == ([120_000], 1)


def test_listings_keep_perps_of_their_own_dex() -> None:
    body = {"universe": [{"name": "BTC", "szDecimals": 5, "maxLeverage": 40}, {"name": "@1", "szDecimals": 1}]}
    meta = messages.decode_answer(json.dumps(body).encode(), messages.WireMeta)
    assert [market.symbol for market in parse.markets(meta, "")] == [BTC]
    assert parse.markets(meta, "xyz") == []


def test_contexts_belong_to_the_listing_of_their_place() -> None:
    body = [{"universe": [{"name": "BTC", "szDecimals": 5}, {"name": "ETH", "szDecimals": 4}]}, [{"openInterest": "1"}]]
    wire = messages.decode_answer(json.dumps(body).encode(), tuple[messages.WireMeta, list[messages.WireAssetContext]])
    with pytest.raises(InvalidInput):
        parse.contexts(wire)


def row(**changed: object) -> messages.WireLeaderboardRow:
    body = {
        "ethAddress": BUYER,
        "accountValue": "-5.5",
        "windowPerformances": [],
        "prize": 0,
        "displayName": None,
    } | changed
    return messages.decode_answer(json.dumps(body).encode(), messages.WireLeaderboardRow)


def test_a_negative_account_value_is_kept() -> None:
    assert parse.leaderboard_row(row()).account_value == -5.5


def test_windows_are_found_by_name_and_broken_ones_are_missing() -> None:
    windows = [
        ["allTime", {"pnl": "1.5", "roi": "0.5", "vlm": "9"}],
        ["day", {"pnl": "NaN", "roi": "0.5", "vlm": "9"}],
        ["week", {"pnl": "1", "roi": "inf", "vlm": "9"}],
        ["month", {"pnl": "1", "vlm": "9"}],
    ]
    read = parse.leaderboard_row(row(windowPerformances=windows))
    assert (read.day, read.week, read.month, read.all_time) == (None, None, None, Performance(1.5, 0.5, 9.0))


@pytest.mark.parametrize("changed", [{"ethAddress": "0x1"}, {"accountValue": "nan"}], ids=str)
def test_a_row_of_nobody_or_worth_nothing_known_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        parse.leaderboard_row(row(**changed))
