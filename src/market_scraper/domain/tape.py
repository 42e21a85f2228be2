"""One coin's tape, put together from several sockets that each may come late, repeat, fall silent or end.

Several sockets carry the same subscription. Each has a *covered interval* of block times in which it missed nothing:
it opens after the oldest block of the replay that follows a subscribe (that block may be cut), grows with every live
frame (which brings whole blocks), and ends when the socket may have lost something. An interval is *joined* when it
reaches back to the watermark, the newest block time up to which the tape is whole; only joined intervals move it.
What an interval that is not joined yet brings is held back, so that nothing newer than the watermark ever counts.
When no interval reaches back to the watermark, there is a gap, which begins at the watermark.

Identity of a print is (coin, time, tid), never its order (facts 4.4); order is order of arrival. No I/O, no clock:
`now_s` are monotonic seconds, all other times are block times in milliseconds.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import msgspec

from market_scraper.domain.market import Print
from market_scraper.domain.positions import TapeGap, TapeMark
from market_scraper.domain.values import Symbol

KEYS_HELD = 10_000
"""Prints remembered per coin. By count, so that a quiet coin's hours-old replay is known too."""

SILENCE_S = 4.0
"""`allMids` comes every 2 s (facts 4.3) and a socket may run 2 s late: silence that long means a loss."""

GAPS_KEPT = 256

HELD_LIMIT = 50_000
"""Prints that one interval may hold back before it is given up: 10 minutes of a busy coin."""


class Advance(msgspec.Struct, frozen=True, gc=False):
    """What one step gave: prints to count, in order, after `gap` if there is one."""

    fresh: tuple[Print, ...] = ()
    late: tuple[Print, ...] = ()  # the watermark had passed them: claims in between were wrong
    gap: TapeGap | None = None


NOTHING = Advance()


@dataclass(slots=True)
class _Interval:
    """What one socket covers: all blocks in (start_ms, progress_ms]."""

    start_ms: int
    progress_ms: int
    held: list[Print] = field(default_factory=list)  # heard, but newer than the watermark or perhaps a cut block
    joined: bool = False
    missed_since_s: float | None = None  # other sockets have brought prints that this one has not, since then


@dataclass(slots=True)
class TapeCounts:
    """What happened so far, for health and metrics."""

    prints: int = 0
    duplicates: int = 0
    late: int = 0
    before_start: int = 0  # older than anything we may count: dropped
    gaps: int = 0
    ended: dict[str, int] = field(default_factory=dict)  # intervals by reason


class CoinTape:
    """The tape of one coin. Every method that hears something gives an Advance; count it before the next call."""

    def __init__(
        self,
        symbol: Symbol,
        *,
        mark: TapeMark | None = None,
        join_window_ms: int = 2_000,
        silence_s: float = SILENCE_S,
        keys_held: int = KEYS_HELD,
    ) -> None:
        """Begin anew, or where `mark` stood: no print at or before a mark is ever counted again."""
        self.symbol = symbol
        self.counts = TapeCounts()
        self._window_ms = join_window_ms
        self._silence_s = silence_s
        self._keys_held = keys_held
        self._watermark_ms = None if mark is None else mark.watermark_ms
        self._epoch_ms = 0 if mark is None else mark.epoch_ms
        self._gaps: deque[TapeGap] = deque(() if mark is None else mark.gaps, maxlen=GAPS_KEPT)
        self._floor_ms = -1 if mark is None else mark.watermark_ms  # prints at or before it cannot be told apart
        self._seen: set[tuple[int, int]] = set()
        self._order: deque[tuple[int, int]] = deque()
        self._intervals: dict[str, _Interval] = {}

    # -- what is known -------------------------------------------------------------------------------------------

    @property
    def watermark_ms(self) -> int | None:
        """The newest block time up to which the tape is whole; None before the first replay."""
        return self._watermark_ms

    @property
    def epoch_ms(self) -> int:
        """Where the present whole stretch began: blocks in (epoch, watermark] are all counted."""
        return self._epoch_ms

    @property
    def gaps(self) -> tuple[TapeGap, ...]:
        """The last gaps, oldest first."""
        return tuple(self._gaps)

    def covered_by(self) -> list[str]:
        """Sockets with an open interval that has joined."""
        return [socket for socket, interval in self._intervals.items() if interval.joined]

    def has_interval(self, socket: str) -> bool:
        """Whether this socket's interval is open, joined or not."""
        return socket in self._intervals

    # -- what is heard -------------------------------------------------------------------------------------------

    def hear_replay(self, socket: str, prints: Sequence[Print], now_s: float) -> Advance:
        """Open the socket's interval with the first frame after a subscribe.

        Its oldest block may be cut at the front and its newest at the end; the newest then comes again, whole.
        """
        self._intervals.pop(socket, None)
        if not prints:
            return NOTHING
        oldest = min(p.time_ms for p in prints)
        newest = max(p.time_ms for p in prints)
        interval = _Interval(start_ms=oldest, progress_ms=max(oldest, newest - 1))
        interval.held = [p for p in prints if p.time_ms > oldest]
        self.counts.before_start += len(prints) - len(interval.held)
        self._intervals[socket] = interval
        if self._watermark_ms is None:
            self._watermark_ms = self._epoch_ms = self._floor_ms = oldest
        advance = self._settle(now_s)
        if oldest <= self._epoch_ms:  # never to be counted: known, so that its coming again is a duplicate
            for p in prints:
                if p.time_ms == oldest and (key := (p.time_ms, p.tid)) not in self._seen:
                    self._seen.add(key)
                    self._order.append(key)
        return advance

    def hear(self, socket: str, prints: Sequence[Print], now_s: float) -> Advance:
        """Take a live frame: whole blocks. Without an open interval it is no use and is left alone."""
        interval = self._intervals.get(socket)
        if interval is None or not prints:
            return NOTHING
        interval.missed_since_s = None
        newest = prints[-1].time_ms
        if len(prints) > 1 and prints[0].time_ms != newest:
            newest = max(p.time_ms for p in prints)
        interval.progress_ms = max(interval.progress_ms, newest)
        if not interval.joined or interval.held:
            interval.held.extend(prints)
            if len(interval.held) > HELD_LIMIT:
                return self.end(socket, "held_too_much", now_s)
            return self._settle(now_s)
        fresh, late = self._count(prints)
        return self._moved(interval, fresh, late, now_s)

    def hear_time(self, socket: str, time_ms: int, now_s: float) -> Advance:
        """Take another timed frame of this coin on that socket: on a quiet coin it moves the watermark too.

        Not while others have brought prints that this one has not: its trades may be mute, and its word worth nothing.
        """
        interval = self._intervals.get(socket)
        if interval is None or time_ms - self._window_ms <= interval.progress_ms:
            return NOTHING
        if interval.missed_since_s is not None:
            return NOTHING
        interval.progress_ms = time_ms - self._window_ms
        if not interval.joined or interval.held:
            return self._settle(now_s)
        return self._moved(interval, (), (), now_s)

    def end(self, socket: str, reason: str, now_s: float) -> Advance:
        """End the socket's interval: prints may have been lost there. May bring a gap to light."""
        if self._intervals.pop(socket, None) is None:
            return NOTHING
        self.counts.ended[reason] = self.counts.ended.get(reason, 0) + 1
        return self._settle(now_s)

    def cut(self, since_ms: int) -> TapeGap:
        """Something happened off the tape since then: begin a new whole stretch at the watermark."""
        return self._break(since_ms, self._whole_ms)

    def silent(self, now_s: float) -> list[str]:
        """Sockets whose prints of this coin stay out while others bring them: to be ended and subscribed anew."""
        return [
            socket
            for socket, interval in self._intervals.items()
            if interval.missed_since_s is not None and now_s - interval.missed_since_s >= self._silence_s
        ]

    # -- how it is put together ----------------------------------------------------------------------------------

    def _settle(self, now_s: float) -> Advance:
        """Join what reaches back to the watermark and take what it held, until nothing moves; else find the gap."""
        watermark = self._watermark_ms
        if watermark is None or not self._intervals:
            return NOTHING
        fresh: list[Print] = []
        late: list[Print] = []
        gap: TapeGap | None = None
        if not any(i.joined or i.start_ms <= watermark for i in self._intervals.values()):
            gap = self._break(watermark, min(i.start_ms for i in self._intervals.values()))
        moved = True
        while moved:
            moved = False
            for interval in self._intervals.values():
                if not interval.joined and interval.start_ms <= self._whole_ms:
                    interval.joined = moved = True
                if interval.joined and interval.held:
                    now_whole = [p for p in interval.held if p.time_ms <= interval.progress_ms]
                    if now_whole:
                        interval.held = [p for p in interval.held if p.time_ms > interval.progress_ms]
                        newly, tardy = self._count(now_whole)
                        fresh += newly
                        late += tardy
                if interval.joined and interval.progress_ms > self._whole_ms:
                    self._watermark_ms = interval.progress_ms
                    moved = True
        if fresh:
            self._note_missed(fresh[-1].time_ms, now_s)
        return Advance(tuple(fresh), tuple(late), gap)

    @property
    def _whole_ms(self) -> int:
        assert self._watermark_ms is not None
        return self._watermark_ms

    def _moved(self, interval: _Interval, fresh: Sequence[Print], late: Sequence[Print], now_s: float) -> Advance:
        """The short way for a joined interval that holds nothing back."""
        if interval.progress_ms > self._whole_ms:
            self._watermark_ms = interval.progress_ms
            if any(not other.joined for other in self._intervals.values()):
                rest = self._settle(now_s)
                fresh, late = (*fresh, *rest.fresh), (*late, *rest.late)
        if fresh:
            self._note_missed(fresh[-1].time_ms, now_s)
        elif not late:
            return NOTHING
        return Advance(tuple(fresh), tuple(late))

    def _count(self, prints: Iterable[Print]) -> tuple[list[Print], list[Print]]:
        """Sort what was never seen into fresh and late ones, and remember it."""
        seen, order = self._seen, self._order
        watermark = self._whole_ms
        counts = self.counts
        fresh: list[Print] = []
        late: list[Print] = []
        for p in prints:
            key = (p.time_ms, p.tid)
            if key in seen:
                counts.duplicates += 1
                continue
            if p.time_ms > watermark:
                fresh.append(p)
            elif p.time_ms > self._floor_ms and p.time_ms > self._epoch_ms:
                late.append(p)
            else:
                counts.before_start += 1
                continue
            seen.add(key)
            order.append(key)
        while len(order) > self._keys_held:
            dropped = order.popleft()
            seen.discard(dropped)
            if dropped[0] > self._floor_ms:
                self._floor_ms = dropped[0]
        counts.prints += len(fresh) + len(late)
        counts.late += len(late)
        return fresh, late

    def _break(self, since_ms: int, until_ms: int) -> TapeGap:
        """Nobody heard (since, until]: a new whole stretch begins at `until_ms`."""
        gap = TapeGap(since_ms, until_ms)
        self._gaps.append(gap)
        self.counts.gaps += 1
        self._watermark_ms = self._epoch_ms = until_ms
        return gap

    def _note_missed(self, newest_ms: int, now_s: float) -> None:
        """Start the clock of every socket that has not brought the newest print yet."""
        for interval in self._intervals.values():
            if interval.progress_ms < newest_ms and interval.missed_since_s is None:
                interval.missed_since_s = now_s
