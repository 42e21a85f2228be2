"""Moments as answers show them."""

from datetime import datetime
from typing import overload

from market_scraper.domain.values import from_ms


@overload
def moment(ms: int) -> datetime: ...
@overload
def moment(ms: int | None) -> datetime | None: ...
def moment(ms: int | None) -> datetime | None:
    """Milliseconds since the epoch as a UTC datetime (encoded with `Z`); None stays None."""
    return None if ms is None else from_ms(ms)
