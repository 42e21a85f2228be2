from market_scraper.domain.events import CandleFormed, CandlesClosed, MarketContextChanged, MarketsListed
from market_scraper.domain.market import Candle, Market
from market_scraper.domain.values import Interval
from market_scraper.views.markets import LiveMarkets
from tests.facts import BTC, ETH, context


def candle(t_ms: int, close: float = 1.0) -> Candle:
    return Candle(t_ms=t_ms, o=1, h=9, l=1, c=close, v=1)


def formed(t_ms: int, close: float = 1.0) -> CandleFormed:
    return CandleFormed(known_at_ms=t_ms, symbol=BTC, interval=Interval.M1, candle=candle(t_ms, close))


def closed(*t_ms: int) -> CandlesClosed:
    return CandlesClosed(known_at_ms=1, symbol=BTC, interval=Interval.M1, candles=tuple(map(candle, t_ms)))


def test_markets_are_those_of_the_newest_listing() -> None:
    view = LiveMarkets()
    btc, eth = (Market(symbol=symbol, sz_decimals=5, max_leverage=40) for symbol in (BTC, ETH))
    view.apply(MarketsListed(known_at_ms=1, markets=(btc, eth)))
    assert view.all() == [btc, eth]
    view.apply(MarketsListed(known_at_ms=2, markets=(eth,)))
    assert (view.get(BTC), view.get(ETH)) == (None, eth)


def test_a_context_comes_with_when_it_became_known_and_an_older_one_is_ignored() -> None:
    view = LiveMarkets()
    view.apply(MarketContextChanged(known_at_ms=5, context=context(2.0)))
    view.apply(MarketContextChanged(known_at_ms=4, context=context(1.0)))
    assert view.context(BTC) == (context(2.0), 5)
    assert view.context(ETH) is None


def test_a_bar_forms_until_it_closes_and_an_older_one_never_comes_back() -> None:
    view = LiveMarkets()
    view.apply(formed(60_000, 1.0))
    view.apply(formed(60_000, 2.0))
    view.apply(formed(0, 3.0))
    view.apply(closed(0))
    assert view.forming(BTC, Interval.M1) == candle(60_000, 2.0)
    view.apply(closed(0, 60_000))
    assert view.forming(BTC, Interval.M1) is None


def test_an_older_listing_never_replaces_a_newer_one() -> None:
    view = LiveMarkets()
    btc, eth = (Market(symbol=symbol, sz_decimals=5, max_leverage=40) for symbol in (BTC, ETH))
    view.apply(MarketsListed(known_at_ms=2, markets=(btc, eth)))
    view.apply(MarketsListed(known_at_ms=1, markets=(eth,)))
    assert view.all() == [btc, eth]


def test_a_bar_that_is_closed_never_forms_again_when_its_events_are_seen_again() -> None:
    view = LiveMarkets()
    for event in (formed(60_000), closed(0, 60_000), formed(60_000), closed(0), formed(60_000)):
        view.apply(event)
    assert view.forming(BTC, Interval.M1) is None
    view.apply(formed(120_000))
    assert view.forming(BTC, Interval.M1) == candle(120_000)
