"""How untidy the venue is by default: sockets late each on its own, snapshots behind the tape with skewed stamps."""

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class UntidyOptions:
    """Milliseconds of venue time. `TIDY` below is a venue without any of it."""

    socket_delay_ms: int = 2000  # each socket wanders between 0 and this
    snapshot_lag_ms: int = 1500  # a node's state is behind the tape by 0 to this
    stamp_skew_ms: int = 400  # and its clock is off by up to this, either way
    cut_replays: bool = True  # a subscription may begin within a block: it comes cut, then again whole
    joined_blocks: float = 0.02  # share of trades frames that wait and bring two blocks (recorded: 13 of 576)


TIDY = UntidyOptions(socket_delay_ms=0, snapshot_lag_ms=0, stamp_skew_ms=0, cut_replays=False, joined_blocks=0.0)


class WanderingDelay:
    """A delay between 0 and `most_ms` that wanders slowly, from one random value to the next in 5 to 20 s."""

    def __init__(self, most_ms: int, rng: random.Random, now_ms: int) -> None:
        self._most_ms = most_ms
        self._rng = rng
        self._from = (now_ms, rng.uniform(0, most_ms))
        self._to = self._next(now_ms)

    def _next(self, now_ms: int) -> tuple[int, float]:
        return now_ms + self._rng.randint(5_000, 20_000), self._rng.uniform(0, self._most_ms)

    def at(self, now_ms: int) -> int:
        """The delay now, in ms. Asked with rising times."""
        if self._most_ms == 0:
            return 0
        while now_ms >= self._to[0]:
            self._from, self._to = self._to, self._next(self._to[0])
        (t0, d0), (t1, d1) = self._from, self._to
        share = min(1.0, max(0.0, (now_ms - t0) / (t1 - t0)))
        return int(d0 + (d1 - d0) * share)


@dataclass(frozen=True, slots=True)
class Cut:
    """A snapshot's moment: it holds all blocks up to `true_ms` and says that it is of `stamp_ms`."""

    true_ms: int
    stamp_ms: int


def snapshot_cut(options: UntidyOptions, rng: random.Random, now_ms: int) -> Cut:
    """Choose the node that answers: how far it is behind, and how wrong its clock is.

    The stamp is the node's time of answering, so it lies at most lag + skew (1,900 ms by default) off the cut.
    """
    lag = rng.randint(0, options.snapshot_lag_ms)
    skew = rng.randint(-options.stamp_skew_ms, options.stamp_skew_ms)
    return Cut(true_ms=now_ms - lag, stamp_ms=now_ms + skew)
