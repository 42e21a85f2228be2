"""What the comparison of stored bytes counts as a change, and that it can be made where nothing is recorded."""

from typing import Any

from bench.position_bytes import kept
from bench.recorded import Capture, made_up

from market_scraper.ports.stores import PositionRow

ANN = f"0x{1:040x}"


def account(*positions: dict[str, Any]) -> dict[str, Any]:
    return {"address": ANN, "accountValue": 1_000.0, "positions": list(positions)}


def held(coin: str, size: float, direction: str = "Long") -> dict[str, Any]:
    return {
        "coin": coin,
        "direction": direction,
        "size": size,
        "entryPx": "97000.0",
        "leverage": 5.0,
        "liquidationPx": None,
    }


def test_only_a_size_that_is_not_the_one_before_is_a_change() -> None:
    said = [
        account(held("BTC", 0.5), held("ETH", 1.0)),
        account(held("BTC", 0.5), held("ETH", 2.0)),
        account(held("BTC", 0.5, "Short")),
        account(),
        account(),
    ]
    captures = [Capture(1_000 * number, [each]) for number, each in enumerate(said)]
    stored = kept(captures)
    changes = [row.changed for row in stored.rows if isinstance(row, PositionRow)]
    assert [(c.lots_before, c.after.lots) for c in changes] == [(0, 50_000), (50_000, -50_000), (-50_000, 0)]
    assert len(stored.messages) == len(said)
    everything = kept(captures, every_coin=True)
    assert sum(isinstance(row, PositionRow) for row in everything.rows) == len(changes) + 3


def testmade_up_captures_change_about_as_often_as_recorded_ones() -> None:
    stored = kept(made_up(10), every_coin=True)
    positions = sum(len(said["positions"]) for _, _, said in stored.messages)
    assert 0.2 <= len(stored.rows) / 2 / positions <= 0.4  # of which a tenth are first seen
