"""What one trader did: a position fact read as an act."""

from market_scraper.domain.events import PositionChanged
from market_scraper.domain.positions import Cause, PositionState
from market_scraper.domain.signals import Action, TraderSignal
from market_scraper.domain.values import coins

_MATCHES = (Cause.PRINT, Cause.LATE)


def act_of(changed: PositionChanged) -> TraderSignal | None:
    """Give the act, or None: no match was behind the fact (a base, a drift), or no size is known before or after.

    `confidence` is the chance that the act is what we call it: 1 where the size is exact, 1 - doubt where it is
    unsure. It says nothing of whether the trader will be right.
    """
    after, before = changed.after, changed.lots_before
    if changed.cause not in _MATCHES or before is None or after.lots is None or before == after.lots:
        return None
    size = coins(after.lots, after.sz_decimals)
    side = after.lots or before
    return TraderSignal(
        trader=after.trader,
        symbol=after.symbol,
        t_ms=after.t_ms,
        known_at_ms=changed.known_at_ms,
        tid=after.tid,
        action=_action(before, after.lots),
        direction="long" if side > 0 else "short",
        size=size,
        price=changed.px,
        confidence=1.0 if after.state is PositionState.EXACT else 1.0 - (after.doubt or 0.0),
    )


def _action(before: int, after: int) -> Action:
    if before == 0:
        return Action.OPEN
    if after == 0:
        return Action.CLOSE
    if (before > 0) != (after > 0):
        return Action.FLIP
    return Action.INCREASE if abs(after) > abs(before) else Action.DECREASE
