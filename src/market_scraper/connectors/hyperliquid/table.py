"""The followed markets as this connector knows them: what a coin's lot is, and which coins are ours at all."""

from collections.abc import Callable, Iterable

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

    def learn(self, markets: Iterable[Market]) -> None:
        """Take over a listing; a market that is no longer in it keeps its last one."""
        self._markets.update((market.symbol, market) for market in markets if market.symbol in self.symbols)


def dex_of(symbol: str) -> str:
    """The dex that a coin's name says: `xyz` of `xyz:TSLA`, "" of `BTC`."""
    return symbol.partition(":")[0] if ":" in symbol else ""
