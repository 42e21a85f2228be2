"""Days as numbers: whole days since 1970-01-01 UTC, and the ones that matter here."""

from datetime import UTC, date, datetime, timedelta

DAY_MS = 86_400_000
_EPOCH = date(1970, 1, 1)


def number_of(day: date) -> int:
    """2009-01-03 -> 14247."""
    return (day - _EPOCH).days


def date_of(day: int) -> date:
    """The reverse of `number_of`."""
    return _EPOCH + timedelta(days=day)


def day_at(at_ms: int) -> int:
    """The UTC day in which a moment lies."""
    return at_ms // DAY_MS


def parse_ms(text: str) -> int:
    """A date or an ISO time, UTC where it names no zone, in ms. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def iso_seconds(at_ms: int) -> str:
    """1792483200000 -> 2026-10-20T00:00:00Z, cut to whole seconds."""
    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


GENESIS = number_of(date(2009, 1, 3))  # block 0
SECOND_BLOCK = number_of(date(2009, 1, 9))  # blocks 1 and on; nothing in between
FIRST_PRICE = number_of(date(2010, 7, 18))
