"""The store as those see it who lean on it being complete: not before what is spilled is in it."""

from collections.abc import AsyncIterator, Sequence

from market_scraper.domain.errors import StoreError
from market_scraper.domain.events import PositionChanged
from market_scraper.domain.positions import Position, TapeMark
from market_scraper.domain.values import Address, Symbol
from market_scraper.ports.stores import (
    CandleReader,
    PositionReader,
    ReadingReader,
    Row,
    SettingReader,
    SignalReader,
    Store,
    TraderReader,
)
from market_scraper.storage.spill_folder import SpillFolder


class GatedStore:
    """A `ports.stores.Store` whose position states and tape marks raise StoreError while a worker's spill holds rows.

    What is acknowledged on the bus is in the store or in a spill. Whoever begins from the store and the bus alone would
    miss what is spilled, and take for exact what has changed since; so it has to wait, as for a store that is away.
    History and all else is read as it stands.
    """

    def __init__(self, store: Store, folder: SpillFolder) -> None:
        self._store = store
        self._positions = _GatedPositions(store.positions, folder)

    @property
    def candles(self) -> CandleReader:
        return self._store.candles

    @property
    def positions(self) -> PositionReader:
        return self._positions

    @property
    def traders(self) -> TraderReader:
        return self._store.traders

    @property
    def signals(self) -> SignalReader:
        return self._store.signals

    @property
    def readings(self) -> ReadingReader:
        return self._store.readings

    @property
    def settings(self) -> SettingReader:
        return self._store.settings

    async def write(self, rows: Sequence[Row]) -> None:
        await self._store.write(rows)

    async def expire(self, now_ms: int) -> dict[str, int]:
        return await self._store.expire(now_ms)

    async def check(self) -> None:
        await self._store.check()


class _GatedPositions:
    def __init__(self, positions: PositionReader, folder: SpillFolder) -> None:
        self._positions = positions
        self._folder = folder

    async def states(self, symbol: Symbol) -> AsyncIterator[Sequence[Position]]:
        self._check()
        async for positions in self._positions.states(symbol):
            yield positions

    async def marks(self) -> dict[Symbol, TapeMark]:
        self._check()
        return await self._positions.marks()

    async def history(
        self,
        trader: Address,
        symbol: Symbol,
        *,
        since_ms: int,
        limit: int,
        known_by_ms: int | None = None,
        before: tuple[int, int] | None = None,
    ) -> list[PositionChanged]:
        return await self._positions.history(
            trader, symbol, since_ms=since_ms, limit=limit, known_by_ms=known_by_ms, before=before
        )

    async def at(self, symbol: Symbol, moment_ms: int, traders: Sequence[Address]) -> dict[Address, PositionChanged]:
        return await self._positions.at(symbol, moment_ms, traders)

    def _check(self) -> None:
        if self._folder.others_hold(None):
            raise StoreError("rows that were spilled while the store was away are not in it yet")
