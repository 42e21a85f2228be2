"""A session asks for what is wanted, at the venue's pace, and notices when nobody answers."""

import itertools
import json
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from market_scraper.connectors.hyperliquid.session import MAX_SILENCE_S, Session, Timing, key_of

Wanted = dict[str, object]

TRADES: Wanted = {"type": "trades", "coin": "BTC"}
BBO: Wanted = {"type": "bbo", "coin": "BTC"}
MIDS: Wanted = {"type": "allMids"}
USER: Wanted = {"type": "clearinghouseState", "user": "0x" + "ab" * 20, "dex": ""}
TIMING = Timing()


def session(*wanted: Wanted) -> Session:
    made = Session(TIMING)
    made.want(wanted)
    made.opened(0.0)
    return made


def subscribes(messages: list[Wanted]) -> list[object]:
    return [message["subscription"] for message in messages if message["method"] == "subscribe"]


def confirm(made: Session, payload: Wanted, now_s: float = 0.0) -> None:
    assert made.confirmed("subscribe", payload, now_s) is not None


def test_a_handful_is_subscribed_at_once_and_in_order() -> None:
    assert subscribes(session(TRADES, BBO, MIDS).due(0.0)) == [TRADES, BBO, MIDS]


def test_many_subscribes_are_paced() -> None:
    wanted: list[Wanted] = [{"type": "trades", "coin": f"C{n}"} for n in range(40)]
    made = session(*wanted)
    now_s = 0.0
    sent_s: list[float] = []
    while len(sent_s) < 40:
        sent_s += [now_s] * len(subscribes(made.due(now_s)))
        now_s = made.next_at(now_s)
    assert sent_s.count(0.0) == TIMING.burst
    assert all(later - sooner >= TIMING.pace_s - 1e-6 for sooner, later in itertools.pairwise(sent_s[TIMING.burst :]))
    assert sent_s[-1] <= 32 * TIMING.pace_s + 1e-3


def test_nothing_is_sent_before_a_connection_stands() -> None:
    made = Session(TIMING)
    made.want([TRADES])
    assert made.due(0.0) == []


def test_the_echo_is_known_though_the_venue_adds_defaults() -> None:
    made = session(USER)
    made.due(0.0)
    echo = {"type": "clearinghouseState", "user": "0x" + "AB" * 20, "dex": "", "aggregateByTime": False, "n": None}
    assert made.confirmed("subscribe", echo, 0.1) == USER
    assert made.unconfirmed == 0


def test_the_echo_may_carry_a_default_that_is_not_empty() -> None:
    made = session(MIDS)
    made.due(0.0)
    assert made.confirmed("subscribe", MIDS | {"level": 5}, 0.1) == MIDS


@pytest.mark.parametrize("confirmed_first", [True, False])
def test_the_first_frame_after_a_subscribe_is_the_replay_whenever_the_venue_confirms(confirmed_first: bool) -> None:
    made = session(TRADES)
    assert not made.awaits_replay("BTC")
    made.due(0.0)
    if confirmed_first:
        confirm(made, TRADES)
    assert made.awaits_replay("BTC")
    made.replayed("BTC")
    if not confirmed_first:
        confirm(made, TRADES)
    assert not made.awaits_replay("BTC")


def test_an_unconfirmed_subscribe_is_sent_again() -> None:
    made = session(TRADES)
    made.due(0.0)
    assert made.due(TIMING.unconfirmed_s - 0.1) == []
    assert subscribes(made.due(TIMING.unconfirmed_s)) == [TRADES]


def test_a_renewal_unsubscribes_first_and_subscribes_when_that_is_confirmed() -> None:
    made = session(TRADES)
    made.due(0.0)
    confirm(made, TRADES)
    made.replayed("BTC")
    made.renew(TRADES)
    assert made.due(1.0) == [{"method": "unsubscribe", "subscription": TRADES}]
    assert made.due(1.1) == []
    assert made.confirmed("unsubscribe", TRADES, 1.2) == TRADES
    assert subscribes(made.due(1.3)) == [TRADES]
    confirm(made, TRADES, 1.4)
    assert made.awaits_replay("BTC")


def test_what_was_subscribed_without_our_knowing_is_subscribed_anew() -> None:
    made = session(TRADES)
    made.due(0.0)
    made.refused(f"Already subscribed: {json.dumps(TRADES)}", 0.1)
    assert made.due(0.2) == [{"method": "unsubscribe", "subscription": TRADES}]


def test_after_a_reconnect_everything_wanted_is_asked_for_again() -> None:
    made = session(TRADES, BBO)
    made.due(0.0)
    confirm(made, TRADES)
    made.closed()
    made.want([TRADES, MIDS])
    made.opened(5.0)
    assert not made.awaits_replay("BTC")
    assert subscribes(made.due(5.0)) == [TRADES, MIDS]


def test_what_is_no_longer_wanted_is_unsubscribed_and_forgotten() -> None:
    made = session(TRADES, BBO)
    made.due(0.0)
    confirm(made, TRADES)
    confirm(made, BBO)
    made.want([BBO])
    assert made.due(1.0) == [{"method": "unsubscribe", "subscription": TRADES}]
    made.confirmed("unsubscribe", TRADES, 1.1)
    assert made.due(2.0) == []


def test_a_refused_user_waits_and_others_do_not() -> None:
    made = session(USER, TRADES)
    made.due(0.0)
    made.refused("Cannot track more than 15 total users.", 0.1)
    confirm(made, TRADES, 0.1)
    assert made.due(TIMING.first_retry_s) == []
    assert subscribes(made.due(0.1 + TIMING.first_retry_s)) == [USER]
    made.refused("Cannot track more than 15 total users.", 3.0)
    assert made.due(3.0 + 2 * TIMING.first_retry_s - 0.1) == []
    assert subscribes(made.due(3.0 + 2 * TIMING.first_retry_s)) == [USER]


def test_a_refusal_without_a_name_does_not_undo_what_is_confirmed_after_it() -> None:
    other: Wanted = {"type": "clearinghouseState", "user": "0x" + "cd" * 20}
    made = session(USER, other)
    made.due(0.0)
    made.refused("Cannot track more than 15 total users.", 0.1)
    confirm(made, other, 0.2)
    assert subscribes(made.due(60.0)) == [USER]


def test_what_nobody_wants_any_more_is_left_even_if_it_may_have_been_refused() -> None:
    made = session(TRADES, BBO)
    made.due(0.0)
    made.want([])
    made.refused("Cannot subscribe to more than 1000 channels.", 0.1)
    leaves: list[Wanted] = [{"method": "unsubscribe", "subscription": payload} for payload in (TRADES, BBO)]
    assert made.due(0.2) == leaves
    made.refused(f"Already unsubscribed: {json.dumps(TRADES)}", 0.3)
    made.confirmed("unsubscribe", BBO, 0.3)
    assert made.due(60.0) == [{"method": "ping"}]


def test_an_invalid_subscription_is_tried_again_much_later() -> None:
    made = session(TRADES)
    made.due(0.0)
    made.refused(f"Invalid subscription {json.dumps(TRADES)}", 0.1)
    assert subscribes(made.due(60.0)) == []
    assert subscribes(made.due(0.1 + TIMING.invalid_retry_s)) == [TRADES]


def test_error_texts_that_nobody_knows_change_nothing() -> None:
    made = session(TRADES)
    made.due(0.0)
    for text in ("", "too many pending post requests id=1", "Invalid subscription {", "Already subscribed: [1]"):
        made.refused(text, 0.1)
    confirm(made, TRADES, 0.2)


def test_a_silent_sender_pings_long_before_the_venue_closes() -> None:
    made = session(TRADES)
    made.due(0.0)
    confirm(made, TRADES)
    now_s, pings = 0.0, 0
    while now_s < 200.0:
        now_s += 1.0
        made.heard(now_s)
        pings += made.due(now_s) == [{"method": "ping"}]
    assert pings == 200 // TIMING.ping_s


def test_a_connection_that_does_not_answer_a_ping_is_given_up() -> None:
    made = session()
    made.heard(1.0)
    assert made.due(1.0 + TIMING.quiet_s) == [{"method": "ping"}]
    assert made.verdict(10.9 + TIMING.quiet_s) is None
    assert made.verdict(11.0 + TIMING.quiet_s) == "silent for 20 s"


def test_a_pong_saves_the_connection() -> None:
    made = session()
    made.due(TIMING.quiet_s)
    made.heard(TIMING.quiet_s + 1.0)
    assert made.verdict(TIMING.quiet_s + TIMING.pong_s) is None


def test_a_channel_that_always_speaks_is_subscribed_anew_when_it_is_mute() -> None:
    made = session(MIDS, BBO)
    made.due(0.0)
    confirm(made, MIDS)
    confirm(made, BBO)
    made.heard_of("allMids", "", 5.0)
    made.heard(19.0)
    assert made.due(4.9 + MAX_SILENCE_S["allMids"]) == []
    assert made.due(5.0 + MAX_SILENCE_S["allMids"]) == [{"method": "unsubscribe", "subscription": MIDS}]


def test_a_connection_is_renewed_before_the_venue_expires_it() -> None:
    made = session()
    now_s = 0.0
    while made.verdict(now_s) is None:
        now_s += 5.0
        made.heard(now_s)
    assert 2.4 * 3600 < now_s < 2.8 * 3600


PAYLOADS: list[Wanted] = [
    TRADES,
    BBO,
    MIDS,
    USER,
    {"type": "trades", "coin": "ETH"},
    {"type": "candle", "coin": "BTC", "interval": "1m"},
]


REFUSALS = [
    "Cannot track more than 15 total users.",
    "Cannot subscribe to more than 1000 channels.",
    "Cannot send more than 2000 messages per minute.",
]


class Venue(RuleBasedStateMachine):
    """A venue that answers late, refuses, and drops the line; in the end it holds what is wanted."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self.session = Session(TIMING)
        self.connected = False
        self.inbox: list[dict[str, Any]] = []
        self.held: dict[Any, Wanted] = {}
        self.wanted: list[Wanted] = []
        self.sent_s: list[float] = []

    @rule(payloads=st.lists(st.sampled_from(PAYLOADS), unique_by=key_of))
    def want(self, payloads: list[Wanted]) -> None:
        self.wanted = payloads
        self.session.want(payloads)

    @rule(payload=st.sampled_from(PAYLOADS))
    def renew(self, payload: Wanted) -> None:
        self.session.renew(payload)

    @precondition(lambda self: not self.connected)
    @rule()
    def connect(self) -> None:
        self.connected = True
        self.held.clear()
        self.inbox.clear()
        self.session.opened(self.now_s)
        self.sent_s.clear()

    @precondition(lambda self: self.connected)
    @rule()
    def drop(self) -> None:
        self.connected = False
        self.session.closed()

    @rule(seconds=st.sampled_from([0.0, 0.1, 0.5, 3.0, 12.0, 70.0]))
    def wait(self, seconds: float) -> None:
        self.now_s += seconds
        if self.connected:
            self.session.heard(self.now_s)
        self.send()

    @rule(text=st.sampled_from(REFUSALS))
    def refuse(self, text: str) -> None:
        if self.connected and self.inbox and self.inbox[0]["method"] == "subscribe":
            self.inbox.pop(0)
            self.session.refused(text, self.now_s)

    @rule()
    def answer(self) -> None:
        if not self.connected or not self.inbox:
            return
        message = self.inbox.pop(0)
        payload, method = message["subscription"], message["method"]
        key = key_of(payload)
        if (method == "subscribe") == (key in self.held):
            self.session.refused(f"Already {method}d: {json.dumps(payload)}", self.now_s)
            return
        if method == "subscribe":
            self.held[key] = payload
        else:
            del self.held[key]
        self.session.confirmed(method, payload | {"extra": None}, self.now_s)

    def send(self) -> None:
        for message in self.session.due(self.now_s):
            assert self.connected
            if message["method"] != "ping":
                self.inbox.append(message)
                self.sent_s.append(self.now_s)

    @invariant()
    def never_faster_than_the_pace(self) -> None:
        allowed = TIMING.burst
        for count, at_s in enumerate(self.sent_s):
            since_s = at_s - self.sent_s[0]
            assert count + 1 <= allowed + since_s / TIMING.pace_s + 1e-3

    @invariant()
    def the_next_moment_is_never_in_the_past(self) -> None:
        assert self.session.next_at(self.now_s) >= self.now_s

    def teardown(self) -> None:
        if not self.connected:
            self.connect()
        for _ in range(300):
            self.now_s += 1.0
            self.session.heard(self.now_s)
            for dex in ("", str(USER["user"])):
                self.session.heard_of("allMids", dex, self.now_s)
                self.session.heard_of("clearinghouseState", dex, self.now_s)
            self.send()
            while self.inbox:
                self.answer()
        assert set(self.held) == {key_of(payload) for payload in self.wanted}
        assert self.session.unconfirmed == 0


TestVenue = Venue.TestCase
TestVenue.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
