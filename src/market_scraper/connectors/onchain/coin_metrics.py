"""Coin Metrics' community API: network data by day, without a key (facts, section 2; non-commercial licence)."""

import asyncio
from collections.abc import Mapping

from market_scraper.connectors.onchain.address import join
from market_scraper.connectors.onchain.asset_metrics import (
    COMPLETED,
    Column,
    Row,
    gather,
    keys,
    next_url,
    note_missing,
    page,
)
from market_scraper.connectors.onchain.fetch import Fetch, Fetched, Refused
from market_scraper.connectors.onchain.progress import Ask, Progress
from market_scraper.connectors.onchain.sieve import Sieve, iso_day
from market_scraper.domain.errors import InvalidInput
from market_scraper.domain.onchain import DAY_MS, Answer, Note, Source

RESOURCE = "/v4/timeseries/asset-metrics"
UNVERSIONED = RESOURCE.removeprefix("/v4")
"""Where the resource is under a base that stands for `/v4` already, as `/cm` of a proxy may."""

COLUMNS = {
    "active_addresses": Column("AdrActCnt"),
    "transaction_count": Column("TxCnt"),
    "supply": Column("SplyCur"),
    "hash_rate": Column("HashRate", scale=1e-6),  # TH/s
    "mvrv": Column("CapMVRVCur"),
}

AGAIN_DAYS = 7
"""Days that are asked for again: the last ones are completed and corrected."""

LIMIT_BYTES = 8 * 2**20
"""Of all pages together: far above all days of six metrics (some 1.5 MB)."""

MOST_PAGES = 1_000
"""All days until 2091, at a host that gives 30 of them a page."""

NOT_FOUND = 404

ONE_REFUSED = (400, 403)
"""What the whole request gets for one metric that is unknown, or not ours to have, where `ignore_…` is not heeded."""


class CoinMetrics:
    """Implements `ports.sources.OnChainSource`.

    `published_ms` is when the day's row became complete (`AssetEODCompletionTime`); a young day without is provisional.
    """

    name = Source.COIN_METRICS
    metrics = tuple(COLUMNS)

    def __init__(self, fetch: Fetch, url: str) -> None:
        """`url`: the host's root, its `/v4` or what stands for it, or the whole resource."""
        self._api = AssetMetricsApi(fetch, self.name, url)
        self._progress = Progress(again_days=AGAIN_DAYS)

    async def read(self, newest: Mapping[str, int], now_ms: int) -> Answer:
        """One request for what is new; another one for the history of what has none."""

        async def ask(part: Ask) -> Answer:
            columns = {metric: COLUMNS[metric] for metric in part.metrics}
            return await self._api.read(columns, part.start_ms, now_ms)

        return await self._progress.read(self.metrics, newest, now_ms, ask)


class AssetMetricsApi:
    """`/timeseries/asset-metrics` as two sources ask it."""

    def __init__(self, fetch: Fetch, source: Source, url: str) -> None:
        # The same one twice, unless the base says nothing of `/v4`.
        self._urls = list(dict.fromkeys((join(url, RESOURCE), join(url, UNVERSIONED))))
        self._fetch = fetch
        self._source = source

    async def read(self, columns: Mapping[str, Column], start_ms: int, now_ms: int) -> Answer:
        """All days from `start_ms` on, with notes on what is missing and what the host announces.

        Raises SourceError, and InvalidInput when no row came though the days asked for have been.
        """
        sieve, notes = Sieve(), list[Note]()
        try:
            await self._gather(columns, start_ms, now_ms, sieve, notes)
        except Refused as error:
            if error.status not in ONE_REFUSED or len(columns) == 1:
                raise
            await self._one_by_one(columns, start_ms, now_ms, sieve, notes, error)
        return sieve.answer(tuple(notes))

    async def _one_by_one(
        self,
        columns: Mapping[str, Column],
        start_ms: int,
        now_ms: int,
        sieve: Sieve,
        notes: list[Note],
        refused: Refused,
    ) -> None:
        """Find those that are not refused. Raises `refused` when all of them are."""
        stamped = await self._is_given(COMPLETED, now_ms - now_ms % DAY_MS - 2 * DAY_MS)
        if not stamped:
            sieve.note("missing_metric", f"{COMPLETED} is refused")
        given = 0
        for metric, column in columns.items():
            try:
                await self._gather({metric: column}, start_ms, now_ms, sieve, notes, stamped=stamped)
                given += 1
            except Refused as error:
                if error.status not in ONE_REFUSED:
                    raise
                sieve.note("missing_metric", f"{column.name} is refused: {error.reason}", metric)
        if not given:
            raise refused

    async def _is_given(self, name: str, start_ms: int) -> bool:
        try:
            await self._rows([name], start_ms)
        except Refused as error:
            if error.status not in ONE_REFUSED:
                raise
            return False
        return True

    async def _gather(
        self,
        columns: Mapping[str, Column],
        start_ms: int,
        now_ms: int,
        sieve: Sieve,
        notes: list[Note],
        *,
        stamped: bool = True,
    ) -> None:
        names = [column.name for column in columns.values()]
        rows, announced = await self._rows([*names, COMPLETED] if stamped else names, start_ms)
        if not rows:
            raise InvalidInput(f"no rows since {iso_day(start_ms)}")
        await asyncio.to_thread(gather, rows, columns, sieve, since_ms=start_ms, now_ms=now_ms)  # 50 ms of a history
        note_missing(columns, keys(rows), sieve)
        notes += announced

    async def _rows(self, names: list[str], start_ms: int) -> tuple[list[Row], list[Note]]:
        """All pages of a query, and what the host announces."""
        params = {
            "assets": "btc",
            "metrics": ",".join(names),
            "frequency": "1d",
            "start_time": iso_day(start_ms),
            "page_size": "10000",  # the most; 100 without it
            "paging_from": "start",  # the newest rows without it
            "ignore_forbidden_errors": "true",
            "ignore_unsupported_errors": "true",
        }
        rows, notes = list[Row](), list[Note]()
        left_bytes, told = LIMIT_BYTES, set[str]()
        fetched = await self._first_page(params)
        for _ in range(MOST_PAGES):
            left_bytes -= len(fetched.body)
            answer = page(fetched.body)
            rows += answer.data
            notes += fetched.notes
            following = next_url(answer, self._urls[0])
            if following is None:
                return rows, notes
            words = {following, str(answer.next_page_token or following)}
            if told & words:
                raise InvalidInput("the pages go round in a circle")
            told |= words
            fetched = await self._fetch.get(self._source, following, limit_bytes=left_bytes)
        raise InvalidInput(f"more than {MOST_PAGES} pages")

    async def _first_page(self, params: Mapping[str, str]) -> Fetched:
        """From the address that worked last or, where that is not found, from the other one, which is then the first.

        Raises Refused, of the first one when none is found.
        """
        refused: Refused | None = None
        for at, url in enumerate(self._urls):
            try:
                fetched = await self._fetch.get(self._source, url, params, limit_bytes=LIMIT_BYTES)
            except Refused as error:
                if error.status != NOT_FOUND:
                    raise
                refused = refused or error
            else:
                self._urls.insert(0, self._urls.pop(at))
                return fetched
        assert refused is not None  # there is an address
        raise refused
