"""Bitcoin that moves onto exchanges and off them, and what they hold; labels by Coin Metrics (facts, sections 2, 3)."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from market_scraper.connectors.onchain.address import join, root
from market_scraper.connectors.onchain.asset_metrics import COMPLETED, Column, csv_rows, gather, note_missing
from market_scraper.connectors.onchain.coin_metrics import RESOURCE, AssetMetricsApi
from market_scraper.connectors.onchain.fetch import Fetch
from market_scraper.connectors.onchain.progress import Ask, Progress
from market_scraper.connectors.onchain.sieve import Sieve
from market_scraper.domain.errors import InvalidInput, SourceError
from market_scraper.domain.onchain import Answer, Note, Source

CSV_RESOURCE = "/coinmetrics/data/master/csv/btc.csv"
CSV_URL = f"https://raw.githubusercontent.com{CSV_RESOURCE}"
API_HOST = "community-api.coinmetrics.io"

COLUMNS = {
    "inflow": Column("FlowInExNtv", settles=True),
    "outflow": Column("FlowOutExNtv", settles=True),
    "exchange_supply": Column("SplyExNtv", settles=True),
}

AGAIN_DAYS = 14
"""Days that are asked for again: whose addresses are an exchange's is found out, and corrected, later."""

CSV_LIMIT_BYTES = 16 * 2**20
"""2.4 MB in 2026."""


class ExchangeFlow:
    """Implements `ports.sources.OnChainSource`.

    New days come from the API, in kilobytes. The whole history comes from the daily CSV; each of the two stands in
    for the other one when it does not answer or lacks a metric. Values of days younger than d+2 are provisional.
    """

    name = Source.EXCHANGE_FLOW
    metrics = tuple(COLUMNS)

    def __init__(self, fetch: Fetch, url: str, coin_metrics_url: str) -> None:
        """Where the two are: see `addresses`."""
        api_url, self._csv_url = addresses(url, coin_metrics_url)
        self._fetch = fetch
        self._api = AssetMetricsApi(fetch, self.name, api_url)
        self._progress = Progress(again_days=AGAIN_DAYS)
        self._held = _Held(Ask((), 0), {}, ())

    async def read(self, newest: Mapping[str, int], now_ms: int) -> Answer:
        """What is new, and the history of what has none."""
        return await self._progress.read(self.metrics, newest, now_ms, lambda ask: self._ask(ask, newest, now_ms))

    async def _ask(self, ask: Ask, newest: Mapping[str, int], now_ms: int) -> Answer:
        """Ask the one that is better at it, and the other one for what did not come of that."""
        first, second = ("CSV", "API") if ask.history else ("API", "CSV")
        try:
            answer = await self._from(first, ask, newest, now_ms)
        except (SourceError, InvalidInput) as error:
            try:
                answer = await self._from(second, ask, newest, now_ms)
            except (SourceError, InvalidInput) as other:
                raise self._both_failed({first: error, second: other}) from other
            return _with_note(answer, f"read from the {second}: the {first} failed: {error}")
        lacking = {note.metric for note in answer.notes if note.kind == "missing_metric"}
        rest = tuple(metric for metric in ask.metrics if metric in lacking)
        if not rest:
            return answer
        try:
            more = await self._from(second, Ask(rest, ask.start_ms), newest, now_ms)
        except (SourceError, InvalidInput):
            return answer
        if not more.observations:
            return answer
        both = Answer(observations=answer.observations + more.observations, notes=answer.notes + more.notes)
        return _with_note(both, f"{', '.join(rest)} read from the {second}")

    def _both_failed(self, errors: Mapping[str, SourceError | InvalidInput]) -> SourceError:
        reason = "; ".join(f"the {way}: {getattr(error, 'reason', error)}" for way, error in errors.items())
        pauses = [error.retry_after_s for error in errors.values() if isinstance(error, SourceError)]
        return SourceError(
            self.name, reason, retry_after_s=max((pause for pause in pauses if pause is not None), default=None)
        )

    async def _from(self, way: str, ask: Ask, newest: Mapping[str, int], now_ms: int) -> Answer:
        if way == "API":
            return await self._api.read(_columns(ask), ask.start_ms, now_ms)
        return await self._from_csv(ask, newest, now_ms)

    async def _from_csv(self, ask: Ask, newest: Mapping[str, int], now_ms: int) -> Answer:
        """Raises InvalidInput also when the file holds nothing of what a whole ask is for."""
        is_held = self._held.covers(ask, newest)
        fetched = await self._fetch.get(self.name, self._csv_url, limit_bytes=CSV_LIMIT_BYTES, conditional=is_held)
        if fetched.unchanged:
            return Answer(notes=self._held.notes, unchanged=True)
        sieve = Sieve()
        await asyncio.to_thread(_read_csv, fetched.body, _columns(ask), sieve, ask.start_ms, now_ms)  # some 60 ms
        answer = sieve.answer(fetched.notes)
        if not answer.observations and len(ask.metrics) == len(COLUMNS):
            raise InvalidInput("the CSV holds no exchange flows")
        self._held = _Held(ask, {each.metric: each.t_ms for each in answer.observations}, answer.notes)
        self._fetch.keep(fetched)
        return answer


@dataclass(frozen=True, slots=True)
class _Held:
    """What was read from the CSV as it was last: only of that a 304 may speak."""

    ask: Ask
    newest: Mapping[str, int]
    notes: tuple[Note, ...]

    def covers(self, ask: Ask, newest: Mapping[str, int]) -> bool:
        """Whether an ask is for nothing beyond it, and what came of it was taken over."""
        return (
            set(ask.metrics) <= set(self.ask.metrics)
            and ask.start_ms >= self.ask.start_ms
            and all(newest.get(metric, 0) >= t_ms for metric, t_ms in self.newest.items())
        )


def addresses(url: str, coin_metrics_url: str) -> tuple[str, str]:
    """Where API and CSV are, by the setting `exchange_flow_url` (`url`), as (API's base, CSV's address).

    * It ends in `/v4` or in the API's whole path: it is the API. The CSV is then Coin Metrics' own for their own host,
      and looked for under the same root for any other (a mirror, the paper venue): nobody's setting sends us elsewhere.
    * Anything else (a path that ends in `.csv`, a host's root) is the CSV, and the API is `coin_metrics_url`.
    """
    parts = urlsplit(url)
    path = parts.path.rstrip("/")
    if path.endswith(("/v4", RESOURCE)):
        return url, CSV_URL if parts.hostname == API_HOST else root(url, RESOURCE) + CSV_RESOURCE
    return coin_metrics_url, url if path.endswith(".csv") else join(url, CSV_RESOURCE)


def _read_csv(body: bytes, columns: Mapping[str, Column], sieve: Sieve, start_ms: int, now_ms: int) -> None:
    rows, present = csv_rows(body, [COMPLETED, *(column.name for column in columns.values())], sieve)
    gather(rows, columns, sieve, since_ms=start_ms, now_ms=now_ms)
    note_missing(columns, present, sieve)


def _columns(ask: Ask) -> dict[str, Column]:
    return {metric: COLUMNS[metric] for metric in ask.metrics}


def _with_note(answer: Answer, text: str) -> Answer:
    notes = (*answer.notes, Note(kind="fallback", text=text[:200]))
    return Answer(observations=answer.observations, notes=notes, unchanged=answer.unchanged)
