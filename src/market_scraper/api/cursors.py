"""Cursors of histories: opaque words that read on, in the data as it was known at the first page."""

import base64
import binascii
from collections.abc import Sequence
from hashlib import blake2b
from typing import Annotated, TypeVar

import msgspec

from market_scraper.api.errors import BadCursor
from market_scraper.domain.errors import CursorExpired

MAX_AGE_MS = 24 * 3_600_000
"""Older cursors are refused: the history that they read may be deleted by retention under way."""


Number = Annotated[int, msgspec.Meta(ge=-(2**62), le=2**62)]
"""What every store can compare: a cursor may be forged, and must not become our failure."""


class Place(msgspec.Struct, frozen=True, array_like=True):
    """Where to read on."""

    list_digest: str  # which list, with which parameters
    begun_ms: Number  # when the first page was asked for
    version_ms: Number  # the version of the data: what was known by then
    since_ms: Number  # the window, as it stood at the first page
    before: tuple[Number, Number | str]  # key of the last item of the page before

    def numbers(self) -> tuple[int, int]:
        """The key where it is (t_ms, tid)."""
        t_ms, tid = self.before
        if not isinstance(tid, int):
            raise BadCursor("cursor: not one of ours")
        return t_ms, tid

    def words(self) -> tuple[int, str]:
        """The key where it is (t_ms, id)."""
        t_ms, name = self.before
        if not isinstance(name, str):
            raise BadCursor("cursor: not one of ours")
        return t_ms, name


_decoder = msgspec.msgpack.Decoder(Place)


def digest_of(*what: object) -> str:
    """Short name of a list with its parameters (the page size and the cursor itself left out)."""
    return blake2b(repr(what).encode(), digest_size=6).hexdigest()


def pack(raw: bytes) -> str:
    """Bytes as a word that needs no escaping in a URL, with a check that it came back whole."""
    check = blake2b(raw, digest_size=4).digest()
    return base64.urlsafe_b64encode(check + raw).decode().rstrip("=")


def unpack(cursor: str) -> bytes:
    """Inverse of `pack`, or BadCursor."""
    try:
        whole = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadCursor("cursor: not one of ours") from error
    if blake2b(whole[4:], digest_size=4).digest() != whole[:4]:
        raise BadCursor("cursor: not one of ours")
    return whole[4:]


def write(list_digest: str, begun_ms: int, version_ms: int, since_ms: int, before: tuple[int, int | str]) -> str:
    """A place as an opaque word."""
    return pack(msgspec.msgpack.encode(Place(list_digest, begun_ms, version_ms, since_ms, before)))


def read(cursor: str, list_digest: str, now_ms: int) -> Place:
    """The place that a cursor names. Raises BadCursor (also for another list's) and CursorExpired."""
    try:
        place = _decoder.decode(unpack(cursor))
    except msgspec.MsgspecError as error:
        raise BadCursor("cursor: not one of ours") from error
    if place.list_digest != list_digest:
        raise BadCursor("cursor: belongs to another list, or its parameters have changed")
    if now_ms - place.begun_ms > MAX_AGE_MS:
        raise CursorExpired("cursor: older than a day; start the list anew")
    return place


Item = TypeVar("Item")


def cut(items: Sequence[Item], limit: int) -> tuple[list[Item], bool]:
    """The page from `limit + 1` items, and whether there is more."""
    return list(items[:limit]), len(items) > limit
