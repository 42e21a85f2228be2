"""The sockets that carry the tape, told by hand what they hear; time stands still until it is advanced."""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from market_scraper.collectors.tape_sockets import RENEW_AFTER_S, RESUBSCRIBE_S, TapeSockets
from market_scraper.domain.events import PositionChanged, TapeGapped
from market_scraper.domain.market import Market
from market_scraper.domain.positions import TapeGap
from market_scraper.domain.rules import PositionRules
from market_scraper.domain.values import Symbol
from market_scraper.domain.watch import CoinWatch, Fact
from market_scraper.ports.sources import FrameLost, Heard, PrintsHeard, PulseHeard, SocketLost, SocketOpened, TimeHeard
from tests.fakes import FakeClock, FakeSockets
from tests.unit.collectors.parts import ANN, BTC, ETH, T0, live, market, print_, replay

TAPES = ("tape-0", "tape-1", "tape-2")
PULSE = PulseHeard({})


@dataclass
class Bench:
    """Three sockets over some coins."""

    clock: FakeClock
    sockets: FakeSockets
    tape: TapeSockets
    watches: dict[Symbol, CoinWatch]
    facts: list[Fact] = field(default_factory=list)
    ended: int = 0

    def say(self, name: str, *heard: Heard) -> None:
        for one in heard:
            self.sockets[name].say(one)

    def all_say(self, *heard: Heard) -> None:
        for name in self.sockets.open_now:
            self.say(name, *heard)

    def open(self, name: str, *frames: PrintsHeard) -> None:
        self.say(name, SocketOpened(), *frames)

    async def pass_s(self, seconds: float, *, step_s: float = 0.5, pulse: tuple[str, ...] = TAPES) -> None:
        """Let time go by with ticks, while these sockets bring pulses."""
        for _ in range(round(seconds / step_s)):
            await self.clock.advance(step_s)
            for name in pulse:
                self.say(name, PULSE)
            self.tape.tick()

    @property
    def gaps(self) -> list[TapeGap]:
        return [fact.mark.gaps[-1] for fact in self.facts if isinstance(fact, TapeGapped)]

    @property
    def btc(self) -> CoinWatch:
        return self.watches[BTC]

    @property
    def now(self) -> int:
        return self.clock.now_ms()


@asynccontextmanager
async def bench(*markets: Market, count: int = 3) -> AsyncIterator[Bench]:
    clock, sockets = FakeClock(T0), FakeSockets()
    watches = {m.symbol: CoinWatch(m, PositionRules()) for m in markets or (market(),)}
    made: Bench

    def take(facts: object) -> None:
        made.facts.extend(facts)  # type: ignore[arg-type]

    def end() -> None:
        made.ended += 1

    tape = TapeSockets(sockets, watches, clock, count=count, on_facts=take, on_interval_ended=end)
    made = Bench(clock, sockets, tape, watches)
    async with tape:
        yield made
    assert sockets.open_now == {}


@asynccontextmanager
async def joined(*markets: Market, count: int = 3) -> AsyncIterator[Bench]:
    """All sockets have replayed two blocks of every coin: the tape is whole up to T0 - 101."""
    async with bench(*markets, count=count) as made:
        for name in list(made.sockets.open_now):
            made.open(name, *(replay(T0 - 500, T0 - 100, symbol=symbol) for symbol in made.watches))
        made.tape.tick()
        yield made


async def test_each_socket_carries_the_trades_of_every_coin_first_then_the_pulse() -> None:
    async with bench(market(), market(ETH)) as it:
        for name in TAPES:
            kinds = [(s["type"], s.get("coin")) for s in it.sockets[name].wanted]
            assert kinds == [("trades", "BTC"), ("trades", "ETH"), ("allMids", None), ("bbo", "BTC"), ("bbo", "ETH")]


async def test_a_socket_without_any_frame_for_four_seconds_ends_whatever_the_others_do() -> None:
    async with joined() as it:
        await it.pass_s(3.5, pulse=TAPES[1:])
        assert it.sockets["tape-0"].reconnects == []
        await it.pass_s(0.5, pulse=TAPES[1:])
        assert it.sockets["tape-0"].reconnects == ["silent for 4 s"]
        assert it.btc.tape.covered_by() == ["tape-1", "tape-2"]
        assert (it.tape.connected, it.gaps, it.ended) == (2, [], 1)


async def test_pulses_keep_a_quiet_coins_socket_alive() -> None:
    async with joined() as it:
        await it.pass_s(60)
        assert len(it.btc.tape.covered_by()) == 3


async def test_a_frame_after_four_seconds_of_silence_is_not_taken_even_before_the_tick() -> None:
    async with joined(count=1) as it:
        await it.clock.advance(4.0)
        it.say("tape-0", live(it.now))
        assert it.btc.tape.covered_by() == []
        assert it.sockets["tape-0"].reconnects == ["silent for 4.0 s"]


async def test_a_coin_whose_prints_stay_out_while_others_bring_them_is_subscribed_anew() -> None:
    async with joined() as it:
        for _ in range(9):
            await it.clock.advance(0.5)
            for name in TAPES[:2]:
                it.say(name, live(it.now))
            it.say("tape-2", PULSE)
            it.tape.tick()
        assert it.btc.tape.covered_by() == ["tape-0", "tape-1"]
        assert it.sockets["tape-2"].renewed == [BTC]
        assert it.sockets["tape-2"].reconnects == []
        it.say("tape-2", replay(it.now - 1_000, it.now - 500))
        assert len(it.btc.tape.covered_by()) == 3
        assert it.gaps == []


async def test_the_best_price_of_a_socket_with_mute_trades_vouches_for_nothing() -> None:
    """The others bring a print and die; what comes after it is lost, and bbo of the mute socket must not hide that."""
    async with joined() as it:
        await it.clock.advance(1.0)
        for name in TAPES[1:]:
            it.say(name, live(it.now))
            it.say(name, SocketLost("lost"))
        seen_ms = it.now
        for _ in range(7):
            await it.clock.advance(0.5)
            it.say("tape-0", TimeHeard(BTC, it.now))
            it.tape.tick()
        assert it.btc.tape.watermark_ms == seen_ms
        await it.pass_s(1.0, pulse=("tape-0",))
        assert it.btc.tape.covered_by() == []


async def test_an_unreadable_frame_of_one_coin_ends_that_coins_interval_alone() -> None:
    async with joined(market(), market(ETH)) as it:
        it.say("tape-0", FrameLost(ETH, "cut"))
        assert it.btc.tape.covered_by() == list(TAPES)
        assert it.watches[ETH].tape.covered_by() == list(TAPES[1:])
        it.tape.tick()
        assert it.sockets["tape-0"].renewed == [ETH]


async def test_a_frame_of_which_nothing_can_be_read_ends_every_coins_interval() -> None:
    async with joined(market(), market(ETH)) as it:
        it.say("tape-0", FrameLost(None, "garbage"))
        assert [watch.tape.covered_by() for watch in it.watches.values()] == [list(TAPES[1:])] * 2


async def test_frames_of_coins_that_nobody_follows_are_left_alone() -> None:
    async with joined() as it:
        it.say("tape-0", live(it.now, symbol=ETH), TimeHeard(ETH, it.now), FrameLost(ETH, "cut"))
        assert it.facts == []


async def test_a_coin_without_a_replay_is_subscribed_anew_ever_more_seldom() -> None:
    async with bench(count=1) as it:
        it.open("tape-0")
        at: list[float] = []
        renewed = it.sockets["tape-0"].renewed
        for step in range(2_000):
            await it.pass_s(0.5, pulse=("tape-0",))
            if len(renewed) > len(at):
                at.append((step + 1) / 2)
        assert at[:4] == [RESUBSCRIBE_S, 2 * RESUBSCRIBE_S, 4 * RESUBSCRIBE_S, 8 * RESUBSCRIBE_S]
        assert max(b - a for a, b in itertools.pairwise(at)) == 300.0


async def test_sockets_are_renewed_an_hour_apart_before_the_venue_closes_them() -> None:
    async with joined() as it:
        renewed: list[tuple[float, str]] = []
        start_s = it.clock.monotonic()
        while it.clock.monotonic() - start_s < 2.1 * RENEW_AFTER_S:
            await it.clock.advance(3.5)
            it.all_say(PULSE)
            it.tape.tick()
            for name in TAPES:
                if it.sockets[name].reconnects:
                    assert it.sockets[name].reconnects == ["renewed before the venue closes it"]
                    it.sockets[name].reconnects.clear()
                    renewed.append((it.clock.monotonic() - start_s, name))
                    it.say(name, SocketLost("renewed"), SocketOpened(), replay(T0 - 500, T0 - 100))
        assert [name for _, name in renewed] == [*TAPES, *TAPES]
        times = [at for at, _ in renewed]
        assert all(3_390 < b - a < 3_410 for a, b in itertools.pairwise(times))
        assert it.gaps == []


async def test_no_socket_is_renewed_while_it_alone_carries_a_coin() -> None:
    async with joined() as it:
        for name in TAPES[1:]:
            it.say(name, SocketLost("lost"))
        while it.clock.monotonic() < 1_000 + RENEW_AFTER_S:
            await it.clock.advance(3.5)
            it.say("tape-0", PULSE)
            it.tape.tick()
        assert it.sockets["tape-0"].reconnects == []
        it.open("tape-1", replay(T0 - 500, T0 - 100))
        it.tape.tick()
        assert it.sockets["tape-0"].reconnects == ["renewed before the venue closes it"]


async def test_a_coin_that_never_traded_keeps_no_socket_from_its_renewal() -> None:
    """Else all sockets, opened together, would be closed by the venue at the same moment."""
    async with bench(market(), market(ETH)) as it:
        for name in TAPES:
            it.open(name, replay(T0 - 500, T0 - 100))
        while it.clock.monotonic() < 1_000 + RENEW_AFTER_S / 3 + 5:
            await it.clock.advance(3.5)
            it.all_say(PULSE)
            it.tape.tick()
        assert it.sockets["tape-0"].reconnects == ["renewed before the venue closes it"]


async def test_a_print_from_the_future_does_not_carry_the_watermark_away() -> None:
    async with joined() as it:
        it.all_say(live(it.now))
        it.say("tape-0", live(it.now + 90_000))
        assert it.btc.tape.watermark_ms == it.now
        assert it.btc.tape.covered_by() == ["tape-1", "tape-2"]
        it.say("tape-1", TimeHeard(BTC, it.now + 90_000))
        assert it.btc.tape.watermark_ms == it.now
        assert it.tape.venue_now_ms() == it.now


@pytest.mark.parametrize("wrong_by_ms", [-150_000, 150_000])
async def test_with_a_clock_of_ours_that_is_minutes_wrong_the_tape_runs_all_the_same(wrong_by_ms: int) -> None:
    async with bench() as it:
        it.clock.jump_ms(wrong_by_ms)
        it.all_say(PULSE)
        for name in TAPES:
            it.open(name, replay(T0 - 500, T0 - 100))
        await it.clock.advance(1.0)
        it.all_say(PULSE, live(T0 + 1_000))
        assert it.btc.tape.watermark_ms == T0 + 1_000
        assert it.tape.venue_now_ms() == T0 + 1_000


@pytest.mark.parametrize("step_ms", [-150_000, 150_000])
async def test_when_our_clock_is_set_right_the_tape_goes_on_and_knows_the_new_offset(step_ms: int) -> None:
    async with joined() as it:
        it.all_say(PULSE, live(T0))
        await it.clock.advance(1.0)
        it.clock.jump_ms(step_ms)
        it.all_say(PULSE, live(T0 + 1_000))
        assert it.btc.tape.watermark_ms == T0 + 1_000
        assert it.btc.tape.covered_by() == list(TAPES)
        assert it.tape.venue_now_ms() == T0 + 1_000


async def test_after_a_suspended_machine_wakes_the_loss_is_a_gap_from_where_it_slept() -> None:
    async with joined() as it:
        it.all_say(PULSE, live(T0))
        it.clock.jump_ms(3_600_000)  # monotonic seconds stand still in a suspend
        for name in TAPES:
            it.say(name, SocketLost("broken"), SocketOpened(), replay(it.now - 900, it.now - 500))
        assert it.gaps == [TapeGap(T0, it.now - 900)]
        await it.clock.advance(1.0)
        it.all_say(live(it.now))
        assert it.tape.venue_now_ms() == it.now
        assert it.btc.tape.watermark_ms == it.now


async def test_when_all_sockets_are_lost_and_come_back_too_late_there_is_one_gap_and_then_prints_again() -> None:
    async with joined() as it:
        it.all_say(live(T0))
        it.facts.clear()
        it.all_say(SocketLost("lost"))
        await it.clock.advance(20.0)
        for name in TAPES:
            it.open(name, replay(it.now - 3_000, it.now - 500, it.now - 100))
        assert it.gaps == [TapeGap(T0, T0 + 17_000)]
        assert isinstance(it.facts[0], TapeGapped)
        assert [f.after.t_ms for f in it.facts[1:] if isinstance(f, PositionChanged)] == [T0 + 19_500] * 2


async def test_prints_without_a_replay_before_them_open_nothing() -> None:
    async with bench() as it:
        it.open("tape-0", live(print_(T0, ANN)))
        assert (it.facts, it.btc.tape.watermark_ms) == ([], None)


async def test_a_coin_that_is_listed_later_is_subscribed_on_every_socket_and_waits_for_its_replay() -> None:
    async with joined() as it:
        it.watches[ETH] = CoinWatch(market(ETH), PositionRules())
        it.tape.follow(ETH)
        assert all({"type": "trades", "coin": ETH} in it.sockets[name].wanted for name in TAPES)
        await it.pass_s(RESUBSCRIBE_S - 1)
        assert it.sockets["tape-0"].renewed == []
        it.say("tape-0", replay(it.now - 500, it.now - 100, symbol=ETH))
        assert it.watches[ETH].tape.covered_by() == ["tape-0"]
        assert it.btc.tape.covered_by() == list(TAPES)


async def trading(it: Bench, seconds: float) -> None:
    """Two prints a second on every socket."""
    for _ in range(round(seconds / 0.5)):
        await it.clock.advance(0.5)
        it.all_say(live(it.now))
        it.tape.tick()


async def best_prices(it: Bench, seconds: float) -> None:
    """Best prices on every socket, and no trades."""
    for _ in range(round(seconds / 0.5)):
        await it.clock.advance(0.5)
        it.all_say(TimeHeard(BTC, it.now))
        it.tape.tick()


async def test_a_coin_that_falls_silent_everywhere_is_subscribed_anew_on_one_socket_for_its_replay_tells_why() -> None:
    async with joined() as it:
        await trading(it, 20)
        last_ms = it.now
        await best_prices(it, 6)
        assert [it.sockets[name].renewed for name in TAPES] == [[BTC], [], []]
        it.say("tape-0", FrameLost(BTC, "unsubscribed"), replay(last_ms - 500, last_ms))  # nobody traded
        await best_prices(it, 4)
        assert it.btc.tape.covered_by() == ["tape-1", "tape-2", "tape-0"]
        assert it.btc.tape.watermark_ms == it.now - 2_000
        assert it.gaps == []


async def test_trades_that_are_mute_everywhere_are_found_out_and_what_was_missed_is_a_gap() -> None:
    async with joined() as it:
        await trading(it, 20)
        last_ms = it.now
        await best_prices(it, 6)
        it.say("tape-0", FrameLost(BTC, "unsubscribed"), replay(last_ms + 1_500, last_ms + 5_800))
        assert it.gaps == [TapeGap(last_ms, last_ms + 4_000)]  # best prices had vouched for that much
        assert all(not it.sockets[name].reconnects for name in TAPES)


async def test_mute_trades_stop_the_tape_and_a_connection_that_gives_no_replay_is_made_anew() -> None:
    async with joined() as it:
        await trading(it, 20)
        last_ms = it.now
        await best_prices(it, 14)
        assert last_ms < (it.btc.tape.watermark_ms or 0) <= last_ms + 8_000
        assert it.sockets["tape-0"].reconnects == ["no trades of BTC, and no replay"]
        assert it.sockets["tape-1"].reconnects == it.sockets["tape-2"].reconnects == []
        it.open("tape-0", replay(it.now - 3_000, it.now - 1_000))
        for _ in range(10):
            await it.clock.advance(0.5)
            it.say("tape-0", live(it.now))
            it.all_say(TimeHeard(BTC, it.now))
            it.tape.tick()
        (gap,) = it.gaps
        assert last_ms < gap.since_ms <= last_ms + 8_000  # where best prices had vouched to
        assert it.btc.tape.watermark_ms == it.now
        assert it.btc.tape.covered_by() == ["tape-0"]
