"""Market Scraper: who holds what on Hyperliquid, how sure we are, and what it says."""

__version__ = "2.0.0.dev0"
