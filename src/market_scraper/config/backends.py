"""Which store and bus the settings ask for. What is asked for and not there is an error, never another one."""

from dataclasses import dataclass
from typing import Literal

from market_scraper.config.settings import Settings
from market_scraper.domain.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Backends:
    """The choice, with the lines that tell the user of it."""

    store: Literal["memory", "sqlite"]
    bus: Literal["memory"]
    notes: tuple[str, ...] = ()


def choose_backends(settings: Settings) -> Backends:
    """Give the store and the bus to open, or raise ConfigError for one that this version does not have."""
    if settings.mongo.url is not None or settings.storage.backend == "mongo":
        key = "STORAGE__BACKEND=mongo" if settings.mongo.url is None else "MONGO__URL"
        raise ConfigError(
            f"{key} is set, but this version has no MongoDB store yet: unset it to use the embedded store"
        )
    if settings.redis.url not in (None, "auto"):
        raise ConfigError("REDIS__URL is set, but this version has no Redis bus yet: unset it to use the bus in memory")
    notes = (
        ("REDIS__URL=auto: this version has no Redis bus yet, the bus in memory is used",) if settings.redis.url else ()
    )
    return Backends(store="memory" if settings.storage.backend == "memory" else "sqlite", bus="memory", notes=notes)
