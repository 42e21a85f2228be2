"""How far the venue's clock is from ours, as the times inside its frames show."""

import math

WINDOW_S = 300.0

FROM_THE_FUTURE_MS = 60_000
"""A frame so far ahead of the venue's clock cannot be true, and would carry the watermark away."""

JUMP_MS = 1_000.0
"""Our clock against our monotonic seconds: more than this between two frames is a step (NTP, suspend), not a drift."""

WAY_MS = 300
"""What the shortest way of a frame takes at most: half around the earth in fibre is 100 ms, and as much in queues."""

LATE_MOST_MS = 2_500
"""By so much at most an account answer's stamp may show the venue's clock ahead of what frames do: every socket may run
2 s late, and a node's stamp be skewed by some tenths. What lies beyond is the stamp's mistake."""

UNBELIEVED_S = 30.0
"""When nothing but incredible times came for so long, it is our idea of the venue's clock that is wrong."""


class ClockOffset:
    """The venue's clock minus ours, in milliseconds, less the shortest way that a frame took to us.

    A frame's time minus ours at receipt is the offset less the delay; the greatest of the last minutes is nearest.
    Where all sockets run late, the stamps of account answers, which come another way, are nearer.
    When our own clock steps, what was learned before is worth nothing, and the next frame says how far it is now.
    """

    def __init__(self) -> None:
        self._best = -math.inf
        self._before = -math.inf
        self._best_answer = -math.inf
        self._answer_before = -math.inf
        self._turned_s = 0.0
        self._last: tuple[int, float] | None = None  # our clock and monotonic seconds at the last frame
        self._doubted_since_s: float | None = None

    def believes(self, frame_ms: int, now_ms: int, now_s: float) -> bool:
        """Whether a frame's time can be true; while the offset is not known, any can."""
        self._look_for_a_jump(now_ms, now_s)
        if not self.is_known or frame_ms <= now_ms + self.ms + FROM_THE_FUTURE_MS:
            self._doubted_since_s = None
            return True
        if self._doubted_since_s is None:
            self._doubted_since_s = now_s
        if now_s - self._doubted_since_s >= UNBELIEVED_S:
            self._forget()
            return True
        return False

    def note(self, frame_ms: int, now_ms: int, now_s: float) -> None:
        """Take one frame's time, our clock's and our monotonic seconds at receipt."""
        self._look_for_a_jump(now_ms, now_s)
        if now_s - self._turned_s > WINDOW_S:
            self._turned_s, self._before, self._best = now_s, self._best, -math.inf
            self._answer_before, self._best_answer = self._best_answer, -math.inf
        self._best = max(self._best, frame_ms - now_ms)

    def note_answer(self, stamp_ms: int, now_ms: int) -> None:
        """Take an account answer's stamp and our clock at receipt."""
        if self.is_known and stamp_ms - now_ms <= self.ms + LATE_MOST_MS:
            self._best_answer = max(self._best_answer, stamp_ms - now_ms)

    @property
    def is_known(self) -> bool:
        """Whether a frame has said anything since the start, or since our clock stepped."""
        return max(self._best, self._before) > -math.inf

    @property
    def ms(self) -> int:
        """The offset; 0 before the first frame."""
        return int(max(self._best, self._before)) if self.is_known else 0

    @property
    def at_most_ms(self) -> int:
        """The offset if the shortest way was a long one: by it nothing passes for younger than it is."""
        if not self.is_known:
            return 0
        answers = max(self._best_answer, self._answer_before)
        return max(self.ms + WAY_MS, int(answers)) if answers > -math.inf else self.ms + WAY_MS

    def _look_for_a_jump(self, now_ms: int, now_s: float) -> None:
        if self._last is not None:
            last_ms, last_s = self._last
            if abs((now_ms - last_ms) - (now_s - last_s) * 1000) > JUMP_MS:
                self._forget()
        self._last = (now_ms, now_s)

    def _forget(self) -> None:
        self._best = self._before = self._best_answer = self._answer_before = -math.inf
        self._doubted_since_s = None
