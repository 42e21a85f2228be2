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
from itertools import islice, pairwise
from operator import attrgetter

import msgspec

from market_scraper.domain.market import Print
from market_scraper.domain.positions import TapeGap, TapeMark
from market_scraper.domain.values import Symbol

KEYS_HELD = 10_000
"""Prints remembered per coin, by whole blocks. By count, so that a quiet coin's hours-old replay is known too."""

SILENCE_S = 4.0
"""`allMids` comes every 2 s (facts 4.3) and a socket may run 2 s late: silence that long means a loss."""

PACE_BLOCKS, PACE_BLOCKS_LEAST = 32, 8
"""Blocks whose mean distance says how often the coin trades, and with how few of them a beginning says so."""

UNUSUAL = 10.0
"""Mean distances without a print that are unusual: of independent prints one stretch in 22,000 is as long."""

UNUSUAL_MOST_S = 60.0
"""So long a silence is looked into on any coin."""

FRAMES_HELD = 128
"""Whole blocks that are known by the very object that brought them, until all sockets have brought it: seconds of a
busy coin. Older ones are told print by print."""

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
    heard_s: float  # its trades spoke last
    replay_to_ms: int  # a frame with no newer block may belong to the replay: its newest may be cut
    held: list[Print] = field(default_factory=list)  # heard, but newer than the watermark or perhaps a cut block
    joined: bool = False
    missed_since_s: float | None = None  # other sockets have brought prints that this one has not, since then


_Tids = tuple[int, ...] | set[int]
"""A block's prints: of one that came whole a tuple, a quarter of a set's memory, until somebody asks about it."""


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
        self._seen: dict[int, _Tids] = {}  # by block time
        self._order: deque[int] = deque()  # block times as they were first heard of
        self._remembered = 0  # prints in them
        self._frames: dict[int, Sequence[Print]] = {}  # by block time: what brought a whole block
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

    def hear_replay(self, socket: str, prints: Sequence[Print], now_s: float, replay_to_ms: int = -1) -> Advance:
        """Open the socket's interval with the first frame after a subscribe.

        Nothing says that a replay is one frame: `replay_to_ms` is the newest block that one yet to come may bring.
        Its oldest block may be cut at the front and its newest at the end; the newest then comes again, whole.
        """
        self._intervals.pop(socket, None)
        if not prints:
            return NOTHING
        prints = _in_order(prints)
        oldest, newest = prints[0].time_ms, prints[-1].time_ms
        interval = _Interval(oldest, max(oldest, newest - 1), heard_s=now_s, replay_to_ms=replay_to_ms)
        interval.held = [p for p in prints if p.time_ms > oldest]
        self.counts.before_start += len(prints) - len(interval.held)
        self._intervals[socket] = interval
        if self._watermark_ms is None:
            self._watermark_ms = self._epoch_ms = self._floor_ms = oldest
        advance = self._settle(now_s)
        if oldest <= self._epoch_ms:  # never to be counted: known, so that its coming again is a duplicate
            tids = self._tids(oldest)
            for p in prints:
                if p.time_ms == oldest and p.tid not in tids:
                    tids.add(p.tid)
                    self._remembered += 1
        return advance

    def hear(self, socket: str, prints: Sequence[Print], now_s: float) -> Advance:
        """Take a live frame: whole blocks. Without an open interval it is no use and is left alone.

        One that breaks a silence past believing ends the interval: what was printed meanwhile it may not have brought.
        """
        interval = self._intervals.get(socket)
        if interval is None or not prints:
            return NOTHING
        if now_s - interval.heard_s >= self._silence_s and now_s - interval.heard_s >= 2 * self._unusual_s():
            return self.end(socket, "mute", now_s)  # perhaps: nobody knows what it has missed meanwhile
        interval.missed_since_s = None
        interval.heard_s = now_s
        newest = prints[-1].time_ms
        if len(prints) > 1 and prints[0].time_ms != newest:
            prints = _in_order(prints)
            newest = prints[-1].time_ms
        is_replay = newest <= interval.replay_to_ms  # perhaps
        whole_ms = newest - 1 if is_replay else newest
        if whole_ms > interval.progress_ms:
            interval.progress_ms = whole_ms
        if not interval.joined or interval.held or is_replay:
            interval.held.extend(prints)
            if len(interval.held) > HELD_LIMIT:
                return self.end(socket, "held_too_much", now_s)
            advance = self._settle(now_s)
            if not interval.joined:  # those that it waits for may be mute: then they never reach it
                self._note_missed(newest, now_s)
            return advance
        if self._frames.get(newest) is prints:  # another socket's copy: half of all frames, or more
            for other in self._intervals.values():
                if other.progress_ms < newest:
                    break
            else:  # all have brought it: what is let go at once stays in the processor's caches, 8 % of the whole way
                del self._frames[newest]
            self.counts.duplicates += len(prints)
            return self._moved(interval, (), (), now_s) if interval.progress_ms > self._whole_ms else NOTHING
        fresh, late = self._count(prints)
        return self._moved(interval, fresh, late, now_s)

    def hear_time(self, socket: str, time_ms: int, now_s: float) -> Advance:
        """Take another timed frame of this coin on that socket: on a quiet coin it moves the watermark too.

        Not while others have brought prints that this one has not, nor once its trades have been out for twice an
        unusual time: they may be mute, and its word worth nothing.
        """
        interval = self._intervals.get(socket)
        if interval is None or time_ms - self._window_ms <= interval.progress_ms:
            return NOTHING
        if interval.missed_since_s is not None or now_s - interval.heard_s >= 2 * self._unusual_s():
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

    def take_up(self, mark: TapeMark | None, whole_from_ms: int, heard: Sequence[Print], now_s: float) -> Advance:
        """Go on as the tape whose last published mark this is; give what counts of what was heard meanwhile.

        `heard`: all that was let through here in (whole_from_ms, watermark], by rising block time. What is not newer
        than the mark was counted by whoever published it. A mark from before `whole_from_ms` is a gap up to there.
        """
        self.counts = TapeCounts()
        watermark = self._watermark_ms
        if mark is None:
            self._gaps.clear()
            if watermark is None:
                return NOTHING
            self._epoch_ms = whole_from_ms
            self._floor_ms = max(self._floor_ms, whole_from_ms)
            return self._counting(heard, whole_from_ms, None, now_s)
        self._gaps = deque(mark.gaps, maxlen=GAPS_KEPT)
        self._epoch_ms = mark.epoch_ms
        self._floor_ms = max(self._floor_ms, mark.watermark_ms)
        gap = None
        if watermark is None or watermark <= mark.watermark_ms:
            self._watermark_ms = mark.watermark_ms  # its sockets were ahead of ours
        elif whole_from_ms > mark.watermark_ms:
            gap = self._break(mark.watermark_ms, whole_from_ms)
            self._watermark_ms = watermark
        return self._counting(heard, mark.watermark_ms if gap is None else gap.until_ms, gap, now_s)

    def _counting(self, heard: Sequence[Print], from_ms: int, gap: TapeGap | None, now_s: float) -> Advance:
        """The end of `take_up`: a mark ahead of ours may let intervals join that could not before."""
        counted = [p for p in heard if p.time_ms > from_ms]
        self.counts.prints += len(counted)
        rest = self._settle(now_s)
        return Advance((*counted, *rest.fresh), rest.late, gap or rest.gap)

    def count_gap(self, gap: TapeGap, pace: float, spread: float) -> bool:
        """The gap's own pace and spread are known now; False when it is forgotten, or had them before."""
        if gap.pace is not None or gap not in self._gaps:
            return False
        self._gaps[self._gaps.index(gap)] = TapeGap(gap.since_ms, gap.until_ms, pace, spread)
        return True

    def silent(self, now_s: float) -> list[str]:
        """Sockets whose prints of this coin stay out while others bring them: to be ended and subscribed anew."""
        return [
            socket
            for socket, interval in self._intervals.items()
            if interval.missed_since_s is not None and now_s - interval.missed_since_s >= self._silence_s
        ]

    def quiet(self, now_s: float) -> tuple[str, bool] | None:
        """The socket to subscribe anew where no trades have spoken for an unusually long time: its replay tells.

        Usually nobody trades; but were the trades mute on all sockets, nothing else would show it. With it, whether
        that is past believing: a coin that trades every few seconds has been silent for twice an unusual time.
        """
        if not self._intervals:
            return None
        silent_s = now_s - max(interval.heard_s for interval in self._intervals.values())
        unusual_s = self._unusual_s()
        if silent_s < unusual_s:
            return None
        longest = min(self._intervals, key=lambda socket: self._intervals[socket].heard_s)
        return longest, silent_s >= 2 * unusual_s and unusual_s < UNUSUAL_MOST_S

    def _unusual_s(self) -> float:
        """How long a silence is unusual, by how often the coin traded of late."""
        blocks, unusual_s = self._order, UNUSUAL_MOST_S
        many = min(len(blocks) - 1, PACE_BLOCKS)
        if many >= PACE_BLOCKS_LEAST:
            unusual_s = UNUSUAL * max(0, blocks[-1] - blocks[-1 - many]) / many / 1000
        return max(self._silence_s, min(unusual_s, UNUSUAL_MOST_S))

    def _unheard_before(self, interval: _Interval) -> TapeGap | None:
        """The gap that an interval about to join shows: its oldest block is one that nobody brought.

        The watermark passed it all the same, so that the trades of those that moved it were mute for a while, and what
        was printed before that block is nowhere to be had.
        """
        start_ms = interval.start_ms
        if start_ms in self._seen or not max(self._epoch_ms, self._floor_ms) < start_ms < self._whole_ms:
            return None
        known = (t_ms for t_ms in islice(reversed(self._order), PACE_BLOCKS) if t_ms < start_ms)  # late ones: no order
        return self._break(max(known, default=self._epoch_ms), self._whole_ms)

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
                    gap = self._unheard_before(interval) or gap
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
        gap = None
        if interval.progress_ms > self._whole_ms:
            self._watermark_ms = interval.progress_ms
            for other in self._intervals.values():
                if not other.joined:
                    rest = self._settle(now_s)
                    fresh, late, gap = (*fresh, *rest.fresh), (*late, *rest.late), rest.gap
                    break
        if fresh:
            self._note_missed(fresh[-1].time_ms, now_s)
        elif not late and gap is None:
            return NOTHING
        return Advance(tuple(fresh), tuple(late), gap)

    def _count(self, prints: Sequence[Print]) -> tuple[Sequence[Print], Sequence[Print]]:
        """Sort what was never seen into fresh and late ones, and remember it."""
        if not prints:
            return (), ()
        time_ms = prints[0].time_ms
        if time_ms not in self._seen and time_ms > self._whole_ms:
            # Nearly all that is new is one whole block: told at once, the tape costs a third less.
            tids = {p.tid for p in prints if p.time_ms == time_ms}
            how_many = len(tids)
            if how_many == len(prints):
                self._seen[time_ms] = tuple(tids)
                self._order.append(time_ms)
                self._remembered += how_many
                if self._remembered > self._keys_held:
                    self._forget()
                if type(prints) is tuple:  # else it might change under us
                    self._frames[time_ms] = prints
                    if len(self._frames) > FRAMES_HELD:
                        del self._frames[next(iter(self._frames))]
                self.counts.prints += how_many
                return prints, ()
        return self._count_each(prints)

    def _count_each(self, prints: Iterable[Print]) -> tuple[list[Print], list[Print]]:
        counts = self.counts
        watermark = self._whole_ms
        known_from_ms = max(self._floor_ms, self._epoch_ms)
        fresh: list[Print] = []
        late: list[Print] = []
        for p in prints:
            if p.time_ms in self._seen and p.tid in self._tids(p.time_ms):
                counts.duplicates += 1
                continue
            if p.time_ms > watermark:
                fresh.append(p)
            elif p.time_ms > known_from_ms:
                late.append(p)
            else:
                counts.before_start += 1
                continue
            self._tids(p.time_ms).add(p.tid)
            self._remembered += 1
        self._forget()
        counts.prints += len(fresh) + len(late)
        counts.late += len(late)
        return fresh, late

    def _tids(self, time_ms: int) -> set[int]:
        """A block's prints, to be asked and added to."""
        tids = self._seen.get(time_ms)
        if type(tids) is set:
            return tids
        if tids is None:
            self._order.append(time_ms)
            tids = ()
        self._seen[time_ms] = asked = set(tids)
        return asked

    def _forget(self) -> None:
        """Let the oldest blocks go while `keys_held` prints remain without them."""
        order = self._order
        while order and self._remembered - len(self._seen.get(order[0], ())) >= self._keys_held:
            gone_ms = order.popleft()
            self._remembered -= len(self._seen.pop(gone_ms, ()))
            self._floor_ms = max(self._floor_ms, gone_ms)

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
                if interval.held and any(p.time_ms >= newest_ms for p in interval.held):
                    continue  # its replay did: only whether that block is whole is not known yet
                interval.missed_since_s = now_s


def _in_order(prints: Sequence[Print]) -> Sequence[Print]:
    """By rising block time, whatever order the venue chose; within a block as they came."""
    if all(earlier.time_ms <= later.time_ms for earlier, later in pairwise(prints)):
        return prints
    return sorted(prints, key=attrgetter("time_ms"))
