"""The four periodic tasks of the active `collect` process, and how they are shown."""

from collections.abc import Callable, Mapping

import structlog

from market_scraper.config import Settings
from market_scraper.domain.values import iso
from market_scraper.ports.clock import Clock
from market_scraper.ports.reporting import Detail
from market_scraper.ports.stores import Store
from market_scraper.ports.views import HealthView
from market_scraper.runtime.checks import HealthCheck
from market_scraper.runtime.health import Reports
from market_scraper.runtime.operations import Connectors
from market_scraper.runtime.scheduler import Job, Scheduler, TaskState

log = structlog.get_logger(__name__)

SCHEDULER = "scheduler"
"""The component's name, for the supervisor and in `/health/status`."""


def make_jobs(
    *,
    refresh_leaderboard: Callable[[], None] | None,
    health: HealthView,
    connectors: Connectors,
    store: Store,
    clock: Clock,
) -> dict[str, Job]:
    """Give what each task does, by its name in `scheduler.tasks`; without a venue there is no leaderboard."""
    checks = HealthCheck(health)

    async def clean_up() -> None:
        deleted = {name: count for name, count in (await store.expire(clock.now_ms())).items() if count}
        log.info("cleaned_up", **deleted)

    jobs: dict[str, Job] = {
        "health_check": checks.check_all,
        "connector_health": checks.connectors(connectors.revive),
        "data_cleanup": clean_up,
    }
    if refresh_leaderboard is not None:
        ask = refresh_leaderboard

        async def refresh() -> None:
            ask()  # the pull is the connector's, which tries again and tells how it went

        jobs["leaderboard_refresh"] = refresh
    return jobs


def make_scheduler(settings: Settings, jobs: Mapping[str, Job], clock: Clock, reports: Reports) -> Scheduler | None:
    """Put the jobs on the clock as `scheduler.tasks` says; None when `scheduler.enabled` is not.

    Run it only where connectors run: its leaderboard task is that connector's only trigger. Each task's first run is
    one interval after the start, for at the start connectors load and stores expire by themselves. A task that is not
    enabled is shown, and runs when `run_now` is called.
    """
    if not settings.scheduler.enabled:
        return None
    reporter = reports.reporter(SCHEDULER, "scheduler")
    failures = 0  # told

    def tell() -> None:
        nonlocal failures
        states = scheduler.states()
        failing = [f"{state.name}: {state.last_error}" for state in states if state.last_error is not None]
        before, failures = failures, sum(state.failures for state in states)
        if not failing:
            reporter.ok(_shown(states))
        elif failures > before:
            reporter.failed("; ".join(failing), told=True, detail=_shown(states))
        else:
            reporter.show(_shown(states))

    scheduler = Scheduler(clock, on_change=tell)
    for name, task in settings.scheduler.tasks:
        if name in jobs:
            scheduler.add(
                name,
                task.interval_seconds,
                jobs[name],
                first_after_s=task.interval_seconds,
                enabled=task.enabled,
            )
    return scheduler


def _shown(states: list[TaskState]) -> Detail:
    """Every task's state in `/health/status`: `health_check.last_run` and so on."""
    shown: dict[str, bool | float | int | str | None] = {}
    for state in states:
        shown |= {
            f"{state.name}.enabled": state.enabled,
            f"{state.name}.interval_seconds": state.every_s,
            f"{state.name}.running": state.running,
            f"{state.name}.last_run": None if state.last_run_ms is None else iso(state.last_run_ms),
            f"{state.name}.next_run": None if state.next_run_ms is None else iso(state.next_run_ms),
            f"{state.name}.runs": state.runs,
            f"{state.name}.failures": state.failures,
            f"{state.name}.missed": state.missed,
            f"{state.name}.last_error": state.last_error,
        }
    return shown
