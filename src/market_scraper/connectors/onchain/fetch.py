"""One polite way to ask any on-chain host: deadlines, a size limit, conditional GET, a pace per host, plain words.

What comes back is bytes that are worth parsing, or an error that says what came instead.
"""

import math
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Self

import httpx2

from market_scraper import __version__
from market_scraper.connectors.onchain.pace import DEFAULT_PACE, PACES, Gate, Pace, Paused
from market_scraper.domain.errors import SourceError
from market_scraper.domain.onchain import Note, Source
from market_scraper.ports.clock import Clock

USER_AGENT = f"market-scraper/{__version__}"
"""Honest and not a library's default, which some CDNs turn away (facts, section 6)."""

LIMIT_BYTES = 4 * 2**20
"""Of an answer, unpacked, unless a source says otherwise."""

ERROR_BYTES = 65_536
"""How much of an error's body is read."""

RETRY_S = 60.0
"""When asking again makes sense after no answer or one of no use, in venue seconds."""

LONGEST_PAUSE_S = 86_400.0
LATER = frozenset((408, 425, 429))
"""The 4xx that mean "later", not "no"."""

MOST_REDIRECTS = 3
MOST_REMEMBERED = 64
"""URLs whose validators are kept; a source has a few."""

Deadline = Callable[[float], AbstractAsyncContextManager[object]]
"""Raises TimeoutError in its block after so many *real* seconds (`runtime.clock.real_timeout`)."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A good answer (200), or the word that the one kept is still good (304)."""

    url: str  # as asked, with its query
    body: bytes  # unpacked; empty when unchanged
    unchanged: bool
    headers: Mapping[str, str]  # names in lower case
    notes: tuple[Note, ...]  # a Sunset or Deprecation that the host announces


class Refused(SourceError):
    """The host understood and said no (4xx other than "later"): `status` and `body` say why."""

    def __init__(self, source: str, status: int, body: bytes, *, retry_after_s: float | None) -> None:
        super().__init__(source, f"HTTP {status}", retry_after_s=retry_after_s)
        self.status = status
        self.body = body  # at most ERROR_BYTES of it


class Fetch:
    """Asks hosts for all sources; use it in `async with`, which opens and closes the connections."""

    def __init__(
        self, *, clock: Clock, deadline: Deadline, timeout_s: float, paces: Mapping[str, Pace] = PACES
    ) -> None:
        """`timeout_s`: real seconds from connect to last byte; waiting for the host's pace is not part of it."""
        self._clock = clock
        self._deadline = deadline
        self._timeout_s = timeout_s
        self._paces = paces
        self._gates: dict[str, Gate] = {}
        self._kept: OrderedDict[str, dict[str, str]] = OrderedDict()  # URL: the headers of a conditional GET
        self._client: httpx2.AsyncClient | None = None

    async def get(
        self,
        source: Source,
        url: str,
        params: Mapping[str, str] | None = None,
        *,
        limit_bytes: int = LIMIT_BYTES,
        conditional: bool = False,
    ) -> Fetched:
        """Ask, as soon as the host's pace allows it, which may be tens of seconds.

        `conditional`: of an answer that was kept (`keep`) only the word that it is unchanged comes again.
        Raises Refused for a 4xx that means no, SourceError for all else that is no good answer.
        """
        try:
            address = httpx2.URL(url)
            if params:
                address = address.copy_merge_params(dict(params))
        except httpx2.InvalidURL as error:
            raise SourceError(source, _reason(error), retry_after_s=None) from error
        known = self._kept.get(str(address), {}) if conditional else {}
        try:
            return await self._follow(source, address, known, limit_bytes)
        except Paused as error:
            raise SourceError(source, f"{address.host} {error}", retry_after_s=error.left_s) from error
        except _Useless as error:
            raise SourceError(source, str(error), retry_after_s=RETRY_S) from error
        except (TimeoutError, httpx2.HTTPError, httpx2.InvalidURL, OSError, UnicodeError) as error:
            raise SourceError(source, _reason(error), retry_after_s=RETRY_S) from error

    def keep(self, fetched: Fetched) -> None:
        """Remember an answer's ETag and Last-Modified. Call it once the answer was understood, not before:

        of an answer cut in half a 304 would say for ever that there is nothing new.
        """
        pairs = (("etag", "If-None-Match"), ("last-modified", "If-Modified-Since"))
        known = {asked: fetched.headers[told] for told, asked in pairs if told in fetched.headers}
        if fetched.unchanged or not known:
            return
        self._kept[fetched.url] = known
        self._kept.move_to_end(fetched.url)
        if len(self._kept) > MOST_REMEMBERED:
            self._kept.popitem(last=False)

    async def __aenter__(self) -> Self:
        self._client = httpx2.AsyncClient(
            headers={"User-Agent": USER_AGENT, "Accept-Encoding": "gzip"},
            timeout=httpx2.Timeout(self._timeout_s),
            # Requests are minutes apart: a connection that idles longer is likely to be closed at the other end.
            limits=httpx2.Limits(max_connections=20, max_keepalive_connections=6, keepalive_expiry=5.0),
            follow_redirects=False,  # each hop is looked at
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def _follow(self, source: Source, asked: httpx2.URL, known: Mapping[str, str], limit_bytes: int) -> Fetched:
        address = asked
        for _ in range(MOST_REDIRECTS + 1):
            if not 0 < (address.port or 1) < 65_536:
                raise _Useless(f"no port {address.port}")
            gate = self._gate(address)
            await gate.enter(source)
            async with self._deadline(self._timeout_s):
                response, body = await self._send(address, known, limit_bytes)
            status, headers = response.status_code, dict(response.headers.items())
            if status == 304 and known:
                return Fetched(str(asked), b"", True, headers, _announced(headers))
            if status == 200:
                _check(body)
                return Fetched(str(asked), body, False, headers, _announced(headers))
            if response.has_redirect_location:
                address = _next(address, headers["location"])
                continue
            raise self._refusal(source, gate, status, headers, body)
        raise _Useless(f"more than {MOST_REDIRECTS} redirects")

    async def _send(
        self, address: httpx2.URL, known: Mapping[str, str], limit_bytes: int
    ) -> tuple[httpx2.Response, bytes]:
        """One request; an error's body is cut, a good one's that is too long is refused while it comes."""
        if self._client is None:
            raise RuntimeError("Fetch is used outside of its `async with` block")
        async with self._client.stream("GET", address, headers=dict(known)) as response:
            is_good = response.status_code == 200
            most = limit_bytes if is_good else ERROR_BYTES
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > most:
                    if is_good:
                        raise _Useless(f"an answer of more than {limit_bytes} bytes")
                    break
            return response, bytes(body[:most])

    def _gate(self, address: httpx2.URL) -> Gate:
        host = address.netloc.decode()
        if host not in self._gates:
            self._gates[host] = Gate(self._paces.get(address.host, DEFAULT_PACE), self._clock)
        return self._gates[host]

    def _refusal(self, source: Source, gate: Gate, status: int, headers: Mapping[str, str], body: bytes) -> SourceError:
        """What an answer that is neither good nor a redirect means; a pause that is asked for begins."""
        pause_s = self._pause_s(headers)
        if status == 429 or pause_s is not None:
            gate.pause(source, pause_s if pause_s is not None else RETRY_S)
        if 400 <= status < 500 and status not in LATER:
            return Refused(source, status, body, retry_after_s=pause_s)
        return SourceError(source, f"HTTP {status}", retry_after_s=pause_s if pause_s is not None else RETRY_S)

    def _pause_s(self, headers: Mapping[str, str]) -> float | None:
        """Seconds of the Retry-After header, which may be a date; None without one that makes sense."""
        said = headers.get("retry-after", "")
        try:
            seconds = float(said)
        except ValueError:
            until_ms = _date_ms(said)
            if until_ms is None:
                return None
            now_ms = _date_ms(headers.get("date", ""))
            seconds = (until_ms - (self._clock.now_ms() if now_ms is None else now_ms)) / 1000
        return min(max(seconds, 0.0), LONGEST_PAUSE_S) if math.isfinite(seconds) else None


class _Useless(Exception):
    """An answer came, but not one that we could use."""


def _check(body: bytes) -> None:
    """Refuse what is no data at all: CDNs and error pages answer 200 with a page.

    The body alone decides: hosts of plain files call good JSON and CSV `text/html`, too.
    """
    start = body[:512].lstrip(b"\xef\xbb\xbf \t\r\n")
    if not start:
        raise _Useless("an empty answer")
    if start[:1] == b"<":
        raise _Useless("a web page instead of data")


def _next(address: httpx2.URL, location: str) -> httpx2.URL:
    """Where a redirect leads, if it may: to https anywhere, or to the same host without giving https up."""
    target = address.join(location)
    is_same = target.netloc == address.netloc and target.scheme == address.scheme
    if target.scheme != "https" and not is_same:
        raise _Useless(f"a redirect to {target.scheme}://{target.host}, where we do not follow")
    return target


def _announced(headers: Mapping[str, str]) -> tuple[Note, ...]:
    said = [f"{name.capitalize()}: {headers[name][:100]}" for name in ("deprecation", "sunset") if name in headers]
    return (Note(kind="sunset", text="; ".join(said)),) if said else ()


def _date_ms(text: str) -> float | None:
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, IndexError):
        return None
    return (date if date.tzinfo is not None else date.replace(tzinfo=UTC)).timestamp() * 1000


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no whole answer in time"
    return f"{type(error).__name__}: {error}"[:200].rstrip(": ")
