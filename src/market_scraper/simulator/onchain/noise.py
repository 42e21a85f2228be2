"""Seeded noise that may be asked for any day in any order, at the price of a few multiplications."""

import hashlib

_MASK = (1 << 64) - 1


class Noise:
    """One stream of numbers in -1..1; the same seed and name give the same ones."""

    def __init__(self, seed: int, name: str) -> None:
        self._base = int.from_bytes(hashlib.blake2b(f"{seed} {name}".encode(), digest_size=8).digest(), "big")

    def at(self, place: int) -> float:
        """Independent of its neighbours (splitmix64)."""
        mixed = (self._base + place * 0x9E3779B97F4A7C15) & _MASK
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
        return (mixed ^ (mixed >> 31)) / (1 << 63) - 1.0

    def wander(self, place: float, period: float) -> float:
        """A smooth way from one random value to the next, one every `period`."""
        number, share = divmod(place / period, 1.0)
        first, second = self.at(int(number)), self.at(int(number) + 1)
        return first + (second - first) * share * share * (3 - 2 * share)
