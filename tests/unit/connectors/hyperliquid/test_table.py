"""The table knows the followed markets and nothing else."""

from market_scraper.connectors.hyperliquid.table import MarketTable, dex_of
from market_scraper.domain.market import Market
from market_scraper.domain.values import Symbol

BTC, TSLA = Symbol("BTC"), Symbol("xyz:TSLA")


def test_coins_that_are_not_followed_are_dropped_at_the_door() -> None:
    table = MarketTable([BTC])
    table.learn(
        [Market(symbol=BTC, sz_decimals=5, max_leverage=40), Market(symbol=TSLA, sz_decimals=3, max_leverage=9)]
    )
    assert table.get("BTC") is not None
    assert table.get("xyz:TSLA") is None


def test_the_main_dex_is_always_asked_and_first() -> None:
    assert MarketTable([TSLA, BTC, Symbol("abc:X")]).dexes == ("", "abc", "xyz")
    assert MarketTable([TSLA]).dexes == ("", "xyz")


def test_a_market_that_leaves_the_listing_keeps_its_lot() -> None:
    table = MarketTable([BTC])
    assert table.is_empty
    table.learn([Market(symbol=BTC, sz_decimals=5, max_leverage=40)])
    table.learn([])
    assert table.get("BTC") is not None
    assert not table.is_empty


def test_a_coin_keeps_the_lot_that_it_was_first_listed_with_and_takes_over_all_else() -> None:
    table = MarketTable([BTC])
    table.learn([Market(symbol=BTC, sz_decimals=5, max_leverage=40)])
    told = Market(symbol=BTC, sz_decimals=4, max_leverage=20, is_delisted=True)
    foreign = Market(symbol=TSLA, sz_decimals=3, max_leverage=9)
    kept = [Market(symbol=BTC, sz_decimals=5, max_leverage=20, is_delisted=True), foreign]
    assert table.learn([told, foreign]) == kept
    assert table.get("BTC") == kept[0]


def test_a_listing_that_says_nothing_new_leaves_the_market_as_it_is() -> None:
    table = MarketTable([BTC])
    table.learn([Market(symbol=BTC, sz_decimals=5, max_leverage=40)])
    before = table.get("BTC")
    table.learn([Market(symbol=BTC, sz_decimals=5, max_leverage=40)])
    assert table.get("BTC") is before


def test_a_coins_name_says_its_dex() -> None:
    assert (dex_of("BTC"), dex_of("xyz:TSLA")) == ("", "xyz")
