"""Indexes are data: every query's collection has its key, and what expires has its age."""

from pathlib import Path

import pytest

from market_scraper.ports.stores import Retention
from market_scraper.storage import documents
from market_scraper.storage.indexes import Index, indexes_of
from market_scraper.storage.shapes import Collection

PAGE = Path(__file__).resolve().parents[3] / "docs" / "DATA_STORAGE.md"
SHAPES = (documents.CANDLES, *documents.COLLECTIONS)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_the_page_shows_the_indexes_of_every_collection(shape: Collection) -> None:
    def cell(indexes: list[Index]) -> str:
        return " · ".join(
            ", ".join(f"`{field}`" for field in index.fields)
            + ("" if index.expire_after_s is None else f": {index.expire_after_s // 86_400} days")
            for index in indexes
        )

    found = indexes_of(shape, Retention())
    unique = [index for index in found if index.unique]
    expiring = [index for index in found if index.expire_after_s is not None]
    others = [index for index in found if index not in (*unique, *expiring)]
    row = f"| `{shape.name}` | {cell(unique)} | {cell(others)} | {cell(expiring)} |"
    assert row in PAGE.read_text(), f"docs/DATA_STORAGE.md, section MongoDB, should have:\n{row}"


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_no_two_indexes_of_a_collection_have_one_name_and_ttl_is_on_one_date(shape: Collection) -> None:
    found = indexes_of(shape, Retention(signals=5))
    assert len({index.name for index in found}) == len(found)
    for index in found:
        assert index.expire_after_s is None or (len(index.fields) == 1 and not index.unique)


def test_the_leaderboard_is_left_to_the_store_for_its_blocks_lean_on_older_ones() -> None:
    assert all(index.expire_after_s is None for index in indexes_of(documents.LEADERBOARD_HISTORY, Retention()))
