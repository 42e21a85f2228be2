"""A small world for API tests: views held in dicts, a store and a bus in memory, and facts to fill them with."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx2
from fastapi import FastAPI

from market_scraper.api.deps import ApiDeps
from market_scraper.api.server import create_app
from market_scraper.domain.claims import Claim, claim
from market_scraper.domain.crosscheck import RECENT_DAYS
from market_scraper.domain.errors import UnknownThing
from market_scraper.domain.events import ComponentReported, PositionChanged
from market_scraper.domain.market import Candle, Market, MarketContext
from market_scraper.domain.positions import Cause, Position, PositionState, TapeMark
from market_scraper.domain.signals import Contribution, Signal, SignalState
from market_scraper.domain.traders import Choice, Inference, LeaderboardRow, Performance, RatedTrader
from market_scraper.domain.values import Address, Interval, Recommendation, Symbol
from market_scraper.event_bus.memory import MemoryBus
from market_scraper.event_bus.numbers import reserve_in_memory
from market_scraper.ports.clock import Clock
from market_scraper.ports.operations import Operations
from market_scraper.ports.reporting import Detail
from market_scraper.ports.stores import PositionRow, ReadingRow, Row, ScoreRow, SignalRow, Store
from market_scraper.ports.views import ComponentHealth, PositionNow
from market_scraper.runtime.clock import ScaledClock
from market_scraper.storage import MemoryRepository
from market_scraper.views.onchain import LiveOnChain
from tests.fakes import FakeClock
from tests.onchain_facts import everything

NOW_MS = 1_700_000_000_000
BTC, ETH = Symbol("BTC"), Symbol("ETH")
HOUR = 3_600_000


def address(number: int) -> Address:
    return Address(f"0x{number:040x}")


ANN, BOB, EVE = address(1), address(2), address(3)


def position(trader: Address = ANN, symbol: Symbol = BTC, lots: int | None = 150_000, **changes: Any) -> Position:
    """1.5 BTC long from 30,000 USD, exact, a moment ago."""
    fields: dict[str, Any] = {
        "trader": trader,
        "symbol": symbol,
        "sz_decimals": 5,
        "lots": lots,
        "net_lots": lots or 0,
        "state": PositionState.EXACT,
        "doubt": None,
        "because": None,
        "since_ms": None,
        "epoch_ms": NOW_MS - HOUR,
        "changes": 1,
        "watched_from_ms": NOW_MS - HOUR,
        "entry_px": 30_000.0 if lots else None,
        "leverage": 5,
        "liquidation_px": 20_000.0,
        "confirmed_ms": NOW_MS - 60_000,
        "account_value": 1_000_000.0,
        "t_ms": NOW_MS - 1_000,
        "tid": 7,
        "version": 1,
    }
    return Position(**{**fields, **changes})


def changed(after: Position, *, before: int | None = 0, known_at_ms: int | None = None) -> PositionChanged:
    return PositionChanged(
        known_at_ms=after.t_ms + 100 if known_at_ms is None else known_at_ms,
        after=after,
        lots_before=before,
        cause=Cause.PRINT,
        px=31_000.0,
    )


def rated(trader: Address = ANN, *, score: float = 80.0, tracked: bool = True, **row: Any) -> RatedTrader:
    return RatedTrader(
        row=LeaderboardRow(
            **{
                "trader": trader,
                "account_value": 2_000_000.0,
                "month": Performance(pnl=1_000.0, roi=0.1, vlm=5_000_000.0),
                "display_name": None,
                **row,
            }
        ),
        score=score,
        parts={"month_roi": 5.0, "rest": score - 5.0},
        tags=("large", "consistent"),
        inference=Inference(True, 0.52, ("day_volume",)),
        tracked=tracked,
    )


def signal(number: int = 1, *, t_ms: int = NOW_MS - 60_000, **changes: Any) -> Signal:
    fields: dict[str, Any] = {
        "id": f"{number:024x}",
        "t_ms": t_ms,
        "known_at_ms": t_ms + 200,
        "symbol": BTC,
        "recommendation": Recommendation.BUY,
        "confidence": 0.6,
        "calibrated": False,
        "long_bias": 0.7,
        "short_bias": 0.3,
        "net_exposure": 0.4,
        "head_count_bias": 0.2,
        "dollar_bias": 0.5,
        "traders_long": 7,
        "traders_short": 3,
        "traders_flat": 2,
        "effective_voters": 8.5,
        "coverage": 0.4,
        "price": 31_000.0,
        "state": SignalState.LIVE,
        "model": "test-1",
        "contributions": (contribution(ANN, 0.3), contribution(BOB, 0.1)),
    }
    return Signal(**{**fields, **changes})


def contribution(trader: Address, share: float) -> Contribution:
    return Contribution(
        trader=trader,
        size=1.5,
        weight=0.5,
        conviction=share / 0.5,
        share=share,
        state=PositionState.EXACT,
        doubt=None,
    )


def score_row(trader: Address, captured_ms: int, *, score: float = 70.0) -> ScoreRow:
    return ScoreRow(
        captured_at_ms=captured_ms,
        known_at_ms=captured_ms + 1_000,
        trader=trader,
        score=score,
        parts={"rest": score},
        tags=("large",),
        account_value=1_500_000.0,
    )


class FakePositions:
    """Claims by the real rule, on positions put in by hand."""

    def __init__(self, clock: Clock) -> None:
        self.now: dict[tuple[Address, Symbol], Position] = {}
        self.inferred: set[tuple[Address, Symbol]] = set()
        self.marks: dict[Symbol, TapeMark] = {
            symbol: TapeMark(symbol=symbol, watermark_ms=NOW_MS - 500, epoch_ms=NOW_MS - 2 * HOUR)
            for symbol in (BTC, ETH)
        }
        self._clock = clock

    def put(self, *positions: Position) -> None:
        self.now.update({(each.trader, each.symbol): each for each in positions})

    def get(self, trader: Address, symbol: Symbol) -> PositionNow | None:
        known = self.now.get((trader, symbol))
        if known is not None:
            return PositionNow(known, claim(known, self.marks[symbol], self._clock.now_ms()))
        if (trader, symbol) in self.inferred:
            return PositionNow(None, Claim(PositionState.INFERRED, None, None, None, NOW_MS - 2_000))
        return None

    def known(self, symbol: Symbol) -> Sequence[Address]:
        return [trader for trader, held in self.now if held == symbol]

    def coverage(self, symbol: Symbol) -> float:
        return 0.25

    def version(self, symbol: Symbol) -> int:
        return 1


class FakeTraders:
    def __init__(self) -> None:
        self.rated: dict[Address, RatedTrader] = {}
        self.choices: dict[Address, Choice] = {}
        self.captured_at_ms: int | None = None
        self.version = 1

    def put(self, *traders: RatedTrader) -> None:
        self.rated.update({each.row.trader: each for each in traders})
        self.captured_at_ms = NOW_MS - 10_000

    def get(self, trader: Address) -> RatedTrader | None:
        return self.rated.get(trader)

    def tracked(self) -> Sequence[RatedTrader]:
        return sorted((t for t in self.rated.values() if t.tracked), key=lambda t: (-t.score, t.row.trader))

    def is_tracked(self, trader: Address) -> bool:
        return trader in self.rated and self.rated[trader].tracked

    def choice(self, trader: Address) -> Choice | None:
        return self.choices.get(trader)


class FakeMarkets:
    def __init__(self) -> None:
        self.listed: dict[Symbol, Market] = {}
        self.contexts: dict[Symbol, tuple[MarketContext, int]] = {}
        self.bars: dict[tuple[Symbol, Interval], Candle] = {}

    def put(self, symbol: Symbol, mark: float | None = 31_000.0) -> None:
        self.listed[symbol] = Market(symbol=symbol, sz_decimals=5, max_leverage=40)
        context = MarketContext(
            symbol=symbol, mark=mark, mid=mark, open_interest=10_000.0, funding=0.0001, day_volume_usd=1e9
        )
        self.contexts[symbol] = (context, NOW_MS - 300)

    def all(self) -> Sequence[Market]:
        return list(self.listed.values())

    def get(self, symbol: Symbol) -> Market | None:
        return self.listed.get(symbol)

    def context(self, symbol: Symbol) -> tuple[MarketContext, int] | None:
        return self.contexts.get(symbol)

    def forming(self, symbol: Symbol, interval: Interval) -> Candle | None:
        return self.bars.get((symbol, interval))


class FakeSignals:
    def __init__(self) -> None:
        self.now: dict[Symbol, Signal] = {}

    def current(self, symbol: Symbol) -> Signal | None:
        return self.now.get(symbol)


class FakeHealth:
    def __init__(self) -> None:
        self.known: dict[str, ComponentHealth] = {}
        self.says = {"store": True, "bus": True}
        self.status = "healthy"

    def put(
        self,
        name: str,
        *,
        running: bool = True,
        status: str = "healthy",
        reason: str | None = None,
        detail: Detail | None = None,
    ) -> None:
        report = ComponentReported(
            known_at_ms=NOW_MS,
            name=name,
            kind="connector",
            running=running,
            last_success_ms=NOW_MS - 1_500,
            allowed_age_s=10.0,
            errors=2,
            reason=reason,
            failing_since_ms=None if reason is None else NOW_MS - 9_000,
            detail={"sockets": 3} if detail is None else dict(detail),
        )
        self.known[name] = ComponentHealth(name, "connector", status, 1.5, report)

    def components(self) -> Sequence[ComponentHealth]:
        return list(self.known.values())

    def get(self, name: str) -> ComponentHealth | None:
        return self.known.get(name)

    def overall(self) -> str:
        return self.status

    def checks(self) -> dict[str, bool]:
        return self.says


class FakeViews:
    def __init__(self, clock: Clock) -> None:
        self.positions = FakePositions(clock)
        self.traders = FakeTraders()
        self.markets = FakeMarkets()
        self.signals = FakeSignals()
        self.health = FakeHealth()
        self.onchain = LiveOnChain(clock, self.health.get)


class FakeOperations:
    """Carries orders out in the views at once."""

    def __init__(self, views: FakeViews) -> None:
        self._views = views
        self.orders: list[tuple[str, str]] = []

    async def start_connector(self, name: str) -> None:
        self.orders.append(("start", name))
        if name not in self._views.health.known:
            raise UnknownThing(f"no connector {name}")
        self._views.health.put(name, running=True)

    async def stop_connector(self, name: str) -> None:
        self.orders.append(("stop", name))
        self._views.health.put(name, running=False)

    async def choose_trader(self, trader: Address, choice: Choice) -> None:
        self.orders.append((choice, trader))
        self._views.traders.choices[trader] = choice


@dataclass
class World:
    """One application and everything behind it."""

    clock: FakeClock = field(default_factory=lambda: FakeClock(NOW_MS))
    store: Store = field(default_factory=MemoryRepository)
    bus: MemoryBus = field(default_factory=lambda: MemoryBus(reserve_in_memory()))
    symbols: tuple[Symbol, ...] = (BTC, ETH)
    api_key: str | None = None
    host: str = "127.0.0.1"
    heartbeat_s: float = 15.0
    takes_orders: bool = True
    views: FakeViews = field(init=False)
    operations: FakeOperations = field(init=False)
    app: FastAPI = field(init=False)

    def __post_init__(self) -> None:
        self.views = FakeViews(self.clock)
        self.operations = FakeOperations(self.views)
        operations: Operations | None = self.operations if self.takes_orders else None
        self.app = create_app(
            ApiDeps(
                store=self.store,
                views=self.views,
                bus=self.bus,
                operations=operations,
                clock=self.clock,
                real_clock=ScaledClock(),
                symbols=self.symbols,
                version="9.9.9",
                host=self.host,
                api_key=self.api_key,
                backends={"store": "memory", "bus": "memory"},
                heartbeat_s=self.heartbeat_s,
            )
        )

    def client(self, *, peer: str = "127.0.0.1", base_url: str = "http://127.0.0.1:8000") -> httpx2.AsyncClient:
        """A client inside the process; its requests seem to come from `peer`."""
        transport = httpx2.ASGITransport(app=self.app, client=(peer, 50_000))
        return httpx2.AsyncClient(transport=transport, base_url=base_url)


async def full_world(**options: Any) -> World:
    """Two markets, three traders (EVE only seen on the tape), positions, signals, bars, scores, on-chain readings."""
    world = World(**options)
    views = world.views
    for symbol in world.symbols:
        views.markets.put(symbol)
    views.traders.put(rated(ANN, score=90.0), rated(BOB, score=60.0, display_name="Bob"))
    views.positions.put(position(ANN), position(BOB, lots=-50_000), position(EVE, lots=0))
    views.positions.inferred.add((ANN, ETH))
    views.signals.now[BTC] = signal(3, t_ms=NOW_MS - 60_000)
    for name in ("hyperliquid", "leaderboard", "candles", "positions"):
        views.health.put(name)
    facts = [changed(position(ANN, lots=50_000 * n, t_ms=NOW_MS - HOUR * 5 + n * 60_000, tid=n)) for n in range(1, 6)]
    rows: list[Row] = [
        *(PositionRow(changed=fact) for fact in facts),
        *(SignalRow(signal=signal(n, t_ms=NOW_MS - HOUR * (4 - n))) for n in range(1, 3)),
        SignalRow(signal=signal(3, t_ms=NOW_MS - 60_000)),
        score_row(ANN, NOW_MS - HOUR * 6),
        score_row(BOB, NOW_MS - HOUR * 6, score=65.0),
        *(ReadingRow(reading=each) for each in everything(days=5, known_at_ms=NOW_MS - HOUR * 2)),
    ]
    await world.store.write(rows)
    views.onchain.put(await world.store.readings.recent(days=RECENT_DAYS))
    return world
