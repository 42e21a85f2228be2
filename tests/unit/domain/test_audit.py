"""Our minute bars against the venue's."""

from market_scraper.domain.audit import MinuteAudit
from market_scraper.domain.market import Candle, Print
from market_scraper.domain.values import Address

A, B = Address("0x" + "a" * 40), Address("0x" + "b" * 40)


def bar(t_ms: int, n: int, v: float) -> Candle:
    return Candle(t_ms=t_ms, o=1.0, h=1.0, l=1.0, c=1.0, v=v, n=n)


def prints(t_ms: int, *lots: int) -> list[Print]:
    return [Print(t_ms, i, n, 1.0, A, B) for i, n in enumerate(lots)]


def test_a_minute_that_agrees_says_nothing() -> None:
    audit = MinuteAudit(5)
    audit.count(prints(60_500, 10_000, 5_000))
    audit.hear(bar(60_000, 2, 0.15))
    assert audit.compare(whole_from_ms=0, watermark_ms=180_000) == []
    assert audit.compared == 1


def test_a_lost_print_is_a_mismatch_said_once() -> None:
    audit = MinuteAudit(5)
    audit.count(prints(60_500, 10_000))
    audit.hear(bar(60_000, 2, 0.15))
    (found,) = audit.compare(whole_from_ms=0, watermark_ms=180_000)
    assert (found.venue_prints, found.our_prints, found.venue_lots, found.our_lots) == (2, 1, 15_000, 10_000)
    assert audit.compare(whole_from_ms=0, watermark_ms=240_000) == []


def test_a_minute_that_we_did_not_hear_whole_is_not_compared() -> None:
    audit = MinuteAudit(5)
    audit.hear(bar(60_000, 2, 0.15))
    assert audit.compare(whole_from_ms=60_001, watermark_ms=180_000) == []
    assert audit.compared == 0


def test_a_minute_that_is_no_longer_held_is_not_compared() -> None:
    """Bars that come hours late, after an outage of REST, would all look like lost prints."""
    audit = MinuteAudit(5)
    for minute in range(1, 60):
        audit.count(prints(minute * 60_000 + 500, 10_000))
    for minute in range(1, 60):
        audit.hear(bar(minute * 60_000, 1, 0.1))
    assert audit.compare(whole_from_ms=0, watermark_ms=10_000_000) == []
    assert audit.compared >= 28


def test_a_minute_waits_until_the_tape_has_passed_it() -> None:
    audit = MinuteAudit(5)
    audit.hear(bar(60_000, 2, 0.15))
    assert audit.compare(whole_from_ms=0, watermark_ms=179_999) == []
    assert len(audit.compare(whole_from_ms=0, watermark_ms=180_000)) == 1
