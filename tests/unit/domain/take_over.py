"""The untidy venue with two processes: one counts and publishes, the other stands by, and they change at random.

Each has sockets of its own with faults of their own. What the active one tells is published some time later, and what
is not published when it ends is lost. It ends killed (its sockets with it), or refused (they stay open and it stands
by). Somebody takes over some seconds later. Claims are checked as a reader of the published stream would make them.
"""

from dataclasses import dataclass, field

from market_scraper.domain.events import PositionChanged, TapeAdvanced, TapeGapped
from market_scraper.domain.held import HeldTape
from market_scraper.domain.market import Print
from market_scraper.domain.positions import Position
from market_scraper.domain.prefix import Prefix, TapeEvent
from market_scraper.domain.watch import CoinWatch, Fact
from tests.unit.domain.brute_venue import BTC, Plan, Run, Socket


@dataclass
class Course:
    """How often who ends, and how long it takes."""

    ends_per_s: float = 0.1
    killed: float = 0.5  # of those that end; the others are refused
    same_again: float = 0.2  # of take-overs: by the process that ended
    longest_away_ms: int = 6_000
    longest_stall_ms: int = 4_000  # nothing is published meanwhile


@dataclass
class Changes:
    """What the take-overs were."""

    joined: int = 0
    gapped: int = 0
    wrong: list[str] = field(default_factory=list)


class TakeOvers(Run):
    """Run it with `run`; what the take-overs were stands in `changes`."""

    def __init__(self, plan: Plan, course: Course) -> None:
        super().__init__(plan)
        self.course = course
        self.changes = Changes()
        self.sockets = [Socket(f"{process}{i}") for process in "AB" for i in range(plan.sockets)]
        self.ears: dict[str, CoinWatch | HeldTape] = {"A": self.watch, "B": self._held()}
        self.active: str | None = "A"
        self.next = "A"
        self.takes_over_ms = 0
        self.pending: list[TapeEvent] = []
        self.stalled_until_ms = 0
        self.told_ms = 0
        self.reader = Prefix()
        self.keys: set[tuple[str, int, int]] = set()

    def _held(self) -> HeldTape:
        return HeldTape(BTC.symbol, join_window_ms=self.plan.rules.join_window_ms)

    # -- who is active -------------------------------------------------------------------------------------------

    def _disturb(self, now: int, down: bool) -> None:
        super()._disturb(now, down)
        if self.active is None:
            if now >= self.takes_over_ms:
                self._take_over(now)
        elif self.rng.random() < self.course.ends_per_s * 0.05:
            self._end(now)

    def _end(self, now: int) -> None:
        assert self.active is not None
        ended, other = self.active, "B" if self.active == "A" else "A"
        watch = self.ears[ended]
        assert isinstance(watch, CoinWatch)
        if self.rng.random() < self.course.killed:
            self.ears[ended] = self._held()
            for socket in self._sockets_of(ended):
                if socket.open:
                    self._lose(socket, now, "killed")
        else:
            self.ears[ended] = watch.hand_on()
        self.pending.clear()
        self.active = None
        self.watch = CoinWatch(BTC, self.plan.rules)  # answers that come now find nobody
        self.next = ended if self.rng.random() < self.course.same_again else other
        self.takes_over_ms = now + self.rng.randint(0, self.course.longest_away_ms)

    def _take_over(self, now: int) -> None:
        held, mark = self.ears[self.next], self.reader.mark
        assert isinstance(held, HeldTape)
        self.view = dict(self.reader.positions)
        self.watch = CoinWatch(BTC, self.plan.rules, mark=mark, positions=self.view.values(), on_verdict=self._verdict)
        whole_from, stands = held.whole_from_ms, held.tape.watermark_ms
        facts = self.watch.take_over(held, now_s=now / 1000, known_at_ms=now)
        self.ears[self.next], self.active = self.watch, self.next
        gaps = [fact.mark.gaps[-1] for fact in facts if isinstance(fact, TapeGapped)]
        missed = []
        if mark is not None and whole_from is not None and stands is not None:
            since = mark.watermark_ms
            missed = [(since, whole_from)] if since < min(stands, whole_from) else []
        self.changes.joined += not missed
        self.changes.gapped += len(missed)
        if [(gap.since_ms, gap.until_ms) for gap in gaps] != missed:
            self.changes.wrong.append(f"at {now}: {gaps}, mark {mark}, whole from {whole_from}")
        self._took(facts, now)

    # -- who hears -----------------------------------------------------------------------------------------------

    def _sockets_of(self, process: str) -> list[Socket]:
        return [socket for socket in self.sockets if socket.name[0] == process]

    def _heard(self, socket: Socket, facts: list[Fact] | tuple[()], now: int) -> None:
        if socket.name[0] == self.active:
            self._took(list(facts), now)

    def _hear(self, socket: Socket, prints: list[Print], now: int) -> None:
        socket.heard_s = now / 1000
        replay, socket.replayed = not socket.replayed, True
        ear = self.ears[socket.name[0]]
        self._heard(socket, ear.hear_prints(socket.name, prints, replay=replay, now_s=now / 1000, known_at_ms=now), now)

    def _hear_time(self, socket: Socket, t_ms: int, now: int) -> None:
        socket.heard_s = now / 1000
        ear = self.ears[socket.name[0]]
        self._heard(socket, ear.hear_time(socket.name, t_ms, now_s=now / 1000, known_at_ms=now), now)

    def _lose(self, socket: Socket, now: int, reason: str) -> None:
        socket.open = False
        socket.life += 1
        socket.opens_ms = now + self.rng.randint(0, 4_000)
        ear = self.ears[socket.name[0]]
        self._heard(socket, ear.end(socket.name, reason, now_s=now / 1000, known_at_ms=now), now)

    def _look_for_silence(self, now: int) -> None:
        for ear in self.ears.values():
            for name in ear.tape.silent(now / 1000):
                self._lose(next(s for s in self.sockets if s.name == name), now, "silent")
        super()._look_for_silence(now)

    # -- what is published ---------------------------------------------------------------------------------------

    def _took(self, facts: list[Fact], now: int) -> None:
        super()._took(facts, now)
        self.pending += facts

    def _publish(self, now: int) -> None:
        if self.active is None or now < self.stalled_until_ms:
            return
        if self.rng.random() < 0.01:
            self.stalled_until_ms = now + self.rng.randint(0, self.course.longest_stall_ms)
        mark = self.watch.mark()
        if mark is not None and now - self.told_ms >= 250:
            self.told_ms = now
            self.pending.append(TapeAdvanced(known_at_ms=now, mark=mark, venue_offset_ms=0))
        for event in self.pending:
            if isinstance(event, PositionChanged):
                self._compare(event.after)
            self.reader.apply(event)
        self.pending.clear()

    def _compare(self, after: Position) -> None:
        known = self.reader.positions.get(after.trader)
        if known is not None and known.version >= after.version:
            self.changes.wrong.append(f"version {after.version} behind {known.version}")
        if after.tid:
            key = (after.trader, after.t_ms, after.tid)
            if key in self.keys:
                self.changes.wrong.append(f"told twice: {key}")
            self.keys.add(key)

    def _check(self, now: int) -> None:
        self._publish(now)
        if self.reader.mark is not None:
            self._judge(self.reader.positions.values(), self.reader.mark, now)
