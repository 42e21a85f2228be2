"""Structural comparison with every recorded frame and answer: same keys, same JSON types, same number format.

What differs is listed here with its reason; an unlisted difference fails.
"""

import gzip
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml

from market_scraper.simulator import shapes
from market_scraper.simulator.options import VenueOptions
from market_scraper.simulator.venue import Venue
from market_scraper.simulator.world.facts import Kind
from tests.fakes import FakeClock

NUMBER = re.compile(r"-?(0|[1-9]\d*)\.(\d*[1-9]|0)")
HASH = re.compile(r"0x[0-9a-f]{64}")
ADDRESS = re.compile(r"0x[0-9a-f]{40}")
CLOID = re.compile(r"0x[0-9a-f]{32}")

NOT_SERVED = {
    "delegatorHistory": "staking; nothing here asks for it",
    "extraAgents": "agents sign orders, and nothing can be traded here",
    "frontendOpenOrders": "resting orders are not modelled",
    "fundingHistory": "funding is not part of what is collected",
    "l2Book": "the book is not modelled beyond its best prices",
    "userFunding": "funding never changes a size",
    "userNonFundingLedgerUpdates": "transfers never change a size",
    "userVaultEquities": "a follower's share is no position",
}

Shape = dict[str, set[str]]


def kind_of(value: object) -> str:
    """The JSON type; a string by what it spells."""
    if value is None:
        return "null"
    if isinstance(value, str):
        for name, pattern in (("number", NUMBER), ("hash", HASH), ("address", ADDRESS), ("cloid", CLOID)):
            if pattern.fullmatch(value):
                return name
        return "text"
    return type(value).__name__


def shape_of(values: Iterable[object], maps: frozenset[str] = frozenset()) -> Shape:
    """Paths and the types seen there, over all values; keys of the paths in `maps` are data, not structure."""
    shape: Shape = {}

    def visit(path: str, value: object) -> None:
        shape.setdefault(path, set()).add(kind_of(value))
        if isinstance(value, dict):
            for key, inner in value.items():
                visit(f"{path}.{'*' if path in maps else key}", inner)
        elif isinstance(value, list):
            pair = len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], dict)
            for place, inner in enumerate(value):
                visit(f"{path}[{place}]" if pair else f"{path}[]", inner)

    for value in values:
        visit("$", value)
    return shape


def assert_same(
    ours: Shape,
    recorded: Shape,
    *,
    only_ours: dict[str, str] | None = None,
    only_recorded: dict[str, str] | None = None,
    also: dict[str, set[str]] | None = None,
) -> None:
    """Compare; `also` = types of ours beyond the recorded ones. Listed paths cover what lies below them."""

    def unlisted(paths: set[str], listed: Iterable[str]) -> set[str]:
        tops = tuple(listed)
        return {
            path for path in paths if not any(path == top or path.startswith((top + ".", top + "[")) for top in tops)
        }

    assert unlisted(recorded.keys() - ours.keys(), only_recorded or {}) == set(), "recorded, but not ours"
    assert unlisted(ours.keys() - recorded.keys(), only_ours or {}) == set(), "ours, but never recorded"
    for path in ours.keys() & recorded.keys():
        extra = ours[path] - recorded[path] - (also or {}).get(path, set())
        assert not extra, f"{path} is {extra} here, recorded {recorded[path]}"


@pytest.fixture(scope="module")
def venue() -> Venue:
    return Venue(VenueOptions(traders=300, history_days=10, warm_up_s=120), FakeClock())


def ask(venue: Venue, **payload: object) -> Any:
    answer = venue.ask(f"10.0.0.{len(payload)}", payload)
    assert answer.status == 200, (payload, answer)
    return json.loads(answer.body)


def busiest(venue: Venue, n: int = 40) -> list[str]:
    """Users who have traded lately."""
    prints = [fact for coin in ("BTC", "HYPE", "ETH") for fact in venue.world.recent_prints(coin, 500)]
    return list(dict.fromkeys(user for fact in prints for user in (fact.buyer, fact.seller)))[:n]


def interactions(recordings: Path) -> list[tuple[Any, Any]]:
    """All recorded (request, answer) pairs of the SDK's cassettes; an answer that is no JSON stays text."""
    pairs = []
    for file in sorted((recordings / "hl_raw_api" / "sdk_cassettes").iterdir()):
        text = gzip.decompress(file.read_bytes()).decode() if file.suffix == ".gz" else file.read_text(encoding="utf-8")
        pairs += [
            (json.loads(found["request"]["body"]), json.loads(found["response"]["body"]["string"]))
            for found in yaml.safe_load(text)["interactions"]
        ]
    return pairs


def cassettes(recordings: Path, kind: str) -> list[Any]:
    """The recorded answers to requests of one type."""
    return [answer for request, answer in interactions(recordings) if request["type"] == kind]


def test_every_recorded_request_type_is_served_or_said_not_to_be(recordings: Path, venue: Venue) -> None:
    recorded = {request["type"] for request, _ in interactions(recordings)}
    served = {
        "allMids",
        "candleSnapshot",
        "clearinghouseState",
        "meta",
        "spotMeta",
        "userFills",
        "userRateLimit",
        "userRole",
    }
    assert recorded <= served | NOT_SERVED.keys()
    for kind in NOT_SERVED:
        assert venue.ask("10.0.1.1", {"type": kind, "user": "0x" + "0" * 40, "coin": "BTC"}).status == 422


def test_trades_look_as_recorded(recordings: Path, venue: Venue) -> None:
    file = recordings / "hl_raw_api" / "trades_with_users_60.jsonl"
    recorded = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert_same(shape_of(ask(venue, type="recentTrades", coin="BTC")), shape_of(recorded))
    market = venue.world.market("ETH")
    assert market is not None
    ours = [shapes.trade(market, fact) for fact in venue.world.recent_prints("ETH", 200)]
    assert_same(shape_of(ours), shape_of(recorded))
    assert {len(trade["users"]) for trade in recorded} == {2}
    for trade in (*recorded, *(json.loads(json.dumps(ours)))):
        assert len(trade["px"].replace(".0", "").replace(".", "").strip("0")) <= 5
        assert len(trade["sz"].split(".")[1]) <= 5


def test_user_fills_frames_look_as_recorded(recordings: Path, venue: Venue) -> None:
    messages = json.loads((recordings / "hl_raw_api" / "ws_messages.json").read_text(encoding="utf-8"))
    recorded = [message for message in messages if message["channel"] == "userFills"]
    markets = {market.coin: market for market in venue.world.markets}
    ours: list[object] = []
    for user in busiest(venue):
        fills = shapes.fills(markets, venue.world.newest_fills(user, 30, twap=False), aggregate=False)
        ours.append({"channel": "userFills", "data": {"user": user, "fills": fills, "isSnapshot": True}})
        ours.append({"channel": "userFills", "data": {"user": user, "fills": fills}})
    assert_same(
        shape_of(ours),
        shape_of(recorded),
        only_recorded={"$.data.fills[].cloid": "optional: only of accounts that set it"},
        only_ours={"$.data.fills[].liquidation": "optional: only of liquidations (facts 2.4)"},
    )


def test_control_frames_look_as_recorded(recordings: Path, venue: Venue) -> None:
    messages = json.loads((recordings / "hl_raw_api" / "ws_messages.json").read_text(encoding="utf-8"))
    assert {message["channel"] for message in messages} == {"subscriptionResponse", "userFills", "error", "pong"}
    assert venue.refuse_socket("10.0.2.1") is None
    seat = venue.attach("10.0.2.1")
    recorded = {message["channel"]: message for message in reversed(messages)}  # the first of each
    user = recorded["subscriptionResponse"]["data"]["subscription"]["user"]
    seat.session.hear(json.dumps({"method": "ping"}), venue.now_s())
    for n in range(11):
        wanted = {"type": "userFills", "user": user if n == 0 else f"0x{n:040x}"}
        seat.session.hear(json.dumps({"method": "subscribe", "subscription": wanted}), venue.now_s())
    ours = [json.loads(outgoing.text) for outgoing in seat.link.take_due(10**15)]
    echo = next(frame for frame in ours if frame["channel"] == "subscriptionResponse")
    assert echo == recorded["subscriptionResponse"]
    assert next(frame for frame in ours if frame["channel"] == "pong") == recorded["pong"]
    refusal = next(frame for frame in ours if frame["channel"] == "error")
    assert refusal == {"channel": "error", "data": recorded["error"]["data"].replace("15", "10")}
    venue.detach(seat)


def test_account_states_look_as_recorded(recordings: Path, venue: Venue) -> None:
    raw = recordings / "hl_raw_api"
    recorded = [json.loads((raw / f"state_{name}.json").read_text(encoding="utf-8")) for name in ("flat", "long")]
    ours = [venue.desk.account(user, "", venue.now_ms()) for user in (*busiest(venue), "0x" + "0" * 40)]
    assert any(state["assetPositions"] for state in ours)
    where = "$.assetPositions[].position"
    assert_same(
        shape_of(ours),
        shape_of(recorded),
        only_ours={f"{where}.leverage.rawUsd": "isolated positions have it (facts 2.3); the two recorded are cross"},
        also={f"{where}.liquidationPx": {"number"}, f"{where}.returnOnEquity": {"number"}},
    )
    old = cassettes(recordings, "clearinghouseState")
    assert_same(
        shape_of(ours),
        shape_of(old),
        only_recorded={f"{where}.maxTradeSzs": "of 2023; gone from the recordings of 2026"},
        only_ours={
            f"{where}.cumFunding": "newer than 2023",
            f"{where}.maxLeverage": "newer than 2023",
            f"{where}.leverage.rawUsd": "isolated positions have it",
            "$.crossMaintenanceMarginUsed": "newer than 2023",
            "$.time": "newer than 2023",
        },
    )


def test_the_leaderboard_looks_as_recorded(recordings: Path, venue: Venue) -> None:
    file = recordings / "hl_raw_api" / "leaderboard_12_rows.json"
    recorded = json.loads(file.read_text(encoding="utf-8"))
    ours = {"leaderboardRows": [shapes.leader_row(row) for row in venue.world.leaderboard(venue.now_ms())]}
    assert_same(shape_of([ours]), shape_of([recorded]), also={"$.leaderboardRows[].displayName": {"text", "null"}})
    for row in ours["leaderboardRows"]:
        windows: Any = row["windowPerformances"]
        assert [name for name, _ in windows] == ["day", "week", "month", "allTime"]


def test_candles_look_as_recorded(recordings: Path, venue: Venue) -> None:
    now_ms = venue.now_ms()
    asked = {"coin": "BTC", "interval": "1h", "startTime": now_ms - 5 * 86_400_000, "endTime": now_ms}
    ours = ask(venue, type="candleSnapshot", req=asked)
    assert_same(shape_of([ours]), shape_of(cassettes(recordings, "candleSnapshot")))
    assert all(bar["T"] - bar["t"] == 3_599_999 for bar in ours)


def test_what_a_bad_coin_gives_is_as_recorded(recordings: Path, venue: Venue) -> None:
    recorded = json.loads((recordings / "hl_raw_api" / "candle_snapshot_error.json").read_text(encoding="utf-8"))
    asked = {"coin": "NOPE", "interval": "1h", "startTime": 0}
    answer = venue.ask("10.0.3.1", {"type": "candleSnapshot", "req": asked})
    assert {"status": answer.status, "body": answer.body.decode()} == recorded


def test_markets_mids_roles_and_limits_look_as_recorded(recordings: Path, venue: Venue) -> None:
    assert_same(
        shape_of([ask(venue, type="meta")]),
        shape_of(cassettes(recordings, "meta")),
        only_ours={
            "$.universe[].marginTableId": "newer than 2023 (facts 2.1)",
            "$.universe[].isDelisted": "newer than 2023, only of delisted ones",
            "$.marginTables": "newer than 2023",
            "$.collateralToken": "newer than 2023",
        },
        only_recorded={"$.universe[].onlyIsolated": "deprecated; no such market here"},
    )
    mids = frozenset({"$"})
    assert_same(shape_of([ask(venue, type="allMids")], mids), shape_of(cassettes(recordings, "allMids"), mids))
    people = {person.user: person for person in venue.world.people()}
    user = next(
        user for user in busiest(venue) if people[user].kind is Kind.MARKET_MAKER
    )  # neither vault nor sub-account
    assert_same(
        shape_of([ask(venue, type="userRateLimit", user=user)]),
        shape_of(cassettes(recordings, "userRateLimit")),
        only_ours={"$.nRequestsSurplus": "newer than the recording (facts 2.3)"},
    )
    assert_same(shape_of([ask(venue, type="userRole", user=user)]), shape_of(cassettes(recordings, "userRole")))


def test_user_fills_look_as_recorded(recordings: Path, venue: Venue) -> None:
    ours = [ask(venue, type="userFills", user=user) for user in busiest(venue, 5)]
    assert_same(
        shape_of(ours),
        shape_of(cassettes(recordings, "userFills")),
        only_ours={
            "$[].tid": "newer than 2023",
            "$[].feeToken": "newer than 2023",
            "$[].twapId": "newer than 2023",
            "$[].liquidation": "optional",
        },
        only_recorded={"$[].liquidationMarkPx": "of 2023", "$[].cloid": "optional"},
    )
    times = [fill["time"] for fill in ours[0]]
    assert times == sorted(times, reverse=True)
