"""Who may write: with a key those who have it, without one only this machine's own clients."""

import pytest

from tests.unit.api.parts import ANN, World, full_world

PATH = f"/api/v1/traders/{ANN}/track"


@pytest.mark.parametrize(
    ("peer", "base_url", "headers", "allowed"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000", {}, True),
        ("127.0.0.1", "http://localhost:8000", {}, True),
        ("::1", "http://[::1]:8000", {}, True),
        ("::ffff:127.0.0.1", "http://localhost", {}, True),
        ("127.0.0.1", "http://localhost:8000", {"Origin": "http://localhost:8000"}, True),
        ("192.168.1.7", "http://127.0.0.1:8000", {}, False),
        ("127.0.0.1", "http://evil.example:8000", {}, False),
        ("127.0.0.1", "http://127.0.0.1.evil.example", {}, False),
        ("127.0.0.1", "http://localhost:8000", {"Origin": "http://evil.example"}, False),
        ("127.0.0.1", "http://localhost:8000", {"Origin": "http://localhost:9000"}, False),
        ("127.0.0.1", "http://localhost:8000", {"Origin": "null"}, False),
        ("127.0.0.1", "http://localhost:8000", {"X-Forwarded-For": "127.0.0.1"}, False),
        ("127.0.0.1", "http://localhost:8000", {"Forwarded": "for=127.0.0.1"}, False),
        ("127.0.0.1", "http://localhost:8000", {"X-Real-IP": "127.0.0.1"}, False),
    ],
)
async def test_without_a_key_only_this_machine_may_write(
    peer: str, base_url: str, headers: dict[str, str], allowed: bool
) -> None:
    world = await full_world()

    answer = await world.client(peer=peer, base_url=base_url).post(PATH, headers=headers)

    assert answer.status_code == (200 if allowed else 403)
    if not allowed:
        assert answer.json()["code"] == "write_forbidden"
        assert world.operations.orders == []


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ("Bearer sesame", 200),
        ("bearer sesame", 200),
        (None, 401),
        ("Bearer wrong", 401),
        ("Basic sesame", 401),
        ("Bearer sésame", 401),
        ("Bearer", 401),
    ],
)
async def test_with_a_key_everyone_needs_it(header: str | None, status: int) -> None:
    world = await full_world(api_key="sesame")
    headers = {} if header is None else {b"Authorization": header.encode("utf-8")}

    answer = await world.client(peer="203.0.113.9", base_url="http://example.org").post(PATH, headers=headers)

    assert answer.status_code == status
    if status == 401:
        assert answer.json()["code"] == "unauthorized"
        assert answer.headers["www-authenticate"] == "Bearer"
        assert world.operations.orders == []


async def test_reading_needs_no_key() -> None:
    assert (await World(api_key="sesame").client().get("/api/v1/connectors")).status_code == 200


def test_the_key_is_not_shown_with_the_application() -> None:
    assert "sesame" not in repr(World(api_key="sesame").app.state.api.deps)
