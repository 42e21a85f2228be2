"""The Bitcoin on-chain hosts in their real shapes, served beside the paper venue."""

from market_scraper.simulator.onchain.hosts import OnChainHosts

__all__ = ["OnChainHosts"]
