"""`doctor --upstreams`, the on-chain half: is each source's live answer still in the shape that we read?

Each source is asked once, for its newest days. What its connector leaves out or remarks upon, is in the finding.
"""

import asyncio

from market_scraper.app.onchain import onchain_sources
from market_scraper.cli.findings import Finding, asked
from market_scraper.config import Settings
from market_scraper.connectors.onchain.fetch import Fetch
from market_scraper.domain.errors import MarketScraperError
from market_scraper.domain.onchain import DAY_MS, METRICS, Note, stale_after_s
from market_scraper.domain.values import iso
from market_scraper.ports.clock import Clock
from market_scraper.ports.sources import OnChainSource
from market_scraper.runtime.clock import real_timeout
from market_scraper.runtime.timeouts import ONCHAIN_HTTP_S

PATIENCE_S = 2 * ONCHAIN_HTTP_S
"""Some are asked several questions, at the pace of their host."""

_HARMLESS = frozenset({"sunset", "fallback"})  # kinds of notes with which values still come as they should


async def onchain_findings(settings: Settings, clock: Clock) -> list[Finding]:
    """Ask all six at once."""
    async with Fetch(clock=clock, deadline=real_timeout, timeout_s=ONCHAIN_HTTP_S) as fetch:
        sources = onchain_sources(fetch, settings.onchain)
        found = [asked(source.name.value, _shape(source, clock), PATIENCE_S) for source in sources]
        return list(await asyncio.gather(*found))


async def _shape(source: OnChainSource, clock: Clock) -> str:
    """Say what came of the newest days; raises MarketScraperError when that is not what it should be."""
    now = clock.now_ms()
    today = now - now % DAY_MS
    answer = await source.read(dict.fromkeys(source.metrics, today), now)
    newest: dict[str, int] = {}
    for said in answer.observations:
        newest[said.metric] = max(said.t_ms, newest.get(said.metric, 0))
    missing = [metric for metric in source.metrics if metric not in newest]
    old = [metric for metric, t_ms in newest.items() if now - t_ms > stale_after_s(source.name, METRICS[metric]) * 1000]
    wrong = [_said(note) for note in answer.notes if note.kind not in _HARMLESS]
    if missing:
        wrong.append(f"no value of {', '.join(missing)}")
    if old:
        wrong.append(f"nothing newer than {iso(max(newest[metric] for metric in old))} of {', '.join(old)}")
    if wrong:
        raise MarketScraperError("; ".join(wrong))
    remarks = "".join(f"; {_said(note)}" for note in answer.notes)
    return f"{len(newest)} of {len(source.metrics)} metrics, newest {iso(max(newest.values()))}{remarks}"


def _said(note: Note) -> str:
    return note.text if note.metric is None or note.metric in note.text else f"{note.metric}: {note.text}"
