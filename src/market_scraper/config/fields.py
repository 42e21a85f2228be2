"""What settings are made of: a frozen section, and values with their bounds."""

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from market_scraper.domain.errors import InvalidInput
from market_scraper.domain.values import Address, Symbol, parse_address, parse_symbol


class Secret:
    """Marks a setting whose whole value is never shown."""


class Section(BaseModel):
    """Frozen, finite numbers only, no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)


def split_commas(raw: object) -> object:
    """`BTC,ETH` as a list; lists stay as they are."""
    if isinstance(raw, str):
        return [part.strip() for part in raw.split(",") if part.strip()]
    return raw


def _symbol(raw: object) -> object:
    try:
        return parse_symbol(raw) if isinstance(raw, str) else raw
    except InvalidInput as error:
        raise ValueError(str(error)) from error


def _address(raw: object) -> object:
    if isinstance(raw, int) and raw >= 0:
        raw = f"0x{raw:040x}"  # YAML reads an address without quotes as a number
    try:
        return parse_address(raw) if isinstance(raw, str) else raw
    except InvalidInput as error:
        raise ValueError(str(error)) from error


def none_if_empty(raw: object) -> object:
    return None if raw == "" else raw


def upper(raw: object) -> object:
    return raw.upper() if isinstance(raw, str) else raw


HttpUrl = Annotated[str, Field(pattern=r"^https?://\S+$")]
WsUrl = Annotated[str, Field(pattern=r"^wss?://\S+$")]
MongoUrl = Annotated[str, Field(pattern=r"^mongodb(\+srv)?://\S+$")]
RedisUrl = Annotated[str, Field(pattern=r"^(auto|(rediss?|unix)://\S+)$")]
Share = Annotated[float, Field(ge=0, le=1)]
NotNegative = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Seconds = Positive
Days = Annotated[int, Field(ge=1, le=36_500)]
SymbolItem = Annotated[Symbol, BeforeValidator(_symbol)]
AddressItem = Annotated[Address, BeforeValidator(_address)]
Words = Annotated[tuple[str, ...], BeforeValidator(split_commas)]
