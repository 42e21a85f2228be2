"""Missing stretches of a series of candles."""

from collections.abc import Iterable


def missing_between(
    neighbours: Iterable[tuple[int, int]], step_ms: int, *, start_ms: int | None, end_ms: int | None
) -> list[tuple[int, int]]:
    """Give (first missing t, last missing t) between stored neighbours, oldest first, cut to start..end inclusive.

    `neighbours` are pairs of open times (milliseconds) that follow each other in store; a distance of one step is no
    gap.
    """
    found = []
    for before, after in neighbours:
        first, last = before + step_ms, after - step_ms
        if start_ms is not None and first < start_ms:
            first += -(-(start_ms - first) // step_ms) * step_ms  # up to the grid
        if end_ms is not None and last > end_ms:
            last -= -(-(last - end_ms) // step_ms) * step_ms
        if first <= last:
            found.append((first, last))
    return found
