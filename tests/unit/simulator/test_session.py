"""A socket's protocol: normalised echoes, the exact error texts, and limits at exactly their numbers."""

import json
from typing import Any

import pytest

from market_scraper.simulator.lateness import TIDY
from market_scraper.simulator.limits import LimitOptions
from market_scraper.simulator.options import VenueOptions
from market_scraper.simulator.venue import Seat, Venue
from tests.fakes import FakeClock

USER = "0x" + "ab" * 20
ME = "10.0.0.1"


class Desk:
    """A venue whose sockets are driven by hand."""

    def __init__(self, limits: LimitOptions | None = None) -> None:
        self.clock = FakeClock()
        options = VenueOptions(
            traders=60,
            symbols=("BTC", "ETH"),
            untidy=TIDY,
            limits=limits or LimitOptions(),
            history_days=2,
            warm_up_s=5,
        )
        self.venue = Venue(options, self.clock)
        self.clients = 0

    def sit(self, ip: str | None = None) -> Seat:
        """Open a socket; without an address it is a client of its own."""
        self.clients += 1
        ip = ip or f"10.1.{self.clients // 256}.{self.clients % 256}"
        assert self.venue.refuse_socket(ip) is None
        return self.venue.attach(ip)

    def say(self, seat: Seat, message: object) -> list[Any]:
        """Send a message and read what comes back at once."""
        text = message if isinstance(message, str) else json.dumps(message)
        seat.session.hear(text, self.venue.now_s())
        return self.read(seat)

    def read(self, seat: Seat) -> list[Any]:
        due = seat.link.take_due(self.venue.now_ms())
        for outgoing in due:
            if outgoing.on_sent is not None:
                outgoing.on_sent()
        return [json.loads(outgoing.text) for outgoing in due]

    def subscribe(self, seat: Seat, **subscription: object) -> list[Any]:
        return self.say(seat, {"method": "subscribe", "subscription": subscription})


@pytest.fixture(scope="module")
def desk() -> Desk:
    return Desk()


def error(text: str) -> dict[str, str]:
    return {"channel": "error", "data": text}


def test_ping_is_answered_by_a_pong_without_data(desk: Desk) -> None:
    assert desk.say(desk.sit(), {"method": "ping"}) == [{"channel": "pong"}]


def test_the_echo_is_normalised(desk: Desk) -> None:
    seat = desk.sit()
    echo, *_ = desk.subscribe(seat, type="userFills", user=USER.upper().replace("X", "x"), junk=1)
    assert echo == {
        "channel": "subscriptionResponse",
        "data": {
            "method": "subscribe",
            "subscription": {"type": "userFills", "user": USER, "aggregateByTime": False},
        },
    }
    echo, *_ = desk.subscribe(seat, type="trades", coin="BTC", user=USER)
    assert echo["data"]["subscription"] == {"type": "trades", "coin": "BTC"}
    echo, *_ = desk.subscribe(seat, type="clearinghouseState", user=USER)
    assert echo["data"]["subscription"] == {"type": "clearinghouseState", "user": USER, "dex": ""}


def test_subscribing_twice_and_unsubscribing_twice_are_refused_with_the_venues_words(desk: Desk) -> None:
    seat = desk.sit()
    desk.subscribe(seat, type="bbo", coin="BTC")
    assert desk.subscribe(seat, type="bbo", coin="BTC") == [error('Already subscribed: {"type":"bbo","coin":"BTC"}')]
    leave = {"method": "unsubscribe", "subscription": {"type": "bbo", "coin": "BTC"}}
    (gone,) = desk.say(seat, leave)
    assert gone["data"]["method"] == "unsubscribe"
    assert desk.say(seat, leave) == [error('Already unsubscribed: {"type":"bbo","coin":"BTC"}')]


@pytest.mark.parametrize(
    "subscription",
    [
        {"type": "trades", "coin": "NOPE"},
        {"type": "trades"},
        {"type": "trades", "coin": ["BTC", "ETH"]},
        {"type": "candle", "coin": "BTC", "interval": "2m"},
        {"type": "userFills", "user": "0x12"},
        {"type": "clearinghouseState", "user": USER, "dex": "nodex"},
        {"type": "webData2", "user": USER},
        {"type": ["trades"]},
    ],
)
def test_what_cannot_be_subscribed_to_is_refused_with_its_own_words(desk: Desk, subscription: object) -> None:
    seat = desk.sit()
    (answer,) = desk.say(seat, {"method": "subscribe", "subscription": subscription})
    assert answer["channel"] == "error"
    text = answer["data"]
    assert text.startswith("Invalid subscription {")
    assert json.loads(text.removeprefix("Invalid subscription ")) == subscription


@pytest.mark.parametrize("raw", ["hello", "{", '{"method":"dance"}', "[]", '"ping"', "[" * 5000])
def test_what_is_no_request_is_said_back(desk: Desk, raw: str) -> None:
    seat = desk.sit()
    assert desk.say(seat, raw) == [error(f"Error parsing JSON into valid websocket request: {raw}")]


def test_a_trades_subscription_brings_the_last_30_prints_and_then_only_news(desk: Desk) -> None:
    desk.venue.step()
    last = desk.venue.world.recent_prints("BTC", 30)
    seat = desk.sit()
    _, replay = desk.subscribe(seat, type="trades", coin="BTC")
    assert [trade["tid"] for trade in replay["data"]] == [fact.tid for fact in last]
    assert set(replay["data"][0]) == {"coin", "side", "px", "sz", "time", "hash", "tid", "users"}


async def test_live_frames_bring_whole_blocks_of_one_coin_in_order() -> None:
    desk = Desk()
    seat = desk.sit()
    desk.subscribe(seat, type="trades", coin="BTC")
    desk.subscribe(seat, type="trades", coin="ETH")
    frames = []
    for _ in range(300):
        await desk.clock.advance(0.1)
        desk.venue.step()
        frames += desk.read(seat)
    newest: dict[str, int] = {}
    for frame in frames:
        coins = {trade["coin"] for trade in frame["data"]}
        times = [trade["time"] for trade in frame["data"]]
        assert len(coins) == 1
        assert times == sorted(times)
        (coin,) = coins
        assert times[0] > newest.get(coin, 0)
        newest[coin] = times[-1]
    assert newest.keys() == {"BTC", "ETH"}


async def test_a_subscription_within_a_block_gets_a_cut_replay_and_then_the_block_whole() -> None:
    clock = FakeClock()
    venue = Venue(VenueOptions(traders=60, symbols=("BTC",), history_days=2, prints_per_s=60), clock)
    cut = 0
    for _ in range(200):
        await clock.advance(0.3)
        venue.step()
        frames = venue.feed._replay("BTC", venue.now_ms())
        replay = json.loads(frames[0].text)["data"]
        assert len(replay) == 30
        prints = venue.world.recent_prints("BTC", 500)
        newest = [fact.tid for fact in prints if fact.time_ms == prints[-1].time_ms]
        if len(frames) == 2:
            whole = [trade["tid"] for trade in json.loads(frames[1].text)["data"]]
            assert whole == newest
            cut += replay[-1]["tid"] != newest[-1]
    assert cut > 5


@pytest.mark.parametrize("limit", [10, 15])
def test_the_user_too_many_is_refused_without_an_echo(limit: int) -> None:
    desk = Desk(LimitOptions(users=limit))
    seats = [desk.sit(ME), desk.sit(ME)]
    for n in range(limit):
        echo, *_ = desk.subscribe(seats[n % 2], type="userFills", user=f"0x{n:040x}")
        assert echo["channel"] == "subscriptionResponse"
    text = f"Cannot track more than {limit} total users."
    assert desk.subscribe(seats[0], type="userFills", user=USER) == [error(text)]
    echo, *_ = desk.subscribe(seats[1], type="clearinghouseState", user=f"0x{0:040x}")
    assert echo["channel"] == "subscriptionResponse"  # the same user again is free
    other = desk.sit("10.9.9.9")
    assert desk.subscribe(other, type="userFills", user=USER)[0]["channel"] == "subscriptionResponse"


async def test_a_closed_sockets_users_are_free_after_two_seconds() -> None:
    desk = Desk(LimitOptions(users=1))
    seat, other = desk.sit(ME), desk.sit(ME)
    desk.subscribe(seat, type="userFills", user=USER)
    desk.venue.detach(seat)
    await desk.clock.advance(1.9)
    refused = {"type": "userFills", "user": f"0x{7:040x}"}
    assert desk.subscribe(other, **refused)[0]["channel"] == "error"
    await desk.clock.advance(0.2)
    assert desk.subscribe(other, **refused)[0]["channel"] == "subscriptionResponse"


def test_the_1001st_subscription_is_refused_over_all_sockets() -> None:
    desk = Desk(LimitOptions(users=2000))
    seats = [desk.sit(ME), desk.sit(ME)]
    for n in range(1000):
        echo, *_ = desk.subscribe(seats[n % 2], type="userFills", user=f"0x{n:040x}")
        assert echo["channel"] == "subscriptionResponse"
    said = desk.subscribe(seats[0], type="bbo", coin="BTC")
    assert said == [error("Cannot subscribe to more than 1000 channels.")]
    desk.venue.detach(seats[1])
    assert desk.subscribe(seats[0], type="bbo", coin="BTC")[0]["channel"] == "subscriptionResponse"


async def test_the_2001st_message_of_a_minute_is_refused() -> None:
    desk = Desk()
    seats = [desk.sit(ME), desk.sit(ME)]
    for n in range(2000):
        assert desk.say(seats[n % 2], {"method": "ping"}) == [{"channel": "pong"}]
    text = "Cannot send more than 2000 messages per minute."
    assert desk.say(seats[0], {"method": "ping"}) == [error(text)]
    await desk.clock.advance(60)
    assert desk.say(seats[0], {"method": "ping"}) == [{"channel": "pong"}]


def test_the_101st_inflight_post_is_refused_and_answered_ones_make_room() -> None:
    desk = Desk()
    seat = desk.sit(ME)
    post = {"method": "post", "id": 0, "request": {"type": "info", "payload": {"type": "exchangeStatus"}}}
    for n in range(100):
        seat.session.hear(json.dumps(post | {"id": n}), desk.venue.now_s())
    seat.session.hear(json.dumps(post | {"id": 1234}), desk.venue.now_s())
    *answers, refusal = desk.read(seat)
    assert refusal == error("too many pending post requests id=1234")
    assert [answer["data"]["id"] for answer in answers] == list(range(100))
    (answer,) = desk.say(seat, post)
    assert answer["data"]["response"]["payload"]["type"] == "exchangeStatus"
    assert set(answer["data"]["response"]["payload"]["data"]) == {"time", "specialStatuses"}


def test_a_post_spends_the_same_weight_and_mirrors_http_errors() -> None:
    desk = Desk(LimitOptions(weight_per_minute=20))
    seat = desk.sit(ME)
    post = {"method": "post", "id": 1, "request": {"type": "info", "payload": {"type": "meta"}}}
    (answer,) = desk.say(seat, post)
    assert answer["data"]["response"]["type"] == "info"
    (answer,) = desk.say(seat, post)
    assert answer["data"]["response"] == {"type": "error", "payload": "429: null"}
    assert desk.venue.stats()["answers_429"] == 1


def test_the_11th_socket_and_the_31st_connection_of_a_minute_are_turned_away() -> None:
    desk = Desk()
    seats = [desk.sit(ME) for _ in range(10)]
    assert desk.venue.refuse_socket(ME) == "Cannot open more than 10 connections."
    for _ in range(19):  # 11 attempts so far
        desk.venue.detach(seats.pop())
        seats.append(desk.sit(ME))
    desk.venue.detach(seats.pop())
    assert desk.venue.refuse_socket(ME) is not None
    assert desk.venue.refuse_socket("10.0.0.2") is None
