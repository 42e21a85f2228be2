"""A process that serves the application beside bare routes of the same framework, for `api_*` and `live_*`.

    python -m bench.serving TRADERS [live]

It prints one JSON line, `{"ours": PORT, "bare": PORT}`, and serves until its standard input ends. The bare application
is the same framework without anything of ours: one route that gives back bytes that were put into it (PUT), by query
string, and `/echo`, a WebSocket that says again what it hears. `GET /cpu` says how many processor seconds this process
has used. `/feed` takes trades frames, as a socket of the venue brings them, through tape and ledger to the bus.
"""

import asyncio
import json
import random
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import uvicorn
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.websockets import WebSocket, WebSocketDisconnect

from bench import made
from bench.tape import SOCKETS, Listener
from market_scraper.api.deps import ApiDeps
from market_scraper.api.server import create_app
from market_scraper.api.serving import serving
from market_scraper.domain.events import (
    Event,
    MarketContextChanged,
    MarketsListed,
    PositionChanged,
    ReadingsTaken,
    SignalGenerated,
    TapeAdvanced,
    TradersRated,
)
from market_scraper.domain.market import Market, MarketContext
from market_scraper.domain.onchain import DAY_MS, METRICS, Reading, Source
from market_scraper.domain.positions import Cause, Position, PositionState, TapeMark
from market_scraper.domain.signals import Signal, SignalState
from market_scraper.domain.traders import Choice, Inference, LeaderboardRow, Performance, RatedTrader
from market_scraper.domain.values import Address, Recommendation, Symbol
from market_scraper.event_bus.memory import MemoryBus
from market_scraper.event_bus.numbers import reserve_in_memory
from market_scraper.ports.sources import PrintsHeard
from market_scraper.processors.persister import PERSISTED, Persister
from market_scraper.processors.signals import SignalGenerationProcessor
from market_scraper.runtime.backoff import backoff
from market_scraper.runtime.clock import ScaledClock
from market_scraper.runtime.memory import sparing_what_stays
from market_scraper.runtime.threads import take_short_turns
from market_scraper.storage import MemoryRepository
from market_scraper.storage.buffer import Buffer
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
    """What a running program knows: a market, a pull of ratings, everyone's position, a signal, on-chain readings."""
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
        *measured(now_ms, rng),
    ]


def measured(now_ms: int, rng: random.Random) -> list[ReadingsTaken]:
    """Ten days of what every source may say of every metric."""
    taken = []
    for source in Source:
        readings = tuple(
            Reading(
                source=source,
                metric=metric.name,
                t_ms=now_ms // DAY_MS * DAY_MS - back * DAY_MS,
                revision=0,
                value=rng.uniform(max(metric.least, -1.0), min(metric.most, 1e6)),
                known_at_ms=now_ms,
            )
            for back in reversed(range(10))
            for metric in METRICS.values()
            if source in metric.sources
        )
        taken.append(ReadingsTaken(known_at_ms=now_ms, readings=readings))
    return taken


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


def bare_app(listen: Callable[[bytes], Awaitable[None]]) -> FastAPI:
    """The floor: bytes by query string, in the same framework; and a way in for trades frames."""
    app = FastAPI()
    prebuilt: dict[bytes, bytes] = {}

    @app.put("/bare")
    async def keep(request: Request) -> Response:
        prebuilt[request.scope["query_string"]] = await request.body()
        return Response()

    @app.get("/bare")
    async def bare(request: Request) -> Response:
        return Response(prebuilt[request.scope["query_string"]], media_type="application/json")

    @app.websocket("/echo")
    async def echo(socket: WebSocket) -> None:
        await socket.accept()
        with suppress(WebSocketDisconnect):
            while True:
                await socket.send_text(await socket.receive_text())

    @app.websocket("/feed")
    async def feed(socket: WebSocket) -> None:
        await socket.accept()
        with suppress(WebSocketDisconnect):
            while True:
                await listen(await socket.receive_bytes())

    @app.get("/cpu")
    async def cpu() -> float:
        return time.process_time()

    return app


@asynccontextmanager
async def served_bare(app: FastAPI) -> AsyncIterator[int]:
    """Serve the bare application with the same server and settings."""
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        loop="none",
        lifespan="off",
        ws_per_message_deflate=False,
    )
    config.load()
    loop = asyncio.get_running_loop()
    state = uvicorn.server.ServerState()

    # As `serving` has it: one encoding for all clients, no compression.
    def protocol() -> asyncio.Protocol:
        return config.http_protocol_class(config=config, server_state=state, app_state={})  # type: ignore[call-arg]

    server = await loop.create_server(protocol, "127.0.0.1", 0)
    async with server:
        yield int(server.sockets[0].getsockname()[1])


def _rate_nobody(_rows: Sequence[LeaderboardRow], _choices: Mapping[Address, Choice]) -> list[RatedTrader]:
    return []  # ratings come as events here


class Tape:
    """What a socket of the venue brings, on its way to the bus."""

    def __init__(self, bus: MemoryBus, clock: ScaledClock) -> None:
        self._listener = Listener()
        self._bus = bus
        self._clock = clock
        self._told_s = 0.0

    async def hear(self, frame: bytes) -> None:
        """Publish what follows from one frame, and four times a second how far the tape is whole."""
        now_s, now_ms, watch = self._clock.monotonic(), self._clock.now_ms(), self._listener.watch
        heard = self._listener.readers[SOCKETS[0]].read(frame, now_s)
        assert isinstance(heard, PrintsHeard)
        is_first = watch.mark() is None
        facts: list[Event] = list(
            watch.hear_prints(SOCKETS[0], heard.prints, replay=is_first, now_s=now_s, known_at_ms=now_ms)
        )
        tape = watch.mark()
        if tape is not None and now_s - self._told_s >= 0.25:
            self._told_s = now_s
            facts.append(TapeAdvanced(known_at_ms=now_ms, mark=tape, venue_offset_ms=0))
        await self._bus.publish(facts)


async def main(count: int, *, live: bool) -> None:
    """Serve both until standard input ends. `live`: positions change by `/feed` alone."""
    clock, rng = ScaledClock(), random.Random(7)
    traders = made.addresses(count)
    async with AsyncExitStack() as stack:
        store, bus = MemoryRepository(), await stack.enter_async_context(MemoryBus(reserve_in_memory()))
        views = LiveViews(clock, rate=_rate_nobody)
        inbox = await stack.enter_async_context(views.following(bus, store, (BTC,)))
        known = opening(traders, min(TRACKED, count), clock.now_ms(), rng)
        for event in known:
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
        ours = await stack.enter_async_context(serving(create_app(deps), "127.0.0.1", 0))
        bare = await stack.enter_async_context(served_bare(bare_app(Tape(bus, clock).hear)))
        tasks = [asyncio.create_task(views.run(inbox))]
        if live:
            buffer = await stack.enter_async_context(Buffer(store, clock))
            rows = await stack.enter_async_context(bus.subscribe("persister", *PERSISTED))
            tasks.append(asyncio.create_task(Persister(rows, buffer, clock=clock, delays=backoff).run()))
            signals = SignalGenerationProcessor(bus, store, clock, (BTC,))
            tasks.append(asyncio.create_task(signals.run()))
            await signals.opened.wait()
            for event in known:
                await bus.publish([event])
        else:
            tasks.append(asyncio.create_task(change(bus, traders[:TRACKED], clock, rng)))
        take_short_turns()
        stack.enter_context(sparing_what_stays())
        print(json.dumps({"ours": ours, "bare": bare}), flush=True)
        del known
        await asyncio.to_thread(sys.stdin.read)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), live=sys.argv[2:] == ["live"]))
