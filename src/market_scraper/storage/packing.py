"""What is kept compressed: contributions of a signal, and rows of the leaderboard. JSON arrays under zstd.

JSON and not a binary form: the venue's numbers are short decimals, and their digits pack into fewer bytes than
their floats do (47,000 rows: 2.6 MB against 3.2 MB as msgpack, zstd level 9).
"""

import hashlib
import math
from collections.abc import Sequence

import msgspec
import zstandard

from market_scraper.domain.errors import InvalidInput
from market_scraper.domain.positions import PositionState
from market_scraper.domain.signals import Contribution
from market_scraper.domain.traders import LeaderboardRow, Performance
from market_scraper.domain.values import Address

_LEVEL = 9  # 47,000 rows in 0.4 s and 4 % smaller than level 3; level 19 takes 8 s for another 6 %

_Share = tuple[str, float, float, float, float, str, float | None]
_Figures = tuple[float, float, float] | None
_Row = tuple[float, _Figures, _Figures, _Figures, _Figures, str | None]

_shares = msgspec.json.Decoder(list[_Share])
_row = msgspec.json.Decoder(_Row)
_encoder = msgspec.json.Encoder()


class Block(msgspec.Struct, frozen=True):
    """Some rows of the leaderboard. Traders known to the chain are named by their place in it.

    `rows` are first those of `places`, then those of `new`, who take the next free places.
    """

    places: list[int]  # rising, each as its distance from the one before
    new: bytes  # 20 bytes an address
    rows: list[msgspec.Raw]


_block = msgspec.json.Decoder(Block)


def pack_block(block: Block) -> bytes:
    """Compress a block."""
    return zstandard.compress(_encoder.encode(block), _LEVEL)


def block_from(packed: bytes) -> Block:
    """Read a block; its rows stay encoded until someone asks (`leaderboard_row_from`)."""
    return _block.decode(zstandard.decompress(packed))


def address_bytes(trader: Address) -> bytes:
    """An address as its 20 bytes."""
    return bytes.fromhex(trader[2:])


def addresses_from(packed: bytes) -> list[Address]:
    """Read addresses back."""
    return [Address("0x" + packed[at : at + 20].hex()) for at in range(0, len(packed), 20)]


def leaderboard_row_bytes(row: LeaderboardRow) -> bytes:
    """Encode all of a row but its address; equal rows give equal bytes.

    Raises InvalidInput for what JSON cannot say: NaN, infinity, half a character.
    """
    windows = [
        None if window is None else (window.pnl, window.roi, window.vlm)
        for window in (row.day, row.week, row.month, row.all_time)
    ]
    figures = [row.account_value, *(figure for window in windows if window is not None for figure in window)]
    if not all(map(math.isfinite, figures)):
        raise InvalidInput(f"LeaderboardRow of {row.trader}: a number is not finite")
    if row.display_name is not None and not is_unicode(row.display_name):
        raise InvalidInput(f"LeaderboardRow of {row.trader}: the name has half a character")
    return _encoder.encode((row.account_value, *windows, row.display_name))


def leaderboard_row_from(trader: Address, encoded: msgspec.Raw | bytes) -> LeaderboardRow:
    """Read a row back."""
    value, day, week, month, all_time, name = _row.decode(encoded)
    return LeaderboardRow(
        trader=trader,
        account_value=value,
        day=None if day is None else Performance(*day),
        week=None if week is None else Performance(*week),
        month=None if month is None else Performance(*month),
        all_time=None if all_time is None else Performance(*all_time),
        display_name=name,
    )


def pack_contributions(contributions: Sequence[Contribution]) -> bytes | None:
    """Compress who contributed what; None when nobody did."""
    if not contributions:
        return None
    shares = [(c.trader, c.size, c.weight, c.conviction, c.share, c.state.value, c.doubt) for c in contributions]
    if not all(isinstance(x, str) or x is None or math.isfinite(x) for share in shares for x in share):
        raise InvalidInput("Contribution: a number is not finite")
    return zstandard.compress(_encoder.encode(shares), 3)


def contributions_from(packed: bytes | None) -> tuple[Contribution, ...]:
    """Read contributions back, in their order."""
    if packed is None:
        return ()
    return tuple(
        Contribution(
            trader=Address(trader),
            size=size,
            weight=weight,
            conviction=conviction,
            share=share,
            state=PositionState(state),
            doubt=doubt,
        )
        for trader, size, weight, conviction, share, state, doubt in _shares.decode(zstandard.decompress(packed))
    )


def text_digest(body: bytes) -> str:
    """A short digest that tells two bodies apart."""
    return hashlib.blake2b(body, digest_size=12).hexdigest()


def is_unicode(text: str) -> bool:
    """Whether the text is without lone surrogates, which no store takes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
