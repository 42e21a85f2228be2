"""Events as MessagePack bytes: what crosses a process boundary or is kept as a dead letter.

The kind stands in the field `type`; fields that a newer program added are ignored by an older one.
"""

import msgspec

from market_scraper.domain.errors import InvalidInput
from market_scraper.domain.events import Event
from market_scraper.ports.bus import Envelope

_encoder = msgspec.msgpack.Encoder()
_events: msgspec.msgpack.Decoder[Event] = msgspec.msgpack.Decoder(Event)
_envelopes = msgspec.msgpack.Decoder(Envelope)


def encode_event(event: Event) -> bytes:
    """Give the bytes of one event."""
    return _encoder.encode(event)


def decode_event(data: bytes) -> Event:
    """Give the event back, or raise InvalidInput: no MessagePack, an unknown kind, or a field of the wrong type."""
    try:
        return _events.decode(data)
    except msgspec.MsgspecError as error:
        raise InvalidInput(f"not an event: {error}") from error
    except UnicodeDecodeError as error:  # a broken string is no MsgspecError
        raise InvalidInput(f"not an event: {error.reason}") from error


def encode_envelope(envelope: Envelope) -> bytes:
    """Give the bytes of one event with its number, key and attempt."""
    return _encoder.encode(envelope)


def decode_envelope(data: bytes) -> Envelope:
    """Give the envelope back, or raise InvalidInput."""
    try:
        return _envelopes.decode(data)
    except msgspec.MsgspecError as error:
        raise InvalidInput(f"not an envelope: {error}") from error
    except UnicodeDecodeError as error:
        raise InvalidInput(f"not an envelope: {error.reason}") from error
