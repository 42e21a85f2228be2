"""What each WebSocket client gets: its own channel and traders, once each, in order, and never another's delay."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_scraper.api.hub import Hub, Ring, Wanted
from market_scraper.api.mailbox import Mailbox
from market_scraper.api.messages import Channel, Message
from market_scraper.domain.events import Event, SignalGenerated, TradersRated
from market_scraper.domain.values import Address
from market_scraper.event_bus.memory import MemoryBus
from market_scraper.event_bus.numbers import reserve_in_memory
from market_scraper.ports.bus import Envelope
from tests.fakes import FakeClock
from tests.unit.api.parts import ANN, BOB, BTC, ETH, EVE, NOW_MS, FakeViews, changed, position, rated, signal

TRADERS = Wanted(channel=Channel.TRADERS)


def make_hub(**rings: int) -> Hub:
    views = FakeViews(FakeClock(NOW_MS))
    views.traders.put(rated(ANN), rated(BOB), rated(EVE, tracked=False))
    views.markets.put(BTC)
    return Hub(
        MemoryBus(reserve_in_memory()),
        views,
        ring={channel: rings.get(channel, 100) for channel in Channel},
    )


def show(hub: Hub, seq: int, event: Event | None = None) -> None:
    hub.show(Envelope(seq, "BTC", changed(position(ANN)) if event is None else event))


def pull(*traders: Address) -> TradersRated:
    rows = tuple(rated(trader) for trader in traders)
    return TradersRated(known_at_ms=NOW_MS, captured_at_ms=NOW_MS, part=0, parts=1, traders=rows)


def read(mailbox: Mailbox) -> list[Any]:
    return [json.loads(message.text()) for message in mailbox.take(1_000)[1]]


def test_a_position_message_has_the_fields_of_the_http_answer() -> None:
    hub = make_hub()
    with hub.seat(TRADERS) as seat:
        show(hub, 5)
        (message,) = read(seat.mailbox)

    assert (message["seq"], message["channel"], message["type"]) == (5, "traders", "position")
    data = message["data"]
    assert (data["address"], data["coin"], data["size"], data["state"]) == (ANN, "BTC", 1.5, "exact")
    assert (data["unrealized_pnl"], data["cause"], data["size_before"]) == (1_500, "print", 0)
    assert message["timestamp"] == data["as_of"]


def test_only_tracked_traders_are_pushed_unless_one_is_asked_for() -> None:
    hub = make_hub()
    with (
        hub.seat(TRADERS) as everyone,
        hub.seat(Wanted(channel=Channel.TRADERS, address=EVE)) as only_eve,
        hub.seat(Wanted(channel=Channel.TRADERS, symbol=ETH)) as only_eth,
        hub.seat(Wanted(channel=Channel.SIGNALS)) as signals,
    ):
        show(hub, 1, changed(position(ANN)))
        show(hub, 2, changed(position(EVE)))
        show(hub, 3, changed(position(ANN, ETH)))
        show(hub, 4, SignalGenerated(known_at_ms=NOW_MS, signal=signal()))

        assert [m["seq"] for m in read(everyone.mailbox)] == [1, 3]
        assert [m["seq"] for m in read(only_eve.mailbox)] == [2]
        assert [m["seq"] for m in read(only_eth.mailbox)] == [3]
        assert [(m["seq"], m["type"]) for m in read(signals.mailbox)] == [(4, "signal")]


def test_scores_come_for_tracked_traders_and_for_the_one_asked_for() -> None:
    hub = make_hub()
    pull = TradersRated(
        known_at_ms=NOW_MS,
        captured_at_ms=NOW_MS - 5,
        part=0,
        parts=1,
        traders=(rated(ANN, score=91.0), rated(EVE, tracked=False, score=3.0)),
    )
    with (
        hub.seat(TRADERS) as everyone,
        hub.seat(Wanted(channel=Channel.TRADERS, address=EVE)) as only_eve,
        hub.seat(Wanted(channel=Channel.TRADERS, address=BOB)) as only_bob,
    ):
        show(hub, 9, pull)
        (all_scores,) = read(everyone.mailbox)
        (eve_scores,) = read(only_eve.mailbox)

        assert [(t["address"], t["score"]) for t in all_scores["data"]["traders"]] == [(ANN, 91)]
        assert [(t["address"], t["active"]) for t in eve_scores["data"]["traders"]] == [(EVE, False)]
        assert read(only_bob.mailbox) == []


def test_who_comes_back_gets_what_was_missed_once() -> None:
    hub = make_hub()
    for seq in (3, 7, 8, 20):
        show(hub, seq)
    with hub.seat(TRADERS, 7) as seat:
        show(hub, 21)
        assert [m.seq for m in seat.missed or ()] == [8, 20]
        assert [m["seq"] for m in read(seat.mailbox)] == [21]
        assert seat.newest_seq == 20


@pytest.mark.parametrize("last_seq", [1, 999])
def test_evicted_and_never_given_numbers_are_a_gap(last_seq: int) -> None:
    hub = make_hub(traders=2)
    for seq in (1, 2, 3, 4):
        show(hub, seq)
    with hub.seat(TRADERS, last_seq) as seat:
        assert seat.missed is None
    with hub.seat(TRADERS, 2) as seat:
        assert [m.seq for m in seat.missed or ()] == [3, 4]


@given(
    seqs=st.lists(st.integers(1, 200), unique=True, max_size=40).map(sorted),
    ring=st.integers(1, 50),
    last=st.integers(0, 210),
)
def test_a_resume_is_complete_or_a_gap(seqs: list[int], ring: int, last: int) -> None:
    hub = make_hub(traders=ring)
    for seq in seqs:
        show(hub, seq)
    wanted = [seq for seq in seqs if seq > last]
    with hub.seat(TRADERS, last) as seat:
        if seat.missed is None:
            evicted = seqs[:-ring]
            assert last > max(seqs, default=0) or (evicted and last < evicted[-1])
        else:
            assert [m.seq for m in seat.missed] == wanted


def test_kept_pulls_of_the_leaderboard_are_few_however_few_other_messages_come() -> None:
    ring = Ring(100, ratings=5)
    pulls = {seq: pull(ANN, BOB) for seq in (2, 4, 6, 8)}
    for seq in range(1, 9):
        event = pulls.get(seq, changed(position(ANN)))
        ring.add(Message(seq, Channel.TRADERS, event))

    assert [m.seq for m in ring.after(0)] == [5, 6, 7, 8]
    assert ring.whole_after_seq == 4


def test_a_kept_signal_does_not_hold_its_contributions() -> None:
    hub = make_hub()
    with hub.seat(Wanted(channel=Channel.SIGNALS)) as seat:
        event = SignalGenerated(known_at_ms=NOW_MS, signal=signal())
        assert event.signal.contributions
        show(hub, 1, event)
        (_, [message]) = seat.mailbox.take(1)
    kept = message.event
    assert isinstance(kept, SignalGenerated)
    assert kept.signal.contributions == ()
    assert hub.recent_signals.get(event.signal.id) == event.signal  # `explain` shows them before they are stored


def test_a_slow_reader_loses_its_own_oldest_and_is_told_how_many() -> None:
    mailbox = Mailbox(size=3)
    for seq in range(1, 6):
        mailbox.put(Message(seq, Channel.TRADERS, changed(position(ANN))))

    dropped, first = mailbox.take(2)
    dropped_since, rest = mailbox.take(2)

    assert (dropped, [m.seq for m in first]) == (2, [3, 4])
    assert (dropped_since, [m.seq for m in rest]) == (0, [5])


def test_a_message_is_encoded_once_for_all_clients() -> None:
    hub = make_hub()
    with hub.seat(TRADERS) as one, hub.seat(TRADERS) as other:
        show(hub, 1)
        (_, [first]), (_, [second]) = one.mailbox.take(1), other.mailbox.take(1)

    assert first.text() is second.text()


def test_an_event_that_cannot_be_shown_is_counted_and_the_others_go_on() -> None:
    hub = make_hub()
    strange = changed(position(ANN))
    hub._views.traders.is_tracked = None  # type: ignore[assignment,method-assign]
    with hub.seat(TRADERS) as seat:
        show(hub, 1, strange)
        show(hub, 2, TradersRated(known_at_ms=1, captured_at_ms=1, part=0, parts=1, traders=(rated(ANN),)))
        assert [m["seq"] for m in read(seat.mailbox)] == [2]
    assert hub.errors == 1


def test_a_seat_that_was_left_gets_nothing_and_is_not_counted() -> None:
    hub = make_hub()
    with hub.seat(TRADERS) as seat:
        assert hub.clients() == {Channel.TRADERS: 1, Channel.SIGNALS: 0}
    show(hub, 1)
    assert read(seat.mailbox) == []
    assert hub.clients()[Channel.TRADERS] == 0
