"""The venue without its server: budgets, cadences and untidiness by a clock that is moved by hand."""

import itertools
import json
from decimal import Decimal
from typing import Any

import pytest

from market_scraper.simulator.faults import ClockJump, Delist, Halt
from market_scraper.simulator.lateness import TIDY
from market_scraper.simulator.limits import LimitOptions
from market_scraper.simulator.options import VenueOptions
from market_scraper.simulator.shapes import sz_text
from market_scraper.simulator.venue import Seat, Venue
from tests.fakes import FakeClock

ME = "10.0.0.1"
NOBODY = "0x" + "0" * 40


def small(clock: FakeClock, **changes: Any) -> Venue:
    options: dict[str, Any] = {"traders": 60, "symbols": ("BTC", "ETH"), "history_days": 2, "warm_up_s": 10}
    return Venue(VenueOptions(**(options | changes)), clock)


def sit(venue: Venue, *subscriptions: dict[str, object]) -> Seat:
    assert venue.refuse_socket(ME) is None
    seat = venue.attach(ME)
    for subscription in subscriptions:
        message = {"method": "subscribe", "subscription": subscription}
        seat.session.hear(json.dumps(message), venue.now_s())
    return seat


async def listen(
    venue: Venue, clock: FakeClock, seat: Seat, for_s: float, step_s: float = 0.1
) -> list[tuple[int, Any]]:
    """What a socket hears, as (when, frame)."""
    heard = []
    for _ in range(round(for_s / step_s)):
        await clock.advance(step_s)
        venue.step()
        heard += [(venue.now_ms(), json.loads(outgoing.text)) for outgoing in seat.link.take_due(venue.now_ms())]
    return heard


async def test_the_weight_budget_slides_with_the_venues_clock() -> None:
    clock = FakeClock()
    venue = small(clock, limits=LimitOptions(weight_per_minute=4))
    assert [venue.ask(ME, {"type": "allMids"}).status for _ in range(3)] == [200, 200, 429]
    assert venue.ask("10.0.0.2", {"type": "allMids"}).status == 200
    await clock.advance(59.9)
    assert venue.ask(ME, {"type": "allMids"}).status == 429
    await clock.advance(0.2)
    assert venue.ask(ME, {"type": "allMids"}).status == 200
    assert venue.stats()["answers_429"] == 2


async def test_what_is_not_understood_is_not_billed() -> None:
    venue = small(FakeClock())
    venue.ask(ME, {"type": "nope"})
    venue.ask(ME, {"type": "clearinghouseState", "user": "me"})
    assert venue.stats()["weight_used"] == 0


async def test_items_are_billed_on_top() -> None:
    venue = small(FakeClock())
    venue.ask(ME, {"type": "recentTrades", "coin": "BTC"})
    assert venue.stats()["weight_used"] == 21


async def test_snapshots_are_the_truth_at_a_moment_within_two_seconds_of_their_stamp() -> None:
    clock = FakeClock()
    venue = small(clock, prints_per_s=30)
    market = venue.world.market("BTC")
    assert market is not None
    behind = 0
    for _ in range(150):
        await clock.advance(0.37)
        now_ms = venue.step()
        prints = venue.world.recent_prints("BTC", 5)
        user = prints[-1].buyer
        state = json.loads(venue.ask(f"10.0.0.{_}", {"type": "clearinghouseState", "user": user}).body)
        sizes = {entry["position"]["coin"]: entry["position"]["szi"] for entry in state["assetPositions"]}
        said = Decimal(sizes.get("BTC", "0"))
        assert abs(state["time"] - now_ms) <= 400
        moments = range(state["time"] - 2000, min(state["time"] + 2000, now_ms) + 1, 10)
        possible = {Decimal(sz_text(market, venue.world.size_at(user, "BTC", at_ms))) for at_ms in moments}
        assert said in possible
        behind += said != Decimal(sz_text(market, venue.world.size_at(user, "BTC", now_ms)))
    assert behind > 10  # the lag is really there


async def test_sockets_are_late_each_on_its_own_and_never_more_than_2_seconds() -> None:
    clock = FakeClock()
    venue = small(clock)
    seats = [sit(venue, {"type": "trades", "coin": "BTC"}) for _ in range(2)]
    lateness: list[list[int]] = [[], []]
    for _ in range(1200):
        await clock.advance(0.05)
        now_ms = venue.step()
        for seat, late in zip(seats, lateness, strict=True):
            for outgoing in seat.link.take_due(now_ms):
                frame = json.loads(outgoing.text)
                if frame["channel"] == "trades" and len(frame["data"]) < 30:
                    late.append(now_ms - frame["data"][-1]["time"])
    for late in lateness:
        assert min(late) >= 0
        assert max(late) <= 2000 + 400 + 100  # and a frame may have waited for a second block
        assert max(late) - min(late) > 700
    assert lateness[0] != lateness[1]


async def test_cadences_are_the_venues() -> None:
    clock = FakeClock()
    venue = small(clock, untidy=TIDY)
    user = next(iter(venue.world.sizes_at("BTC", venue.now_ms())))
    seat = sit(
        venue,
        {"type": "allMids"},
        {"type": "clearinghouseState", "user": user},
        {"type": "activeAssetCtx", "coin": "BTC"},
        {"type": "bbo", "coin": "BTC"},
    )
    heard = await listen(venue, clock, seat, 60)
    at_ms: dict[str, list[int]] = {}
    for when, frame in heard:
        at_ms.setdefault(frame["channel"], []).append(when)
    assert 28 <= len(at_ms["allMids"]) <= 32
    assert 12 <= len(at_ms["clearinghouseState"]) <= 14
    assert len(at_ms["activeAssetCtx"]) <= 61
    best = [frame["data"]["bbo"] for _, frame in heard if frame["channel"] == "bbo"]
    assert len(best) > 10
    assert all(a != b for a, b in itertools.pairwise(best))  # only on change


async def test_a_bar_is_sent_while_it_forms_and_once_more_when_it_is_done() -> None:
    clock = FakeClock()
    venue = small(clock, untidy=TIDY, prints_per_s=20)
    seat = sit(venue, {"type": "candle", "coin": "BTC", "interval": "1m"})
    bars = [frame["data"] for _, frame in await listen(venue, clock, seat, 200) if frame["channel"] == "candle"]
    assert [bar["t"] for bar in bars] == sorted(bar["t"] for bar in bars)
    last = {bar["t"]: bar for bar in bars}
    finished = sorted(last)[:-1]
    assert len(finished) >= 3
    asked = {"coin": "BTC", "interval": "1m", "startTime": finished[0], "endTime": finished[-1]}
    assert json.loads(venue.ask(ME, {"type": "candleSnapshot", "req": asked}).body) == [last[t] for t in finished]


async def test_a_newcomer_does_not_cost_others_the_end_of_a_bar() -> None:
    clock = FakeClock(1_700_000_000_000 - 1_700_000_000_000 % 60_000 + 59_000)
    venue = small(clock, untidy=TIDY, prints_per_s=20)
    wanted: dict[str, object] = {"type": "candle", "coin": "BTC", "interval": "1m"}
    seat = sit(venue, wanted)
    heard = await listen(venue, clock, seat, 0.9)
    await clock.advance(0.5)
    venue.world.advance(venue.now_ms())  # a new bar has begun, and nothing of it was sent yet
    sit(venue, wanted)
    heard += await listen(venue, clock, seat, 5)
    bars = {frame["data"]["t"]: frame["data"] for _, frame in heard if frame["channel"] == "candle"}
    asked = {"coin": "BTC", "interval": "1m", "startTime": min(bars), "endTime": min(bars)}
    assert json.loads(venue.ask(ME, {"type": "candleSnapshot", "req": asked}).body) == [bars[min(bars)]]


async def test_fills_of_a_watched_user_come_as_they_happen_and_chain_with_the_snapshot() -> None:
    clock = FakeClock()
    venue = small(clock, untidy=TIDY, prints_per_s=30)
    prints = venue.world.recent_prints("BTC", 100)
    users = [user for fact in prints for user in (fact.buyer, fact.seller)]
    busiest = max(set(users), key=users.count)
    seat = sit(venue, {"type": "userFills", "user": busiest})
    frames = [frame["data"] for _, frame in await listen(venue, clock, seat, 60) if frame["channel"] == "userFills"]
    assert frames[0]["isSnapshot"] is True
    assert all("isSnapshot" not in frame for frame in frames[1:])
    assert len(frames) > 5
    heard = [(fill["time"], fill["tid"]) for frame in frames for fill in frame["fills"]]
    told = venue.world.newest_fills(busiest, 2000, twap=False)
    assert heard == [(fact.time_ms, fact.tid) for fact in told][-len(heard) :]


async def test_the_same_seed_gives_the_same_frames() -> None:
    async def run() -> list[tuple[int, Any]]:
        clock = FakeClock()
        venue = small(clock, seed=5)
        seat = sit(venue, {"type": "trades", "coin": "BTC"}, {"type": "allMids"})
        return await listen(venue, clock, seat, 10)

    assert await run() == await run()


@pytest.mark.parametrize("fault", [Delist(coin="ETH"), Halt(coin="ETH")])
async def test_a_settled_coin_leaves_no_positions_and_no_open_interest(fault: Delist | Halt) -> None:
    clock = FakeClock()
    venue = small(clock)
    assert venue.world.sizes_at("ETH", venue.now_ms())
    venue.request_faults((fault,))
    await clock.advance(1)
    now_ms = venue.step()
    assert venue.world.sizes_at("ETH", now_ms) == {}
    await clock.advance(2)  # every node has it by now
    meta, contexts = json.loads(venue.ask(ME, {"type": "metaAndAssetCtxs"}).body)
    place = [asset["name"] for asset in meta["universe"]].index("ETH")
    assert contexts[place]["openInterest"] == "0.0"
    assert meta["universe"][place].get("isDelisted", False) is isinstance(fault, Delist)


async def test_a_clock_jump_moves_stamps_and_nothing_else() -> None:
    clock = FakeClock()
    venue = small(clock, untidy=TIDY)
    venue.request_faults((ClockJump(by_ms=9_000, for_s=5),))
    status = json.loads(venue.ask(ME, {"type": "exchangeStatus"}).body)
    assert status == {"time": venue.now_ms() + 9_000, "specialStatuses": None}
    await clock.advance(6)
    assert json.loads(venue.ask(ME, {"type": "exchangeStatus"}).body)["time"] == venue.now_ms()


async def test_time_never_falls_though_the_clock_does() -> None:
    clock = FakeClock()
    venue = small(clock)
    before_ms = venue.step()
    clock.jump_ms(-5_000)
    assert venue.step() == before_ms


async def test_after_a_suspend_the_world_catches_up_in_steps() -> None:
    clock = FakeClock()
    venue = small(clock)
    start_ms = venue.step()
    clock.jump_ms(150_000)
    assert [venue.step() - start_ms for _ in range(4)] == [60_000, 120_000, 150_000, 150_000]


REQUESTS: list[dict[str, object]] = [
    {"type": "meta"},
    {"type": "meta", "dex": "xyz"},
    {"type": "metaAndAssetCtxs"},
    {"type": "metaAndAssetCtxs", "dex": "xyz"},
    {"type": "allPerpMetas"},
    {"type": "allMids"},
    {"type": "allMids", "dex": "xyz"},
    {"type": "spotMeta"},
    {"type": "recentTrades", "coin": "BTC"},
    {"type": "recentTrades", "coin": "LOOM"},
    {"type": "perpDexs"},
    {"type": "exchangeStatus"},
    {"type": "userFillsByTime", "startTime": 0},
    {"type": "userFillsByTime", "startTime": 0, "reversed": True},
    {"type": "userFills", "aggregateByTime": True},
    {"type": "userTwapSliceFills"},
    {"type": "userTwapSliceFillsByTime", "startTime": 0},
    {"type": "userRateLimit"},
    {"type": "userRole"},
    {"type": "portfolio"},
    {"type": "subAccounts"},
    {"type": "vaultDetails"},
    {"type": "clearinghouseState"},
    {"type": "clearinghouseState", "dex": "xyz"},
]


@pytest.fixture(scope="module")
def big() -> Venue:
    return Venue(VenueOptions(traders=200, history_days=2, warm_up_s=60), FakeClock())


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: "-".join(str(value) for value in request.values()))
def test_every_request_type_is_answered_for_every_kind_of_account(big: Venue, request_: dict[str, object]) -> None:
    users = {person.kind: person.user for person in big.world.people()}
    for place, user in enumerate([*users.values(), NOBODY]):
        payload = request_ | {"user": user, "vaultAddress": user}
        answer = big.ask(f"10.7.{place}.{REQUESTS.index(request_)}", payload)
        assert answer.status == 200, payload
        json.loads(answer.body)


def test_aggregated_fills_keep_the_sums(big: Venue) -> None:
    prints = [fact for fact in big.world.recent_prints("BTC", 500) if fact.taker_buys]
    taker = max((fact.buyer for fact in prints), key=[fact.buyer for fact in prints].count)
    plain, joined = (
        json.loads(big.ask("10.8.0.1", {"type": "userFills", "user": taker, "aggregateByTime": flag}).body)
        for flag in (False, True)
    )
    assert len(joined) < len(plain)
    for key in ("sz", "fee", "closedPnl"):
        assert sum(Decimal(fill[key]) for fill in plain) == sum(Decimal(fill[key]) for fill in joined)


def test_masters_and_vaults_have_what_the_venue_tells_of_them(big: Venue) -> None:
    people = big.world.people()
    master = next(person.master for person in people if person.master is not None)
    subs = json.loads(big.ask("10.8.0.2", {"type": "subAccounts", "user": master}).body)
    assert {"name", "subAccountUser", "master", "clearinghouseState", "spotState"} == set(subs[0])
    assert subs[0]["master"] == master
    role = json.loads(big.ask("10.8.0.3", {"type": "userRole", "user": subs[0]["subAccountUser"]}).body)
    assert role == {"role": "subAccount", "data": {"master": master}}
    vault = next(person.user for person in people if person.kind == "vault")
    details = json.loads(big.ask("10.8.0.4", {"type": "vaultDetails", "vaultAddress": vault}).body)
    assert details["vaultAddress"] == vault
    assert details["relationship"]["type"] in {"normal", "parent"}
    assert [name for name, _ in details["portfolio"]][:4] == ["day", "week", "month", "allTime"]


async def test_the_stats_say_which_sockets_carry_the_tape() -> None:
    venue = small(FakeClock())
    sit(venue, {"type": "allMids"})
    tape = sit(venue, {"type": "trades", "coin": "BTC"}, {"type": "trades", "coin": "ETH"})
    assert venue.stats()["tape_sockets"] == [tape.link.index]
    venue.detach(tape)
    assert venue.stats()["tape_sockets"] == []
