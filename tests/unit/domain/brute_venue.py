"""A brute-force model of an untidy venue, and a careless way to drive a `CoinWatch` against it.

It keeps the truth by block, delivers each block over several sockets that run late on their own, cuts the first and
last block of each replay, loses, mutes and half-opens sockets, stops all of them at once, and answers account
requests from a moment up to 1.5 s ago with a stamp skewed by up to 0.4 s. Time is in venue milliseconds, one step
every 50. All chance comes from one seeded generator.
"""

import heapq
import random
from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial

from market_scraper.domain.book import Answer
from market_scraper.domain.claims import claim
from market_scraper.domain.events import PositionChanged, TapeGapped
from market_scraper.domain.market import Market, Print
from market_scraper.domain.positions import AccountSnapshot, Position, PositionState, SnapshotPosition, TapeMark
from market_scraper.domain.rules import PositionRules
from market_scraper.domain.tape import SILENCE_S
from market_scraper.domain.values import Address, Symbol
from market_scraper.domain.watch import CoinWatch

BTC = Market(symbol=Symbol("BTC"), sz_decimals=5, max_leverage=40)
START_MS = 1_000_000


@dataclass
class Plan:
    """What a run is made of."""

    seed: int
    traders: int = 12
    sockets: int = 3
    prints_per_s: float = 20.0
    seconds: int = 60
    socket_loss_per_s: float = 0.02
    mute_per_s: float = 0.01
    max_late_ms: int = 2_000
    full_gaps: tuple[tuple[int, int], ...] = ()  # (from second, to second)
    asks_per_s: float = 6.0
    max_lag_ms: int = 1_500
    max_skew_ms: int = 400
    bbo_every_ms: int = 0  # 0 = no best prices
    rules: PositionRules = field(default_factory=PositionRules)


@dataclass
class Outcome:
    """What a run showed."""

    exact_claims: int = 0
    wrong: list[str] = field(default_factory=list)
    exact_during_gap: int = 0
    exact_at_end: int = 0
    gaps: list[tuple[int, int]] = field(default_factory=list)
    drift: int = 0
    late: int = 0
    duplicates: int = 0
    flips: int = 0
    facts: list[PositionChanged] = field(default_factory=list)


class Venue:
    """The truth: blocks of prints, and everyone's size after each of them."""

    def __init__(self, plan: Plan, rng: random.Random) -> None:
        self.rng = rng
        self.names = [Address(f"0x{i:040x}") for i in range(1, plan.traders + 1)]
        self.weights = [1 / (i + 1) for i in range(plan.traders)]
        self.rate = plan.prints_per_s
        self.times: dict[Address, list[int]] = {name: [0] for name in self.names}
        self.sizes: dict[Address, list[int]] = {name: [rng.choice([0, 0, rng.randint(-50, 50)])] for name in self.names}
        self.blocks: list[list[Print]] = []
        self.next_block_ms = START_MS

    def advance(self, to_ms: int) -> list[list[Print]]:
        """Make the blocks up to `to_ms`."""
        new = []
        while self.next_block_ms <= to_ms:
            block = self._block(self.next_block_ms)
            if block:
                self.blocks.append(block)
                new.append(block)
            self.next_block_ms += self.rng.randint(40, 140)
        return new

    def _block(self, t_ms: int) -> list[Print]:
        prints = []
        count = 0
        while self.rng.random() < self.rate * 0.09 / (1 + self.rate * 0.09):
            count += 1
        for _ in range(count):
            buyer, seller = self.rng.choices(self.names, self.weights, k=2)
            if buyer == seller:
                continue
            lots = self.rng.randint(1, 20)
            own = self.size(buyer, t_ms)
            if own < 0 and self.rng.random() < 0.4:
                lots = -own  # buys itself flat
            prints.append(Print(t_ms, self.rng.getrandbits(50), lots, 80_000.0, buyer, seller))
            for name, change in ((buyer, lots), (seller, -lots)):
                self._move(name, t_ms, change)
        return prints

    def _move(self, name: Address, t_ms: int, change: int) -> None:
        now = self.sizes[name][-1] + change
        if self.times[name][-1] == t_ms:
            self.sizes[name][-1] = now
        else:
            self.times[name].append(t_ms)
            self.sizes[name].append(now)

    def size(self, name: Address, at_ms: int) -> int:
        """The true size after all blocks up to a moment."""
        return self.sizes[name][bisect_right(self.times[name], at_ms) - 1]

    def replay(self, at_ms: int, cut: int) -> list[Print]:
        """The last 30 prints up to a moment, without the last `cut` prints of the newest block."""
        known = [p for block in self.blocks[-60:] for p in block if p.time_ms <= at_ms]
        return known[: len(known) - cut][-30:]


@dataclass
class Socket:
    """One socket as the venue sees it."""

    name: str
    open: bool = False
    mute: bool = False
    late_ms: int = 0
    last_due: int = 0
    opens_ms: int = START_MS
    heard_s: float = 0.0
    life: int = 0
    replayed: bool = False


Watch = Callable[..., CoinWatch]


class Run:
    """Drives one CoinWatch against one Venue, comparing every exact claim with the truth."""

    def __init__(self, plan: Plan, make: Watch = CoinWatch) -> None:
        self.plan = plan
        self.rng = random.Random(plan.seed)
        self.venue = Venue(plan, self.rng)
        self.outcome = Outcome()
        self.watch = make(BTC, plan.rules, on_verdict=self._verdict)
        self.sockets = [Socket(f"tape-{i}") for i in range(plan.sockets)]
        self.mail: list[tuple[int, int, Callable[[int], None]]] = []
        self.posted = 0
        self.view: dict[Address, Position] = {}
        self.asked: dict[str, int] = {}

    def run(self) -> Outcome:
        """Play the plan to its end."""
        self.venue.advance(START_MS + 1_000)
        now = START_MS + 1_000
        end = now + self.plan.seconds * 1000
        while now < end:
            now += 50
            down = any(START_MS + a * 1000 <= now < START_MS + b * 1000 for a, b in self.plan.full_gaps)
            self._disturb(now, down)
            for block in self.venue.advance(now):
                self._post_block(block)
            while self.mail and self.mail[0][0] <= now:
                _, _, deliver = heapq.heappop(self.mail)
                deliver(now)
            if self.plan.bbo_every_ms and now % self.plan.bbo_every_ms == 0:
                self._post_best_price(now)
            self._look_for_silence(now)
            if self.rng.random() < self.plan.asks_per_s * 0.05:
                self._ask(now)
            self._check(now)
        out = self.outcome
        out.gaps = [(gap.since_ms, gap.until_ms) for gap in self.watch.tape.gaps]
        out.drift = self.watch.ledger.counts.drift
        out.late = self.watch.tape.counts.late
        out.duplicates = self.watch.tape.counts.duplicates
        return out

    # -- the venue's side ----------------------------------------------------------------------------------------

    def _disturb(self, now: int, down: bool) -> None:
        for socket in self.sockets:
            if socket.open and (down or self.rng.random() < self.plan.socket_loss_per_s * 0.05):
                self._lose(socket, now, "lost")
            if socket.open and self.rng.random() < self.plan.mute_per_s * 0.05:
                socket.mute = True
            if socket.open and self.rng.random() < 0.02:
                socket.late_ms = self.rng.randint(0, self.plan.max_late_ms)
            if not socket.open and not down and now >= socket.opens_ms:
                self._open(socket, now)

    def _open(self, socket: Socket, now: int) -> None:
        socket.open, socket.mute, socket.replayed = True, False, False
        socket.life += 1
        socket.late_ms = self.rng.randint(0, self.plan.max_late_ms)
        socket.heard_s = now / 1000
        newest = self.venue.blocks[-1] if self.venue.blocks else []
        cut = self.rng.randint(1, len(newest) - 1) if len(newest) > 1 and self.rng.random() < 0.7 else 0
        replay = self.venue.replay(now, cut)
        self._post(socket, now, lambda at: self._hear(socket, replay, at))
        if cut or self.rng.random() < 0.5:
            whole = list(newest)
            self._post(socket, now, lambda at: self._hear(socket, whole, at))

    def _lose(self, socket: Socket, now: int, reason: str) -> None:
        socket.open = False
        socket.life += 1
        socket.opens_ms = now + self.rng.randint(0, 4_000)
        self._took(self.watch.end(socket.name, reason, now_s=now / 1000, known_at_ms=now), now)

    def _post_block(self, block: list[Print]) -> None:
        for socket in self.sockets:
            if socket.open and not socket.mute:
                self._post(socket, block[0].time_ms, partial(self._hear, socket, block))

    def _post_best_price(self, now: int) -> None:
        """A timed frame of the coin; a mute socket says nothing at all."""
        for socket in self.sockets:
            if socket.open and not socket.mute:
                self._post(socket, now, partial(self._hear_time, socket, now))

    def _post(self, socket: Socket, sent_ms: int, deliver: Callable[[int], None]) -> None:
        due = max(socket.last_due, sent_ms + 100 + socket.late_ms)
        socket.last_due = due
        life = socket.life
        self.posted += 1

        def arrive(at: int) -> None:
            if socket.life == life and socket.open:
                deliver(at)

        heapq.heappush(self.mail, (due, self.posted, arrive))

    def _ask(self, now: int) -> None:
        name = self.rng.choice(self.venue.names)
        cut = now - self.rng.randint(0, self.plan.max_lag_ms)
        stamp = now + self.rng.randint(-self.plan.max_skew_ms, self.plan.max_skew_ms)
        lots = self.venue.size(name, cut)
        held = (
            SnapshotPosition(
                symbol=BTC.symbol,
                lots=lots,
                entry_px=80_000.0,
                leverage=10,
                liquidation_px=None,
            ),
        )
        snapshot = AccountSnapshot(
            trader=name, dex="", time_ms=stamp, account_value=1.0, positions=held if lots else ()
        )
        self.posted += 1
        arrives = now + self.rng.randint(50, 600)
        heapq.heappush(
            self.mail,
            (arrives, self.posted, lambda at: self._took(self.watch.hear_account(snapshot, known_at_ms=at), at)),
        )

    # -- our side ------------------------------------------------------------------------------------------------

    def _hear(self, socket: Socket, prints: list[Print], now: int) -> None:
        socket.heard_s = now / 1000
        replay, socket.replayed = not socket.replayed, True
        self._took(self.watch.hear_prints(socket.name, prints, replay=replay, now_s=now / 1000, known_at_ms=now), now)

    def _hear_time(self, socket: Socket, t_ms: int, now: int) -> None:
        socket.heard_s = now / 1000
        self._took(self.watch.hear_time(socket.name, t_ms, now_s=now / 1000, known_at_ms=now), now)

    def _look_for_silence(self, now: int) -> None:
        for name in self.watch.tape.silent(now / 1000):
            self._lose(next(s for s in self.sockets if s.name == name), now, "silent")
        for socket in self.sockets:
            if socket.open and now / 1000 - socket.heard_s >= SILENCE_S:
                self._lose(socket, now, "dead")

    def _took(self, facts: list[PositionChanged | TapeGapped], _now: int) -> None:
        for fact in facts:
            if isinstance(fact, PositionChanged):
                held = self.view.get(fact.after.trader)
                assert held is None or held.version < fact.after.version
                self.view[fact.after.trader] = fact.after
                self.outcome.facts.append(fact)

    def _verdict(self, _watch: CoinWatch, _answer: Answer, verdict: str) -> None:
        self.asked[verdict] = self.asked.get(verdict, 0) + 1

    def _check(self, now: int) -> None:
        mark = self.watch.mark()
        if mark is not None:
            self._judge(self.view.values(), mark, now)

    def _judge(self, positions: Iterable[Position], mark: TapeMark, now: int) -> None:
        """Hold every exact claim of a reader who knows these positions and this mark against the truth."""
        exact = 0
        for position in positions:
            said = claim(position, mark, now)
            if said.state is not PositionState.EXACT:
                continue
            exact += 1
            truth = self.venue.size(position.trader, said.as_of_ms)
            if position.lots != truth:
                self.outcome.wrong.append(
                    f"at {now} {position.trader[-3:]}: said {position.lots} as of {said.as_of_ms}, was {truth}"
                )
        self.outcome.exact_claims += exact
        self.outcome.exact_at_end = exact
        for start, end in self.plan.full_gaps:
            if START_MS + start * 1000 + 5_000 < now < START_MS + end * 1000:
                self.outcome.exact_during_gap += exact
