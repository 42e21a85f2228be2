"""When a question may be put: with a reserve in hand for the moment after a gap, and evenly where it runs low."""

AUDITS_LEAVE = 1 / 6
"""Of a minute's questions. Audits spend the rest at most: a minute that is spent cannot be spent again.

A gap of 20 s leaves a third of a minute unspent besides. At a third left here, audits came so late that a gap took the
bases of 4 in 12 traders who had changed off the tape before anybody had noticed.
"""

EVENLY_BELOW = 1 / 6
"""With less room than this, questions come evenly: what is wanted a moment later shall not find everything spent."""

AT_ONCE = 5 / 6
"""Of a minute's questions: what may be saved up, while there is room that nobody uses, and be put all at once.

It comes back as fast as a minute's questions would be spent evenly, less those that are put. Without this all that
comes free a minute after a flood was spent at once again, and so on for ever; a gap that fell right before the next
flood found next to nothing left to ask with for 6 s.
"""

AGAIN_ONLY_BELOW = 1 / 10
"""With less than this, only those are asked who were asked already, and whose answers leave several bases."""


class Pace:
    """Who may be asked now, by why. `room`: how many questions the venue's budget would let through at once.

    After a gap everybody is wanted at once, and most of all |size| lies with some dozens of traders a coin: they are
    asked at once, with what was saved up; the others evenly. Who trades too often for one answer comes after those who
    need one, and finds room all the same.
    """

    def __init__(self, per_minute: float) -> None:
        self._every_s = 60.0 / per_minute
        self._leave = max(1.0, per_minute * AUDITS_LEAVE)
        self._evenly = max(1.0, per_minute * EVENLY_BELOW)
        self._again = max(1.0, per_minute * AGAIN_ONLY_BELOW)
        self._most_at_once = self._at_once = max(1.0, per_minute * AT_ONCE)
        self._counted_s = 0.0
        self._next_s = 0.0
        self._next_audit_s = 0.0

    def may_ask_again(self, room: float) -> bool:
        """Whether somebody who was asked may be asked once more."""
        return room >= 1.0

    def may_ask(self, now_s: float, room: float) -> bool:
        """Whether somebody who is wanted may be asked."""
        if room >= self._evenly:
            self._save(now_s)
            if self._at_once >= 1.0:
                return True
        self._counted_s = now_s
        return room >= self._again and now_s >= self._next_s

    def may_audit(self, now_s: float, room: float) -> bool:
        """Whether somebody may be asked whom nobody wants."""
        return room >= self._leave and now_s >= self._next_audit_s

    def asked(self, now_s: float, *, audit: bool) -> None:
        """Take note of a question that was put."""
        self._next_s = now_s + self._every_s
        self._at_once = max(0.0, self._at_once - 1.0)
        if audit:  # a late turn is made up for, by a second's at most
            every_s = self._every_s / (1 - AUDITS_LEAVE)
            self._next_audit_s = max(self._next_audit_s, now_s - 1.0) + every_s

    def _save(self, now_s: float) -> None:
        """Count what was not used since this was asked last, while there was room."""
        saved = max(0.0, now_s - self._counted_s) / self._every_s
        self._at_once = min(self._most_at_once, self._at_once + saved)
        self._counted_s = now_s
