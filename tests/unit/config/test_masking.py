"""Credentials are masked wherever they stand in a text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_scraper.config import mask


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("mongodb://user:pw@host:27017/db", "mongodb://***@host:27017/db"),
        ("redis://:pw@host", "redis://***@host"),
        ("mongodb://u:p@ss/w@h1,h2/db", "mongodb://***@h1,h2/db"),
        ("https://token@github.com/a/b", "https://***@github.com/a/b"),
        ("GET https://x.y/z?api_key=abc&n=1 failed", "GET https://x.y/z?api_key=***&n=1 failed"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer ***"),
        ("https://api.hyperliquid.xyz/info", "https://api.hyperliquid.xyz/info"),
        ("http://127.0.0.1:8000/docs mail a@b.c", "http://127.0.0.1:8000/docs mail a@b.c"),
    ],
)
def test_what_is_hidden_and_what_is_not(text: str, shown: str) -> None:
    assert mask(text) == shown


@given(st.text(st.characters(exclude_characters="\"'<>", exclude_categories=["Z", "C"]), min_size=1))
def test_no_password_of_a_url_survives(password: str) -> None:
    assert mask(f"see mongodb://user:{password}@host/db now") == "see mongodb://***@host/db now"
