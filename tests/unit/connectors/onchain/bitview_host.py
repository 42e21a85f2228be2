"""Bitview as a function, for `FakeFetch`: the newest servers' words, over series that are functions of the day."""

import json
import re
from collections.abc import Mapping

from market_scraper.connectors.onchain.bitview_series import DATE, SERIES
from market_scraper.connectors.onchain.day_index import day_of_index
from market_scraper.connectors.onchain.fetch import Refused
from market_scraper.connectors.onchain.sieve import iso_day
from tests.unit.connectors.onchain.recorded import day_ms

ROOT = "https://bitview.space"
_SINGLE = re.compile(rf"{ROOT}/api/series/([a-z0-9_]+)/day1")
BULK, SEARCH, HEIGHT = f"{ROOT}/api/series/bulk", f"{ROOT}/api/series/search", f"{ROOT}/api/blocks/tip/height"


class BitviewHost:
    """Serves the series of SERIES up to `last`; `renamed`: new name by old; `quiet` says no name in its refusals.

    Without `has_bulk` it takes `bulk` for the name of a series that it does not know.
    """

    def __init__(
        self, last: str, *, renamed: Mapping[str, str] | None = None, quiet: bool = False, has_bulk: bool = True
    ) -> None:
        self.last_ms = day_ms(last)
        self.renamed = dict(renamed or {})
        self.quiet = quiet
        self.has_bulk = has_bulk
        self.height: bytes | Exception = b"970695"
        self.unchanged: dict[str, list[object]] = {}

    def __call__(self, url: str, params: dict[str, str]) -> bytes | Exception:
        if url == HEIGHT:
            assert not params
            return self.height
        if url == SEARCH:
            assert params.keys() <= {"q", "limit"}
            found = [new for old, new in self.renamed.items() if old == params["q"]]
            return json.dumps(["mvrv", *found, "price_close"]).encode()
        if (single := _SINGLE.fullmatch(url)) is not None:
            return self._single(single[1], params)
        assert url == BULK
        if not self.has_bulk:
            return self._refusal("bulk")
        assert params.keys() <= {"series", "index", "start", "end"}  # it rejects what it does not know
        assert params["index"] == "day1"
        names = params["series"].split(",")
        assert len(names) <= 32
        assert len(params["series"]) <= 2_048
        for name in names:
            if name not in self.names():
                return self._refusal(name)
        return bulk(names, params["start"], self._end_ms(params))

    def _single(self, name: str, params: dict[str, str]) -> bytes | Exception:
        assert params.keys() <= {"start", "end"}
        if name not in self.names():
            return self._refusal(name)
        return json.dumps(json.loads(bulk([name], params["start"], self._end_ms(params)))[0]).encode()

    def _end_ms(self, params: dict[str, str]) -> int:
        end_ms = day_ms(params["end"]) if "end" in params else self.last_ms + 1
        return min(end_ms, self.last_ms + 1)

    def names(self) -> set[str]:
        """What it serves by day."""
        known = {DATE, *(name for series in SERIES.values() for name in series.names)}
        return known - self.renamed.keys() | set(self.renamed.values())

    def _refusal(self, name: str) -> Refused:
        message = "not found" if self.quiet else f"'{name}' not found, did you mean 'mvrv'?"
        return Refused("bitview", 404, json.dumps({"error": {"message": message}}).encode(), retry_after_s=None)


def bulk(names: list[str], start: str, end_ms: int) -> bytes:
    """Wrapped series without names, in the order of asking."""
    first = next(index for index in range(10_000) if day_of_index(index) >= day_ms(start))
    stop = next(index for index in range(first, 10_000) if day_of_index(index) >= end_ms)
    return json.dumps([wrap(first, [value(name, index) for index in range(first, stop)]) for name in names]).encode()


def wrap(start: int, data: list[object], **other: object) -> dict[str, object]:
    """One series as it comes."""
    whole = {"version": 12, "index": "day1", "type": "f32", "start": start, "end": start + len(data)}
    return whole | {"stamp": "2026-10-20T08:00:01Z", "data": data} | other


def value(name: str, index: int) -> object:
    """What a series says of a day: its own number, so that a mix-up of series or days shows."""
    if name == DATE:
        return iso_day(day_of_index(index))
    if name == "hash_rate":
        return 1.1e21
    if name in ("supply", "circulating_supply"):
        return 19_950_000.0
    if name.startswith("utxos_"):
        return 19_950_000.0 / 23
    return None if index < 1_000 else 0.5 + index / 1e5  # no price, no ratio in the first years
