"""The API is served from a store and a bus alone: no collector, no processor in the process."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import httpx2
import pytest
from websockets.asyncio.client import connect

from market_scraper.api.deps import ApiDeps
from market_scraper.api.server import create_app
from market_scraper.api.serving import bind, serving
from market_scraper.domain.errors import ConfigError
from market_scraper.domain.events import MarketContextChanged, MarketsListed, SignalGenerated, TapeAdvanced
from market_scraper.domain.market import Candle, Market, MarketContext
from market_scraper.domain.positions import TapeMark
from market_scraper.domain.rules import FilterRules, InferenceRules, ScoringRules
from market_scraper.domain.scoring import rate_all
from market_scraper.domain.traders import LeaderboardRow, Performance
from market_scraper.domain.values import Interval
from market_scraper.event_bus.memory import MemoryBus
from market_scraper.event_bus.numbers import reserve_in_memory
from market_scraper.ports.stores import (
    CandleRow,
    LeaderboardPart,
    PositionRow,
    PositionStateRow,
    Retention,
    Row,
    SignalRow,
    Store,
    TapeMarkRow,
)
from market_scraper.runtime.clock import ScaledClock
from market_scraper.storage.open import open_store
from market_scraper.views.all import LiveViews
from tests.unit.api.parts import ANN, BOB, BTC, ETH, changed, position, score_row, signal

HOUR = 3_600_000
PATIENCE_S = 10


def rows(now_ms: int) -> list[Row]:
    """What another process has collected and stored."""
    hour_ms = now_ms // HOUR * HOUR
    month = Performance(pnl=5e5, roi=0.6, vlm=2e8)
    ranked = LeaderboardRow(
        trader=ANN, account_value=2e7, day=month, week=month, month=month, all_time=month, display_name="Ann"
    )
    held = position(ANN, t_ms=now_ms - 2_000, epoch_ms=now_ms - HOUR, watched_from_ms=now_ms - HOUR)
    return [
        LeaderboardPart(captured_at_ms=now_ms - HOUR, known_at_ms=now_ms - HOUR, part=0, parts=1, rows=(ranked,)),
        score_row(ANN, now_ms - HOUR),
        PositionStateRow(position=held, known_at_ms=now_ms - 1_900),
        PositionRow(changed=changed(held)),
        TapeMarkRow(mark=TapeMark(symbol=BTC, watermark_ms=now_ms - 1_500, epoch_ms=now_ms - HOUR)),
        SignalRow(signal=signal(1, t_ms=now_ms - 60_000)),
        *(
            CandleRow(
                symbol=BTC,
                interval=Interval.H1,
                candle=Candle(t_ms=hour_ms - n * HOUR, o=1.0, h=1.0, l=1.0, c=1.0, v=1.0),
            )
            for n in range(1, 4)
        ),
    ]


@asynccontextmanager
async def served(store: Store, bus: MemoryBus, clock: ScaledClock) -> AsyncIterator[int]:
    views = LiveViews(
        clock,
        rate=lambda pull, choices: rate_all(pull, ScoringRules(), FilterRules(), InferenceRules(), choices),
    )
    app = create_app(
        ApiDeps(
            store=store,
            views=views,
            bus=bus,
            operations=None,
            clock=clock,
            real_clock=clock,
            symbols=(BTC, ETH),
            version="1",
            host="127.0.0.1",
            roles=("api",),
        )
    )
    async with views.following(bus, store, (BTC, ETH)) as inbox:
        task = asyncio.create_task(views.run(inbox))
        try:
            async with serving(app, "127.0.0.1", 0) as port:
                yield port
        finally:
            task.cancel()


@pytest.mark.parametrize("backend", ["memory", "sqlite"])
async def test_the_api_is_served_from_a_store_and_a_bus_alone(
    backend: Literal["memory", "sqlite"], tmp_path: Path
) -> None:
    clock = ScaledClock()
    now_ms = clock.now_ms()
    async with (
        open_store(backend, path=tmp_path / "kept.db", retention=Retention(), clock=clock) as store,
        MemoryBus(reserve_in_memory()) as bus,
    ):
        await store.write(rows(now_ms))
        async with served(store, bus, clock) as port, httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            # From the store, before anything came over the bus.
            listed = (await client.get("/api/v1/traders")).json()
            assert [t["address"] for t in listed["traders"]] == [ANN]
            assert listed["traders"][0]["display_name"] == "Ann"
            assert listed["traders"][0]["position"]["size"] == 1.5
            assert (await client.get("/api/v1/signals/current")).json()["id"] == f"{1:024x}"
            assert (await client.get("/api/v1/markets/BTC/history")).json()["count"] == 3
            facts = (await client.get(f"/api/v1/traders/{ANN}/positions")).json()
            assert [fact["size"] for fact in facts["positions"]] == [1.5]
            assert (await client.get(f"/api/v1/traders/{BOB}")).status_code == 404

            # From the bus, without anything being stored.
            async with connect(f"ws://127.0.0.1:{port}/ws?channel=signals", proxy=None) as socket:
                await socket.recv()
                later_ms = clock.now_ms()
                flat = position(
                    BOB, lots=0, t_ms=later_ms, epoch_ms=now_ms - HOUR, watched_from_ms=now_ms - HOUR, version=2
                )
                context = MarketContext(
                    symbol=BTC, mark=32_000.0, mid=32_001.0, open_interest=5.0, funding=None, day_volume_usd=None
                )
                await bus.publish(
                    [
                        MarketsListed(
                            known_at_ms=later_ms,
                            markets=(Market(symbol=BTC, sz_decimals=5, max_leverage=40),),
                        ),
                        MarketContextChanged(known_at_ms=later_ms, context=context),
                        changed(flat),
                        TapeAdvanced(
                            known_at_ms=later_ms,
                            mark=TapeMark(symbol=BTC, watermark_ms=later_ms, epoch_ms=now_ms - HOUR),
                            venue_offset_ms=0,
                        ),
                        SignalGenerated(known_at_ms=later_ms, signal=signal(2, t_ms=later_ms, known_at_ms=later_ms)),
                    ]
                )
                async with asyncio.timeout(PATIENCE_S):
                    told = json.loads(await socket.recv())
            assert told["data"]["id"] == f"{2:024x}"
            shown = (await client.get(f"/api/v1/traders/{BOB}")).json()["position"]
            assert (shown["size"], shown["state"]) == (0, "exact")
            held = (await client.get(f"/api/v1/traders/{ANN}")).json()["position"]
            assert (held["state"], held["mark_price"]) == ("exact", 32_000)
            market = (await client.get("/api/v1/markets/BTC")).json()
            assert (market["mid"], market["status"]) == (32_001, "open")
            assert abs(market["coverage"] - 1.5 / 10) < 1e-12
            assert (await client.get("/api/v1/signals/stats")).json()["total_signals"] == 2
            assert (await client.post("/api/v1/connectors/candles/start")).json()["code"] == "no_operations"


async def test_the_documentation_needs_nobody_elses_server(tmp_path: Path) -> None:
    clock = ScaledClock()
    async with (
        open_store("memory", path=tmp_path, retention=Retention(), clock=clock) as store,
        MemoryBus(reserve_in_memory()) as bus,
        served(store, bus, clock) as port,
        httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client,
    ):
        for page in ("/docs", "/redoc"):
            text = (await client.get(page)).text
            assert "://" not in text.replace("http://www.w3.org", ""), page
            assets = re.findall(r'(?:src|href)="(/[^"]+)"', text)
            assert assets, page
            for asset in assets:
                assert (await client.get(asset)).status_code == 200, asset


async def test_a_port_in_use_is_told_by_the_settings_name() -> None:
    (listener,) = bind("127.0.0.1", 0)
    port = listener.getsockname()[1]
    with listener, pytest.raises(ConfigError, match=f"API_PORT: 127.0.0.1:{port} is in use"):
        bind("127.0.0.1", port)


@pytest.mark.parametrize("host", ["203.0.113.1", "no.such.host.invalid"])
async def test_a_host_that_is_not_ours_is_told_too(host: str) -> None:
    with pytest.raises(ConfigError, match="API_HOST"):
        bind(host, 0)
