"""What is looked after that has no upstream of its own, and what readiness asks for."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from market_scraper.api.connector_names import CONNECTORS
from market_scraper.domain.errors import Fenced, ReaderLost, StoreError
from market_scraper.domain.events import Event
from market_scraper.domain.values import iso
from market_scraper.ports.bus import Bus
from market_scraper.ports.clock import Clock
from market_scraper.ports.stores import Store
from market_scraper.processors.persister import PERSISTER
from market_scraper.runtime import timeouts
from market_scraper.runtime.clock import real_timeout
from market_scraper.runtime.health import Reports
from market_scraper.runtime.supervisor import Supervisor
from market_scraper.storage.buffer import Buffer

FATAL = (ReaderLost,)
"""What no restart within this process mends."""

OVER = (Fenced,)
"""Another process is the active one now; the role's lease says so too, and brings this one back to standing by."""

WATCH_S = 5.0
"""How often store, bus and processors are looked after, in venue seconds."""

PROCESSORS = ("persister", "signals", "scoring")

REQUIRED = {
    "collect": ("hyperliquid", "positions"),
    "process": PROCESSORS,
    "api": ("store", "bus"),
}
"""What each role cannot do without: readiness asks for these."""


def watch_backends(reports: Reports, store: Store, bus: Bus, clock: Clock) -> Callable[[], Awaitable[None]]:
    """Look after this process's store and bus; every process has its own, and tells of them to nobody else."""
    store_reporter = reports.reporter("store", "store", allowed_age_s=60.0, local=True)
    bus_reporter = reports.reporter("bus", "bus", allowed_age_s=60.0, local=True)

    async def watch() -> None:
        while True:
            try:
                await store.check()
            except StoreError as error:
                store_reporter.failed(str(error))
            else:
                store_reporter.ok()
            figures = bus.stats()
            if "away_since_ms" in figures:
                bus_reporter.failed(f"Redis is away since {iso(figures['away_since_ms'])}", told=True, detail=figures)
            else:
                bus_reporter.ok(figures)
            await clock.sleep(WATCH_S)

    return watch


def watch_processors(
    reports: Reports, supervised: Supervisor, buffer: Buffer, clock: Clock
) -> Callable[[], Awaitable[None]]:
    """Look after the processors of the process that is active, and after what waits for the store."""

    async def watch() -> None:
        while True:
            for state in supervised.states():
                if state.name in PROCESSORS:
                    reporter = reports.reporter(state.name, "processor")
                    if state.running and state.last_crash is None:
                        detail: dict[str, float | int | str | None] = {"crashes": state.crashes}
                        if state.name == PERSISTER:
                            spill = buffer.spill_state()
                            detail |= {"spilled_rows": spill.rows, "spilled_bytes": spill.bytes}
                            detail |= {"spill_merged_rows": spill.merged}
                            if (trouble := spill.trouble()) is not None:
                                reporter.failed(trouble, told=True, detail=detail)
                                continue
                        reporter.ok(detail)
                    elif not state.running:
                        reporter.failed("it does not run")
            await clock.sleep(WATCH_S)

    return watch


def telling(bus: Bus) -> Callable[[Sequence[Event]], Awaitable[None]]:
    """Tell the other processes over the bus.

    While the bus takes nothing, health has to be seen in this process all the same: what it has not taken in time is
    left out, and everything is told again in the next round.
    """

    async def tell(events: Sequence[Event]) -> None:
        try:
            async with real_timeout(timeouts.REPORT_S):
                await bus.publish(events)
        except TimeoutError:
            pass

    return tell


@asynccontextmanager
async def ending(supervised: Supervisor, end: asyncio.Future[None]) -> AsyncIterator[None]:
    """While entered: what `supervised` cannot go on from ends the program through `end`."""

    async def wait() -> None:
        error = await supervised.failed()
        if not end.done():
            end.set_exception(error)

    task = asyncio.create_task(wait(), name="ending")
    try:
        yield
    finally:
        task.cancel()


def crash_teller(reports: Reports) -> Callable[[str, str], None]:
    def tell(name: str, reason: str) -> None:
        reports.reporter(name, "connector" if name in CONNECTORS else "processor").failed(f"crashed: {reason}")

    return tell


def required(roles: frozenset[str], *, venue: bool) -> Sequence[str]:
    """What readiness asks for. `venue`: this process collects from Hyperliquid; on-chain sources never keep it."""
    asked = [role for role in sorted(roles) if role != "collect" or venue]
    return [name for role in asked for name in REQUIRED[role]]
