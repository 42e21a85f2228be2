"""The collected markets: listings, prices and the bars that are still forming."""

from collections.abc import Sequence

from market_scraper.domain.events import CandleFormed, CandlesClosed, MarketContextChanged, MarketsListed
from market_scraper.domain.market import Candle, Market, MarketContext
from market_scraper.domain.values import Interval, Symbol


class LiveMarkets:
    """Implements `ports.views.MarketsView`."""

    def __init__(self) -> None:
        self._markets: dict[Symbol, Market] = {}
        self._contexts: dict[Symbol, tuple[MarketContext, int]] = {}
        self._forming: dict[tuple[Symbol, Interval], Candle] = {}

    def apply(self, event: MarketsListed | MarketContextChanged | CandleFormed | CandlesClosed) -> None:
        """Take the next event, in the bus's order."""
        match event:
            case MarketsListed():
                self._markets = {market.symbol: market for market in event.markets}
            case MarketContextChanged(context=context):
                known = self._contexts.get(context.symbol)
                if known is None or known[1] <= event.known_at_ms:
                    self._contexts[context.symbol] = (context, event.known_at_ms)
            case CandleFormed(symbol=symbol, interval=interval, candle=candle):
                forming = self._forming.get((symbol, interval))
                if forming is None or forming.t_ms <= candle.t_ms:
                    self._forming[symbol, interval] = candle
            case CandlesClosed(symbol=symbol, interval=interval, candles=candles):
                forming = self._forming.get((symbol, interval))
                if forming is not None and candles and forming.t_ms <= candles[-1].t_ms:
                    del self._forming[symbol, interval]

    def all(self) -> Sequence[Market]:
        """As listed by the venue."""
        return list(self._markets.values())

    def get(self, symbol: Symbol) -> Market | None:
        return self._markets.get(symbol)

    def context(self, symbol: Symbol) -> tuple[MarketContext, int] | None:
        return self._contexts.get(symbol)

    def forming(self, symbol: Symbol, interval: Interval) -> Candle | None:
        return self._forming.get((symbol, interval))
