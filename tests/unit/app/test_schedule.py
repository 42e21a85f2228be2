"""The four tasks, with the parts that they look after."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from structlog.testing import capture_logs

from market_scraper.app.schedule import SCHEDULER, make_jobs, make_scheduler
from market_scraper.config import Settings
from market_scraper.domain.events import ComponentReported, Event
from market_scraper.event_bus.memory import MemoryBus
from market_scraper.ports.stores import DeadLetterRow
from market_scraper.runtime.health import Reports
from market_scraper.runtime.operations import Connectors, Operations
from market_scraper.runtime.scheduler import Scheduler
from market_scraper.runtime.supervisor import Supervisor
from market_scraper.storage import MemoryRepository
from market_scraper.views.health import LiveHealth
from tests.fakes import FakeClock, settle

DAY_MS = 86_400_000


async def reserve(size: int) -> int:
    return 1


class System:
    """A `collect` process of three connectors: one that lives, one that returns, one that is cancelled from within."""

    def __init__(self, supervisor: Supervisor, clock: FakeClock, store: MemoryRepository, **settings: object) -> None:
        self.clock = clock
        self.store = store
        self.view = LiveHealth(clock)
        self.supervisor = supervisor
        self.refreshed = 0
        self.lives: dict[str, int] = {"candles": 0, "cbbi": 0, "bitview": 0}
        self.ends: dict[str, BaseException | None] = {"cbbi": None, "bitview": asyncio.CancelledError()}
        self.reports = Reports(clock, self._publish)
        reporters = {name: self.reports.reporter(name, "connector") for name in self.lives}
        for name in self.lives:
            supervisor.add(name, lambda name=name: self._live(name))  # type: ignore[misc]
        self.connectors = Connectors(supervisor=supervisor, reporters=reporters, store=store)
        self.operations = Operations(
            lambda: self.connectors, store=store, bus=MemoryBus(reserve), clock=clock, is_shared=False
        )
        jobs = make_jobs(
            refresh_leaderboard=self._refresh,
            health=self.view,
            connectors=self.connectors,
            store=store,
            clock=clock,
        )
        made = make_scheduler(Settings.model_validate({"scheduler": settings}), jobs, clock, self.reports)
        assert made is not None
        self.scheduler: Scheduler = made

    async def _publish(self, events: Sequence[Event]) -> None:
        for event in events:
            assert isinstance(event, ComponentReported)
            self.view.apply(event)

    def _refresh(self) -> None:
        self.refreshed += 1

    async def _live(self, name: str) -> None:
        self.lives[name] += 1
        if self.lives[name] == 1 and name in self.ends:
            end = self.ends[name]
            if end is not None:
                raise end
            return
        await asyncio.Event().wait()

    @property
    def shown(self) -> dict[str, bool | float | int | str | None]:
        part = self.view.get(SCHEDULER)
        assert part is not None
        return part.report.detail


@asynccontextmanager
async def system(**settings: object) -> AsyncIterator[System]:
    clock = FakeClock(20_000 * DAY_MS)
    async with Supervisor(clock) as supervisor, MemoryRepository() as store:
        made = System(supervisor, clock, store, **settings)
        telling = asyncio.create_task(made.reports.run())
        running = asyncio.create_task(made.scheduler.run())
        await settle()
        try:
            yield made
        finally:
            telling.cancel()
            running.cancel()
            await asyncio.wait({telling, running})


async def test_the_leaderboard_is_asked_for_once_an_interval_and_not_at_the_start() -> None:
    async with system() as it:
        await it.clock.advance(3_599)
        assert it.refreshed == 0
        await it.clock.advance(3_601)
        assert it.refreshed == 2


async def test_a_connector_that_ended_by_itself_runs_again_and_one_stopped_by_hand_does_not() -> None:
    async with system() as it:
        await it.connectors.start_chosen()
        await settle()
        await it.operations.stop_connector("candles")
        assert it.lives == {"candles": 1, "cbbi": 1, "bitview": 1}
        with capture_logs() as logs:
            await it.clock.advance(601)
        assert it.lives == {"candles": 1, "cbbi": 2, "bitview": 2}
        again = [line["connector"] for line in logs if line["event"] == "connector_started_again"]
        assert again == ["cbbi", "bitview"]
        await it.clock.advance(600)
        assert it.lives == {"candles": 1, "cbbi": 2, "bitview": 2}


async def test_cleanup_is_off_until_asked_for_and_then_deletes_what_is_too_old() -> None:
    async with system() as it:
        await it.store.write([DeadLetterRow(source="bus", known_at_ms=0, reason="", body=b"")])
        await it.clock.advance(86_400)
        assert it.shown["data_cleanup.enabled"] is False
        assert it.shown["data_cleanup.runs"] == 0
        await it.scheduler.run_now("data_cleanup")
        assert it.store.dead_letters == []


async def test_health_shows_every_task_with_its_last_and_next_run() -> None:
    async with system() as it:
        await it.clock.advance(610)
        shown = it.shown
        assert {name.split(".")[0] for name in shown} == {
            *("leaderboard_refresh", "health_check", "connector_health", "data_cleanup")
        }
        assert {name: value for name, value in shown.items() if name.startswith("health_check.")} == {
            "health_check.enabled": True,
            "health_check.interval_seconds": 600.0,
            "health_check.running": False,
            "health_check.last_run": "2024-10-04T00:10:00.000Z",
            "health_check.next_run": "2024-10-04T00:20:00.000Z",
            "health_check.runs": 1,
            "health_check.failures": 0,
            "health_check.missed": 0,
            "health_check.last_error": None,
        }
        assert it.view.overall() == "healthy"


async def test_a_task_that_fails_makes_the_scheduler_unwell_until_it_works_again() -> None:
    async with system(tasks={"data_cleanup": {"enabled": True, "interval_seconds": 60}}) as it:
        await it.store.close()
        await it.clock.advance(125)
        part = it.view.get(SCHEDULER)
        assert part is not None
        assert (part.status, part.report.errors) == ("degraded", 2)
        assert part.report.reason == "data_cleanup: StoreError: the memory store is closed"
        assert it.shown["data_cleanup.failures"] == 2
        assert it.shown["data_cleanup.next_run"] == "2024-10-04T00:03:00.000Z"


async def test_a_scheduler_that_is_not_enabled_is_not_made() -> None:
    clock = FakeClock()
    settings = Settings.model_validate({"scheduler": {"enabled": False}})

    async def publish(events: Sequence[Event]) -> None: ...

    assert make_scheduler(settings, {}, clock, Reports(clock, publish)) is None
