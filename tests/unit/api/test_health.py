"""Health and connectors: the truth about the data's age, and orders."""

from market_scraper.api.connector_names import ONCHAIN_CONNECTORS
from market_scraper.schemas.ledger_figures import COIN, COMPONENT
from tests.unit.api.parts import World, full_world


async def test_alive_is_the_process_and_ready_is_its_roles() -> None:
    world = await full_world()
    async with world.client() as client:
        assert (await client.get("/health/live")).json() == {"status": "alive"}
        assert (await client.get("/health/ready")).json() == {"ready": True, "checks": {"store": True, "bus": True}}
        world.views.health.says = {"store": True, "bus": False}
        missing = await client.get("/health/ready")

    assert missing.status_code == 503
    assert (missing.json()["ready"], missing.json()["code"]) == (False, "not_ready")
    assert "bus" in missing.json()["detail"]
    assert int(missing.headers["retry-after"]) > 0


async def test_status_shows_every_component_with_its_age_and_the_backends() -> None:
    world = await full_world()
    world.views.health.put("candles", status="degraded", reason="HTTP 500")
    world.views.health.status = "degraded"

    answer = (await world.client().get("/health/status")).json()

    assert (answer["status"], answer["version"]) == ("degraded", "9.9.9")
    assert answer["backends"] == {"store": "memory", "bus": "memory"}
    candles = answer["components"]["candles"]
    assert (candles["status"], candles["age_s"], candles["reason"]) == ("degraded", 1.5, "HTTP 500")
    assert candles["since"].endswith("Z")


async def test_connectors_are_listed_even_while_nobody_runs_them() -> None:
    answer = (await World().client().get("/api/v1/connectors")).json()

    assert [c["name"] for c in answer] == [
        "hyperliquid", "leaderboard", "candles", "positions",
        "blockchain_info", "fear_greed", "coin_metrics", "cbbi", "bitview", "exchange_flow",
    ]  # fmt: skip
    assert {c["status"] for c in answer} == {"stopped"}


async def test_a_connector_is_running_failing_or_stopped() -> None:
    world = await full_world()
    world.views.health.put("leaderboard", status="degraded", reason="timeout")
    world.views.health.put("candles", running=False)
    async with world.client() as client:
        states = {c["name"]: c["status"] for c in (await client.get("/api/v1/connectors")).json()}
        alias = (await client.get("/api/v1/connectors/trader_ws")).json()
        unknown = await client.get("/api/v1/connectors/nasdaq")

    assert states == dict.fromkeys(ONCHAIN_CONNECTORS, "stopped") | {
        "hyperliquid": "running",
        "leaderboard": "failing",
        "candles": "stopped",
        "positions": "running",
    }
    assert (alias["name"], alias["detail"]) == ("positions", {"sockets": 3})
    assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_connector")


async def test_starting_what_runs_is_fine_and_stopping_shows_at_once() -> None:
    world = await full_world()
    async with world.client() as client:
        started = await client.post("/api/v1/connectors/positions/start")
        stopped = await client.post("/api/v1/connectors/trader_ws/stop")

    assert (started.status_code, started.json()["status"]) == (200, "running")
    assert (stopped.status_code, stopped.json()["status"]) == (200, "stopped")
    assert world.operations.orders == [("start", "positions"), ("stop", "positions")]


async def test_a_connector_that_nobody_here_runs_cannot_be_started() -> None:
    answer = await World().client().post("/api/v1/connectors/candles/start")

    assert (answer.status_code, answer.json()["code"]) == (503, "no_operations")


async def test_metrics_tell_of_components_positions_and_answers() -> None:
    world = await full_world()
    async with world.client() as client:
        await client.get("/api/v1/traders/0x12")
        text = (await client.get("/metrics")).text

    assert 'market_scraper_positions{state="exact",symbol="BTC"} 3.0' in text
    assert 'market_scraper_component_age_seconds{component="candles",kind="connector"} 1.5' in text
    assert 'market_scraper_coverage_ratio{symbol="BTC"} 0.25' in text
    assert 'route="/api/v1/traders/{address}",status="400"' in text
    assert "0x12" not in text


async def test_metrics_tell_of_the_ledgers_work_by_coin_and_never_by_trader() -> None:
    world = await full_world()
    detail = {figure.name: 7 for figure in COMPONENT} | {f"BTC_{figure.name}": 9.5 for figure in COIN}
    world.views.health.put("positions", detail=detail | {"last_drifts": "BTC 0x12 drift 1", "BTC_edge_share": None})

    text = (await world.client().get("/metrics")).text

    assert 'market_scraper_account_weight{use="wanted"} 7.0' in text
    assert 'market_scraper_ledger_drift_total{cause="odd_size",symbol="BTC"} 9.5' in text
    assert 'market_scraper_ledger_refused_total{reason="unheard",symbol="BTC"} 9.5' in text
    for figure in (*COMPONENT, *COIN):
        if figure.metric and figure.name != "edge_share":
            assert f"\nmarket_scraper_{figure.metric}{'_total' if figure.rises else ''}" in text, figure.name
    assert "market_scraper_join_edge_ratio" not in text  # not known yet is not nought
    assert "0x12" not in text
    families = [line for line in text.splitlines() if line.startswith("# TYPE ")]
    assert len(families) == len(set(families))  # Prometheus refuses a page that names one twice


async def test_metrics_are_served_before_the_positions_collector_said_a_word() -> None:
    text = (await World().client().get("/metrics")).text

    assert "market_scraper_bus_newest_seq" in text
    assert "market_scraper_ledger" not in text
