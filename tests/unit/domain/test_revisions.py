"""Numbering what a source says: only what is new becomes a reading."""

from hypothesis import given
from hypothesis import strategies as st

from market_scraper.domain.onchain import DAY_MS, Observation, Reading, Source
from market_scraper.domain.revisions import Revisions

NOW_MS = 1_790_000_000_000
DAY = NOW_MS // DAY_MS * DAY_MS


def said(
    value: float, t_ms: int = DAY, *, metric: str = "mvrv", provisional: bool = False, at: int | None = None
) -> Observation:
    return Observation(metric=metric, t_ms=t_ms, value=value, provisional=provisional, published_ms=at)


def test_the_same_value_again_is_nothing_new() -> None:
    revisions = Revisions(Source.BITVIEW)
    assert len(revisions.take([said(1.5)], NOW_MS)) == 1
    assert revisions.take([said(1.5)], NOW_MS + 1) == []


def test_another_value_is_a_further_revision_known_when_it_was_seen() -> None:
    revisions = Revisions(Source.BITVIEW)
    (first,) = revisions.take([said(1.5)], NOW_MS)
    (second,) = revisions.take([said(1.6)], NOW_MS + 5_000)
    assert (first.revision, first.known_at_ms, first.restated) == (0, NOW_MS, False)
    assert (second.revision, second.known_at_ms, second.restated) == (1, NOW_MS + 5_000, True)
    assert revisions.restated == 1


def test_a_value_that_was_still_moving_is_not_restated_by_moving() -> None:
    revisions = Revisions(Source.BITVIEW)
    revisions.take([said(1.5, provisional=True)], NOW_MS)
    (moved,) = revisions.take([said(1.6, provisional=True)], NOW_MS + 1)
    (settled,) = revisions.take([said(1.6)], NOW_MS + 2)
    assert (moved.restated, settled.restated, settled.provisional) == (False, False, False)
    assert settled.revision == 2


def test_once_restated_always_restated() -> None:
    revisions = Revisions(Source.CBBI)
    for at, value in enumerate((0.1, 0.2)):
        revisions.take([said(value)], NOW_MS + at)
    (provisional,) = revisions.take([said(0.2, provisional=True)], NOW_MS + 2)
    assert provisional.restated


def test_a_first_value_is_known_when_its_source_published_it_and_a_revision_when_we_saw_it() -> None:
    revisions = Revisions(Source.COIN_METRICS)
    published = DAY + DAY_MS + 12_000_000
    (first,) = revisions.take([said(1.5, at=published)], published + 30 * DAY_MS)
    (second,) = revisions.take([said(1.6, at=published)], published + 31 * DAY_MS)
    assert first.known_at_ms == published
    assert second.known_at_ms == published + 31 * DAY_MS


def test_nothing_is_known_before_it_is_true_nor_before_our_own_now() -> None:
    revisions = Revisions(Source.COIN_METRICS)
    (early,) = revisions.take([said(1.5, at=DAY - DAY_MS)], NOW_MS)
    (late,) = revisions.take([said(2.5, DAY - DAY_MS, at=NOW_MS + DAY_MS)], NOW_MS)
    assert early.known_at_ms == DAY
    assert late.known_at_ms == NOW_MS


def test_known_at_does_not_fall_when_our_clock_is_set_back() -> None:
    revisions = Revisions(Source.BITVIEW)
    revisions.take([said(1.5)], NOW_MS)
    (second,) = revisions.take([said(1.6)], NOW_MS - 60_000)
    assert second.known_at_ms == NOW_MS


def test_a_restart_goes_on_where_the_store_stands_in_whatever_order_rows_come() -> None:
    before = Revisions(Source.BITVIEW)
    stored = [reading for value in (1.5, 1.6, 1.7) for reading in before.take([said(value)], NOW_MS)]
    after = Revisions(Source.BITVIEW)
    after.remember(reversed(stored))
    assert after.newest == {"mvrv": DAY}
    assert after.take([said(1.7)], NOW_MS) == []
    (fourth,) = after.take([said(1.8)], NOW_MS)
    assert fourth.revision == 3


def test_what_is_taken_back_is_a_revision_of_its_own_and_what_was_never_said_is_none() -> None:
    revisions = Revisions(Source.CBBI)
    revisions.take([said(0.2)], NOW_MS)
    (gone,) = revisions.take_back([("mvrv", DAY), ("mvrv", DAY - DAY_MS), ("nupl", DAY)], NOW_MS + 1)
    assert (gone.value, gone.revision, gone.withdrawn, gone.restated) == (0.2, 1, True, True)
    assert revisions.take_back([("mvrv", DAY)], NOW_MS + 2) == []
    again = Revisions(Source.CBBI)
    again.remember([gone])
    (back,) = again.take([said(0.2)], NOW_MS + 3)
    assert (back.revision, back.withdrawn) == (2, False)


@given(
    st.lists(
        st.tuples(st.integers(0, 6), st.sampled_from((0.1, 0.2, 0.3)), st.booleans()),
        max_size=60,
    )
)
def test_the_newest_revision_of_every_day_is_the_last_word_said_of_it(words: list[tuple[int, float, bool]]) -> None:
    revisions = Revisions(Source.CBBI)
    kept: dict[tuple[int, int], Reading] = {}
    last: dict[int, tuple[float, bool]] = {}
    for at, (day, value, provisional) in enumerate(words):
        t_ms = DAY + day * DAY_MS
        last[t_ms] = (value, provisional)
        for reading in revisions.take([said(value, t_ms, provisional=provisional)], NOW_MS + 7 * DAY_MS + at):
            assert (reading.t_ms, reading.revision) not in kept, "a key is given once"
            kept[reading.t_ms, reading.revision] = reading
    newest = {t_ms: max(r for t, r in kept if t == t_ms) for t_ms in last}
    assert {t: (kept[t, newest[t]].value, kept[t, newest[t]].provisional) for t in last} == last
    for (t_ms, revision), reading in kept.items():
        if revision:
            assert kept[t_ms, revision - 1].known_at_ms <= reading.known_at_ms
    again = Revisions(Source.CBBI)
    again.remember(kept.values())
    assert again.take([said(v, t, provisional=p) for t, (v, p) in last.items()], NOW_MS + 8 * DAY_MS) == []
