"""Rows as records of a file: length, number of rows and checksum, then MessagePack under zstd. No I/O.

A record is whole or it is not: what a killed process or a full disk cut short is known by its checksum.
"""

import struct
import typing
import zlib
from collections.abc import Sequence

import msgspec
import zstandard

from market_scraper.domain.errors import InvalidInput
from market_scraper.ports.stores import Row
from market_scraper.storage.writing import letter_of

HEADER = struct.Struct(">III")  # bytes of the body, its rows, CRC-32 of both and the body
BODY_LIMIT_BYTES = 256 * 1024 * 1024  # no batch of ours comes near; a longer one is no record

_LEVEL = 1  # 100 position rows: 61 kB as MessagePack, 7 kB under zstd, in 0.2 ms
_encoder = msgspec.msgpack.Encoder()
_named = msgspec.msgpack.Decoder(list[tuple[str, msgspec.Raw]])
_decoders = {kind.__name__: msgspec.msgpack.Decoder(kind) for kind in typing.get_args(Row)}


def record_of(rows: Sequence[Row], known_at_ms: int) -> bytes:
    """Give one record's bytes. A row that has none (half a character, an integer too long) becomes a dead letter."""
    named = []
    for row in rows:
        try:
            encoded = _encoder.encode(row)
        except (UnicodeEncodeError, OverflowError, TypeError) as error:
            row = letter_of(row, error, known_at_ms)
            encoded = _encoder.encode(row)
        named.append((type(row).__name__, msgspec.Raw(encoded)))
    body = zstandard.compress(_encoder.encode(named), _LEVEL)
    return HEADER.pack(len(body), len(rows), _checksum(body, len(rows))) + body


def rows_of(body: bytes) -> list[Row]:
    """Give the rows of a record's body back, or raise InvalidInput: another version of the program wrote it."""
    try:
        named = _named.decode(zstandard.decompress(body))
        return [_decoders[name].decode(encoded) for name, encoded in named]
    except KeyError as error:
        raise InvalidInput(f"a spilled row of an unknown kind: {error}") from error
    except (msgspec.MsgspecError, UnicodeDecodeError, zstandard.ZstdError) as error:
        raise InvalidInput(f"a spilled record cannot be read: {error}") from error


class RecordReader:
    """Reads whole records from an open file, one after the other, from where it stands."""

    def __init__(self, file: typing.BinaryIO) -> None:
        self._file = file

    def next(self) -> tuple[bytes, int] | None:
        """The next record's body and its number of rows; None at the end, and where a record is not whole."""
        header = self._file.read(HEADER.size)
        if len(header) < HEADER.size:
            return None
        length, rows, checksum = HEADER.unpack(header)
        if not 0 < length <= BODY_LIMIT_BYTES:
            return None
        body = self._file.read(length)
        if len(body) < length or _checksum(body, rows) != checksum:
            return None
        return body, rows


def _checksum(body: bytes, rows: int) -> int:
    return zlib.crc32(body, zlib.crc32(rows.to_bytes(4, "big")))
