"""Lists that differ in words show the same moment, and no list is older than it may be."""

from typing import Any

import httpx2
import msgspec
import pytest

from market_scraper.domain.positions import TapeMark
from market_scraper.domain.traders import Choice
from tests.unit.api.parts import ANN, BOB, BTC, HOUR, NOW_MS, World, full_world, position, rated

LIST = "/api/v1/traders"


@pytest.fixture
async def world() -> World:
    return await full_world()


async def listed(world: World, words: str = "") -> list[dict[str, Any]]:
    async with world.client() as client:
        answer: httpx2.Response = await client.get(f"{LIST}?{words}")
    assert answer.status_code == 200
    traders: list[dict[str, Any]] = answer.json()["traders"]
    return traders


def size_of(traders: list[dict[str, Any]], address: str) -> float:
    size: float = next(each for each in traders if each["address"] == address)["position"]["size"]
    return size


async def test_within_a_moment_every_order_and_filter_shows_the_same_positions(world: World) -> None:
    assert size_of(await listed(world), ANN) == 1.5
    world.views.positions.put(position(ANN, lots=700_000, version=2))
    assert size_of(await listed(world, "sort=position"), ANN) == 1.5
    assert size_of(await listed(world, "has_position=true"), ANN) == 1.5


async def test_no_list_is_older_than_a_quarter_of_a_second_however_it_was_put_together(world: World) -> None:
    await listed(world)
    world.views.positions.put(position(ANN, lots=700_000, version=2))
    await world.clock.advance(0.2)
    assert size_of(await listed(world, "sort=pnl"), ANN) == 1.5  # a new answer of lines that were made before
    await world.clock.advance(0.1)
    assert size_of(await listed(world, "sort=pnl"), ANN) == 7.0


async def test_new_ratings_and_the_hand_show_at_once(world: World) -> None:
    assert [each["address"] for each in await listed(world)] == [ANN, BOB]
    world.views.traders.put(rated(BOB, score=99.0))
    world.views.traders.choices[BOB] = Choice.TRACK
    world.views.traders.version += 1
    assert [each["address"] for each in await listed(world, "limit=5")] == [BOB, ANN]


async def test_claims_near_their_end_are_not_shown_again(world: World) -> None:
    world.views.positions.marks[BTC] = TapeMark(symbol=BTC, watermark_ms=NOW_MS - 4_900, epoch_ms=NOW_MS - 2 * HOUR)
    world.views.positions.put(*(position(each, lots=150_000, t_ms=NOW_MS - 4_900, version=2) for each in (ANN, BOB)))
    before = size_of(await listed(world), ANN)
    world.views.positions.put(position(ANN, lots=700_000, version=3))
    assert (before, size_of(await listed(world, "sort=pnl"), ANN)) == (1.5, 7.0)


async def test_a_page_says_what_the_whole_list_says(world: World) -> None:
    whole = await listed(world, f"symbol={BTC}")
    async with world.client() as client:
        first = (await client.get(f"{LIST}?limit=1")).content
        cursor = msgspec.json.decode(first)["next_cursor"]
        second = (await client.get(f"{LIST}?limit=1&cursor={cursor}")).content
    assert [*msgspec.json.decode(first)["traders"], *msgspec.json.decode(second)["traders"]] == whole
