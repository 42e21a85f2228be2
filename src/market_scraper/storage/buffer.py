"""Rows that wait a while, to be stored together in one transaction; on disk while the store is away."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from types import TracebackType
from typing import Self

import msgspec
import structlog

from market_scraper.domain.errors import StoreError
from market_scraper.domain.values import iso
from market_scraper.ports.clock import Clock
from market_scraper.ports.stores import Row, Store, TapeMarkRow
from market_scraper.storage.merging import MergedRows
from market_scraper.storage.spill import Spill
from market_scraper.storage.spill_folder import SpillFolder
from market_scraper.storage.spill_recovery import CHUNK_ROWS, InThread, replay_orphans
from market_scraper.storage.writing import write_rows

log = structlog.get_logger(__name__)


def delays_s(first: float = 0.25, longest: float = 15.0) -> Iterator[float]:
    """How long to wait before each further attempt: doubling, up to `longest`, for ever."""
    delay = first
    while True:
        yield delay
        delay = min(2 * delay, longest)


class SpillState(msgspec.Struct, frozen=True, kw_only=True):
    """How the buffer bears the store's absence; all None and 0 while nothing is wrong."""

    away_since_ms: int | None  # no write has gone through since
    rows: int  # durable on disk, not in the store yet
    bytes: int
    limit_since_ms: int | None  # there was no room on disk, so that rows merged or waited; until all are in the store
    merged: int  # rows merged for want of room, since the start
    disk_error: str | None  # why nothing can be spilled now

    def trouble(self) -> str | None:
        """What to tell whoever asks for our health; None when all is well."""
        parts = []
        if self.away_since_ms is not None:
            parts.append(f"the store is away since {iso(self.away_since_ms)}")
        elif self.rows:
            parts.append("the store is back and gets what was spilled")
        if self.disk_error is not None:
            parts.append(f"nothing can be spilled: {self.disk_error}")
        elif self.limit_since_ms is not None:
            parts.append(f"the spill is full since {iso(self.limit_since_ms)}: facts of one trader and coin merge")
        return "; ".join(parts) or None


class _Waiting:
    """What one flush stores: rows, merged by key, and whom to tell."""

    def __init__(self, *, history: bool) -> None:
        self.rows = MergedRows(history=history)
        self.told: list[Callable[[], None]] = []
        self.put = 0  # rows as they were put, merged ones too: each may be an event that waits to be acknowledged
        self.oldest_s = 0.0
        self.is_pressing = False  # enough waits, or someone is in a hurry


class Buffer:
    """Implements `ports.stores.RowSink` over a store. Used as `async with`; leaving stores what waits.

    A flush comes with `max_size` rows put (merged ones count too), `flush_interval_s` (venue seconds) after the oldest
    row, and at the end; it takes all that waits in one transaction. Of waiting position states and tape marks only the
    newest of its key is written. A row that the store will never take is parked as a dead letter, alone.

    While the store is away (StoreError) flushes go to the spill, if there is a `spill_folder`: rows are told once
    they are durable there, and go into the store in their order when it is back, before anything newer. Where the
    spill is full or the disk fails, rows are kept and tried again, `put` waits once `capacity` rows wait, and what
    waits of one trader and coin merges.

    At the end a store that is away is not waited for where rows can be spilled: the next start finds them. Else it is
    waited for during `patience_s` in all; then the rows are given up, counted as `lost` and told in the log: whoever
    stops us has a deadline. Their `on_stored` is never called. Where what is not told comes again
    (`is_redelivered`), a store that is away at the end is not waited for: nothing is lost.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        flush_interval_s: float = 50.0,
        max_size: int = 100,
        capacity: int = 10_000,
        patience_s: float = 3.0,
        is_redelivered: bool = False,
        spill_folder: SpillFolder | None = None,
        spill_max_bytes: int = 1 << 30,
        in_thread: InThread = asyncio.to_thread,
    ) -> None:
        self._store = store
        self._clock = clock
        self._flush_interval_s = flush_interval_s
        self._max_size = max_size
        self._capacity = max(capacity, max_size)
        self._patience_s = patience_s
        self._is_redelivered = is_redelivered
        self._folder = spill_folder
        self._spill = None if spill_folder is None else Spill(spill_folder, max_bytes=spill_max_bytes)
        self._in_thread = in_thread
        self._waiting = _Waiting(history=False)
        self._marks = MergedRows()  # held back for the rows of other workers
        self._news = asyncio.Event()  # there may be more to do than was thought
        self._ending = asyncio.Event()
        self._room = asyncio.Event()  # below capacity
        self._room.set()
        self._tasks = asyncio.TaskGroup()
        self._away_since_s: float | None = None
        self._away_since_ms: int | None = None
        self._limit_since_ms: int | None = None
        self._disk_error: str | None = None
        self._refill_at_s = 0.0  # when the spill's oldest rows are tried next
        self._refill_first_ms: int | None = None  # when they were tried first
        self._refill_delays = delays_s()
        self._give_up_s = 0.0  # once the end has come
        self._counters = dict.fromkeys(("put", "merged", "written", "flushes", "failures", "parked", "lost"), 0)

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        self._tasks.create_task(self._run(), name="buffer")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._give_up_s = self._clock.monotonic() + self._patience_s
        self._ending.set()
        self._news.set()
        self._room.set()
        try:
            await self._tasks.__aexit__(None, None, None)
        finally:
            if self._spill is not None:
                self._spill.close()

    async def put(self, rows: Sequence[Row], on_stored: Callable[[], None]) -> None:
        """Queue rows; see `RowSink`. After the end, raises StoreError."""
        while not self._room.is_set():
            await self._room.wait()
        if self._ending.is_set():
            raise StoreError("the buffer is closed")
        waiting = self._waiting
        if not waiting.told:
            waiting.oldest_s = self._clock.monotonic()
            self._news.set()
        merged_before = waiting.rows.merged
        for row in rows:
            waiting.rows.add(row)
        self._counters["merged"] += waiting.rows.merged - merged_before
        waiting.told.append(on_stored)
        waiting.put += len(rows)
        self._counters["put"] += len(rows)
        if waiting.put >= self._max_size:
            self._press()
        if max(len(waiting.rows), len(waiting.told)) >= self._capacity:
            self._room.clear()
            self._press()

    def hurry(self) -> None:
        """Store what waits now; returns at once."""
        if self._waiting.told:
            self._press()

    def stats(self) -> dict[str, int]:
        """Counters since the start: put, merged, written, flushes, failures (attempts), parked, lost; and `waiting`."""
        return {**self._counters, "waiting": len(self._waiting.rows)}

    def spill_state(self) -> SpillState:
        """How it stands with the store and the spill now."""
        spill = self._spill
        return SpillState(
            away_since_ms=self._away_since_ms,
            rows=0 if spill is None else spill.rows,
            bytes=0 if spill is None else spill.bytes,
            limit_since_ms=self._limit_since_ms,
            merged=0 if spill is None else spill.merged,
            disk_error=self._disk_error,
        )

    def _press(self) -> None:
        if not self._waiting.is_pressing:
            self._waiting.is_pressing = True
            self._news.set()

    async def _run(self) -> None:
        while True:
            await self._until_due()
            if self._waiting.told and self._flush_due_s() <= self._clock.monotonic():
                await self._flush()
            if self._holds and self._refill_at_s <= self._clock.monotonic() and not self._leaves_rest:
                await self._refill()
            if self._ending.is_set() and not self._waiting.told and (self._leaves_rest or not self._holds):
                if self._holds:
                    log.warning("rows_stay_spilled", rows=self.spill_state().rows)
                return

    @property
    def _holds(self) -> bool:
        """Whether older rows are in the spill: newer ones go behind them."""
        return self._spill is not None and self._spill.rows > 0

    @property
    def _leaves_rest(self) -> bool:
        """Whether what is spilled stays for the next start: the end has come, and now it cannot be stored."""
        is_hopeless = self._away_since_s is not None or self._disk_error is not None
        return self._ending.is_set() and (is_hopeless or self._clock.monotonic() >= self._give_up_s)

    def _flush_due_s(self) -> float:
        if self._waiting.is_pressing or self._ending.is_set():
            return self._clock.monotonic()
        return self._waiting.oldest_s + self._flush_interval_s

    async def _until_due(self) -> None:
        """Wait until a flush or a refill is due, or the end has come."""
        while not self._ending.is_set():
            self._news.clear()
            dues = [self._flush_due_s()] if self._waiting.told else []
            if self._holds:
                dues.append(self._refill_at_s)
            left_s = min(dues) - self._clock.monotonic() if dues else None
            if left_s is not None and left_s <= 0:
                return
            try:
                async with self._clock.timeout(left_s):
                    await self._news.wait()
            except TimeoutError:
                pass  # old enough

    async def _flush(self) -> None:
        """Store or spill all that waits, however long it takes; what comes meanwhile waits for the next flush."""
        batch, self._waiting = self._waiting, _Waiting(history=self._limit_since_ms is not None)
        self._room.set()
        rows = batch.rows.in_order()
        first_tried_ms = self._clock.now_ms()
        for delay_s in delays_s():
            if self._ending.is_set() and self._is_redelivered and self._away_since_s is not None:
                log.info("rows_left_to_the_bus", rows=len(rows))
                return
            if await self._keep(rows, first_tried_ms):
                break
            # One deadline for all that waits: an attempt at a server that only hangs takes long by itself.
            if self._ending.is_set() and self._clock.monotonic() >= self._give_up_s:
                self._counters["lost"] += len(rows)
                log.error("rows_lost", rows=len(rows), reason="the store stayed away until the end")
                return
            await self._pause(min(delay_s, self._patience_s / 4) if self._ending.is_set() else delay_s)
        self._counters["flushes"] += 1
        for on_stored in batch.told:
            on_stored()

    async def _keep(self, rows: list[Row], first_tried_ms: int) -> bool:
        """Store rows, or spill them behind what is spilled already. False: try again."""
        if self._holds:
            if await self._append(rows, first_tried_ms):
                return True
            if self._refill_at_s <= self._clock.monotonic():
                await self._refill()  # makes room
            return False
        try:
            await self._write(rows, first_tried_ms)
        except StoreError as error:
            self._note(error)
            return self._spill is not None and await self._append(rows, first_tried_ms)
        self._note(None)
        self._limit_since_ms = self._disk_error = None
        return True

    async def _append(self, rows: list[Row], known_at_ms: int) -> bool:
        """Put rows into the spill; says once why it cannot."""
        assert self._spill is not None
        merged_before = self._spill.merged
        try:
            is_in = not rows or await self._in_thread(partial(self._spill.append, rows, known_at_ms))
        except OSError as error:
            if self._disk_error is None:
                log.error("spill_failed", reason=error.strerror)
            self._disk_error = error.strerror or type(error).__name__
            is_in = False
        else:
            self._disk_error = None
        if (not is_in or self._spill.merged > merged_before) and self._limit_since_ms is None:
            self._limit_since_ms = self._clock.now_ms()
            log.warning("spill_full", rows=self._spill.rows, bytes=self._spill.bytes)
        if not is_in:
            self._waiting.rows.history = True
        return is_in

    async def _refill(self) -> None:
        """Store the oldest rows of the spill; after a failure, later again."""
        assert self._spill is not None
        if self._refill_first_ms is None:
            self._refill_first_ms = self._clock.now_ms()
        try:
            chunk = await self._in_thread(partial(self._spill.read, CHUNK_ROWS, self._refill_first_ms))
            if chunk is not None:
                await self._write(MergedRows(chunk.rows).in_order(), self._refill_first_ms)
                self._spill.done(chunk)
        except StoreError as error:
            self._note(error)
        except OSError as error:
            if self._disk_error is None:
                log.error("spill_unreadable", reason=error.strerror)
            self._disk_error = error.strerror or type(error).__name__
            self._refill_at_s = self._clock.monotonic() + next(self._refill_delays)
        else:
            self._note(None)
            self._refill_first_ms = self._disk_error = None
            if not self._holds:
                log.info("spill_emptied")
                self._limit_since_ms = None

    async def _write(self, rows: list[Row], known_at_ms: int) -> None:
        """Store rows. Tape marks wait while another worker has rows: a mark speaks for all facts up to it."""
        kept = MergedRows()
        if self._spill is not None:
            marks = MergedRows([*self._marks.in_order(), *(row for row in rows if isinstance(row, TapeMarkRow))])
            if len(marks) and self._spill.others_hold():
                await self._take_over(known_at_ms)
            rows = [row for row in rows if not isinstance(row, TapeMarkRow)]
            if len(marks) and self._spill.others_hold():
                kept = marks
            else:
                rows += marks.in_order()
        parked = await write_rows(self._store, rows, known_at_ms)
        self._marks = kept
        self._counters["parked"] += parked
        self._counters["written"] += len(rows) - parked

    async def _take_over(self, known_at_ms: int) -> None:
        """Store what workers that are gone have left."""
        assert self._folder is not None
        try:
            await replay_orphans(self._folder, self._store, known_at_ms, in_thread=self._in_thread)
        except OSError as error:
            log.error("spill_unreadable", reason=error.strerror)

    async def _pause(self, seconds: float) -> None:
        """Wait before the next attempt; the coming of the end cuts it short."""
        if self._ending.is_set():
            await self._clock.sleep(seconds)
            return
        try:
            async with self._clock.timeout(seconds):
                await self._ending.wait()
        except TimeoutError:
            pass  # try again

    def _note(self, error: StoreError | None) -> None:
        """Record one attempt; speak only when the store goes or comes."""
        if error is not None:
            self._counters["failures"] += 1
            self._refill_at_s = self._clock.monotonic() + next(self._refill_delays)
            if self._away_since_s is None:
                self._away_since_s = self._clock.monotonic()
                self._away_since_ms = self._clock.now_ms()
                log.warning("store_away", reason=str(error))
        elif self._away_since_s is not None:
            log.info("store_back", away_s=round(self._clock.monotonic() - self._away_since_s, 1))
            self._away_since_s = self._away_since_ms = None
            self._refill_delays = delays_s()
