"""What happens between blocks: a queue of effects by moment."""

import heapq
from collections.abc import Callable


class Schedule:
    """Effects run in the order of their moment, and of their being planned within one."""

    def __init__(self) -> None:
        self._planned: list[tuple[int, int, Callable[[int], None]]] = []
        self._number = 0

    def plan(self, at_ms: int, effect: Callable[[int], None]) -> None:
        """Run `effect(at_ms)` at `at_ms`."""
        self._number += 1
        heapq.heappush(self._planned, (at_ms, self._number, effect))

    def run_until(self, at_ms: int) -> None:
        """Run everything planned up to and at `at_ms`; effects may plan more."""
        while self._planned and self._planned[0][0] <= at_ms:
            due_ms, _, effect = heapq.heappop(self._planned)
            effect(due_ms)
