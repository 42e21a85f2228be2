"""All settings as one frozen value, and the list of their names."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, Field
from pydantic.fields import FieldInfo

from market_scraper.config import rules, sections
from market_scraper.config.fields import Secret, Section, none_if_empty
from market_scraper.config.masking import MASK, mask


class Settings(Section):
    """Everything that users may change. Made by `config.load`; a default-made one has the product's defaults."""

    api_host: Annotated[str, Field(min_length=1)] = "127.0.0.1"  # on purpose: opening it is the user's choice
    api_port: Annotated[int, Field(ge=0, le=65_535)] = 8_000  # 0 = any free port
    api_key: Annotated[str | None, Secret(), BeforeValidator(none_if_empty)] = Field(default=None, repr=False)
    mongo: sections.Mongo = sections.Mongo()
    redis: sections.Redis = sections.Redis()
    hyperliquid: sections.Hyperliquid = sections.Hyperliquid()
    storage: sections.Storage = sections.Storage()
    logging: sections.Logging = sections.Logging()
    onchain: sections.Onchain = sections.Onchain()
    clock: sections.Clock = sections.Clock()
    scheduler: sections.Scheduler = sections.Scheduler()
    archival: sections.Archival = sections.Archival()
    position_inference: rules.PositionInference = rules.PositionInference()
    buffer: sections.Buffer = sections.Buffer()
    scoring: rules.Scoring = rules.Scoring()
    filters: rules.Filters = rules.Filters()
    tags: rules.Tags = rules.Tags()
    positions: rules.Positions = rules.Positions()
    signals: rules.Signals = rules.Signals()
    alerts: sections.Alerts = sections.Alerts()


@dataclass(frozen=True, slots=True)
class Name:
    """One setting: `key` as in YAML (`positions.tape_sockets`), `env` as in the environment."""

    key: str
    secret: bool
    is_list: bool  # in the environment: a comma list, or JSON where items are tables
    of_tables: bool

    @property
    def env(self) -> str:
        """`POSITIONS__TAPE_SOCKETS`."""
        return self.key.replace(".", "__").upper()

    def show(self, value: object) -> object:
        """Give `value` as JSON data without credentials."""
        if value is None or value in ((), []):
            return value
        if self.secret:
            return MASK
        if isinstance(value, str):
            return mask(value)
        if isinstance(value, list | tuple):
            return [self.show(item) for item in value]
        return value


def _walk(model: type[BaseModel], above: str) -> Iterator[Name]:
    for name, field in model.model_fields.items():
        key = f"{above}{name}"
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            yield from _walk(field.annotation, f"{key}.")
        else:
            yield _name(key, field)


def _name(key: str, field: FieldInfo) -> Name:
    secret = any(isinstance(mark, Secret) for mark in field.metadata)
    return Name(
        key=key,
        secret=secret,
        is_list=isinstance(field.default, tuple),
        of_tables=isinstance(field.default, tuple) and any(isinstance(item, Section) for item in field.default),
    )


NAMES: dict[str, Name] = {name.key: name for name in _walk(Settings, "")}
"""Every setting by its YAML key, in the order of the sections."""
