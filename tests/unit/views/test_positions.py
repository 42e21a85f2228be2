from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market_scraper.domain.claims import EXACT_MAX_AGE_MS
from market_scraper.domain.events import MarketContextChanged, PositionChanged, TapeAdvanced, TapeGapped, TradersRated
from market_scraper.domain.positions import Cause, PositionState
from market_scraper.domain.rules import InferenceRules
from market_scraper.domain.traders import Inference
from market_scraper.views.positions import LivePositions
from market_scraper.views.traders import LiveTraders
from tests.facts import BTC, ETH, address, advanced, changed, context, gapped, mark, position, rated
from tests.fakes import FakeClock

START_MS = 1_000_000


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(now_ms=START_MS)


@pytest.fixture
def traders() -> LiveTraders:
    return LiveTraders()


@pytest.fixture
def view(clock: FakeClock, traders: LiveTraders) -> LivePositions:
    return LivePositions(clock, traders)


def state_of(view: LivePositions, trader: int = 1) -> PositionState | None:
    now = view.get(address(trader), BTC)
    return None if now is None else now.claim.state


def slow_coverage(view: LivePositions, open_interest: float) -> float:
    """What coverage means: ask the claim of everyone."""
    lots = 0
    for trader in view.known(BTC):
        now = view.get(trader, BTC)
        assert now is not None
        assert now.position is not None
        if now.claim.state is PositionState.EXACT:
            lots += abs(now.position.lots or 0)
    return min(1.0, lots / 10**5 / (2 * open_interest))


def test_a_position_is_exact_as_of_the_watermark_and_no_longer_when_that_is_too_old(
    view: LivePositions, clock: FakeClock
) -> None:
    view.apply(changed(position(t_ms=START_MS - 500)))
    view.apply(advanced(mark(START_MS)))
    now = view.get(address(1), BTC)
    assert now is not None
    assert (now.claim.state, now.claim.as_of_ms) == (PositionState.EXACT, START_MS)
    clock.jump_ms(EXACT_MAX_AGE_MS)
    assert state_of(view) is PositionState.EXACT
    clock.jump_ms(1)
    assert state_of(view) is PositionState.UNSURE


def test_age_is_judged_by_the_venues_clock(view: LivePositions, clock: FakeClock) -> None:
    """Our clock is 10 s behind: what looks new is old."""
    view.apply(changed(position(t_ms=START_MS)))
    view.apply(advanced(mark(START_MS), venue_offset_ms=10_000))
    assert state_of(view) is PositionState.UNSURE


def test_after_a_gap_nobody_is_exact_until_re_based(view: LivePositions) -> None:
    view.apply(changed(position(1, t_ms=START_MS - 9_000)))
    view.apply(gapped(mark(START_MS, gaps=((START_MS - 8_000, START_MS - 1_000),))))
    assert state_of(view) is PositionState.UNSURE
    view.apply(changed(position(1, t_ms=START_MS, tid=0, epoch_ms=START_MS - 1_000, version=2)))
    assert state_of(view) is PositionState.EXACT


def test_an_older_version_or_mark_never_replaces_a_newer_one(view: LivePositions) -> None:
    view.apply(changed(position(lots=5, version=7)))
    view.apply(advanced(mark(2_000)))
    view.put([position(lots=1, version=6)])
    view.restore(mark(1_000), BTC)
    now = view.get(address(1), BTC)
    assert now is not None
    assert now.position is not None
    assert (now.position.lots, now.claim.as_of_ms) == (5, 2_000)


def test_a_mark_that_is_seen_again_ends_no_halt(view: LivePositions) -> None:
    """A halt begins at the mark that is there: seen again, that mark would call exact what nobody can know."""
    view.apply(changed(position(t_ms=START_MS)))
    view.apply(advanced(mark(START_MS)))
    view.apply(gapped(mark(START_MS, halted_since_ms=START_MS)))
    view.apply(advanced(mark(START_MS)))
    assert state_of(view) is PositionState.UNSURE
    view.apply(advanced(mark(START_MS + 1)))
    assert state_of(view) is PositionState.EXACT


def test_an_older_mark_says_nothing_of_the_venues_clock_either(view: LivePositions) -> None:
    view.apply(changed(position(t_ms=START_MS)))
    view.apply(advanced(mark(START_MS)))
    view.apply(advanced(mark(START_MS - 1), venue_offset_ms=10_000))
    assert state_of(view) is PositionState.EXACT


def test_an_event_that_is_seen_twice_changes_nothing(view: LivePositions) -> None:
    events: list[PositionChanged | TapeAdvanced | TapeGapped | MarketContextChanged] = [
        changed(position(t_ms=START_MS)),
        advanced(mark(START_MS)),
        MarketContextChanged(known_at_ms=5, context=context(2.0)),
        gapped(mark(START_MS, gaps=((START_MS - 8_000, START_MS - 1_000),))),
    ]
    for event in events:
        view.apply(event)
    before = view.version(BTC), view.get(address(1), BTC), view.coverage(BTC)
    for event in events:
        view.apply(event)
    assert (view.version(BTC), view.get(address(1), BTC), view.coverage(BTC)) == before


def test_an_older_open_interest_never_replaces_a_newer_one(view: LivePositions) -> None:
    view.apply(changed(position(lots=100_000, t_ms=START_MS)))
    view.apply(advanced(mark(START_MS)))
    view.apply(MarketContextChanged(known_at_ms=5, context=context(1.0)))
    view.apply(MarketContextChanged(known_at_ms=4, context=context(0.5)))
    assert view.coverage(BTC) == 0.5


def test_a_coin_without_a_mark_speaks_of_the_fact_alone(view: LivePositions) -> None:
    view.apply(changed(position(t_ms=START_MS - 1_000)))
    now = view.get(address(1), BTC)
    assert now is not None
    assert (now.claim.state, now.claim.as_of_ms) == (PositionState.EXACT, START_MS - 1_000)


class TestWhoWasNeverSeen:
    def rate(self, traders: LiveTraders, *inferences: Inference) -> None:
        rows = tuple(rated(number, inference=inference) for number, inference in enumerate(inferences, 1))
        traders.apply(TradersRated(known_at_ms=9, captured_at_ms=9, part=0, parts=1, traders=rows))

    def test_is_inferred_when_the_leaderboard_says_so_with_enough_confidence(
        self, view: LivePositions, traders: LiveTraders
    ) -> None:
        self.rate(traders, Inference(True, 0.9), Inference(True, 0.4), Inference(False, 0.0))
        view.collect([BTC])
        assert [state_of(view, number) for number in (1, 2, 3, 4)] == [
            PositionState.INFERRED,
            PositionState.UNKNOWN,
            PositionState.UNKNOWN,
            None,
        ]
        now = view.get(address(1), BTC)
        assert now is not None
        assert (now.position, now.claim.doubt, now.claim.as_of_ms) == (None, None, 9)

    def test_is_not_inferred_in_a_coin_that_is_not_collected_nor_when_inference_is_off(
        self, clock: FakeClock, traders: LiveTraders
    ) -> None:
        self.rate(traders, Inference(True, 0.9))
        view = LivePositions(clock, traders, inference=InferenceRules(enabled=False))
        view.collect([BTC])
        assert state_of(view) is PositionState.UNKNOWN
        assert view.get(address(1), ETH) is None

    def test_is_shown_as_seen_once_the_tape_has_spoken(self, view: LivePositions, traders: LiveTraders) -> None:
        self.rate(traders, Inference(True, 0.9))
        view.apply(changed(position(state=PositionState.UNKNOWN, lots=None)))
        assert state_of(view) is PositionState.UNKNOWN


class TestCoverage:
    def test_is_the_exact_share_of_both_sides_of_the_open_interest(self, view: LivePositions) -> None:
        view.apply(changed(position(1, lots=100_000, t_ms=START_MS)))  # 1 coin
        view.apply(changed(position(2, lots=-300_000, t_ms=START_MS, version=2)))
        view.apply(
            changed(position(3, lots=900_000, state=PositionState.UNSURE, doubt=0.1, because=Cause.DRIFT, version=3))
        )
        view.apply(advanced(mark(START_MS)))
        assert view.coverage(BTC) == 0.0
        view.apply(MarketContextChanged(known_at_ms=1, context=context(4.0)))
        assert view.coverage(BTC) == 0.5
        assert view.coverage(ETH) == 0.0

    def test_is_never_above_one_nor_a_crash_without_open_interest(self, view: LivePositions) -> None:
        view.apply(changed(position(1, lots=100_000, t_ms=START_MS)))
        view.apply(advanced(mark(START_MS)))
        for open_interest, expected in ((0.1, 1.0), (0.0, 0.0)):
            view.apply(MarketContextChanged(known_at_ms=1, context=context(open_interest)))
            assert view.coverage(BTC) == expected


class TestVersion:
    def test_stays_while_answers_stay_and_rises_with_every_event(self, view: LivePositions) -> None:
        view.apply(advanced(mark(START_MS)))
        first = view.version(BTC)
        assert view.version(BTC) == first
        view.apply(changed(position()))
        second = view.version(BTC)
        view.apply(advanced(mark(START_MS + 1)))
        assert first < second < view.version(BTC)

    def test_rises_when_time_alone_changes_the_answer(self, view: LivePositions, clock: FakeClock) -> None:
        view.apply(changed(position(t_ms=START_MS)))
        view.apply(advanced(mark(START_MS)))
        exact = view.version(BTC)
        clock.jump_ms(EXACT_MAX_AGE_MS)
        assert view.version(BTC) == exact
        clock.jump_ms(1)
        stale = view.version(BTC)
        clock.jump_ms(1_000)
        staler = view.version(BTC)
        view.apply(advanced(mark(START_MS + EXACT_MAX_AGE_MS + 1_001)))
        assert exact < stale < staler < view.version(BTC)

    def test_rises_with_new_ratings(self, view: LivePositions, traders: LiveTraders) -> None:
        before = view.version(BTC)
        traders.apply(TradersRated(known_at_ms=9, captured_at_ms=9, part=0, parts=1, traders=()))
        assert view.version(BTC) > before


Step = Callable[["Run"], None]


class Run:
    """A coin's stream as the collector makes it: versions and watermarks rise; facts may run ahead of the mark."""

    def __init__(self) -> None:
        self.clock = FakeClock(now_ms=START_MS)
        self.view = LivePositions(self.clock, LiveTraders())
        self.view.apply(MarketContextChanged(known_at_ms=1, context=context(0.05)))
        self.version = 0
        self.watermark_ms = START_MS
        self.gaps: tuple[tuple[int, int], ...] = ()
        self.halted_ms: int | None = None

    @property
    def epoch_ms(self) -> int:
        return self.gaps[-1][1] if self.gaps else 0

    def fact(self, trader: int, lots: int | None, state: PositionState, ahead_ms: int, is_old_epoch: bool) -> None:
        self.version += 1
        self.view.apply(
            changed(
                position(
                    trader,
                    lots=lots,
                    state=PositionState.UNKNOWN if lots is None else state,
                    doubt=0.5 if state is PositionState.UNSURE else None,
                    epoch_ms=0 if is_old_epoch else self.epoch_ms,
                    t_ms=self.watermark_ms + ahead_ms,
                    version=self.version,
                )
            )
        )

    def advance(self, by_ms: int) -> None:
        self.watermark_ms += by_ms
        self.view.apply(advanced(mark(self.watermark_ms, gaps=self.gaps, halted_since_ms=self.halted_ms)))

    def gap(self, length_ms: int) -> None:
        begun_ms, self.watermark_ms = self.watermark_ms, self.watermark_ms + length_ms
        self.gaps += ((begun_ms, self.watermark_ms),)
        self.view.apply(gapped(mark(self.watermark_ms, gaps=self.gaps, halted_since_ms=self.halted_ms)))

    def halt(self, is_halted: bool) -> None:
        self.halted_ms = self.watermark_ms if is_halted else None
        self.advance(0)


MS = st.sampled_from([0, 1, 900, 4_999, 5_000, 5_001, 12_000])
STEPS: st.SearchStrategy[Step] = st.one_of(
    st.builds(
        lambda *arguments: lambda run: run.fact(*arguments),
        st.integers(1, 4),
        st.none() | st.integers(-3_000, 3_000),
        st.sampled_from([PositionState.EXACT, PositionState.EXACT, PositionState.UNSURE]),
        MS,
        st.booleans(),
    ),
    st.builds(lambda ms: lambda run: run.advance(ms), MS),
    st.builds(lambda ms: lambda run: run.gap(ms), MS.filter(bool)),
    st.builds(lambda is_halted: lambda run: run.halt(is_halted), st.booleans()),
    st.builds(lambda ms: lambda run: run.clock.jump_ms(ms), MS),
)


@settings(deadline=None, max_examples=200)
@given(st.lists(STEPS, min_size=5, max_size=25))
def test_quick_coverage_is_the_sum_over_all_claims_whatever_happens(steps: list[Step]) -> None:
    run = Run()
    version = run.view.version(BTC)
    for step in steps:
        before = [run.view.get(address(trader), BTC) for trader in range(1, 5)]
        step(run)
        assert run.view.coverage(BTC) == slow_coverage(run.view, 0.05)
        after = [run.view.get(address(trader), BTC) for trader in range(1, 5)]
        previous, version = version, run.view.version(BTC)
        assert version >= previous
        if before != after:
            assert version > previous
