"""What can go wrong at an on-chain host, and what each of the six sources makes of it.

The hosts are the paper venue's, which share no code with the connectors. One table says of every fault and source what
comes of it; whatever it is, no value is given that the same host would not give without the fault, and once the fault
is over the source answers again as if nothing had been.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass

import pytest
import uvicorn
from starlette.applications import Starlette

from market_scraper.connectors.onchain.bitview import Bitview
from market_scraper.connectors.onchain.blockchain_info import BlockchainInfo
from market_scraper.connectors.onchain.cbbi import Cbbi
from market_scraper.connectors.onchain.coin_metrics import CoinMetrics
from market_scraper.connectors.onchain.exchange_flow import ExchangeFlow
from market_scraper.connectors.onchain.fear_greed import FearGreed
from market_scraper.connectors.onchain.fetch import Fetch
from market_scraper.domain.errors import InvalidInput, SourceError
from market_scraper.domain.onchain import DAY_MS, Answer, Source
from market_scraper.ports.sources import OnChainSource
from market_scraper.runtime.clock import ScaledClock, real_timeout
from market_scraper.simulator.onchain import OnChainHosts
from market_scraper.simulator.onchain.faults import (
    OnChainFault,
    OnChainForbid,
    OnChainHalf,
    OnChainHtml,
    OnChainHuge,
    OnChainNulls,
    OnChainRename,
    OnChainScientific,
    OnChainStall,
    OnChainStatus,
    OnChainSunset,
)

NOW_MS = 1_528_113_600_000
"""2018-06-04 12:00 UTC: every source has a history by then, and a short one."""

TODAY_MS, HOUR_MS = NOW_MS - NOW_MS % DAY_MS, 3_600_000
HELD_MS = TODAY_MS - 10 * DAY_MS
SPEED = 100.0
PATIENT_S, IMPATIENT_S = 30.0, 0.3
"""Real seconds; the second where nothing will come."""

INFO, GREED, METRICS = Source.BLOCKCHAIN_INFO, Source.FEAR_GREED, Source.COIN_METRICS
CBBI, BITVIEW, FLOW = Source.CBBI, Source.BITVIEW, Source.EXCHANGE_FLOW

Value = tuple[str, int]
"""Metric and t."""


@dataclass(frozen=True)
class Fails:
    """The whole answer is refused, in words like these."""

    words: str


@dataclass(frozen=True)
class Gives:
    """An answer without the values for which `lost` holds, and with notes of these kinds."""

    lost: Callable[[Value], bool] = lambda _: False
    notes: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Meaningless:
    """This source cannot have this fault."""

    why: str


Outcome = Fails | Gives | Meaningless
Row = dict[Source, tuple[OnChainFault, Outcome] | Meaningless]


def all_sources(fault: OnChainFault, outcome: Outcome, **others: Outcome) -> Row:
    """The same fault at every host; `others` come off otherwise."""
    return {source: (fault, others.get(source.value, outcome)) for source in Source}


def of(*metrics: str) -> Callable[[Value], bool]:
    return lambda value: value[0] in metrics


def since_day(days_ago: int) -> Callable[[Value], bool]:
    return lambda value: value[1] >= TODAY_MS - days_ago * DAY_MS


def noted(*kinds: str) -> frozenset[str]:
    return frozenset(kinds)


def forbidden(metric: str) -> OnChainFault:
    return OnChainForbid(metric=metric)


def renamed(metric: str, to: str) -> OnChainFault:
    return OnChainRename(metric=metric, to=to)


ONE_FILE = Meaningless("there is one answer for everything: a 403 is for all of it, as in the row above")

TABLE: dict[str, Row] = {
    "500": all_sources(OnChainStatus(status=500), Fails("HTTP 500")),
    "429 with a pause": all_sources(OnChainStatus(status=429, retry_after_s=1), Fails("HTTP 429")),
    "403 for everything": all_sources(OnChainStatus(status=403), Fails("HTTP 403")),
    "403 for one metric of many": {
        INFO: (  # its figures are one answer, its charts are one each: the figure of now is given
            forbidden("hash-rate"),
            Gives(lambda value: value[0] == "hash_rate" and value[1] < TODAY_MS, noted("missing_metric")),
        ),
        GREED: ONE_FILE,
        METRICS: (forbidden("AdrActCnt"), Gives(of("active_addresses"), noted("missing_metric"))),
        CBBI: ONE_FILE,
        BITVIEW: (forbidden("lth_sopr_24h"), Gives(of("lth_sopr"), noted("missing_metric"))),
        FLOW: (forbidden("FlowInExNtv"), Gives(of("inflow"), noted("missing_metric"))),
    },
    "HTML instead of JSON": all_sources(OnChainHtml(), Fails("a web page instead of data")),
    "an answer of 40 MB": all_sources(OnChainHuge(), Fails("an answer of more than")),
    "a stalled body": all_sources(OnChainStall(), Fails("no whole answer in time")),
    "half a row": all_sources(
        OnChainHalf(),
        Fails("unreadable answer"),
        # A table has whole rows before the half one; JSON that is cut is nothing.
        exchange_flow=Gives(since_day(1), noted("refused", "fallback")),
    ),
    "nulls on the newest days": all_sources(
        OnChainNulls(days=2),
        Gives(since_day(2)),  # yesterday is the newest day
        blockchain_info=Fails("no figure could be read"),  # all of its figures are of the newest day
        fear_greed=Gives(since_day(1), noted("refused")),  # today is
        bitview=Gives(since_day(1), noted("missing_metric")),  # today is; the tip's height is a null, too
    ),
    "renamed series": {
        INFO: (
            renamed("hash_rate", "hashrate"),
            Gives(lambda value: value[0] == "hash_rate" and value[1] >= TODAY_MS, noted("missing_metric")),
        ),
        GREED: (renamed("value", "score"), Fails("no day could be read")),
        METRICS: (renamed("AdrActCnt", "AdrActiveCnt"), Gives(of("active_addresses"), noted("missing_metric"))),
        CBBI: (renamed("Puell", "PuellMultiple"), Gives(of("cbbi.Puell"), noted("schema_drift"))),
        BITVIEW: (renamed("lth_sopr_24h", "lth_sopr_24hours"), Gives(of("lth_sopr"), noted("schema_drift"))),
        FLOW: (renamed("FlowInExNtv", "FlowInNtv"), Gives(of("inflow"), noted("missing_metric"))),
    },
    "scientific notation": all_sources(OnChainScientific(), Gives()),
    "an announced end": all_sources(OnChainSunset(), Gives(notes=noted("sunset"))),
}

CASES = [
    pytest.param(
        *case,
        source,
        id=f"{name}-{source.value}",
        # By default each fault at two sources and each source with four faults; the whole table with `-m proof`.
        marks=[] if (row_at - column) % 3 == 0 else pytest.mark.proof,
    )
    for row_at, (name, row) in enumerate(TABLE.items())
    for column, (source, case) in enumerate(row.items())
    if not isinstance(case, Meaningless)
]


class StandingClock(ScaledClock):
    """It is always noon, so that the same question has the same answer; waiting goes by quickly."""

    def now_ms(self) -> int:
        return NOW_MS


class Surroundings:
    """The hosts on a loopback port, with what is wrong at them now, and one fetch for all sources."""

    def __init__(self) -> None:
        self.clock = StandingClock(speed=SPEED)
        self.faults: list[OnChainFault] = []
        self.patience_s = PATIENT_S
        self.fetch = Fetch(clock=self.clock, deadline=lambda _: real_timeout(self.patience_s), timeout_s=PATIENT_S)
        self.hosts = OnChainHosts(7, self.clock, lambda: self.faults)
        self.url = ""

    def source(self, name: Source) -> OnChainSource:
        """A new one, which knows nothing."""
        match name:
            case Source.BLOCKCHAIN_INFO:
                return BlockchainInfo(self.fetch, self.url)
            case Source.FEAR_GREED:
                return FearGreed(self.fetch, self.url)
            case Source.COIN_METRICS:
                return CoinMetrics(self.fetch, self.url)
            case Source.CBBI:
                return Cbbi(self.fetch, self.url)
            case Source.BITVIEW:
                return Bitview(self.fetch, self.url)
            case Source.EXCHANGE_FLOW:
                return ExchangeFlow(self.fetch, self.url, self.url)

    async def read(self, source: OnChainSource, now_ms: int = NOW_MS) -> Answer:
        """Ask it as someone who was away for ten days."""
        return await source.read(dict.fromkeys(source.metrics, HELD_MS), now_ms)


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@pytest.fixture
async def around() -> AsyncIterator[Surroundings]:
    made = Surroundings()
    config = uvicorn.Config(
        Starlette(routes=made.hosts.routes()), log_config=None, log_level="critical", lifespan="off", access_log=False
    )
    server = _Server(config)
    listener = socket.create_server(("127.0.0.1", 0))  # it takes connections from here on
    made.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    async with asyncio.TaskGroup() as tasks, made.fetch:
        tasks.create_task(server.serve(sockets=[listener]))
        yield made
        made.faults.clear()  # a stalled answer ends with its fault
        server.should_exit = True


def values(answer: Answer) -> dict[Value, float]:
    return {(observation.metric, observation.t_ms): observation.value for observation in answer.observations}


@pytest.mark.parametrize(("fault", "outcome", "name"), CASES)
async def test_a_fault_takes_away_what_it_must_and_adds_nothing(
    around: Surroundings, fault: OnChainFault, outcome: Fails | Gives, name: Source
) -> None:
    whole = values(await around.read(around.source(name)))
    source = around.source(name)
    around.faults = [fault]
    around.patience_s = IMPATIENT_S if isinstance(fault, OnChainStall) else PATIENT_S
    if isinstance(outcome, Fails):
        with pytest.raises((SourceError, InvalidInput), match=outcome.words):
            await around.read(source)
    else:
        answer = await around.read(source)
        assert values(answer) == {each: value for each, value in whole.items() if not outcome.lost(each)}
        assert {note.kind for note in answer.notes} == outcome.notes
        assert len(answer.observations) < len(whole) or not any(map(outcome.lost, whole))

    around.faults, around.patience_s = [], PATIENT_S
    await around.clock.sleep(1.0)  # the pause that was asked for
    # A chart that could not be had is asked for again after an hour.
    recovered = await around.read(source, NOW_MS + HOUR_MS if name is INFO else NOW_MS)
    assert values(recovered) == whole
    assert recovered.notes == ()


def test_the_table_speaks_of_every_source() -> None:
    assert all(set(row) == set(Source) for row in TABLE.values())
    assert all(case.why for row in TABLE.values() for case in row.values() if isinstance(case, Meaningless))


async def test_at_the_hosts_own_pace_no_source_is_ever_told_to_slow_down(around: Surroundings) -> None:
    """All six at once, with all of their histories, through one door of nine requests in six seconds."""
    sources = [around.source(name) for name in Source]
    answers = await asyncio.gather(*(source.read({}, NOW_MS) for source in sources))
    assert all(answer.observations for answer in answers)
    assert around.hosts.stats()["answers_429"] == 0
