"""How every component of this process is doing: shown here, and told on the bus so that other processes see it too."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence

import structlog

from market_scraper.domain.events import ComponentReported, Event
from market_scraper.ports.clock import Clock
from market_scraper.ports.reporting import Detail

log = structlog.get_logger(__name__)

REPORT_EVERY_S = 10.0
"""Venue seconds after which every component is told again, changed or not."""

Publish = Callable[[Sequence[Event]], Awaitable[None]]


class Reporter:
    """Implements `ports.reporting.Reporter`; made by `Reports.reporter`."""

    def __init__(
        self,
        name: str,
        kind: str,
        allowed_age_s: float | None,
        clock: Clock,
        on_change: Callable[[], None],
        *,
        local: bool = False,
    ) -> None:
        self.name = name
        self.kind = kind
        self.local = local  # other processes have one of the same name, so this one is shown here alone
        self.changed = True  # since it was last told
        self._allowed_age_s = allowed_age_s
        self._clock = clock
        self._on_change = on_change
        self._running = True
        self._last_success_ms: int | None = None
        self._errors = 0
        self._reason: str | None = None
        self._failing_since_ms: int | None = None
        self._logged = False  # that it is down
        self._detail: Detail = {}

    def ok(self, detail: Detail | None = None) -> None:
        is_news = self._reason is not None or self._last_success_ms is None
        if self._logged:
            log.info("component_back", component=self.name)
            self._logged = False
        self._last_success_ms = self._clock.now_ms()
        self._reason = self._failing_since_ms = None
        if detail is not None:
            self._detail = dict(detail)
        if is_news:
            self._note_change()

    def failed(self, reason: str, *, told: bool = False, detail: Detail | None = None) -> None:
        self._errors += 1
        if detail is not None:
            self._detail = dict(detail)
        if self._reason is None:
            self._failing_since_ms = self._clock.now_ms()
        if not told and not self._logged:
            log.warning("component_down", component=self.name, reason=reason)
            self._logged = True
        if reason != self._reason:
            self._reason = reason
            self._note_change()

    def show(self, detail: Detail) -> None:
        """Show other figures; how it is doing stays as it was told."""
        self._detail = dict(detail)

    def runs(self, running: bool) -> None:
        """Say that the component was started or stopped on purpose; what failed before a stop is over."""
        if running != self._running:
            self._running = running
            if not running:
                self._reason = self._failing_since_ms = None
                self._logged = False
            self._note_change()

    def report(self) -> ComponentReported:
        """How it is doing now."""
        return ComponentReported(
            known_at_ms=self._clock.now_ms(),
            name=self.name,
            kind=self.kind,
            running=self._running,
            last_success_ms=self._last_success_ms,
            allowed_age_s=self._allowed_age_s,
            errors=self._errors,
            reason=self._reason,
            failing_since_ms=self._failing_since_ms,
            detail=dict(self._detail),
        )

    def _note_change(self) -> None:
        self.changed = True
        self._on_change()


def _shown_nowhere(_event: Event) -> None:
    """For processes that show nothing."""


class Reports:
    """The reporters of one process. Run it for the program's life; after a change it tells at once."""

    def __init__(self, clock: Clock, publish: Publish, show: Callable[[Event], None] = _shown_nowhere) -> None:
        """`show` gets every report at once; `publish` those that are not local."""
        self._clock = clock
        self._publish = publish
        self._show = show
        self._reporters: dict[str, Reporter] = {}
        self._changed = asyncio.Event()

    def reporter(self, name: str, kind: str, *, allowed_age_s: float | None = None, local: bool = False) -> Reporter:
        """Make the voice of a component, or give the one it has.

        `allowed_age_s` (venue time) says within which age of its last success it is well; None = no data is due.
        `local`: every process has such a component, and tells of it to nobody else.
        """
        known = self._reporters.get(name)
        if known is None:
            known = self._reporters[name] = Reporter(
                name, kind, allowed_age_s, self._clock, self._changed.set, local=local
            )
            self._changed.set()
        return known

    def forget(self, names: Iterable[str]) -> None:
        """Tell no more of these: another process does now."""
        for name in names:
            self._reporters.pop(name, None)

    async def run(self) -> None:
        """Tell what changed at once, and everything every `REPORT_EVERY_S`, until cancelled."""
        full_round_s = self._clock.monotonic()
        while True:
            self._changed.clear()
            is_full = self._clock.monotonic() >= full_round_s
            if is_full:
                full_round_s = self._clock.monotonic() + REPORT_EVERY_S
            due = [reporter for reporter in self._reporters.values() if is_full or reporter.changed]
            for reporter in due:
                reporter.changed = False
            told = [(reporter.local, reporter.report()) for reporter in due]
            for _, report in told:
                self._show(report)
            if public := [report for local, report in told if not local]:
                await self._publish(public)
            try:
                async with self._clock.timeout(max(0.0, full_round_s - self._clock.monotonic())):
                    await self._changed.wait()
            except TimeoutError:
                pass
