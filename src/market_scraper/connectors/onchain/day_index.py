"""Days as the sources write them: as text, and as Bitview's `day1` index, which is not linear from genesis.

Index 0 is 2009-01-03 (the genesis block), index 1 is 2009-01-09 (the next block), then one a day (brk_types, 2026-06).
Public code that counts days from 2009-01-01 or -03 is days off.
"""

import re
from datetime import date

from market_scraper.connectors.onchain.sieve import FIRST_BLOCK_MS
from market_scraper.domain.errors import InvalidInput
from market_scraper.domain.onchain import DAY_MS

SECOND_DAY_MS = 1_231_459_200_000
"""2009-01-09."""

_EPOCH = date(1970, 1, 1).toordinal()

# Coin Metrics' API gives nine fractional digits; its CSV and Bitview's `date` give no time of day at all.
_DAY = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[T ]00:00:00(?:\.0{1,9})?(?:Z|\+00:00)?)?")


def day_of_index(index: int) -> int:
    """00:00 UTC, in ms, of a `day1` index that is not negative."""
    return FIRST_BLOCK_MS if index == 0 else SECOND_DAY_MS + (index - 1) * DAY_MS


def day_of_text(raw: object) -> int:
    """00:00 UTC, in ms, of `2026-10-19` or `2026-10-19T00:00:00.000000000Z`. Raises InvalidInput, also for hours."""
    found = _DAY.fullmatch(raw) if isinstance(raw, str) else None
    if found is not None:
        try:
            return (date.fromisoformat(found[1]).toordinal() - _EPOCH) * DAY_MS
        except ValueError:
            pass  # as the 30th of February
    raise InvalidInput(f"{repr(raw)[:40]} is no day")
