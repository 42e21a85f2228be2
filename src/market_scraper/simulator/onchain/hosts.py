"""The on-chain hosts together: their real paths, which do not collide, on the paper venue's one port."""

from collections.abc import Callable, Iterable

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from market_scraper.ports.clock import Clock
from market_scraper.simulator.onchain.answers import Answering, Delivery
from market_scraper.simulator.onchain.bitview import Bitview
from market_scraper.simulator.onchain.blockchain_info import BlockchainInfo
from market_scraper.simulator.onchain.cbbi import Cbbi
from market_scraper.simulator.onchain.chain import COIN, chain_of
from market_scraper.simulator.onchain.coin_metrics import CoinMetrics
from market_scraper.simulator.onchain.coin_metrics_csv import CoinMetricsCsv
from market_scraper.simulator.onchain.coin_metrics_table import table_of
from market_scraper.simulator.onchain.days import DAY_MS, day_at
from market_scraper.simulator.onchain.faults import Host
from market_scraper.simulator.onchain.fear_greed import FearGreed
from market_scraper.simulator.onchain.mood import confidence, mood_of


class OnChainHosts:
    """Six hosts over one chain. Nothing is computed before it is asked for."""

    def __init__(self, seed: int, clock: Clock, in_force: Callable[[], Iterable[object]]) -> None:
        now_ms = clock.now_ms
        self.chain, self.mood = chain_of(seed), mood_of(seed)
        self.delivery = Delivery(clock, in_force)
        self._now_ms = now_ms
        self._info = BlockchainInfo(self.chain, self.mood, now_ms)
        self._greed = FearGreed(self.mood, now_ms)
        table = table_of(seed)
        self._metrics = CoinMetrics(table, now_ms, clock.monotonic)
        self._csv = CoinMetricsCsv(table, now_ms)
        self._cbbi = Cbbi(self.mood, now_ms)
        self._bitview = Bitview(self.chain, self.mood, now_ms, now_ms())

    def routes(self) -> list[Route]:
        """All paths; the order matters where one would match another's."""
        bitview, metrics = self._bitview, self._metrics
        served: list[tuple[str, Host, Answering]] = [
            ("/stats", "blockchain_info", self._info.stats),
            ("/charts/{name}", "blockchain_info", self._info.chart),
            ("/fng", "fear_greed", self._greed.index),
            ("/fng/", "fear_greed", self._greed.index),
            ("/v4/timeseries/asset-metrics", "coin_metrics", metrics.timeseries),
            ("/v4/catalog-v2/asset-metrics", "coin_metrics", metrics.catalog),
            ("/coinmetrics/data/master/csv/btc.csv", "coin_metrics_csv", self._csv.file),
            ("/cbbi/data/latest.json", "cbbi", self._cbbi.latest),
            ("/api/series/bulk", "bitview", bitview.bulk),
            ("/api/series/search", "bitview", bitview.search),
            ("/api/series/{series}", "bitview", bitview.info),
            ("/api/series/{series}/{index}", "bitview", bitview.series),
            ("/api/series/{series}/{index}/{part}", "bitview", bitview.part),
            ("/api/blocks/tip/height", "bitview", bitview.tip_height),
            ("/health", "bitview", bitview.health),
        ]
        routes = [Route(path, self.delivery.handler(host, answer), methods=["GET"]) for path, host, answer in served]
        return [*routes, Route("/_truth/onchain", self.truth, methods=["GET"])]

    def stats(self) -> dict[str, object]:
        """What was counted, by host; for `/_stats`."""
        return {**self.delivery.stats(), "answers_429": self._metrics.refused_429}

    async def truth(self, request: Request) -> Response:
        """GET /_truth/onchain?day=N (days since 1970; default yesterday): what is true, in EH/s, BTC and plain ratios.

        Not before the day is over (409). Ours: no real host has it.
        """
        yesterday = day_at(self._now_ms()) - 1
        asked = request.query_params.get("day", str(yesterday))
        if not asked.isdecimal() or int(asked) > yesterday:
            return _json({"detail": f"needs a day that is over, at most {yesterday}"}, 409)
        day = int(asked)
        chain, end_ms = self.chain, (day + 1) * DAY_MS
        valuation, flows, parts = self.mood.valuation_at(end_ms), chain.flows(day), self.mood.cbbi(day)
        return _json(
            {
                "day": day,
                "block_height": chain.height_at(end_ms),
                "supply": chain.supply_at(end_ms) / COIN,
                "difficulty": chain.difficulty(chain.height_at(end_ms)),
                "hash_rate": chain.hash_rate_at(end_ms) / 1e18,
                "transaction_count": chain.transactions(day),
                "active_addresses": chain.addresses(day),
                "valuation": valuation,
                "flows": None
                if flows is None
                else {"inflow": flows.inflow / COIN, "outflow": flows.outflow / COIN, "held": flows.held / COIN},
                "ages": {name: coins / COIN for name, coins in chain.ages_at(end_ms).items()},
                "fear_greed": self.mood.fear_greed(day),
                "cbbi": parts,
                "cbbi_confidence": confidence(parts),
            }
        )


def _json(data: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(data), status, media_type="application/json")
