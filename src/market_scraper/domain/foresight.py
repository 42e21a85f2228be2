"""What the answers that wait for their verdict will leave open, as far as the tape tells it by now.

A verdict waits until the watermark has passed an answer's window. But a print of the trader that lies in that window is
often known seconds before, and with it that several bases will be left. Whoever sees that asks again at once, and all
answers are judged about together. Nothing is decided here: a guess at a verdict decides only whether to ask.
"""

from collections.abc import Iterable, Sequence

import msgspec

from market_scraper.domain.book import Book

STAMP_OFF_MS = 500
"""How far a node's stamp may lie off our clock. Where it is further off, one answer more is asked for."""


class Said(msgspec.Struct, frozen=True, gc=False):
    """One account answer's word on one coin. `lots` None = a size off the lot grid."""

    time_ms: int
    lots: int | None


def will_suffice(book: Book | None, said: Iterable[Said], *, epoch_ms: int, window_ms: int) -> bool:
    """Whether the answers leave one base at most, if the trader prints no more in their windows.

    None left is a drift, of which the verdict says what to do. An answer that will be refused says nothing.
    """
    fits = None
    if book is not None and book.epoch_ms == epoch_ms and book.fits is not None:
        fits = book.fits
    for each in said:
        if each.lots is None:
            return True  # the next answer would say the same
        from_ms = each.time_ms - window_ms
        if from_ms < epoch_ms or (book is not None and each.time_ms <= book.answered_ms):
            continue
        nets = {0} if book is None else _nets(book, from_ms, each.time_ms + window_ms)
        allowed = frozenset([each.lots - net for net in nets])
        fits = allowed if fits is None else fits & allowed
    return fits is not None and len(fits) <= 1


def would_tell_more(book: Book, last_ms: int, *, venue_now_ms: int, window_ms: int) -> bool:
    """Whether an answer asked for now is likely to leave fewer bases than those up to the stamp `last_ms` do.

    It is when the trader has printed since, so that its cut is another one, or should have by the pace of late (the
    tape is a little behind); and when the trader's last print lies before its window, so that it leaves one.
    """
    recent = book.recent
    if not recent:
        return True
    newest_ms = recent[-1][0]
    if newest_ms > last_ms or newest_ms + window_ms + STAMP_OFF_MS <= venue_now_ms:
        return True
    of_late = 0
    for t_ms, _, _ in reversed(recent):
        if t_ms <= newest_ms - 2 * window_ms:
            break
        of_late += 1
    return of_late * (venue_now_ms - last_ms) >= 2 * window_ms


def _nets(book: Book, from_ms: int, to_ms: int) -> set[int]:
    """The trader's net at the window's beginning and after each of the trader's blocks in it."""
    net = book.net
    nets: set[int] = set()
    for t_ms, lots, _ in reversed(book.recent):
        if t_ms <= from_ms:
            break
        if t_ms <= to_ms:
            nets.add(net)
        net -= lots
    nets.add(net)
    return nets


def newest_ms(said: Sequence[Said]) -> int:
    """The newest stamp; there is one at least."""
    return max(each.time_ms for each in said)
