"""Everyone's position in one coin, from prints and account answers."""

from fractions import Fraction
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_scraper.domain.events import PositionChanged
from market_scraper.domain.ledger import CoinLedger
from market_scraper.domain.market import Market, Print
from market_scraper.domain.positions import AccountSnapshot, Cause, PositionState, SnapshotPosition, TapeGap
from market_scraper.domain.tape import Advance
from market_scraper.domain.values import Address, Symbol

BTC = Market(symbol=Symbol("BTC"), sz_decimals=5, max_leverage=40)
ANN, BOB, CAT = (Address(f"0x{i:040x}") for i in (1, 2, 3))


def print_(t_ms: int, buyer: Address, seller: Address, lots: int, px: float = 80_000.0, tid: int = 0) -> Print:
    return Print(t_ms, tid or t_ms, lots, px, buyer, seller)


def answer(
    trader: Address, time_ms: int, lots: int | None, *, entry: float = 80_000.0, dex: str = ""
) -> AccountSnapshot:
    held = SnapshotPosition(symbol=BTC.symbol, lots=lots, entry_px=entry, leverage=10, liquidation_px=60_000.0)
    return AccountSnapshot(
        trader=trader, dex=dex, time_ms=time_ms, account_value=1000.0, positions=() if lots == 0 else (held,)
    )


class Book:
    """A ledger whose tape is always whole up to the newest print."""

    def __init__(self) -> None:
        self.ledger = CoinLedger(BTC)
        self.ledger.begin(0)

    def prints(self, *prints: Print, late: bool = False) -> list[PositionChanged]:
        advance = Advance(late=prints) if late else Advance(fresh=prints)
        return self.ledger.count(advance, known_at_ms=prints[-1].time_ms)

    def answered(self, snapshot: AccountSnapshot) -> tuple[str, PositionChanged | None]:
        self.ledger.hear(snapshot)
        ((_, verdict, fact),) = self.ledger.judge(snapshot.time_ms + 2_000, snapshot.time_ms + 2_000)
        return verdict, fact


def exact_at(lots: int, t_ms: int = 10_000, entry: float = 80_000.0) -> Book:
    book = Book()
    book.answered(answer(ANN, t_ms, lots, entry=entry))
    return book


def test_how_far_an_accounts_positions_cancel_stays_as_the_last_answer_said() -> None:
    book = Book()
    _, fact = book.answered(msgspec.structs.replace(answer(ANN, 10_000, 100), net_share=0.25))
    (later, _) = book.prints(print_(20_000, ANN, BOB, 5))
    fresh = CoinLedger(BTC)
    fresh.restore([later.after], [], 0)
    restored = fresh.get(ANN)

    assert fact is not None
    assert restored is not None
    assert (fact.after.net_share, later.after.net_share, restored.net_share) == (0.25, 0.25, 0.25)


def test_first_seen_on_the_tape_is_unknown_with_a_net_change_never_flat() -> None:
    facts = Book().prints(print_(100, ANN, BOB, 7))
    assert [(f.after.trader, f.after.lots, f.after.net_lots, f.after.state) for f in facts] == [
        (ANN, None, 7, PositionState.UNKNOWN),
        (BOB, None, -7, PositionState.UNKNOWN),
    ]


def test_one_quiet_answer_makes_exact_and_prints_move_it() -> None:
    book = exact_at(50)
    (fact, _) = book.prints(print_(20_000, BOB, ANN, 20))[::-1]
    assert (fact.lots_before, fact.after.lots, fact.after.state) == (50, 30, PositionState.EXACT)


def test_an_answer_without_the_coin_says_flat() -> None:
    verdict, fact = Book().answered(answer(ANN, 10_000, 0))
    assert verdict == "exact"
    assert fact is not None
    assert fact.after.lots == 0


def test_an_answer_is_judged_only_when_the_watermark_has_passed_its_window() -> None:
    ledger = Book().ledger
    ledger.hear(answer(ANN, 10_000, 5))
    assert ledger.judge(11_999, 0) == []
    assert len(ledger.judge(12_000, 0)) == 1


def test_a_busy_trader_needs_answers_until_one_base_is_left() -> None:
    book = Book()
    for t_ms in (9_000, 10_000, 11_000):
        book.prints(print_(t_ms, ANN, BOB, 1 + t_ms // 1000))
    verdict, fact = book.answered(answer(ANN, 10_000, 100))
    assert verdict == "several"
    assert fact is not None
    assert (fact.after.state, fact.after.because, fact.after.doubt) == (
        PositionState.UNSURE,
        Cause.CANDIDATES,
        0.75,
    )
    book.prints(print_(30_000, ANN, BOB, 1))
    verdict, fact = book.answered(answer(ANN, 40_000, 113))
    assert verdict == "exact"
    assert fact is not None
    assert fact.after.lots == 113


def test_two_answers_that_contradict_are_drift_and_a_third_that_agrees_heals_it() -> None:
    book = exact_at(50)
    verdict, fact = book.answered(answer(ANN, 20_000, 45))
    assert verdict == "drift"
    assert fact is not None
    assert (fact.after.state, fact.after.because, fact.after.doubt) == (PositionState.UNSURE, Cause.DRIFT, 1.0)
    verdict, fact = book.answered(answer(ANN, 30_000, 45))
    assert verdict == "exact"
    assert fact is not None
    assert (fact.after.lots, book.ledger.counts.drift) == (45, 1)


def test_an_audit_that_agrees_never_moves_a_size() -> None:
    book = exact_at(50)
    book.prints(print_(19_000, ANN, BOB, 5))
    verdict, fact = book.answered(answer(ANN, 20_000, 50))  # lags: the node had not seen the print yet
    assert verdict == "exact"
    assert fact is not None
    assert fact.after.lots == 55


def test_an_answer_older_than_the_last_one_is_refused() -> None:
    book = exact_at(50)
    assert book.answered(answer(ANN, 9_999, 3))[0] == "refused_old"


def test_the_same_answer_again_agrees_with_nothing() -> None:
    book = exact_at(50)
    book.answered(answer(ANN, 20_000, 45))
    assert book.answered(answer(ANN, 20_000, 45))[0] == "refused_old"


def test_after_a_drift_only_an_answer_of_a_later_state_makes_it_exact() -> None:
    book = exact_at(50)
    assert book.answered(answer(ANN, 20_000, 45))[0] == "drift"
    # A node that lags says the old state; two that lag would agree on it. The drift was noticed at 22,000.
    assert book.answered(answer(ANN, 23_999, 50))[0] == "refused_old"
    assert book.answered(answer(ANN, 24_000, 45))[0] == "exact"


def test_an_answer_whose_window_begins_before_the_tape_is_refused() -> None:
    book = Book()
    book.ledger.begin(10_000)
    assert book.answered(answer(ANN, 11_999, 3))[0] == "refused_unheard"
    assert book.answered(answer(ANN, 12_000, 3))[0] == "exact"


def test_an_answer_older_than_the_ring_of_recent_prints_is_refused() -> None:
    book = Book()
    book.prints(*(print_(20_000 + 1_000 * i, ANN, BOB, 1) for i in range(200)))
    assert book.answered(answer(ANN, 21_000, 3))[0] == "refused_forgotten"


def test_a_snapshot_of_another_dex_says_nothing_here() -> None:
    book = exact_at(50)
    book.ledger.hear(answer(ANN, 20_000, 0, dex="xyz"))
    assert book.ledger.judge(99_000, 99_000) == []
    assert book.ledger.is_exact(ANN)


def test_an_odd_size_makes_unsure() -> None:
    verdict, fact = exact_at(50).answered(answer(ANN, 20_000, None))
    assert verdict == "odd_size"
    assert fact is not None
    assert (fact.after.state, fact.after.doubt) == (PositionState.UNSURE, 1.0)


def test_after_a_gap_nothing_is_exact_until_it_is_joined_anew() -> None:
    book = exact_at(50)
    book.ledger.gapped(TapeGap(20_000, 30_000))
    assert not book.ledger.is_exact(ANN)
    (fact, _) = book.prints(print_(31_000, ANN, BOB, 5))
    assert (fact.after.lots, fact.after.state, fact.after.because, fact.after.since_ms) == (
        55,
        PositionState.UNSURE,
        Cause.GAP,
        20_000,
    )
    assert book.answered(answer(ANN, 40_000, 61))[0] == "exact"
    assert book.ledger.is_exact(ANN)


def test_who_has_another_size_behind_a_gap_is_counted_once_however_many_answers_and_gaps_it_takes() -> None:
    book = exact_at(50)
    book.answered(answer(BOB, 10_500, -50))
    book.ledger.gapped(TapeGap(20_000, 30_000))
    book.prints(print_(35_000, ANN, CAT, 5, tid=1))
    book.prints(print_(35_500, ANN, CAT, 2, tid=2))
    assert book.answered(answer(ANN, 36_000, 64))[0] == "several"
    book.ledger.gapped(TapeGap(40_000, 50_000))
    assert book.ledger.counts.moved_unheard == 0

    assert book.answered(answer(ANN, 60_000, 64))[0] == "exact"
    assert book.answered(answer(BOB, 60_000, -50))[0] == "exact"
    assert book.answered(answer(ANN, 70_000, 64))[0] == "exact"
    assert book.ledger.counts.moved_unheard == 1
    assert book.ledger.counts.drift == 0


def test_who_has_the_same_size_behind_a_gap_is_not_counted_though_prints_came_since() -> None:
    book = exact_at(50)
    book.ledger.gapped(TapeGap(20_000, 30_000))
    book.prints(print_(35_000, ANN, BOB, 5))
    assert book.answered(answer(ANN, 40_000, 55))[0] == "exact"
    assert book.ledger.counts.moved_unheard == 0


def test_a_close_is_flat_and_a_reopening_at_the_same_size_gives_its_own_fact() -> None:
    book = exact_at(50)
    facts = [
        *book.prints(print_(20_000, BOB, ANN, 50)),
        *book.prints(print_(20_100, ANN, BOB, 50)),
    ]
    own = [f for f in facts if f.after.trader == ANN]
    assert [(f.lots_before, f.after.lots) for f in own] == [(50, 0), (0, 50)]
    assert own[0].after.entry_px is None


def test_one_fact_a_trader_and_block_with_the_net_of_all_its_prints() -> None:
    book = exact_at(50)
    facts = book.prints(
        print_(20_000, ANN, BOB, 5, tid=1), print_(20_000, CAT, ANN, 2, tid=2), print_(20_000, ANN, BOB, 1, tid=3)
    )
    assert [(f.after.trader, f.after.lots, f.after.tid) for f in facts if f.after.trader == ANN] == [(ANN, 54, 3)]
    assert len(facts) == 3


def test_two_blocks_in_one_frame_are_two_facts() -> None:
    facts = exact_at(50).prints(print_(20_000, ANN, BOB, 5), print_(20_080, ANN, BOB, 5))
    assert [f.after.lots for f in facts if f.after.trader == ANN] == [55, 60]


def test_a_late_print_corrects_the_size_and_leaves_the_entry_price_open() -> None:
    book = exact_at(50)
    (fact, _) = book.prints(print_(60_000, ANN, BOB, 5), late=True)
    assert (fact.cause, fact.after.lots, fact.after.entry_px, fact.after.state) == (
        Cause.LATE,
        55,
        None,
        PositionState.EXACT,
    )


def test_a_late_print_that_an_answer_may_have_counted_already_makes_unsure() -> None:
    book = exact_at(50, t_ms=20_000)
    (fact, _) = book.prints(print_(19_000, ANN, BOB, 5), late=True)
    assert (fact.after.state, fact.after.because) == (PositionState.UNSURE, Cause.LATE)
    assert book.answered(answer(ANN, 30_000, 50))[0] == "exact"


def test_the_entry_price_averages_in_stays_on_the_way_out_and_is_new_on_a_flip() -> None:
    book = exact_at(100, entry=80_000.0)

    def entry_after(*prints: Print) -> float | None:
        return next(f for f in reversed(book.prints(*prints)) if f.after.trader == ANN).after.entry_px

    assert entry_after(print_(20_000, ANN, BOB, 100, 82_000.0)) == 81_000.0
    assert entry_after(print_(21_000, BOB, ANN, 150, 90_000.0)) == 81_000.0
    assert entry_after(print_(22_000, BOB, ANN, 80, 90_000.0)) == 90_000.0
    assert entry_after(print_(23_000, ANN, BOB, 30, 70_000.0)) is None


@given(st.lists(st.tuples(st.integers(-60, 60).filter(bool), st.integers(70_000, 90_000)), max_size=40))
def test_the_entry_price_is_the_exact_average_to_a_nano_dollar_of_cost_a_step(steps: list[tuple[int, int]]) -> None:
    book = exact_at(100, entry=80_000.0)
    size, cost = 100, Fraction(100 * 80_000)
    entry: float | None = 80_000.0
    for i, (lots, px) in enumerate(steps):
        t_ms = 20_000 + 100 * i
        buyer, seller = (ANN, BOB) if lots > 0 else (BOB, ANN)
        facts = book.prints(print_(t_ms, buyer, seller, abs(lots), float(px)))
        entry = next(f for f in facts if f.after.trader == ANN).after.entry_px
        after = size + lots
        if size == 0 or (size > 0) != (after > 0):
            cost = Fraction(px * abs(after))
        elif abs(after) > abs(size):
            cost += px * abs(lots)
        else:
            cost = cost * abs(after) / abs(size)
        size = after
    if size == 0:
        assert entry is None
    else:
        assert entry is not None
        assert abs(Fraction(entry) - cost / abs(size)) <= Fraction(len(steps), abs(size) * 10**4) + Fraction(1, 10**6)


def test_leverage_is_as_of_the_answer_and_gone_once_the_size_has_changed() -> None:
    book = Book()
    _, fact = book.answered(answer(ANN, 10_000, 50))
    assert fact is not None
    assert (fact.after.leverage, fact.after.liquidation_px, fact.after.confirmed_ms) == (10, 60_000.0, 10_000)
    (moved, _) = book.prints(print_(20_000, ANN, BOB, 1))
    assert (moved.after.leverage, moved.after.liquidation_px, moved.after.confirmed_ms) == (None, None, 10_000)


def test_versions_and_known_at_never_fall() -> None:
    book = exact_at(50)
    facts: list[Any] = []
    for t_ms, known in ((20_000, 21_000), (20_100, 20_500), (30_000, 25_000)):
        facts += book.ledger.count(Advance(fresh=(print_(t_ms, ANN, BOB, 1),)), known_at_ms=known)
    assert [f.after.version for f in facts] == sorted({f.after.version for f in facts})
    assert [f.known_at_ms for f in facts] == sorted(f.known_at_ms for f in facts)
    assert all(f.known_at_ms >= f.after.t_ms for f in facts)


def test_a_restored_ledger_goes_on_where_the_rows_stopped() -> None:
    book = exact_at(50)
    (fact, other) = book.prints(print_(20_000, ANN, BOB, 5))
    again = CoinLedger(BTC)
    again.restore([fact.after, other.after], [], epoch_ms=0)
    facts = again.count(Advance(fresh=(print_(20_000, ANN, BOB, 5), print_(20_100, ANN, BOB, 2))), known_at_ms=20_200)
    assert [(f.after.trader, f.after.lots, f.after.net_lots) for f in facts] == [(ANN, 57, 7), (BOB, None, -7)]
    assert facts[0].after.version > fact.after.version
    assert again.is_exact(ANN)


@pytest.mark.parametrize(("decimals", "size"), [(7, 0.0005), (4, 0.0005), (3, None)])
def test_rows_of_another_lot_are_taken_up_as_the_coins_that_they_were(decimals: int, size: float | None) -> None:
    """50 lots of 1e-5 coins; what is no whole number of the new lots is known no more."""
    fact = exact_at(45).prints(print_(20_000, ANN, BOB, 5))[0]
    assert fact.after.size == 0.0005
    again = CoinLedger(msgspec.structs.replace(BTC, sz_decimals=decimals))
    again.restore([fact.after], [], epoch_ms=0)
    after = again.count(Advance(fresh=(print_(20_100, ANN, BOB, 1),)), known_at_ms=20_200)[0].after
    assert after.size == (None if size is None else pytest.approx(size + 10.0**-decimals))
    assert (after.state is PositionState.EXACT) == (size is not None)
    assert size is None or after.entry_px == pytest.approx(80_000.0, rel=1e-3)


def test_sizes_of_all_traders_move_by_nothing_in_sum() -> None:
    book = Book()
    facts = book.prints(print_(100, ANN, BOB, 7), print_(200, BOB, CAT, 9), print_(200, CAT, ANN, 1))
    last = {f.after.trader: f.after.net_lots for f in facts}
    assert sum(last.values()) == 0


# -- what is counted of it -----------------------------------------------------------------------------------------


def test_a_cut_between_two_close_blocks_is_placed_in_the_window() -> None:
    book = exact_at(0)
    for t_ms in (19_000, 19_300, 19_600):
        book.prints(print_(t_ms, ANN, BOB, 1))
    assert book.answered(answer(ANN, 20_000, 2))[0] == "exact"  # after the block at 19,300, before that at 19,600
    counts = book.ledger.counts
    assert (counts.placed, counts.at_edge, dict(counts.offsets_ms)) == (1, 0, {-750: 1})


def test_cuts_in_the_outer_tenth_of_the_window_are_counted_on_both_sides() -> None:
    book = exact_at(0)
    for t_ms in (18_050, 18_100, 21_850, 21_900):
        book.prints(print_(t_ms, ANN, BOB, 1))
    book.answered(answer(ANN, 20_000, 1))  # between 18,050 and 18,100
    assert (book.ledger.counts.placed, book.ledger.counts.at_edge) == (1, 1)
    book.prints(print_(28_000, ANN, BOB, 1), print_(31_850, ANN, BOB, 1), print_(31_900, ANN, BOB, 1))
    book.answered(answer(ANN, 30_000, 6))  # between 31,850 and 31,900
    assert (book.ledger.counts.placed, book.ledger.counts.at_edge) == (2, 2)


def test_a_quiet_traders_answer_says_nothing_of_the_window() -> None:
    """One block in the window: the cut lies somewhere before it, up to four seconds wide. That is no edge."""
    book = exact_at(0)
    book.prints(print_(20_500, ANN, BOB, 1))
    assert book.answered(answer(ANN, 20_000, 0))[0] == "exact"
    assert (book.ledger.counts.placed, book.ledger.counts.at_edge) == (0, 0)


def test_a_size_that_fits_at_two_places_is_not_placed() -> None:
    book = exact_at(0)
    book.prints(print_(19_900, ANN, BOB, 1), print_(20_000, BOB, ANN, 1), print_(20_100, ANN, BOB, 1))
    assert book.answered(answer(ANN, 20_000, 1))[0] == "exact"
    assert book.ledger.counts.placed == 0


def test_what_is_known_when_never_falls_though_our_clock_goes_back_over_a_restart() -> None:
    book = Book()
    (ahead, _) = book.ledger.count(Advance(fresh=(print_(5_000, ANN, BOB, 1),)), known_at_ms=900_000)
    again = CoinLedger(BTC)
    again.restore([ahead.after], [], 0)
    assert again.known_at(6_000) == ahead.known_at_ms == 900_000
    (fact, _) = again.count(Advance(fresh=(print_(6_000, ANN, BOB, 1),)), known_at_ms=6_000)
    assert fact.known_at_ms == 900_000
    assert fact.after.version > ahead.after.version


def test_what_somebody_did_long_ago_is_half_forgotten_so_that_the_rate_follows_new_habits() -> None:
    book = Book()
    book.prints(*(print_(1_000 * i, ANN, BOB, 1) for i in range(1, 101)))
    ann = book.ledger.get(ANN)
    assert ann is not None
    book.ledger.forget_old_changes(7_200_000)
    assert (ann.changes, ann.watched_from_ms) == (100, 0)
    book.ledger.forget_old_changes(7_200_002)
    assert (ann.changes, ann.watched_from_ms) == (50, 3_600_001)
    book.ledger.forget_old_changes(7_300_000)
    assert ann.changes == 50
