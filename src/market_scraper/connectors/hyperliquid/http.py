"""The venue's REST side: one budget for all requests, one connection pool, domain values back."""

import asyncio
import math
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeVar

import httpx2
import msgspec
import structlog

from market_scraper.connectors.hyperliquid import leaderboard, limits, parse
from market_scraper.connectors.hyperliquid.limits import Share, Ticket, WeightBudget
from market_scraper.connectors.hyperliquid.messages import (
    WireAccount,
    WireAssetContext,
    WireCandle,
    WireMeta,
    WirePerpDex,
    decode_answer,
)
from market_scraper.connectors.hyperliquid.outage import Outage
from market_scraper.connectors.hyperliquid.spent_file import SpentFile
from market_scraper.connectors.hyperliquid.table import MarketTable
from market_scraper.connectors.hyperliquid.turnstile import Turnstile
from market_scraper.domain.errors import InvalidInput, SourceError
from market_scraper.domain.market import Candle, Market, MarketContext
from market_scraper.domain.positions import AccountSnapshot
from market_scraper.domain.traders import LeaderboardRow
from market_scraper.domain.values import Address, Interval, Symbol
from market_scraper.ports.clock import Clock

SOURCE, LEADERBOARD_SOURCE = "hyperliquid", "leaderboard"

ACCOUNTS, CANDLES, URGENT, LISTINGS = "accounts", "candles", "urgent", "listings"

CANDLES_MOST = 150
"""Weight a minute, or all that accounts leave: one request for everything that the venue keeps of a series (107), and
some closed bars."""

URGENT_MOST = 200
"""Weight a minute: two gaps of four coins."""

MAX_ANSWER_BYTES = 32 * 2**20
"""Far above the largest info answer that we ask for (5,000 bars: some 0.7 MB)."""

RETRY_S, SHAPE_RETRY_S = 5.0, 60.0
"""When asking again makes sense, in venue seconds: after no answer, after one that cannot be read."""

STALE = (httpx2.RemoteProtocolError, httpx2.ReadError, httpx2.WriteError, httpx2.CloseError)
"""What a connection raises that the other side closed while it idled: worth one more try."""

T = TypeVar("T")
Deadline = Callable[[float], AbstractAsyncContextManager[object]]
"""Raises TimeoutError in its block after so many *real* seconds (`runtime.clock.real_timeout`)."""


@dataclass(frozen=True, slots=True)
class HttpTimeouts:
    """Real seconds, from connect to last byte."""

    request_s: float
    leaderboard_s: float


class _TooMany(Exception):
    """HTTP 429."""

    def __init__(self, retry_after_s: float | None) -> None:
        super().__init__("429 Too Many Requests")
        self.retry_after_s = retry_after_s


class HyperliquidHttp:
    """Implements `ports.sources.VenueHttp`; use it in `async with`, which opens and closes the connection pool.

    Learns the listings into `table`, which says what a lot is; an account or socket can only be read after that.
    """

    def __init__(
        self,
        api_url: str,
        leaderboard_url: str,
        *,
        clock: Clock,
        deadline: Deadline,
        timeouts: HttpTimeouts,
        table: MarketTable,
        accounts_weight_per_minute: int = 1_000,
        weight_per_minute: int | None = None,
    ) -> None:
        self._info_url = api_url.rstrip("/") + "/info"
        self._leaderboard_url = leaderboard_url
        self._clock = clock
        self._deadline = deadline
        self._timeouts = timeouts
        self._table = table
        # Accounts may take all when nobody else asks; when all do, everyone gets its part, and accounts yield first.
        if weight_per_minute is None:
            weight_per_minute = max(limits.SPENDABLE_PER_MINUTE, accounts_weight_per_minute)
        budget = WeightBudget(
            {
                ACCOUNTS: Share(accounts_weight_per_minute, max(accounts_weight_per_minute, 1)),
                # A first backfill of six intervals costs 624 a symbol: it takes minutes, and accounts go on meanwhile.
                CANDLES: Share(max(weight_per_minute - accounts_weight_per_minute, CANDLES_MOST), 300),
                # Some bars that are worth nothing a minute later, when a backfill has taken all that candles may.
                URGENT: Share(URGENT_MOST, 300),
                LISTINGS: Share(weight_per_minute, 200),
            },
            limit=weight_per_minute,
        )
        self._turnstile = Turnstile(budget, clock)
        self._rescaled: set[Symbol] = set()  # listed with another lot than the one that is kept
        self._listing = asyncio.Lock()
        self._client: httpx2.AsyncClient | None = None
        self._anew: httpx2.AsyncClient | None = None  # a connection of its own for each request
        self._outages = {source: Outage(source) for source in (SOURCE, LEADERBOARD_SOURCE)}
        self._log = structlog.get_logger(__name__)

    async def __aenter__(self) -> Self:
        encryption = httpx2.create_ssl_context()  # read once, for both
        self._client = self._connected(encryption, kept_alive=20)
        self._anew = self._connected(encryption, kept_alive=0)
        return self

    def _connected(self, encryption: ssl.SSLContext, *, kept_alive: int) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(
            headers={"User-Agent": "market-scraper/2", "Accept": "application/json"},
            verify=encryption,
            timeout=httpx2.Timeout(self._timeouts.request_s),
            # The venue drops idle connections after about 3 minutes (seen by others, 2026-04): be sooner.
            limits=httpx2.Limits(max_connections=20, max_keepalive_connections=kept_alive, keepalive_expiry=60.0),
        )

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for client in (self._client, self._anew):
            if client is not None:
                await client.aclose()
        self._client = self._anew = None

    async def markets(self) -> list[Market]:
        """All perps of the main dex and of the dexes of the followed symbols; a dex that is gone has none."""
        dexes = self._table.dexes
        if len(dexes) > 1:
            named = await self._info(LISTINGS, {"type": "perpDexs"}, list[WirePerpDex | None])
            existing = parse.dex_names(named)
            dexes = tuple(dex for dex in dexes if dex in existing)
        listed: list[Market] = []
        for dex in dexes:
            listed += parse.markets(await self._info(LISTINGS, _of_dex("meta", dex), WireMeta), dex)
        return self._learnt(listed)

    async def contexts(self) -> tuple[list[Market], list[MarketContext]]:
        """The listings of those dexes and the states of their markets; a state that makes no sense is parked."""
        listed: list[Market] = []
        found: list[MarketContext] = []
        for dex in self._table.dexes:
            body = _of_dex("metaAndAssetCtxs", dex)
            wire = await self._info(LISTINGS, body, tuple[WireMeta, list[WireAssetContext]])
            good, parked = parse.contexts(wire)
            listed += parse.markets(wire[0], dex)
            found += good
            self._say_parked("contexts", parked)
        return self._learnt(listed), found

    async def candles(
        self, symbol: Symbol, interval: Interval, start_ms: int, end_ms: int, *, urgent: bool = False
    ) -> list[Candle]:
        """Oldest first; bars that make no sense are parked. Reserved at its worst price, settled at what came."""
        bars = min(max((end_ms - start_ms) // interval.ms + 1, 0), limits.MAX_CANDLES)
        asked = {"coin": symbol, "interval": interval.value, "startTime": start_ms, "endTime": end_ms}
        wire = await self._info(
            URGENT if urgent else CANDLES,
            {"type": "candleSnapshot", "req": asked},
            list[WireCandle],
            most=limits.candles_weight(bars),
            cost=lambda answer: limits.candles_weight(len(answer)),
        )
        good, parked = parse.candles(wire, symbol, interval)
        self._say_parked("candles", parked)
        return good

    async def account(self, trader: Address, dex: str = "") -> AccountSnapshot:
        """One account of one dex, followed coins only."""
        if self._table.is_empty:
            async with self._listing:
                if self._table.is_empty:
                    await self.markets()
        body = _of_dex("clearinghouseState", dex) | {"user": trader}
        return parse.account(trader, dex, await self._info(ACCOUNTS, body, WireAccount), self._table.get)

    async def leaderboard(self) -> AsyncIterator[Sequence[LeaderboardRow]]:
        """One pull, in slices; between two of them others run. Its host is another and has no known weight."""
        outage = self._outages[LEADERBOARD_SOURCE]
        try:
            async with self._deadline(self._timeouts.leaderboard_s):
                try:
                    body = await self._fetch("GET", self._leaderboard_url, None, leaderboard.MAX_BODY_BYTES)
                except STALE:
                    most = leaderboard.MAX_BODY_BYTES
                    body = await self._fetch("GET", self._leaderboard_url, None, most, anew=True)
        except _TooMany as error:
            wait_s = max(error.retry_after_s or 0.0, SHAPE_RETRY_S)
            raise self._failed(LEADERBOARD_SOURCE, str(error), wait_s) from error
        except (TimeoutError, httpx2.HTTPError, httpx2.InvalidURL) as error:
            # No body of 40 MB came, so that asking again soon costs nobody much; who asks does so ever more rarely.
            raise self._failed(LEADERBOARD_SOURCE, _reason(error), RETRY_S) from error
        tally = leaderboard.Tally()
        try:
            for part in leaderboard.slices(body, tally):
                await self._clock.sleep(0)
                yield part
        except InvalidInput as error:
            raise self._failed(LEADERBOARD_SOURCE, str(error), SHAPE_RETRY_S) from error
        if tally.parked:
            self._log.warning("rows_parked", source=LEADERBOARD_SOURCE, count=tally.parked, reasons=tally.reasons)
        if not tally.read:
            raise self._failed(LEADERBOARD_SOURCE, "no row could be read", SHAPE_RETRY_S)
        outage.answered()

    def spent_last_minute(self) -> int:
        """Weight used in the last minute; what is under way counts at its worst price."""
        return self._turnstile.spent()

    def account_room(self) -> int:
        """How many account questions could be sent now without waiting."""
        return self._turnstile.room(ACCOUNTS) // limits.weight_of("clearinghouseState")

    def tell_spending(self, venue_now_ms: int, *, ended: bool = False) -> bytes:
        """What still counts at the venue of what was sent here, for the next holder of the lease.

        `ended`: nothing more is sent, these are the last words.
        """
        return self._turnstile.tell_spending(venue_now_ms, ended=ended)

    def take_up_spending(self, left: bytes | None, *, venue_now_ms: int, active_ms: int | None, usual_ms: int) -> None:
        """Count what the last holder told, before anything is sent here: see `spending.take_up`."""
        self._turnstile.take_up_spending(left, venue_now_ms=venue_now_ms, active_ms=active_ms, usual_ms=usual_ms)

    def keep_spending(self, file: SpentFile | None, *, active_ms: int | None) -> None:
        """Count what an earlier process spent, before anything is sent here, and keep what we spend for the next one.

        `active_ms`: when one was active last, where `file` cannot tell; see `Turnstile.keep_spending`.
        """
        self._turnstile.keep_spending(file, active_ms)

    # One request.

    async def _info(
        self,
        kind: str,
        body: dict[str, object],
        shape: type[T],
        *,
        most: int | None = None,
        cost: Callable[[T], int] | None = None,
    ) -> T:
        """Ask the venue, waiting for the budget. Raises SourceError; InvalidInput when the answer has another shape."""
        request = msgspec.json.encode(body)
        weight = limits.weight_of(str(body["type"])) if most is None else most
        try:
            ticket, number, data = await self._asked(kind, weight, request, anew=False)
        except STALE:  # a kept-alive connection was dead; what was sent on it stays charged
            ticket, number, data = await self._asked(kind, weight, request, anew=True)
        spent: int | None = None
        try:
            answer = decode_answer(data, shape)
            spent = cost(answer) if cost is not None else None
        finally:
            self._turnstile.settle(ticket, spent)
        self._outages[SOURCE].answered(number)
        return answer

    async def _asked(self, kind: str, weight: int, request: bytes, *, anew: bool) -> tuple[Ticket, int, bytearray]:
        """Send one request when the budget allows it; gives ticket, number and answer.

        The ticket of an answer is the caller's to settle. A STALE connection is raised as such, to try `anew`.
        """
        ticket = await self._turnstile.enter(kind, weight)
        number = self._outages[SOURCE].asked()
        try:
            async with self._deadline(self._timeouts.request_s):
                return ticket, number, await self._fetch("POST", self._info_url, request, MAX_ANSWER_BYTES, anew=anew)
        except _TooMany as error:
            wait_s = self._turnstile.refuse(ticket, error.retry_after_s)
            raise self._failed(SOURCE, str(error), wait_s, number) from error
        except httpx2.HTTPStatusError as error:
            self._turnstile.settle(ticket)
            waiting_helps = error.response.status_code >= 500
            raise self._failed(SOURCE, _reason(error), RETRY_S if waiting_helps else None, number) from error
        except STALE as error:
            self._turnstile.give_up(ticket)
            if not anew:
                raise
            raise self._failed(SOURCE, _reason(error), RETRY_S, number) from error
        except (TimeoutError, httpx2.HTTPError, httpx2.InvalidURL) as error:
            self._turnstile.give_up(ticket)
            raise self._failed(SOURCE, _reason(error), RETRY_S, number) from error
        except BaseException:
            self._turnstile.give_up(ticket)
            raise

    async def _fetch(self, method: str, url: str, body: bytes | None, most: int, *, anew: bool = False) -> bytearray:
        """Give an answer's body. `anew`: over a new connection, for where one is dead all that idle may be."""
        client = self._anew if anew else self._client
        if client is None:
            raise RuntimeError("HyperliquidHttp is used outside of its `async with` block")
        headers = {"Content-Type": "application/json"} if body is not None else {}
        async with client.stream(method, url, content=body, headers=headers) as response:
            if response.status_code == 429:
                raise _TooMany(_retry_after_s(response.headers.get("Retry-After")))
            response.raise_for_status()
            data = bytearray()
            async for chunk in response.aiter_bytes():
                data += chunk
                if len(data) > most:
                    raise httpx2.DecodingError(f"an answer of more than {most} bytes")
            return data

    def _failed(self, source: str, reason: str, retry_after_s: float | None, request: int | None = None) -> SourceError:
        self._outages[source].failed(reason, request)
        return SourceError(source, reason, retry_after_s=retry_after_s)

    def _learnt(self, listed: list[Market]) -> list[Market]:
        """The listing as the table keeps it; a coin whose lot is not what it was is said once."""
        kept = self._table.learn(listed)
        for told, market in zip(listed, kept, strict=True):
            if told.sz_decimals == market.sz_decimals:
                self._rescaled.discard(told.symbol)
            elif told.symbol not in self._rescaled:
                self._rescaled.add(told.symbol)
                self._log.warning(
                    "lot_changed",
                    symbol=told.symbol,
                    sz_decimals=told.sz_decimals,
                    kept=market.sz_decimals,
                    until="the next start; prints and positions finer than the kept lot are refused",
                )
        return kept

    def _say_parked(self, what: str, reasons: Sequence[str]) -> None:
        if reasons:
            self._log.warning("rows_parked", source=SOURCE, what=what, count=len(reasons), reasons=reasons[:3])


def _of_dex(request: str, dex: str) -> dict[str, object]:
    return {"type": request, "dex": dex} if dex else {"type": request}


def _retry_after_s(header: str | None) -> float | None:
    """Seconds, if the header says a sensible number of them; a date is not worth reading for a wait this short."""
    try:
        seconds = float(header) if header is not None else math.nan
    except ValueError:
        return None
    return seconds if 0.0 <= seconds <= 3_600.0 else None


def _reason(error: Exception) -> str:
    if isinstance(error, httpx2.HTTPStatusError):
        return f"HTTP {error.response.status_code}"
    return f"{type(error).__name__}: {error}"[:200].rstrip(": ")
