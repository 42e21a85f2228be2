"""What goes wrong at the on-chain hosts on request: each fault does what it says, where it says, and nothing else."""

import csv
import io
import json
import re
from typing import Any

import msgspec
import pytest

from market_scraper.simulator.faults import FaultBoard, decode_faults
from market_scraper.simulator.onchain.days import DAY_MS
from market_scraper.simulator.onchain.faults import HOSTS, Spoil
from tests.unit.simulator.onchain.asking import TODAY, Asking

PATHS = {
    "blockchain_info": "/stats",
    "fear_greed": "/fng/?limit=5",
    "coin_metrics": "/v4/timeseries/asset-metrics?assets=btc&metrics=AdrActCnt,TxCnt&start_time=2026-11-10",
    "coin_metrics_csv": "/coinmetrics/data/master/csv/btc.csv",
    "cbbi": "/cbbi/data/latest.json",
    "bitview": "/api/series/lth_sopr_24h/day1?start=-10",
}
YESTERDAY = str((TODAY - 1) * DAY_MS // 1000)

Parts = dict[str, dict[str, Any]]


def test_every_host_has_a_path_here() -> None:
    assert set(PATHS) == set(HOSTS)


def test_a_schedule_may_name_them_and_they_end() -> None:
    board = FaultBoard(decode_faults([{"kind": "onchain_html", "host": "cbbi", "at_s": 5, "for_s": 10}]), 0)
    board.due(5_000)
    assert len(board.in_force(14_999)) == 1
    assert board.in_force(15_000) == []


@pytest.mark.parametrize(
    "raw", [{"kind": "onchain_html", "host": "x"}, {"kind": "onchain_tea"}, {"kind": "onchain_rename"}]
)
def test_a_mistake_in_a_fault_is_an_error(raw: dict[str, str]) -> None:
    with pytest.raises(msgspec.ValidationError):
        decode_faults(raw)


@pytest.mark.parametrize("host", PATHS)
async def test_delivery_goes_wrong_at_the_named_host_alone(host: str) -> None:
    broken = Asking(faults=[{"kind": "onchain_status", "host": host, "status": 503, "retry_after_s": 7}])
    answers = {
        name: await broken.get(path) for name, path in PATHS.items() if name != "coin_metrics_csv" or name == host
    }
    assert {name for name, answer in answers.items() if answer.status_code == 503} == {host}
    assert answers[host].headers["retry-after"] == "7"


@pytest.mark.parametrize("host", PATHS)
async def test_a_page_for_people_comes_with_status_200(host: str) -> None:
    answer = await Asking(faults=[{"kind": "onchain_html", "host": host}]).get(PATHS[host])
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.text.startswith("<!DOCTYPE html>")


@pytest.mark.parametrize("host", [host for host in PATHS if host != "coin_metrics_csv"])
async def test_half_an_answer_is_no_json(host: str) -> None:
    whole = await Asking().get(PATHS[host])
    half = await Asking(faults=[{"kind": "onchain_half", "host": host}]).get(PATHS[host])
    assert half.status_code == 200
    assert whole.text.startswith(half.text)
    with pytest.raises(json.JSONDecodeError):
        json.loads(half.text)


async def test_half_a_table_ends_in_the_middle_of_yesterday() -> None:
    answer = await Asking(faults=[{"kind": "onchain_half", "host": "coin_metrics_csv"}]).get(PATHS["coin_metrics_csv"])
    last = answer.text.splitlines()[-1]
    assert last.startswith("2026-11-21,")
    assert 5 < last.count(",") < 25


@pytest.mark.parametrize("host", PATHS)
async def test_a_huge_answer_begins_well_and_is_as_long_as_it_says(host: str) -> None:
    answer = await Asking(faults=[{"kind": "onchain_huge", "host": host, "megabytes": 3}]).get(PATHS[host])
    assert 3 * 2**20 - 2**16 < len(answer.content) < 3 * 2**20 + 2**16
    assert answer.content.startswith(b'{"data":[')


@pytest.mark.parametrize("host", [host for host in PATHS if host not in ("cbbi", "coin_metrics_csv")])
async def test_an_announced_end_is_in_the_headers(host: str) -> None:
    answer = await Asking(faults=[{"kind": "onchain_sunset", "host": host}]).get(PATHS[host])
    assert answer.headers["sunset"] == "Fri, 01 Jan 2027 00:00:00 GMT"
    assert answer.headers["deprecation"] == "true"
    assert "sunset" not in (await Asking().get(PATHS[host])).headers


async def test_a_fault_changes_the_version_of_an_answer() -> None:
    well, ill = Asking(), Asking(faults=[{"kind": "onchain_factor", "host": "cbbi", "metric": "Puell", "factor": 0.5}])
    etag = (await well.get(PATHS["cbbi"])).headers["etag"]
    assert (await ill.get(PATHS["cbbi"], {"if-none-match": etag})).status_code == 200


async def cbbi(**fault: object) -> tuple[Parts, Parts]:
    """The file without and with a fault."""
    ill = [{"host": "cbbi", **fault}]
    return await Asking().json(PATHS["cbbi"]), await Asking(faults=ill).json(PATHS["cbbi"])


async def test_a_frozen_component_repeats_itself_and_the_mean_follows() -> None:
    well, ill = await cbbi(kind="onchain_freeze", metric="RHODL", days=4)
    days = list(well["RHODL"])
    assert len({ill["RHODL"][day] for day in days[-5:]}) == 1
    assert len({well["RHODL"][day] for day in days[-5:]}) == 5
    assert ill["Puell"] == well["Puell"]
    parts = [ill[name][days[-1]] for name in ill if name not in ("Price", "Confidence")]
    there = [value for value in parts if value is not None]
    assert abs(ill["Confidence"][days[-1]] - sum(there) / len(there)) < 1e-4


async def test_restated_history_changes_the_past_and_spares_the_newest_days() -> None:
    well, ill = await cbbi(kind="onchain_restate", metric="Woobull", days=30, by=0.05)
    changed = [day for day in well["Woobull"] if well["Woobull"][day] != ill["Woobull"][day]]
    assert len(changed) > 5_000
    assert changed[-1] == str((TODAY - 31) * DAY_MS // 1000)
    assert well["Confidence"] != ill["Confidence"]
    assert all(value is None or value <= 1.0 for value in ill["Woobull"].values())


async def test_a_mean_that_does_not_fit_is_a_fault_of_its_own() -> None:
    well, ill = await cbbi(kind="onchain_factor", metric="Confidence", factor=1.1)
    assert ill["Puell"] == well["Puell"]
    assert ill["Confidence"][YESTERDAY] == well["Confidence"][YESTERDAY] * 1.1


async def test_a_renamed_component_is_gone_under_its_old_name() -> None:
    well, ill = await cbbi(kind="onchain_rename", metric="2YMA", to="TwoYearMA")
    assert "2YMA" not in ill
    assert ill["TwoYearMA"] == well["2YMA"]


async def test_newest_days_may_have_no_value() -> None:
    fault: dict[str, Any] = {"kind": "onchain_nulls", "days": 3}
    paper = Asking(faults=[fault])
    series = await paper.json(PATHS["bitview"])
    rows = (await paper.json(PATHS["coin_metrics"]))["data"]
    greed = (await paper.json(PATHS["fear_greed"]))["data"]
    assert series["data"][-3:] == [None] * 3
    assert None not in series["data"][:-3]
    assert [row["TxCnt"] is None for row in rows][-4:] == [False, True, True, True]
    assert [row["value"] is None for row in greed] == [True, True, True, False, False]


async def test_a_renamed_series_is_not_found_but_search_knows_it() -> None:
    paper = Asking(
        faults=[{"kind": "onchain_rename", "host": "bitview", "metric": "lth_sopr_24h", "to": "lth_sopr_1d"}]
    )
    gone = await paper.get(PATHS["bitview"])
    assert gone.status_code == 404
    assert gone.json()["error"]["code"] == "series_not_found"
    found = await paper.json("/api/series/search", q="lth_sopr")
    assert "lth_sopr_1d" in found
    assert "lth_sopr_24h" not in found
    renamed = await paper.json("/api/series/lth_sopr_1d/day1", start=-10)
    assert renamed["data"] == (await Asking().json(PATHS["bitview"]))["data"]


async def test_a_metric_may_be_paid_for_from_now_on() -> None:
    paper = Asking(faults=[{"kind": "onchain_forbid", "metric": "AdrActCnt"}])
    assert (await paper.get(PATHS["coin_metrics"])).status_code == 403
    rows = (await paper.json(PATHS["coin_metrics"] + "&ignore_forbidden_errors=true"))["data"]
    assert set(rows[0]) == {"asset", "time", "TxCnt"}
    header = next(csv.reader(io.StringIO((await paper.get(PATHS["coin_metrics_csv"])).text)))
    assert "AdrActCnt" not in header
    assert "TxCnt" in header


async def test_a_wrong_unit_is_a_factor() -> None:
    well = await Asking().json("/stats")
    ill = await Asking(faults=[{"kind": "onchain_factor", "metric": "hash_rate", "factor": 1000}]).json("/stats")
    assert ill["hash_rate"] == pytest.approx(1000 * well["hash_rate"])
    assert ill["difficulty"] == well["difficulty"]


@pytest.mark.parametrize("host", [host for host in PATHS if host != "coin_metrics_csv"])
async def test_scientific_notation_changes_the_writing_and_no_value(host: str) -> None:
    well = (await Asking().get(PATHS[host])).text
    ill = (await Asking(faults=[{"kind": "onchain_scientific", "host": host}]).get(PATHS[host])).text
    assert well != ill
    assert re.search(r"\dE[+-]\d", ill)
    assert plain(json.loads(ill)) == plain(json.loads(well))


def plain(value: Any) -> Any:
    """Numbers out of strings, whatever their notation."""
    if isinstance(value, dict):
        return {name: plain(inner) for name, inner in value.items() if name != "timestamp"}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    try:
        return float(value)
    except (TypeError, ValueError):
        return value


def test_without_faults_nothing_is_changed() -> None:
    spoil = Spoil((), "cbbi")
    assert spoil.value("Puell", 7, 9, lambda day: day / 10) == 0.7
    assert spoil.number("0.7") == "0.7"
    assert spoil.name("Puell") == spoil.meaning("Puell") == "Puell"
    assert spoil.mark == ""


async def test_requests_are_counted_by_host() -> None:
    paper = Asking()
    etag = (await paper.get(PATHS["cbbi"])).headers["etag"]
    await paper.get(PATHS["cbbi"], {"if-none-match": etag})
    await paper.get("/stats")
    counted: Any = paper.hosts.stats()
    assert counted["cbbi"]["requests"] == 2
    assert counted["cbbi"]["not_modified"] == 1
    assert counted["cbbi"]["sent_bytes"] > 1_000_000
    assert counted["blockchain_info"]["requests"] == 1
