"""The collected markets: listings, prices and the bars that are still forming."""

from collections.abc import Sequence

from market_scraper.domain.events import CandleFormed, CandlesClosed, MarketContextChanged, MarketsListed
from market_scraper.domain.market import Candle, Market, MarketContext
from market_scraper.domain.values import Interval, Symbol


class LiveMarkets:
    """Implements `ports.views.MarketsView`."""

    def __init__(self) -> None:
        self._markets: dict[Symbol, Market] = {}
        self._listed_at_ms = 0
        self._contexts: dict[Symbol, tuple[MarketContext, int]] = {}
        self._forming: dict[tuple[Symbol, Interval], Candle] = {}
        self._closed_ms: dict[tuple[Symbol, Interval], int] = {}  # the newest closed bar's t

    def apply(self, event: MarketsListed | MarketContextChanged | CandleFormed | CandlesClosed) -> None:
        """Take the next event, in the bus's order."""
        match event:
            case MarketsListed():
                if event.known_at_ms >= self._listed_at_ms:
                    self._listed_at_ms = event.known_at_ms
                    self._markets = {market.symbol: market for market in event.markets}
            case MarketContextChanged(context=context):
                known = self._contexts.get(context.symbol)
                if known is None or known[1] <= event.known_at_ms:
                    self._contexts[context.symbol] = (context, event.known_at_ms)
            case CandleFormed(symbol=symbol, interval=interval, candle=candle):
                series = symbol, interval
                forming = self._forming.get(series)
                is_new = forming is None or forming.t_ms <= candle.t_ms
                if is_new and candle.t_ms > self._closed_ms.get(series, -1):
                    self._forming[series] = candle
            case CandlesClosed(symbol=symbol, interval=interval, candles=candles) if candles:
                series = symbol, interval
                closed_ms = self._closed_ms[series] = max(candles[-1].t_ms, self._closed_ms.get(series, -1))
                forming = self._forming.get(series)
                if forming is not None and forming.t_ms <= closed_ms:
                    del self._forming[series]

    def all(self) -> Sequence[Market]:
        """As listed by the venue."""
        return list(self._markets.values())

    def get(self, symbol: Symbol) -> Market | None:
        return self._markets.get(symbol)

    def context(self, symbol: Symbol) -> tuple[MarketContext, int] | None:
        return self._contexts.get(symbol)

    def forming(self, symbol: Symbol, interval: Interval) -> Candle | None:
        return self._forming.get((symbol, interval))
