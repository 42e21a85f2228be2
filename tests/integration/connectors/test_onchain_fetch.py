"""The shared fetch against a real HTTP host, over loopback."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Mapping
from email.utils import formatdate
from typing import Any

import pytest

from market_scraper import __version__
from market_scraper.connectors.onchain.fetch import ERROR_BYTES, Fetch, Refused
from market_scraper.connectors.onchain.pace import Pace
from market_scraper.domain.errors import SourceError
from market_scraper.domain.onchain import Source
from market_scraper.runtime.clock import ScaledClock, real_timeout
from tests.fakes import FakeClock
from tests.integration.connectors.upstream import Asked, Reply, Upstream, Write, said

CBBI, GREED = Source.CBBI, Source.FEAR_GREED
FREELY = {"127.0.0.1": Pace(1_000, 1.0, "test")}


def fetching(timeout_s: float = 5.0, paces: Mapping[str, Pace] = FREELY, clock: Any = None) -> Fetch:
    return Fetch(clock=clock or ScaledClock(), deadline=real_timeout, timeout_s=timeout_s, paces=paces)


@pytest.fixture
async def host() -> AsyncIterator[Upstream]:
    async with Upstream(lambda _: said({"good": True})) as served:
        yield served


@pytest.fixture
async def fetch() -> AsyncIterator[Fetch]:
    async with fetching() as opened:
        yield opened


async def test_we_say_who_we_are_and_take_packed_answers(host: Upstream, fetch: Fetch) -> None:
    host.answer = lambda _: Reply(gzip.compress(b'{"a": 1}'), headers={"Content-Encoding": "gzip"})
    fetched = await fetch.get(CBBI, f"{host.url}/x?a=1,2", {"b": "3,4"})
    assert (fetched.body, fetched.unchanged, fetched.notes) == (b'{"a": 1}', False, ())
    (asked,) = host.asked
    assert asked.query == {"a": "1,2", "b": "3,4"}
    assert asked.headers["user-agent"] == f"market-scraper/{__version__}"
    assert asked.headers["accept-encoding"] == "gzip"


async def test_an_address_without_parameters_is_asked_as_it_is(host: Upstream, fetch: Fetch) -> None:
    """A `next_page_url` holds tokens that only its host understands."""
    raw = "/v4/x?token=0.MjAy%2BNi0=&m=a,b"
    assert (await fetch.get(CBBI, host.url + raw)).url == host.url + raw


VALIDATORS = [
    ({"ETag": '"v1"'}, "if-none-match", '"v1"'),
    ({"ETag": 'W/"v1-gzip"'}, "if-none-match", 'W/"v1-gzip"'),
    ({"Last-Modified": "Sun, 16 Aug 2026 01:00:00 GMT"}, "if-modified-since", "Sun, 16 Aug 2026 01:00:00 GMT"),
]


@pytest.mark.parametrize(("told", "header", "text"), VALIDATORS)
async def test_an_answer_that_was_kept_comes_only_once(
    host: Upstream, fetch: Fetch, told: dict[str, str], header: str, text: str
) -> None:
    host.answer = lambda asked: Reply(b"", 304) if asked.headers.get(header) == text else Reply(b"[1]", headers=told)
    fetch.keep(await fetch.get(CBBI, host.url, conditional=True))
    again = await fetch.get(CBBI, host.url, conditional=True)
    assert (again.unchanged, again.body) == (True, b"")
    fetch.keep(again)  # keeps what was kept
    assert (await fetch.get(CBBI, host.url, conditional=True)).unchanged
    other = await fetch.get(CBBI, host.url, {"page": "2"}, conditional=True)
    assert (other.unchanged, other.body) == (False, b"[1]")
    assert not (await fetch.get(CBBI, host.url)).unchanged  # who does not ask for it gets it all


async def test_an_answer_that_nobody_understood_comes_again(host: Upstream, fetch: Fetch) -> None:
    host.answer = lambda asked: Reply(b"", 304) if "if-none-match" in asked.headers else said({}, ETag='"half"')
    await fetch.get(CBBI, host.url, conditional=True)
    assert not (await fetch.get(CBBI, host.url, conditional=True)).unchanged


async def test_a_word_of_unchanged_that_was_not_asked_for_is_no_answer(host: Upstream, fetch: Fetch) -> None:
    host.answer = lambda _: Reply(b"", 304)
    with pytest.raises(SourceError, match="304"):
        await fetch.get(CBBI, host.url, conditional=True)


async def stream_40_mb(write: Write) -> None:
    for _ in range(640):
        await write(b'{"x":1,"y":1},' * 4_682)


async def test_an_answer_of_40_mb_is_refused_while_it_comes(host: Upstream, fetch: Fetch) -> None:
    host.answer = lambda _: Reply(stream=stream_40_mb)
    with pytest.raises(SourceError, match="more than 100000 bytes"):
        await fetch.get(CBBI, host.url, limit_bytes=100_000)
    async with asyncio.timeout(5):
        await host.cut.wait()
    assert host.sent_bytes < 20 * 2**20  # what the sockets' buffers swallowed


async def test_the_limit_counts_what_is_unpacked(host: Upstream, fetch: Fetch) -> None:
    host.answer = lambda _: Reply(gzip.compress(b" " * 10_000_000), headers={"Content-Encoding": "gzip"})
    with pytest.raises(SourceError, match="more than 100000 bytes"):
        await fetch.get(CBBI, host.url, limit_bytes=100_000)


async def stall(write: Write) -> None:
    await write(b'{"')
    await asyncio.Event().wait()


async def test_a_stalled_body_ends_at_the_deadline_in_real_time(host: Upstream) -> None:
    """On a paper venue's slow clock too: it is a deadline of the network, not of the venue."""
    host.answer = lambda _: Reply(stream=stall)
    async with fetching(timeout_s=0.2, clock=FakeClock()) as fetch:
        async with asyncio.timeout(5):
            with pytest.raises(SourceError, match="no whole answer in time") as failed:
                await fetch.get(CBBI, host.url)
            await host.cut.wait()
    assert failed.value.retry_after_s == 60


async def test_a_body_that_is_cut_off_is_no_answer(host: Upstream, fetch: Fetch) -> None:
    async def cut(write: Write) -> None:
        await write(b'{"data":[')

    host.answer = lambda _: Reply(stream=cut, headers={"Content-Length": "5000"})
    with pytest.raises(SourceError, match="RemoteProtocolError"):
        await fetch.get(CBBI, host.url)


async def test_a_body_that_is_wrongly_packed_is_no_answer(host: Upstream, fetch: Fetch) -> None:
    host.answer = lambda _: Reply(b'{"data":[]}', headers={"Content-Encoding": "gzip"})
    with pytest.raises(SourceError, match="DecodingError"):
        await fetch.get(CBBI, host.url)


PAGES = [
    Reply(b"<!DOCTYPE html><title>Just a moment...</title>"),
    Reply(b"\xef\xbb\xbf \n<html>", headers={"Content-Type": "text/plain"}),
    Reply(b"\n<p>Just a moment", headers={"Content-Type": "text/html; charset=utf-8"}),
]


@pytest.mark.parametrize("page", PAGES)
async def test_a_web_page_instead_of_data_is_told_as_such(host: Upstream, fetch: Fetch, page: Reply) -> None:
    host.answer = lambda _: page
    with pytest.raises(SourceError, match="a web page instead of data"):
        await fetch.get(CBBI, host.url)


@pytest.mark.parametrize("body", [b'{"data": []}', b"[1]", b"time,FlowInExNtv\n2026-10-18,1\n", b"970695"])
async def test_data_under_the_name_of_a_web_page_is_data(host: Upstream, fetch: Fetch, body: bytes) -> None:
    host.answer = lambda _: Reply(body, headers={"Content-Type": "text/html; charset=utf-8"})
    assert (await fetch.get(CBBI, host.url)).body == body


async def test_an_empty_answer_is_none(host: Upstream, fetch: Fetch) -> None:
    host.answer = lambda _: Reply(b" \n")
    with pytest.raises(SourceError, match="an empty answer"):
        await fetch.get(CBBI, host.url)


def moved(location: str, status: int = 301) -> Reply:
    return Reply(b"", status, {"Location": location})


async def test_a_redirect_on_the_same_host_is_followed(host: Upstream, fetch: Fetch) -> None:
    host.answer = lambda asked: said([1]) if asked.path == "/new/" else moved("/new/", 308)
    fetched = await fetch.get(CBBI, f"{host.url}/old")
    assert (fetched.body, fetched.url) == (b"[1]", f"{host.url}/old")


@pytest.mark.parametrize(
    "where", ["http://localhost:1/x", "http://127.0.0.1:1/x", "ftp://127.0.0.1/x", "//localhost:1/"]
)
async def test_a_redirect_to_another_host_without_https_is_not_followed(
    host: Upstream, fetch: Fetch, where: str
) -> None:
    host.answer = lambda _: moved(where)
    with pytest.raises(SourceError, match="where we do not follow"):
        await fetch.get(CBBI, host.url)


async def test_a_redirect_to_https_is_followed(host: Upstream, fetch: Fetch) -> None:
    """Nobody is there, so that the connection fails: but it was tried."""
    host.answer = lambda _: moved("https://127.0.0.1:1/x")
    with pytest.raises(SourceError, match="ConnectError"):
        await fetch.get(CBBI, host.url)


async def test_a_redirect_to_nowhere_is_a_source_error(host: Upstream, fetch: Fetch) -> None:
    for where in ("https://127.0.0.1:99999/", "https://" + "a" * 300, "https://[::1", "https://"):
        host.answer = lambda _, where=where: moved(where)  # type: ignore[misc]
        with pytest.raises(SourceError):
            await fetch.get(CBBI, host.url)


async def test_redirects_in_a_circle_end(host: Upstream, fetch: Fetch) -> None:
    host.answer = lambda _: moved("/x")
    with pytest.raises(SourceError, match="more than 3 redirects"):
        await fetch.get(CBBI, host.url)
    assert len(host.asked) == 4


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 414, 422])
async def test_a_no_is_raised_with_its_words(host: Upstream, fetch: Fetch, status: int) -> None:
    host.answer = lambda _: Reply(b'{"error":{"type":"forbidden"}}', status)
    with pytest.raises(Refused) as refused:
        await fetch.get(CBBI, host.url)
    assert (refused.value.status, refused.value.body) == (status, b'{"error":{"type":"forbidden"}}')
    assert refused.value.retry_after_s is None


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 520])
async def test_a_later_is_no_no(host: Upstream, fetch: Fetch, status: int) -> None:
    host.answer = lambda _: Reply(b"<html>oops</html>", status)
    with pytest.raises(SourceError, match=f"HTTP {status}") as failed:
        await fetch.get(CBBI, host.url)
    assert not isinstance(failed.value, Refused)
    assert failed.value.retry_after_s == 60


async def test_of_a_long_no_only_the_beginning_is_read(host: Upstream, fetch: Fetch) -> None:
    host.answer = lambda _: Reply(status=403, stream=stream_40_mb)
    with pytest.raises(Refused) as refused:
        await fetch.get(CBBI, host.url)
    assert len(refused.value.body) == ERROR_BYTES


SAID_AT = 1_790_000_000
PAUSES = [
    ({"Retry-After": "7"}, 7.0),
    ({"Retry-After": formatdate(SAID_AT + 90, usegmt=True), "Date": formatdate(SAID_AT, usegmt=True)}, 90.0),
    ({"Retry-After": formatdate(0, usegmt=True)}, 0.0),
    ({"Retry-After": "1e9"}, 86_400.0),
]


@pytest.mark.parametrize(("headers", "pause_s"), PAUSES)
@pytest.mark.parametrize("status", [429, 503, 403])
async def test_retry_after_is_passed_on_as_seconds(
    host: Upstream, fetch: Fetch, status: int, headers: dict[str, str], pause_s: float
) -> None:
    host.answer = lambda _: Reply(b"", status, headers)
    with pytest.raises(SourceError) as failed:
        await fetch.get(CBBI, host.url)
    assert failed.value.retry_after_s == pause_s


@pytest.mark.parametrize("text", ["soon", "nan", "inf", "", "Sun, 99 Aug 2026 01:00:00 GMT"])
async def test_a_retry_after_that_makes_no_sense_is_none(host: Upstream, fetch: Fetch, text: str) -> None:
    host.answer = lambda _: Reply(b"", 503, {"Retry-After": text})
    with pytest.raises(SourceError) as failed:
        await fetch.get(CBBI, host.url)
    assert failed.value.retry_after_s == 60


async def test_a_host_that_asks_for_a_pause_is_left_alone_until_it_is_over(host: Upstream) -> None:
    clock = FakeClock()
    async with fetching(clock=clock) as fetch:
        host.answer = lambda _: Reply(b"", 429, {"Retry-After": "30"})
        with pytest.raises(SourceError):
            await fetch.get(CBBI, host.url)
        host.answer = lambda _: said([1])
        for left_s in (30.0, 20.0, 10.0):
            with pytest.raises(SourceError, match="asked for a pause") as paused:
                await fetch.get(CBBI, host.url)
            assert (paused.value.source, paused.value.retry_after_s) == (CBBI, left_s)
            await clock.advance(10)
        assert len(host.asked) == 1
        assert (await fetch.get(CBBI, host.url)).body == b"[1]"


async def test_what_a_host_announces_is_noted(host: Upstream, fetch: Fetch) -> None:
    host.answer = lambda _: said([1], Deprecation="true", Sunset="Fri, 01 Jan 2027 00:00:00 GMT")
    (note,) = (await fetch.get(CBBI, host.url)).notes
    assert (note.kind, note.text) == ("sunset", "Deprecation: true; Sunset: Fri, 01 Jan 2027 00:00:00 GMT")


async def test_sources_on_one_host_share_its_pace(host: Upstream) -> None:
    async with fetching(paces={"127.0.0.1": Pace(1, 0.2, "test")}) as fetch:
        asks = (fetch.get(source, f"{host.url}/{number}") for number in range(3) for source in (CBBI, GREED))
        await asyncio.gather(*asks)
    times = sorted(asked.at_s for asked in host.asked)
    assert len(times) == 6
    assert times[5] - times[0] > 0.7  # five windows of 0.2 s; a pace for each source would take two


async def test_another_host_is_not_held_up(host: Upstream) -> None:
    async with Upstream(lambda _: said([1])) as other, fetching(paces={"127.0.0.1": Pace(1, 60.0, "test")}) as fetch:
        async with asyncio.timeout(5):
            await fetch.get(CBBI, host.url)
            await fetch.get(GREED, other.url)  # another port is another host


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "http://127.0.0.1:99999/", "nonsense", "http://"])
async def test_a_host_that_is_not_there_is_a_source_error(fetch: Fetch, url: str) -> None:
    with pytest.raises(SourceError):
        await fetch.get(CBBI, url)


async def test_only_the_last_addresses_are_remembered(host: Upstream, fetch: Fetch) -> None:
    def answer(asked: Asked) -> Reply:
        return Reply(b"", 304) if "if-none-match" in asked.headers else said([1], ETag='"x"')

    host.answer = answer
    for day in range(70):
        fetch.keep(await fetch.get(CBBI, host.url, {"start": str(day)}, conditional=True))
    assert not (await fetch.get(CBBI, host.url, {"start": "0"}, conditional=True)).unchanged
    assert (await fetch.get(CBBI, host.url, {"start": "69"}, conditional=True)).unchanged
