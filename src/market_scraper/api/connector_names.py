"""The connectors as the API lists them, even while nobody runs them. Apart from `deps`, which needs a web server."""

from market_scraper.domain.onchain import Source

VENUE_CONNECTORS = ("hyperliquid", "leaderboard", "candles", "positions")
ONCHAIN_CONNECTORS = tuple(source.value for source in Source)
CONNECTORS = (*VENUE_CONNECTORS, *ONCHAIN_CONNECTORS)
