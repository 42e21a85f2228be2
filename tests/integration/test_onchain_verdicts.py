"""What cross-examination makes of six sources as they really come: late, in turns, moving, and sometimes wrong.

The hosts are the paper venue's, which tell of one coherent chain and share no code with what reads and judges them.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

import pytest
import uvicorn
from starlette.applications import Starlette

from market_scraper.app.onchain import onchain_sources
from market_scraper.config.sections import Onchain
from market_scraper.connectors.onchain.fetch import Fetch
from market_scraper.domain.events import ReadingsTaken
from market_scraper.domain.onchain import DAY_MS, Judged, ReadingState, Source
from market_scraper.domain.revisions import Revisions
from market_scraper.runtime.clock import ScaledClock, real_timeout
from market_scraper.simulator.onchain import OnChainHosts
from market_scraper.simulator.onchain.faults import OnChainFactor, OnChainFault, OnChainFreeze, OnChainNulls
from market_scraper.views.all import LiveViews

START_MS = 1_528_070_400_000
"""2018-06-04 00:00 UTC: every source has a history by then, and a short one."""

HOUR_MS = 3_600_000
HOURS = (0.2, 1.5, 4.0, 9.0, 21.0)  # around the times at which sources are known to move
BAD = {ReadingState.MISSING, ReadingState.STALE, ReadingState.FROZEN, ReadingState.DISPUTED}


class SetClock(ScaledClock):
    """It is what the test says; waiting for a host's pace takes little real time."""

    def __init__(self) -> None:
        super().__init__(speed=1_000.0)
        self.at_ms = START_MS

    def now_ms(self) -> int:
        return self.at_ms


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class World:
    """Six hosts, six connectors, and the view that judges what they bring."""

    def __init__(self, clock: SetClock, fetch: Fetch, url: str, faults: list[OnChainFault]) -> None:
        self.clock, self.faults = clock, faults
        self._sources = onchain_sources(
            fetch,
            Onchain(
                blockchain_info_url=url,
                fear_greed_url=url,
                coin_metrics_url=url,
                cbbi_url=url,
                bitview_url=url,
                exchange_flow_url=url,
            ),
        )
        self._revisions = {source.name: Revisions(source.name) for source in self._sources}
        self.views = LiveViews(clock, rate=lambda *_: [])

    async def look(self, day: float, only: Sequence[Source] = tuple(Source)) -> Mapping[str, Judged]:
        """Ask everyone at that day of the test, and judge."""
        self.clock.at_ms = START_MS + round(day * DAY_MS)
        for source in self._sources:
            if source.name in only:
                known = self._revisions[source.name]
                newest = dict.fromkeys(source.metrics, START_MS - 9 * DAY_MS) | known.newest
                answer = await source.read(newest, self.clock.at_ms)
                now_ms = self.clock.at_ms
                readings = [*known.take(answer.observations, now_ms), *known.take_back(answer.withdrawn, now_ms)]
                self.views.apply(ReadingsTaken(known_at_ms=now_ms, readings=tuple(readings)))
        return self.views.onchain.all()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    clock, faults = SetClock(), list[OnChainFault]()
    hosts = OnChainHosts(7, clock, lambda: faults)
    config = uvicorn.Config(Starlette(routes=hosts.routes()), log_config=None, log_level="critical", lifespan="off")
    server = _Server(config)
    listener = socket.create_server(("127.0.0.1", 0))  # it takes connections from here on
    async with (
        asyncio.TaskGroup() as tasks,
        Fetch(clock=clock, deadline=real_timeout, timeout_s=30.0) as fetch,
    ):
        tasks.create_task(server.serve(sockets=[listener]))
        yield World(clock, fetch, f"http://127.0.0.1:{listener.getsockname()[1]}", faults)
        server.should_exit = True


def bad(judged: Mapping[str, Judged]) -> dict[str, tuple[ReadingState, ...]]:
    return {name: one.flags for name, one in judged.items() if BAD & set(one.flags)}


@pytest.mark.proof
async def test_sources_that_are_well_raise_no_alarm_at_any_hour(world: World) -> None:
    for day in range(2):
        for hour in HOURS:
            judged = await world.look(day + hour / 24)
            assert bad(judged) == {}, (day, hour, {n: judged[n].reason for n in bad(judged)})
    checked = {name for name, one in judged.items() if one.checked_by is not None}
    assert checked == {"hash_rate", "difficulty", "block_height", "supply", "transaction_count", "mvrv", "nupl"}
    shares = [one.reading.value for name, one in judged.items() if name.startswith("wave.") and one.reading]
    assert sum(shares) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize(
    ("fault", "state", "metrics"),
    [
        (OnChainFreeze(host="cbbi", metric="Puell"), ReadingState.FROZEN, {"cbbi.Puell"}),
        (OnChainFreeze(host="coin_metrics", metric="AdrActCnt"), ReadingState.FROZEN, {"active_addresses"}),
        # One of the two is wrong, and neither can be told from the other.
        (OnChainFactor(host="coin_metrics", metric="CapMVRVCur", factor=1.5), ReadingState.DISPUTED, {"mvrv", "nupl"}),
        (OnChainFactor(host="bitview", metric="nupl", factor=0.5), ReadingState.DISPUTED, {"nupl", "mvrv"}),
        (OnChainFactor(host="blockchain_info", metric="hash_rate", factor=2.0), ReadingState.DISPUTED, {"hash_rate"}),
    ],
    ids=lambda value: value.__class__.__name__ if isinstance(value, OnChainFault) else "",
)
async def test_what_a_source_gets_wrong_is_flagged_and_nothing_else(
    world: World, fault: OnChainFault, state: ReadingState, metrics: set[str]
) -> None:
    world.faults.append(fault)
    judged = await world.look(0.5)
    assert {name for name, one in judged.items() if state in one.flags} == metrics
    assert bad(judged).keys() == metrics


async def test_nulls_on_the_newest_days_leave_the_last_good_day_under_its_own_date(world: World) -> None:
    world.faults.append(OnChainNulls(host="bitview", metric="mvrv", days=1))
    judged = await world.look(0.5)
    mvrv, sopr = judged["mvrv"].reading, judged["sopr"].reading
    assert mvrv is not None
    assert sopr is not None
    assert (sopr.t_ms, mvrv.t_ms) == (START_MS, START_MS - DAY_MS)
    assert bad(judged) == {}


async def test_while_one_source_is_away_the_next_one_steps_in(world: World) -> None:
    await world.look(0.2)
    later = await world.look(3.5, [Source.COIN_METRICS, Source.BLOCKCHAIN_INFO])
    mvrv, sopr = later["mvrv"], later["sopr"]
    assert mvrv.reading is not None
    assert (mvrv.reading.source, mvrv.state) == (Source.COIN_METRICS, ReadingState.FINAL)
    assert sopr.state is ReadingState.STALE
    back = await world.look(3.6)
    assert bad(back) == {}
