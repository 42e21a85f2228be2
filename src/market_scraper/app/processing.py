"""The `process` role: what turns facts into scores, signals and rows."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from market_scraper.app.backends import replay_spilled, spill_folder
from market_scraper.app.watching import FATAL, OVER, PROCESSORS, crash_teller, ending, watch_processors
from market_scraper.config import Settings
from market_scraper.domain.scoring import rate_all
from market_scraper.domain.traders import Choice, LeaderboardRow, RatedTrader
from market_scraper.domain.values import Address
from market_scraper.ports.bus import Bus
from market_scraper.ports.clock import Clock
from market_scraper.ports.stores import Store
from market_scraper.processors.persister import PERSISTED, PERSISTER, Persister
from market_scraper.processors.scoring import TraderScoringProcessor
from market_scraper.processors.signals import SignalGenerationProcessor
from market_scraper.runtime import timeouts
from market_scraper.runtime.backoff import backoff
from market_scraper.runtime.health import Reports
from market_scraper.runtime.supervisor import Supervisor
from market_scraper.storage.buffer import Buffer
from market_scraper.views.all import stored_choices

OWN_SIZE = 10_000
SHARED_SIZE = 200_000
"""Events that may wait for the persister before publishers do: on a shared bus, which keeps them outside of our
memory, so many that ten minutes without the store at full load stop nobody."""


@asynccontextmanager
async def processing(
    bus: Bus,
    *,
    settings: Settings,
    reports: Reports,
    store: Store,
    clock: Clock,
    end: asyncio.Future[None],
    is_shared: bool,
) -> AsyncIterator[Buffer]:
    """Run the processors; gives the buffer through which they store. `end` gets what they cannot go on from.

    `is_shared`: the bus carries what is not acknowledged over the death of this process, and to other machines.
    """
    await replay_spilled(settings, store, clock)
    async with AsyncExitStack() as stack:
        supervised = Supervisor(
            clock, on_crash=crash_teller(reports), fatal=FATAL, over=OVER, stop_s=timeouts.STOP_S / 4
        )
        await stack.enter_async_context(ending(supervised, end))
        buffer = await _add_processors(stack, supervised, reports, settings, store, bus, clock, is_shared=is_shared)
        supervised.add("watch", watch_processors(reports, supervised, buffer, clock))
        stack.callback(reports.forget, PROCESSORS)
        # Entered after what its components use, so that they have ended when that is closed.
        await stack.enter_async_context(supervised)
        supervised.start_all()
        yield buffer


async def _add_processors(
    stack: AsyncExitStack,
    supervised: Supervisor,
    reports: Reports,
    settings: Settings,
    store: Store,
    bus: Bus,
    clock: Clock,
    *,
    is_shared: bool,
) -> Buffer:
    """Signals and persister listen before scoring speaks: it publishes the stored pull when it starts."""
    symbols = settings.hyperliquid.symbols
    classes = settings.tags.classes.rules()
    buffer = await stack.enter_async_context(
        Buffer(
            store,
            clock,
            flush_interval_s=settings.buffer.flush_interval,
            max_size=settings.buffer.max_size,
            is_redelivered=is_shared,
            # What is acknowledged must be where every machine finds it: a shared bus is itself what is on disk.
            spill_folder=None if is_shared else spill_folder(settings),
            spill_max_bytes=settings.buffer.spill_max_bytes,
        )
    )
    inbox = await stack.enter_async_context(
        bus.subscribe(PERSISTER, *PERSISTED, size=SHARED_SIZE if is_shared else OWN_SIZE)
    )
    persister = Persister(inbox, buffer, clock=clock, delays=backoff, classes=classes)
    await persister.load(store, symbols)
    signals = SignalGenerationProcessor(
        bus,
        store,
        clock,
        symbols,
        settings.signals.rules(),
        classes,
        exact_max_age_ms=settings.positions.rules().exact_max_age_ms,
        delays=backoff,
    )
    scoring = TraderScoringProcessor(
        bus,
        store,
        clock,
        settings.scoring.rules(settings.tags.rules()),
        settings.filters.rules(),
        settings.position_inference.rules(),
        delays=backoff,
    )

    async def score() -> None:
        await signals.opened.wait()
        await scoring.run()

    for name, run in (("persister", persister.run), ("signals", signals.run), ("scoring", score)):
        reports.reporter(name, "processor")
        supervised.add(name, run)
    return buffer


def rater(
    settings: Settings,
) -> Callable[[Sequence[LeaderboardRow], Mapping[Address, Choice]], Sequence[RatedTrader]]:
    scoring = settings.scoring.rules(settings.tags.rules())
    filters, inference = settings.filters.rules(), settings.position_inference.rules()
    return lambda rows, choices: rate_all(rows, scoring, filters, inference, choices)


async def stored_ratings(settings: Settings, store: Store) -> Sequence[RatedTrader]:
    """Everybody of the newest stored pull, rated as settings and the user's hand say now; empty without a pull."""
    _, rows = await store.traders.latest_rows() or (None, [])
    return rater(settings)(rows, await stored_choices(store.settings)) if rows else []
