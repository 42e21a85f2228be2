"""Every error has one shape, and nothing a client does is our failure."""

from typing import Any

import pytest

from market_scraper.domain.errors import StoreError
from market_scraper.storage import MemoryRepository
from tests.unit.api.parts import World, full_world


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", "/api/v1/traders/", 404, "not_found"),
        ("DELETE", "/api/v1/traders", 405, "method_not_allowed"),
        ("GET", "/api/v1/traders?limit=many", 422, "bad_parameter"),
        ("GET", "/api/v1/traders?min_score=nan", 422, "bad_parameter"),
        ("GET", "/api/v1/traders?symbol=DOGE", 404, "unknown_symbol"),
        ("GET", "/api/v1/traders?symbol=%00", 404, "unknown_symbol"),
        ("GET", "/api/v1/signals?hours=100000000000000000000", 422, "bad_parameter"),
        ("GET", "/api/v1/signals?as_of=0001-01-01T00:00:00%2B23:59", 404, "no_history"),
        ("GET", "/api/v1/signals?as_of=9999-12-31T23:59:59-23:59", 422, "bad_parameter"),
        ("GET", "/api/v1/signals/507f1f77bcf86cd79943901", 400, "bad_signal_id"),
        ("GET", "/api/v1/traders/%F0%9F%98%80", 400, "bad_address"),
    ],
)
async def test_errors_have_one_shape(method: str, path: str, status: int, code: str) -> None:
    world = await full_world()

    answer = await world.client().request(method, path)

    assert answer.status_code == status
    assert answer.json()["code"] == code
    assert answer.json()["detail"]
    assert answer.headers["content-type"] == "application/json"


async def test_a_wrong_method_is_told_which_ones_are_right() -> None:
    answer = await World().client().post("/api/v1/signals")

    assert answer.headers["allow"] == "GET"


class AwayStore(MemoryRepository):
    """A store that has gone away."""

    @property
    def signals(self) -> Any:
        raise StoreError("the disk is full")

    @signals.setter
    def signals(self, _value: Any) -> None: ...


async def test_a_store_that_is_away_is_a_503_with_patience() -> None:
    answer = await World(store=AwayStore()).client().get("/api/v1/signals")

    assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
    assert int(answer.headers["retry-after"]) > 0
