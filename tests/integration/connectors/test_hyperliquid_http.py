"""The real HTTP client against a small venue of our own, over loopback."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog

from market_scraper.connectors.hyperliquid import HttpTimeouts, HyperliquidHttp, MarketTable
from market_scraper.domain.errors import InvalidInput, SourceError
from market_scraper.domain.values import Address, Interval, Symbol
from market_scraper.runtime.clock import ScaledClock, real_timeout

BTC = Symbol("BTC")
TRADER = Address("0x" + "ab" * 20)
META = {"universe": [{"name": "BTC", "szDecimals": 5, "maxLeverage": 40}, {"name": "ETH", "szDecimals": 4}]}
ACCOUNT = {
    "marginSummary": {"accountValue": "12.5"},
    "assetPositions": [{"type": "oneWay", "position": {"coin": "BTC", "szi": "-0.00003"}}],
    "time": 1700000000000,
}
BOARD = json.dumps(
    {"leaderboardRows": [{"ethAddress": TRADER, "accountValue": "1", "windowPerformances": []}]}
).encode()

Reply = tuple[int, dict[str, str], bytes]


def ok(body: object) -> Reply:
    return 200, {}, json.dumps(body).encode()


class Venue:
    """Answers each request by what `answer` says of its body; None hangs up, as do the first `dead` connections."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.answer: Callable[[dict[str, Any]], Reply | None] = self.usual
        self.scripted: deque[Reply | None] = deque()
        self.connections = 0
        self.dead = 0
        self.url = ""

    def usual(self, body: dict[str, Any]) -> Reply | None:
        if self.scripted:
            return self.scripted.popleft()
        match body.get("type"):
            case "meta" if body.get("dex") == "xyz":
                return ok({"universe": [{"name": "xyz:TSLA", "szDecimals": 3}]})
            case "meta":
                return ok(META)
            case "perpDexs":
                return ok([None, {"name": "xyz", "deployer": "0x1"}])
            case "metaAndAssetCtxs":
                return ok([META, [{"openInterest": "5.5", "midPx": None}, {"openInterest": "nan"}]])
            case "clearinghouseState":
                return ok(ACCOUNT)
        return 422, {}, b"Failed to deserialize the JSON body into the target type"

    @asynccontextmanager
    async def serve(self) -> AsyncIterator["Venue"]:
        server = await asyncio.start_server(self._talk, "127.0.0.1", 0)
        async with server:
            self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            yield self

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = next(
                    (int(line[15:]) for line in head.lower().split(b"\r\n") if line[:15] == b"content-length:"), 0
                )
                body = json.loads(await reader.readexactly(length)) if length else {}
                self.asked.append(body)
                reply = None if number <= self.dead else self.answer(body)
                if reply is None:
                    break
                status, headers, data = reply
                headers = {"Content-Length": str(len(data))} | headers
                lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
                writer.write(f"HTTP/1.1 {status} X\r\n{lines}\r\n".encode() + data)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@pytest.fixture
async def venue() -> AsyncIterator[Venue]:
    async with Venue().serve() as served:
        yield served


def client(venue: Venue, *symbols: str, speed: float = 1.0, **options: Any) -> HyperliquidHttp:
    return HyperliquidHttp(
        venue.url,
        venue.url + "/leaderboard",
        clock=ScaledClock(speed=speed),
        deadline=real_timeout,
        timeouts=options.pop("timeouts", HttpTimeouts(request_s=5.0, leaderboard_s=5.0)),
        table=MarketTable(Symbol(symbol) for symbol in symbols or ("BTC",)),
        **options,
    )


async def test_an_account_is_read_and_the_listing_is_learnt_before_it(venue: Venue) -> None:
    async with client(venue) as http:
        snapshots = await asyncio.gather(*(http.account(TRADER) for _ in range(3)))
        assert http.spent_last_minute() == 20 + 3 * 2
    assert [[(held.symbol, held.lots) for held in snapshot.positions] for snapshot in snapshots] == [[(BTC, -3)]] * 3
    assert [asked["type"] for asked in venue.asked].count("meta") == 1


async def test_the_dexes_of_followed_symbols_are_listed_if_they_exist(venue: Venue) -> None:
    async with client(venue, "BTC", "xyz:TSLA", "gone:GOLD") as http:
        listed = await http.markets()
    assert [(market.symbol, market.dex) for market in listed] == [("BTC", ""), ("ETH", ""), ("xyz:TSLA", "xyz")]


async def test_a_context_that_makes_no_sense_is_parked(venue: Venue) -> None:
    async with client(venue) as http:
        listed, (context,) = await http.contexts()
    assert [market.symbol for market in listed] == ["BTC", "ETH"]
    assert (context.symbol, context.mid, context.open_interest) == (BTC, None, 5.5)


async def test_a_lot_that_changes_is_said_once_and_not_taken_over(venue: Venue) -> None:
    finer = {"universe": [{"name": "BTC", "szDecimals": 6}, {"name": "ETH", "szDecimals": 4}]}
    with structlog.testing.capture_logs() as logs:
        async with client(venue) as http:
            await http.markets()
            venue.scripted.extend([ok(finer), ok([finer, [{"openInterest": "1"}, {"openInterest": "1"}]])])
            listed = await http.markets()
            also_listed, _ = await http.contexts()
            sizes = []
            for szi in ("-0.00003", "-0.000031"):
                position = {"type": "oneWay", "position": {"coin": "BTC", "szi": szi}}
                venue.scripted.append(ok(ACCOUNT | {"assetPositions": [position]}))
                sizes.append((await http.account(TRADER)).positions[0].lots)
    assert [market.sz_decimals for market in listed] == [market.sz_decimals for market in also_listed] == [5, 4]
    assert sizes == [-3, None]
    assert [(entry["event"], entry["sz_decimals"], entry["kept"]) for entry in logs] == [("lot_changed", 6, 5)]


async def test_candles_come_in_order_and_cost_what_came(venue: Venue) -> None:
    bar = {"T": 0, "s": "BTC", "i": "1m", "o": "2", "c": "3", "h": "4", "l": "1", "v": "0.0", "n": 0}
    venue.scripted.append(ok([bar | {"t": 120_000}, bar | {"t": 60_000}, bar | {"t": 180_000, "h": "nan"}]))
    async with client(venue) as http:
        candles = await http.candles(BTC, Interval.M1, 0, 10_000_000)
        assert http.spent_last_minute() == 21
    assert [candle.t_ms for candle in candles] == [60_000, 120_000]
    assert venue.asked == [
        {"type": "candleSnapshot", "req": {"coin": "BTC", "interval": "1m", "startTime": 0, "endTime": 10_000_000}}
    ]


async def test_bars_that_are_urgent_do_not_wait_until_a_backfill_may_go_on(venue: Venue) -> None:
    """A backfill takes all that candles may for minutes, and the count of a gap is worth nothing by then."""
    bar = {"T": 0, "s": "BTC", "i": "1m", "o": "2", "c": "3", "h": "4", "l": "1", "v": "0.0", "n": 0}
    venue.answer = lambda _: ok([bar | {"t": 60_000}])
    async with client(venue) as http, asyncio.TaskGroup() as tasks:
        backfill = [tasks.create_task(http.candles(BTC, Interval.M1, 0, 60_000)) for _ in range(9)]
        await http.candles(BTC, Interval.M1, 0, 60_000, urgent=True)
        assert not all(each.done() for each in backfill)
        for each in backfill:
            each.cancel()


@pytest.mark.parametrize(("status", "helps"), [(500, True), (502, True), (422, False), (403, False)])
async def test_a_refusal_says_whether_waiting_helps(venue: Venue, status: int, helps: bool) -> None:
    venue.scripted.append((status, {}, b"null"))
    async with client(venue) as http:
        with pytest.raises(SourceError) as caught:
            await http.candles(BTC, Interval.M1, 0, 1)
    assert (caught.value.retry_after_s is not None) == helps


@pytest.mark.parametrize("body", [b"", b"<html>", b"null", b'{"marginSummary":{}}', b"[" * 10_000])
async def test_an_answer_of_another_shape_is_no_snapshot(venue: Venue, body: bytes) -> None:
    async with client(venue) as http:
        await http.markets()
        venue.scripted.append((200, {}, body))
        with pytest.raises(InvalidInput):
            await http.account(TRADER)
        assert (await http.account(TRADER)).account_value == 12.5


async def test_after_429_everyone_waits_as_long_as_the_venue_says(venue: Venue) -> None:
    async with client(venue, speed=100.0) as http:
        await http.markets()
        venue.scripted.append((429, {"Retry-After": "20"}, b""))
        clock = ScaledClock(speed=100.0)
        with pytest.raises(SourceError) as caught:
            await http.account(TRADER)
        assert caught.value.retry_after_s == 20.0
        refused_s = clock.monotonic()
        await asyncio.gather(http.account(TRADER), http.account(TRADER))
        assert clock.monotonic() - refused_s >= 19.0


async def test_a_dead_kept_alive_connection_is_tried_once_more_and_paid_twice(venue: Venue) -> None:
    async with client(venue) as http:
        await http.markets()
        venue.scripted.append(None)
        assert (await http.account(TRADER)).time_ms == ACCOUNT["time"]
        assert http.spent_last_minute() == 20 + 2 * 2


async def test_where_all_kept_alive_connections_are_dead_nobody_notices(venue: Venue) -> None:
    with structlog.testing.capture_logs() as logs:
        async with client(venue) as http:
            await http.markets()
            await asyncio.gather(*(http.account(TRADER) for _ in range(8)))
            assert venue.connections > 2
            venue.dead = venue.connections
            assert (await http.account(TRADER)).time_ms == ACCOUNT["time"]
            venue.scripted.append((200, {}, BOARD))
            assert len(await rows_of(http)) == 1
    assert logs == []


async def test_a_venue_that_always_hangs_up_is_a_source_error(venue: Venue) -> None:
    venue.answer = lambda _: None
    async with client(venue) as http:
        with pytest.raises(SourceError) as caught:
            await http.markets()
    assert caught.value.retry_after_s is not None
    assert len(venue.asked) == 2


async def test_a_venue_that_never_answers_is_given_up_in_real_time(venue: Venue) -> None:
    server_never_answers: Reply = (200, {"Content-Length": "10"}, b"")
    venue.answer = lambda _: server_never_answers
    async with client(venue, timeouts=HttpTimeouts(request_s=0.1, leaderboard_s=0.1)) as http:
        with pytest.raises(SourceError):
            await http.markets()
        with pytest.raises(SourceError):
            await anext(aiter(http.leaderboard()))


async def test_an_unreachable_venue_is_told_once_and_its_return_once(venue: Venue) -> None:
    with structlog.testing.capture_logs() as logs:
        async with client(venue) as http:
            for _ in range(3):
                venue.scripted.append((500, {}, b""))
                with pytest.raises(SourceError):
                    await http.markets()
            await http.markets()
            await http.markets()
    assert [entry["event"] for entry in logs] == ["source_down", "source_back"]


async def test_a_request_that_is_cancelled_leaves_the_budget_usable(venue: Venue) -> None:
    async with client(venue, accounts_weight_per_minute=4) as http:
        await http.markets()
        await asyncio.gather(http.account(TRADER), http.account(TRADER))
        waiting = [asyncio.create_task(http.account(TRADER)) for _ in range(3)]
        await asyncio.sleep(0.01)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert (await http.contexts())[1][0].symbol == BTC


async def rows_of(http: HyperliquidHttp) -> list[Any]:
    return [row async for part in http.leaderboard() for row in part]


async def test_the_recorded_leaderboard_comes_through(venue: Venue, recordings: Path) -> None:
    body = (recordings / "hl_raw_api/leaderboard_12_rows.json").read_bytes()
    venue.scripted.append((200, {}, body))
    async with client(venue) as http:
        rows = await rows_of(http)
    assert len(rows) == 12
    assert rows[0].account_value == 917841122.7465319633
    assert rows[0].month.pnl == 0.0


async def test_bad_rows_are_parked_and_the_rest_goes_on(venue: Venue) -> None:
    good: dict[str, object] = {
        "ethAddress": TRADER,
        "accountValue": "1.0",
        "windowPerformances": [],
        "displayName": None,
    }
    bad: list[object] = [None, {}, good | {"ethAddress": "0x1"}, good | {"accountValue": "NaN"}, [], good]
    venue.scripted.append(ok({"leaderboardRows": [good, *bad]}))
    with structlog.testing.capture_logs() as logs:
        async with client(venue) as http:
            rows = await rows_of(http)
    assert [row.trader for row in rows] == [TRADER]
    assert [entry["count"] for entry in logs] == [len(bad)]


@pytest.mark.parametrize(
    "body",
    [
        b"<html>busy</html>",
        b"",
        b'{"leaderboardRows":[]}',
        b'{"leaderboardRows":[{"ethAddress":"0x',
        b'{"leaderboardRows":[{}]}',
    ],
)
async def test_what_is_no_leaderboard_is_a_source_error(venue: Venue, body: bytes) -> None:
    venue.scripted.append((200, {}, body))
    async with client(venue) as http:
        with pytest.raises(SourceError) as caught:
            await rows_of(http)
    assert caught.value.retry_after_s is not None


@pytest.mark.parametrize(
    ("reply", "wait_s"),
    [
        ((403, {}, b"blocked"), 5.0),
        ((502, {}, b""), 5.0),
        (None, 5.0),
        ((200, {}, b"<html>"), 60.0),
        ((429, {}, b""), 60.0),
        ((429, {"Retry-After": "90"}, b""), 90.0),
    ],
)
async def test_a_leaderboard_of_which_no_body_came_is_asked_for_again_soon(
    venue: Venue, reply: Reply | None, wait_s: float
) -> None:
    venue.answer = lambda _: reply
    async with client(venue) as http:
        with pytest.raises(SourceError) as caught:
            await rows_of(http)
    assert caught.value.retry_after_s == wait_s


async def test_a_body_that_ends_early_is_a_source_error(venue: Venue) -> None:
    cut: Reply = (200, {"Content-Length": "1000", "Connection": "close"}, b'{"leaderboardRows":[')

    async with client(venue, timeouts=HttpTimeouts(request_s=5.0, leaderboard_s=0.3)) as http:
        venue.scripted.extend([cut, cut])
        with pytest.raises(SourceError):
            await rows_of(http)


async def test_the_venue_never_counts_more_than_it_allows_however_it_delays(venue: Venue) -> None:
    """Venue time runs 600 times faster, so a loopback answer takes seconds of it; the venue counts as the facts say."""
    speed = 600.0
    clock = ScaledClock(speed=speed)
    counted: deque[tuple[float, int]] = deque()
    refused = 0

    def strict(body: dict[str, Any]) -> Reply | None:
        nonlocal refused
        now_s = clock.monotonic()
        while counted and counted[0][0] < now_s - 60.0:
            counted.popleft()
        weight = {"clearinghouseState": 2}.get(body["type"], 20)
        if sum(cost for _, cost in counted) + weight > 1_200:
            refused += 1
            return 429, {}, b""
        counted.append((now_s, weight))
        return venue.usual(body)

    venue.answer = strict
    async with client(venue, speed=speed) as http:

        async def ask(count: int) -> None:
            for _ in range(count):
                await http.account(TRADER)

        started_s = clock.monotonic()
        await asyncio.gather(*(ask(40) for _ in range(20)), *(http.contexts() for _ in range(40)))
        took_s = clock.monotonic() - started_s
    assert refused == 0
    assert len(venue.asked) == 800 + 40 + 1
    assert took_s >= 60.0 * (800 * 2 + 40 * 20) / 1_150 - 70.0
