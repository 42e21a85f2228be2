"""One coin's tape from several sockets: whole, in order, once."""

import csv
import gzip
from itertools import groupby
from pathlib import Path

import pytest

from market_scraper.domain.market import Print
from market_scraper.domain.positions import TapeGap, TapeMark
from market_scraper.domain.tape import Advance, CoinTape
from market_scraper.domain.values import Address, Symbol

A, B = Address("0x" + "a" * 40), Address("0x" + "b" * 40)
BTC = Symbol("BTC")


def block(t_ms: int, *tids: int) -> list[Print]:
    return [Print(t_ms, tid, 1, 100.0, A, B) for tid in tids]


def blocks(*times: int) -> list[Print]:
    return [p for t_ms in times for p in block(t_ms, t_ms)]


def times(prints: tuple[Print, ...]) -> list[int]:
    return [p.time_ms for p in prints]


def test_it_opens_after_the_oldest_replayed_block_and_holds_the_newest_back() -> None:
    tape = CoinTape(BTC)
    advance = tape.hear_replay("s1", blocks(100, 200, 300), 0.0)
    assert (times(advance.fresh), tape.epoch_ms, tape.watermark_ms) == ([200], 100, 299)


def test_a_cut_block_is_counted_once_and_whole() -> None:
    tape = CoinTape(BTC)
    tape.hear_replay("s1", blocks(100) + block(200, 1, 2), 0.0)
    advance = tape.hear("s1", block(200, 1, 2, 3), 0.1)
    assert [p.tid for p in advance.fresh] == [1, 2, 3]
    assert tape.counts.duplicates == 2


def test_what_two_sockets_bring_counts_once_in_the_order_of_the_first() -> None:
    tape = CoinTape(BTC)
    tape.hear_replay("s1", blocks(100, 200), 0.0)
    tape.hear_replay("s2", blocks(100, 200), 0.0)
    first = tape.hear("s1", block(300, 9, 1, 5), 0.1)
    second = tape.hear("s2", block(300, 1, 5, 9), 0.2)
    assert [p.tid for p in first.fresh] == [200, 9, 1, 5]
    assert second.fresh == second.late == ()


def test_the_very_frame_that_another_socket_brought_is_known_whatever_came_of_its_block_meanwhile() -> None:
    """Sockets that bring the same bytes share the prints that were read from them."""
    tape = CoinTape(BTC)
    for socket in ("s1", "s2", "s3"):
        tape.hear_replay(socket, blocks(100, 200), 0.0)
    frame = tuple(block(300, 9, 1))
    assert [p.tid for p in tape.hear("s1", frame, 0.1).fresh] == [200, 9, 1]
    assert [p.tid for p in tape.hear("s3", block(300, 9, 5), 0.2).late] == [5]
    assert tape.hear("s2", frame, 0.3) == Advance()
    assert [p.tid for p in tape.hear("s2", block(300, 1, 6), 0.4).late] == [6]
    assert (tape.counts.duplicates, tape.counts.late) == (2 + 1 + 2 + 1, 2)


def test_a_print_that_stands_twice_in_its_own_frame_counts_once() -> None:
    tape = CoinTape(BTC)
    tape.hear_replay("s1", blocks(100, 200), 0.0)
    assert [p.tid for p in tape.hear("s1", block(300, 9, 1, 9), 0.1).fresh] == [200, 9, 1]


def test_the_same_tid_in_another_block_is_another_print() -> None:
    tape = CoinTape(BTC)
    tape.hear_replay("s1", blocks(100, 200), 0.0)
    tape.hear("s1", block(300, 7), 0.1)
    assert len(tape.hear("s1", block(400, 7), 0.2).fresh) == 1


def test_nothing_newer_than_the_watermark_counts_before_it_is_joined() -> None:
    tape = CoinTape(BTC)
    tape.hear_replay("slow", blocks(100, 200), 0.0)
    tape.hear_replay("ahead", blocks(500, 600), 0.0)
    assert times(tape.hear("ahead", blocks(700), 0.1).fresh) == []
    assert times(tape.hear("slow", blocks(300, 500), 0.2).fresh) == [200, 300, 500, 600, 700]
    assert tape.watermark_ms == 700


def test_a_quick_reconnect_joins_by_its_replay() -> None:
    tape = CoinTape(BTC)
    tape.hear_replay("s1", blocks(100, 200), 0.0)
    tape.hear("s1", blocks(300), 0.1)
    tape.end("s1", "lost", 0.2)
    advance = tape.hear_replay("s1", blocks(200, 300, 400, 500), 1.0)
    assert (advance.gap, times(advance.fresh)) == (None, [400])


def test_a_slow_reconnect_is_a_gap_from_the_watermark() -> None:
    tape = CoinTape(BTC)
    tape.hear_replay("s1", blocks(100, 200), 0.0)
    tape.hear("s1", blocks(300), 0.1)
    tape.end("s1", "lost", 0.2)
    advance = tape.hear_replay("s1", blocks(1000, 1100, 1200), 9.0)
    assert advance.gap == TapeGap(300, 1000)
    assert times(advance.fresh) == [1100]
    assert tape.epoch_ms == 1000


def test_a_gap_comes_to_light_when_the_last_socket_that_reached_back_ends() -> None:
    tape = CoinTape(BTC)
    tape.hear_replay("s1", blocks(100, 200), 0.0)
    tape.hear_replay("s2", blocks(500, 600), 0.1)
    tape.hear("s2", blocks(700), 0.2)
    advance = tape.end("s1", "lost", 0.3)
    assert advance.gap == TapeGap(199, 500)
    assert times(advance.fresh) == [600, 700]


def test_a_print_that_one_socket_alone_brings_too_late_still_counts_as_late() -> None:
    tape = CoinTape(BTC)
    tape.hear_replay("s1", blocks(100, 200), 0.0)
    tape.hear_replay("s2", blocks(100, 200), 0.0)
    tape.hear("s1", blocks(400), 0.1)
    advance = tape.hear("s2", blocks(300, 400), 0.2)
    assert (times(advance.fresh), times(advance.late)) == ([], [300])


def test_a_replay_from_hours_ago_is_known_by_count_not_by_age() -> None:
    tape = CoinTape(BTC)
    hours = [3_600_000 * i for i in range(1, 31)]
    tape.hear_replay("s1", blocks(*hours), 0.0)
    tape.end("s1", "lost", 1.0)
    advance = tape.hear_replay("s1", blocks(*hours), 200_000.0)
    assert (advance.fresh, advance.late, advance.gap) == ((), (), None)


def test_a_print_older_than_any_key_held_is_dropped_not_counted_twice() -> None:
    tape = CoinTape(BTC, keys_held=3)
    tape.hear_replay("s1", blocks(100, 200), 0.0)
    tape.hear("s1", blocks(300, 400, 500, 600), 0.1)
    advance = tape.hear("s1", blocks(300), 0.2)
    assert (advance.fresh, advance.late) == ((), ())


def test_after_a_restart_nothing_at_or_before_the_mark_counts_again() -> None:
    tape = CoinTape(BTC, mark=TapeMark(symbol=BTC, watermark_ms=300, epoch_ms=100))
    advance = tape.hear_replay("s1", blocks(200, 300, 400, 500), 0.0)
    assert (advance.gap, times(advance.fresh), tape.epoch_ms) == (None, [400], 100)


def test_a_restart_that_comes_too_late_is_a_gap_from_the_mark() -> None:
    tape = CoinTape(BTC, mark=TapeMark(symbol=BTC, watermark_ms=300, epoch_ms=100))
    assert tape.hear_replay("s1", blocks(900, 950), 0.0).gap == TapeGap(300, 900)


def test_on_a_quiet_coin_another_timed_frame_moves_the_watermark_less_the_window() -> None:
    tape = CoinTape(BTC, join_window_ms=2_000)
    tape.hear_replay("s1", blocks(100, 200), 0.0)
    advance = tape.hear_time("s1", 9_000, 5.0)
    assert (times(advance.fresh), tape.watermark_ms) == ([200], 7_000)


def test_a_best_price_vouches_for_nothing_while_others_have_brought_prints_that_its_socket_has_not() -> None:
    """Its trades may be mute: if the others died now, nobody would notice what is lost after them."""
    tape = CoinTape(BTC, join_window_ms=2_000)
    for socket in ("s1", "mute"):
        tape.hear_replay(socket, blocks(100, 200), 0.0)
    tape.hear("s1", blocks(300), 0.1)
    tape.end("s1", "lost", 0.2)
    tape.hear_time("mute", 9_000, 3.0)
    assert tape.watermark_ms == 300
    assert tape.silent(4.2) == ["mute"]
    tape.hear("mute", blocks(300), 4.3)
    tape.hear_time("mute", 9_000, 4.4)
    assert tape.watermark_ms == 7_000


def test_silence_counts_only_while_others_bring_prints() -> None:
    tape = CoinTape(BTC)
    for socket in ("s1", "s2"):
        tape.hear_replay(socket, blocks(100, 200), 0.0)
    assert tape.silent(100.0) == []
    tape.hear("s1", blocks(300), 100.0)
    assert tape.silent(103.9) == []
    assert tape.silent(104.0) == ["s2"]


def test_who_has_brought_the_newest_print_in_its_replay_is_not_silent_on_a_coin_that_is_quiet_since() -> None:
    tape = CoinTape(BTC)
    for socket in ("s1", "s2"):
        tape.hear_replay(socket, blocks(100, 200), 0.0)
    assert times(tape.hear_time("s1", 9_000, 1.0).fresh) == [200]
    assert tape.silent(60.0) == []
    tape.hear("s1", blocks(10_000), 60.0)
    assert tape.silent(64.0) == ["s2"]


def test_a_late_socket_that_still_speaks_is_not_silent() -> None:
    tape = CoinTape(BTC)
    for socket in ("s1", "s2"):
        tape.hear_replay(socket, blocks(100, 200), 0.0)
    for i in range(20):
        tape.hear("s1", blocks(300 + i), float(i))
        tape.hear("s2", blocks(300 + i - 2), float(i) + 0.5)
    assert tape.silent(19.9) == []


def test_a_live_frame_without_an_open_interval_is_left_alone() -> None:
    tape = CoinTape(BTC)
    assert tape.hear("s1", blocks(100), 0.0).fresh == ()
    assert tape.watermark_ms is None


@pytest.mark.parametrize(("coin", "duplicates"), [("BTC", 30), ("SOL", 1)])
def test_the_recorded_ticks_have_two_full_gaps_a_coin_and_31_duplicates(
    recordings: Path, coin: str, duplicates: int
) -> None:
    with gzip.open(recordings / "hl_market_ticks" / f"trades_{coin}.csv.gz", "rt") as file:
        rows = list(csv.DictReader(file))
    tape = CoinTape(Symbol(coin))
    gaps, heard_s, counted = [], None, 0
    for received, frame in groupby(rows, key=lambda row: float(row["timestamp"])):
        prints = [Print(int(r["exchange_timestamp"]), int(r["trade_id"]), 1, 1.0, A, B) for r in frame]
        lost = heard_s is not None and received - heard_s > 30  # the recorder's socket was away
        if lost:
            tape.end("s1", "lost", received)
        hear = tape.hear_replay if heard_s is None or lost else tape.hear
        advance = hear("s1", prints, received)
        counted += len(advance.fresh) + len(advance.late)
        gaps += [advance.gap] if advance.gap else []
        heard_s = received
    assert len(gaps) == 2
    assert tape.counts.duplicates == duplicates
    assert tape.counts.late == 0
    assert counted + tape.counts.duplicates + tape.counts.before_start >= len(rows) - 1


# -- what the venue leaves open: the order of a replay, its frames, and trades that are mute --------------------------


def test_a_replay_that_comes_newest_first_is_put_in_order() -> None:
    tape = CoinTape(BTC)
    advance = tape.hear_replay("s1", list(reversed(blocks(100, 200, 300, 400))), 0.0)
    assert (times(advance.fresh), tape.epoch_ms, tape.watermark_ms) == ([200, 300], 100, 399)
    assert times(tape.hear("s1", list(reversed(blocks(400, 500))), 0.1).fresh) == [400, 500]


def test_a_replay_in_several_frames_vouches_for_no_block_that_one_of_them_may_have_cut() -> None:
    tape = CoinTape(BTC)
    tape.hear_replay("s1", blocks(100, 200), 0.0, replay_to_ms=1_000)
    first = tape.hear("s1", [*blocks(300), *block(400, 1)], 0.0)
    assert (times(first.fresh), tape.watermark_ms) == ([200, 300], 399)
    second = tape.hear("s1", [*block(400, 2, 3), *blocks(500)], 0.0)
    assert [p.tid for p in second.fresh] == [1, 2, 3]
    third = tape.hear("s1", blocks(1_001), 0.1)  # newer than any replay may be: whole
    assert (times(third.fresh), third.late, tape.watermark_ms) == ([500, 1_001], (), 1_001)


def quiet_tape(*, every_ms: int = 500, sockets: tuple[str, ...] = ("s1", "s2")) -> CoinTape:
    """A coin that has traded for a while on all sockets, up to 100 s."""
    tape = CoinTape(BTC)
    for socket in sockets:
        tape.hear_replay(socket, blocks(50_000, 50_100), 50.0)
    for t_ms in range(100_000 - 40 * every_ms, 100_001, every_ms):
        for socket in sockets:
            tape.hear(socket, blocks(t_ms), t_ms / 1000)
    return tape


def test_best_prices_move_the_watermark_until_trades_have_been_out_for_twice_an_unusual_time() -> None:
    tape = quiet_tape()  # twice a second: ten mean distances are 5 s
    tape.hear_time("s1", 109_000, 109.0)
    assert tape.watermark_ms == 107_000
    tape.hear_time("s1", 111_000, 111.0)
    assert tape.watermark_ms == 107_000


def test_an_unusual_silence_asks_for_a_replay_on_the_socket_that_was_silent_longest() -> None:
    tape = quiet_tape()
    tape.hear("s2", blocks(100_000), 100.5)
    assert tape.quiet(105.4) is None
    assert tape.quiet(105.6) == ("s1", False)
    assert tape.quiet(110.6) == ("s1", True)
    tape.hear_replay("s1", blocks(99_500, 100_000), 106.0)  # all of it known: nobody traded
    assert tape.quiet(110.9) is None
    tape.hear_time("s1", 112_000, 112.0)
    assert (tape.watermark_ms, tape.gaps) == (110_000, ())


def test_a_silence_of_a_coin_that_trades_seldom_is_never_past_believing() -> None:
    tape = quiet_tape(every_ms=20_000, sockets=("s1",))
    assert tape.quiet(159.0) is None
    assert tape.quiet(160.0) == ("s1", False)
    assert tape.quiet(100_000.0) == ("s1", False)


def test_a_replay_of_prints_that_best_prices_had_passed_shows_that_trades_were_mute() -> None:
    tape = quiet_tape()
    tape.hear_time("s1", 109_000, 109.0)
    advance = tape.hear_replay("s2", blocks(103_000, 104_000, 108_000), 109.5)
    assert advance.gap == TapeGap(100_000, 107_000)  # who traded before 103 s is nowhere to be had
    assert (advance.fresh, advance.late, tape.epoch_ms, tape.watermark_ms) == ((), (), 107_000, 107_999)


def test_where_that_replay_reaches_back_to_what_was_known_its_prints_are_late_and_nothing_is_missing() -> None:
    tape = quiet_tape()
    tape.hear_time("s1", 109_000, 109.0)
    advance = tape.hear_replay("s2", blocks(99_500, 100_000, 103_000, 108_000), 109.5)
    assert (advance.gap, times(advance.late)) == (None, [103_000])


def test_a_socket_that_speaks_again_after_a_silence_past_believing_has_lost_its_word() -> None:
    tape = quiet_tape()
    tape.hear_time("s1", 109_000, 109.0)
    assert tape.hear("s1", blocks(110_500), 110.5).fresh == ()
    assert tape.covered_by() == ["s2"]
    assert tape.hear("s2", blocks(110_500), 110.6).gap is None
    assert tape.covered_by() == []
    assert tape.hear_replay("s1", blocks(110_500, 111_000), 111.0).gap == TapeGap(107_000, 110_500)


def test_sockets_that_were_mute_for_a_while_and_speak_again_are_found_out_by_one_that_was_not() -> None:
    tape = quiet_tape(sockets=("s1",))
    assert tape.hear_replay("s2", blocks(103_000, 104_000), 104.5).gap is None  # it waits for the other one
    advance = tape.hear("s1", blocks(106_000), 106.0)
    assert advance.gap == TapeGap(100_000, 106_000)
    assert tape.epoch_ms == tape.watermark_ms == 106_000


def test_a_socket_that_others_never_reach_makes_a_gap_once_they_are_given_up() -> None:
    tape = quiet_tape(sockets=("s1",))
    tape.hear_time("s1", 104_000, 104.0)
    tape.hear_replay("s2", blocks(103_000, 104_000), 104.5)
    tape.hear("s2", blocks(105_000), 105.0)
    assert tape.silent(108.9) == []
    assert tape.silent(109.0) == ["s1"]
    assert tape.end("s1", "prints_missing", 109.0).gap == TapeGap(102_000, 103_000)
