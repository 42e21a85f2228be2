"""`docs/DATA_STORAGE.md` says what the code does. Run as a program, this prints the section for it."""

from pathlib import Path

import msgspec

from market_scraper.ports.stores import Retention
from market_scraper.storage import documents
from market_scraper.storage.shapes import Collection, Kind

PAGE = Path(__file__).resolve().parents[3] / "docs" / "DATA_STORAGE.md"


def section(shape: Collection) -> str:
    """One collection as the page shows it."""

    def names(fields: tuple[str, ...]) -> str:
        return ", ".join(f"`{name}`" for name in fields)

    newer = f" · newer by {names(shape.newest_by)}" if shape.newest_by else ""
    age = f" · expires by `{shape.expires_by}`" if shape.expires_by else ""
    rows = [
        f"| `{field.name}`{'*' if field.optional else ''} | {field.kind} | {field.meaning} |" for field in shape.fields
    ]
    return "\n".join(
        [
            f"### `{shape.name}`",
            "",
            f"Key {names(shape.key)}{newer}{age}",
            "",
            "| field | kind | meaning |",
            "|---|---|---|",
            *rows,
        ]
    )


SECTIONS = [section(shape) for shape in (documents.CANDLES, *documents.COLLECTIONS)]


def test_every_collection_and_field_is_in_the_page_as_the_code_has_it() -> None:
    page = PAGE.read_text()
    for text in SECTIONS:
        assert text in page, f"docs/DATA_STORAGE.md differs from storage/documents; expected:\n\n{text}"
    assert page.count("\n### ") == len(SECTIONS)


def test_every_kind_and_retention_is_in_the_page() -> None:
    page = PAGE.read_text()
    for kind in Kind:
        assert f"| {kind} |" in page
    for field in msgspec.structs.fields(Retention):
        assert f"`{field.name}`" in page


if __name__ == "__main__":
    print("\n\n".join(SECTIONS))
