"""The running demo against whatever `/openapi.json` lets a client send, over real HTTP and on real answers."""

import random
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import httpx2
import pytest
import pytest_asyncio
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from hypothesis.strategies import SearchStrategy
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.e2e.system import Process, demo

pytestmark = pytest.mark.asyncio(loop_scope="module")

EXAMPLES = 4  # of each route, valid and invalid ones each; the answers' shapes are held to more in tests/unit/api
MANY = 20
SIGNAL_S = 60.0
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
NOBODY = "0x" + "0" * 39 + "1"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def program(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Process]:
    async with demo(tmp_path_factory.mktemp("demo"), "--traders", "60", "--speed", "2") as running:
        await running.says(SIGNAL_S)  # its first signal: there is something to ask for
        yield running


@pytest.mark.parametrize("examples", [EXAMPLES, pytest.param(MANY, marks=pytest.mark.proof)])
async def test_nothing_that_a_client_sends_gets_a_500_and_every_error_has_a_documented_code(
    program: Process, examples: int
) -> None:
    with requests.Session() as session:
        session.trust_env = False  # no proxy between us and our own machine
        document = session.get(f"{program.url}/openapi.json").json()
        known = _known(session, program)
        seen: dict[int, int] = {}
        for found in schemathesis.openapi.from_dict(document).get_all_operations():
            assert isinstance(found, Ok)
            operation = found.ok()
            documented = _codes(operation.definition.raw)

            def ask(case: schemathesis.Case[Any], documented: dict[int, set[str]] = documented) -> None:
                _ask_for_real_things(case, known)
                answer = case.call(base_url=program.url, session=session)
                case.validate_response(answer, checks=CHECKS)
                seen[answer.status_code] = seen.get(answer.status_code, 0) + 1
                if answer.status_code >= 400 and answer.status_code != 405:
                    assert answer.json()["code"] in documented[answer.status_code], answer.json()

            _try(operation.as_strategy(generation_mode=GenerationMode.POSITIVE), ask, examples)
            with suppress(Unsatisfiable):  # not every route can be asked wrongly
                _try(operation.as_strategy(generation_mode=GenerationMode.NEGATIVE), ask, examples)
        # Else it was the door alone that was tried.
        assert seen[200] > 60
        assert {400, 404, 422} <= set(seen)
        assert session.get(f"{program.url}/health/live").json() == {"status": "alive"}
    log = program.log.read_text()
    assert "Traceback" not in log
    assert "request_failed" not in log


@pytest.mark.parametrize(
    ("asked", "status", "code"),
    [
        ("GET /api/v1/traders/0x12", 400, "bad_address"),
        ("GET /api/v1/signals/tea", 400, "bad_signal_id"),
        (f"GET /api/v1/traders/{NOBODY}", 404, "unknown_trader"),
        ("POST /api/v1/traders/0x12/track", 400, "bad_address"),
        (f"GET /api/v1/signals/{'0' * 24}", 404, "unknown_signal"),
        ("GET /api/v1/markets/TEA", 404, "unknown_symbol"),
        ("GET /api/v1/signals/current?symbol=TEA", 404, "unknown_symbol"),
        ("GET /api/v1/connectors/tea", 404, "unknown_connector"),
        ("GET /api/v1/signals/current?as_of=2020-01-01T00:00:00Z", 404, "no_history"),
        ("GET /api/v1/cbbi/components/tea", 404, "unknown_component"),
        ("GET /api/v1/onchain/btc/history/tea", 404, "unknown_metric"),
        ("GET /api/v1/onchain/btc/summary?as_of=2008-01-01T00:00:00Z", 404, "no_history"),
        ("GET /api/v1/onchain/btc/summary?as_of=2999-01-01T00:00:00Z", 422, "bad_parameter"),
        ("GET /api/v1/tea", 404, "not_found"),
        ("DELETE /api/v1/markets", 405, "method_not_allowed"),
        ("GET /api/v1/signals/current?as_of=2999-01-01T00:00:00Z", 422, "bad_parameter"),
        ("GET /api/v1/markets/BTC/history?timeframe=2m", 422, "bad_parameter"),
        ("GET /api/v1/markets/BTC/history?limit=10001", 422, "bad_parameter"),
        ("GET /api/v1/traders?limit=0", 422, "bad_parameter"),
        ("GET /api/v1/traders?cursor=tea", 422, "bad_cursor"),
    ],
)
async def test_what_goes_wrong_has_its_status_and_its_word(
    program: Process, asked: str, status: int, code: str
) -> None:
    method, path = asked.split(" ")
    async with httpx2.AsyncClient(base_url=program.url, trust_env=False) as http:
        answer = await http.request(method, path)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.json()["detail"]


async def test_a_foreign_page_may_not_write(program: Process) -> None:
    async with httpx2.AsyncClient(base_url=program.url, trust_env=False) as http:
        for header in ({"Origin": "http://evil.example"}, {"X-Forwarded-For": "10.1.1.1"}, {"Host": "evil.example"}):
            answer = await http.post("/api/v1/connectors/leaderboard/start", headers=header)
            assert (answer.status_code, answer.json()["code"]) == (403, "write_forbidden")


def _try(
    cases: SearchStrategy[schemathesis.Case[Any]], ask: Callable[[schemathesis.Case[Any]], None], examples: int
) -> None:
    """Ask some of these; the same ones in every run."""
    given(cases)(
        settings(
            max_examples=examples,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )(lambda case: ask(case))
    )()


def _known(session: requests.Session, program: Process) -> dict[str, list[str]]:
    """Things that exist, by the name of the parameter."""
    traders = session.get(f"{program.url}/api/v1/traders?limit=20").json()["traders"]
    signals = session.get(f"{program.url}/api/v1/signals?limit=20").json()["signals"]
    assert traders
    assert signals
    return {
        "address": [trader["address"] for trader in traders],
        "signal_id": [signal["id"] for signal in signals],
        "symbol": ["BTC", "btc"],
        "name": ["leaderboard", "candles", "trader_ws", "cbbi", "puell", "2YMA"],
        "metric": ["mvrv", "netflow", "cbbi.PiCycle", "age.1d_to_1w"],
        "day": ["2026-01-01"],
        "as_of": [signal["known_at"] for signal in signals],
    }


def _ask_for_real_things(case: schemathesis.Case[Any], known: dict[str, list[str]]) -> None:
    """Ask for what exists as often as for what does not; the same case asks the same."""
    for drawn in (case.path_parameters, case.query):
        for name, value in (drawn or {}).items():
            if name in known and len(str(value)) % 2:
                drawn[name] = random.Random(str(value)).choice(known[name])


def _codes(operation: dict[str, Any]) -> dict[int, set[str]]:
    """The documented words by status."""
    codes: dict[int, set[str]] = {}
    for status, response in operation["responses"].items():
        if int(status) >= 400:
            content = response["content"]["application/json"]
            codes[int(status)] = set(content.get("examples", {"not_ready": {}}))
    return codes
