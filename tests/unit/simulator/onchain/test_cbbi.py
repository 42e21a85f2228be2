"""CBBI by the facts and the recordings: eleven maps, one key set, means that are right, days that settle."""

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest

from market_scraper.simulator.onchain.days import DAY_MS
from market_scraper.simulator.onchain.mood import CBBI_FIRST
from tests.unit.simulator.onchain.asking import TODAY, Asking, at

FILE = "/cbbi/data/latest.json"


async def latest(moment: str) -> dict[str, dict[str, Any]]:
    content: dict[str, dict[str, Any]] = await Asking(at(moment)).json(FILE)
    return content


def nulls(content: dict[str, dict[str, Any]]) -> dict[str, list[str]]:
    return {name: [key for key, value in days.items() if value is None] for name, days in content.items()}


RECORDED = (  # file name = time of capture; before the 16th the newest days had no holes
    *("2026-08-16T01:08:00", "2026-08-16T08:25:29", "2026-08-17T02:57:36", "2026-08-17T06:49:33"),
    *("2026-08-19T04:34:38", "2026-08-19T08:34:21"),
)


@pytest.mark.parametrize("moment", RECORDED)
async def test_it_has_the_maps_days_and_holes_of_the_recorded_file(moment: str, recordings: Path) -> None:
    name = re.sub(r"[-:]", "", moment)
    real = json.loads(gzip.decompress((recordings / "cbbi" / f"latest_{name}Z.json.gz").read_bytes()))
    ours = await latest(moment)
    assert list(ours) == list(real)
    assert {name: list(days) for name, days in ours.items()} == {name: list(days) for name, days in real.items()}
    assert nulls(ours) == nulls(real)


async def test_confidence_is_the_mean_of_what_is_there() -> None:
    content = await latest("2026-11-22T12:00:00")
    parts = [days for name, days in content.items() if name not in ("Price", "Confidence")]
    assert len(parts) == 9
    for key, confidence in content["Confidence"].items():
        there = [days[key] for days in parts if days[key] is not None]
        assert abs(confidence - sum(there) / len(there)) < 1e-4
        assert all(0.0 <= value <= 1.0 for value in there)


async def test_keys_are_every_day_to_yesterday() -> None:
    keys = list((await latest("2026-11-22T01:00:00"))["Confidence"])
    assert keys == [str(day * 86_400) for day in range(CBBI_FIRST, TODAY)]
    before = list((await latest("2026-11-22T00:59:59"))["Confidence"])
    assert keys[:-1] == before


async def test_a_day_is_revised_twice_and_then_stays() -> None:
    key = str((TODAY - 1) * DAY_MS // 1000)
    said = {
        moment: {name: days[key] for name, days in (await latest(moment)).items()}
        for moment in ("2026-11-22T01:30:00", "2026-11-22T03:30:00", "2026-11-23T06:29:00", "2026-11-23T06:31:00")
    }
    first, second, third, fourth = said.values()
    assert {name for name in first if first[name] != second[name]} == {"Puell", "Confidence"}
    assert second == third
    assert {name for name in third if third[name] != fourth[name]} == {"Woobull", "Confidence"}
    later = {name: days[key] for name, days in (await latest("2027-01-01T12:00:00")).items()}
    assert later == fourth


async def test_it_is_not_sent_again_before_it_changes() -> None:
    paper = Asking(at("2026-11-22T03:30:00"))
    answer = await paper.get(FILE)
    held = {"if-none-match": answer.headers["etag"]}
    assert answer.headers["last-modified"] == "Sun, 22 Nov 2026 02:45:00 GMT"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert (await paper.get(FILE, held)).status_code == 304
    await paper.clock.advance(3 * 3_600 - 1)
    assert (await paper.get(FILE, held)).status_code == 304
    await paper.clock.advance(1)
    assert (await paper.get(FILE, held)).status_code == 200


async def test_who_does_not_say_who_he_is_gets_a_page() -> None:
    refused = await Asking().get(FILE, {"user-agent": "python-httpx2/2.16"})
    assert refused.status_code == 403
    assert refused.headers["content-type"].startswith("text/html")
