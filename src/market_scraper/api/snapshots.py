"""Pages of a list that is computed anew each time: the first page keeps its version for those that follow."""

import secrets
from collections import OrderedDict
from collections.abc import Sequence
from typing import Generic, TypeVar

import msgspec

from market_scraper.api.cursors import pack, unpack
from market_scraper.api.errors import BadCursor
from market_scraper.domain.errors import CursorExpired

MAX_VERSIONS = 16
"""Kept at once, each at most some hundred items; the one longest unread goes first."""


class Page(msgspec.Struct, frozen=True, array_like=True):
    """Where to read on in a version."""

    list_digest: str
    version: str
    offset: int


Item = TypeVar("Item")
_decoder = msgspec.msgpack.Decoder(Page)


class Snapshots(Generic[Item]):
    """Versions of lists. A cursor reads on in its own version, or is told that this one is gone."""

    def __init__(self, max_versions: int = MAX_VERSIONS) -> None:
        self._versions: OrderedDict[str, tuple[str, tuple[Item, ...]]] = OrderedDict()
        self._max = max_versions

    def first(self, list_digest: str, items: Sequence[Item], limit: int) -> tuple[list[Item], str | None]:
        """The first page and the cursor to the next one (None at the end). Nothing is kept for a single page."""
        if len(items) <= limit:
            return list(items), None
        version = secrets.token_hex(8)
        self._versions[version] = (list_digest, tuple(items))
        while len(self._versions) > self._max:
            self._versions.popitem(last=False)
        return self._page(list_digest, version, items, 0, limit)

    def next(self, list_digest: str, cursor: str, limit: int) -> tuple[list[Item], str | None, int]:
        """A later page, its next cursor, and how long the whole list is. Raises BadCursor, CursorExpired."""
        try:
            place = _decoder.decode(unpack(cursor))
        except msgspec.MsgspecError as error:
            raise BadCursor("cursor: not one of ours") from error
        if place.list_digest != list_digest or place.offset < 0:
            raise BadCursor("cursor: belongs to another list, or its parameters have changed")
        kept = self._versions.get(place.version)
        if kept is None:
            raise CursorExpired("cursor: that version of the list is gone; start anew")
        self._versions.move_to_end(place.version)
        page, following = self._page(list_digest, place.version, kept[1], place.offset, limit)
        return page, following, len(kept[1])

    def _page(
        self, list_digest: str, version: str, items: Sequence[Item], offset: int, limit: int
    ) -> tuple[list[Item], str | None]:
        end = offset + limit
        more = end < len(items)
        following = pack(msgspec.msgpack.encode(Page(list_digest, version, end))) if more else None
        return list(items[offset:end]), following
