"""What one process spent of the venue's budget, told to the process that takes over. Pure: time is an argument.

The venue counts by IP, whoever asks. So the active process leaves with its lease what still counts of its requests,
again and again, and its successor counts that as its own: together they stay within one budget. Where no lease is
shared, who starts again on the same store reads it in a file: see `spent_file`.
"""

import math

import msgspec

from market_scraper.connectors.hyperliquid.limits import (
    ALL,
    MARGIN_S,
    UNANSWERED_S,
    UNTOLD_S,
    UNTOLD_WEIGHT,
    WEIGHT_PER_MINUTE,
    WINDOW_S,
    WeightBudget,
)

COUNTS_AT_MOST_S = UNANSWERED_S + WINDOW_S + MARGIN_S
"""How long after it was sent a request may count."""

ALONE_AT_MOST_MS = 600_000
"""A process that is cut off from the bus goes on alone; nobody has been for longer than this and died just now."""

BLOCKED_AT_MOST_MS = 3_600_000
"""The longest silence that a venue's Retry-After is taken to ask for."""


class Spending(msgspec.Struct, frozen=True, kw_only=True):
    """What counts still, at a moment of the venue's clock."""

    teller: str
    at_ms: int
    ends_s: dict[str, dict[int, int]]  # kind -> whole seconds after at_ms until it ends -> weight
    blocked_s: float = 0.0  # after at_ms
    ended: bool = False  # nothing was sent after at_ms


def tell(budget: WeightBudget, teller: str, *, now_s: float, venue_now_ms: int, ended: bool = False) -> bytes:
    """What the successor needs to know now; a few kB at most. `teller` names this budget among all.

    `ended`: these are the last words, nothing more is sent.
    """
    ends: dict[str, dict[int, int]] = {}
    for kind, told in budget.told(now_s).items():
        for ends_in_s, cost in told:
            by_second = ends.setdefault(kind, {})
            second = math.ceil(ends_in_s)
            by_second[second] = by_second.get(second, 0) + cost
    return msgspec.json.encode(
        Spending(teller=teller, at_ms=venue_now_ms, ends_s=ends, blocked_s=budget.blocked_for_s(now_s), ended=ended)
    )


def take_up(
    budget: WeightBudget,
    teller: str,
    left: bytes | None,
    *,
    now_s: float,
    venue_now_ms: int,
    active_ms: int | None,
    usual_ms: int,
) -> None:
    """Count what the predecessor spent, before the first request of our own; from now on we tell, too.

    `left` is what it told last. If it ended as processes do, these were its last words, or it told them `usual_ms` ago
    at most. Else it may have been cut off and gone on alone, and where nothing was left though somebody was active at
    `active_ms` nothing is known: then a whole budget may be spent, and we are careful. Until that counts no more we
    send only what the venue allows beyond one.
    """
    budget.share()
    told = _read(left)
    if told is None:
        _be_careful(budget, now_s, venue_now_ms, active_ms)
    elif told.teller == teller:
        return  # nobody was active since we were
    elif told.ended or venue_now_ms - told.at_ms <= usual_ms:
        _believe(budget, now_s, venue_now_ms, told)
    elif venue_now_ms - told.at_ms <= ALONE_AT_MOST_MS:
        _be_careful(budget, now_s, venue_now_ms, venue_now_ms)


def _believe(budget: WeightBudget, now_s: float, venue_now_ms: int, told: Spending) -> None:
    age_s = (venue_now_ms - told.at_ms) / 1000
    for kind, ends in told.ends_s.items():
        for after_s, cost in ends.items():
            budget.hold(now_s, kind, after_s - age_s, cost)
    if not told.ended:
        budget.hold(now_s, ALL, UNTOLD_S + COUNTS_AT_MOST_S - age_s, UNTOLD_WEIGHT)
    if told.blocked_s > age_s:
        budget.block(now_s, told.blocked_s - age_s)


def _be_careful(budget: WeightBudget, now_s: float, venue_now_ms: int, active_ms: int | None) -> None:
    for ends_ms, weight in unknown_spending(budget.limit, active_ms):
        budget.hold(now_s, ALL, (ends_ms - venue_now_ms) / 1000, weight)


def unknown_spending(limit: int, active_ms: int | None) -> list[tuple[int, int]]:
    """What may count of somebody who had the same `limit` and was active last at `active_ms` (None = never).

    As (venue ms until which it may count, weight). It may have spent all in its last moment; the rest of what the venue
    allows is left.
    """
    if active_ms is None:
        return []
    return [(active_ms + round(COUNTS_AT_MOST_S * 1000), max(0, 2 * limit - WEIGHT_PER_MINUTE))]


def _read(left: bytes | None) -> Spending | None:
    """None where it cannot be read: another version may have left it."""
    if left is None:
        return None
    try:
        return msgspec.json.decode(left, type=Spending)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
