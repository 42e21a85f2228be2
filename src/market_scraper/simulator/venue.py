"""The paper venue without its server: world, desk, feed, clients and faults, moved on by `step`."""

import random
from collections.abc import Callable, Iterator

from market_scraper.ports.clock import Clock
from market_scraper.simulator.faults import (
    Answer as AnswerFault,
)
from market_scraper.simulator.faults import (
    Burst,
    ClockJump,
    Delist,
    Disconnect,
    Fault,
    FaultBoard,
    Halt,
    OffTape,
    Outage,
    Rename,
    Slow,
    Stall,
    Trade,
)
from market_scraper.simulator.feed import Feed
from market_scraper.simulator.info import InfoDesk
from market_scraper.simulator.lateness import WanderingDelay
from market_scraper.simulator.limits import ClientLimits
from market_scraper.simulator.link import Frame, Link
from market_scraper.simulator.options import VenueOptions
from market_scraper.simulator.playback import Played, read_frames
from market_scraper.simulator.session import Answer, Session
from market_scraper.simulator.subscriptions import Subscription, too_many_sockets
from market_scraper.simulator.world import World

_PLAYBACK_WAIT_MS = 2_000
_LONGEST_STEP_MS = 60_000  # after a suspend the world catches up in steps, so that sockets are served between them


class Seat:
    """What one socket's session needs of the venue (`session.Host`)."""

    def __init__(self, venue: "Venue", link: Link, limits: ClientLimits) -> None:
        self._venue = venue
        self.link = link
        self.limits = limits
        self.session = Session(self, limits)

    def knows_coin(self, coin: str) -> bool:
        return self._venue.world.market(coin) is not None

    def knows_dex(self, dex: str) -> bool:
        return dex in self._venue.world.dexes

    def send(self, frame: Frame, on_sent: Callable[[], None] | None = None) -> None:
        self.link.put(frame, self._venue.now_ms(), self._venue.feed.faults, on_sent)

    def subscribed(self, subscription: Subscription) -> None:
        now_ms = self._venue.step()
        self._venue.feed.subscribe(self.link, subscription, now_ms)
        self._venue.listened_to(now_ms)

    def unsubscribed(self, subscription: Subscription) -> None:
        self._venue.feed.unsubscribe(self.link, subscription)

    def ask(self, payload: object) -> Answer:
        return self._venue.ask(self.link.ip, payload)

    def refused(self) -> None:
        self._venue.refusals += 1


class Venue:
    """Everything but the network. One event loop; `step` may be called at any time and never waits."""

    def __init__(self, options: VenueOptions, clock: Clock) -> None:
        self.options = options
        self._clock = clock
        now_ms = clock.now_ms()
        self.world = World(options.world(now_ms))
        self.world.advance(now_ms)
        self.desk = InfoDesk(self.world, options.untidy, options.seed)
        self.feed = Feed(self.world, options, self.desk, random.Random(f"feed {options.seed}"))
        self.start_ms = now_ms
        self.faults = FaultBoard(options.faults, now_ms)
        self.seats: dict[int, Seat] = {}
        self.refusals = 0
        self.opened = 0
        self._clients: dict[str, ClientLimits] = {}
        self._rng = random.Random(f"faults {options.seed}")
        self._stepped_ms = now_ms
        self._recording: Iterator[Played] = iter(())
        if options.playback is not None:
            self._recording = read_frames(options.playback)
        self._next_played = next(self._recording, None)
        self._play_from_ms: int | None = None

    def now_ms(self) -> int:
        """Venue time; it never falls, whatever the clock does."""
        return max(self._clock.now_ms(), self._stepped_ms)

    def now_s(self) -> float:
        """Venue seconds that never fall; limits count in them."""
        return self._clock.monotonic()

    def client(self, ip: str) -> ClientLimits:
        """What is counted for one client."""
        limits = self._clients.get(ip)
        if limits is None:
            limits = self._clients[ip] = ClientLimits(self.options.limits)
        return limits

    # -- time ---------------------------------------------------------------------------------------------------------
    def step(self) -> int:
        """Come to now: faults, blocks, frames, and what is due on each socket. Gives the moment it came to.

        That is now, unless the clock has leapt.
        """
        now_ms = self._stepped_ms = min(self.now_ms(), self._stepped_ms + _LONGEST_STEP_MS)
        for at_ms, fault in self.faults.due(now_ms):
            self._begin(fault, at_ms)
        in_force = self.faults.in_force(now_ms)
        self.feed.faults = in_force
        self.desk.stamp_jump_ms = sum(fault.by_ms for fault in in_force if isinstance(fault, ClockJump))
        if self.options.playback is None:
            self.feed.step(now_ms)
        else:
            self._play(now_ms)
        for seat in list(self.seats.values()):
            self._tend(seat.link, now_ms, in_force)
        return now_ms

    def _tend(self, link: Link, now_ms: int, in_force: list[Fault]) -> None:
        link.set_half_open(now_ms, in_force)
        if now_ms - link.opened_ms >= self.options.expire_s * 1000:
            link.close(1000, "Expired")
        elif now_ms - link.traffic_ms >= self.options.idle_close_s * 1000 and not link.half_open:
            link.close(1000, "Inactive")
        link.nudge(now_ms)

    def _play(self, now_ms: int) -> None:
        """A recording begins a little after the first subscription, so that the client's others are there too."""
        if self._play_from_ms is None:
            return
        while self._next_played is not None and now_ms - self._play_from_ms >= self._next_played.offset_ms:
            self.feed.play(self._next_played.frame, self._next_played.subscription, now_ms)
            self._next_played = next(self._recording, None)

    def listened_to(self, now_ms: int) -> None:
        """Somebody has subscribed to something."""
        if self._play_from_ms is None:
            self._play_from_ms = now_ms + _PLAYBACK_WAIT_MS

    # -- faults -------------------------------------------------------------------------------------------------------
    def request_faults(self, faults: tuple[Fault, ...]) -> None:
        """Schedule faults, `at_s` from now; those of this moment happen at once."""
        self.faults.add(faults, from_ms=self.now_ms())
        self.step()

    def _begin(self, fault: Fault, at_ms: int) -> None:
        world = self.world
        match fault:
            case Disconnect():
                for seat in list(self.seats.values()):
                    if not fault.sockets or seat.link.index in fault.sockets:
                        seat.link.close(fault.code, fault.reason)
            case Outage():
                for seat in list(self.seats.values()):
                    seat.link.close(1006, "outage")
            case OffTape():
                self._off_tape(fault, at_ms)
            case Trade():
                world.order(fault.user.lower(), fault.coin, fault.lots, at_ms)
            case Delist():
                world.delist(fault.coin, at_ms)
            case Halt():
                world.halt(fault.coin, at_ms)
            case Burst():
                until_ms = at_ms + round(fault.for_s * 1000) if fault.for_s else at_ms + 86_400_000
                world.burst(fault.coin, at_ms, until_ms, fault.prints_per_s)
            case _:
                pass

    def _off_tape(self, fault: OffTape, at_ms: int) -> None:
        user = fault.user.lower()
        if not user:
            holders = sorted(self.world.sizes_at(fault.coin, self.world.now_ms))
            if not holders:
                return
            user = self._rng.choice(holders)
        self.world.inject_off_tape(user, fault.coin, fault.lots, at_ms)

    def outage(self, *, rest: bool) -> bool:
        """Whether the venue is down now, for sockets or for REST."""
        return any(isinstance(fault, Outage) and (fault.rest or not rest) for fault in self.feed.faults)

    def faults_of_answer(self, kind: str) -> list[AnswerFault | Slow | Stall | Rename]:
        """The faults that hit one REST answer of this type, rolled now."""
        return [
            fault
            for fault in self.feed.faults
            if isinstance(fault, AnswerFault | Slow | Stall | Rename)
            and (not fault.type or fault.type == kind)
            and (fault.share >= 1.0 or self._rng.random() < fault.share)
        ]

    # -- clients ------------------------------------------------------------------------------------------------------
    def ask(self, ip: str, payload: object) -> Answer:
        """Answer an info request at a client's expense."""
        now_ms = self.step()
        return self.desk.answer(payload, self.client(ip), self.now_s(), now_ms)

    def refuse_socket(self, ip: str) -> str | None:
        """Why a new socket of this client is closed at once; None = it may stay, and is counted."""
        limits = self.client(ip)
        if not limits.connections.take(self.now_s()):
            self.refusals += 1
            return "Cannot open more connections this minute."
        if limits.sockets >= limits.options.sockets:
            self.refusals += 1
            return too_many_sockets(limits.options.sockets)
        limits.sockets += 1
        return None

    def attach(self, ip: str) -> Seat:
        """Seat a socket that `refuse_socket` let in."""
        now_ms = self.now_ms()
        rng = random.Random(f"socket {self.options.seed} {self.opened}")
        delay = WanderingDelay(self.options.untidy.socket_delay_ms, rng, now_ms)
        seat = Seat(self, Link(self.opened, ip, delay, rng, now_ms), self.client(ip))
        self.seats[seat.link.index] = seat
        self.opened += 1
        return seat

    def detach(self, seat: Seat) -> None:
        """Let go of a socket that is gone. May be called twice."""
        if self.seats.pop(seat.link.index, None) is None:
            return
        for subscription in seat.session.close(self.now_s()):
            self.feed.unsubscribe(seat.link, subscription)
        seat.link.abandon()
        seat.limits.sockets -= 1

    def stats(self) -> dict[str, object]:
        """What was counted since the start, over all clients; `weight_used` is of the last 60 s."""
        now_s = self.now_s()
        clients = self._clients.values()
        return {
            "now_ms": self.now_ms(),
            "start_ms": self.start_ms,
            "prints": self.feed.prints,
            "blocks": self.feed.blocks,
            "answers_429": self.desk.refused_429,
            "refusals": self.refusals,
            "sockets": len(self.seats),
            "sockets_opened": self.opened,
            "tape_sockets": self.feed.listeners("trades"),
            "weight_used": max((client.weight.used(now_s) for client in clients), default=0),
            "weight_peak": max((client.weight.peak for client in clients), default=0),
            "connections_peak": max((client.connections.peak for client in clients), default=0),
            "messages_peak": max((client.messages.peak for client in clients), default=0),
            "users": sum(client.users.used(now_s) for client in clients),
            "subscriptions": sum(client.subscriptions for client in clients),
            "faults_happened": self.faults.happened,
            "frames_waiting": sum(seat.link.waiting for seat in self.seats.values()),
        }
