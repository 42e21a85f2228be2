"""The ten user slots."""

from market_scraper.collectors.user_slots import UserSlots
from market_scraper.domain.positions import AccountSnapshot
from market_scraper.ports.sources import AccountHeard, SocketOpened
from tests.fakes import FakeSockets
from tests.unit.collectors.parts import ANN, BOB, CAT, T0, answer


async def test_each_trader_takes_one_slot_on_all_dexes() -> None:
    sockets = FakeSockets()
    async with UserSlots(sockets, slots=2, on_snapshot=lambda _: None) as slots:
        slots.give([ANN, BOB, CAT], ["", "xyz"])
        assert sockets["users"].wanted == [
            {"type": "clearinghouseState", "user": ANN},
            {"type": "clearinghouseState", "user": ANN, "dex": "xyz"},
            {"type": "clearinghouseState", "user": BOB},
            {"type": "clearinghouseState", "user": BOB, "dex": "xyz"},
        ]
        assert slots.traders == (ANN, BOB)


async def test_the_same_traders_in_another_order_change_nothing_and_a_new_dex_does() -> None:
    sockets = FakeSockets()
    async with UserSlots(sockets, slots=2, on_snapshot=lambda _: None) as slots:
        slots.give([ANN, BOB], [""])
        sockets["users"].wanted.clear()
        slots.give([BOB, ANN, CAT], [""])
        assert sockets["users"].wanted == []
        slots.give([BOB, ANN], ["", "xyz"])
        assert len(sockets["users"].wanted) == 4


async def test_what_is_pushed_is_handed_on() -> None:
    sockets, heard = FakeSockets(), list[AccountSnapshot]()
    async with UserSlots(sockets, slots=2, on_snapshot=heard.append):
        sockets["users"].say(SocketOpened())
        sockets["users"].say(AccountHeard(answer(ANN, T0, 5)))
    assert heard == [answer(ANN, T0, 5)]


async def test_without_slots_no_socket_is_opened() -> None:
    sockets = FakeSockets()
    async with UserSlots(sockets, slots=0, on_snapshot=lambda _: None) as slots:
        slots.give([ANN], [""])
        assert sockets.open_now == {}
