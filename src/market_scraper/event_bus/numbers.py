"""Sequence numbers that are never given twice, not even after a crash."""

from collections.abc import Awaitable, Callable

Reserve = Callable[[int], Awaitable[int]]
"""Reserve so many numbers for good and give the first; the reservation is stored when it returns.

It waits for a store that is away. Whatever it raises, `Bus.publish` raises.
"""

BLOCK = 10_000_000
"""Numbers reserved at a time: half a day of a busy coin, so that a store that is away for minutes is hardly ever needed
for one. What is left of a block at the end of a process is never given; 53 bits last for 900 million starts."""


def reserve_in_memory() -> Reserve:
    """Numbers from 1 for a bus that shares nothing with an earlier life: tests and stores without a disk."""
    reserved = 0

    async def reserve(size: int) -> int:
        nonlocal reserved
        reserved += size
        return reserved - size + 1

    return reserve


class Numbers:
    """Gives strictly increasing numbers out of reserved blocks."""

    def __init__(self, reserve: Reserve, block: int = BLOCK) -> None:
        self._reserve = reserve
        self._block = block
        self._next = 0
        self._end = 0  # one past the last reserved number
        self.oldest = 0  # the first one that this life can give, 0 before the first reservation

    @property
    def newest(self) -> int:
        """The newest number given; before the first one, the number below the oldest."""
        return max(0, self._next - 1)

    @property
    def left(self) -> int:
        """How many can be given without reserving."""
        return self._end - self._next

    def give(self, how_many: int) -> int:
        """Give `how_many` (at most `left`) numbers: the first is returned, the others follow it."""
        if how_many > self.left:
            raise ValueError(f"{how_many} numbers asked for, {self.left} reserved")
        first = self._next
        self._next += how_many
        return first

    async def refill(self) -> None:
        """Reserve the next block; what was left of the last one is skipped."""
        first = await self._reserve(self._block)
        if first < self._next or first < 1:
            raise ValueError(f"reserved numbers begin at {first}, but {self.newest} was given already")
        self._next, self._end = first, first + self._block
        self.oldest = self.oldest or first
