"""The whole connector against the paper venue, untidy and with its limits enforced."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from market_scraper.connectors.hyperliquid import (
    HttpTimeouts,
    HyperliquidHttp,
    HyperliquidSockets,
    MarketTable,
    SpentFile,
    Timing,
)
from market_scraper.domain.values import Address, Interval, Symbol, parse_address
from market_scraper.ports.sources import (
    AccountHeard,
    CandleHeard,
    ContextHeard,
    FrameLost,
    PrintsHeard,
    PulseHeard,
    SocketLost,
    TimeHeard,
    TradesSubscribed,
    VenueHttp,
    VenueSockets,
)
from market_scraper.runtime.clock import ScaledClock, real_timeout
from market_scraper.simulator.faults import decode_faults
from market_scraper.simulator.options import VenueOptions
from market_scraper.simulator.server import PaperVenue
from tests.integration.connectors.ears import Ears

BTC, ETH = Symbol("BTC"), Symbol("ETH")
SPEED = 40.0
PATIENT = Timing(quiet_s=1_000.0, pong_s=1_000.0, unconfirmed_s=100.0)
"""A busy machine's pause of a quarter of a second is 10 s of this venue."""


@pytest.fixture
def clock() -> ScaledClock:
    return ScaledClock(origin_s=1_795_000_000.0, speed=SPEED)


@pytest.fixture
async def venue(clock: ScaledClock) -> AsyncIterator[PaperVenue]:
    options = VenueOptions(traders=100, symbols=(BTC, ETH), speed=SPEED, history_days=10)
    async with PaperVenue(options, clock) as served:
        yield served


def rest(venue: PaperVenue, clock: ScaledClock, table: MarketTable) -> HyperliquidHttp:
    timeouts = HttpTimeouts(request_s=15.0, leaderboard_s=60.0)
    return HyperliquidHttp(
        venue.url, venue.leaderboard_url, clock=clock, deadline=real_timeout, timeouts=timeouts, table=table
    )


async def test_rest_reads_everything_and_never_meets_429(venue: PaperVenue, clock: ScaledClock) -> None:
    table = MarketTable([BTC, ETH])
    async with rest(venue, clock, table) as made:
        http: VenueHttp = made
        assert {BTC, ETH} <= {market.symbol for market in await http.markets()}
        listed, contexts = await http.contexts()
        assert {market.symbol for market in listed} == {context.symbol for context in contexts} >= {BTC, ETH}
        rows = [row async for part in http.leaderboard() for row in part]
        assert len(rows) > 50
        now_ms = clock.now_ms()
        series = await asyncio.gather(
            *(
                http.candles(symbol, interval, now_ms - 86_400_000, now_ms)
                for symbol in (BTC, ETH)
                for interval in Interval
            )
        )
        assert all(series)
        snapshots = await asyncio.gather(*(http.account(row.trader) for row in rows * 8))
        assert {held.symbol for snapshot in snapshots for held in snapshot.positions} == {BTC, ETH}
        assert all(held.lots for snapshot in snapshots for held in snapshot.positions)
    stats = venue.venue.stats()
    assert stats["answers_429"] == 0


async def test_a_socket_hears_every_kind_and_survives_what_goes_wrong(venue: PaperVenue, clock: ScaledClock) -> None:
    table = MarketTable([BTC, ETH])
    async with rest(venue, clock, table) as http:
        await http.markets()
        traders = [row.trader async for part in http.leaderboard() for row in part][:10]
    sockets: VenueSockets = HyperliquidSockets(venue.ws_url, clock=clock, table=table, handshake_s=10.0, timing=PATIENT)
    wanted: list[dict[str, object]] = [{"type": "trades", "coin": BTC}, {"type": "trades", "coin": ETH}]
    wanted += [{"type": "allMids"}, {"type": "bbo", "coin": BTC}, {"type": "bbo", "coin": ETH}]
    wanted += [{"type": "activeAssetCtx", "coin": BTC}, {"type": "candle", "coin": BTC, "interval": "1m"}]
    for trader in traders:
        wanted.append({"type": "clearinghouseState", "user": trader})
    ears = Ears()
    async with sockets.open("tape-1", ears) as socket:
        socket.want(wanted)
        for kind in (PrintsHeard, TimeHeard, PulseHeard, CandleHeard, ContextHeard, AccountHeard):
            await ears.of(kind)
        assert not any(isinstance(heard, FrameLost | SocketLost) for heard in ears.heard)
        heard_of = {heard.symbol for heard in ears.heard if isinstance(heard, PrintsHeard) and heard.replay}
        assert heard_of <= {BTC, ETH}

        venue.venue.request_faults(decode_faults([{"kind": "truncate", "for_s": 20, "channel": "trades"}]))
        await ears.of(FrameLost)
        venue.venue.request_faults(decode_faults([{"kind": "disconnect", "code": 1006}]))
        await ears.of(SocketLost)
        ears.heard.clear()
        await ears.of(TradesSubscribed, 2)
        socket.renew_trades(BTC)
        await ears.of(TradesSubscribed, 3)
        await ears.of(AccountHeard, 30)
    followed: set[Address] = {heard.snapshot.trader for heard in ears.heard if isinstance(heard, AccountHeard)}
    assert followed == set(map(parse_address, traders))


@pytest.mark.parametrize("has_file", [True, False])
async def test_who_starts_again_after_a_kill_never_meets_429(
    venue: PaperVenue, clock: ScaledClock, tmp_path: Path, has_file: bool
) -> None:
    """The first spends all that it may; the second wants as much at once, and knows of the first, or that it was."""
    trader = parse_address("0x" + "ab" * 20)

    async def live(answers: int, *, active_ms: int | None = None) -> None:
        async with rest(venue, clock, MarketTable([BTC, ETH])) as http:
            http.keep_spending(SpentFile(tmp_path / "spent") if has_file else None, active_ms=active_ms)
            answered = asyncio.Semaphore(0)

            async def ask() -> None:
                while True:
                    await http.account(trader)
                    answered.release()

            asking = [asyncio.create_task(ask()) for _ in range(16)]
            for _ in range(answers):
                await asyncio.wait_for(answered.acquire(), 20.0)
            for each in asking:
                each.cancel()
            await asyncio.gather(*asking, return_exceptions=True)

    await live(480)
    await live(480, active_ms=clock.now_ms())
    assert venue.venue.stats()["answers_429"] == 0
