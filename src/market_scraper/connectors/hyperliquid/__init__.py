"""The venue Hyperliquid: its words (`messages`, `parse`), its limits, its REST side and its sockets. No policy."""

from market_scraper.connectors.hyperliquid.http import HttpTimeouts, HyperliquidHttp
from market_scraper.connectors.hyperliquid.session import Timing
from market_scraper.connectors.hyperliquid.spent_file import SpentFile
from market_scraper.connectors.hyperliquid.table import MarketTable
from market_scraper.connectors.hyperliquid.websocket import HyperliquidSockets

__all__ = ["HttpTimeouts", "HyperliquidHttp", "HyperliquidSockets", "MarketTable", "SpentFile", "Timing"]
