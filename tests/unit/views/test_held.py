from market_scraper.domain.events import Event
from market_scraper.ports.bus import Envelope
from market_scraper.views.held import Held
from tests.facts import BTC, ETH, advanced, changed, mark, position


def held(*events: Event) -> Held:
    kept = Held()
    kept.add([Envelope(seq, "key", event) for seq, event in enumerate(events, 1)])
    return kept


def test_of_each_position_the_newest_version_is_kept_and_every_number_is_known() -> None:
    old, new, late = (changed(position(1, lots=version, version=version)) for version in (1, 3, 2))
    other_coin = changed(position(1, symbol=ETH, version=1))
    other_trader = changed(position(2, version=2))
    kept = held(old, other_coin, new, late, other_trader)
    assert list(kept.events()) == [new, other_coin, other_trader]
    assert kept.seqs == {1, 2, 3, 4, 5}


def test_facts_come_before_the_marks_which_keep_their_order() -> None:
    first, second = advanced(mark(1)), advanced(mark(2, symbol=BTC))
    fact = changed(position())
    assert list(held(first, fact, second).events()) == [fact, first, second]
