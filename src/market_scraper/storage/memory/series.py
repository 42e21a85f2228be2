"""Rows in the order of their keys, for short histories in memory."""

from bisect import bisect_left, insort
from collections.abc import Iterator
from typing import Any, Generic, TypeVar

V = TypeVar("V")


class Series(Generic[V]):
    """A sorted map. Keys are tuples or numbers of one shape; most come at the end, which is quick."""

    def __init__(self) -> None:
        self._keys: list[Any] = []
        self._values: dict[Any, V] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def get(self, key: Any) -> V | None:
        """The row of this key."""
        return self._values.get(key)

    def put(self, key: Any, value: V) -> None:
        """Add or replace."""
        if key not in self._values:
            insort(self._keys, key)
        self._values[key] = value

    def ascending(self, start: Any = None) -> Iterator[V]:
        """Rows with key >= start, oldest first."""
        for at in range(0 if start is None else bisect_left(self._keys, start), len(self._keys)):
            yield self._values[self._keys[at]]

    def descending(self, before: Any = None) -> Iterator[V]:
        """Rows with key < before, newest first."""
        end = len(self._keys) if before is None else bisect_left(self._keys, before)
        for at in range(end - 1, -1, -1):
            yield self._values[self._keys[at]]

    def drop_before(self, key: Any) -> int:
        """Forget rows with a smaller key; gives how many."""
        end = bisect_left(self._keys, key)
        for old in self._keys[:end]:
            del self._values[old]
        del self._keys[:end]
        return end
