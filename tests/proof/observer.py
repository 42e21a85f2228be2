"""Sees what the API serves of everyone, and holds it against the truth."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import httpx2
import msgspec

from tests.e2e.system import Process, to_ms

WINDOW_MS = 2_000
"""`positions.join_window_ms`: an answer's true cut lies within this of its stamp."""

PAGE = 500
MINUTE_MS = 60_000
BARS = 500
LOTS = 10**5  # in one BTC


class Shown(msgspec.Struct, frozen=True):
    """A position as the API shows it, as far as it is compared."""

    coin: str
    size: float | None
    state: str
    doubt: float | None
    because: str | None
    as_of: str | None
    since: str | None
    confirmed_at: str | None


class _Summary(msgspec.Struct, frozen=True):
    address: str
    position: Shown | None


class _Page(msgspec.Struct, frozen=True):
    traders: list[_Summary]
    next_cursor: str | None


class Change(msgspec.Struct, frozen=True):
    """A change of a position without a print, as the venue's log has it."""

    at_ms: int
    user: str
    coin: str
    before_lots: int
    after_lots: int
    cause: str


class _Changes(msgspec.Struct, frozen=True):
    changes: list[Change]


@dataclass
class Look:
    """Everyone in one coin at (nearly) one moment."""

    coin: str
    asked_ms: int  # venue time before the request
    shown: dict[str, Shown]
    true: dict[str, float] = field(default_factory=dict)  # at each claim's own as_of; who is not in it is flat
    newest_true: dict[str, float] = field(default_factory=dict)  # at the newest as_of

    def state(self, trader: str) -> str:
        """What is claimed of somebody; who is not listed is unknown."""
        said = self.shown.get(trader)
        return "unknown" if said is None else said.state

    def share(self, is_good: "Any") -> tuple[float, float]:
        """Shares of those who truly hold something, and of the sum of |size|, for which `is_good(shown)`."""
        held = {trader: abs(size) for trader, size in self.newest_true.items() if size}
        good = [trader for trader in held if (said := self.shown.get(trader)) is not None and is_good(said)]
        return len(good) / max(1, len(held)), sum(held[t] for t in good) / (sum(held.values()) or 1.0)


@dataclass
class Verdicts:
    """What all looks together showed."""

    checks: int = 0
    left_out: int = 0
    traders: set[str] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)


class Observer:
    """Reads everyone's served position; the venue's own doors say what is true."""

    def __init__(self, venue: Process, server: Process) -> None:
        self.venue = venue
        self.server = server
        self.verdicts = Verdicts()
        self.changes: list[Change] = []
        self._noticed: dict[tuple[str, str], int] = {}  # (coin, trader): since when it was last seen to have drifted
        self._http = httpx2.AsyncClient(timeout=150.0)
        self._origin_s, self._speed = float(venue.ready["origin"]), float(venue.ready["speed"])

    async def __aenter__(self) -> "Observer":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    def now_ms(self) -> int:
        """The venue's clock."""
        return self.venue_ms(time.time() * 1000)

    def venue_ms(self, real_ms: float) -> int:
        """What the venue's clock showed at a real moment, as logs have it."""
        return int((self._origin_s + (real_ms / 1000 - self._origin_s) * self._speed) * 1000)

    async def until(self, venue_ms: float) -> None:
        """Wait until the venue's clock shows that."""
        await asyncio.sleep(max(0.0, (venue_ms - self.now_ms()) / 1000 / self._speed))

    async def get(self, url: str, **params: Any) -> bytes:
        """A 200 answer's body."""
        answer = await self._http.get(url, params=params)
        answer.raise_for_status()
        return answer.content

    async def stats(self) -> dict[str, Any]:
        """What the venue counted."""
        counted: dict[str, Any] = msgspec.json.decode(await self.get(f"{self.venue.url}/_stats"))
        return counted

    async def detail(self) -> dict[str, Any]:
        """What the positions collector tells of itself."""
        said: dict[str, Any] = msgspec.json.decode(await self.get(f"{self.server.url}/api/v1/connectors/positions"))
        detail: dict[str, Any] = said["detail"]
        return detail

    async def order(self, *faults: dict[str, Any]) -> int:
        """Have something happen at the venue; gives the venue's own time of it."""
        answer = await self._http.post(f"{self.venue.url}/_control", json=list(faults))
        answer.raise_for_status()
        at_ms: int = answer.json()["now_ms"]
        return at_ms

    async def position(self, trader: str, coin: str) -> Shown | None:
        """What is served of one trader."""
        answer = await self._http.get(f"{self.server.url}/api/v1/traders/{trader}")
        if answer.status_code == 404:
            return None
        answer.raise_for_status()
        every = msgspec.convert(msgspec.json.decode(answer.content)["positions"], list[Shown])
        return next(shown for shown in every if shown.coin == coin)

    async def history(self, trader: str, coin: str) -> list[dict[str, Any]]:
        """The trader's facts in one coin, newest first."""
        url = f"{self.server.url}/api/v1/traders/{trader}/positions"
        answer = await self._http.get(url, params={"symbol": coin, "hours": 2, "limit": 500})
        while answer.status_code == 503:  # the MongoDB test server looks through all facts, and is told to hurry
            await asyncio.sleep(float(answer.headers["Retry-After"]))
            answer = await self._http.get(url, params={"symbol": coin, "hours": 2, "limit": 500})
        answer.raise_for_status()
        facts: list[dict[str, Any]] = msgspec.json.decode(answer.content)["positions"]
        return facts

    async def truth(self, coin: str, at_ms: int) -> dict[str, float]:
        """Everybody's true size after all blocks up to then; flat ones are left out."""
        body = msgspec.json.decode(await self.get(f"{self.venue.url}/_truth", coin=coin, at_ms=at_ms))
        return {user: float(size) for user, size in body["sizes"].items()}

    async def candles_are_whole(self, coin: str) -> bool:
        """Whether the newest bars follow each other minute by minute up to now."""
        url = f"{self.server.url}/api/v1/markets/{coin}/history"
        bars = msgspec.json.decode(await self.get(url, timeframe="1m", limit=BARS))["candles"]
        times = [to_ms(bar["t"]) for bar in bars]
        if len(times) < BARS or times[-1] < self.now_ms() - 3 * MINUTE_MS:
            return False
        return {later - earlier for earlier, later in pairwise(times)} == {MINUTE_MS}

    async def untrue(self, coin: str, facts: Iterable[tuple[str, int, int]]) -> list[str]:
        """Which of these facts (trader, t in ms, lots of BTC's size) were not so at their own time."""
        found = []
        for trader, t_ms, lots in facts:
            body = await self.get(f"{self.venue.url}/_truth", coin=coin, at_ms=t_ms, user=trader)
            true = round(float(msgspec.json.decode(body)["sizes"].get(trader, 0.0)) * LOTS)
            if lots != true:
                found.append(f"{trader} at {t_ms}: {lots} lots, was {true}")
        return found

    async def look(self, coin: str = "BTC", *, others: tuple[str, ...] = ()) -> Look:
        """See every tracked trader (and those `others`), compare what is exact with the truth at its own `as_of`."""
        look = Look(coin, self.now_ms(), {})
        cursor: dict[str, str] = {}
        while True:
            url = f"{self.server.url}/api/v1/traders"
            page = msgspec.json.decode(
                await self.get(url, symbol=coin, limit=PAGE, sort="address", **cursor), type=_Page
            )
            look.shown |= {each.address: each.position for each in page.traders if each.position is not None}
            if page.next_cursor is None:
                break
            cursor = {"cursor": page.next_cursor}
        for trader in others:
            shown = await self.position(trader, coin)
            if shown is not None:
                look.shown[trader] = shown
        await self._compare(look)
        return look

    async def _compare(self, look: Look) -> None:
        logged = msgspec.json.decode(await self.get(f"{self.venue.url}/_truth/off_tape"), type=_Changes)
        self.changes = logged.changes
        changed: dict[str, list[int]] = defaultdict(list)
        for change in self.changes:
            if change.coin == look.coin:
                changed[change.user].append(change.at_ms)
        claims: dict[int, list[tuple[str, Shown]]] = defaultdict(list)
        for trader, shown in look.shown.items():
            if shown.as_of is not None and shown.state in ("exact", "unsure"):
                claims[to_ms(shown.as_of)].append((trader, shown))
        # The truth of every moment at which somebody is exact; doubtful ones are held against the newest of them.
        moments = {at for at, some in claims.items() if any(shown.state == "exact" for _, shown in some)}
        newest = max(moments, default=look.asked_ms)
        look.newest_true = await self.truth(look.coin, min(newest, look.asked_ms))
        for at_ms, some in claims.items():
            true = await self.truth(look.coin, at_ms) if at_ms in moments else look.newest_true
            for trader, shown in some:
                look.true[trader] = true.get(trader, 0.0)
                self.hear(look.coin, trader, shown, at_ms, true.get(trader, 0.0), changed.get(trader, []))

    def hear(self, coin: str, trader: str, shown: Shown, at_ms: int, true: float, changed: list[int]) -> None:
        """Compare one position as served at `at_ms` with the `true` size; `changed`: when it changed off the tape.

        Such a change ends to count with the audit that finds it, which shows as drift, or with a base of its own after
        it. Who is unsure for another reason, as everybody is while the tape stands still, has not been audited.
        """
        if shown.state == "unsure" and shown.because == "drift" and shown.since is not None:
            self._noticed[coin, trader] = to_ms(shown.since)
        if shown.state == "exact":
            self._judge(coin, trader, shown, at_ms, true, changed)

    def _judge(self, coin: str, trader: str, shown: Shown, at_ms: int, true: float, changed: list[int]) -> None:
        confirmed_ms = 0 if shown.confirmed_at is None else to_ms(shown.confirmed_at)
        noticed_ms = max(confirmed_ms - WINDOW_MS, self._noticed.get((coin, trader), 0))
        if any(noticed_ms <= change_ms <= at_ms for change_ms in changed):
            self.verdicts.left_out += 1  # changed off the tape, and no audit has come by since
            return
        self.verdicts.checks += 1
        self.verdicts.traders.add(trader)
        if shown.size != true:
            self.verdicts.wrong.append(f"{coin} {trader} as of {shown.as_of}: said {shown.size}, was {true}")


def is_exact(shown: Shown) -> bool:
    """Whether it is served as exact."""
    return shown.state == "exact"


def is_nearly_sure(shown: Shown) -> bool:
    """Whether it is exact, or doubted by 0.05 at most."""
    return is_exact(shown) or (shown.state == "unsure" and shown.doubt is not None and shown.doubt <= 0.05)
