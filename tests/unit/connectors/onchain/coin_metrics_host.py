"""Coin Metrics' API and CSV as two functions over one table of rows (column: text), for `FakeFetch`."""

import json
from collections.abc import Collection, Mapping, Sequence

from market_scraper.connectors.onchain.fetch import Refused
from market_scraper.connectors.onchain.sieve import iso_day
from market_scraper.domain.onchain import DAY_MS
from tests.unit.connectors.onchain.recorded import day_ms

Table = Mapping[int, Mapping[str, str | None]]  # by 00:00 UTC in ms

API = "https://community-api.coinmetrics.io/v4/timeseries/asset-metrics"


def table(first: str, last: str, **columns: str) -> dict[int, dict[str, str | None]]:
    """The same cells on each of the days; complete 3 hours after each of them."""
    days = range(day_ms(first), day_ms(last) + 1, DAY_MS)
    stamp = "AssetEODCompletionTime"
    return {t_ms: {**columns, stamp: str((t_ms + DAY_MS) // 1000 + 3 * 3_600)} for t_ms in days}


def api(rows: Table, params: Mapping[str, str], *, forbidden: Collection[str] = (), heeds: bool = True) -> bytes:
    """A page with all days since `start_time`. Without `heeds` the whole query is refused for one forbidden metric.

    Raises Refused.
    """
    names = params["metrics"].split(",")
    if not heeds and any(name in forbidden for name in names):
        body = {"error": {"type": "forbidden", "message": "Requested resource is not available"}}
        raise Refused("host", 403, json.dumps(body).encode(), retry_after_s=None)
    kept = [name for name in names if name not in forbidden]
    return api_page(
        [
            {"time": iso_day(t_ms), **{name: cells.get(name) for name in kept}}
            for t_ms, cells in rows.items()
            if t_ms >= day_ms(params["start_time"])
        ]
    )


def api_page(rows: Sequence[Mapping[str, str | None]], next_page_url: str | None = None) -> bytes:
    """Rows with `time` as a day, as the API wraps them."""
    data = [{"asset": "btc", **row, "time": f"{row['time']}T00:00:00.000000000Z"} for row in rows]
    return json.dumps({"data": data} | ({"next_page_url": next_page_url} if next_page_url is not None else {})).encode()


def csv_file(rows: Table, names: Sequence[str]) -> bytes:
    """The columns of that name, in that order, after `time`."""
    lines = [",".join(["time", *names])]
    lines += [",".join([iso_day(t_ms), *(cells.get(name) or "" for name in names)]) for t_ms, cells in rows.items()]
    return ("\n".join(lines) + "\n").encode()
