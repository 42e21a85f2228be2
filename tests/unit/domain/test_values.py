"""Values are checked once, at the door."""

import pytest

from market_scraper.domain.errors import InvalidAddress, InvalidSymbol
from market_scraper.domain.values import from_ms, iso, parse_address, parse_symbol, to_ms


def test_an_address_is_kept_in_lower_case() -> None:
    assert parse_address("0x" + "AB" * 20) == "0x" + "ab" * 20


@pytest.mark.parametrize(
    "raw", ["", "0x12", "0x" + "g" * 40, "0x" + "a" * 41, "0x" + "\u0661" * 40, "0x" + "a" * 40 + "\n"]
)
def test_a_malformed_address_is_refused(raw: str) -> None:
    with pytest.raises(InvalidAddress):
        parse_address(raw)


@pytest.mark.parametrize("raw", ["@107", "#12", "", "BTC/USDC", "BTC\n"])
def test_what_is_no_perp_is_no_symbol(raw: str) -> None:
    with pytest.raises(InvalidSymbol):
        parse_symbol(raw)


@pytest.mark.parametrize("raw", ["BTC", "kPEPE", "xyz:TSLA"])
def test_a_perps_name_keeps_its_case(raw: str) -> None:
    assert parse_symbol(raw) == raw


def test_times_keep_every_millisecond() -> None:
    assert to_ms(from_ms(1_787_259_217_021)) == 1_787_259_217_021
    assert iso(1_787_259_217_021) == "2026-08-20T20:53:37.021Z"
