"""Sixty real prints (30 BTC, 30 ETH of 2026-07-07) move the ledger as computed by hand."""

import json
from collections import Counter, defaultdict
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from market_scraper.connectors.hyperliquid import parse
from market_scraper.connectors.hyperliquid.addresses import AddressTable
from market_scraper.connectors.hyperliquid.messages import WireTrade
from market_scraper.domain.events import PositionChanged
from market_scraper.domain.market import Market, Print
from market_scraper.domain.positions import PositionState
from market_scraper.domain.rules import PositionRules
from market_scraper.domain.values import Address, Symbol
from market_scraper.domain.watch import CoinWatch

MARKETS = {
    "BTC": Market(symbol=Symbol("BTC"), sz_decimals=5, max_leverage=40),
    "ETH": Market(symbol=Symbol("ETH"), sz_decimals=4, max_leverage=25),
}

# Added up on paper from the file: one number for each block in which the trader had prints, in lots, first to last.
# 0xf5d8 bought 0.03149 + 0.02886 + 0.0267 + 0.03105 + 0.03056 + 0.09198 = 0.24064 in one block, then 0.06751, ...
# 0x362c and 0xe420 were sold to by the aggressor's side "B" and "A" alike: place in `users` decides, never `side`.
BY_HAND = {
    ("BTC", "0xf5d81a135f756ca16544e53c20fc20643ec3ad53"): [24_064, 30_815, 31_283, 44_797],
    ("BTC", "0x362c5006ed0a405c35df4a138cb38d891f1a1a20"): [-2_665, -6_525, -6_543, -8_377],
    ("BTC", "0xbeadf095900480c9d68ab796d5b75920a0d95d84"): [15_701],
    ("BTC", "0x9f6fed26339789725b0751f57aeac23367ceee57"): [-20_832],
    ("BTC", "0xe420daae8cfe99eb97ac34c8d7d610cfc69df865"): [-75_333],
    ("ETH", "0x28839a9fc4a6465000c5c5775983742545ce5ca5"): [83_691],
    ("ETH", "0xd4c1f7e8d876c4749228d515473d36f919583d1d"): [1_900, 9_500],
    ("ETH", "0x2b23d15bd4da0905f1b2dc5b9a3d8d4d0875914f"): [-7_300, -7_304, -12_794, -12_855],
}


@pytest.fixture
def lines(recordings: Path) -> list[str]:
    return (recordings / "hl_raw_api" / "trades_with_users_60.jsonl").read_text().splitlines()


def facts_of(coin: str, lines: list[str]) -> list[PositionChanged]:
    """The recorded prints of a coin as one live frame behind a replay of older blocks, through decoder and ledger."""
    wire = [t for line in lines if (t := msgspec.json.decode(line, type=WireTrade, strict=False)).coin == coin]
    heard = parse.prints_heard(wire, MARKETS.get, AddressTable(), replay=False)
    watch = CoinWatch(MARKETS[coin], PositionRules())
    nobody = Address("0x" + "0" * 40)
    older = Print(heard.prints[0].time_ms - 1_000, 1, 1, heard.prints[0].px, nobody, nobody)
    watch.hear_prints("s1", [older], replay=True, now_s=0.0, known_at_ms=older.time_ms)
    facts = watch.hear_prints("s1", heard.prints, replay=False, now_s=1.0, known_at_ms=heard.prints[-1].time_ms)
    return [fact for fact in facts if isinstance(fact, PositionChanged)]


@pytest.mark.parametrize(("coin", "trader"), BY_HAND)
def test_a_traders_net_after_each_block_is_what_was_added_up_on_paper(lines: list[str], coin: str, trader: str) -> None:
    own = [fact.after for fact in facts_of(coin, lines) if fact.after.trader == trader]
    assert [after.net_lots for after in own] == BY_HAND[coin, trader]
    assert {(after.state, after.lots) for after in own} == {(PositionState.UNKNOWN, None)}


@pytest.mark.parametrize(("coin", "traders", "blocks"), [("BTC", 28, 13), ("ETH", 33, 18)])
def test_everybodys_net_is_the_decimal_sum_of_the_file_and_all_nets_are_nothing_in_sum(
    lines: list[str], coin: str, traders: int, blocks: int
) -> None:
    sums: defaultdict[str, Decimal] = defaultdict(Decimal)
    changes: Counter[str] = Counter()
    seen: set[tuple[str, int]] = set()
    for row in map(json.loads, lines):
        if row["coin"] == coin:
            for trader, sign in zip(row["users"], (1, -1), strict=True):
                sums[trader] += sign * Decimal(row["sz"])
                changes[trader] += (trader, row["time"]) not in seen
                seen.add((trader, row["time"]))
    facts = facts_of(coin, lines)
    last = {fact.after.trader: fact.after for fact in facts}
    decimals = MARKETS[coin].sz_decimals
    assert {trader: Decimal(after.net_lots).scaleb(-decimals) for trader, after in last.items()} == sums
    assert {trader: after.changes for trader, after in last.items()} == changes
    assert sum(after.net_lots for after in last.values()) == 0
    assert (len(last), len({fact.after.t_ms for fact in facts})) == (traders, blocks)
