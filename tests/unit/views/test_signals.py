from market_scraper.views.signals import LiveSignals
from tests.facts import BTC
from tests.unit.api.parts import signal


def test_an_older_signal_never_replaces_a_newer_one_and_one_seen_twice_changes_nothing() -> None:
    view = LiveSignals()
    for t_ms in (1_000, 2_000, 1_000, 2_000):
        view.put(signal(t_ms=t_ms))
    assert view.current(BTC) == signal(t_ms=2_000)
