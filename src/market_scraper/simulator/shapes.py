"""The world's facts as the venue spells them: keys, types and number formats of facts 2 and 4, no policy."""

from collections.abc import Sequence

from market_scraper.simulator.formatting import amount_text, lots_text
from market_scraper.simulator.world.facts import (
    AccountState,
    Bbo,
    Candle,
    Context,
    Fill,
    LeaderRow,
    PortfolioWindow,
    PositionState,
    Print,
    VaultDetails,
    WindowFigures,
)
from market_scraper.simulator.world.markets import Market

Json = dict[str, object]


def micro_text(micro: int) -> str:
    """Millionths of a USD as an amount."""
    return lots_text(micro, 6)


def px_text(market: Market, px: int) -> str:
    """A price in the world's units."""
    return lots_text(px, market.px_decimals)


def sz_text(market: Market, lots: int) -> str:
    """A size in lots."""
    return lots_text(lots, market.sz_decimals)


def trade(market: Market, fact: Print) -> Json:
    """One element of a `trades` frame and of `recentTrades`."""
    return {
        "coin": fact.coin,
        "side": "B" if fact.taker_buys else "A",
        "px": px_text(market, fact.px),
        "sz": sz_text(market, fact.lots),
        "time": fact.time_ms,
        "hash": fact.hash,
        "tid": fact.tid,
        "users": [fact.buyer, fact.seller],
    }


def bbo(market: Market, fact: Bbo) -> Json:
    """The data of a `bbo` frame."""
    return {
        "coin": fact.coin,
        "time": fact.time_ms,
        "bbo": [
            {"px": px_text(market, fact.bid_px), "sz": sz_text(market, fact.bid_lots), "n": fact.bid_n},
            {"px": px_text(market, fact.ask_px), "sz": sz_text(market, fact.ask_lots), "n": fact.ask_n},
        ],
    }


def candle(market: Market, fact: Candle) -> Json:
    """One bar, as in a `candle` frame and in `candleSnapshot`."""
    return {
        "t": fact.open_ms,
        "T": fact.close_ms,
        "s": fact.coin,
        "i": fact.interval,
        "o": px_text(market, fact.o),
        "c": px_text(market, fact.c),
        "h": px_text(market, fact.h),
        "l": px_text(market, fact.l),
        "v": sz_text(market, fact.v_lots),
        "n": fact.n,
    }


def mid_text(mid: float) -> str:
    """A mid price: one digit more than the book's prices."""
    return amount_text(mid, 8)


def context(market: Market, fact: Context) -> Json:
    """A perp's context."""
    impact = fact.impact_pxs
    return {
        "funding": amount_text(fact.funding, 10),
        "openInterest": sz_text(market, fact.open_interest_lots),
        "prevDayPx": px_text(market, fact.prev_day_px),
        "dayNtlVlm": micro_text(fact.day_notional_micro),
        "premium": None if fact.premium is None else amount_text(fact.premium, 10),
        "oraclePx": px_text(market, fact.oracle_px),
        "markPx": px_text(market, fact.mark_px),
        "midPx": None if fact.mid_px is None else mid_text(fact.mid_px),
        "impactPxs": None if impact is None else [px_text(market, impact[0]), px_text(market, impact[1])],
        "dayBaseVlm": sz_text(market, fact.day_base_lots),
    }


def _position(market: Market, fact: PositionState) -> Json:
    leverage: Json = {"type": "cross" if fact.cross else "isolated", "value": fact.leverage}
    if fact.isolated_raw_micro is not None:
        leverage["rawUsd"] = micro_text(fact.isolated_raw_micro)
    return {
        "coin": fact.coin,
        "szi": sz_text(market, fact.lots),
        "leverage": leverage,
        "entryPx": px_text(market, fact.entry_px),
        "positionValue": micro_text(fact.value_micro),
        "unrealizedPnl": micro_text(fact.unrealized_pnl_micro),
        "returnOnEquity": amount_text(fact.return_on_equity, 10),
        "liquidationPx": None if fact.liquidation_px is None else amount_text(fact.liquidation_px, 10),
        "marginUsed": micro_text(fact.margin_used_micro),
        "maxLeverage": fact.max_leverage,
        "cumFunding": {
            "allTime": micro_text(fact.funding_all_time_micro),
            "sinceOpen": micro_text(fact.funding_since_open_micro),
            "sinceChange": micro_text(fact.funding_since_change_micro),
        },
    }


def account(markets: dict[str, Market], fact: AccountState, stamp_ms: int) -> Json:
    """`clearinghouseState`, stamped with the answering node's own time."""
    return {
        "marginSummary": {
            "accountValue": micro_text(fact.account_value_micro),
            "totalNtlPos": micro_text(fact.total_notional_micro),
            "totalRawUsd": micro_text(fact.total_raw_micro),
            "totalMarginUsed": micro_text(fact.total_margin_used_micro),
        },
        "crossMarginSummary": {
            "accountValue": micro_text(fact.cross_account_value_micro),
            "totalNtlPos": micro_text(fact.cross_notional_micro),
            "totalRawUsd": micro_text(fact.cross_raw_micro),
            "totalMarginUsed": micro_text(fact.cross_margin_used_micro),
        },
        "crossMaintenanceMarginUsed": micro_text(fact.cross_maintenance_micro),
        "withdrawable": micro_text(fact.withdrawable_micro),
        "assetPositions": [
            {"type": "oneWay", "position": _position(markets[position.coin], position)} for position in fact.positions
        ],
        "time": stamp_ms,
    }


def fill(market: Market, fact: Fill) -> Json:
    """One element of `userFills`; `liquidation` is there only when it was one."""
    shape: Json = {
        "coin": fact.coin,
        "px": px_text(market, fact.px),
        "sz": sz_text(market, fact.lots),
        "side": "B" if fact.buys else "A",
        "time": fact.time_ms,
        "startPosition": sz_text(market, fact.start_lots),
        "dir": fact.dir,
        "closedPnl": micro_text(fact.closed_pnl_micro),
        "hash": fact.hash,
        "oid": fact.oid,
        "crossed": fact.crossed,
        "fee": micro_text(fact.fee_micro),
        "tid": fact.tid,
        "feeToken": "USDC",
        "twapId": fact.twap_id,
    }
    if fact.liquidation is not None:
        shape["liquidation"] = {
            "liquidatedUser": fact.liquidation.liquidated_user,
            "markPx": px_text(market, fact.liquidation.mark_px),
            "method": fact.liquidation.method,
        }
    return shape


def fills(markets: dict[str, Market], facts: Sequence[Fill], *, aggregate: bool) -> list[Json]:
    """Fills in the order given; `aggregate` joins a crossing order's partial fills of one moment."""
    shapes: list[Json] = []
    previous: Fill | None = None
    parts: list[Fill] = []
    for fact in facts:
        joins = (
            aggregate
            and previous is not None
            and fact.crossed
            and (fact.oid, fact.time_ms, fact.coin) == (previous.oid, previous.time_ms, previous.coin)
        )
        if joins:
            parts.append(fact)
            shapes[-1] = _joined(markets[fact.coin], parts)
        else:
            parts = [fact]
            shapes.append(fill(markets[fact.coin], fact))
        previous = fact
    return shapes


def _joined(market: Market, parts: list[Fill]) -> Json:
    first = min(parts, key=lambda part: abs(part.start_lots - parts[0].start_lots))
    lots = sum(part.lots for part in parts)
    return fill(market, first) | {
        "px": px_text(market, round(sum(part.px * part.lots for part in parts) / lots)),
        "sz": sz_text(market, lots),
        "closedPnl": micro_text(sum(part.closed_pnl_micro for part in parts)),
        "fee": micro_text(sum(part.fee_micro for part in parts)),
    }


def _window(figures: WindowFigures) -> Json:
    return {
        "pnl": amount_text(figures.pnl, 10),
        "roi": amount_text(figures.roi, 10),
        "vlm": amount_text(figures.vlm, 10),
    }


def leader_row(fact: LeaderRow) -> Json:
    """One row of the leaderboard; `prize` is the only amount that is a number."""
    return {
        "ethAddress": fact.user,
        "accountValue": amount_text(fact.account_value, 10),
        "windowPerformances": [
            ["day", _window(fact.day)],
            ["week", _window(fact.week)],
            ["month", _window(fact.month)],
            ["allTime", _window(fact.all_time)],
        ],
        "prize": 0,
        "displayName": fact.display_name,
    }


def portfolio(windows: Sequence[PortfolioWindow]) -> list[object]:
    """`portfolio`: pairs of a window's name and its histories."""
    return [
        [
            window.name,
            {
                "accountValueHistory": [[time_ms, amount_text(value)] for time_ms, value in window.account_values],
                "pnlHistory": [[time_ms, amount_text(value)] for time_ms, value in window.pnls],
                "vlm": amount_text(window.vlm),
            },
        ]
        for window in windows
    ]


def vault(fact: VaultDetails, windows: Sequence[PortfolioWindow]) -> Json:
    """`vaultDetails`."""
    relationship: Json = {"type": "normal"}
    if fact.parent is not None:
        relationship = {"type": "child"}
    elif fact.children:
        relationship = {"type": "parent", "data": {"childAddresses": list(fact.children)}}
    return {
        "name": fact.name,
        "vaultAddress": fact.user,
        "leader": fact.leader,
        "description": fact.description,
        "portfolio": portfolio(windows),
        "apr": fact.apr,
        "followerState": None,
        "leaderFraction": fact.leader_fraction,
        "leaderCommission": fact.leader_commission,
        "followers": [
            {
                "user": follower.user,
                "vaultEquity": amount_text(follower.equity),
                "pnl": amount_text(follower.pnl),
                "allTimePnl": amount_text(follower.all_time_pnl),
                "daysFollowing": follower.days_following,
                "vaultEntryTime": follower.entry_ms,
                "lockupUntil": follower.entry_ms + 4 * 86_400_000,
            }
            for follower in fact.followers
        ],
        "maxDistributable": fact.max_distributable,
        "maxWithdrawable": fact.max_withdrawable,
        "isClosed": False,
        "relationship": relationship,
        "allowDeposits": True,
        "alwaysCloseOnWithdraw": False,
    }
