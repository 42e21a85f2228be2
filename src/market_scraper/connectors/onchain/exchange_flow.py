"""Bitcoin that moves onto exchanges and off them, and what they hold; labels by Coin Metrics (facts, sections 2, 3)."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from market_scraper.connectors.onchain.address import file, join, root
from market_scraper.connectors.onchain.asset_metrics import COMPLETED, Column, csv_rows, gather, note_missing
from market_scraper.connectors.onchain.coin_metrics import RESOURCE, UNVERSIONED, AssetMetricsApi
from market_scraper.connectors.onchain.fetch import Fetch
from market_scraper.connectors.onchain.progress import Ask, Progress
from market_scraper.connectors.onchain.sieve import Sieve
from market_scraper.domain.errors import InvalidInput, SourceError
from market_scraper.domain.onchain import DAY_MS, Answer, Note, Source

API, OWN_API, CSV = "API", "API of its own address", "CSV"
"""The ways, as they are told of."""

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
    for the other one when it does not answer or lacks a metric, and the API for the days that are missing in a CSV that
    is not whole. Values of days younger than d+2 are provisional.
    """

    name = Source.EXCHANGE_FLOW
    metrics = tuple(COLUMNS)

    def __init__(self, fetch: Fetch, url: str, coin_metrics_url: str) -> None:
        """Where the two are: see `addresses`."""
        api_urls, self._csv_url = addresses(url, coin_metrics_url)
        self._fetch = fetch
        self._apis = {
            name: AssetMetricsApi(fetch, self.name, api_url)
            for name, api_url in zip((API, OWN_API), api_urls, strict=False)
        }
        self._progress = Progress(again_days=AGAIN_DAYS)
        self._held = _Held(Ask((), 0), {}, ())
        self._unfinished: set[str] = set()  # metrics whose days ended with half a file, and nobody had the others

    async def read(self, newest: Mapping[str, int], now_ms: int) -> Answer:
        """What is new, and the history of what has none."""
        self._unfinished.clear()
        answer = await self._progress.read(self.metrics, newest, now_ms, lambda ask: self._ask(ask, newest, now_ms))
        self._progress.forget(self._unfinished)
        return answer

    async def _ask(self, ask: Ask, newest: Mapping[str, int], now_ms: int) -> Answer:
        """Ask the one that is better at it, and the next one for what did not come of that."""
        answer: Answer | None = None
        failed: dict[str, SourceError | InvalidInput] = {}
        rest, half = ask, set[str]()
        for way in self._ways(ask):
            try:
                came, is_whole = await self._from(way, rest, newest, now_ms)
            except (SourceError, InvalidInput) as error:
                failed[way] = error
                continue
            if answer is None:
                why = "; ".join(f"the {other} failed: {error}" for other, error in failed.items())
                answer = _with_note(came, f"read from the {way}: {why}") if failed else came
            elif len((both := _both(answer, came)).observations) > len(answer.observations):
                answer = _with_note(both, f"{', '.join(rest.metrics)} read from the {way}")
            missing = _missing(rest, came, now_ms, is_whole=is_whole)
            if missing is None:
                half = set()
                break
            half |= set() if is_whole else {each.metric for each in came.observations}
            rest = missing
        if answer is None:
            raise self._all_failed(failed) from list(failed.values())[-1]
        self._unfinished |= half & set(rest.metrics)
        return answer

    def _ways(self, ask: Ask) -> list[str]:
        """The file for a history, for new days the API that gave values last; the other one is the last resort."""
        first, *others = self._apis
        return [CSV, first, *others] if ask.history else [first, CSV, *others]

    def _all_failed(self, errors: Mapping[str, SourceError | InvalidInput]) -> SourceError:
        reason = "; ".join(f"the {way}: {getattr(error, 'reason', error)}" for way, error in errors.items())
        pauses = [error.retry_after_s for error in errors.values() if isinstance(error, SourceError)]
        return SourceError(
            self.name, reason, retry_after_s=max((pause for pause in pauses if pause is not None), default=None)
        )

    async def _from(self, way: str, ask: Ask, newest: Mapping[str, int], now_ms: int) -> tuple[Answer, bool]:
        """What it says, and whether that is whole: a file may have been cut, or holds rows that cannot be read."""
        if way == CSV:
            return await self._from_csv(ask, newest, now_ms)
        answer = await self._apis[way].read(_columns(ask), ask.start_ms, now_ms)
        if answer.observations:
            self._apis = {way: self._apis[way], **self._apis}  # it is the first one now
        return answer, True

    async def _from_csv(self, ask: Ask, newest: Mapping[str, int], now_ms: int) -> tuple[Answer, bool]:
        """Raises InvalidInput also when the file holds nothing of what a whole ask is for."""
        is_held = self._held.covers(ask, newest)
        fetched = await self._fetch.get(self.name, self._csv_url, limit_bytes=CSV_LIMIT_BYTES, conditional=is_held)
        if fetched.unchanged:
            return Answer(notes=self._held.notes, unchanged=True), True
        sieve = Sieve()
        await asyncio.to_thread(_read_csv, fetched.body, _columns(ask), sieve, ask.start_ms, now_ms)  # some 60 ms
        answer = sieve.answer(fetched.notes)
        if not answer.observations and len(ask.metrics) == len(COLUMNS):
            raise InvalidInput("the CSV holds no exchange flows")
        is_whole = fetched.body.endswith((b"\n", b"\r")) and not _has_refused_rows(answer)
        if is_whole:  # of half a file a 304 would say for ever that there is nothing new
            self._held = _Held(ask, {each.metric: each.t_ms for each in answer.observations}, answer.notes)
            self._fetch.keep(fetched)
        return answer, is_whole


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


def addresses(url: str, coin_metrics_url: str) -> tuple[tuple[str, ...], str]:
    """Where API and CSV are, by the setting `exchange_flow_url` (`url`), as (APIs' bases, CSV's address).

    * It ends in `/v4` or in the API's whole path: it is the API. The CSV is then Coin Metrics' own for their own host,
      and looked for under the same root for any other (a mirror, the paper venue): nobody's setting sends us elsewhere.
    * Its path ends in `.csv`: it is the CSV, and the API is `coin_metrics_url`.
    * Anything else (a host's root, a base path) is where the CSV is looked for. The API is `coin_metrics_url` and, as a
      last resort, what is served under this one itself.
    """
    parts = urlsplit(url)
    path = parts.path.rstrip("/")
    if path.endswith(("/v4", UNVERSIONED)):
        own = root(url, RESOURCE, UNVERSIONED)
        return (url,), CSV_URL if parts.hostname == API_HOST else own + CSV_RESOURCE
    csv_url = file(url, CSV_RESOURCE)
    if csv_url == url:
        return (coin_metrics_url,), csv_url
    is_same = join(url, RESOURCE) == join(coin_metrics_url, RESOURCE)
    return (coin_metrics_url,) if is_same else (coin_metrics_url, url), csv_url


def _read_csv(body: bytes, columns: Mapping[str, Column], sieve: Sieve, start_ms: int, now_ms: int) -> None:
    rows, present = csv_rows(body, [COMPLETED, *(column.name for column in columns.values())], sieve)
    gather(rows, columns, sieve, since_ms=start_ms, now_ms=now_ms)
    note_missing(columns, present, sieve)


def _has_refused_rows(answer: Answer) -> bool:
    """Whether whole rows were left out: refused cells are noted with their metric."""
    return any(note.kind == "refused" and note.metric is None for note in answer.notes)


def _missing(ask: Ask, came: Answer, now_ms: int, *, is_whole: bool) -> Ask | None:
    """What is to be asked for elsewhere: metrics that are not there, and days from the first hole in half a file."""
    lacking = {note.metric for note in came.notes if note.kind == "missing_metric"}
    starts = {metric: ask.start_ms for metric in ask.metrics if metric in lacking}
    if not is_whole:
        holes = {metric: _first_hole(metric, ask, came) for metric in ask.metrics}
        starts = {metric: t_ms for metric, t_ms in holes.items() if t_ms <= now_ms - DAY_MS} | starts
    return Ask(tuple(starts), min(starts.values())) if starts else None


def _first_hole(metric: str, ask: Ask, came: Answer) -> int:
    """The first day without a value: in a history after the first one that has any."""
    days = {each.t_ms for each in came.observations if each.metric == metric}
    t_ms = min(days) if days and ask.history else ask.start_ms
    while t_ms in days:
        t_ms += DAY_MS
    return t_ms


def _both(answer: Answer, more: Answer) -> Answer:
    """The first answer and what the other one has beside it, oldest first."""
    said = {(each.metric, each.t_ms) for each in answer.observations}
    added = (each for each in more.observations if (each.metric, each.t_ms) not in said)
    observations = sorted((*answer.observations, *added), key=lambda each: each.t_ms)
    return Answer(observations=tuple(observations), notes=answer.notes + more.notes)


def _columns(ask: Ask) -> dict[str, Column]:
    return {metric: COLUMNS[metric] for metric in ask.metrics}


def _with_note(answer: Answer, text: str) -> Answer:
    notes = (*answer.notes, Note(kind="fallback", text=text[:200]))
    return Answer(observations=answer.observations, notes=notes, unchanged=answer.unchanged)
