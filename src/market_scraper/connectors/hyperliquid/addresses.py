"""Addresses checked once and then looked up: a print names two, and the same few thousand come again and again."""

from collections.abc import Mapping

from market_scraper.domain.values import Address, parse_address

CAPACITY = 200_000
"""About three times everyone ranked (some 50,000) and seen on the tape; some 40 MB when full."""


class AddressTable:
    """Gives one and the same `Address` object for the same account, so that dictionaries compare it by identity."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self.of: Mapping[str, Address] = _Known(capacity)
        """The address of a raw name, looked up or checked (which raises InvalidAddress): asked twice a print."""

    def __len__(self) -> int:
        return len(self.of)

    def get(self, raw: str) -> Address:
        """Give the address, or raise InvalidAddress. When full, all are forgotten and checked anew."""
        return self.of[raw]


class _Known(dict[str, Address]):
    """A dictionary, for subscribing one is the quickest look-up there is; it fills itself."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity

    def __missing__(self, raw: str) -> Address:
        address = parse_address(raw)
        if len(self) >= self._capacity:
            self.clear()
        known = self.setdefault(address, address)
        if raw != address:
            self[raw] = known
        return known
