"""Encoded answers that may be given again for a moment: building one costs a hundred times what sending it does."""

from collections import OrderedDict
from collections.abc import Hashable

MAX_AGE_S = 0.25
MAX_ANSWERS = 64


class Prepared:
    """Bodies by question. Time is seconds of the caller's monotonic clock."""

    def __init__(self, *, max_age_s: float = MAX_AGE_S, max_answers: int = MAX_ANSWERS) -> None:
        self._bodies: OrderedDict[Hashable, tuple[float, object, bytes]] = OrderedDict()
        self._max_age_s = max_age_s
        self._max = max_answers

    def get(self, question: Hashable, now_s: float) -> bytes | None:
        """A body that is young enough."""
        kept = self._bodies.get(question)
        if kept is None or now_s - kept[0] > self._max_age_s:
            return None
        return kept[2]

    def get_for(self, question: Hashable, source: object) -> bytes | None:
        """A body made of this very object, at any age."""
        kept = self._bodies.get(question)
        return kept[2] if kept is not None and kept[1] is source else None

    def put(self, question: Hashable, body: bytes, now_s: float, source: object = None) -> None:
        """Keep a body; the oldest question goes when there are too many."""
        self._bodies[question] = (now_s, source, body)
        self._bodies.move_to_end(question)
        while len(self._bodies) > self._max:
            self._bodies.popitem(last=False)
