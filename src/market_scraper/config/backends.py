"""Which store and bus the settings ask for. What is asked for and not there is an error, never another one."""

from dataclasses import dataclass
from typing import Literal

from market_scraper.config.settings import Settings
from market_scraper.domain.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Backends:
    """The choice, with the lines that tell the user of it."""

    store: Literal["memory", "sqlite", "mongo"]
    bus: Literal["memory", "redis", "auto"]  # auto: Redis on this machine if it answers at start, else memory
    notes: tuple[str, ...] = ()


def choose_backends(settings: Settings) -> Backends:
    """Give the store and the bus to open, or raise ConfigError for one that this version does not have."""
    store, store_notes = _store(settings)
    return Backends(store=store, bus=_bus(settings), notes=store_notes)


def _bus(settings: Settings) -> Literal["memory", "redis", "auto"]:
    if settings.redis.url is None:
        return "memory"
    return "auto" if settings.redis.url == "auto" else "redis"


def _store(settings: Settings) -> tuple[Literal["memory", "sqlite", "mongo"], tuple[str, ...]]:
    wanted, url = settings.storage.backend, settings.mongo.url
    if wanted == "auto":
        return ("sqlite" if url is None else "mongo"), ()
    if wanted == "mongo" and url is None:
        raise ConfigError("STORAGE__BACKEND=mongo needs MONGO__URL, which is not set")
    unused = wanted != "mongo" and url is not None
    return wanted, (f"STORAGE__BACKEND={wanted}: MONGO__URL is set, and not used",) if unused else ()
