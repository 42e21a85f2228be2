"""Coin Metrics' words: daily rows of an asset, from the API (JSON pages) or from the daily CSV.

Facts of 2026-11 (openapi.yaml of the provider's own client, 2026-10): numbers are strings; a key that is missing in
all rows is not given to us (paid, or gone), `null` and an empty cell are "not yet"; rows end with a half-filled one.
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

import msgspec

from market_scraper.connectors.onchain.day_index import day_of_text
from market_scraper.connectors.onchain.sieve import FIRST_BLOCK_MS, Sieve, decode, number
from market_scraper.domain.errors import InvalidInput
from market_scraper.domain.onchain import DAY_MS

ASSET, TIME, COMPLETED = "asset", "time", "AssetEODCompletionTime"
BTC = "btc"
TIMES = (TIME, "date")
"""How the day's column is called in the API and the CSV of today, and in the CSV of 2019."""

SETTLED_MS = 2 * DAY_MS
"""After a day's beginning: from d+2 00:00 UTC careful users of exchange flows take its values for final."""

Row = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Column:
    """Where a metric stands, and what makes its numbers ours."""

    name: str
    scale: float = 1.0
    settles: bool = False  # its values move until SETTLED_MS, though the row says that it is complete


class Page(msgspec.Struct, frozen=True):
    """One answer of the API."""

    data: list[dict[str, object]]
    next_page_url: str | None = None
    next_page_token: object = None


def page(body: bytes) -> Page:
    """Read one answer. Raises InvalidInput."""
    return decode(body, Page)


def next_url(answer: Page, asked: str) -> str | None:
    """Where the next page is, always on the host of `asked`. None, also for an empty text: there is none.

    On that host it is followed as it came. Of any other address (a proxy tells its inner one, a path alone, `http` for
    `https`) only the query is taken, to where we asked. Raises InvalidInput when it has none.
    """
    if not (told := (answer.next_page_url or "").strip()):
        return None
    here = urlsplit(asked)
    try:
        there = urlsplit(told)
    except ValueError as error:
        raise InvalidInput("the next page has no address that can be read") from error
    if (there.scheme, there.netloc) == (here.scheme, here.netloc):
        return told
    if not there.query:
        raise InvalidInput("the next page is said to be elsewhere, without a query")
    return urlunsplit((here.scheme, here.netloc, here.path, there.query, ""))


def csv_rows(body: bytes, wanted: Iterable[str], sieve: Sieve) -> tuple[list[Row], frozenset[str]]:
    """The wanted columns of the daily CSV by name, and which of them there are. Raises InvalidInput.

    A row of another length than the header is left out: the last cell of a row cut in half may be half a number. For
    the same reason the very last cell does not count when no line end follows it.
    """
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput("the CSV is no UTF-8") from error
    lines = csv.reader(io.StringIO(text, newline=""))
    rows: list[Row] = []
    cells: list[str] = []
    bad = 0
    try:
        header = [name.strip() for name in next(lines, [])]
        places = {name: header.index(name) for name in (*wanted, ASSET, *TIMES) if header.count(name) == 1}
        if not any(name in places for name in TIMES):
            raise InvalidInput("the CSV has no column of days")
        for cells in lines:
            if len(cells) == len(header):
                rows.append({name: cells[place] for name, place in places.items()})
            elif cells:
                bad += 1
    except csv.Error as error:
        raise InvalidInput(f"the CSV cannot be read: {error}") from error
    if rows and len(cells) == len(header) and not text.endswith(("\n", "\r")):
        rows[-1] = {name: cell for name, cell in rows[-1].items() if name != header[-1]}
    if bad:
        sieve.note("refused", f"{bad} rows have not the header's {len(header)} cells")
    return rows, frozenset(places)


def gather(rows: Iterable[Row], columns: Mapping[str, Column], sieve: Sieve, *, since_ms: int, now_ms: int) -> None:
    """Put the columns' values of all days from `since_ms` on into `sieve`.

    Of several rows of a day the last cell of each column that is not empty counts.
    """
    days: dict[int, Row] = {}
    bad: list[str] = []
    for row in rows:
        try:
            t_ms = _day(row)
        except InvalidInput as error:
            bad.append(str(error))
            continue
        if not FIRST_BLOCK_MS <= t_ms <= now_ms:
            bad.append(f"{_time(row)} is no day that was")
        elif t_ms >= since_ms:
            days[t_ms] = _over(days[t_ms], row) if t_ms in days else row
    for t_ms, row in days.items():
        completed_ms = _completed(row.get(COMPLETED), t_ms, now_ms)
        young = now_ms < t_ms + SETTLED_MS
        for metric, column in columns.items():
            sieve.take(
                metric,
                t_ms,
                None if _is_empty(cell := row.get(column.name)) else cell,
                scale=column.scale,
                published_ms=_settled(completed_ms, t_ms, young=young) if column.settles else completed_ms,
                provisional=young and (column.settles or completed_ms is None),
            )
    if bad:
        sieve.note("refused", f"{len(bad)} rows refused, the last: {bad[-1]}")


def _over(old: Row, new: Row) -> Row:
    """Both rows of a day in one: a half-filled one that comes later takes nothing away."""
    return {**old, **{name: cell for name, cell in new.items() if not _is_empty(cell)}}


def _is_empty(cell: object) -> bool:
    return cell is None or cell == ""


def _settled(completed_ms: int | None, t_ms: int, *, young: bool) -> int | None:
    """When a value that was still moved after its row was complete became what it is: its stamp tells too early.

    One that still moves is known when it is seen.
    """
    return None if young or completed_ms is None else max(completed_ms, t_ms + SETTLED_MS)


def note_missing(columns: Mapping[str, Column], present: frozenset[str], sieve: Sieve) -> None:
    """Tell of the metrics whose column is not there at all."""
    for metric, column in columns.items():
        if column.name not in present:
            sieve.note("missing_metric", f"{column.name} is not given", metric)


def keys(rows: Sequence[Row]) -> frozenset[str]:
    """The names that at least one row has."""
    return frozenset().union(*rows)


def _time(row: Row) -> object:
    return next((row[name] for name in TIMES if name in row), None)


def _day(row: Row) -> int:
    if str(row.get(ASSET, BTC)).casefold() != BTC:
        raise InvalidInput("a row of another asset")
    return day_of_text(_time(row))


def _completed(raw: object, t_ms: int, now_ms: int) -> int | None:
    """When the day's row became complete, in milliseconds; None when it is not, or its stamp cannot be true."""
    try:
        seconds = number(raw)
    except InvalidInput:  # null, an empty cell, or nonsense
        return None
    if not t_ms + DAY_MS <= seconds * 1_000 <= now_ms:
        return None
    return int(seconds * 1_000)
