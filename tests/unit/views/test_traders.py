import pytest

from market_scraper.domain.events import TraderChosen, TradersRated
from market_scraper.domain.traders import Choice, RatedTrader
from market_scraper.views.traders import LiveTraders
from tests.facts import address, rated


@pytest.fixture
def view() -> LiveTraders:
    return LiveTraders()


def ratings(*traders: RatedTrader, at_ms: int = 500, part: int = 0, parts: int = 1) -> TradersRated:
    return TradersRated(known_at_ms=at_ms, captured_at_ms=at_ms, part=part, parts=parts, traders=traders)


def choice(trader: int, choice: Choice) -> TraderChosen:
    return TraderChosen(known_at_ms=1, trader=address(trader), choice=choice)


def tracked(view: LiveTraders) -> list[str]:
    return [one.row.trader for one in view.tracked()]


def test_the_tracked_come_best_first_and_then_by_address(view: LiveTraders) -> None:
    view.apply(ratings(rated(3, 60.0), rated(1, 60.0), rated(2, 90.0), rated(4, 99.0, tracked=False)))
    assert tracked(view) == [address(2), address(1), address(3)]
    assert view.is_tracked(address(1))
    assert not view.is_tracked(address(4))
    assert view.get(address(4)) == rated(4, 99.0, tracked=False)
    assert view.captured_at_ms == 500


def test_a_pull_takes_effect_as_a_whole(view: LiveTraders) -> None:
    view.apply(ratings(rated(1, 60.0)))
    version = view.version
    view.apply(ratings(rated(1, 70.0), at_ms=600, part=0, parts=2))
    assert (view.captured_at_ms, view.version, tracked(view)) == (500, version, [address(1)])
    view.apply(ratings(rated(2, 65.0), at_ms=600, part=1, parts=2))
    assert (view.captured_at_ms, tracked(view)) == (600, [address(1), address(2)])
    assert view.version > version


def test_a_pull_of_which_a_part_is_missing_or_that_is_older_changes_nothing(view: LiveTraders) -> None:
    view.apply(ratings(rated(1), at_ms=600))
    view.apply(ratings(rated(2), at_ms=700, part=1, parts=2))
    view.apply(ratings(rated(3), at_ms=700, part=0, parts=3))
    view.apply(ratings(rated(4), at_ms=700, part=2, parts=3))
    view.apply(ratings(rated(5), at_ms=500))
    assert (view.captured_at_ms, tracked(view)) == (600, [address(1)])


def test_the_same_pull_rated_again_replaces_itself(view: LiveTraders) -> None:
    view.apply(ratings(rated(1, 60.0)))
    view.apply(ratings(rated(1, 60.0, tracked=False)))
    assert tracked(view) == []


def test_who_is_in_the_new_pull_no_more_stays_known_and_is_tracked_by_hand_alone(view: LiveTraders) -> None:
    view.apply(choice(2, Choice.TRACK))
    view.apply(ratings(rated(1), rated(2)))
    view.apply(ratings(rated(3), at_ms=600))
    assert view.get(address(1)) is not None
    assert tracked(view) == [address(2), address(3)]


def test_a_choice_takes_effect_at_once_and_outlives_ratings_that_did_not_know_it(view: LiveTraders) -> None:
    view.apply(ratings(rated(1), rated(2, tracked=False)))
    view.apply(choice(1, Choice.UNTRACK))
    view.apply(choice(2, Choice.TRACK))
    assert tracked(view) == [address(2)]
    view.apply(ratings(rated(1), rated(2, tracked=False)))
    assert tracked(view) == [address(2)]
    assert view.choice(address(1)) is Choice.UNTRACK
    assert view.choice(address(3)) is None


def test_who_is_tracked_by_hand_without_being_ranked_is_listed_last(view: LiveTraders) -> None:
    view.apply(ratings(rated(1, -5.0)))
    view.apply(choice(9, Choice.TRACK))
    assert tracked(view) == [address(1), address(9)]
    assert [rated.ranked for rated in view.tracked()] == [True, False]
    assert view.is_tracked(address(9))
    assert view.get(address(9)) is None


def test_what_the_store_has_gives_way_to_what_the_bus_brought(view: LiveTraders) -> None:
    view.apply(ratings(rated(1), at_ms=600))
    view.restore({address(2): Choice.TRACK}, 500, [rated(3)])
    assert (view.captured_at_ms, tracked(view)) == (600, [address(1), address(2)])


def test_a_pull_of_which_parts_are_seen_again_is_taken_once_and_whole(view: LiveTraders) -> None:
    first, second, third = (ratings(rated(n), at_ms=600, part=n - 1, parts=3) for n in (1, 2, 3))
    for event in (first, second, second, third):
        view.apply(event)
    assert tracked(view) == [address(1), address(2), address(3)]
    version = view.version
    for event in (second, third):  # an inbox that began in the middle of what was held
        view.apply(event)
    assert (view.version, tracked(view)) == (version, [address(1), address(2), address(3)])
    for event in (first, second, third):
        view.apply(event)
    assert tracked(view) == [address(1), address(2), address(3)]


def test_a_choice_that_is_seen_twice_changes_nothing(view: LiveTraders) -> None:
    view.apply(ratings(rated(1), rated(2)))
    view.apply(choice(1, Choice.UNTRACK))
    version = view.version
    view.apply(choice(1, Choice.UNTRACK))
    assert (view.version, tracked(view)) == (version, [address(2)])
    view.apply(choice(1, Choice.TRACK))
    assert tracked(view) == [address(1), address(2)]
