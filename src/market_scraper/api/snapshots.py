"""Pages of a list that is computed anew each time: the first page keeps its version for those that follow."""

import secrets
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

from market_scraper.api.cursors import Number, pack, unpack
from market_scraper.api.errors import BadCursor
from market_scraper.domain.errors import CursorExpired
from market_scraper.schemas.traders import TraderSummary

MAX_VERSIONS = 16
"""Kept at once, each at most some hundred items; the one longest unread goes first."""


class Page(msgspec.Struct, frozen=True, array_like=True):
    """Where to read on in a version."""

    list_digest: str
    version: str
    offset: Number


class Line(msgspec.Struct, frozen=True):
    """One trader of a list, encoded once for all lists that show it."""

    summary: TraderSummary
    encoded: msgspec.Raw
    is_open: bool  # has a position in the asked symbol, known or inferred


Item = TypeVar("Item")
_decoder = msgspec.msgpack.Decoder(Page)


@dataclass(frozen=True, slots=True)
class Version(Generic[Item]):
    """A list as it was when its first page was asked for."""

    items: Sequence[Item]
    captured_ms: int | None  # when what it is made of was captured


class Snapshots(Generic[Item]):
    """Versions of lists. A cursor reads on in its own version, or is told that this one is gone."""

    def __init__(self, max_versions: int = MAX_VERSIONS) -> None:
        self._versions: OrderedDict[str, Version[Item]] = OrderedDict()
        self._max = max_versions

    def first(self, list_digest: str, version: Version[Item], limit: int) -> tuple[Sequence[Item], str | None]:
        """The first page and the cursor to the next one (None at the end). Nothing is kept for a single page."""
        if len(version.items) <= limit:
            return version.items, None
        name = secrets.token_hex(8)
        self._versions[name] = version
        while len(self._versions) > self._max:
            self._versions.popitem(last=False)
        return _page(Page(list_digest, name, 0), version, limit)

    def next(self, list_digest: str, cursor: str, limit: int) -> tuple[Version[Item], Sequence[Item], str | None]:
        """The version that a cursor reads, its page and the next cursor. Raises BadCursor, CursorExpired."""
        try:
            place = _decoder.decode(unpack(cursor))
        except msgspec.MsgspecError as error:
            raise BadCursor("cursor: not one of ours") from error
        if place.list_digest != list_digest or place.offset < 0:
            raise BadCursor("cursor: belongs to another list, or its parameters have changed")
        version = self._versions.get(place.version)
        if version is None:
            raise CursorExpired("cursor: that version of the list is gone; start anew")
        self._versions.move_to_end(place.version)
        return version, *_page(place, version, limit)


def _page(place: Page, version: Version[Item], limit: int) -> tuple[Sequence[Item], str | None]:
    end = place.offset + limit
    following = Page(place.list_digest, place.version, end)
    more = end < len(version.items)
    return version.items[place.offset : end], pack(msgspec.msgpack.encode(following)) if more else None
