"""One socket's outbox: late, in order, and what faults make of a frame."""

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_scraper.simulator.faults import (
    Duplicate,
    Fault,
    HalfOpen,
    Late,
    Lose,
    Malform,
    Mute,
    Rename,
    Truncate,
)
from market_scraper.simulator.lateness import WanderingDelay
from market_scraper.simulator.link import OUTBOX_SIZE, Frame, Link

TRADES = Frame("trades", '{"channel":"trades","data":[{"coin":"BTC","px":"1.0"}]}', "BTC")


def link(delay_ms: int = 0, index: int = 0) -> Link:
    rng = random.Random(3)
    return Link(index, "127.0.0.1", WanderingDelay(delay_ms, rng, 0), rng, 0)


def after(*faults: Fault, frame: Frame = TRADES, index: int = 0) -> list[str]:
    """The texts that leave a socket for one frame under these faults."""
    outbox = link(index=index)
    outbox.put(frame, 0, list(faults))
    return [outgoing.text for outgoing in outbox.take_due(10**9)]


@given(st.lists(st.integers(0, 3000), min_size=1, max_size=200))
def test_frames_leave_in_order_and_0_to_2_seconds_late(steps: list[int]) -> None:
    outbox, now_ms, put_ms = link(2000), 0, []
    for step in steps:
        now_ms += step
        put_ms.append(now_ms)
        outbox.put(Frame("trades", str(len(put_ms) - 1)), now_ms, [])
    left = outbox.take_due(10**9)
    assert [int(outgoing.text) for outgoing in left] == list(range(len(steps)))
    for outgoing, at_ms in zip(left, put_ms, strict=True):
        assert 0 <= outgoing.release_ms - at_ms <= 2000


def test_nothing_leaves_before_its_time() -> None:
    outbox = link()
    outbox.put(TRADES, 1000, [Late(by_s=0.5)])
    assert outbox.take_due(1499) == []
    assert len(outbox.take_due(1500)) == 1


def test_a_late_frame_holds_up_what_is_behind_it() -> None:
    outbox = link()
    outbox.put(TRADES, 0, [Late(by_s=3)])
    outbox.put(Frame("bbo", "{}"), 10, [])
    assert outbox.take_due(2999) == []
    assert [outgoing.text for outgoing in outbox.take_due(3000)] == [TRADES.text, "{}"]


def test_faults_of_frames_do_what_they_say() -> None:
    assert after(Lose()) == []
    assert after(Mute(channel="trades")) == []
    assert after(Mute(channel="bbo")) == [TRADES.text]
    assert after(Duplicate()) == [TRADES.text] * 2
    assert after(Rename(old="px", new="price")) == [TRADES.text.replace('"px":', '"price":')]
    assert after(Rename(old="px", new="price", type="meta")) == [TRADES.text]
    (cut,) = after(Truncate())
    assert TRADES.text.startswith(cut)
    with pytest.raises(json.JSONDecodeError):
        json.loads(cut)
    (odd,) = after(Malform())
    assert json.loads(odd)["channel"] == "trades"


def test_faults_hit_only_whom_they_name() -> None:
    assert after(Lose(coin="ETH")) == [TRADES.text]
    assert after(Lose(channel="bbo")) == [TRADES.text]
    assert after(Lose(sockets=(1,))) == [TRADES.text]
    assert after(Lose(sockets=(1,)), index=1) == []
    assert len([n for n in range(400) if link(index=n)._hits(Lose(share=0.0), TRADES)]) == 0


def test_what_a_half_open_socket_would_send_is_lost() -> None:
    outbox = link()
    outbox.set_half_open(0, [HalfOpen()])
    outbox.put(TRADES, 0, [])
    assert outbox.take_due(100) == []
    outbox.set_half_open(200, [])
    assert outbox.take_due(10**6) == []
    outbox.put(TRADES, 200, [])
    assert len(outbox.take_due(300)) == 1


def test_a_client_that_never_reads_is_dropped() -> None:
    outbox = link(2000)
    for n in range(OUTBOX_SIZE + 1):
        outbox.put(TRADES, n, [])
    assert outbox.closing is not None
    assert outbox.closing.code == 1006


def test_the_first_reason_to_close_stands() -> None:
    outbox = link()
    outbox.close(1000, "Expired")
    outbox.close(1006)
    assert outbox.closing is not None
    assert (outbox.closing.code, outbox.closing.reason) == (1000, "Expired")


def test_those_who_wait_for_an_answer_are_told_when_it_leaves_or_never_will() -> None:
    told: list[str] = []
    outbox = link()
    outbox.put(TRADES, 0, [], lambda: told.append("sent"))
    for outgoing in outbox.take_due(0):
        assert outgoing.on_sent is not None
        outgoing.on_sent()
    outbox.put(TRADES, 0, [Lose()], lambda: told.append("lost"))
    outbox.put(TRADES, 0, [], lambda: told.append("abandoned"))
    outbox.abandon()
    assert told == ["sent", "lost", "abandoned"]
