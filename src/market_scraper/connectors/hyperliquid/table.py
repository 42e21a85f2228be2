"""The followed markets as this connector knows them: what a coin's lot is, and which coins are ours at all."""

from collections.abc import Callable, Iterable

import msgspec

from market_scraper.domain.market import Market
from market_scraper.domain.values import Symbol


class MarketTable:
    """Shared by the REST side, which fills it, and the sockets, which read it. Other coins are dropped at the door."""

    def __init__(self, symbols: Iterable[Symbol]) -> None:
        self.symbols = frozenset(symbols)
        self._markets: dict[str, Market] = {}
        self.get: Callable[[str], Market | None] = self._markets.get
        """Gives the followed market of that name, or None: asked of every position of every account."""

    @property
    def dexes(self) -> tuple[str, ...]:
        """The main dex and those of the followed symbols, in order of name ("" first)."""
        return tuple(sorted({"", *(dex_of(symbol) for symbol in self.symbols)}))

    @property
    def is_empty(self) -> bool:
        """True until the first listing came: no size can be read before."""
        return not self._markets

    def learn(self, markets: Iterable[Market]) -> list[Market]:
        """Take over a listing and give it as it is known here; a market that is no longer in it keeps its last one.

        A followed coin keeps the lot that it was first listed with, for everything that counts in lots was counted in
        that one. Nothing is read wrongly so: a size is a decimal number of coins, and what is no whole number of our
        lots is refused as a print (which begins a gap) and helps no position as an answer. The next start takes the
        new lot.
        """
        known: list[Market] = []
        for market in markets:
            if market.symbol in self.symbols:
                before = self._markets.get(market.symbol, market)
                market = msgspec.structs.replace(market, sz_decimals=before.sz_decimals)
                # The same object while nothing has changed: frames that were read with it stay good.
                market = self._markets[market.symbol] = before if market == before else market
            known.append(market)
        return known


def dex_of(symbol: str) -> str:
    """The dex that a coin's name says: `xyz` of `xyz:TSLA`, "" of `BTC`."""
    return symbol.partition(":")[0] if ":" in symbol else ""
