"""The chain of leaderboard blocks: what changed since the rows last seen, with a full copy now and then.

Everyone ever seen has a place, in order of first appearance; a block names known traders by their place and carries
whole rows, so applying blocks in order gives everyone's row as last seen. The chain is kept encoded (some 15 MB for
47,000 traders); rows are decoded only when someone asks for them.
"""

from collections.abc import Iterator, Sequence

import msgspec

from market_scraper.domain.errors import InvalidInput
from market_scraper.domain.traders import LeaderboardRow
from market_scraper.domain.values import Address
from market_scraper.ports.stores import LeaderboardPart
from market_scraper.storage.packing import (
    Block,
    address_bytes,
    addresses_from,
    block_from,
    leaderboard_row_bytes,
    leaderboard_row_from,
    pack_block,
)

FULL_AFTER = 8
"""A full copy follows once blocks since the last one hold this many times everyone's rows: a bounded chain to read."""

FULL_BLOCK_ROWS = 10_000  # about 0.8 MB compressed


class Chain:
    """Everyone's row as last seen, after some blocks."""

    def __init__(self) -> None:
        self._places: dict[Address, int] = {}
        self._rows: list[msgspec.Raw | bytes] = []
        self._since_full = 0

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def wants_full(self) -> bool:
        """Whether a full copy is due."""
        return self._since_full > FULL_AFTER * len(self._rows)

    def apply(self, packed: bytes, *, full: bool) -> None:
        """Take in one stored block; blocks come in the order in which they were stored."""
        block = block_from(packed)
        known = len(block.places)
        place = 0
        for distance, row in zip(block.places, block.rows, strict=False):
            place += distance
            self._rows[place] = row
        for trader, row in zip(addresses_from(block.new), block.rows[known:], strict=True):
            self._places[trader] = len(self._rows)
            self._rows.append(row)
        self._since_full = 0 if full else self._since_full + len(block.rows)

    def add(self, rows: Sequence[LeaderboardRow]) -> tuple[bytes, int]:
        """Take in rows as pulled; gives a block of those that changed, and how many they are.

        Raises InvalidInput for a row that cannot be kept, with nothing taken in.
        """
        known: dict[int, bytes] = {}
        new: dict[Address, bytes] = {}
        for row in rows:
            encoded = leaderboard_row_bytes(row)
            place = self._places.get(row.trader)
            if place is None:
                new[row.trader] = encoded
            elif self._rows[place] != encoded:
                known[place] = encoded
            else:
                known.pop(place, None)  # named twice in one slice: the last word counts
        places = sorted(known)
        block = Block(
            places=[here - before for before, here in zip([0, *places], places, strict=False)],
            new=b"".join(map(address_bytes, new)),
            rows=[msgspec.Raw(row) for row in (*(known[place] for place in places), *new.values())],
        )
        for place in places:
            self._rows[place] = known[place]
        for trader, encoded in new.items():
            self._places[trader] = len(self._rows)
            self._rows.append(encoded)
        self._since_full += len(block.rows)
        return pack_block(block), len(block.rows)

    def full(self) -> Iterator[tuple[bytes, int]]:
        """Give blocks from which a chain can begin, with how many rows each holds."""
        traders = list(self._places)
        for start in range(0, len(traders), FULL_BLOCK_ROWS):
            end = min(start + FULL_BLOCK_ROWS, len(traders))
            new = b"".join(map(address_bytes, traders[start:end]))
            rows = [msgspec.Raw(row) for row in self._rows[start:end]]
            yield pack_block(Block(places=[], new=new, rows=rows)), end - start
        self._since_full = 0

    def rows(self) -> list[LeaderboardRow]:
        """Decode everyone's row, in order of first appearance."""
        return [leaderboard_row_from(trader, row) for trader, row in zip(self._places, self._rows, strict=True)]


def check_place(part: LeaderboardPart) -> None:
    """Raise InvalidInput for a part that has no place in its pull."""
    if not 0 <= part.part < part.parts:
        raise InvalidInput(f"LeaderboardPart: part {part.part} of {part.parts}")


def check_part(part: LeaderboardPart) -> None:
    """Raise InvalidInput for a part that could not be kept."""
    check_place(part)
    for row in part.rows:
        leaderboard_row_bytes(row)
