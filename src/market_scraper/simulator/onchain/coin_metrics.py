"""Coin Metrics' community API v4: `/timeseries/asset-metrics` and `/catalog-v2/asset-metrics` (facts, section 2).

Ten requests in a sliding window of six (venue) seconds for each client; pages of 100 rows unless asked for more, the
newest first unless asked otherwise; numbers as strings, times with nine fractional digits. Parameters that the facts
do not name are refused; other assets and frequencies than free btc days are not served.
"""

from collections.abc import Callable, Mapping, Sequence
from urllib.parse import urlencode

import msgspec
from starlette.requests import Request

from market_scraper.simulator.limits import SlidingWindow
from market_scraper.simulator.onchain.answers import Sheet, sheet, sliced
from market_scraper.simulator.onchain.coin_metrics_table import PAID, Table
from market_scraper.simulator.onchain.days import DAY_MS, GENESIS, date_of, day_at, parse_ms
from market_scraper.simulator.onchain.faults import Spoil

REQUESTS, WINDOW_S = 10, 6.0
_PAGE_SIZE, _MOST_ROWS = 100, 10_000
_SLICE_DAYS = 25
_FLAGS = frozenset(
    {"start_inclusive", "end_inclusive", "null_as_zero", "ignore_forbidden_errors", "ignore_unsupported_errors"}
)
_KNOWN = _FLAGS | {
    *("assets", "metrics", "frequency", "start_time", "end_time", "timezone", "page_size", "paging_from", "sort"),
    *("limit_per_asset", "status", "format", "next_page_token", "pretty"),
}
_PAID_FREQUENCIES = frozenset({"1b", "1s", "1m", "5m", "10m", "1h"})
_FORBIDDEN = "Requested resource is not available with supplied credentials."


class _Refused(Exception):
    """`status`, and the error's type and message."""

    def __init__(self, status: int, kind: str, message: str) -> None:
        super().__init__(message)
        self.answer = sheet({"error": {"type": kind, "message": message}}, status)


def _bad(name: str, value: str, why: str = "is not supported") -> _Refused:
    return _Refused(400, "bad_parameter", f"Bad parameter '{name}'. Value '{value}' {why}.")


class CoinMetrics:
    """Answers from the table, by the venue's clock; limits count in the venue's seconds."""

    def __init__(self, table: Table, now_ms: Callable[[], int], now_s: Callable[[], float]) -> None:
        self._table, self._now_ms, self._now_s = table, now_ms, now_s
        self._windows: dict[str, SlidingWindow] = {}
        self.refused_429 = 0

    def timeseries(self, request: Request, spoil: Spoil) -> Sheet:
        """GET /v4/timeseries/asset-metrics."""
        return self._limited(request, lambda: self._rows(request, spoil))

    def catalog(self, request: Request, spoil: Spoil) -> Sheet:
        """GET /v4/catalog-v2/asset-metrics: what is free, and since when."""
        return self._limited(request, lambda: self._catalog(request.query_params, spoil))

    def _limited(self, request: Request, answer: Callable[[], Sheet]) -> Sheet:
        client = request.client.host if request.client else ""
        window = self._windows.setdefault(client, SlidingWindow(REQUESTS, WINDOW_S))
        now = self._now_s()
        allowed = window.take(now)
        self.refused_429 += not allowed
        headers = {
            "x-ratelimit-limit": str(REQUESTS),
            "x-ratelimit-remaining": str(REQUESTS - window.used(now)),
            "x-ratelimit-reset": str(round(WINDOW_S)),
            "x-ratelimit-plan": "community",
        }
        if not allowed:
            error = {"error": {"type": "too_many_requests", "message": "Rate limit of 10 requests per 6s exceeded."}}
            return sheet(error, 429, **headers)
        try:
            answered = answer()
        except _Refused as refused:
            answered = refused.answer
        answered.headers |= headers
        return answered

    # -- timeseries ---------------------------------------------------------------------------------------------------
    def _rows(self, request: Request, spoil: Spoil) -> Sheet:
        query = request.query_params
        self._check(query)
        metrics = self._metrics(query, spoil)
        now = self._now_ms()
        days = [
            day
            for day in self._days(query, now)
            if any(self._table.columns[metric].first <= day for metric in metrics.values())
            and (day <= self._table.newest(now) or any(metric.startswith("Reference") for metric in metrics.values()))
        ]
        limit = _number(query, "limit_per_asset", 0, 1_000_000)
        days = days[-limit:] if limit else days
        page, token = self._page(query, days)
        zero = _flag(query, "null_as_zero")
        rows = (self._row(day, metrics, now, spoil, zero=zero) for day in page)
        if query.get("format") == "csv":
            head = ",".join(("asset", "time", *metrics)) + "\n"
            lines = (",".join(text or "" for text in row.values()) + "\n" for row in rows)
            return Sheet(parts=sliced(head, lines, "", "", at_once=_SLICE_DAYS), media_type="text/csv")
        texts = (msgspec.json.encode(row).decode() for row in rows)
        if query.get("format") == "json_stream":
            return Sheet(
                parts=sliced("", (f"{text}\n" for text in texts), "", "", at_once=_SLICE_DAYS),
                media_type="application/x-ndjson",
            )
        tail: dict[str, str] = {}
        if token is not None:
            again = urlencode({**query, "next_page_token": token})
            tail = {"next_page_token": token, "next_page_url": f"{request.url.replace(query=again)}"}
        more = msgspec.json.encode(tail).decode()[1:]  # without its opening brace
        return Sheet(parts=sliced('{"data":[', texts, ",", f"],{more}" if tail else "]}", at_once=_SLICE_DAYS))

    def _check(self, query: Mapping[str, str]) -> None:
        for name in query:
            if name not in _KNOWN:
                raise _Refused(400, "bad_parameter", f"Bad parameter '{name}'. Unknown parameter.")
        if query.get("assets") != "btc":
            raise _bad("assets", query.get("assets", ""))
        if query.get("frequency", "1d") in _PAID_FREQUENCIES:
            raise _Refused(403, "forbidden", _FORBIDDEN)
        served = {"frequency": ("1d",), "timezone": ("UTC",), "format": ("json", "json_stream", "csv")}
        served |= {"paging_from": ("start", "end"), "sort": ("time", "asset"), "status": ("all",)}
        for name, values in served.items():
            if query.get(name, values[0]) not in values:
                raise _bad(name, query[name])
        for name in _FLAGS:
            _flag(query, name)

    def _metrics(self, query: Mapping[str, str], spoil: Spoil) -> dict[str, str]:
        """What is answered: the name that was asked for -> ours."""
        answered: dict[str, str] = {}
        asked = [name for name in query.get("metrics", "").split(",") if name]
        if not asked:
            raise _bad("metrics", "", "is empty")
        for name in asked:
            metric = spoil.meaning(name)
            known = metric is not None and (metric in self._table.columns or metric in PAID)
            if metric is None or not known:
                if not _flag(query, "ignore_unsupported_errors"):
                    raise _bad("metrics", name)
            elif metric in PAID or spoil.forbids(metric):
                if not _flag(query, "ignore_forbidden_errors"):
                    raise _Refused(403, "forbidden", _FORBIDDEN)
            else:
                answered[name] = metric
        return answered

    def _days(self, query: Mapping[str, str], now_ms: int) -> Sequence[int]:
        first, last = GENESIS, day_at(now_ms)
        if "start_time" in query:
            start = _moment(query, "start_time")
            first = max(
                first, -(-start // DAY_MS) + (start % DAY_MS == 0 and not _flag(query, "start_inclusive", True))
            )
        if "end_time" in query:
            end = _moment(query, "end_time")
            last = min(last, end // DAY_MS - (end % DAY_MS == 0 and not _flag(query, "end_inclusive", True)))
        return range(first, last + 1)

    def _page(self, query: Mapping[str, str], days: Sequence[int]) -> tuple[Sequence[int], str | None]:
        """One page, oldest first within itself, and the token of the next one."""
        size = _number(query, "page_size", _PAGE_SIZE, _MOST_ROWS)
        if size == 0:
            raise _bad("page_size", "0")
        from_start = query.get("paging_from", "end") == "start"
        token = query.get("next_page_token")
        if token is not None:
            turn, _, day = token.partition(".")
            if turn != "0" or not day.isdecimal():
                raise _bad("next_page_token", token)
            days = [other for other in days if (other >= int(day) if from_start else other <= int(day))]
        page = days[:size] if from_start else days[-size:]
        if len(page) == len(days):
            return page, None
        return page, f"0.{page[-1] + 1 if from_start else page[0] - 1}"

    def _row(
        self, day: int, metrics: Mapping[str, str], now_ms: int, spoil: Spoil, *, zero: bool
    ) -> dict[str, str | None]:
        row: dict[str, str | None] = {"asset": "btc", "time": f"{date_of(day)}T00:00:00.000000000Z"}
        texts = self._table.row(metrics.values(), day, now_ms, spoil)
        return row | {name: "0" if text is None and zero else text for name, text in zip(metrics, texts, strict=True)}

    # -- catalogue ----------------------------------------------------------------------------------------------------
    def _catalog(self, query: Mapping[str, str], spoil: Spoil) -> Sheet:
        if query.get("assets", "btc") != "btc":
            raise _bad("assets", query["assets"])
        newest = self._table.newest(self._now_ms())
        listed = []
        for metric, column in self._table.columns.items():
            if not spoil.forbids(metric):
                reach = {"min_time": _nine_digits(column.first), "max_time": _nine_digits(newest)}
                listed.append(
                    {"metric": spoil.name(metric), "frequencies": [{"frequency": "1d", **reach, "community": True}]}
                )
        return sheet({"data": [{"asset": "btc", "metrics": listed}]})


def _nine_digits(day: int) -> str:
    return f"{date_of(day)}T00:00:00.000000000Z"


def _flag(query: Mapping[str, str], name: str, default: bool = False) -> bool:
    text = query.get(name, str(default)).lower()
    if text not in ("true", "false"):
        raise _bad(name, query[name])
    return text == "true"


def _number(query: Mapping[str, str], name: str, default: int, most: int) -> int:
    text = query.get(name, str(default))
    if not text.isdecimal() or int(text) > most:
        raise _bad(name, text)
    return int(text)


def _moment(query: Mapping[str, str], name: str) -> int:
    text = query[name]
    try:
        return parse_ms(text)
    except ValueError:
        raise _bad(name, text, "is no time") from None
