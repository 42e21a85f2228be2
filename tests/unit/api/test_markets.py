"""Market answers: prices and bars."""

from typing import Any

from market_scraper.domain.market import Candle
from market_scraper.domain.values import Interval, from_ms, iso
from market_scraper.ports.stores import CandleRow
from tests.unit.api.parts import BTC, HOUR, NOW_MS, World, full_world

FIRST_MS = NOW_MS // HOUR * HOUR - 10 * HOUR


def bar(t_ms: int, close: float = 1.0) -> Candle:
    return Candle(t_ms=t_ms, o=1.0, h=2.0, l=0.5, c=close, v=3.0)


async def with_bars(count: int = 10) -> World:
    world = await full_world()
    await world.store.write(
        [CandleRow(symbol=BTC, interval=Interval.H1, candle=bar(FIRST_MS + n * HOUR, n)) for n in range(count)]
    )
    return world


def closes(answer: Any) -> list[float]:
    return [candle["c"] for candle in answer["candles"]]


async def test_all_configured_markets_are_listed_before_the_venue_has_spoken() -> None:
    world = World()
    world.views.markets.put(BTC)

    answer = (await world.client().get("/api/v1/markets")).json()

    assert answer[0] == {"symbol": "BTC", "status": "open", "mid": 31_000, "open_interest": 10_000}
    assert answer[1] == {"symbol": "ETH", "status": "unknown", "mid": None, "open_interest": None}


async def test_a_market_shows_its_forming_bar_and_coverage() -> None:
    world = await with_bars()
    world.views.markets.bars[BTC, Interval.M1] = bar(NOW_MS // 60_000 * 60_000)

    answer = (await world.client().get("/api/v1/markets/btc")).json()

    assert answer["symbol"] == "BTC"
    assert answer["latest_candle"].keys() == {"t", "o", "h", "l", "c", "v"}
    assert answer["latest_candle_closed"] is False
    assert answer["coverage"] == 0.25


async def test_a_market_of_which_nothing_is_known_yet_is_not_ready_and_others_are_unknown() -> None:
    async with World().client() as client:
        silent = await client.get("/api/v1/markets/BTC")
        unknown = await client.get("/api/v1/markets/DOGE")

    assert (silent.status_code, silent.json()["code"]) == (503, "not_ready")
    assert silent.headers["retry-after"] == "5"
    assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_symbol")


async def test_history_without_a_start_gives_the_newest_and_its_cursor_goes_back() -> None:
    world = await with_bars()
    async with world.client() as client:
        path = "/api/v1/markets/BTC/history"
        newest = (await client.get(path, params={"limit": 4})).json()
        older = (await client.get(path, params={"limit": 4, "cursor": newest["next_cursor"]})).json()
        oldest = (await client.get(path, params={"limit": 4, "cursor": older["next_cursor"]})).json()

    assert [closes(page) for page in (newest, older, oldest)] == [[6, 7, 8, 9], [2, 3, 4, 5], [0, 1]]
    assert oldest["next_cursor"] is None
    assert from_ms(FIRST_MS).isoformat().replace("+00:00", "Z") == oldest["candles"][0]["t"]


async def test_history_with_a_start_gives_the_first_from_there_and_its_cursor_goes_on() -> None:
    world = await with_bars()
    async with world.client() as client:
        path = "/api/v1/markets/BTC/history"
        window: dict[str, str | int] = {
            "start_time": iso(FIRST_MS + HOUR),
            "end_time": iso(FIRST_MS + 7 * HOUR),
            "limit": 4,
        }
        first = (await client.get(path, params=window)).json()
        rest = (await client.get(path, params={**window, "cursor": first["next_cursor"]})).json()

    assert (closes(first), closes(rest)) == ([1, 2, 3, 4], [5, 6, 7])
    assert rest["next_cursor"] is None


async def test_bad_windows_and_timeframes_are_told() -> None:
    world = await with_bars()
    async with world.client() as client:
        for query in (
            "timeframe=2h",
            "limit=0",
            "limit=10001",
            "start_time=yesterday",
            "start_time=2026-01-01&end_time=2025-01-01",
            "cursor=abc",
        ):
            answer = await client.get(f"/api/v1/markets/BTC/history?{query}")
            assert answer.status_code == 422, query
            assert answer.json()["code"] in ("bad_parameter", "bad_cursor")


async def test_a_zone_whose_plus_was_not_escaped_is_understood() -> None:
    world = await with_bars()

    answer = await world.client().get("/api/v1/markets/BTC/history?start_time=2023-11-14T00:00:00+00:00")

    assert answer.status_code == 200
