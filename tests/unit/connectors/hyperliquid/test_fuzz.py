"""Whatever the venue sends, it is decoded into something sensible or parked with a reason; nothing crashes."""

import json
import math
from collections.abc import Callable
from typing import Any

import pytest

from market_scraper.connectors.hyperliquid import leaderboard, messages, parse
from market_scraper.connectors.hyperliquid.addresses import AddressTable
from market_scraper.connectors.hyperliquid.reader import FrameReader
from market_scraper.connectors.hyperliquid.session import Session
from market_scraper.connectors.hyperliquid.table import MarketTable
from market_scraper.domain.errors import InvalidInput
from market_scraper.domain.market import Candle, Market, MarketContext
from market_scraper.domain.positions import AccountSnapshot
from market_scraper.domain.traders import LeaderboardRow
from market_scraper.domain.values import Address, Interval, Symbol, parse_address, parse_symbol
from market_scraper.ports.sources import (
    AccountHeard,
    CandleHeard,
    ContextHeard,
    FrameLost,
    Heard,
    PrintsHeard,
    PulseHeard,
    TimeHeard,
)
from tests.unit.connectors.hyperliquid.mutation import PROOF_SCALE, mutants

DEFAULT, FULL = 100_000, max(1_000, int(1_000_000 * PROOF_SCALE))

USERS = [Address("0x" + "ab" * 20), Address("0x" + "0c" * 20)]
HASH = "0x" + "0" * 64
BTC = Symbol("BTC")


def table() -> MarketTable:
    listed = MarketTable([BTC, Symbol("xyz:TSLA")])
    listed.learn(
        [
            Market(symbol=BTC, sz_decimals=5, max_leverage=40),
            Market(symbol=Symbol("xyz:TSLA"), sz_decimals=3, max_leverage=10, dex="xyz"),
        ]
    )
    return listed


def wire(body: object) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode()


def frame(channel: str, data: object) -> bytes:
    return wire({"channel": channel, "data": data})


def trade(tid: int, coin: str = "BTC") -> dict[str, object]:
    match = {"coin": coin, "side": "B", "px": "72581.0", "sz": "0.017", "time": 1787259217020, "hash": HASH, "tid": tid}
    return match | {"users": USERS}


CONTEXT = {"funding": "0.0000125", "openInterest": "28611.12", "prevDayPx": "83697.0", "dayNtlVlm": "1169046000.29"}
CONTEXT |= {"premium": "0.0003", "oraclePx": "83650.0", "markPx": "83655.0", "midPx": "83655.5"}
BAR = {"t": 1757000040000, "T": 1757000099999, "s": "BTC", "i": "1m", "o": "83650.0", "c": "83661.0", "h": "83670.0"}
BAR |= {"l": "83640.0", "v": "12.34567", "n": 187}
POSITION: dict[str, object] = {
    "coin": "BTC",
    "szi": "-1.25",
    "leverage": {"type": "isolated", "value": 20, "rawUsd": "-95.05"},
}
POSITION |= {"entryPx": "2986.3", "unrealizedPnl": "-0.0134", "liquidationPx": None, "maxLeverage": 50}
MARGIN = {"accountValue": "13109.482328", "totalNtlPos": "100.02765"}
ACCOUNT = {"marginSummary": MARGIN, "assetPositions": [{"type": "oneWay", "position": POSITION}], "time": 1708622398623}
META = {"universe": [{"name": "BTC", "szDecimals": 5, "maxLeverage": 40}, {"name": "kPEPE", "szDecimals": 0}]}
WINDOW = {"pnl": "644054.375913", "roi": "0.0133582723", "vlm": "3250555746.66"}
ROW = {"ethAddress": USERS[0], "accountValue": "-48857952.33", "prize": 0, "displayName": "2 fr\u00e8res"}
ROW |= {"windowPerformances": [["day", WINDOW], ["allTime", WINDOW]]}
SUBSCRIPTION = {"method": "subscribe", "subscription": {"type": "trades", "coin": "BTC"}}

FRAMES = {
    "trades": [frame("trades", [trade(1), trade(2)]), frame("trades", [trade(3)])],
    "bbo": [frame("bbo", {"coin": "BTC", "time": 1757000041234, "bbo": [{"px": "1.0", "sz": "1.2", "n": 4}, None]})],
    "allMids": [
        frame("allMids", {"mids": {"BTC": "83655.5", "@107": "91.2"}}),
        frame("allMids", {"mids": {}, "dex": "x"}),
    ],
    "candle": [frame("candle", BAR)],
    "activeAssetCtx": [frame("activeAssetCtx", {"coin": "BTC", "ctx": CONTEXT})],
    "clearinghouseState": [frame("clearinghouseState", {"dex": "", "user": USERS[0], "clearinghouseState": ACCOUNT})],
    "control": [
        frame("subscriptionResponse", SUBSCRIPTION),
        frame("subscriptionResponse", SUBSCRIPTION | {"method": "unsubscribe"}),
        frame("error", "Cannot track more than 15 total users."),
        frame("error", 'Invalid subscription {"type":"trades","coin":"BTC"}'),
        b'{"channel":"pong"}',
        b"Websocket connection established.",
    ],
}


def finite(*values: float | None) -> bool:
    return all(value is None or math.isfinite(value) for value in values)


def sensible_candle(candle: Candle) -> bool:
    return (
        0 < candle.l <= candle.o <= candle.h < math.inf
        and candle.l <= candle.c <= candle.h
        and 0 <= candle.v < math.inf
    )


def sensible_context(context: MarketContext) -> bool:
    return finite(context.mark, context.mid, context.open_interest, context.funding, context.day_volume_usd)


def sensible_account(snapshot: AccountSnapshot) -> bool:
    coins = [held.symbol for held in snapshot.positions]
    return (
        finite(snapshot.account_value)
        and len(set(coins)) == len(coins)
        and 0 not in (h.lots for h in snapshot.positions)
    )


def sensible_row(row: LeaderboardRow) -> bool:
    windows = [window for window in (row.day, row.week, row.month, row.all_time) if window is not None]
    return (
        parse_address(row.trader) == row.trader
        and finite(row.account_value)
        and all(finite(window.pnl, window.roi) and 0 <= window.vlm < math.inf for window in windows)
    )


def sensible(heard: Heard) -> bool:
    match heard:
        case PrintsHeard(symbol, prints):
            return symbol in ("BTC", "xyz:TSLA") and all(
                0 < match.lots < 2**50
                and 0 < match.px < math.inf
                and 0 <= match.time_ms < 2**48
                and 0 <= match.tid < 2**63
                and len(match.buyer) == len(match.seller) == 42
                for match in prints
            )
        case TimeHeard(symbol, time_ms):
            return parse_symbol(symbol) == symbol and 0 <= time_ms < 2**48
        case PulseHeard(mids):
            return all(0 < mid < math.inf for mid in mids.values())
        case CandleHeard(_, interval, candle):
            return candle.t_ms % interval.ms == 0 and sensible_candle(candle)
        case ContextHeard(context):
            return sensible_context(context)
        case AccountHeard(snapshot):
            return sensible_account(snapshot)
        case FrameLost(_, reason):
            return bool(reason)
        case _:
            return True


def read_frames(name: str, count: int) -> None:
    session = Session()
    session.want([{"type": "trades", "coin": "BTC"}])
    reader = FrameReader(session, table(), AddressTable(1_000))
    for seed in FRAMES[name]:
        reader.read(seed, 0.0)
    assert reader.parked == 0  # the seeds themselves are good
    session.opened(0.0)
    for data in mutants(FRAMES[name], count):
        try:
            heard = reader.read(data, 0.0)
        except Exception as error:
            error.add_note(repr(data[:2_000]))
            raise
        assert sensible(heard), data
    assert name == "control" or reader.parked > count / 10


def markets_answer(data: bytes) -> bool:
    return all(parse_symbol(m.symbol) for m in parse.markets(messages.decode_answer(data, messages.WireMeta), ""))


def contexts_answer(data: bytes) -> bool:
    answer = messages.decode_answer(data, tuple[messages.WireMeta, list[messages.WireAssetContext]])
    good, _ = parse.contexts(answer)
    return all(map(sensible_context, good))


def dexes_answer(data: bytes) -> bool:
    return isinstance(parse.dex_names(messages.decode_answer(data, list[messages.WirePerpDex | None])), set)


def candles_answer(data: bytes) -> bool:
    good, _ = parse.candles(messages.decode_answer(data, list[messages.WireCandle]), BTC, Interval.M1)
    return all(map(sensible_candle, good))


def account_answer(data: bytes) -> bool:
    return sensible_account(
        parse.account(USERS[0], "", messages.decode_answer(data, messages.WireAccount), table().get)
    )


def leaderboard_answer(data: bytes) -> bool:
    tally = leaderboard.Tally()
    read = [row for part in leaderboard.slices(data, tally, piece_bytes=50) for row in part]
    return len(read) == tally.read and all(map(sensible_row, read))


Answer = tuple[list[object], Callable[[bytes], bool]]
ANSWERS: dict[str, Answer] = {
    "meta": ([META], markets_answer),
    "metaAndAssetCtxs": ([[META, [CONTEXT, CONTEXT | {"midPx": None}]]], contexts_answer),
    "perpDexs": ([[None, {"name": "xyz", "deployer": USERS[0], "oracleUpdater": None}]], dexes_answer),
    "candleSnapshot": ([[BAR, BAR | {"t": 1757000100000}]], candles_answer),
    "account": ([ACCOUNT, ACCOUNT | {"assetPositions": []}], account_answer),
    "leaderboard": ([{"leaderboardRows": [ROW, ROW | {"ethAddress": USERS[1]}]}], leaderboard_answer),
}


def read_answers(name: str, count: int) -> None:
    bodies, read = ANSWERS[name]
    seeds = [wire(body) for body in bodies]
    parked = 0
    assert all(read(seed) for seed in seeds)
    for data in mutants(seeds, count):
        try:
            assert read(data), data
        except InvalidInput as error:
            parked += bool(str(error))
        except Exception as error:
            error.add_note(repr(data[:2_000]))
            raise
    assert parked > count / 10


@pytest.mark.parametrize("name", FRAMES)
def test_no_mutated_frame_crashes_the_reader(name: str) -> None:
    read_frames(name, DEFAULT)


@pytest.mark.parametrize("name", ANSWERS)
def test_no_mutated_answer_crashes_its_decoder(name: str) -> None:
    read_answers(name, DEFAULT)


@pytest.mark.proof
@pytest.mark.parametrize("name", [*FRAMES, *ANSWERS])
def test_a_million_mutants_of_each_are_decoded_or_parked(name: str) -> None:
    read: Any = read_frames if name in FRAMES else read_answers
    read(name, FULL)
