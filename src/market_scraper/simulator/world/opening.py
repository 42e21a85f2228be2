"""The positions and balances with which the world begins."""

import random
from array import array

from market_scraper.simulator.world.facts import Kind
from market_scraper.simulator.world.holdings import Holdings
from market_scraper.simulator.world.markets import Market
from market_scraper.simulator.world.path import PricePath, snap
from market_scraper.simulator.world.people import MAKER_KINDS, Trader

_HIP3_SHARE = 0.3  # of the money of those who trade there


def open_positions(
    seed: int, start_ms: int, traders: list[Trader], markets: tuple[Market, ...], paths: list[PricePath], held: Holdings
) -> None:
    """Give traders positions from before the start, in each coin summing to zero."""
    rng = random.Random(f"opening:{seed}")
    children = [trader for trader in traders if trader.kind is Kind.VAULT_CHILD]
    sums = [0] * len(markets)
    for trader in traders:
        if trader.kind in MAKER_KINDS:
            continue
        chance = 0.5 if trader.kind is Kind.DORMANT else 0.55
        for coin in trader.coins:
            if rng.random() >= chance:
                continue
            usd = trader.cap_usd * rng.uniform(0.1, 0.8)
            if trader.gambles:  # some have lost already, and stand between initial and maintenance margin
                usd = trader.value_usd * min(trader.leverage, markets[coin].max_leverage) * rng.uniform(0.8, 1.9)
            size = int(usd * 1e6 / paths[coin].mark_at(start_ms))
            if size == 0:
                continue
            balanced = rng.random() < 0.85
            side = (-1 if sums[coin] > 0 else 1) if balanced else rng.choice((-1, 1))
            sums[coin] += side * size
            _begin(held, trader, coin, side * size, markets, paths, start_ms, rng)
    for coin, rest in enumerate(sums):
        if rest:
            _begin(held, children[coin % len(children)], coin, -rest, markets, paths, start_ms, rng)
        held.open_interest[coin] = sum(one.lots for one in held.open_holdings(coin) if one.lots > 0)
        held.note_open_interest(coin, start_ms)


def opening_balances(
    start_ms: int,
    traders: list[Trader],
    markets: tuple[Market, ...],
    paths: list[PricePath],
    held: Holdings,
    dexes: tuple[str, ...],
) -> "list[array[int]]":
    """`totalRawUsd` per dex and trader in millionths of a USD, so that equity at the start is the trader's money."""
    balances = [array("q", bytes(8 * len(traders))) for _ in dexes]
    for trader in traders:
        if trader.kind in (Kind.SPOT_HOLDER, Kind.PHANTOM):
            continue  # their money is not in perps
        money = round(trader.value_usd * 1e6)
        on_hip3 = any(markets[coin].dex != dexes[0] for coin in trader.coins)
        on_main = any(markets[coin].dex == dexes[0] for coin in trader.coins)
        if len(dexes) > 1 and on_hip3:
            there = round(money * _HIP3_SHARE) if on_main else money
            balances[1][trader.index] = there
            money -= there
        balances[0][trader.index] = money
    for holdings in held.by_trader:
        for one in holdings:
            dex_no = dexes.index(markets[one.coin].dex)
            balances[dex_no][one.trader] -= one.lots * paths[one.coin].mark_at(start_ms)
    return balances


def _begin(
    held: Holdings,
    trader: Trader,
    coin: int,
    lots: int,
    markets: tuple[Market, ...],
    paths: list[PricePath],
    start_ms: int,
    rng: random.Random,
) -> None:
    mark = paths[coin].mark_at(start_ms)
    # Not so far away that the position would have been liquidated before the beginning.
    away = rng.gauss(0.0, min(markets[coin].day_volatility, 0.12 / trader.leverage))
    entry = snap(markets[coin], round(mark * (1 + away)))
    funding = round(abs(lots) * mark * rng.gauss(0.0, 0.002))
    held.get(trader.index, coin).begin(lots, lots * entry, funding, start_ms)
