"""Gaps rehearsed: what is learned of everyone's pace and of each one's bouts."""

import random
from collections.abc import Callable

import pytest

from market_scraper.domain.book import Book
from market_scraper.domain.claims import claim
from market_scraper.domain.positions import PositionState
from market_scraper.domain.rehearsal import COUNTED_AFTER, FIRST_SPREAD, REHEARSED_MS, Rehearsal
from tests.facts import address, mark, position

SHAPE, WATCH_S, PEOPLE, WARM_MS = 0.2, 4.0, 1_500, 600_000


class People:
    """Traders whose rates differ; `factor` says what a rate of now is to its average: (person, ms) -> times."""

    def __init__(self, factor: Callable[[int, int], float]) -> None:
        self._factor = factor
        self._rng = random.Random(7)
        self._rates = [self._rng.gammavariate(SHAPE, 1 / WATCH_S) for _ in range(PEOPLE)]
        self.now_ms = WARM_MS
        self.books = [Book(address(i), state=PositionState.EXACT) for i in range(PEOPLE)]
        for book, rate in zip(self.books, self._rates, strict=True):  # by averages, until the rehearsals begin
            book.changes = self._drawn(rate * WARM_MS / 1000)

    def trade(self) -> list[bool]:
        """Live through as long as a rehearsal hears; say whose size changed."""
        self.now_ms += REHEARSED_MS
        drawn = [
            self._drawn(rate * REHEARSED_MS / 1000 * self._factor(i, self.now_ms)) for i, rate in enumerate(self._rates)
        ]
        for book, changes in zip(self.books, drawn, strict=True):
            book.changes += changes
            book.recent = [(self.now_ms, 1, 1.0)] * changes
        return [changes > 0 for changes in drawn]

    def rehearse(self, rehearsal: Rehearsal, times: int) -> None:
        for _ in range(times):
            self.trade()
            rehearsal.hear(self.books, self.now_ms - REHEARSED_MS, self.now_ms, SHAPE, WATCH_S)

    def _drawn(self, mean: float) -> int:
        count, at = 0, self._rng.expovariate(1.0)
        while at < mean:
            count, at = count + 1, at + self._rng.expovariate(1.0)
        return count


def in_moods(person: int, now_ms: int) -> float:
    """For five minutes or so at a time, everyone trades more or less than usual."""
    mood = random.Random(person * 1_000 + (now_ms + 10_000 * (person % 30)) // 300_000)
    return mood.choice((0.2, 0.8, 2.0))


def test_where_all_trade_evenly_nothing_is_put_right() -> None:
    rehearsal = Rehearsal()
    People(lambda _i, _ms: 1.0).rehearse(rehearsal, 24)
    assert rehearsal.pace == pytest.approx(1.0, abs=0.06)
    assert rehearsal.spread < 0.06


def test_when_everybody_trades_half_as_often_it_is_known_within_minutes() -> None:
    people, rehearsal = People(lambda _i, ms: 1.0 if ms <= WARM_MS + 200_000 else 0.5), Rehearsal()
    people.rehearse(rehearsal, 10)
    assert rehearsal.pace == pytest.approx(1.0, abs=0.08)
    people.rehearse(rehearsal, 12)
    assert 0.45 < rehearsal.pace < 0.75


@pytest.mark.parametrize("factor", [lambda _i, _ms: 1.0, lambda _i, ms: 1.0 if ms <= WARM_MS else 0.6, in_moods])
def test_as_many_of_the_busy_and_of_the_others_change_as_doubts_say(factor: Callable[[int, int], float]) -> None:
    people, rehearsal = People(factor), Rehearsal()
    people.rehearse(rehearsal, 24)
    told: list[tuple[float, bool]] = []
    for _ in range(12):
        since_ms = people.now_ms
        known = [book.changes for book in people.books]
        changed = people.trade()
        tape = mark(
            people.now_ms,
            gaps=((since_ms, people.now_ms),),
            rate_shape=SHAPE,
            rate_watch_s=WATCH_S,
            pace=rehearsal.pace,
            spread=rehearsal.spread,
        )
        doubts = [claim(position(changes=changes), tape, people.now_ms).doubt or 0.0 for changes in known]
        told += zip(doubts, changed, strict=True)
    told.sort()
    for some in (told[-len(told) // 10 :], told[-3 * len(told) // 10 : -len(told) // 10]):
        assert sum(doubt for doubt, _ in some) == pytest.approx(
            sum(changed for _, changed in some), rel=0.08
        )  # averages alone: 0.04 to 0.2 beside it


def test_who_comes_back_to_the_size_it_had_has_not_changed() -> None:
    """Doubt is of the size, not of the way there."""
    still, moved = Rehearsal(), Rehearsal()
    for rehearsal, lots in ((still, -1), (moved, 2)):
        books = [
            Book(address(i), state=PositionState.EXACT, changes=32, recent=[(610_000, 1, 1.0), (615_000, lots, 1.0)])
            for i in range(400)
        ]
        rehearsal.hear(books, 600_000, 620_000, SHAPE, WATCH_S)
    assert still.pace < 1 < moved.pace


def test_of_whom_nothing_was_known_before_nothing_is_learned() -> None:
    rehearsal = Rehearsal()
    recent = [(610_000, 1, 1.0)]
    books = [Book(address(i), state=PositionState.EXACT, changes=1, recent=list(recent)) for i in range(400)]
    books += [Book(address(i), changes=30, recent=list(recent)) for i in range(400, 800)]  # unknown: no doubt is told
    books += [Book(address(i), state=PositionState.EXACT) for i in range(800, 1_200)]
    rehearsal.hear(books, 600_000, 620_000, SHAPE, WATCH_S)
    assert (rehearsal.pace, rehearsal.spread) == pytest.approx((1.0, FIRST_SPREAD), rel=0.02)


def test_a_coin_that_nobody_trades_is_told_by_averages() -> None:
    rehearsal = Rehearsal(pace=0.8, spread=0.0)
    rehearsal.hear([], 0, 20_000, SHAPE, WATCH_S)
    assert 0.5 < rehearsal.pace < 1.5
    assert 0 < rehearsal.spread < 1


def lively(person: int, now_ms: int) -> float:
    """Everybody's pace together is another one every 20 s, as bursts and lulls make it."""
    return random.Random(now_ms // REHEARSED_MS).choice((0.1, 0.4, 1.0, 2.5))


def test_a_gap_whose_prints_were_counted_is_told_by_its_own_pace() -> None:
    people, rehearsal = People(lively), Rehearsal()
    off: dict[str, list[float]] = {"forecast": [], "counted": []}
    for i in range(40):
        since_ms, known = people.now_ms, [book.changes for book in people.books]
        changed = people.trade()
        prints = sum(book.changes for book in people.books) - sum(known)
        if i >= 20:
            counted = rehearsal.counted(prints, 3 * prints, REHEARSED_MS / 1000)
            assert counted is not None
            for name, (pace, spread) in (("forecast", (rehearsal.pace, rehearsal.spread)), ("counted", counted)):
                tape = mark(
                    people.now_ms,
                    gaps=((since_ms, people.now_ms, pace, spread),),
                    rate_shape=SHAPE,
                    rate_watch_s=WATCH_S,
                )
                doubts = [claim(position(changes=changes), tape, people.now_ms).doubt or 0.0 for changes in known]
                off[name].append(abs(sum(doubts) - sum(changed)) / len(known))
        rehearsal.hear(people.books, since_ms, people.now_ms, SHAPE, WATCH_S, (prints, 3 * prints))
    assert sum(off["counted"]) < 0.25 * sum(off["forecast"])


def test_before_there_is_an_average_to_hold_it_against_a_count_tells_nothing() -> None:
    people, rehearsal = People(lambda _i, _ms: 1.0), Rehearsal()
    assert rehearsal.counted(100, 300, 20.0) is None
    for _ in range(COUNTED_AFTER):
        since_ms, before = people.now_ms, sum(book.changes for book in people.books)
        people.trade()
        prints = sum(book.changes for book in people.books) - before
        rehearsal.hear(people.books, since_ms, people.now_ms, SHAPE, WATCH_S, (prints, 3 * prints))
    usual, none = rehearsal.counted(prints, 3 * prints, 20.0), rehearsal.counted(0, 0, 20.0)
    assert usual is not None
    assert none is not None
    assert usual.pace == pytest.approx(1.0, abs=0.2)
    assert 0 < none.pace < 0.02
