"""A recorded restatement of nearly the whole CBBI, from the real parser through the store to answers over real HTTP."""

import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2

from market_scraper.api.deps import ApiDeps
from market_scraper.api.server import create_app
from market_scraper.api.serving import serving
from market_scraper.connectors.onchain.cbbi import Cbbi
from market_scraper.domain.derived import NETFLOW
from market_scraper.domain.events import ReadingsTaken
from market_scraper.domain.onchain import DAY_MS, Source
from market_scraper.domain.revisions import Revisions
from market_scraper.domain.values import iso, to_ms
from market_scraper.event_bus.memory import MemoryBus
from market_scraper.event_bus.numbers import reserve_in_memory
from market_scraper.ports.stores import ReadingRow, Retention, Store
from market_scraper.runtime.clock import ScaledClock
from market_scraper.storage.open import open_store
from market_scraper.views.all import LiveViews
from tests.fakes import FakeClock, FakeFetch
from tests.onchain_facts import NOW_MS, everything
from tests.unit.api.parts import BTC

BEFORE, AFTER = "20260815T024942Z", "20260815T042734Z"
RESTATED_DAYS = 5_431  # of Woobull, between those two (SOURCES.md)


@asynccontextmanager
async def served(store: Store, clock: FakeClock) -> AsyncIterator[tuple[LiveViews, httpx2.AsyncClient]]:
    async with MemoryBus(reserve_in_memory()) as bus:
        views = LiveViews(clock, rate=lambda *_: [])
        app = create_app(
            ApiDeps(
                store=store,
                views=views,
                bus=bus,
                operations=None,
                clock=clock,
                real_clock=ScaledClock(),
                symbols=(BTC,),
                version="1",
                host="127.0.0.1",
            )
        )
        async with (
            views.following(bus, store, (BTC,)),
            serving(app, "127.0.0.1", 0) as port,
            httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client,
        ):
            yield views, client


async def all_pages(client: httpx2.AsyncClient, path: str, **params: str) -> dict[str, Any]:
    """A whole history by its days."""
    found: dict[str, Any] = {}
    cursor: dict[str, str] = {}
    while True:
        page = (await client.get(path, params={"limit": "2000", **params, **cursor})).json()
        found |= {past["as_of"]: past for past in page["history"]}
        if page["next_cursor"] is None:
            return found
        cursor = {"cursor": page["next_cursor"]}


def recorded(recordings: Path, name: str) -> tuple[int, bytes]:
    """When it was captured, and the very bytes."""
    at = datetime.strptime(name, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    return to_ms(at), gzip.decompress((recordings / "cbbi" / f"latest_{name}.json.gz").read_bytes())


def days_of(body: bytes, part: str) -> dict[str, float]:
    """What a file says of one part, by day; nulls left out."""
    values = json.loads(body)[part].items()
    return {shown(int(t) * 1000): value for t, value in values if value is not None}


def shown(t_ms: int) -> str:
    return iso(t_ms).replace(".000Z", "Z")


async def test_a_restated_past_shows_as_revisions_and_as_of_gives_the_past_as_it_was_known(
    recordings: Path, tmp_path: Path
) -> None:
    (first_ms, first), (second_ms, second) = recorded(recordings, BEFORE), recorded(recordings, AFTER)
    clock = FakeClock(second_ms + 60_000)
    revisions = Revisions(Source.CBBI)
    async with open_store("sqlite", path=tmp_path / "kept.db", retention=Retention(), clock=clock) as store:
        async with served(store, clock) as (views, client):
            for at_ms, body in ((first_ms, first), (second_ms, second)):
                source = Cbbi(FakeFetch(lambda *_, body=body: body), "http://127.0.0.1")
                said = await source.read(revisions.newest, at_ms)
                readings = revisions.take(said.observations, at_ms) + revisions.take_back(said.withdrawn, at_ms)
                await store.write([ReadingRow(reading=each) for each in readings])
                views.apply(ReadingsTaken(known_at_ms=at_ms, readings=tuple(readings)))

            path, then = "/api/v1/cbbi/components/woobull", iso(second_ms - 1_000)
            now, before = await all_pages(client, path), await all_pages(client, path, as_of=then)
            index = (await client.get("/api/v1/cbbi")).json()
            old_index = (await client.get("/api/v1/cbbi", params={"as_of": then})).json()
            too_early = await client.get("/api/v1/cbbi", params={"as_of": iso(first_ms - 1_000)})
            day = next(day for day, past in now.items() if past["restated"])
            all_said = (
                await client.get("/api/v1/onchain/btc/history/cbbi.woobull/revisions", params={"day": day})
            ).json()

        # No new day, nearly all changed, and what was known before is still known to have been known.
        assert now.keys() == before.keys()
        assert sum(past["revision"] == 1 for past in now.values()) == RESTATED_DAYS
        assert {day: past["value"] for day, past in before.items()} == days_of(first, "Woobull")
        newest = max(before)
        kept = {day: past["value"] for day, past in now.items() if not past["withdrawn"]}
        assert kept == days_of(second, "Woobull")
        assert now.keys() - kept.keys() == {newest}  # null in the second file
        assert index["values"]["Woobull"]["as_of"] == max(kept)
        assert index["confidence"] == days_of(second, "Confidence")[newest]
        assert old_index["confidence"] == days_of(first, "Confidence")[newest] != index["confidence"]
        for answer in (index, old_index):
            assert not [value for value in answer["values"].values() if "disputed" in value["flags"]]
        assert (too_early.status_code, too_early.json()["code"]) == (404, "no_history")
        assert [past["value"] for past in all_said["revisions"]] == [before[day]["value"], now[day]["value"]]
        assert "Price" not in json.dumps([index, old_index])

        # After a restart the same is said, from the store alone.
        async with served(store, clock) as (_, client):
            assert (await client.get("/api/v1/cbbi")).json() == index


async def test_every_route_answers_from_a_store_that_another_process_has_filled(tmp_path: Path) -> None:
    clock = FakeClock(NOW_MS)
    async with open_store("sqlite", path=tmp_path / "kept.db", retention=Retention(), clock=clock) as store:
        await store.write([ReadingRow(reading=each) for each in everything(days=12, known_at_ms=NOW_MS - DAY_MS // 24)])
        async with served(store, clock) as (_, client):
            summary = (await client.get("/api/v1/onchain/btc/summary")).json()
            as_of = (await client.get("/api/v1/onchain/btc/summary", params={"as_of": iso(NOW_MS)})).json()
            netflow = (await client.get(f"/api/v1/onchain/btc/history/{NETFLOW}")).json()
    assert summary == as_of
    assert summary["exchange_flows"]["netflow"]["state"] == "final"
    assert netflow["count"] == 12
    assert {past["value"] for past in netflow["history"]} == {-1_000.5}
