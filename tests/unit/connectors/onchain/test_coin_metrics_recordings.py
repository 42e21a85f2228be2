"""Every recorded Coin Metrics table through the real parsers, against values read from the files by hand."""

import csv
import io
from pathlib import Path

import pytest

from market_scraper.connectors.onchain import asset_metrics, blockchain_info, coin_metrics, exchange_flow
from market_scraper.connectors.onchain.asset_metrics import Column
from market_scraper.connectors.onchain.sieve import Sieve
from market_scraper.domain.onchain import DAY_MS, METRICS, Answer
from tests.unit.connectors.onchain import coin_metrics_recorded as recorded
from tests.unit.connectors.onchain.recorded import RECORDED_AT_MS, day_ms, hash_rate_chart

By = dict[str, dict[int, float]]


def from_csv(recordings: Path, name: str, columns: dict[str, Column] = coin_metrics.COLUMNS) -> Answer:
    sieve = Sieve()
    wanted = [column.name for column in columns.values()]
    rows, _ = asset_metrics.csv_rows(recorded.csv_file(recordings, name), wanted, sieve)
    asset_metrics.gather(rows, columns, sieve, since_ms=0, now_ms=RECORDED_AT_MS)
    return sieve.answer()


def from_api(recordings: Path, name: str) -> Answer:
    sieve = Sieve()
    page = asset_metrics.page(recorded.page(recordings, name))
    asset_metrics.gather(page.data, coin_metrics.COLUMNS, sieve, since_ms=0, now_ms=RECORDED_AT_MS)
    return sieve.answer()


def by_metric(answer: Answer) -> By:
    found: By = {}
    for each in answer.observations:
        found.setdefault(each.metric, {})[each.t_ms] = each.value
    return found


@pytest.mark.parametrize("name", recorded.FILES)
def test_a_recorded_table_says_the_same_as_csv_and_as_api_and_nothing_is_refused(recordings: Path, name: str) -> None:
    as_csv, as_api = from_csv(recordings, name), from_api(recordings, name)

    assert as_csv.notes == as_api.notes == ()
    assert as_csv.observations == as_api.observations
    assert not any(each.provisional for each in as_csv.observations)


def test_the_table_of_2019_is_read_from_the_first_block_on(recordings: Path) -> None:
    found = by_metric(from_csv(recordings, recorded.OLD))

    assert {metric: len(days) for metric, days in found.items()} == {
        "active_addresses": 3_934,
        "transaction_count": 3_934,
        "supply": 3_934,
        "mvrv": 3_373,  # there was no price before 2010-07-18
    }
    assert found["supply"][day_ms("2009-01-09")] == 950.0
    assert found["mvrv"][day_ms("2010-07-18")] == 146.0383322
    last = day_ms("2019-10-11")
    assert found["active_addresses"][last] == 726_820.0
    assert found["transaction_count"][last] == 346_995.0
    assert found["supply"][last] == 17_987_167.32198713
    assert found["mvrv"][last] == 1.4650268


def test_the_table_of_2026_is_read_without_a_gap(recordings: Path) -> None:
    found = by_metric(from_csv(recordings, recorded.NEW))

    days = list(range(day_ms("2020-01-01"), day_ms("2026-06-01") + 1, DAY_MS))
    assert set(found) == {"active_addresses", "transaction_count", "mvrv", "hash_rate"}
    assert all(list(values) == days for values in found.values())
    day = day_ms("2022-07-15")
    assert found["active_addresses"][day] == 943_171.0
    assert found["transaction_count"][day] == 267_630.0
    assert found["mvrv"][day] == 0.947404727073
    assert found["hash_rate"][day] == pytest.approx(205.78547523701978, rel=1e-14)


def test_the_oldest_hash_rate_is_read_in_scientific_notation(recordings: Path) -> None:
    found = by_metric(from_csv(recordings, recorded.HASH_RATE))["hash_rate"]

    assert len(found) == 6_247
    assert found[day_ms("2009-01-03")] == pytest.approx(4.97102696296296e-14, rel=1e-14)
    assert found[day_ms("2026-02-12")] == pytest.approx(1_107.44699996433, rel=1e-14)


def test_a_table_whose_day_is_its_last_column_is_read_by_name(recordings: Path) -> None:
    found = by_metric(from_csv(recordings, recorded.SOME_DAYS))

    assert found["active_addresses"][day_ms("2025-11-05")] == 747_953.0
    assert found["transaction_count"][day_ms("2026-02-11")] == 451_472.0


def test_the_two_tables_that_hold_the_same_days_agree_on_them(recordings: Path) -> None:
    long, short = by_metric(from_csv(recordings, recorded.NEW)), by_metric(from_csv(recordings, recorded.SOME_DAYS))

    for metric in ("active_addresses", "transaction_count"):
        common = long[metric].keys() & short[metric].keys()
        assert len(common) >= 99
        assert all(long[metric][t_ms] == short[metric][t_ms] for t_ms in common)


def test_recorded_flows_are_read_as_coins_once_divided_by_the_days_price(recordings: Path) -> None:
    """The only recorded flows are in dollars; the rows of native ones are made of them."""
    rows = csv.DictReader(io.StringIO(recorded.csv_file(recordings, recorded.NEW).decode()))
    lines = ["time,FlowOutExNtv,FlowInExNtv"]
    for row in rows:
        coins = [float(row[name]) / float(row["PriceUSD"]) for name in ("FlowOutExUSD", "FlowInExUSD")]
        lines.append(f"{row['time']},{coins[0]:.8f},{coins[1]:.8f}")
    sieve = Sieve()
    parsed, _ = asset_metrics.csv_rows("\n".join([*lines, ""]).encode(), ["FlowInExNtv", "FlowOutExNtv"], sieve)
    asset_metrics.gather(parsed, exchange_flow.COLUMNS, sieve, since_ms=0, now_ms=RECORDED_AT_MS)

    found = by_metric(sieve.answer())
    day = day_ms("2022-07-15")
    assert found["inflow"][day] == pytest.approx(854_651_957.7093495 / 20_831.722700526, abs=1e-8)
    assert found["outflow"][day] == pytest.approx(615_879_617.6021292 / 20_831.722700526, abs=1e-8)
    assert len(found["inflow"]) == len(found["outflow"]) == 2_344


# One day, several sources.


def chart(recordings: Path) -> dict[int, float]:
    sieve = Sieve()
    blockchain_info.parse_chart(hash_rate_chart(recordings), "hash_rate", sieve, since_ms=0, now_ms=RECORDED_AT_MS)
    return by_metric(sieve.answer())["hash_rate"]


@pytest.mark.parametrize("day", ["2022-07-15", "2022-07-18", "2022-07-19", "2022-12-20"])
def test_a_recorded_day_seen_by_three_recordings_of_two_sources_agrees_in_exahashes(recordings: Path, day: str) -> None:
    tables = [by_metric(from_csv(recordings, name))["hash_rate"] for name in (recorded.NEW, recorded.HASH_RATE)]
    one, other, third = (days[day_ms(day)] for days in (*tables, chart(recordings)))

    assert 150 < one < 350  # EH/s, in the second half of 2022
    assert one == pytest.approx(other, rel=1e-6)
    assert one == pytest.approx(third, rel=METRICS["hash_rate"].tolerance)


def test_the_recorded_chart_is_the_mean_of_the_other_sources_seven_days_before(recordings: Path) -> None:
    """So sharp a check of the units that a factor of 1.001 between the sources would show."""
    daily, mean = by_metric(from_csv(recordings, recorded.NEW))["hash_rate"], chart(recordings)

    differences = [
        abs(sum(daily[t_ms - back * DAY_MS] for back in range(1, 8)) / 7 / value - 1) for t_ms, value in mean.items()
    ]
    assert len(differences) > 170
    assert max(differences) < 0.001
