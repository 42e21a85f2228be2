"""Cursors come back as they went, or are refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_scraper.api import cursors
from market_scraper.api.errors import BadCursor
from market_scraper.domain.errors import CursorExpired

NUMBERS = st.integers(-(2**62), 2**62)


@given(NUMBERS, NUMBERS, NUMBERS, st.text(max_size=24) | NUMBERS)
def test_a_place_survives_the_journey(version: int, since: int, t_ms: int, key: str | int) -> None:
    word = cursors.write("list", 5, version, since, (t_ms, key))

    place = cursors.read(word, "list", now_ms=6)

    assert (place.version_ms, place.since_ms, place.before) == (version, since, (t_ms, key))


@given(st.text() | st.from_regex(r"[A-Za-z0-9_-]{1,60}", fullmatch=True))
def test_what_we_did_not_give_is_refused(word: str) -> None:
    with pytest.raises(BadCursor):
        cursors.read(word, "list", now_ms=0)


@given(st.data())
def test_a_changed_character_is_noticed(data: st.DataObject) -> None:
    word = cursors.write("list", 5, 6, 7, (8, 9))
    at = data.draw(st.integers(0, len(word) - 2))  # the last character may hold unused bits
    other = data.draw(st.sampled_from("ABCxyz019_-").filter(lambda c: c != word[at]))
    with pytest.raises(BadCursor):
        cursors.read(word[:at] + other + word[at + 1 :], "list", now_ms=6)


@pytest.mark.parametrize("forged", [2**63, -(2**63), 2**64 - 1])
def test_a_forged_number_that_no_store_can_compare_is_refused(forged: int) -> None:
    with pytest.raises(BadCursor):
        cursors.read(cursors.write("list", 0, forged, 0, (0, 0)), "list", now_ms=0)
    with pytest.raises(BadCursor):
        cursors.read(cursors.write("list", 0, 0, 0, (0, forged)), "list", now_ms=0)


def test_a_cursor_a_day_old_has_expired() -> None:
    word = cursors.write("list", 0, 0, 0, (0, 0))
    with pytest.raises(CursorExpired):
        cursors.read(word, "list", now_ms=cursors.MAX_AGE_MS + 1)
