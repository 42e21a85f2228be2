"""Addresses checked once and then looked up: a print names two, and the same few thousand come again and again."""

from market_scraper.domain.values import Address, parse_address

CAPACITY = 200_000
"""About three times everyone ranked (some 50,000) and seen on the tape; some 40 MB when full."""


class AddressTable:
    """Gives one and the same `Address` object for the same account, so that dictionaries compare it by identity."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._known: dict[str, Address] = {}
        self._capacity = capacity
        self.known = self._known.get
        """Gives an address that was checked before, or None: the quick way for who asks twice a print."""

    def __len__(self) -> int:
        return len(self._known)

    def get(self, raw: str) -> Address:
        """Give the address, or raise InvalidAddress. When full, all are forgotten and checked anew."""
        known = self._known.get(raw)
        return known if known is not None else self._add(raw)

    def _add(self, raw: str) -> Address:
        address = parse_address(raw)
        if len(self._known) >= self._capacity:
            self._known.clear()
        known = self._known.setdefault(address, address)
        if raw != address:
            self._known[raw] = known
        return known
