"""A client that someone else wrote, the venue's own Python SDK, reads the paper venue over real sockets."""

import asyncio
import threading
from dataclasses import replace
from typing import Any

from hyperliquid.info import Info

from market_scraper.simulator.server import PaperVenue
from tests.integration.simulator.conftest import SMALL, Start


def read_with_sdk(venue: PaperVenue) -> dict[str, Any]:
    """What the SDK makes of the venue; it blocks, so it has a thread of its own."""
    info = Info(base_url=venue.url, timeout=5)
    try:
        heard: list[Any] = []
        enough = threading.Event()

        def on_trades(message: Any) -> None:
            heard.append(message)
            if len(heard) >= 3:
                enough.set()

        info.subscribe({"type": "trades", "coin": "BTC"}, on_trades)
        now_ms = venue.venue.now_ms()
        holder = next(iter(venue.world.sizes_at("BTC", now_ms)))
        found = {
            "meta": info.meta(),
            "mids": info.all_mids(),
            "candles": info.candles_snapshot("BTC", "1m", now_ms - 3_600_000, now_ms),
            "state": info.user_state(holder),
            "fills": info.user_fills(holder),
            "xyz": info.meta(dex="xyz"),
            "asset": info.name_to_asset("ETH"),
            "holder": holder,
            "enough": enough.wait(10),
            "trades": heard,
        }
    finally:
        info.disconnect_websocket()
    return found


async def test_the_official_sdk_reads_meta_candles_states_mids_and_trades(start: Start) -> None:
    venue = await start(replace(SMALL, symbols=("BTC", "ETH", "xyz:TSLA")), speed=5.0)
    found = await asyncio.to_thread(read_with_sdk, venue)
    assert [asset["name"] for asset in found["meta"]["universe"]][:2] == ["BTC", "ETH"]
    assert found["asset"] == 1
    assert [asset["name"] for asset in found["xyz"]["universe"]] == ["xyz:TSLA"]
    assert float(found["mids"]["BTC"]) > 1000
    assert len(found["candles"]) >= 60
    coins = {entry["position"]["coin"] for entry in found["state"]["assetPositions"]}
    assert "BTC" in coins
    assert found["enough"]
    assert found["trades"][0]["channel"] == "trades"
    assert {trade["coin"] for message in found["trades"] for trade in message["data"]} == {"BTC"}
