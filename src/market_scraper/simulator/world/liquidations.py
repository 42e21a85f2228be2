"""Watches for the price that liquidates a position."""

import heapq

from market_scraper.simulator.world.accounts import Accounts
from market_scraper.simulator.world.holdings import Holding, Holdings
from market_scraper.simulator.world.people import Trader

_SLACK = 1000  # entries that a heap may hold over four times its living ones before it is built anew


class LiquidationWatch:
    """Two heaps a coin: longs by falling, shorts by rising liquidation price. Entries of old versions are skipped."""

    def __init__(self, traders: list[Trader], holdings: Holdings, accounts: Accounts, coins: int) -> None:
        self._traders = traders
        self._holdings = holdings
        self._accounts = accounts
        # (key, trader, version): key = -price of longs, price of shorts, so that the nearest is first.
        self._longs: list[list[tuple[float, int, int]]] = [[] for _ in range(coins)]
        self._shorts: list[list[tuple[float, int, int]]] = [[] for _ in range(coins)]
        self._waiting: list[list[int]] = [[] for _ in range(coins)]  # who has not been looked at in this round

    def note(self, trader: int, coin: int, at_ms: int) -> None:
        """A trader's position changed: all its positions on that dex stand differently now."""
        if not self._traders[trader].liquidatable:
            return
        dex_no = self._accounts.dex_of(coin)
        for held in self._holdings.by_trader[trader]:
            if held.lots and self._accounts.dex_of(held.coin) == dex_no:
                self._push(held, at_ms)

    def due(self, coin: int, mark: int, at_ms: int) -> list[Holding]:
        """Holdings that `mark` liquidates, nearest first. What turned out to stand well is put back."""
        self._look_at_one(coin, at_ms)
        found: dict[int, Holding] = {}
        again: dict[int, Holding] = {}
        for heap, sign in ((self._longs[coin], -1), (self._shorts[coin], 1)):
            while heap and heap[0][0] <= sign * mark:
                _, trader, version = heapq.heappop(heap)
                held = self._holdings.by_coin[coin][trader]
                if version != held.version or held.lots * sign >= 0 or trader in found:
                    continue
                units = self._accounts.liquidation_units_now(held, at_ms)
                if sign * units <= sign * mark:
                    found[trader] = held
                else:
                    again[trader] = held
        for held in again.values():
            self._push(held, at_ms)
        return list(found.values())

    def _look_at_one(self, coin: int, at_ms: int) -> None:
        """What a cross position can bear also hangs on the account's other coins; look at everybody now and then."""
        waiting = self._waiting[coin]
        if not waiting:
            waiting.extend(self._holdings.by_coin[coin])
        if waiting:
            held = self._holdings.by_coin[coin][waiting.pop()]
            if held.lots and self._traders[held.trader].liquidatable:
                self._push(held, at_ms)

    def _push(self, held: Holding, at_ms: int) -> None:
        units = self._accounts.liquidation_units_now(held, at_ms)
        heaps, key = (self._longs, -units) if held.lots > 0 else (self._shorts, units)
        heap = heaps[held.coin]
        heapq.heappush(heap, (key, held.trader, held.version))
        if len(heap) > 4 * len(self._holdings.by_coin[held.coin]) + _SLACK:
            heaps[held.coin] = self._rebuilt(heap, held.coin)

    def _rebuilt(self, heap: list[tuple[float, int, int]], coin: int) -> list[tuple[float, int, int]]:
        """Only the newest entry of each living version."""
        held = self._holdings.by_coin[coin]
        living = {entry[1]: entry for entry in heap if held[entry[1]].version == entry[2] and held[entry[1]].lots}
        rebuilt = list(living.values())
        heapq.heapify(rebuilt)
        return rebuilt
