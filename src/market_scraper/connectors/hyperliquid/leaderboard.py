"""The leaderboard: one answer of some 50,000 rows and 40 MB, read without holding the event loop.

Splitting all of it into undecoded rows at once took 28 ms, decoding it in a thread held the interpreter for 250 to
430 ms. So it is cut where a row begins into pieces of some 500 rows, and each piece is a small leaderboard of its own.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import msgspec

from market_scraper.connectors.hyperliquid import messages, parse
from market_scraper.domain.errors import InvalidInput
from market_scraper.domain.traders import LeaderboardRow

PIECE_BYTES = 400_000
"""Some 500 rows: about 3 ms of work, so that a piece stays under 20 ms on a slow or busy machine."""

MAX_BODY_BYTES = 256 * 2**20
"""Some six times what the venue sent in 2026-10."""

MAX_OPENING_BYTES = 65_536
"""What may stand before the rows; it is decoded with every piece."""

MAX_REASONS = 3

_OPENING = re.compile(rb'"leaderboardRows"\s*:\s*\[\s*')
_ROW_START = re.compile(rb'\{\s*"[^"\\]*"')

_boards = msgspec.json.Decoder(messages.WireLeaderboard)
_rows = msgspec.json.Decoder(messages.WireLeaderboardRow, strict=False)


@dataclass(slots=True)
class Tally:
    """How many rows were read, how many were parked, and the first few reasons."""

    read: int = 0
    parked: int = 0
    reasons: list[str] = field(default_factory=list)

    def park(self, reason: str) -> None:
        """Count a row that could not be read."""
        self.parked += 1
        if len(self.reasons) < MAX_REASONS and reason not in self.reasons:
            self.reasons.append(reason)


def slices(body: bytes | bytearray, tally: Tally, *, piece_bytes: int = PIECE_BYTES) -> Iterator[list[LeaderboardRow]]:
    """Give the rows a piece at a step; a bad row is parked with its reason and the rest goes on.

    An account that comes twice is kept as it came first. Raises InvalidInput for anything but a leaderboard: before
    the first rows if it is cut short, else where the fault is.
    """
    seen: set[str] = set()
    for rows in _pieces(body, piece_bytes):
        good: list[LeaderboardRow] = []
        for raw in rows:
            try:
                row = parse.leaderboard_row(_rows.decode(raw))
            except (*messages.BROKEN, InvalidInput) as error:
                tally.park(str(error)[:200])
                continue
            if row.trader in seen:
                tally.park("an account that was listed already")
                continue
            seen.add(row.trader)
            good.append(row)
        tally.read += len(good)
        yield good


def _pieces(body: bytes | bytearray, piece_bytes: int) -> Iterator[list[msgspec.Raw]]:
    opening = _OPENING.search(body, 0, MAX_OPENING_BYTES)
    if opening is None:
        raise InvalidInput("not a leaderboard: it has no rows' list")
    before, start = bytes(body[: opening.end()]), opening.end()
    cuts = [start]
    if (first := _ROW_START.match(body, start)) is not None:
        # Unescaped quotes cannot stand in a string, so this finds the beginnings of rows and nothing in a name.
        marker = bytes(first.group())
        while (cut := body.find(marker, cuts[-1] + piece_bytes)) > 0:
            cuts.append(cut)
    last = _split(before + body[cuts[-1] :])  # first of all, for it shows whether the body is whole
    for begin, end in pairwise(cuts):
        yield _split(before + body[begin:end].rstrip().removesuffix(b",") + b"]}")
    yield last


def _split(board: bytes | bytearray) -> list[msgspec.Raw]:
    try:
        return _boards.decode(board).leaderboardRows
    except messages.BROKEN as error:
        raise InvalidInput(f"not a leaderboard: {error}") from error
