"""When two facts of one position may become one, because there is no room for both."""

import msgspec

from market_scraper.domain.events import PositionChanged


def merged(older: PositionChanged, newer: PositionChanged) -> PositionChanged | None:
    """One fact for two neighbours of the same trader and coin, or None where history would lose a turn.

    It keeps the first `lots_before` and the newest `after`. Never across zero (open, close, flip), a change of state
    or of cause; never into an older version.
    """
    a, b = older.after, newer.after
    if b.version <= a.version or a.state is not b.state or a.because is not b.because or older.cause is not newer.cause:
        return None
    if a.lots is None or b.lots is None:
        if a.lots is not b.lots:
            return None
    elif len({_sign(lots) for lots in (older.lots_before, a.lots, b.lots) if lots is not None}) > 1:
        return None
    return msgspec.structs.replace(newer, lots_before=older.lots_before, merged=older.merged + newer.merged + 1)


def _sign(lots: int) -> int:
    return (lots > 0) - (lots < 0)
