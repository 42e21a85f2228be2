"""Rows that wait a while, to be stored together in one transaction."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from types import TracebackType
from typing import Self

import structlog

from market_scraper.domain.errors import StoreError
from market_scraper.ports.clock import Clock
from market_scraper.ports.stores import DeadLetterRow, PositionStateRow, Row, Store, TapeMarkRow

log = structlog.get_logger(__name__)

BODY_BYTES = 65_536  # of a row that is parked: enough to see what was wrong
REASON_CHARS = 500


def delays_s(first: float = 0.25, longest: float = 15.0) -> Iterator[float]:
    """How long to wait before each further attempt: doubling, up to `longest`, for ever."""
    delay = first
    while True:
        yield delay
        delay = min(2 * delay, longest)


class _Waiting:
    """What one flush stores: rows by key, in the order of their last putting, and whom to tell."""

    def __init__(self) -> None:
        self.rows: dict[object, Row] = {}
        self.told: list[Callable[[], None]] = []
        self.put = 0  # rows as they were put, merged ones too: each may be an event that waits to be acknowledged
        self.oldest_s = 0.0


class Buffer:
    """Implements `ports.stores.RowSink` over a store. Used as `async with`; leaving stores what waits.

    A flush comes with `max_size` rows put (merged ones count too), `flush_interval_s` (venue seconds) after the oldest
    row, and at the end; it takes all that waits in one transaction. Of waiting position states and tape marks only the
    newest of its key is written. While the store is away (StoreError) the same rows are tried again, and `put` waits
    once `capacity` rows wait. A row that the store will never take is parked as a dead letter, alone.

    At the end a store that stays away is waited for during `patience_s`; then the rows are given up, counted as
    `lost` and told in the log: whoever stops us has a deadline. Their `on_stored` is never called.
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
    ) -> None:
        self._store = store
        self._clock = clock
        self._flush_interval_s = flush_interval_s
        self._max_size = max_size
        self._capacity = max(capacity, max_size)
        self._patience_s = patience_s
        self._waiting = _Waiting()
        self._numbers = count()
        self._some = asyncio.Event()  # something waits
        self._full = asyncio.Event()  # enough waits, or the end has come
        self._ending = asyncio.Event()
        self._room = asyncio.Event()  # below capacity
        self._room.set()
        self._tasks = asyncio.TaskGroup()
        self._away_since_s: float | None = None
        self._counters = dict.fromkeys(("put", "merged", "written", "flushes", "failures", "parked", "lost"), 0)

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        self._tasks.create_task(self._run(), name="buffer")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self._some.set()
        self._full.set()
        self._room.set()
        await self._tasks.__aexit__(None, None, None)

    async def put(self, rows: Sequence[Row], on_stored: Callable[[], None]) -> None:
        """Queue rows; see `RowSink`. After the end, raises StoreError."""
        while not self._room.is_set():
            await self._room.wait()
        if self._ending.is_set():
            raise StoreError("the buffer is closed")
        if not self._waiting.told:
            self._waiting.oldest_s = self._clock.monotonic()
        for row in rows:
            self._queue(row)
        self._waiting.told.append(on_stored)
        self._counters["put"] += len(rows)
        self._waiting.put += len(rows)
        self._some.set()
        if self._waiting.put >= self._max_size:
            self._full.set()
        if max(len(self._waiting.rows), len(self._waiting.told)) >= self._capacity:
            self._room.clear()
            self._full.set()

    def hurry(self) -> None:
        """Store what waits now; returns at once."""
        if self._waiting.told:
            self._full.set()

    def stats(self) -> dict[str, int]:
        """Counters since the start: put, merged, written, flushes, failures (attempts), parked, lost; and `waiting`."""
        return {**self._counters, "waiting": len(self._waiting.rows)}

    def _queue(self, row: Row) -> None:
        key = _merge_key(row)
        if key is None:
            self._waiting.rows[next(self._numbers)] = row
            return
        kept = self._waiting.rows.pop(key, None)
        if kept is not None:
            self._counters["merged"] += 1
            row = _newer(kept, row)
        self._waiting.rows[key] = row

    async def _run(self) -> None:
        while True:
            await self._some.wait()
            if self._waiting.told:
                await self._until_due()
                await self._flush()
            elif self._ending.is_set():
                return
            else:
                self._some.clear()

    async def _until_due(self) -> None:
        due_s = self._waiting.oldest_s + self._flush_interval_s
        if not self._full.is_set():
            try:
                async with self._clock.timeout(max(0.0, due_s - self._clock.monotonic())):
                    await self._full.wait()
            except TimeoutError:
                pass  # old enough

    async def _flush(self) -> None:
        """Store all that waits, however long it takes; what comes meanwhile waits for the next flush."""
        batch, self._waiting = self._waiting, _Waiting()
        self._room.set()
        if not self._ending.is_set():
            self._full.clear()
            self._some.clear()
        # Marks last: should a bad row split the transaction, no mark is stored before a fact that it speaks for.
        rows = sorted(batch.rows.values(), key=lambda row: isinstance(row, TapeMarkRow))
        if not await self._store_all(rows):
            self._counters["lost"] += len(rows)
            log.error("rows_lost", rows=len(rows), reason="the store stayed away until the end")
            return
        self._counters["flushes"] += 1
        for on_stored in batch.told:
            on_stored()

    async def _store_all(self, rows: list[Row]) -> bool:
        """Try until it is done; False when the end came and the store did not."""
        first_tried_ms = self._clock.now_ms()
        give_up_s: float | None = None
        for delay_s in delays_s():
            try:
                parked = await self._write(rows, first_tried_ms)
            except StoreError as error:
                self._note(error)
                now_s = self._clock.monotonic()
                if self._ending.is_set():
                    give_up_s = now_s + self._patience_s if give_up_s is None else give_up_s
                    if now_s >= give_up_s:
                        return False
                await self._pause(min(delay_s, self._patience_s / 4) if self._ending.is_set() else delay_s)
                continue
            self._note(None)
            self._counters["parked"] += parked
            self._counters["written"] += len(rows) - parked
            return True
        raise AssertionError("delays never end")

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

    async def _write(self, rows: Sequence[Row], known_at_ms: int) -> int:
        """Write rows, halving where one of them is bad; gives how many were parked. Raises StoreError."""
        try:
            await self._store.write(rows)
        except StoreError:
            raise
        except Exception as error:
            if len(rows) > 1:
                half = len(rows) // 2
                return await self._write(rows[:half], known_at_ms) + await self._write(rows[half:], known_at_ms)
            await self._park(rows[0], error, known_at_ms)
            return 1
        return 0

    async def _park(self, row: Row, error: Exception, known_at_ms: int) -> None:
        kind = type(row).__name__
        letter = DeadLetterRow(
            source=f"buffer.{kind}",
            known_at_ms=known_at_ms,
            reason=_plain(f"{type(error).__name__}: {error}")[:REASON_CHARS],
            body=_plain(repr(row)).encode()[:BODY_BYTES],
        )
        log.error("row_parked", row=kind, reason=letter.reason)
        try:
            await self._store.write([letter])
        except StoreError:
            raise
        except Exception:
            log.exception("dead_letter_refused", row=kind)

    def _note(self, error: StoreError | None) -> None:
        """Record one attempt; speak only when the store goes or comes."""
        if error is not None:
            self._counters["failures"] += 1
            if self._away_since_s is None:
                self._away_since_s = self._clock.monotonic()
                log.warning("store_away", reason=str(error))
        elif self._away_since_s is not None:
            log.info("store_back", away_s=round(self._clock.monotonic() - self._away_since_s, 1))
            self._away_since_s = None


def _merge_key(row: Row) -> object | None:
    """Rows with equal keys replace each other while they wait; None = every row counts."""
    if isinstance(row, PositionStateRow):
        return row.position.trader, row.position.symbol
    if isinstance(row, TapeMarkRow):
        return row.mark.symbol
    return None


def _newer(kept: Row, row: Row) -> Row:
    """The one that the store would keep."""
    if isinstance(kept, PositionStateRow) and isinstance(row, PositionStateRow):
        return kept if kept.position.version > row.position.version else row
    if isinstance(kept, TapeMarkRow) and isinstance(row, TapeMarkRow):
        ours, theirs = kept.mark, row.mark
        return kept if (ours.watermark_ms, ours.epoch_ms) > (theirs.watermark_ms, theirs.epoch_ms) else row
    return row


def _plain(text: str) -> str:
    """Text that every store takes: lone surrogates are spelled out."""
    return text.encode("utf-8", "backslashreplace").decode()
