"""What a reader has at hand while its partitions come and go."""

from collections.abc import Sequence

from market_scraper.event_bus.group import Counters
from market_scraper.event_bus.memory import forget
from market_scraper.event_bus.redis.inbox import RedisInbox
from market_scraper.ports.bus import Envelope
from tests.contracts.bus import mark_changed, numbers_of


def inbox(acknowledged: list[Envelope] | None = None) -> RedisInbox:
    def keep(envelopes: Sequence[Envelope]) -> None:
        if acknowledged is not None:
            acknowledged.extend(envelopes)

    return RedisInbox(counters=Counters(), dead_letter=forget, acknowledge=keep, low=0)


def events(key: str, *numbers: int) -> list[Envelope]:
    return [Envelope(number, key, mark_changed(key, number)) for number in numbers]


async def test_what_is_put_back_after_its_key_moved_is_not_handed_out_again() -> None:
    """The new owner has it, and may be far beyond it."""
    box = inbox()
    box.put(events("A", 1, 2))
    taken = await box.take(1)
    box.drop("A")
    box.put(events("B", 3))
    box.retry(taken)
    assert numbers_of(await box.take()) == [3]
    box.own("A")
    box.put(events("A", 4))
    assert numbers_of(await box.take()) == [4]


async def test_an_event_of_a_moved_key_can_still_be_acknowledged() -> None:
    acknowledged: list[Envelope] = []
    box = inbox(acknowledged)
    box.put(events("A", 1))
    taken = await box.take()
    box.drop("A")
    box.ack(taken)
    assert numbers_of(acknowledged) == [1]


async def test_what_is_set_aside_comes_back_in_its_place() -> None:
    box = inbox()
    box.put([*events("A", 1, 4), *events("B", 2, 3)])
    box.set_aside("A")
    box.put(events("A", 5))
    assert numbers_of(await box.take(1)) == [2]
    box.bring_back("A")
    assert numbers_of(await box.take()) == [1, 3, 4, 5]


async def test_the_owner_hears_when_nothing_of_a_key_is_under_way_any_more() -> None:
    idle: list[str] = []
    box = inbox()
    box.on_idle = idle.append
    box.put([*events("A", 1, 2), *events("B", 3)])
    one, two, three = await box.take()
    box.ack([one])
    assert (idle, box.is_idle("A")) == ([], False)
    box.retry([two])
    box.ack([three])
    assert idle == ["A", "B"]
    assert box.is_idle("A")
