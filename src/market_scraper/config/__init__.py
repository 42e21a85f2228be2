"""The only room that reads flags, environment, `.env` and YAML; everyone else receives settings."""

from market_scraper.config.backends import choose_backends
from market_scraper.config.masking import mask
from market_scraper.config.settings import Settings
from market_scraper.config.sources import Configuration, load, read

__all__ = ["Configuration", "Settings", "choose_backends", "load", "mask", "read"]
