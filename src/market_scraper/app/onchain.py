"""The on-chain half of the `collect` role: six sources, each with a collector of its own."""

from contextlib import AsyncExitStack
from functools import partial

from market_scraper.collectors.onchain import SCHEDULES, OnChainCollector
from market_scraper.config import Settings
from market_scraper.config.sections import Onchain
from market_scraper.connectors.onchain.bitview import Bitview
from market_scraper.connectors.onchain.blockchain_info import BlockchainInfo
from market_scraper.connectors.onchain.cbbi import Cbbi
from market_scraper.connectors.onchain.coin_metrics import CoinMetrics
from market_scraper.connectors.onchain.exchange_flow import ExchangeFlow
from market_scraper.connectors.onchain.fear_greed import FearGreed
from market_scraper.connectors.onchain.fetch import Fetch
from market_scraper.ports.bus import Bus
from market_scraper.ports.clock import Clock
from market_scraper.ports.sources import OnChainSource
from market_scraper.ports.stores import Store
from market_scraper.runtime import timeouts
from market_scraper.runtime.backoff import backoff
from market_scraper.runtime.clock import real_timeout
from market_scraper.runtime.health import Reporter, Reports
from market_scraper.runtime.supervisor import Supervisor

FIRST_RETRY_S, LAST_RETRY_S = 10.0, 1_800.0
"""Venue seconds: soon enough after a start without a network, rare enough for a host that is gone for a day."""

LATE_S = 3_600.0
"""How much later than its longest pause a source's next answer may come before its connector counts as not well."""


def onchain_sources(fetch: Fetch, where: Onchain) -> tuple[OnChainSource, ...]:
    """All of them, asking through one `fetch`, which keeps the pace of each host."""
    return (
        BlockchainInfo(fetch, where.blockchain_info_url),
        FearGreed(fetch, where.fear_greed_url),
        CoinMetrics(fetch, where.coin_metrics_url),
        Cbbi(fetch, where.cbbi_url),
        Bitview(fetch, where.bitview_url),
        ExchangeFlow(fetch, where.exchange_flow_url, where.coin_metrics_url),
    )


async def add_onchain(
    stack: AsyncExitStack,
    connectors: Supervisor,
    reports: Reports,
    settings: Settings,
    store: Store,
    bus: Bus,
    clock: Clock,
) -> dict[str, Reporter]:
    """Make the six connectors known; `LocalOperations.start_chosen` starts them. Gives their reporters by name."""
    fetch = await stack.enter_async_context(
        Fetch(clock=clock, deadline=real_timeout, timeout_s=timeouts.ONCHAIN_HTTP_S)
    )
    reporters = {}
    for source in onchain_sources(fetch, settings.onchain):
        name, schedule = source.name.value, SCHEDULES[source.name]
        reporters[name] = reports.reporter(name, "connector", allowed_age_s=schedule.most_s + LATE_S)
        collector = OnChainCollector(
            source,
            bus=bus,
            store=store.readings,
            clock=clock,
            reporter=reporters[name],
            schedule=schedule,
            history_days=settings.onchain.history_days,
            delays=partial(backoff, first_s=FIRST_RETRY_S, most_s=LAST_RETRY_S, seed=name),
        )
        connectors.add(name, collector.run)
    return reporters
