"""Blockchain.com: the network of the last 24 hours, and its history as charts (facts, section 4).

The same thing has other units in the two: hash rate in GH/s here and TH/s there, supply in satoshi and in BTC.
"""

import asyncio
from collections.abc import Mapping

import msgspec

from market_scraper.connectors.onchain.address import root
from market_scraper.connectors.onchain.fetch import Fetch
from market_scraper.connectors.onchain.sieve import Sieve, decode, iso_day, moment
from market_scraper.domain.errors import InvalidInput, SourceError
from market_scraper.domain.onchain import DAY_MS, Answer, Note, Source

STATS = "/stats"

CHART_LIMIT_BYTES = 16 * 2**20
"""A daily chart is some 0.25 MB; `total-bitcoins` may have many points a day."""

SKEW_MS = 300_000
"""How far the host's clock may be ahead of ours."""

GAP_DAYS = 2
"""Days without a value from which on the charts are asked for what is between."""

ASK_AGAIN_MS = 3_600_000
"""After a chart could not be had, and twice as long after each further time, to a day. Figures are given meanwhile."""

GIGAHASHES, TERAHASHES, SATOSHI = 1e-9, 1e-6, 1e-8
"""One of them, in EH/s and in BTC."""

FIELDS = {
    "hash_rate": ("hash_rate", GIGAHASHES),
    "difficulty": ("difficulty", 1.0),
    "block_height": ("n_blocks_total", 1.0),
    "supply": ("totalbc", SATOSHI),
    "transaction_count": ("n_tx", 1.0),
}
"""By metric: the name in `/stats`, and its unit in ours."""

CHARTS = {
    "hash_rate": ("hash-rate", TERAHASHES, "TH/s"),
    "difficulty": ("difficulty", 1.0, ""),
    "supply": ("total-bitcoins", 1.0, ""),
    "transaction_count": ("n-transactions", 1.0, ""),
}
"""By metric: the chart, its unit in ours, and what its unit's name must hold."""


class WirePoint(msgspec.Struct):
    """`x` is in Unix seconds; either may be text."""

    x: object
    y: object = None


class WireChart(msgspec.Struct):
    """One chart; `status` is ok when it is one."""

    status: str = ""
    unit: str = ""
    values: list[msgspec.Raw] = []


class BlockchainInfo:
    """Implements `ports.sources.OnChainSource`."""

    name = Source.BLOCKCHAIN_INFO
    metrics = tuple(FIELDS)

    def __init__(self, fetch: Fetch, url: str) -> None:
        self._fetch = fetch
        self._root = root(url, STATS, *(f"/charts/{name}" for name, _, _ in CHARTS.values()))
        self._owed: dict[str, int] = {}  # by metric whose chart could not be had: since which t it is asked for
        self._ask_owed_ms = 0
        self._pause_ms = ASK_AGAIN_MS

    async def read(self, newest: Mapping[str, int], now_ms: int) -> Answer:
        """The figures of now, and before them the history of each metric that has none or a gap.

        A chart is tens of seconds away from the next one, as the host's pace wants it. One that cannot be had is noted
        and asked for again an hour later or more, as long as this object lives.
        """
        sieve = Sieve()
        stats = await self._fetch.get(self.name, self._root + STATS)
        parse_stats(stats.body, sieve, now_ms)
        if not len(sieve):
            raise InvalidInput(
                f"no figure could be read: {'; '.join(note.text for note in sieve.answer().notes)}"[:200]
            )
        notes = list(stats.notes)
        lacking = self._lacking(newest, now_ms)
        failed = False
        for metric, since_ms in lacking.items():
            try:
                notes += await self._chart(metric, sieve, since_ms, now_ms)
            except (SourceError, InvalidInput) as error:
                failed = True
                self._owed[metric] = since_ms
                sieve.note("missing_metric", f"no history of {metric}: {error}", metric)
            else:
                self._owed.pop(metric, None)
        if lacking:
            self._ask_owed_ms = now_ms + self._pause_ms
            self._pause_ms = min(2 * self._pause_ms, DAY_MS) if failed else ASK_AGAIN_MS
        return sieve.answer(tuple(dict.fromkeys(notes)))

    def _lacking(self, newest: Mapping[str, int], now_ms: int) -> dict[str, int]:
        """Of which metrics history is asked for now, and after which t."""
        lacking = dict(self._owed) if now_ms >= self._ask_owed_ms else {}
        for metric in CHARTS.keys() - self._owed.keys():
            newest_ms = newest.get(metric, 0)
            if now_ms - newest_ms > GAP_DAYS * DAY_MS:
                lacking[metric] = newest_ms
        return {metric: lacking[metric] for metric in CHARTS if metric in lacking}

    async def _chart(self, metric: str, sieve: Sieve, since_ms: int, now_ms: int) -> tuple[Note, ...]:
        name, _, _ = CHARTS[metric]
        # Without `sampled=false` a long chart is thinned out to some 1,500 points.
        params = {"timespan": _timespan(now_ms - since_ms), "sampled": "false", "format": "json"}
        url = f"{self._root}/charts/{name}"
        fetched = await self._fetch.get(self.name, url, params, limit_bytes=CHART_LIMIT_BYTES)
        await asyncio.to_thread(parse_chart, fetched.body, metric, sieve, since_ms=since_ms, now_ms=now_ms)
        return fetched.notes


def _timespan(gap_ms: int) -> str:
    """The shortest one that covers the gap."""
    spans = ((28, "30days"), (360, "1year"))
    return next((name for days, name in spans if gap_ms < days * DAY_MS), "all")


def parse_stats(body: bytes, sieve: Sieve, now_ms: int) -> None:
    """Put the figures of the last 24 hours into `sieve`, at the moment of their stamp; no prices, no volumes.

    Raises InvalidInput when it has another shape, no stamp or one later than now.
    """
    wire = decode(body, dict[str, object])
    t_ms = moment(wire.get("timestamp"), unit_ms=1)
    if t_ms > now_ms + SKEW_MS:
        raise InvalidInput(f"figures of {iso_day(t_ms)}, which is not over")
    for metric, (field, scale) in FIELDS.items():
        raw = wire.get(field)
        if raw is None:
            sieve.note("missing_metric", f"{field} is not in the figures", metric)
        elif raw == 0:
            sieve.refuse(metric, t_ms, f"{field} is 0")
        else:
            sieve.take(metric, min(t_ms, now_ms), raw, scale=scale)


def parse_chart(body: bytes, metric: str, sieve: Sieve, *, since_ms: int, now_ms: int) -> None:
    """Put a chart's days after `since_ms` into `sieve`: whole days only, and of several points of one the last.

    Raises InvalidInput when it is no chart, or not in the unit that we know.
    """
    _, scale, unit = CHARTS[metric]
    wire = decode(body, WireChart)
    if wire.status != "ok" or unit not in wire.unit or not wire.values:
        raise InvalidInput(f"a chart of {len(wire.values)} points, status {wire.status!r}, unit {wire.unit!r}"[:200])
    days: dict[int, tuple[int, object]] = {}
    for raw in wire.values:
        try:
            point = decode(raw, WirePoint)
            t_ms = moment(point.x)
        except InvalidInput as error:
            sieve.refuse(metric, None, str(error))
            continue
        day_ms = t_ms - t_ms % DAY_MS
        is_whole = since_ms < day_ms <= now_ms - DAY_MS
        if is_whole and t_ms >= days.get(day_ms, (0, None))[0]:
            days[day_ms] = t_ms, point.y
    for day_ms, (_, value) in days.items():
        if value != 0:  # charts begin with days on which nothing was measured
            sieve.take(metric, day_ms, value, scale=scale)
