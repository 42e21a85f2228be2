"""`/info`: every request type that the venue serves here, its errors, and what it costs."""

import random
import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from market_scraper.simulator import listing, shapes
from market_scraper.simulator.formatting import amount_text
from market_scraper.simulator.lateness import Cut, UntidyOptions, snapshot_cut
from market_scraper.simulator.limits import ClientLimits, base_weight, surcharge
from market_scraper.simulator.session import Answer
from market_scraper.simulator.subscriptions import INTERVALS_MS
from market_scraper.simulator.world import World
from market_scraper.simulator.world.facts import Kind, Person
from market_scraper.simulator.world.markets import Market

_USER = re.compile(r"0x[0-9a-fA-F]{40}")
NOT_UNDERSTOOD = Answer(422, b"Failed to deserialize the JSON body into the target type", "text/plain")
BROKEN = Answer(500, b"null")  # what a coin that does not exist gives (recorded 2026-10)
TOO_MANY = Answer(429, b"null")  # its body is not established
RECENT_TRADES = 10
FILLS_LIMIT = 2000

Request = Mapping[str, Any]


class _NotUnderstood(Exception):
    """The request has not the shape that its type needs."""


class _Broken(Exception):
    """The request is well formed, and the venue breaks on it."""


def _user(request: Request, key: str = "user") -> str:
    value = request.get(key)
    if not (isinstance(value, str) and _USER.fullmatch(value)):
        raise _NotUnderstood
    return value.lower()


def _ms(request: Request, key: str, default: int | None = None) -> int:
    value = request.get(key)
    if value is None and default is not None:
        return default
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise _NotUnderstood
    return value


def _flag(request: Request, key: str) -> bool:
    value = request.get(key)
    if not isinstance(value, bool | None):
        raise _NotUnderstood
    return bool(value)


class InfoDesk:
    """Answers from the world. Snapshots come from a node behind the tape whose clock is off (see `lateness`)."""

    def __init__(self, world: World, untidy: UntidyOptions, seed: int) -> None:
        self._world = world
        self._untidy = untidy
        self._rng = random.Random(f"nodes {seed}")
        self._markets: dict[str, Market] = {market.coin: market for market in world.markets}
        self._people: dict[str, Person] = {}
        self.stamp_jump_ms = 0  # a clock_jump fault in force
        self.refused_429 = 0
        self._kinds: dict[str, Callable[[Request, int], object]] = {
            "meta": self._meta,
            "metaAndAssetCtxs": self._meta_and_contexts,
            "allPerpMetas": lambda _, now_ms: [listing.meta(world, dex, now_ms) for dex in world.dexes],
            "allMids": self._all_mids,
            "candleSnapshot": self._candles,
            "clearinghouseState": self._account,
            "spotMeta": lambda _request, _now_ms: listing.spot_meta(),
            "recentTrades": self._recent_trades,
            "userFills": self._fills,
            "userFillsByTime": self._fills_by_time,
            "userTwapSliceFills": self._twap_fills,
            "userTwapSliceFillsByTime": self._twap_fills_by_time,
            "userRateLimit": self._rate_limit,
            "userRole": self._role,
            "portfolio": lambda request, now_ms: shapes.portfolio(world.portfolio(_user(request), now_ms)),
            "subAccounts": self._sub_accounts,
            "vaultDetails": self._vault,
            "perpDexs": lambda _request, _now_ms: listing.perp_dexs(world),
            "exchangeStatus": lambda _, now_ms: {"time": self.cut(now_ms).stamp_ms, "specialStatuses": None},
        }

    def answer(self, request: object, limits: ClientLimits, now_s: float, now_ms: int) -> Answer:
        """Answer at this client's expense; `now_ms` is a moment that the world has reached."""
        kind = request.get("type") if isinstance(request, Mapping) else None
        respond = self._kinds.get(kind) if isinstance(kind, str) else None
        if respond is None or not isinstance(request, Mapping) or not isinstance(kind, str):
            return NOT_UNDERSTOOD
        if not limits.weight.allows(now_s, base_weight(kind)):
            self.refused_429 += 1
            return TOO_MANY
        try:
            data = respond(request, now_ms)
        except _NotUnderstood:
            return NOT_UNDERSTOOD
        except _Broken:
            limits.weight.add(now_s, base_weight(kind))
            return BROKEN
        items = len(data) if isinstance(data, list) else 0
        limits.weight.add(now_s, base_weight(kind) + surcharge(kind, items))
        return Answer(200, msgspec.json.encode(data))

    def cut(self, now_ms: int) -> Cut:
        """Choose the node that answers a snapshot."""
        cut = snapshot_cut(self._untidy, self._rng, now_ms)
        return Cut(cut.true_ms, cut.stamp_ms + self.stamp_jump_ms)

    def account(self, user: str, dex: str, now_ms: int) -> shapes.Json:
        """`clearinghouseState` as some node sees it."""
        cut = self.cut(now_ms)
        return shapes.account(self._markets, self._world.account_at(user, dex, cut.true_ms), cut.stamp_ms)

    def _dex(self, request: Request) -> str:
        dex = request.get("dex") or ""
        if not isinstance(dex, str):
            raise _NotUnderstood
        if dex not in self._world.dexes:
            raise _Broken
        return dex

    def _market(self, coin: object) -> Market:
        if not isinstance(coin, str):
            raise _NotUnderstood
        market = self._markets.get(coin)
        if market is None:
            raise _Broken
        return market

    def _meta(self, request: Request, now_ms: int) -> object:
        return listing.meta(self._world, self._dex(request), now_ms)

    def _meta_and_contexts(self, request: Request, now_ms: int) -> object:
        dex, at_ms = self._dex(request), self.cut(now_ms).true_ms
        contexts = self._world.contexts(at_ms, dex)
        return [
            listing.meta(self._world, dex, now_ms),
            [shapes.context(self._markets[context.coin], context) for context in contexts],
        ]

    def _all_mids(self, request: Request, now_ms: int) -> object:
        mids = self._world.mids(self.cut(now_ms).true_ms, self._dex(request))
        return {coin: shapes.mid_text(mid) for coin, mid in mids.items()}

    def _candles(self, request: Request, now_ms: int) -> object:
        asked = request.get("req")
        if not isinstance(asked, Mapping):
            raise _NotUnderstood
        interval = asked.get("interval")
        if not (isinstance(interval, str) and interval in INTERVALS_MS):
            raise _NotUnderstood
        start_ms, end_ms = _ms(asked, "startTime"), _ms(asked, "endTime", now_ms)
        market = self._market(asked.get("coin"))
        bars = self._world.candles(market.coin, interval, start_ms, end_ms)
        return [shapes.candle(market, bar) for bar in bars]

    def _account(self, request: Request, now_ms: int) -> object:
        return self.account(_user(request), self._dex(request), now_ms)

    def _recent_trades(self, request: Request, _now_ms: int) -> object:
        market = self._market(request.get("coin"))
        return [shapes.trade(market, fact) for fact in self._world.recent_prints(market.coin, RECENT_TRADES)[::-1]]

    def _fills(self, request: Request, _now_ms: int) -> object:
        facts = self._world.newest_fills(_user(request), FILLS_LIMIT, twap=False)
        return shapes.fills(self._markets, facts, aggregate=_flag(request, "aggregateByTime"))[::-1]

    def _fills_by_time(self, request: Request, now_ms: int) -> object:
        start_ms, end_ms = _ms(request, "startTime"), _ms(request, "endTime", now_ms)
        facts = self._world.fills(_user(request), start_ms, end_ms, twap=False, limit=FILLS_LIMIT)
        aggregate = _flag(request, "aggregateByTime")
        if _flag(request, "reversed"):
            newest = self._world.newest_fills(_user(request), 10_000, twap=False)
            facts = [fact for fact in newest if start_ms <= fact.time_ms <= end_ms][-FILLS_LIMIT:]
            return shapes.fills(self._markets, facts, aggregate=aggregate)[::-1]
        return shapes.fills(self._markets, facts, aggregate=aggregate)

    def _twap_fills(self, request: Request, _now_ms: int) -> object:
        facts = self._world.newest_fills(_user(request), FILLS_LIMIT, twap=True)[::-1]
        return [{"fill": shapes.fill(self._markets[fact.coin], fact), "twapId": fact.twap_id} for fact in facts]

    def _twap_fills_by_time(self, request: Request, now_ms: int) -> object:
        start_ms, end_ms = _ms(request, "startTime"), _ms(request, "endTime", now_ms)
        facts = self._world.fills(_user(request), start_ms, end_ms, twap=True, limit=FILLS_LIMIT)
        return [{"fill": shapes.fill(self._markets[fact.coin], fact), "twapId": fact.twap_id} for fact in facts]

    def _rate_limit(self, request: Request, now_ms: int) -> object:
        windows = self._world.portfolio(_user(request), now_ms)
        volume = max((window.vlm for window in windows), default=0.0)
        cap = 10_000 + int(volume)
        used = cap // 2
        return {
            "cumVlm": amount_text(volume),
            "nRequestsUsed": used,
            "nRequestsCap": cap,
            "nRequestsSurplus": 0,
        }

    def person(self, user: str) -> Person | None:
        """Who an account is; None for a stranger."""
        if not self._people:
            self._people = {person.user: person for person in self._world.people()}
        return self._people.get(user)

    def _role(self, request: Request, _now_ms: int) -> object:
        person = self.person(_user(request))
        if person is None:
            return {"role": "missing"}
        if person.kind in (Kind.VAULT, Kind.VAULT_CHILD):
            return {"role": "vault"}
        if person.master is not None:
            return {"role": "subAccount", "data": {"master": person.master}}
        return {"role": "user"}

    def _sub_accounts(self, request: Request, now_ms: int) -> object:
        subs = self._world.sub_accounts(_user(request))
        if not subs:
            return None
        return [
            {
                "name": sub.name,
                "subAccountUser": sub.user,
                "master": sub.master,
                "clearinghouseState": self.account(sub.user, "", now_ms),
                "spotState": {"balances": []},
            }
            for sub in subs
        ]

    def _vault(self, request: Request, now_ms: int) -> object:
        details = self._world.vault_details(_user(request, "vaultAddress"), now_ms)
        if details is None:
            return None
        return shapes.vault(details, self._world.portfolio(details.user, now_ms))
