"""Who does not vote like a directional trader, and why: classes after signal science 4.6.

A trader has one class at most, the first that fits in the order of `ClassName`. Four are read off the leaderboard's row
(`ranked`), the rest off what we know of the trader's position in a coin (`seen`): how often it changed on the tape, and
what the last account answer said. Both are pure and lean on stored values alone, so a restart gives the same classes.

What is missing or not finite never makes a class: nobody loses a vote for what we do not know. Two marks of a market
maker are not read: the share of passive prints, for a `Print` does not carry the taker's side, and |net flow| / gross
flow, which is near zero for everyone who opens and closes within a day.
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from math import inf

import msgspec

from market_scraper.domain.positions import Position
from market_scraper.domain.rules import ClassRules
from market_scraper.domain.traders import LeaderboardRow, Performance
from market_scraper.domain.values import Address

NESTED_TOLERANCE = 0.01
"""A shorter window's volume may exceed a longer one's by this share: they need not be counted at the same moment."""

LEAST_PNL_USD = 1.0
"""A window that earned less than this contradicts nothing."""


class ClassName(StrEnum):
    """A class and at the same time its tag; the first that fits holds."""

    VAULT = "vault"  # the venue's own liquidity, or a vault that the user named
    PHANTOM = "phantom"  # a row that no trading made: windows contradict, or money came by transfer
    DORMANT = "dormant"  # does not trade any more
    MARKET_MAKER = "market_maker"  # turns its money over again and again and earns next to nothing on it
    MASTER = "master"  # the money that ranks lies elsewhere, in sub-accounts, spot or another dex
    HEDGED = "hedged"  # longs and shorts cancel


class TraderClass(msgspec.Struct, frozen=True, gc=False):
    """Why a trader's vote counts less."""

    name: ClassName
    reason: str  # with the numbers that decided
    vote: float  # 0 = does not vote .. 1 = votes in full


_BY_TAG = {name.value: name for name in ClassName}


def class_in(tags: Iterable[str]) -> ClassName | None:
    """Give the class that a trader was tagged with, or None."""
    return next((_BY_TAG[tag] for tag in tags if tag in _BY_TAG), None)


class Classifier:
    """Classes by one set of thresholds."""

    def __init__(self, rules: ClassRules | None = None) -> None:
        self.rules = ClassRules() if rules is None else rules
        self._votes = {name: float(getattr(self.rules.votes, name.value)) for name in ClassName}

    def vote(self, name: ClassName) -> float:
        """Give the factor, 0..1, that a vote of this class counts with."""
        return self._votes[name]

    def ranked(self, row: LeaderboardRow) -> ClassName | None:
        """Class one leaderboard row; it runs for all 47,000."""
        rules, month = self.rules, row.month
        if row.trader in rules.vaults:
            return ClassName.VAULT
        if _phantom(row, rules) is not None:
            return ClassName.PHANTOM
        if month is None:
            return None
        if month.vlm <= rules.dormant_volume:
            return ClassName.DORMANT
        if _is_maker(row, month, rules):
            return ClassName.MARKET_MAKER
        return None

    def seen(self, position: Position, ranked_value: float | None) -> ClassName | None:
        """Class a trader by what is known of one coin; `ranked_value` is the leaderboard's account value, USD."""
        rules = self.rules
        if position.trader in rules.vaults:
            return ClassName.VAULT
        if is_busy(position, rules):
            return ClassName.MARKET_MAKER
        if _is_master(position, ranked_value, rules):
            return ClassName.MASTER
        net_share = position.net_share
        if net_share is not None and net_share <= rules.hedged_net_share:
            return ClassName.HEDGED
        return None

    def classed(self, trader: Address, row: LeaderboardRow | None, positions: Sequence[Position]) -> TraderClass | None:
        """Class a trader by all that is known, with the reason; None = votes as usual."""
        if row is None:
            row = LeaderboardRow(trader=trader, account_value=0.0)
        name = self.ranked(row)
        if name is not None:
            return TraderClass(name, self._why_ranked(name, row), self.vote(name))
        for position in positions:
            name = self.seen(position, row.account_value)
            if name is not None:
                return TraderClass(name, self._why_seen(name, position, row.account_value), self.vote(name))
        return None

    def _why_ranked(self, name: ClassName, row: LeaderboardRow) -> str:
        rules, month = self.rules, row.month
        if name is ClassName.PHANTOM:
            return _phantom(row, rules) or ""
        if name is ClassName.VAULT or month is None:
            return _LISTED
        if name is ClassName.DORMANT:
            return f"traded {month.vlm:,.0f} USD in a month (dormant: up to {rules.dormant_volume:,.0f})"
        return (
            f"traded {month.vlm / row.account_value:,.0f} times its account value in a month and earned or lost "
            f"{_bps(month)} bps of that{'' if row.all_time is None else f', {_bps(row.all_time)} bps ever'} "
            f"(maker: from {rules.maker_turnover:g} times, up to {1e4 * rules.maker_margin:g} bps)"
        )

    def _why_seen(self, name: ClassName, position: Position, ranked_value: float) -> str:
        rules = self.rules
        match name:
            case ClassName.MARKET_MAKER:
                minutes = _watched_minutes(position)
                return (
                    f"changed its {position.symbol} position {position.changes / minutes:.1f} times a minute, over "
                    f"{minutes:,.0f} minutes (maker: from {rules.maker_changes_per_minute:g})"
                )
            case ClassName.MASTER:
                value = position.account_value or 0.0
                return (
                    f"ranked with {ranked_value:,.0f} USD, of which {value:,.0f} USD lie at the address itself, and "
                    f"holds no {position.symbol} (master: up to {100 * rules.master_share:g} %)"
                )
            case ClassName.HEDGED:
                return (
                    f"longs less shorts are {100 * (position.net_share or 0.0):.1f} % of longs and shorts together "
                    f"(hedged: up to {100 * rules.hedged_net_share:g} %)"
                )
            case _:
                return _LISTED


def _bps(of: Performance) -> str:
    return f"{1e4 * abs(of.pnl) / of.vlm:.2f}" if of.vlm > 0.0 else "0"


_LISTED = "is listed in tags.classes.vaults"


def is_busy(position: Position, rules: ClassRules) -> bool:
    """Whether a position has changed so often, for so long, that no view of the market can be behind it."""
    minutes = _watched_minutes(position)
    return minutes >= rules.maker_watched_minutes and position.changes >= rules.maker_changes_per_minute * minutes


def _watched_minutes(position: Position) -> float:
    return (position.t_ms - position.watched_from_ms) / 60_000.0


def _is_maker(row: LeaderboardRow, month: Performance, rules: ClassRules) -> bool:
    """One flat month is chance; next to nothing on all that was ever traded is a trade of its own."""
    volume = month.vlm
    return (
        0.0 < row.account_value < inf
        and rules.maker_turnover * row.account_value <= volume < inf
        and volume >= rules.maker_volume
        and volume > 0.0
        and all(abs(one.pnl) <= rules.maker_margin * one.vlm for one in (month, row.all_time) if one is not None)
    )


def _is_master(position: Position, ranked_value: float | None, rules: ClassRules) -> bool:
    """Flat, and hardly anything of the ranked money is there. A builder's dex says nothing of the main one's money."""
    value = position.account_value
    return (
        position.lots == 0
        and value is not None
        and ranked_value is not None
        and rules.master_account_value <= ranked_value < inf
        and value <= rules.master_share * ranked_value
        and ":" not in position.symbol
    )


def _phantom(row: LeaderboardRow, rules: ClassRules) -> str | None:
    """Say what no trading can have made, or None. Nearly every row leaves by comparisons alone."""
    day, week, month, ever = row.day, row.week, row.month, row.all_time
    if day is not None and week is not None and (odd := _contradiction("day", day, "week", week)):
        return odd
    if month is not None and (shorter := week or day) is not None:
        odd = _contradiction("day" if week is None else "week", shorter, "month", month)
        if odd:
            return odd
    if ever is None:
        return None
    if (shorter := month or week or day) is not None:
        name = "month" if month is not None else "day" if week is None else "week"
        if odd := _contradiction(name, shorter, "all-time", ever):
            return odd
    value = row.account_value
    if rules.phantom_account_value <= value < inf and ever.vlm <= rules.phantom_volume_share * value:
        return (
            f"{value:,.0f} USD in the account, but only {ever.vlm:,.0f} USD ever traded "
            f"(phantom: up to {100 * rules.phantom_volume_share:g} %)"
        )
    return None


def _contradiction(name: str, shorter: Performance, longer_name: str, longer: Performance) -> str | None:
    """Say what is in the shorter window and should be in the longer one, or None."""
    if shorter.vlm > longer.vlm * (1.0 + NESTED_TOLERANCE):
        return f"{name} volume {shorter.vlm:,.0f} USD, but {longer_name} volume {longer.vlm:,.0f} USD"
    if longer.vlm == 0.0 and longer.pnl == 0.0 and abs(shorter.pnl) >= LEAST_PNL_USD:
        return f"{name} pnl {shorter.pnl:,.0f} USD, but neither pnl nor volume in the {longer_name} window"
    return None
