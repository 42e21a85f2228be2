"""What may be claimed of a position now, given how far the tape is whole."""

import math
from collections.abc import Sequence

import msgspec

from market_scraper.domain.positions import Cause, Position, PositionState, TapeGap, TapeMark

EXACT_MAX_AGE_MS = 5_000
"""Default of `positions.exact_max_age_seconds`."""


class Claim(msgspec.Struct, frozen=True, gc=False):
    """The state that an answer may show, true as of `as_of_ms`."""

    state: PositionState
    doubt: float | None  # chance that the size is wrong, for unsure; None for all others
    because: Cause | None
    since_ms: int | None
    as_of_ms: int


def chance(expected: float, shape: float, spread: float) -> float:
    """The chance of at least one change where `expected` ones are, by a rate that is known as by `shape` changes.

    Two things make it less than 1 - exp(-expected): the rate is known badly, with a relative variance of 1 / shape, and
    that of now lies beside its own average, with one of `spread`. Both bend the curve as a Gamma mixture does.
    """
    sure = 1.0 / (1.0 / shape + spread)
    return -math.expm1(-sure * math.log1p(expected / sure))


def chance_of_change(
    position: Position, mark: TapeMark, watched_ms: int, missed: Sequence[TapeGap], stale_ms: float = 0.0
) -> float:
    """The chance that the trader changed in these gaps or since `stale_ms`, given its changes in `watched_ms`.

    The trader's rate is Gamma-Poisson, shrunk to everyone's: prior shape a and watch time b, k changes in T seconds.
    With a pace of 1 and no spread, no change in g seconds has the chance ((b + T) / (b + T + g))^(a + k) (decision 8).
    """
    shape = mark.rate_shape + position.changes
    watched_s = mark.rate_watch_s + max(0, watched_ms) / 1000
    paced_ms, spread = mark.pace * stale_ms, mark.spread
    for gap in missed:
        pace, own = (mark.pace, mark.spread) if gap.pace is None else (gap.pace, gap.spread or 0.0)
        unheard_ms = pace * (gap.until_ms - gap.since_ms)
        paced_ms += unheard_ms
        if paced_ms > 0:  # each by its part of the changes expected
            spread += (own - spread) * unheard_ms / paced_ms
    return chance(shape * (paced_ms / 1000) / watched_s, shape, spread)


def claim(position: Position, mark: TapeMark, venue_now_ms: int, *, exact_max_age_ms: int = EXACT_MAX_AGE_MS) -> Claim:
    """Say what is known of `position` when the tape stands at `mark` and the venue's clock at `venue_now_ms`.

    Both must come from one applied prefix of the coin's stream. `as_of` is the newest block up to which all of
    the trader's prints are in: the watermark, or the position's own fact where that is newer.
    """
    as_of = max(mark.watermark_ms, position.t_ms)
    if position.state is PositionState.UNKNOWN:
        return Claim(PositionState.UNKNOWN, None, None, None, as_of)
    missed: list[TapeGap] = []
    if mark.epoch_ms > position.epoch_ms:
        missed = [gap for gap in mark.gaps if gap.until_ms > position.epoch_ms]
    stale = venue_now_ms - as_of > exact_max_age_ms
    if mark.halted_since_ms is not None:  # who was nearly sure knows no more of a settlement than who was exact
        return Claim(PositionState.UNSURE, 1.0, Cause.HALT, mark.halted_since_ms, as_of)
    if position.state is PositionState.EXACT and not missed and not stale and mark.epoch_ms <= position.epoch_ms:
        return Claim(PositionState.EXACT, None, None, None, as_of)

    # Changes are counted up to the gap, and again after it: who printed since was heard that much longer.
    watched_ms = max(missed[0].since_ms if missed else as_of, position.t_ms) - position.watched_from_ms
    watched_ms -= sum(gap.until_ms - gap.since_ms for gap in missed if gap.until_ms <= position.t_ms)
    stale_ms = max(0, venue_now_ms - as_of) if stale else 0
    grown = chance_of_change(position, mark, watched_ms, missed, stale_ms)
    doubt = 1 - (1 - (position.doubt or 0.0)) * (1 - grown)
    if position.state is PositionState.UNSURE:
        return Claim(PositionState.UNSURE, doubt, position.because, position.since_ms, as_of)
    if missed:
        return Claim(PositionState.UNSURE, doubt, Cause.GAP, missed[0].since_ms, as_of)
    if stale:
        return Claim(PositionState.UNSURE, doubt, Cause.STALE, as_of, as_of)
    return Claim(PositionState.UNSURE, 1.0, Cause.GAP, position.epoch_ms, as_of)  # older gaps are forgotten
