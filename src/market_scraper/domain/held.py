"""One coin's tape while somebody else counts it: heard and put together all the same, and its last prints held.

Whoever takes over counts of them what is newer than the last published mark, and goes on with the very same tape: its
sockets stay open, and what it knows of their silence and of duplicates stays known.
"""

from collections import deque
from collections.abc import Sequence
from itertools import chain

from market_scraper.domain.market import Print
from market_scraper.domain.positions import TapeMark
from market_scraper.domain.tape import NOTHING, Advance, CoinTape
from market_scraper.domain.values import Symbol

HELD_MS = 900_000
"""15 venue minutes: as old may the last mark be, after a bus that was away, and still be joined."""

HELD_PRINTS = 30_000
"""6 minutes at 85 prints a second; 4.4 MB a coin (measured).

All are counted in one step when somebody takes over, half a second's work: with many more, no socket would be read and
no lease renewed for as long as either may be silent."""

HELD_LEAST = 30
"""As many as a replay brings: a quiet coin's mark may be much older than 15 minutes."""


class HeldTape:
    """A coin's tape and all prints that it let through in (whole_from_ms, watermark]."""

    def __init__(
        self,
        symbol: Symbol,
        *,
        join_window_ms: int = 2_000,
        tape: CoinTape | None = None,
        held_ms: int = HELD_MS,
        held_prints: int = HELD_PRINTS,
        held_least: int = HELD_LEAST,
    ) -> None:
        """Begin anew, or go on with a tape that was counted up to here: nothing before this moment is held then."""
        self.symbol = symbol
        self.tape = CoinTape(symbol, join_window_ms=join_window_ms) if tape is None else tape
        self._whole_from_ms = self.tape.watermark_ms
        self._chunks: deque[Sequence[Print]] = deque()  # as the tape let them through
        self._count = 0
        self._held_ms = held_ms
        self._held_prints = held_prints
        self._held_least = held_least

    def __len__(self) -> int:
        """Prints held."""
        return self._count

    @property
    def whole_from_ms(self) -> int | None:
        """From when on the tape is whole and held; None before the first replay."""
        return self._whole_from_ms

    def hear_prints(
        self,
        socket: str,
        prints: Sequence[Print],
        *,
        replay: bool,
        now_s: float,
        known_at_ms: int,
        replay_to_ms: int = -1,
    ) -> tuple[()]:
        """A trades frame of this coin, as a `CoinWatch` hears it; nothing is to be published of it."""
        del known_at_ms
        if replay:
            return self._hold(self.tape.hear_replay(socket, prints, now_s, replay_to_ms))
        return self._hold(self.tape.hear(socket, prints, now_s))

    def hear_time(self, socket: str, time_ms: int, *, now_s: float, known_at_ms: int) -> tuple[()]:
        """Another timed frame of this coin."""
        del known_at_ms
        return self._hold(self.tape.hear_time(socket, time_ms, now_s))

    def end(self, socket: str, reason: str, *, now_s: float, known_at_ms: int) -> tuple[()]:
        """This socket may have lost prints of the coin."""
        del known_at_ms
        return self._hold(self.tape.end(socket, reason, now_s))

    def take_up(self, mark: TapeMark | None, now_s: float) -> Advance:
        """Make the tape go on from the last published mark; gives what is to be counted. Nothing is held afterwards."""
        # A print that came late stands behind newer ones: who counts it now counts it in its place.
        held = sorted(chain.from_iterable(self._chunks), key=_block_time)
        self._drop_all()
        return self.tape.take_up(mark, self._whole_from_ms or 0, held, now_s)

    def _hold(self, advance: Advance) -> tuple[()]:
        if advance is NOTHING and self._whole_from_ms is not None:
            return ()
        if self._whole_from_ms is None and self.tape.watermark_ms is not None:
            self._whole_from_ms = self.tape.epoch_ms
        if advance.gap is not None:
            self._drop_all()
            self._whole_from_ms = advance.gap.until_ms
        for prints in (advance.fresh, advance.late):
            if prints:
                self._chunks.append(prints)
                self._count += len(prints)
        if self._chunks:
            self._let_go()
        return ()

    def _let_go(self) -> None:
        watermark = self.tape.watermark_ms
        assert watermark is not None, "prints were let through"
        assert self._whole_from_ms is not None
        while self._chunks:
            oldest = self._chunks[0]
            if self._count - len(oldest) < self._held_least:
                return
            if self._count <= self._held_prints and oldest[-1].time_ms >= watermark - self._held_ms:
                return
            self._chunks.popleft()
            self._count -= len(oldest)
            # The rest of a block may have come apart from its beginning: it is not held from here on either.
            self._whole_from_ms = max(self._whole_from_ms, max(map(_block_time, oldest)))

    def _drop_all(self) -> None:
        self._chunks.clear()
        self._count = 0


def _block_time(p: Print) -> int:
    return p.time_ms
