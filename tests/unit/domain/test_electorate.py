"""One symbol's voters through blocks, gaps, silence and a restart."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_scraper.domain.classes import Classifier, ClassName
from market_scraper.domain.electorate import Electorate, ExactSizes, Rating
from market_scraper.domain.events import MarketContextChanged, PositionChanged, TapeAdvanced, TapeGapped
from market_scraper.domain.market import MarketContext
from market_scraper.domain.positions import Cause, Position, PositionState, TapeGap, TapeMark
from market_scraper.domain.rules import ClassRules, ClassVotes, SignalRules
from market_scraper.domain.signals import Signal, SignalState
from market_scraper.domain.values import Address, Recommendation, Symbol

BTC = Symbol("BTC")
T = 1_790_000_000_000
VOTERS = 6
RULES = SignalRules()


def trader(number: int) -> Address:
    return Address(f"0x{number:040x}")


RATINGS = {trader(number): Rating(60.0 + number, 10_000.0) for number in range(VOTERS)}


def position(number: int, lots: int | None, t_ms: int, version: int, *, epoch_ms: int = 0) -> Position:
    return Position(
        trader=trader(number),
        symbol=BTC,
        sz_decimals=2,
        lots=lots,
        net_lots=0,
        state=PositionState.UNKNOWN if lots is None else PositionState.EXACT,
        doubt=None,
        because=None,
        since_ms=None,
        epoch_ms=epoch_ms,
        changes=10,
        watched_from_ms=T - 600_000,
        entry_px=None,
        leverage=None,
        liquidation_px=None,
        confirmed_ms=None,
        account_value=None,
        t_ms=t_ms,
        tid=version,
        version=version,
    )


class Tape:
    """Makes facts in their order."""

    def __init__(self) -> None:
        self.version = 0
        self.gaps: tuple[TapeGap, ...] = ()
        self.epoch_ms = 0
        self.pace = 1.0

    def fact(self, number: int, lots: int | None, at: int, cause: Cause = Cause.PRINT) -> PositionChanged:
        self.version += 1
        after = position(number, lots, T + at, self.version, epoch_ms=self.epoch_ms)
        return PositionChanged(known_at_ms=T + at + 40, after=after, lots_before=0, cause=cause, px=100.0)

    def mark(self, at: int) -> TapeMark:
        return TapeMark(symbol=BTC, watermark_ms=T + at, epoch_ms=self.epoch_ms, gaps=self.gaps, pace=self.pace)

    def advanced(self, at: int, *, late_ms: int = 60) -> TapeAdvanced:
        return TapeAdvanced(known_at_ms=T + at + late_ms, mark=self.mark(at), venue_offset_ms=0)

    def gapped(self, since: int, until: int) -> TapeGapped:
        self.gaps = (*self.gaps, TapeGap(T + since, T + until))
        self.epoch_ms = T + until
        return TapeGapped(known_at_ms=T + until + 50, mark=self.mark(until))


def priced(px: float = 100.0, interest: float = 30.0) -> MarketContextChanged:
    context = MarketContext(symbol=BTC, mark=px, mid=px, open_interest=interest, funding=None, day_volume_usd=None)
    return MarketContextChanged(known_at_ms=T, context=context)


def electorate(last: Signal | None = None, mark: TapeMark | None = None) -> Electorate:
    made = Electorate(BTC, RULES, started_ms=T)
    made.resume(mark, last)
    made.rate(RATINGS, T)
    made.priced(priced())
    return made


def only(signals: list[Signal]) -> Signal:
    assert len(signals) == 1
    return signals[0]


def live(tape: Tape) -> tuple[Electorate, Signal]:
    """Six exact longs of 50 coins x 100 USD on 10,000 USD: conviction 0.5 each; 300 coins of 2 x 150 covered."""
    made = electorate()
    made.priced(priced(interest=150.0))
    made.advanced(tape.advanced(0))
    for number in range(VOTERS):
        assert made.changed(tape.fact(number, 5_000, 100)) is None
    told = made.settle()
    assert told is not None
    return made, told


def test_a_block_of_many_facts_gives_one_signal_of_its_own_time() -> None:
    made, told = live(Tape())

    assert (told.t_ms, told.known_at_ms) == (T + 100, T + 140)
    assert (told.recommendation, told.state) == (Recommendation.BUY, SignalState.LIVE)
    assert told.net_exposure == pytest.approx(0.5)
    assert told.coverage == 1.0
    assert len(told.contributions) == VOTERS
    assert made.settle() is None


def classed_as(name: ClassName | None, votes: ClassVotes | None = None) -> Signal:
    """The same six longs, the first two of them classed."""
    tape = Tape()
    rules = ClassRules() if votes is None else ClassRules(votes=votes)
    made = Electorate(BTC, SignalRules(min_voters=5), started_ms=T, classifier=Classifier(rules))
    ratings = dict(RATINGS)
    for number in (0, 1):
        ratings[trader(number)] = msgspec.structs.replace(ratings[trader(number)], name=name)
    made.rate(ratings, T)
    made.priced(priced(interest=150.0))
    made.advanced(tape.advanced(0))
    for number in range(VOTERS):
        made.changed(tape.fact(number, 5_000, 100))
    told = made.settle()
    assert told is not None
    return told


def test_who_is_classed_does_not_vote_and_voters_alone_are_counted() -> None:
    told = classed_as(ClassName.MARKET_MAKER)

    assert told.left_out == {"market_maker": 2}
    assert told.traders_long == len(told.contributions) == 4
    assert trader(0) not in [one.trader for one in told.contributions]
    assert told.state is SignalState.WARMING_UP  # four voters of six tracked, five are needed
    assert told.coverage == 1.0  # what they hold is known all the same


def test_a_class_that_votes_in_full_gives_the_digits_of_no_class_and_one_that_votes_by_half_counts_half() -> None:
    unclassed = classed_as(None)
    in_full = classed_as(ClassName.DORMANT, ClassVotes(dormant=1.0))
    by_half = classed_as(ClassName.DORMANT, ClassVotes(dormant=0.5))

    assert in_full == unclassed
    assert unclassed.left_out == {}
    assert by_half.traders_long == 6
    weights = {one.trader: one.weight for one in by_half.contributions}
    assert weights[trader(0)] == pytest.approx(0.5 * 0.60)


def test_who_is_seen_to_be_hedged_stops_voting_with_the_fact_that_says_so() -> None:
    tape = Tape()
    made, before = live(tape)
    event = tape.fact(0, 5_000, 200)
    hedged = msgspec.structs.replace(event, after=msgspec.structs.replace(event.after, net_share=0.02))
    made.changed(hedged)
    made.advanced(tape.advanced(60_200))

    assert before.traders_long == 6
    assert made.last is not None
    assert (made.last.traders_long, made.last.left_out) == (5, {"hedged": 1})


def test_who_has_nothing_to_vote_with_is_not_counted_as_left_out() -> None:
    tape = Tape()
    made = electorate()
    made.rate({trader(0): Rating(60.0, 10_000.0, ClassName.DORMANT)}, T)
    made.advanced(tape.advanced(0))
    made.changed(tape.fact(0, None, 100))
    made.advanced(tape.advanced(61_000))
    assert made.last is not None
    assert made.last.left_out == {}


def test_the_next_block_and_the_mark_tell_a_pending_block_too() -> None:
    tape = Tape()
    made, _ = live(tape)

    made.changed(tape.fact(0, -9_000, 200))
    by_next_block = made.changed(tape.fact(1, -9_000, 300))
    by_mark = only(made.advanced(tape.advanced(300)))

    assert by_next_block is not None
    assert (by_next_block.t_ms, by_mark.t_ms) == (T + 200, T + 300)


def test_nobody_computes_for_traders_who_do_not_vote() -> None:
    tape = Tape()
    made, _ = live(tape)
    before = made.computed

    made.changed(tape.fact(99, 5_000, 200))
    made.changed(tape.fact(99, -5_000, 300))

    assert made.settle() is None
    assert made.computed == before


def test_a_change_too_small_to_matter_is_computed_and_not_told_until_the_tape_has_moved_on() -> None:
    tape = Tape()
    made, first = live(tape)

    made.changed(tape.fact(0, 5_001, 200))
    assert made.settle() is None
    assert made.advanced(tape.advanced(60_099)) == []
    due = only(made.advanced(tape.advanced(60_100)))

    assert due.t_ms == T + 60_100
    assert due.net_exposure > first.net_exposure


def test_an_older_fact_never_replaces_a_newer_one() -> None:
    tape = Tape()
    made, _ = live(tape)
    older = tape.fact(0, 1, 150)
    made.changed(tape.fact(0, 7_000, 200))

    made.changed(older)

    kept = made.position(trader(0))
    assert kept is not None
    assert kept.lots == 7_000


def test_after_a_gap_nobody_is_exact_until_based_anew_and_the_advice_is_withdrawn() -> None:
    tape = Tape()
    made, _ = live(tape)

    withdrawn = only(made.gapped(tape.gapped(500, 2_500)))
    assert (withdrawn.recommendation, withdrawn.state) == (Recommendation.NEUTRAL, SignalState.WARMING_UP)
    assert withdrawn.coverage == 0.0
    assert withdrawn.traders_long == VOTERS  # nearly sure of them still: they vote with 1 - doubt
    assert {one.state for one in withdrawn.contributions} == {PositionState.UNSURE}

    for number in range(VOTERS):
        made.changed(tape.fact(number, 5_000, 3_000, Cause.BASE))
    back = made.settle()
    assert back is not None
    assert (back.recommendation, back.state, back.coverage) == (Recommendation.BUY, SignalState.LIVE, 1.0)


def test_coverage_that_comes_from_others_lets_a_waiting_signal_go_live_at_the_next_mark() -> None:
    tape = Tape()
    made = electorate()
    made.priced(priced(interest=150.0))
    for number in range(VOTERS):
        made.changed(tape.fact(number, 50, 100))
    assert only(made.advanced(tape.advanced(100))).state is SignalState.WARMING_UP  # 3 of 300 coins

    made.changed(tape.fact(99, -20_000, 200))
    woken = only(made.advanced(tape.advanced(200)))

    assert woken.state is SignalState.LIVE
    assert woken.coverage == pytest.approx(203 / 300)


def test_silence_makes_a_live_signal_stale_once_and_the_tape_brings_it_back() -> None:
    tape = Tape()
    made, _ = live(tape)
    made.advanced(tape.advanced(200))

    assert made.silence(T + 5_200) is None
    stale = made.silence(T + 5_201)
    assert stale is not None
    assert (stale.state, stale.recommendation, stale.coverage) == (SignalState.STALE, Recommendation.BUY, 0.0)
    assert stale.t_ms == T + 5_201
    assert made.silence(T + 9_000) is None

    back = only(made.advanced(tape.advanced(6_000)))
    assert (back.state, back.recommendation) == (SignalState.LIVE, Recommendation.BUY)


def test_a_watermark_that_lags_is_stale_even_while_marks_come() -> None:
    tape = Tape()
    made, _ = live(tape)

    stale = only(made.advanced(tape.advanced(200, late_ms=5_001)))

    assert stale.state is SignalState.STALE


def test_a_halt_takes_every_vote_away() -> None:
    tape = Tape()
    made, _ = live(tape)
    halted = msgspec.structs.replace(tape.mark(300), halted_since_ms=T + 250)

    told = only(made.advanced(TapeAdvanced(known_at_ms=T + 350, mark=halted, venue_offset_ms=0)))

    assert told.state is SignalState.WARMING_UP
    assert made.coverage == 0.0


def test_a_restart_continues_with_the_same_digits() -> None:
    tape = Tape()
    made, _ = live(tape)
    told = only(made.advanced(tape.advanced(61_000)))
    facts = [position(number, 5_000, T + 100, number + 1) for number in range(VOTERS)]

    again = electorate(told, tape.mark(61_000))
    again.priced(priced(interest=150.0))
    again.restore(reversed(facts))
    assert again.settle() is None  # the tape is not heard yet
    assert again.advanced(tape.advanced(61_250)) == []

    def act(one: Electorate) -> Signal | None:
        one.changed(
            PositionChanged(
                known_at_ms=T + 61_340,
                after=position(2, -9_000, T + 61_300, 50),
                lots_before=5_000,
                cause=Cause.PRINT,
                px=100.0,
            )
        )
        return one.settle()

    made.advanced(tape.advanced(61_250))
    continued, uninterrupted = act(again), act(made)
    assert continued is not None
    assert continued == uninterrupted


def test_after_a_restart_a_tape_that_stays_away_is_told_only_when_listening_was_long_enough() -> None:
    tape = Tape()
    _, told = live(tape)
    again = Electorate(BTC, RULES, started_ms=T + 3_600_000)
    again.resume(tape.mark(100), told)
    again.restore([position(number, 5_000, T + 100, number + 1) for number in range(VOTERS)])
    again.rate(RATINGS, T + 3_600_000)

    assert again.silence(T + 3_605_000) is None
    stale = again.silence(T + 3_605_001)

    assert stale is not None
    assert stale.state is SignalState.STALE


def test_who_is_tracked_no_more_stops_voting_and_a_new_one_brings_the_position_seen_before() -> None:
    tape = Tape()
    made, _ = live(tape)
    made.changed(tape.fact(50, -9_000, 200))

    ratings = {who: rating for who, rating in RATINGS.items() if who != trader(0)}
    made.rate(ratings | {trader(50): Rating(60.0, 10_000.0)}, T + 400)
    told = made.settle()

    assert told is not None
    assert (told.traders_long, told.traders_short, told.t_ms) == (5, 1, T + 400)


def test_a_change_without_a_print_is_told_at_the_venues_time_whatever_our_clock_says() -> None:
    tape = Tape()
    made, _ = live(tape)
    hour_ms = 3_600_000
    late = TapeAdvanced(known_at_ms=T + 200 + hour_ms, mark=tape.mark(200), venue_offset_ms=-hour_ms)
    assert made.advanced(late) == []

    made.rate({}, T + 900 + hour_ms)
    told = made.settle()

    assert told is not None
    assert (told.t_ms, told.known_at_ms) == (T + 900, T + 900 + hour_ms)


def test_nothing_is_told_before_open_interest_is_known() -> None:
    tape = Tape()
    made = Electorate(BTC, RULES, started_ms=T)
    made.resume(None, None)
    made.rate(RATINGS, T)
    made.changed(tape.fact(0, 5_000, 0))

    assert made.advanced(tape.advanced(100)) == []
    made.priced(priced())
    assert only(made.advanced(tape.advanced(200))).state is SignalState.WARMING_UP


def test_exact_sizes_follow_every_change_and_forget_older_stretches() -> None:
    sizes = ExactSizes()
    for number, lots in enumerate((5, -7, 0)):
        sizes.put(position(number, lots, T, 1))
    assert sizes.lots(0) == 12

    sizes.put(position(1, -2, T, 2))
    assert sizes.lots(0) == 7
    sizes.put(position(0, 5, T, 3, epoch_ms=10))
    assert (sizes.lots(10), sizes.lots(0)) == (5, 7)
    sizes.put(position(1, None, T, 4))
    assert sizes.lots(0) == 5


steps = st.lists(
    st.one_of(
        st.tuples(st.just("fact"), st.integers(0, VOTERS + 1), st.one_of(st.none(), st.integers(-9_000, 9_000))),
        st.tuples(st.just("gap"), st.integers(1, 4_000), st.none()),
        st.tuples(st.just("pace"), st.integers(1, 40), st.none()),
        st.tuples(st.just("untrack"), st.integers(0, VOTERS - 1), st.none()),
        st.tuples(st.just("silence"), st.integers(0, 9_000), st.none()),
    ),
    max_size=25,
)


@given(steps)
def test_whatever_happened_a_fresh_start_from_the_newest_facts_gives_the_same_digits(
    happened: list[tuple[str, int, int | None]],
) -> None:
    tape, made = Tape(), electorate()
    newest: dict[Address, Position] = {}
    ratings, at = dict(RATINGS), 0
    made.advanced(tape.advanced(at))
    for what, number, lots in happened:
        at += 100
        match what:
            case "fact":
                event = tape.fact(number, lots, at)
                newest[event.after.trader] = event.after
                made.changed(event)
            case "gap":
                at += number
                made.gapped(tape.gapped(at - number, at))
            case "pace":
                tape.pace = number / 10
                made.advanced(tape.advanced(at))
            case "untrack":
                ratings = {who: rating for who, rating in ratings.items() if who != trader(number)}
                made.rate(ratings, T + at)
            case _:
                made.silence(T + at + number)
    made.settle()
    last = made.last

    fresh = Electorate(BTC, RULES, started_ms=T)
    fresh.resume(tape.mark(at), last)
    fresh.restore(sorted(newest.values(), key=lambda one: one.trader))
    fresh.rate(ratings, T + at)
    fresh.priced(priced())

    at += 120_000
    assert made.advanced(tape.advanced(at))[-1] == fresh.advanced(tape.advanced(at))[-1]
    assert made.coverage == fresh.coverage
