"""Says once that an upstream went away and once that it is back."""

import structlog


class Outage:
    """One upstream's health, as a log reader wants it: the turns, not the state.

    Requests overlap, so their news come out of order. With its number from `asked` a request's news count only if
    they are newer than what was heard last; without one they are taken as news of now.
    """

    def __init__(self, source: str) -> None:
        self._log = structlog.get_logger(__name__)
        self._source = source
        self._asked = 0
        self._answered = 0  # the newest request that was answered well
        self._failed = 0  # the newest one that was under way, or over, when one failed
        self.reason: str | None = None

    def asked(self) -> int:
        """Number a request that is sent now."""
        self._asked += 1
        return self._asked

    def failed(self, reason: str, request: int | None = None) -> None:
        """It did not answer well; speaks only the first time. Ignored when a later request was answered well."""
        if request is not None and request < self._answered:
            return
        self._failed = self._asked
        if self.reason is None:
            self._log.warning("source_down", source=self._source, reason=reason)
        self.reason = reason

    def answered(self, request: int | None = None) -> None:
        """It answered well; speaks only when it was down. Ignored when a failure came while it was under way."""
        if request is not None:
            if request <= self._failed:
                return
            self._answered = max(self._answered, request)
        if self.reason is not None:
            self._log.info("source_back", source=self._source, was=self.reason)
        self.reason = None
