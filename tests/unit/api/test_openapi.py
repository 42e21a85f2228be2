"""The document says what the routes do, and answers keep to it."""

import functools
import importlib
import pkgutil
import random
from collections.abc import Iterator
from typing import Any

import anyio
import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from market_scraper import schemas
from market_scraper.domain.values import iso
from tests.unit.api.parts import ANN, BOB, HOUR, NOW_MS, full_world

KEY = "sesame"
DAY = "2023-11-13"

WORLD = anyio.run(functools.partial(full_world, api_key=KEY))
SCHEMA = schemathesis.openapi.from_asgi("/openapi.json", WORLD.app)
KNOWN: dict[str, list[str]] = {
    "address": [ANN, BOB],
    "symbol": ["BTC", "ETH"],
    "signal_id": [f"{n:024x}" for n in (1, 2, 3)],
    "name": ["candles", "trader_ws", "picycle", "2YMA"],
    "metric": ["mvrv", "netflow", "cbbi.puell", "wave.under_1h"],
}


ONCHAIN = (
    "network", "sentiment", "valuation", "activity", "sopr", "nupl", "mvrv", "exchange-flows", "hodl-waves", "summary",
)  # fmt: skip


@SCHEMA.hook
def map_path_parameters(_context: Any, drawn: Any) -> Any:
    """Ask for things that exist as often as for things that do not."""
    if not isinstance(drawn, dict):
        return drawn
    return {
        name: random.Random(str(value)).choice(KNOWN[name]) if len(str(value)) % 2 else value
        for name, value in drawn.items()
    }


@SCHEMA.hook
def map_query(_context: Any, drawn: Any) -> Any:
    """Let half of the symbols and moments be real ones."""
    if not isinstance(drawn, dict):
        return drawn
    known = {"symbol": "ETH", "as_of": iso(NOW_MS - HOUR), "start_time": iso(NOW_MS - HOUR * 9), "day": DAY}
    return {name: known[name] if name in known and len(str(value)) % 2 else value for name, value in drawn.items()}


ASKING = settings(
    max_examples=7,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@SCHEMA.parametrize()
@ASKING
def test_nothing_a_client_sends_breaks_us_and_answers_keep_to_the_document(case: schemathesis.Case[Any]) -> None:
    ask(case)


@pytest.mark.proof
@SCHEMA.parametrize()
@settings(ASKING, max_examples=60)
def test_nothing_breaks_us_however_much_is_asked(case: schemathesis.Case[Any]) -> None:
    ask(case)


def ask(case: schemathesis.Case[Any]) -> None:
    """Send it, and hold the answer to the document."""
    case.call_and_validate(
        checks=[
            not_a_server_error,
            status_code_conformance,
            content_type_conformance,
            response_schema_conformance,
        ],
        headers={"Authorization": f"Bearer {KEY}"},
    )


@pytest.fixture(scope="module")
def document() -> Any:
    return SCHEMA.raw_schema


def operations(document: Any) -> Iterator[tuple[str, Any]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def test_every_route_of_the_contract_is_there(document: Any) -> None:
    assert {name for name, _ in operations(document)} >= {
        "GET /health/live", "GET /health/ready", "GET /health/status",
        "GET /api/v1/markets", "GET /api/v1/markets/{symbol}", "GET /api/v1/markets/{symbol}/history",
        "GET /api/v1/traders", "GET /api/v1/traders/{address}",
        "POST /api/v1/traders/{address}/track", "POST /api/v1/traders/{address}/untrack",
        "GET /api/v1/traders/{address}/positions", "GET /api/v1/traders/{address}/signals",
        "GET /api/v1/signals", "GET /api/v1/signals/current", "GET /api/v1/signals/stats",
        "GET /api/v1/signals/{signal_id}", "GET /api/v1/signals/{signal_id}/explain",
        *(f"GET /api/v1/cbbi{path}" for path in ("", "/components", "/components/{name}")),
        *(f"GET /api/v1/onchain/btc/{part}" for part in ONCHAIN),
        "GET /api/v1/connectors", "GET /api/v1/connectors/{name}",
        "POST /api/v1/connectors/{name}/start", "POST /api/v1/connectors/{name}/stop",
    }  # fmt: skip


def test_every_documented_error_has_its_codes(document: Any) -> None:
    problem = {"$ref": "#/components/schemas/Problem"}
    for name, operation in operations(document):
        for status, response in operation["responses"].items():
            if int(status) >= 400 and name != "GET /health/ready":
                content = response["content"]["application/json"]
                kinds = content["schema"].get("anyOf", [content["schema"]])
                assert problem in kinds, name
                for kind in kinds:  # where an error carries more, it says the same two words too
                    shape = document["components"]["schemas"][kind["$ref"].rsplit("/", 1)[1]]
                    assert {"detail", "code"} <= shape["properties"].keys(), name
                assert content["examples"], (name, status)


def test_every_reference_leads_somewhere(document: Any) -> None:
    def references(part: Any) -> Iterator[str]:
        if isinstance(part, dict):
            yield from ([part["$ref"]] if isinstance(part.get("$ref"), str) else [])
            for value in part.values():
                yield from references(value)
        elif isinstance(part, list):
            for value in part:
                yield from references(value)

    for reference in references(document):
        assert reference.rsplit("/", 1)[1] in document["components"]["schemas"], reference
    assert "x-components" not in str(document)


def test_no_two_answers_share_a_name() -> None:
    """They would be one in the document, and one of them would be described as the other."""
    names: dict[str, set[str]] = {}
    for module in pkgutil.iter_modules(schemas.__path__):
        for name, found in vars(importlib.import_module(f"{schemas.__name__}.{module.name}")).items():
            if isinstance(found, type) and issubclass(found, msgspec.Struct):
                names.setdefault(name, set()).add(f"{found.__module__}.{found.__qualname__}")
    assert {name: homes for name, homes in names.items() if len(homes) > 1} == {}
