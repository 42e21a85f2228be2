"""Stand-ins for what lies outside the code under test; each keeps its port's promise."""

import asyncio
import heapq
import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from market_scraper.domain.errors import InvalidInput, StoreError
from market_scraper.ports.stores import Row, SettingRow
from market_scraper.storage import MemoryRepository

TURNS = 50
"""Turns of the event loop that `settle` grants; a chain of awaits in our tests is far shorter."""


async def settle(turns: int = TURNS) -> None:
    """Let every task that can run go on until it waits again."""
    for _ in range(turns):
        await asyncio.sleep(0)


class FakeClock:
    """A `ports.clock.Clock` that stands still until `advance` is awaited.

    Both `now_ms` and `monotonic` move with `advance`; `jump_ms` moves `now_ms` alone, as NTP or a suspend does.
    """

    def __init__(self, now_ms: int = 1_700_000_000_000) -> None:
        self._wall_ms = float(now_ms)
        self._monotonic_s = 1_000.0
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._timeouts: list[tuple[float, int, asyncio.Timeout]] = []
        self.slept_s: list[float] = []  # every wait that was asked for, in order

    def now_ms(self) -> int:
        return int(self._wall_ms)

    def monotonic(self) -> float:
        return self._monotonic_s

    @property
    def sleepers(self) -> int:
        """How many tasks wait in `sleep` now."""
        return sum(not future.done() for _, _, future in self._sleepers)

    async def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._monotonic_s + seconds, next(self._order), future))
        await future

    def timeout(self, seconds: float | None) -> AbstractAsyncContextManager[object]:
        return self._timeout(seconds)

    @asynccontextmanager
    async def _timeout(self, seconds: float | None) -> AsyncIterator[object]:
        async with asyncio.timeout(None) as block:
            if seconds is None:
                yield block
                return
            if seconds <= 0:
                block.reschedule(asyncio.get_running_loop().time())
                yield block
                return
            entry = (self._monotonic_s + seconds, next(self._order), block)
            heapq.heappush(self._timeouts, entry)
            try:
                yield block
            finally:
                self._timeouts = [other for other in self._timeouts if other is not entry]
                heapq.heapify(self._timeouts)

    async def advance(self, seconds: float) -> None:
        """Move time on by `seconds`, waking each sleeper and timeout at its own moment and letting it run."""
        await settle()  # who is about to sleep, sleeps from now
        until_s = self._monotonic_s + seconds
        while (due_s := self._next_due_s()) is not None and due_s <= until_s:
            self._move_to(due_s)
            while self._sleepers and self._sleepers[0][0] <= due_s:
                future = heapq.heappop(self._sleepers)[2]
                if not future.done():
                    future.set_result(None)
            while self._timeouts and self._timeouts[0][0] <= due_s:
                heapq.heappop(self._timeouts)[2].reschedule(asyncio.get_running_loop().time())
            await settle()
        self._move_to(until_s)
        await settle()

    def jump_ms(self, by_ms: int) -> None:
        """Move the wall clock alone."""
        self._wall_ms += by_ms

    def _next_due_s(self) -> float | None:
        dues = [heap[0][0] for heap in (self._sleepers, self._timeouts) if heap]
        return min(dues) if dues else None

    def _move_to(self, monotonic_s: float) -> None:
        self._wall_ms += (monotonic_s - self._monotonic_s) * 1000
        self._monotonic_s = monotonic_s


class FakeSink:
    """A `ports.stores.RowSink` whose rows are stored when the test says so; `unstored_limit` is when it is full."""

    def __init__(self, unstored_limit: int = 1_000_000) -> None:
        self.stored: list[Row] = []
        self._unstored_limit = unstored_limit
        self._waiting: list[tuple[Sequence[Row], Callable[[], None]]] = []
        self._room = asyncio.Event()

    @property
    def put_rows(self) -> list[Row]:
        """Everything put so far, stored or not, in order."""
        return [*self.stored, *(row for rows, _ in self._waiting for row in rows)]

    async def put(self, rows: Sequence[Row], on_stored: Callable[[], None]) -> None:
        while sum(len(waiting) for waiting, _ in self._waiting) >= self._unstored_limit:
            self._room.clear()
            await self._room.wait()
        self._waiting.append((rows, on_stored))

    def store_all(self) -> None:
        """Commit what was put and tell it, in order."""
        waiting, self._waiting = self._waiting, []
        for rows, on_stored in waiting:
            self.stored += rows
            on_stored()
        self._room.set()


class FakeStore(MemoryRepository):
    """A memory store that is away while `away`, refuses settings named in `bad`, and remembers what it was given.

    `writes` has the rows of each write that went through; `attempts` counts all.
    """

    def __init__(self) -> None:
        super().__init__()
        self.away = False
        self.bad: set[str] = set()
        self.attempts = 0
        self.writes: list[list[Row]] = []

    async def write(self, rows: Sequence[Row]) -> None:
        self.attempts += 1
        if self.away:
            raise StoreError("away")
        for row in rows:
            if isinstance(row, SettingRow) and row.key in self.bad:
                raise InvalidInput(f"{row.key} cannot be stored")
        await super().write(rows)
        self.writes.append(list(rows))
