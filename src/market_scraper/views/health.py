"""How every component is doing, judged at the moment of asking from the age of what it did."""

from collections.abc import Sequence

import msgspec

from market_scraper.domain.events import ComponentReported
from market_scraper.ports.clock import Clock
from market_scraper.ports.views import ComponentHealth

HEALTHY = "healthy"
DEGRADED = "degraded"  # works, but something fails, or nothing was due yet
UNHEALTHY = "unhealthy"  # its data is older than allowed, or it is silent
STOPPED = "stopped"  # on purpose

SILENT_AFTER_S = 30.0
"""Venue seconds without a report (every component is told of every 10 s) after which its process counts as gone."""


class LiveHealth:
    """Implements `ports.views.HealthView`."""

    def __init__(self, clock: Clock, required: Sequence[str] = ()) -> None:
        """`required` names the components that the roles of this process cannot do without."""
        self._clock = clock
        self._required = tuple(required)
        self._reports: dict[str, ComponentReported] = {}
        self._first_heard_ms: dict[str, int] = {}  # when it began to run, as far as we know

    def apply(self, event: ComponentReported) -> None:
        """Take a report unless a newer one is there."""
        known = self._reports.get(event.name)
        if known is not None and known.known_at_ms > event.known_at_ms:
            return
        if known is None or (event.running and not known.running):
            self._first_heard_ms[event.name] = event.known_at_ms
        self._reports[event.name] = event

    def components(self) -> Sequence[ComponentHealth]:
        """By name."""
        now_ms = self._clock.now_ms()
        return [self._judge(self._reports[name], now_ms) for name in sorted(self._reports)]

    def get(self, name: str) -> ComponentHealth | None:
        report = self._reports.get(name)
        return None if report is None else self._judge(report, self._clock.now_ms())

    def overall(self) -> str:
        """As the port says. What was stopped on purpose counts only where it is required."""
        checks = self.checks()
        if checks and not any(checks.values()):
            return UNHEALTHY
        components = self.components()
        if not any(component.status in (HEALTHY, DEGRADED) for component in components):
            return UNHEALTHY
        is_well = all(checks.values()) and all(c.status in (HEALTHY, STOPPED) for c in components)
        return HEALTHY if is_well else DEGRADED

    def checks(self) -> dict[str, bool]:
        """Whether each required component works: one whose first data has not come yet does not."""
        return {name: _works(self.get(name)) for name in self._required}

    def _judge(self, report: ComponentReported, now_ms: int) -> ComponentHealth:
        last_ms = report.last_success_ms
        age_s = None if last_ms is None else max(0, now_ms - last_ms) / 1000
        status = self._status(report, age_s, now_ms)
        if status == UNHEALTHY and report.reason is None:
            report = self._explained(report, now_ms)
        return ComponentHealth(report.name, report.kind, status, age_s, report)

    def _explained(self, report: ComponentReported, now_ms: int) -> ComponentReported:
        """Say what its silence means: a component that waits for another reports no failure of its own."""
        if now_ms - report.known_at_ms > SILENT_AFTER_S * 1000:
            return msgspec.structs.replace(
                report, reason="its process says nothing any more", failing_since_ms=report.known_at_ms
            )
        allowed = f"expected within {report.allowed_age_s:g} s"
        if report.last_success_ms is None:
            since_ms = self._first_heard_ms[report.name]
            return msgspec.structs.replace(report, reason=f"no data yet, {allowed}", failing_since_ms=since_ms)
        return msgspec.structs.replace(
            report, reason=f"no new data, {allowed}", failing_since_ms=report.last_success_ms
        )

    def _status(self, report: ComponentReported, age_s: float | None, now_ms: int) -> str:
        if now_ms - report.known_at_ms > SILENT_AFTER_S * 1000:
            return UNHEALTHY
        if not report.running:
            return STOPPED
        if report.allowed_age_s is not None:
            waited_s = (now_ms - self._first_heard_ms[report.name]) / 1000 if age_s is None else age_s
            if waited_s > report.allowed_age_s:
                return UNHEALTHY
            if age_s is None:
                return DEGRADED
        return HEALTHY if report.reason is None else DEGRADED


def _works(health: ComponentHealth | None) -> bool:
    if health is None:
        return False
    return health.status == HEALTHY or (health.status == DEGRADED and health.age_s is not None)
