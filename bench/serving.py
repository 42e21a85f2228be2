"""A process that serves the application beside a bare route with the same bytes, for `api_signal` and `api_traders`.

    python -m bench.serving TRADERS

It prints one JSON line, `{"ours": PORT, "bare": PORT}`, and serves until its standard input ends. The bare application
is the same framework without anything of ours: one route that gives back bytes that were put into it (PUT), by query
string. `GET /cpu` there says how many processor seconds this process has used.
"""

import asyncio
import json
import random
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from bench import made
from market_scraper.api.deps import ApiDeps
from market_scraper.api.server import create_app
from market_scraper.api.serving import serving
from market_scraper.domain.events import (
    Event,
    MarketContextChanged,
    MarketsListed,
    PositionChanged,
    SignalGenerated,
    TapeAdvanced,
    TradersRated,
)
from market_scraper.domain.market import Market, MarketContext
from market_scraper.domain.positions import Cause, Position, PositionState, TapeMark
from market_scraper.domain.signals import Signal, SignalState
from market_scraper.domain.traders import Choice, Inference, LeaderboardRow, Performance, RatedTrader
from market_scraper.domain.values import Address, Recommendation, Symbol
from market_scraper.event_bus.memory import MemoryBus
from market_scraper.event_bus.numbers import reserve_in_memory
from market_scraper.runtime.clock import ScaledClock
from market_scraper.storage import MemoryRepository
from market_scraper.views.all import LiveViews

BTC = Symbol("BTC")
TRACKED = 500
CHANGES_A_SECOND = 100
ADVANCE_EVERY = 25  # changes: four marks a second


def rated(trader: Address, rng: random.Random, *, tracked: bool) -> RatedTrader:
    """A ranked trader as scoring leaves it."""
    window = Performance(rng.gauss(0, 20_000), rng.gauss(0, 0.5), rng.lognormvariate(12, 3))
    return RatedTrader(
        row=LeaderboardRow(
            trader=trader,
            account_value=rng.lognormvariate(13, 2),
            day=window,
            week=window,
            month=window,
            all_time=window,
        ),
        score=rng.uniform(50, 105),
        parts={"month_roi": 5.0},
        tags=tuple(tag for tag in ("large", "consistent", "high_volume") if rng.random() < 0.5),
        inference=Inference(True, 0.52, ("day_volume",)),
        tracked=tracked,
    )


def fact(trader: Address, t_ms: int, version: int, rng: random.Random) -> PositionChanged:
    """An exact position; one in six is flat."""
    lots = 0 if rng.random() < 1 / 6 else rng.randrange(-1_000_000, 1_000_000)
    after = Position(
        trader=trader,
        symbol=BTC,
        sz_decimals=5,
        lots=lots,
        net_lots=lots,
        state=PositionState.EXACT,
        doubt=None,
        because=None,
        since_ms=None,
        epoch_ms=0,
        changes=7,
        watched_from_ms=0,
        entry_px=97_012.5 if lots else None,
        leverage=5,
        liquidation_px=80_123.4,
        confirmed_ms=t_ms - 60_000,
        account_value=1e6,
        t_ms=t_ms,
        tid=version,
        version=version,
    )
    return PositionChanged(known_at_ms=t_ms, after=after, lots_before=1, cause=Cause.PRINT, px=97_000.0)


def mark(t_ms: int) -> TapeAdvanced:
    """The tape is whole up to `t_ms`."""
    return TapeAdvanced(known_at_ms=t_ms, mark=TapeMark(symbol=BTC, watermark_ms=t_ms, epoch_ms=0), venue_offset_ms=0)


def opening(traders: list[Address], tracked: int, now_ms: int, rng: random.Random) -> list[Event]:
    """What a running program knows: a market, a pull of ratings, everyone's position, a signal."""
    context = MarketContext(
        symbol=BTC, mark=97_000.0, mid=97_000.0, open_interest=30_000.0, funding=1e-5, day_volume_usd=1e9
    )
    ranked = tuple(rated(trader, rng, tracked=place < tracked) for place, trader in enumerate(traders))
    signal = Signal(
        id=f"{7:024x}",
        t_ms=now_ms,
        known_at_ms=now_ms,
        symbol=BTC,
        recommendation=Recommendation.BUY,
        confidence=0.6,
        calibrated=False,
        long_bias=0.7,
        short_bias=0.3,
        net_exposure=0.4,
        head_count_bias=0.2,
        dollar_bias=0.5,
        traders_long=310,
        traders_short=110,
        traders_flat=80,
        effective_voters=88.5,
        coverage=0.4,
        price=97_000.0,
        state=SignalState.LIVE,
        model="bench-1",
        contributions=(),
    )
    return [
        MarketsListed(known_at_ms=now_ms, markets=(Market(symbol=BTC, sz_decimals=5, max_leverage=40),)),
        MarketContextChanged(known_at_ms=now_ms, context=context),
        TradersRated(known_at_ms=now_ms, captured_at_ms=now_ms, part=0, parts=1, traders=ranked),
        *(fact(trader, now_ms, place + 1, rng) for place, trader in enumerate(traders)),
        mark(now_ms),
        SignalGenerated(known_at_ms=now_ms, signal=signal),
    ]


async def change(bus: MemoryBus, traders: list[Address], clock: ScaledClock, rng: random.Random) -> None:
    """Change tracked traders' positions at the pace of the aim, for ever."""
    made_so_far, began_s = 0, clock.monotonic()
    while True:
        await clock.sleep(0.01)
        due = int((clock.monotonic() - began_s) * CHANGES_A_SECOND)
        events: list[Event] = []
        for number in range(made_so_far, due):
            now_ms = clock.now_ms()
            events.append(fact(rng.choice(traders), now_ms, 1_000_000 + number, rng))
            if number % ADVANCE_EVERY == 0:
                events.append(mark(now_ms))
        made_so_far = due
        await bus.publish(events)


def bare_app() -> FastAPI:
    """The floor: bytes by query string, in the same framework."""
    app = FastAPI()
    prebuilt: dict[bytes, bytes] = {}

    @app.put("/bare")
    async def keep(request: Request) -> Response:
        prebuilt[request.scope["query_string"]] = await request.body()
        return Response()

    @app.get("/bare")
    async def bare(request: Request) -> Response:
        return Response(prebuilt[request.scope["query_string"]], media_type="application/json")

    @app.get("/cpu")
    async def cpu() -> float:
        return time.process_time()

    return app


@asynccontextmanager
async def served_bare(app: FastAPI) -> AsyncIterator[int]:
    """Serve the bare application with the same server and settings."""
    config = uvicorn.Config(app, log_config=None, access_log=False, server_header=False, loop="none", lifespan="off")
    config.load()
    loop = asyncio.get_running_loop()
    state = uvicorn.server.ServerState()

    def protocol() -> asyncio.Protocol:
        return config.http_protocol_class(config=config, server_state=state, app_state={})  # type: ignore[call-arg,operator]

    server = await loop.create_server(protocol, "127.0.0.1", 0)
    async with server:
        yield int(server.sockets[0].getsockname()[1])


def _rate_nobody(_rows: Sequence[LeaderboardRow], _choices: Mapping[Address, Choice]) -> list[RatedTrader]:
    return []  # ratings come as events here


async def main(count: int) -> None:
    """Serve both until standard input ends."""
    clock, rng = ScaledClock(), random.Random(7)
    traders = made.addresses(count)
    store, bus = MemoryRepository(), MemoryBus(reserve_in_memory())
    async with bus:
        views = LiveViews(clock, rate=_rate_nobody)
        async with views.following(bus, store, (BTC,)) as inbox:
            for event in opening(traders, min(TRACKED, count), clock.now_ms(), rng):
                views.apply(event)
            deps = ApiDeps(
                store=store,
                views=views,
                bus=bus,
                operations=None,
                clock=clock,
                real_clock=clock,
                symbols=(BTC,),
                version="0",
                host="127.0.0.1",
            )
            async with serving(create_app(deps), "127.0.0.1", 0) as ours, served_bare(bare_app()) as bare:
                tasks = [
                    asyncio.create_task(views.run(inbox)),
                    asyncio.create_task(change(bus, traders[:TRACKED], clock, rng)),
                ]
                print(json.dumps({"ours": ours, "bare": bare}), flush=True)
                await asyncio.to_thread(sys.stdin.read)
                for task in tasks:
                    task.cancel()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
