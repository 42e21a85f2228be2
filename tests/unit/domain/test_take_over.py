"""Exact means exact over take-overs: a stand-by that has heard the tape goes on with it, and nothing is made up."""

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market_scraper.domain.held import HeldTape
from market_scraper.domain.market import Print
from market_scraper.domain.positions import TapeGap, TapeMark
from market_scraper.domain.tape import Advance
from market_scraper.domain.values import Address, Symbol
from market_scraper.domain.watch import CoinWatch
from tests.unit.domain.brute_venue import Plan
from tests.unit.domain.take_over import Course, TakeOvers

plans = st.builds(
    Plan,
    seed=st.integers(0, 2**32),
    traders=st.integers(2, 12),
    sockets=st.integers(1, 3),
    prints_per_s=st.sampled_from([0.5, 3.0, 20.0, 60.0]),
    seconds=st.just(40),
    socket_loss_per_s=st.sampled_from([0.0, 0.02, 0.1]),
    mute_per_s=st.sampled_from([0.0, 0.05]),
    max_late_ms=st.sampled_from([0, 500, 2_000]),
    full_gaps=st.sampled_from([(), ((10, 17),)]),
    bbo_every_ms=st.sampled_from([0, 200, 1_000]),
)
courses = st.builds(
    Course,
    ends_per_s=st.sampled_from([0.05, 0.2, 0.5]),
    killed=st.sampled_from([0.0, 0.5, 1.0]),
    same_again=st.sampled_from([0.0, 0.3]),
    longest_away_ms=st.sampled_from([0, 6_000, 12_000]),
    longest_stall_ms=st.sampled_from([0, 4_000, 12_000]),
)


@settings(max_examples=40, deadline=None)
@given(plans, courses)
def test_no_exact_claim_is_ever_wrong_whoever_publishes(plan: Plan, course: Course) -> None:
    run = TakeOvers(plan, course)
    outcome = run.run()
    assert outcome.wrong == []
    assert outcome.exact_during_gap == 0
    assert run.changes.wrong == []


def test_taking_over_is_no_gap_where_the_stand_by_heard_the_tape_whole() -> None:
    joined = 0
    for seed in range(6):
        plan = Plan(seed=seed, seconds=90, socket_loss_per_s=0.0, mute_per_s=0.0, bbo_every_ms=500)
        run = TakeOvers(plan, Course(ends_per_s=0.1, killed=0.0, same_again=0.0))
        outcome = run.run()
        joined += run.changes.joined
        assert (run.changes.gapped, run.changes.wrong, outcome.wrong, outcome.drift) == (0, [], [], 0)
        assert outcome.gaps == []
        assert outcome.exact_claims > 5_000
    assert joined > 20


def _wrong_somewhere() -> bool:
    def wrong(seed: int) -> bool:
        run = TakeOvers(Plan(seed=seed, seconds=60), Course(ends_per_s=0.2))
        outcome = run.run()
        return bool(outcome.wrong or outcome.drift or [w for w in run.changes.wrong if "told" in w])

    return any(wrong(seed) for seed in range(6))


def _joins_anything(tape: HeldTape, mark: TapeMark | None, now_s: float) -> Advance:
    held = [p for prints in tape._chunks for p in prints]
    return tape.tape.take_up(mark, 0, held, now_s)


def _counts_nothing(tape: HeldTape, mark: TapeMark | None, now_s: float) -> Advance:
    return tape.tape.take_up(mark, tape.whole_from_ms or 0, (), now_s)


def _goes_on(watch: CoinWatch) -> HeldTape:
    """Forgets where it stood: whoever takes up the tape takes it as whole from the beginning."""
    held = HeldTape(watch.symbol, tape=watch.tape)
    held._whole_from_ms = 0
    return held


def test_the_model_is_not_blind_the_true_one_passes_what_the_sabotaged_ones_fail() -> None:
    assert not _wrong_somewhere()


@pytest.mark.parametrize("take_up", [_joins_anything, _counts_nothing])
def test_a_take_over_that_joins_what_it_did_not_hear_or_counts_too_little_fails(
    take_up: Callable[[HeldTape, TapeMark | None, float], Advance], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HeldTape, "take_up", take_up)
    assert _wrong_somewhere()


def test_a_tape_that_is_handed_on_as_if_it_had_held_everything_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CoinWatch, "hand_on", _goes_on)
    assert _wrong_somewhere()


# -- by hand ------------------------------------------------------------------------------------------------------

BTC = Symbol("BTC")
ANN, BOB = Address("0x" + "1" * 40), Address("0x" + "2" * 40)


def block(time_ms: int, *tids: int) -> list[Print]:
    return [Print(time_ms, tid, 1, 1.0, ANN, BOB) for tid in tids or (time_ms,)]


def blocks(*times: int) -> list[Print]:
    return [p for time_ms in times for p in block(time_ms)]


def times(prints: Sequence[Print]) -> list[int]:
    return [p.time_ms for p in prints]


def mark(watermark_ms: int, epoch_ms: int = 50) -> TapeMark:
    return TapeMark(symbol=BTC, watermark_ms=watermark_ms, epoch_ms=epoch_ms, gaps=(TapeGap(40, epoch_ms),))


def held(tape: HeldTape | None = None, *, sockets: tuple[str, ...] = ("s1", "s2")) -> HeldTape:
    tape = HeldTape(BTC) if tape is None else tape
    for socket in sockets:
        tape.hear_prints(socket, blocks(100, 200), replay=True, now_s=0.0, known_at_ms=0)
    return tape


def say(tape: HeldTape, socket: str, prints: list[Print], now_s: float = 1.0) -> None:
    tape.hear_prints(socket, prints, replay=False, now_s=now_s, known_at_ms=0)


def test_what_is_newer_than_the_mark_counts_once_and_the_tape_goes_on_on_the_same_sockets() -> None:
    tape = held()
    say(tape, "s1", blocks(300, 400, 500))
    advance = tape.take_up(mark(300), 2.0)
    assert (advance.gap, times(advance.fresh)) == (None, [400, 500])
    assert (tape.tape.epoch_ms, tape.tape.gaps) == (50, (TapeGap(40, 50),))
    assert tape.tape.hear("s2", blocks(400, 500), 2.1).fresh == ()
    assert times(tape.tape.hear("s2", blocks(600), 2.2).fresh) == [600]
    assert sorted(tape.tape.covered_by()) == ["s1", "s2"]


def test_a_mark_ahead_of_our_sockets_is_taken_and_what_they_bring_up_to_it_is_dropped() -> None:
    tape = held()
    advance = tape.take_up(mark(450), 2.0)
    assert (advance, tape.tape.watermark_ms) == (Advance(), 450)
    assert times(tape.tape.hear("s1", blocks(300, 400, 500), 2.1).fresh) == [500]


def test_an_interval_that_had_not_joined_joins_when_the_mark_is_ahead_of_where_it_began() -> None:
    tape = held(sockets=("s1",))
    tape.hear_prints("s2", blocks(500, 600, 700), replay=True, now_s=0.5, known_at_ms=0)
    assert tape.tape.covered_by() == ["s1"]
    advance = tape.take_up(mark(550), 2.0)
    assert (advance.gap, times(advance.fresh)) == (None, [600])
    assert sorted(tape.tape.covered_by()) == ["s1", "s2"]


def test_a_mark_from_before_what_is_held_is_a_gap_up_to_there() -> None:
    tape = held()
    say(tape, "s1", blocks(300))
    advance = tape.take_up(mark(90), 2.0)
    assert (advance.gap, times(advance.fresh)) == (TapeGap(90, 100), [200, 300])
    assert (tape.tape.epoch_ms, tape.tape.watermark_ms) == (100, 300)


def test_a_gap_of_the_stand_bys_own_matters_only_if_the_mark_lies_before_its_end() -> None:
    for stands, gap, fresh in ((950, None, [1000]), (300, TapeGap(300, 900), [950, 1000])):
        tape = held()
        for socket in ("s1", "s2"):
            tape.end(socket, "lost", now_s=1.0, known_at_ms=0)
        tape.hear_prints("s1", blocks(900, 950), replay=True, now_s=9.0, known_at_ms=0)
        say(tape, "s1", blocks(950, 1000), 9.1)
        assert tape.whole_from_ms == 900
        advance = tape.take_up(mark(stands), 9.2)
        assert (advance.gap, times(advance.fresh)) == (gap, fresh)


def test_without_a_mark_the_tape_begins_where_it_is_held_from() -> None:
    tape = held()
    say(tape, "s1", blocks(300))
    advance = tape.take_up(None, 2.0)
    assert (advance.gap, times(advance.fresh), tape.tape.epoch_ms) == (None, [200, 300], 100)


def test_a_stand_by_that_has_heard_nothing_yet_begins_at_the_mark() -> None:
    tape = HeldTape(BTC)
    assert tape.take_up(mark(300), 0.0) == Advance()
    assert tape.tape.hear_replay("s1", blocks(900, 950), 1.0).gap == TapeGap(300, 900)


def test_on_a_quiet_coin_best_prices_alone_carry_it_over() -> None:
    tape = held()
    tape.hear_time("s1", 9_000, now_s=5.0, known_at_ms=0)
    advance = tape.take_up(mark(6_500), 6.0)
    assert (advance.gap, times(advance.fresh), tape.tape.watermark_ms) == (None, [], 7_000)


def test_a_mute_socket_stays_known_as_mute_over_the_take_over() -> None:
    """Its best prices vouch for nothing: had the clock of its silence begun anew, they would."""
    tape = held()
    say(tape, "s1", blocks(300), 1.0)
    tape.take_up(mark(300), 2.0)
    tape.tape.hear_time("s2", 9_000, 3.0)
    assert tape.tape.watermark_ms == 300
    assert tape.tape.silent(5.1) == ["s2"]


def test_a_print_that_came_late_while_it_was_held_counts_in_its_place() -> None:
    tape = held()
    say(tape, "s1", blocks(300, 500))
    say(tape, "s2", block(400, 7))
    say(tape, "s1", block(300, 8))
    advance = tape.take_up(mark(200), 2.0)
    assert [p.tid for p in advance.fresh] == [300, 8, 7, 500]
    assert advance.late == ()


def test_what_is_too_old_or_too_much_is_let_go_by_whole_blocks_but_never_the_last_thirty() -> None:
    tape = held(HeldTape(BTC, held_prints=5, held_least=2))
    say(tape, "s1", block(300, 1, 2, 3))
    say(tape, "s1", block(400, 4, 5))
    say(tape, "s2", block(300, 1, 2, 3, 9))  # its rest comes when its beginning was let go
    say(tape, "s1", block(500, 6))
    assert tape.whole_from_ms == 300
    assert times(tape.take_up(mark(300), 2.0).fresh) == [400, 400, 500]

    quiet = held(HeldTape(BTC, held_ms=1_000, held_least=2))
    for at in (5_000, 10_000, 15_000):
        say(quiet, "s1", blocks(at))
    assert (len(quiet), quiet.whole_from_ms) == (2, 5_000)
