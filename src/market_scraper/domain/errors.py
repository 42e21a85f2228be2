"""The one tree of errors raised on purpose; each class answers "what now?"."""


class MarketScraperError(Exception):
    """Root of everything raised on purpose here."""


class InvalidInput(MarketScraperError):
    """A value from outside does not mean what it should; nothing was changed. Park it or tell the user."""


class InvalidAddress(InvalidInput):
    """Not `0x` and 40 hex digits."""


class InvalidSymbol(InvalidInput):
    """Not a coin name that the venue could use."""


class UndecodableFrame(InvalidInput):
    """An upstream message that we cannot read. `coin` says whose prints may be lost in it; None = anyone's."""

    def __init__(self, reason: str, *, coin: str | None = None) -> None:
        super().__init__(reason)
        self.coin = coin


class ConfigError(MarketScraperError):
    """A setting is wrong; the message names its key. Tell the user and stop."""


class SourceError(MarketScraperError):
    """An outside source failed; `retry_after_s` is None when waiting will not help."""

    def __init__(self, source: str, reason: str, *, retry_after_s: float | None) -> None:
        super().__init__(f"{source}: {reason}")
        self.source = source
        self.reason = reason
        self.retry_after_s = retry_after_s


class StoreError(MarketScraperError):
    """The store could not do it now; what was asked for is not stored. Wait and ask again."""


class StoreUnreachable(StoreError):
    """The store cannot be reached at all. At start: say so and stop; later: wait."""


class BusUnreachable(MarketScraperError):
    """The bus cannot be reached. At start: say so and stop; later: wait."""


class Fenced(MarketScraperError):
    """Somebody else holds the lease now; what came since is not published. Stop acting and wait for the lease."""


class ReaderLost(MarketScraperError):
    """A reader was away beyond its deadline and events were given up: what it knows has a hole. Begin anew."""


class CursorExpired(InvalidInput):
    """The version of the data that a cursor reads is gone; start the list anew."""


class NoHistory(MarketScraperError):
    """Nothing was known yet at the moment asked for."""


class UnknownThing(MarketScraperError):
    """Asked for a trader, market, signal or connector that we do not know."""


class NotReady(MarketScraperError):
    """The source of the answer has not spoken yet; `retry_after_s` says when to ask again."""

    def __init__(self, reason: str, *, retry_after_s: float) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s
