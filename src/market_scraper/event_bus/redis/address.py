"""Where a Redis server is, and what of it may be shown."""

import re
from dataclasses import dataclass, field

from market_scraper.domain.errors import ConfigError

_URL = re.compile(r"(?P<scheme>rediss?|unix)://(?:(?P<user>[^@/?#]*)@)?(?P<place>[^?#@]*)(?:\?(?P<options>[^#]*))?")
_HOST = re.compile(r"(?:\[[0-9a-fA-F:.]+\]|[^:/\[\]]+)(?::\d{1,5})?(?:/\d*)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisAddress:
    """A server. Raises ConfigError for a URL that would be read wrongly.

    `connect_s` and `answer_s` (real seconds): how long to wait for a connection, and for one answer.
    """

    url: str = field(repr=False)  # with credentials
    connect_s: float = 3.0
    answer_s: float = 5.0

    def __post_init__(self) -> None:
        found = _URL.fullmatch(self.url)
        # A `/` in a password ends the host for every reader of URLs: the rest of it would be shown as a host's name.
        if found is None or not found["place"] or (found["scheme"] != "unix" and not _HOST.fullmatch(found["place"])):
            raise ConfigError(
                "REDIS__URL is no Redis address: expected redis://host:port/db, and `/ ? # : @ %` in user name and "
                "password percent-encoded"
            )

    @property
    def place(self) -> str:
        """Host, port and database, or the socket's path; without credentials."""
        found = _URL.fullmatch(self.url)
        assert found is not None
        return str(found["place"])
