"""Breaks good frames in seeded ways: bytes as a bad line would, tokens as a changed API would."""

import os
import random
import re
from collections.abc import Callable, Iterator

PROOF_SCALE = float(os.environ.get("PROOF_SCALE", "1"))

Draw = Callable[[], float]

_TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*"|[-0-9.eE+]+|true|false|null|[\[\]{},:]|\s+', re.ASCII)

ODD_TOKENS = tuple(
    b'null|true|""|"NaN"|"inf"|"-1"|-1|0|1e999|"1e-320"|9223372036854775808|-9223372036854775809|'
    b'"0x"|[]|{}|[[]]|"BTC"|"\\ud800"|"\\u0000"|1.5|"1.5.5"|,|:|}|]|"users"|"coin"|"99999999999999999999999"|1e15|'
    b'"0.000000000000000000001"|4503599627370497|"\xd9\xa3"|253402300800001'.split(b"|")
)
ODD_BYTES = (
    b"\x00",
    b"\xff",
    b'"',
    b"\\",
    b"{",
    b"}",
    b"[" * 2_000,
    b"9" * 400,
    b"-",
    b".",
    b"e",
    b"\xed\xa0\x80",
    b",",
)


def mutants(seeds: list[bytes], count: int, seed: int = 20261122) -> Iterator[bytes]:
    """Give `count` broken frames, the same ones every time."""
    draw = random.Random(seed).random
    tokens = [_TOKENS.findall(frame) for frame in seeds]
    for number in range(count):
        which = number % len(seeds)
        if draw() < 0.5:
            yield _with_odd_tokens(tokens[which], draw)
        else:
            yield _with_odd_bytes(seeds[which], draw)


def _with_odd_tokens(tokens: list[bytes], draw: Draw) -> bytes:
    changed = tokens.copy()
    for _ in range(1 + (draw() < 0.3)):
        place = int(draw() * len(changed))
        kind = draw()
        if kind < 0.7:
            changed[place] = ODD_TOKENS[int(draw() * len(ODD_TOKENS))]
        elif kind < 0.8:
            del changed[place : place + 1 + int(draw() * 4)]
        elif kind < 0.9:
            changed[place:place] = changed[int(draw() * place) : place]
        else:
            changed[place] = changed[int(draw() * len(changed))]
        if not changed:
            break
    return b"".join(changed)


def _with_odd_bytes(frame: bytes, draw: Draw) -> bytes:
    place = int(draw() * len(frame))
    kind = draw()
    if kind < 0.3:
        return frame[:place]
    if kind < 0.6:
        return frame[:place] + bytes((int(draw() * 256),)) + frame[place + 1 :]
    if kind < 0.8:
        return frame[:place] + ODD_BYTES[int(draw() * len(ODD_BYTES))] + frame[place:]
    end = place + 1 + int(draw() * 20)
    if kind < 0.9:
        return frame[:place] + frame[end:]
    return frame[:end] + frame[place:]
