"""Stand-ins for what lies outside the code under test; each keeps its port's promise."""

import asyncio
import heapq
import itertools
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeVar
from urllib.parse import urlencode

from market_scraper.connectors.onchain.fetch import Fetch, Fetched
from market_scraper.domain.errors import InvalidInput, StoreError
from market_scraper.domain.market import Candle, Market, MarketContext
from market_scraper.domain.onchain import Answer, Source
from market_scraper.domain.positions import AccountSnapshot
from market_scraper.domain.traders import LeaderboardRow
from market_scraper.domain.values import Address, Interval, Symbol
from market_scraper.ports.reporting import Detail
from market_scraper.ports.sources import Heard, VenueSocket
from market_scraper.ports.stores import Row, SettingRow
from market_scraper.storage import MemoryRepository

T = TypeVar("T")

TURNS = 50
"""Turns of the event loop that `settle` grants at most; a chain of awaits in our tests is far shorter."""


async def settle(turns: int = TURNS) -> None:
    """Let every task that can run go on until it waits again."""
    # Whoever may run now stands in here; asking is what makes a clock that is moved in small steps quick.
    ready: Collection[object] = asyncio.get_running_loop()._ready  # type: ignore[attr-defined]
    for _ in range(turns):
        await asyncio.sleep(0)
        if not ready:
            return


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


class FakeReporter:
    """A `ports.reporting.Reporter` that remembers what was said: "ok" or the reason."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.detail: Detail = {}

    def ok(self, detail: Detail | None = None) -> None:
        self.said.append("ok")
        if detail is not None:
            self.detail = detail

    def failed(self, reason: str, *, told: bool = False, detail: Detail | None = None) -> None:
        self.said.append(reason)
        if detail is not None:
            self.detail = detail

    @property
    def turns(self) -> list[str]:
        """What was said, each run of the same words once."""
        return [words for words, _ in itertools.groupby(self.said)]


class FakeSocket:
    """A `ports.sources.VenueSocket`: the test says what is heard on it; what was asked of it is remembered."""

    def __init__(self, name: str, on_heard: Callable[[Heard], None]) -> None:
        self.name = name
        self.say = on_heard
        self.wanted: list[dict[str, object]] = []
        self.renewed: list[Symbol] = []
        self.reconnects: list[str] = []

    def want(self, subscriptions: Sequence[dict[str, object]]) -> None:
        self.wanted = list(subscriptions)

    def renew_trades(self, symbol: Symbol) -> None:
        self.renewed.append(symbol)

    def reconnect(self, reason: str) -> None:
        self.reconnects.append(reason)


class FakeSockets:
    """`ports.sources.VenueSockets` without a venue. `closed` holds the names whose block was left."""

    def __init__(self) -> None:
        self.open_now: dict[str, FakeSocket] = {}
        self.closed: list[str] = []

    def __getitem__(self, name: str) -> FakeSocket:
        return self.open_now[name]

    def open(self, name: str, on_heard: Callable[[Heard], None]) -> AbstractAsyncContextManager[VenueSocket]:
        return self._open(name, on_heard)

    @asynccontextmanager
    async def _open(self, name: str, on_heard: Callable[[Heard], None]) -> AsyncIterator[VenueSocket]:
        self.open_now[name] = FakeSocket(name, on_heard)
        try:
            yield self.open_now[name]
        finally:
            del self.open_now[name]
            self.closed.append(name)


class FakeHttp:
    """`ports.sources.VenueHttp` from plain fields and functions; an exception in their place is raised.

    `asked` has each question as (what, its arguments). While `held` is unset, account answers wait.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[object, ...]] = []
        self.listed: list[Market] | Exception = []
        self.states: list[MarketContext] | Exception = []
        self.bars: Callable[[Symbol, Interval, int, int], list[Candle] | Exception] = lambda *_: []
        self.account_of: Callable[[Address, str], AccountSnapshot | Exception] = lambda *_: InvalidInput("nobody")
        self.pulls: list[Sequence[Sequence[LeaderboardRow]] | Exception] = []
        self.room = 1_000_000  # account questions that the budget would let through at once
        self.held = asyncio.Event()
        self.held.set()

    async def markets(self) -> list[Market]:
        self.asked.append(("markets",))
        return _given(self.listed)

    async def contexts(self) -> tuple[list[Market], list[MarketContext]]:
        self.asked.append(("contexts",))
        return _given(self.listed), _given(self.states)

    async def candles(
        self, symbol: Symbol, interval: Interval, start_ms: int, end_ms: int, *, urgent: bool = False
    ) -> list[Candle]:
        self.asked.append(("urgent candles" if urgent else "candles", symbol, interval, start_ms, end_ms))
        return _given(self.bars(symbol, interval, start_ms, end_ms))

    async def account(self, trader: Address, dex: str = "") -> AccountSnapshot:
        self.asked.append(("account", trader, dex))
        await self.held.wait()
        return _given(self.account_of(trader, dex))

    async def leaderboard(self) -> AsyncIterator[Sequence[LeaderboardRow]]:
        self.asked.append(("leaderboard",))
        await self.held.wait()
        for rows in _given(self.pulls.pop(0)):
            yield rows

    def account_room(self) -> int:
        return self.room

    def spent_last_minute(self) -> int:
        return 0


class FakeOnChainSource:
    """A `ports.sources.OnChainSource` that gives its `answers` in turn, the last one again and again."""

    def __init__(self, name: Source, *answers: Answer | Exception) -> None:
        self.name = name
        self.metrics: tuple[str, ...] = ()
        self.answers = list(answers)
        self.asked: list[dict[str, int]] = []  # what we had of each metric

    async def read(self, newest: Mapping[str, int], now_ms: int) -> Answer:
        self.asked.append(dict(newest))
        return _given(self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])


class FakeFetch(Fetch):
    """On-chain hosts as one function, which says what an address and its parameters give.

    Keeps `Fetch`'s promise on conditional GETs: an answer that was kept is unchanged while its bytes are.
    """

    def __init__(self, hosts: Callable[[str, dict[str, str]], bytes | Exception]) -> None:
        self._hosts = hosts
        self._bodies: dict[str, bytes] = {}  # by URL, those that were kept
        self.kept: list[str] = []
        self.asked: list[tuple[str, dict[str, str]]] = []

    async def get(
        self,
        source: Source,
        url: str,
        params: Mapping[str, str] | None = None,
        *,
        limit_bytes: int = 0,
        conditional: bool = False,
    ) -> Fetched:
        self.asked.append((url, dict(params or {})))
        body = _given(self._hosts(url, dict(params or {})))
        whole = f"{url}?{urlencode(params)}" if params else url
        if conditional and self._bodies.get(whole) == body:
            return Fetched(whole, b"", True, {}, ())
        return Fetched(whole, body, False, {}, ())

    def keep(self, fetched: Fetched) -> None:
        if not fetched.unchanged:
            self._bodies[fetched.url] = fetched.body
            self.kept.append(fetched.url)


def _given(answer: T | Exception) -> T:
    if isinstance(answer, Exception):
        raise answer
    return answer
