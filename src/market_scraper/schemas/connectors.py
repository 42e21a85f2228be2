"""Answers of `/api/v1/connectors`."""

from datetime import datetime

import msgspec

from market_scraper.domain.events import ComponentReported
from market_scraper.schemas.times import moment


class Connector(msgspec.Struct, frozen=True, kw_only=True):
    """One source of data."""

    name: str
    status: str  # running, stopped, failing
    last_success: datetime | None
    age_s: float | None  # seconds since the last success
    errors: int  # since start
    reason: str | None  # what fails now
    since: datetime | None  # failing since
    detail: dict[str, bool | float | int | str | None]


def connector(name: str, report: ComponentReported | None, *, status: str | None, age_s: float | None) -> Connector:
    """Show a connector. `report` None: no process has started it; `status` is what its health was judged to be."""
    if report is None:
        return Connector(
            name=name, status="stopped", last_success=None, age_s=None, errors=0, reason=None, since=None, detail={}
        )
    failing = report.reason is not None or status == "unhealthy"  # "degraded" alone: its first data is not due yet
    return Connector(
        name=name,
        status="stopped" if not report.running else "failing" if failing else "running",
        last_success=moment(report.last_success_ms),
        age_s=age_s,
        errors=report.errors,
        reason=report.reason,
        since=moment(report.failing_since_ms),
        detail=report.detail,
    )
