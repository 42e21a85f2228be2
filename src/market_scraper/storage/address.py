"""Where a document server is, and what of it may be shown."""

import re
from dataclasses import dataclass, field

from market_scraper.domain.errors import ConfigError

_URL = re.compile(r"mongodb(?:\+srv)?://(?P<authority>[^/?#]*)(?P<path>[^?]*)(?:\?(?P<options>.*))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class MongoAddress:
    """A server and one of its databases. Raises ConfigError for a URL that would be read wrongly.

    `select_s` is how long to look for a server that answers, `answer_s` how long to wait for one answer (real
    seconds); what the URL says of either stands instead.
    """

    url: str = field(repr=False)  # with credentials
    database: str
    select_s: float = 3.0
    answer_s: float = 4.0

    def __post_init__(self) -> None:
        found = _URL.fullmatch(self.url)
        # A `/` or `?` in a password ends the host for every reader of URLs: its beginning would be shown as a host.
        names = [part.partition("=")[0] for part in (found["options"] or "").split("&")] if found is not None else []
        if found is None or not found["authority"].rpartition("@")[2] or "@" in "".join([found["path"], *names]):
            raise ConfigError(
                "MONGO__URL is no MongoDB address: expected mongodb://host:port, and `/ ? # : @ %` in user name and "
                "password percent-encoded"
            )

    @property
    def hosts(self) -> str:
        """Its hosts, without credentials."""
        found = _URL.fullmatch(self.url)
        assert found is not None
        return str(found["authority"]).rpartition("@")[2]

    def says(self, option: str) -> bool:
        """Whether the URL sets this option itself."""
        found = _URL.fullmatch(self.url)
        assert found is not None
        return any(part.partition("=")[0].lower() == option.lower() for part in (found["options"] or "").split("&"))
