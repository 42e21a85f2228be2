"""Periodic looks at how components are doing: each one's turn is logged once, with since when and why."""

from collections.abc import Awaitable, Callable, Sequence

import structlog

from market_scraper.domain.values import iso
from market_scraper.ports.views import ComponentHealth, HealthView

log = structlog.get_logger(__name__)

UNWELL = "unhealthy"
"""Older than allowed, or silent. What merely fails but has recent data is told by its own reporter."""


class HealthCheck:
    """Looks at every component that the views know of, other processes' too."""

    def __init__(self, health: HealthView) -> None:
        self._health = health
        self._unwell: set[str] = set()  # as told

    async def check_all(self) -> None:
        """Log each component that turned unhealthy or well since anybody last looked at it."""
        self._look(self._health.components())

    def connectors(self, revive: Callable[[], Awaitable[Sequence[str]]]) -> Callable[[], Awaitable[None]]:
        """Give a check of the connectors alone, which also has started again what ended on its own (`revive`).

        Both share what was told, so that a connector's turn makes one line, whoever sees it first.
        """

        async def check() -> None:
            for name in await revive():
                log.warning("connector_started_again", connector=name)
            self._look([part for part in self._health.components() if part.kind == "connector"])

        return check

    def _look(self, components: Sequence[ComponentHealth]) -> None:
        for part in components:
            if part.status == UNWELL and part.name not in self._unwell:
                self._unwell.add(part.name)
                since_ms = part.report.failing_since_ms
                log.warning(
                    "component_unhealthy",
                    component=part.name,
                    reason=part.report.reason,
                    since=None if since_ms is None else iso(since_ms),
                )
            elif part.status != UNWELL and part.name in self._unwell:
                self._unwell.discard(part.name)
                log.info("component_well_again", component=part.name)
