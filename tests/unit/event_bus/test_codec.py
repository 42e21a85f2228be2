import typing

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market_scraper.domain.errors import InvalidInput
from market_scraper.domain.events import ComponentReported, Event, MarketsListed
from market_scraper.event_bus.codec import decode_envelope, decode_event, encode_envelope, encode_event
from market_scraper.ports.bus import Envelope
from tests.strategies import events

KINDS = typing.get_args(Event)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@settings(deadline=None, max_examples=30)
@given(data=st.data())
def test_every_kind_of_event_comes_back_as_it_was(kind: type[Event], data: st.DataObject) -> None:
    event = data.draw(events(kind))
    assert decode_event(encode_event(event)) == event
    envelope = Envelope(7, "BTC", event, 2)
    assert decode_envelope(encode_envelope(envelope)) == envelope


def test_a_whole_number_and_a_float_stay_what_they_were() -> None:
    report = ComponentReported(
        known_at_ms=1,
        name="x",
        kind="bus",
        running=True,
        last_success_ms=None,
        allowed_age_s=1.0,
        errors=0,
        reason=None,
        failing_since_ms=None,
        detail={"whole": 1, "share": 1.0, "text": "t", "none": None},
    )
    back = decode_event(encode_event(report))
    assert isinstance(back, ComponentReported)
    assert [type(value) for value in back.detail.values()] == [int, float, str, type(None)]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        msgspec.msgpack.encode({"type": "MoonLanded", "known_at_ms": 1}),
        msgspec.msgpack.encode({"known_at_ms": 1}),
        msgspec.msgpack.encode({"type": "MarketsListed", "known_at_ms": "soon", "markets": []}),
        msgspec.msgpack.encode([1, 2]),
    ],
)
def test_what_is_no_event_is_invalid(data: bytes) -> None:
    with pytest.raises(InvalidInput):
        decode_event(data)
    with pytest.raises(InvalidInput):
        decode_envelope(data)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_crash_the_decoder(data: bytes) -> None:
    for decode in (decode_event, decode_envelope):
        try:
            decode(data)
        except InvalidInput:
            pass


@settings(deadline=None)
@given(place=st.integers(0, 60), byte=st.integers(0, 255))
def test_a_damaged_event_is_read_or_invalid(place: int, byte: int) -> None:
    data = bytearray(encode_event(MarketsListed(known_at_ms=1_700_000_000_000, markets=())))
    data[place % len(data)] = byte
    try:
        decode_event(bytes(data))
    except InvalidInput:
        pass


def test_a_field_that_a_newer_program_added_is_ignored() -> None:
    data = msgspec.msgpack.encode({"type": "MarketsListed", "known_at_ms": 1, "markets": [], "mood": "fine"})
    assert decode_event(data) == MarketsListed(known_at_ms=1, markets=())
