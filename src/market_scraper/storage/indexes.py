"""Indexes as data: what each collection needs, made from its shape and the retention."""

import msgspec

from market_scraper.ports.stores import Retention
from market_scraper.storage import documents
from market_scraper.storage.retention import DAY_S, days_kept
from market_scraper.storage.shapes import Collection


class Index(msgspec.Struct, frozen=True, kw_only=True):
    """One index over fields, all rising.

    With `expire_after_s` the server itself deletes documents whose time field is older than that (a TTL index).
    """

    fields: tuple[str, ...]
    unique: bool = False
    expire_after_s: int | None = None

    @property
    def name(self) -> str:
        """As MongoDB names it by itself: `coin_1_eth_1`."""
        return "_".join(f"{field}_1" for field in self.fields)


def indexes_of(shape: Collection, retention: Retention) -> tuple[Index, ...]:
    """The natural key, which is unique; what queries need; and the expiry.

    Rows that are replaced in place are found by key and version: some servers use an index only for exactly its fields.
    No TTL may touch the leaderboard: its blocks lean on older ones (see `storage.leaderboard`).
    """
    days = days_kept(retention).get(shape.name)
    expiry = None
    if shape.expires_by is not None and days is not None and shape is not documents.LEADERBOARD_HISTORY:
        expiry = Index(fields=(shape.expires_by,), expire_after_s=days * DAY_S)
    key = Index(fields=shape.key, unique=True)
    others = [Index(fields=fields) for fields in shape.indexes if expiry is None or fields != expiry.fields]
    if shape.in_place:
        others.append(Index(fields=shape.key + shape.newest_by, unique=True))
    return (key, *others) if expiry is None else (key, *others, expiry)
