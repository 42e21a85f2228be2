"""Doors that the real venue has not: the truth, what was counted, and faults on request. For tests and benchmarks."""

from collections.abc import Callable

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from market_scraper.simulator.faults import decode_faults
from market_scraper.simulator.shapes import sz_text
from market_scraper.simulator.venue import Venue


def _json(data: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(data), status, media_type="application/json")


class Control:
    """Handlers of `/_truth`, `/_truth/traders`, `/_truth/activity`, `/_truth/off_tape`, `/_stats` and `/_control`."""

    def __init__(self, venue: Venue, onchain_stats: Callable[[], dict[str, object]]) -> None:
        self._venue = venue
        self._onchain_stats = onchain_stats

    async def truth(self, request: Request) -> Response:
        """`?coin=&at_ms=[&user=]`: true sizes (string coins, signed) after all blocks with time <= at_ms.

        Flat accounts are left out, unless asked for by name. A moment that has not come yet is an error (409).
        """
        world, query = self._venue.world, request.query_params
        market = world.market(query.get("coin", ""))
        if market is None or not query.get("at_ms", "").isdecimal():
            return _json({"detail": "needs coin (a perp of this world) and at_ms"}, 422)
        at_ms = int(query["at_ms"])
        self._venue.step()
        if at_ms > world.now_ms:
            return _json({"detail": f"at_ms lies in the future; the world is at {world.now_ms}"}, 409)
        if "user" in query:
            sizes = {query["user"].lower(): world.size_at(query["user"].lower(), market.coin, at_ms)}
        else:
            sizes = world.sizes_at(market.coin, at_ms)
        texts = {user: sz_text(market, lots) for user, lots in sizes.items()}
        return _json({"coin": market.coin, "at_ms": at_ms, "sizes": texts})

    async def traders(self, _request: Request) -> Response:
        """Everybody's hidden kind and skill."""
        return _json({"traders": self._venue.world.people()})

    async def activity(self, request: Request) -> Response:
        """`?coin=`: how often each account's position was written so far (prints, and funding once an hour)."""
        world = self._venue.world
        market = world.market(request.query_params.get("coin", ""))
        if market is None:
            return _json({"detail": "needs coin (a perp of this world)"}, 422)
        return _json({"coin": market.coin, "writes": world.activity(market.coin)})

    async def off_tape(self, _request: Request) -> Response:
        """Every change of a position without a print, oldest first; sizes in lots."""
        return _json({"changes": self._venue.world.off_tape_log})

    async def stats(self, _request: Request) -> Response:
        """What was counted since the start."""
        return _json({**self._venue.stats(), "onchain": self._onchain_stats()})

    async def control(self, request: Request) -> Response:
        """Take a fault or a list of them; `at_s` counts from now."""
        try:
            faults = decode_faults(msgspec.json.decode(await request.body()))
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            return _json({"detail": str(error)}, 422)
        self._venue.request_faults(faults)
        return _json({"scheduled": len(faults), "now_ms": self._venue.now_ms()})
