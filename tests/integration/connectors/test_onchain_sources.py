"""Blockchain.com, Fear & Greed and CBBI as they are asked: what for, how often, and what is asked for again."""

import json
from collections.abc import AsyncIterator, Iterable

import pytest

from market_scraper.connectors.onchain.blockchain_info import BlockchainInfo
from market_scraper.connectors.onchain.cbbi import Cbbi
from market_scraper.connectors.onchain.fear_greed import FearGreed
from market_scraper.connectors.onchain.fetch import Fetch
from market_scraper.connectors.onchain.pace import Pace
from market_scraper.domain.errors import InvalidInput, SourceError
from market_scraper.domain.onchain import CBBI_COMPONENTS, DAY_MS, Answer
from market_scraper.runtime.clock import ScaledClock, real_timeout
from tests.integration.connectors.upstream import Asked, Reply, Upstream, said

NOW_MS = 1_790_000_000_000
TODAY_MS = NOW_MS - NOW_MS % DAY_MS
STATS = {
    "timestamp": NOW_MS - 60_000,
    "hash_rate": 1.05e12,
    "n_tx": 498765,
    "totalbc": 1998000000000000,
    "n_blocks_total": 970695,
    "difficulty": 1.4e14,
}


@pytest.fixture
async def fetch() -> AsyncIterator[Fetch]:
    paces = {"127.0.0.1": Pace(1_000, 1.0, "test")}
    async with Fetch(clock=ScaledClock(), deadline=real_timeout, timeout_s=5.0, paces=paces) as opened:
        yield opened


@pytest.fixture
async def host() -> AsyncIterator[Upstream]:
    async with Upstream(lambda _: Reply(b"", 404)) as served:
        yield served


def days(answer: Answer, metric: str) -> list[int]:
    return [observation.t_ms for observation in answer.observations if observation.metric == metric]


def newest(*answers: Answer) -> dict[str, int]:
    return {observation.metric: observation.t_ms for answer in answers for observation in answer.observations}


def network(asked: Asked) -> Reply:
    """Figures, and charts of the last five whole days and of today."""
    if asked.path == "/stats":
        return said(STATS)
    values = [{"x": (TODAY_MS - back * DAY_MS) // 1000, "y": 1e6} for back in range(5, -1, -1)]
    return said({"status": "ok", "unit": "Hash Rate TH/s", "values": values})


class TestBlockchainInfo:
    """Figures of now at every read, charts once."""

    async def test_history_is_asked_for_once_and_comes_before_now(self, host: Upstream, fetch: Fetch) -> None:
        host.answer = network
        source = BlockchainInfo(fetch, host.url)
        first = await source.read({}, NOW_MS)
        assert days(first, "hash_rate") == [TODAY_MS - back * DAY_MS for back in range(5, 0, -1)] + [NOW_MS - 60_000]
        assert days(first, "block_height") == [NOW_MS - 60_000]
        assert {observation.value for observation in first.observations if observation.metric == "hash_rate"} == {
            1.0,
            1050.0,
        }
        charts = [asked for asked in host.asked if asked.path.startswith("/charts/")]
        assert {asked.path for asked in charts} == {
            f"/charts/{name}" for name in ("hash-rate", "difficulty", "total-bitcoins", "n-transactions")
        }
        assert all(asked.query == {"timespan": "all", "sampled": "false", "format": "json"} for asked in charts)
        host.asked.clear()
        again = await source.read(newest(first), NOW_MS + 600_000)
        assert [asked.path for asked in host.asked] == ["/stats"]
        assert len(again.observations) == 5

    async def test_a_backfill_that_was_killed_goes_on_from_its_newest_day(self, host: Upstream, fetch: Fetch) -> None:
        host.answer = network
        held = dict.fromkeys(("difficulty", "supply", "transaction_count"), NOW_MS) | {
            "hash_rate": TODAY_MS - 4 * DAY_MS
        }
        answer = await BlockchainInfo(fetch, host.url).read(held, NOW_MS)
        assert days(answer, "hash_rate")[:-1] == [TODAY_MS - back * DAY_MS for back in (3, 2, 1)]
        assert [(asked.path, asked.query.get("timespan")) for asked in host.asked] == [
            ("/stats", None),
            ("/charts/hash-rate", "30days"),
        ]

    async def test_a_chart_that_cannot_be_had_is_noted_and_asked_for_an_hour_later(
        self, host: Upstream, fetch: Fetch
    ) -> None:
        host.answer = lambda asked: Reply(b"", 500) if asked.path == "/charts/difficulty" else network(asked)
        source = BlockchainInfo(fetch, host.url)
        first = await source.read({}, NOW_MS)
        assert days(first, "difficulty") == [NOW_MS - 60_000]  # what is known of now is not held back
        (note,) = first.notes
        assert (note.kind, note.metric) == ("missing_metric", "difficulty")
        assert "HTTP 500" in note.text
        host.answer = network
        assert (await source.read(newest(first), NOW_MS + 600_000)).notes == ()
        host.asked.clear()
        later = await source.read(newest(first), NOW_MS + 3_600_000)
        assert [asked.path for asked in host.asked] == ["/stats", "/charts/difficulty"]
        assert len(days(later, "difficulty")) == 6
        host.asked.clear()
        await source.read(newest(first, later), NOW_MS + 7_200_000)
        assert [asked.path for asked in host.asked] == ["/stats"]

    async def test_a_chart_that_is_never_to_be_had_is_asked_for_ever_more_rarely(
        self, host: Upstream, fetch: Fetch
    ) -> None:
        host.answer = lambda asked: Reply(b"", 404) if asked.path == "/charts/difficulty" else network(asked)
        source = BlockchainInfo(fetch, host.url)
        held = newest(await source.read({}, NOW_MS))
        for hour in range(1, 24 * 7):
            now_ms = NOW_MS + hour * 3_600_000
            await source.read(dict.fromkeys(held, now_ms), now_ms)
        assert [asked.path for asked in host.asked].count("/charts/difficulty") == 1 + 4 + 6

    async def test_figures_that_cannot_be_read_are_no_answer(self, host: Upstream, fetch: Fetch) -> None:
        source = BlockchainInfo(fetch, f"{host.url}/stats")
        wrong: tuple[object, ...] = ({}, {"timestamp": NOW_MS}, {"timestamp": NOW_MS, "hash_rate": -1}, [])
        for body in wrong:
            reply = said(body)
            host.answer = lambda _, reply=reply: reply  # type: ignore[misc]
            with pytest.raises(InvalidInput):
                await source.read({}, NOW_MS)
        assert {asked.path for asked in host.asked} == {"/stats"}


class TestFearGreed:
    """All of history once, then a few days."""

    @pytest.mark.parametrize(("held_ms", "limit"), [(None, "0"), (TODAY_MS, "4"), (TODAY_MS - 9 * DAY_MS, "13")])
    async def test_it_is_asked_for_the_days_since_the_newest_one(
        self, host: Upstream, fetch: Fetch, held_ms: int | None, limit: str
    ) -> None:
        row = {"value": "47", "value_classification": "Neutral", "timestamp": str(TODAY_MS // 1000)}
        host.answer = lambda _: said({"data": [row | {"time_until_update": "600"}], "metadata": {"error": None}})
        held = {} if held_ms is None else {"fear_greed": held_ms}
        answer = await FearGreed(fetch, f"{host.url}/fng/").read(held, NOW_MS)
        (asked,) = host.asked
        assert (asked.path, asked.query) == ("/fng/", {"limit": limit, "format": "json"})  # date_format is not sent
        (observation,) = answer.observations
        assert (observation.t_ms, observation.value, observation.label) == (TODAY_MS, 47.0, "Neutral")
        assert answer.next_in_s == 720

    async def test_an_error_with_status_200_fails_the_source_for_a_while(self, host: Upstream, fetch: Fetch) -> None:
        host.answer = lambda _: said({"data": [], "metadata": {"error": "Service down"}})
        with pytest.raises(SourceError, match="Service down") as failed:
            await FearGreed(fetch, host.url).read({}, NOW_MS)
        assert failed.value.retry_after_s == 60

    async def test_an_answer_without_a_day_is_none(self, host: Upstream, fetch: Fetch) -> None:
        host.answer = lambda _: said({"data": [{"value": "47"}], "metadata": {"error": None}})
        with pytest.raises(InvalidInput, match="no day could be read"):
            await FearGreed(fetch, host.url).read({}, NOW_MS)


def cbbi_file(stamps: Iterable[int]) -> bytes:
    part = {str(t_ms // 1000): 0.5 for t_ms in stamps}
    return json.dumps(dict.fromkeys(("Price", *CBBI_COMPONENTS, "Confidence"), part)).encode()


class TestCbbi:
    """The whole file when it is another one."""

    async def test_the_file_that_is_held_is_not_sent_again(self, host: Upstream, fetch: Fetch) -> None:
        body = cbbi_file([TODAY_MS - DAY_MS])

        def answer(asked: Asked) -> Reply:
            is_held = asked.headers.get("if-none-match") == '"a"'
            return Reply(b"", 304) if is_held else Reply(body, headers={"ETag": '"a"'})

        host.answer = answer
        source = Cbbi(fetch, host.url)
        first = await source.read({}, NOW_MS)
        assert len(first.observations) == 10
        again = await source.read(newest(first), NOW_MS)
        assert (again.unchanged, again.observations) == (True, ())
        lost = dict(newest(first), cbbi_confidence=TODAY_MS - 2 * DAY_MS)
        assert len((await source.read(lost, NOW_MS)).observations) == 10  # it was read, but never stored
        assert len((await source.read({}, NOW_MS)).observations) == 10
        assert {asked.path for asked in host.asked} == {"/cbbi/data/latest.json"}

    async def test_the_setting_may_name_the_file_itself_wherever_it_is(self, host: Upstream, fetch: Fetch) -> None:
        host.answer = lambda _: Reply(cbbi_file([TODAY_MS - DAY_MS]))
        assert len((await Cbbi(fetch, f"{host.url}/copies/index.json?day=new").read({}, NOW_MS)).observations) == 10
        (asked,) = host.asked
        assert (asked.path, asked.query) == ("/copies/index.json", {"day": "new"})

    async def test_half_a_file_is_not_taken_for_the_whole(self, host: Upstream, fetch: Fetch) -> None:
        whole = cbbi_file([TODAY_MS - DAY_MS])
        body = whole[:-30]
        host.answer = lambda asked: (
            Reply(b"", 304) if "if-none-match" in asked.headers else Reply(body, headers={"ETag": '"a"'})
        )
        source = Cbbi(fetch, host.url)
        with pytest.raises(InvalidInput):
            await source.read({}, NOW_MS)
        body = whole
        assert len((await source.read({}, NOW_MS)).observations) == 10

    async def test_what_there_is_to_say_of_a_file_is_said_as_long_as_it_is_the_same(
        self, host: Upstream, fetch: Fetch
    ) -> None:
        body = cbbi_file([TODAY_MS - DAY_MS]).replace(b'"Puell"', b'"PuellMultiple"')
        host.answer = lambda asked: (
            Reply(b"", 304) if "if-none-match" in asked.headers else Reply(body, headers={"ETag": '"a"'})
        )
        source = Cbbi(fetch, host.url)
        first = await source.read({}, NOW_MS)
        assert [note.kind for note in first.notes] == ["schema_drift"]
        again = await source.read(newest(first), NOW_MS)
        assert (again.unchanged, again.notes) == (True, first.notes)

    async def test_a_file_without_a_value_is_no_answer(self, host: Upstream, fetch: Fetch) -> None:
        host.answer = lambda _: Reply(cbbi_file([]))
        with pytest.raises(InvalidInput):
            await Cbbi(fetch, host.url).read({}, NOW_MS)
