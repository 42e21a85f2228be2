"""What `doctor` looks at: this machine first, then the upstreams. Every check ends in a finding, never in an error."""

import asyncio
import os
import resource
import shutil
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from market_scraper.app.backends import look_at_bus
from market_scraper.cli.checkup_onchain import onchain_findings
from market_scraper.cli.findings import Finding, asked
from market_scraper.cli.kept import kept_store
from market_scraper.cli.remote import Remote, base_url
from market_scraper.config import Settings, choose_backends, mask
from market_scraper.connectors.hyperliquid import HttpTimeouts, HyperliquidHttp, HyperliquidSockets, MarketTable
from market_scraper.domain.errors import BusUnreachable, ConfigError, MarketScraperError, StoreError
from market_scraper.domain.values import Interval, iso
from market_scraper.ports.sources import Heard, PrintsHeard, SocketLost, TimeHeard, TradesSubscribed
from market_scraper.runtime.clock import ScaledClock, real_timeout
from market_scraper.runtime.timeouts import HTTP_S, LEADERBOARD_HTTP_S, SOCKET_OPEN_S
from market_scraper.storage import SqliteStore

WRITTEN_MS = 1_767_225_600_000  # 2026-01-01: a clock before it is wrong
LEAST_FILES = 256
LEAST_FREE_BYTES = 500 * 2**20
LARGEST_OFFSET_MS = 2_000
"""Beyond it a position may look older or younger than it is, although the offset is corrected for."""


async def examine(settings: Settings, *, upstreams: bool) -> list[Finding]:
    """Look at everything, one after the other."""
    clock = ScaledClock(origin_s=settings.clock.origin, speed=settings.clock.speed)
    found = [_clock(clock), _files(), _port(settings), _disk(settings.storage.path)]
    found += [await _store(settings), await _bus(settings)]
    if upstreams:
        # Its limits are this IP's: asking beside a running server would have both refused.
        heard = _by_server(settings)
        found += heard if heard else await _all_upstreams(settings, clock)
    return found


async def _all_upstreams(settings: Settings, clock: ScaledClock) -> list[Finding]:
    """Ask the venue, if it is collected from, and the on-chain sources."""
    found: list[Finding] = []
    if settings.hyperliquid.enabled:
        found += [finding async for finding in _upstreams(settings, clock)]
    found += await onchain_findings(settings, clock)
    if all(not it.ok and "cannot reach" in it.detail for it in found):
        said = (
            "none of the upstreams can be reached: no internet here, or a proxy or firewall between; no shape was seen"
        )
        found.append(Finding("internet", False, said))
    return found


def _by_server(settings: Settings) -> list[Finding]:
    """What the running server has from its upstreams; empty when none runs, or one that collects nothing."""
    try:
        components: dict[str, dict[str, Any]] = Remote(base_url(settings)).get("/health/status")["components"]
    except (MarketScraperError, KeyError, TypeError):
        return []
    return [_as_served(name, part) for name, part in components.items() if part["kind"] == "connector"]


def _as_served(name: str, part: dict[str, Any]) -> Finding:
    age = "nothing yet" if part["age_s"] is None else f"last {part['age_s']:.0f} s ago"
    if part["status"] == "stopped":
        return Finding(name, True, "stopped by hand")
    return Finding(name, part["reason"] is None, f"by the running server, {age}: {part['reason'] or 'well'}")


def _clock(clock: ScaledClock) -> Finding:
    now = clock.now_ms()
    speed = "" if clock.speed == 1.0 else f", at {clock.speed:g} times real speed"
    return Finding("clock", now > WRITTEN_MS, f"{iso(now)}{speed}")


def _files() -> Finding:
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = soft == resource.RLIM_INFINITY or soft >= LEAST_FILES
    return Finding("open files", enough, f"{soft} allowed" + ("" if enough else f", {LEAST_FILES} are needed"))


def _port(settings: Settings) -> Finding:
    where = f"{settings.api_host}:{settings.api_port}"
    family = socket.AF_INET6 if ":" in settings.api_host else socket.AF_INET
    try:
        socket.create_server((settings.api_host, settings.api_port), family=family).close()
    except OSError as error:
        try:
            Remote(base_url(settings)).get("/health/live")
        except MarketScraperError:
            return Finding("port", False, f"{where} cannot be used: {error.strerror or error}")
        return Finding("port", True, f"{where}: the server is running")
    return Finding("port", True, f"{where} is free")


def _disk(store: Path) -> Finding:
    folder = _existing(store.absolute().parent)
    free = shutil.disk_usage(folder).free
    return Finding("disk", free >= LEAST_FREE_BYTES, f"{free / 2**30:.1f} GiB free for {store}")


async def _store(settings: Settings) -> Finding:
    path = settings.storage.path
    try:
        backends = choose_backends(settings)
    except ConfigError as error:
        return Finding("store", False, str(error))
    if backends.store == "memory":
        return Finding("store", True, "in memory: nothing is kept")
    if backends.store == "mongo":
        return await _mongo(settings)
    if not path.exists():
        folder = _existing(path.absolute().parent)
        ok = os.access(folder, os.W_OK | os.X_OK)
        return Finding("store", ok, f"{path} will be made" if ok else f"{path}: {folder} may not be written")
    try:
        async with SqliteStore(path, settings.storage.retention.rules()) as store:
            await store.check()
    except StoreError as error:
        return Finding("store", False, str(error))
    return Finding("store", True, f"{path}, {path.stat().st_size / 2**20:.1f} MiB")


async def _mongo(settings: Settings) -> Finding:
    try:
        async with kept_store(settings) as store:
            await store.check()
    except (ConfigError, StoreError) as error:
        return Finding("store", False, mask(str(error)))
    return Finding("store", True, f"MongoDB, database {settings.mongo.database}, answers")


async def _bus(settings: Settings) -> Finding:
    try:
        return Finding("bus", True, await look_at_bus(settings))
    except (ConfigError, BusUnreachable) as error:
        return Finding("bus", False, mask(str(error)))


async def _upstreams(settings: Settings, clock: ScaledClock) -> AsyncIterator[Finding]:
    venue = settings.hyperliquid
    table = MarketTable(venue.symbols)
    timeouts = HttpTimeouts(request_s=HTTP_S, leaderboard_s=LEADERBOARD_HTTP_S)
    http = HyperliquidHttp(
        venue.api_url, venue.leaderboard_url, clock=clock, deadline=real_timeout, timeouts=timeouts, table=table
    )
    async with http:
        yield await asked("hyperliquid markets", _markets(http, table), HTTP_S)
        yield await asked("hyperliquid candles", _candles(http, settings, clock), HTTP_S)
        yield await asked("leaderboard", _leaderboard(http), LEADERBOARD_HTTP_S)
    yield await asked("hyperliquid trades", _trades(settings, clock, table), SOCKET_OPEN_S + HTTP_S)


async def _markets(http: HyperliquidHttp, table: MarketTable) -> str:
    listed = {market.symbol for market in await http.markets() if not market.is_delisted}
    unknown = sorted(table.symbols - listed)
    if unknown:
        raise ConfigError(f"HYPERLIQUID__SYMBOL names {', '.join(unknown)}, which the venue does not list")
    return f"{len(listed)} markets"


async def _candles(http: HyperliquidHttp, settings: Settings, clock: ScaledClock) -> str:
    symbol, now = settings.hyperliquid.symbols[0], clock.now_ms()
    bars = await http.candles(symbol, Interval.M1, now - 10 * Interval.M1.ms, now)
    return f"{len(bars)} bars of {symbol} in the last ten minutes"


async def _leaderboard(http: HyperliquidHttp) -> str:
    return f"{sum([len(rows) async for rows in http.leaderboard()])} traders"


async def _trades(settings: Settings, clock: ScaledClock, table: MarketTable) -> str:
    """Subscribe to trades and best prices; the first frame with a time shows how the clocks differ."""
    symbol = settings.hyperliquid.symbols[0]
    heard: asyncio.Queue[Heard] = asyncio.Queue()
    sockets = HyperliquidSockets(settings.hyperliquid.ws_url, clock=clock, table=table, handshake_s=SOCKET_OPEN_S)
    why, confirmed = "", False
    try:
        async with real_timeout(SOCKET_OPEN_S), sockets.open("doctor", heard.put_nowait) as opened:
            opened.want([{"type": "trades", "coin": symbol}, {"type": "bbo", "coin": symbol}])
            while True:
                match await heard.get():
                    case SocketLost(reason):
                        why = reason
                    case TradesSubscribed():
                        confirmed = True
                    case TimeHeard(_, time_ms) if confirmed:
                        return _offset(time_ms - clock.now_ms(), symbol)
                    case PrintsHeard(_, prints, replay) if confirmed and prints and not replay:
                        return _offset(prints[-1].time_ms - clock.now_ms(), symbol)
    except TimeoutError as error:
        state = "subscribed, but no frame came" if confirmed else f"cannot reach: {why or 'no answer'}"
        raise MarketScraperError(state) from error


def _offset(offset_ms: int, symbol: str) -> str:
    if abs(offset_ms) > LARGEST_OFFSET_MS:
        raise MarketScraperError(f"{symbol} is heard, but the venue's clock and ours differ by {offset_ms} ms")
    return f"{symbol} is heard; the venue's frames are {-offset_ms} ms old by our clock"


def _existing(folder: Path) -> Path:
    while not folder.exists():
        folder = folder.parent
    return folder
