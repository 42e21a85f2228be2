"""Answers of `/health`."""

from datetime import datetime

import msgspec


class Alive(msgspec.Struct, frozen=True, kw_only=True):
    """The process answers."""

    status: str = "alive"


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the roles of this process have what they need."""

    ready: bool
    checks: dict[str, bool]


class NotReady(msgspec.Struct, frozen=True, kw_only=True):
    """Like Ready, with the words of an error answer."""

    ready: bool
    checks: dict[str, bool]
    detail: str
    code: str


class Component(msgspec.Struct, frozen=True, kw_only=True):
    """One component, judged by the age of its last success."""

    kind: str  # connector, processor, scheduler, store, bus, tape, api
    status: str  # healthy, degraded, unhealthy, stopped
    age_s: float | None  # seconds since the last success
    last_success: datetime | None
    errors: int  # since start
    reason: str | None  # what fails now
    since: datetime | None  # failing since
    detail: dict[str, bool | float | int | str | None]


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """The whole system, as this process sees it."""

    status: str  # healthy, degraded, unhealthy
    version: str
    timestamp: datetime
    symbols: tuple[str, ...]
    roles: tuple[str, ...]  # what this process does
    backends: dict[str, str]  # which store and which bus are in use
    components: dict[str, Component]
