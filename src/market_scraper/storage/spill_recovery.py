"""What workers that are gone have left behind goes into the store before anyone leans on the store."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol, TypeVar

import structlog

from market_scraper.domain.errors import StoreError, StoreUnreachable
from market_scraper.ports.clock import Clock
from market_scraper.ports.stores import Store, TapeMarkRow
from market_scraper.storage.merging import MergedRows
from market_scraper.storage.spill import Spill
from market_scraper.storage.spill_folder import SpillFolder
from market_scraper.storage.writing import write_rows

log = structlog.get_logger(__name__)

T = TypeVar("T")
CHUNK_ROWS = 1_000
"""Rows of one transaction while a spill is emptied."""


class InThread(Protocol):
    """Runs blocking work elsewhere, so that the event loop goes on."""

    def __call__(self, work: Callable[[], T], /) -> Awaitable[T]: ...


async def replay_left(folder: SpillFolder, store: Store, clock: Clock, *, patience_s: float = 30.0) -> int:
    """Store what was left, before anything is read at start; gives the number of rows. Live workers' rows stay theirs.

    Raises StoreUnreachable when the store stays away for `patience_s` or the files cannot be read: what was accepted
    must not be passed over in silence. Nothing is lost by it; the next start tries again.
    """
    give_up_s = clock.monotonic() + patience_s
    while True:
        try:
            return await replay_orphans(folder, store, clock.now_ms())
        except OSError as error:
            raise StoreUnreachable(f"spilled rows in {folder.path} cannot be read: {error.strerror}") from error
        except StoreError as error:
            if clock.monotonic() >= give_up_s:
                raise StoreUnreachable(f"spilled rows cannot be stored: {error}") from error
            await clock.sleep(1.0)


async def replay_orphans(
    folder: SpillFolder, store: Store, known_at_ms: int, *, in_thread: InThread = asyncio.to_thread
) -> int:
    """Empty every slot whose worker is gone into the store; gives the rows. Raises StoreError and OSError.

    Each slot in its order. Tape marks come after all slots' facts, and not while a live worker has rows of its own:
    a mark speaks for every fact up to it, whoever had it.
    """
    stored = 0
    marks = MergedRows()
    for slot in folder.orphans():
        with Spill(folder, max_bytes=1) as spill:
            await in_thread(partial(spill.adopt, slot))
            while (chunk := await in_thread(partial(spill.read, CHUNK_ROWS, known_at_ms))) is not None:
                facts = MergedRows()
                for row in chunk.rows:
                    (marks if isinstance(row, TapeMarkRow) else facts).add(row)
                await write_rows(store, facts.in_order(), known_at_ms)
                stored += len(chunk.rows)
                spill.done(chunk)
    if len(marks) and not folder.others_hold(None):
        await write_rows(store, marks.in_order(), known_at_ms)
    if stored:
        log.info("spill_replayed", rows=stored)
    return stored
