"""What is taken up of a coin must be one place in its stream, however much of it was stored when."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from market_scraper.domain.prefix import Prefix, TapeEvent
from tests.facts import advanced, changed, gapped, mark, position


def stream(kinds: list[int]) -> list[TapeEvent]:
    """A coin's events: 0..4 = a fact of that trader, 5 = the tape moves on, 6 = it has a gap, 7 = it halts."""
    events: list[TapeEvent] = []
    stands = mark(0)
    for i, kind in enumerate(kinds, 1):
        if kind < 5:
            events.append(changed(position(kind, t_ms=i * 10, version=i, lots=i)))
            continue
        if kind == 5:
            stands = msgspec.structs.replace(stands, watermark_ms=i * 10)
        elif kind == 6:
            stands = msgspec.structs.replace(stands, watermark_ms=i * 10, epoch_ms=i * 10)
        else:
            stands = msgspec.structs.replace(stands, halted_since_ms=i)
        events.append(gapped(stands) if kind == 6 else advanced(stands))
    return events


def taken(events: list[TapeEvent]) -> Prefix:
    prefix = Prefix()
    for event in events:
        prefix.apply(event)
    return prefix


@given(st.lists(st.integers(0, 7), max_size=60), st.data())
def test_whatever_is_stored_meanwhile_stored_rows_and_unstored_events_make_the_whole_stream(
    kinds: list[int], data: st.DataObject
) -> None:
    events = stream(kinds)
    unstored_from = data.draw(st.integers(0, len(events)))  # when the events were read
    mark_read = data.draw(st.integers(unstored_from, len(events)))
    rows_read = data.draw(st.integers(mark_read, len(events)))
    prefix = Prefix()
    prefix.move(taken(events[:mark_read]).mark)
    prefix.put_all(taken(events[:rows_read]).positions.values())
    for event in events[data.draw(st.integers(0, unstored_from)) :]:
        prefix.apply(event)
    whole = taken(events)
    assert prefix.positions == whole.positions
    assert prefix.mark == whole.mark


@given(st.lists(st.integers(0, 7), max_size=40), st.data())
def test_no_position_is_older_than_the_mark_says(kinds: list[int], data: st.DataObject) -> None:
    events = stream(kinds)
    upto = data.draw(st.integers(0, len(events)))
    prefix = taken(events[:upto])
    assert prefix.mark == next((e.mark for e in reversed(events[:upto]) if not hasattr(e, "after")), None)
    for trader, held in prefix.positions.items():
        newest = [e.after for e in events[:upto] if hasattr(e, "after") and e.after.trader == trader][-1]
        assert held == newest


def test_what_is_told_twice_or_late_changes_nothing() -> None:
    prefix = taken([changed(position(1, version=7, lots=7)), advanced(mark(300, epoch_ms=100))])
    prefix.put(position(1, version=6, lots=6))
    prefix.move(mark(299, epoch_ms=100))
    prefix.move(mark(300, epoch_ms=50))
    prefix.move(None)
    assert [p.lots for p in prefix.positions.values()] == [7]
    assert prefix.mark == mark(300, epoch_ms=100)
