"""Says once that an upstream went away and once that it is back."""

import structlog


class Outage:
    """One upstream's health, as a log reader wants it: the turns, not the state."""

    def __init__(self, source: str) -> None:
        self._log = structlog.get_logger(__name__)
        self._source = source
        self.reason: str | None = None

    def failed(self, reason: str) -> None:
        """It did not answer well; speaks only the first time."""
        if self.reason is None:
            self._log.warning("source_down", source=self._source, reason=reason)
        self.reason = reason

    def answered(self) -> None:
        """It answered well; speaks only when it was down."""
        if self.reason is not None:
            self._log.info("source_back", source=self._source, was=self.reason)
        self.reason = None
