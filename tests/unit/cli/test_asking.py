"""Commands that ask a running server: a real one on loopback, with canned answers."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from market_scraper.cli.remote import base_url
from market_scraper.config import Settings
from tests.unit.cli.test_cli import run

ADDRESS = "0x6859da14835424957a1e6b397d8026b1d9ff7e1e"


class CannedServer(ThreadingHTTPServer):
    """Answers what it was told to, and remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: dict[str, tuple[int, object]] = {}
        self.asked: list[tuple[str, str | None]] = []  # "GET /path", Authorization


class _Handler(BaseHTTPRequestHandler):
    def _answer(self) -> None:
        assert isinstance(self.server, CannedServer)
        asked = f"{self.command} {self.path}"
        self.server.asked.append((asked, self.headers.get("Authorization")))
        status, body = self.server.answers.get(
            asked.split("?")[0], (404, {"detail": "no such thing", "code": "not_found"})
        )
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = _answer  # noqa: N815 - the standard library's names

    def log_message(self, format: str, *args: object) -> None:
        """Stay quiet."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[CannedServer]:
    monkeypatch.chdir(tmp_path)  # no configuration of the machine
    canned = CannedServer()
    monkeypatch.setenv("API_PORT", str(canned.server_port))
    thread = threading.Thread(target=canned.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield canned
    canned.shutdown()
    thread.join()
    canned.server_close()


Capsys = pytest.CaptureFixture[str]
Patch = pytest.MonkeyPatch


@pytest.mark.parametrize(("status", "code"), [("healthy", 0), ("degraded", 1), ("unhealthy", 1)])
def test_health_is_0_only_when_healthy_and_says_what_is_not(
    status: str, code: int, server: CannedServer, capsys: Capsys, monkeypatch: Patch
) -> None:
    part = {"status": status, "age_s": None, "reason": "cannot reach the venue"}
    server.answers["GET /health/status"] = (200, {"status": status, "version": "1", "components": {"candles": part}})
    assert run(capsys, monkeypatch, "health")[0] == code
    found, out, _ = run(capsys, monkeypatch, "health", "--json")
    assert (found, json.loads(out)["components"]["candles"]["reason"]) == (code, "cannot reach the venue")


def test_health_without_a_server_is_1_and_says_so_in_json_too(
    server: CannedServer, capsys: Capsys, monkeypatch: Patch
) -> None:
    monkeypatch.setenv("API_PORT", "1")
    code, out, err = run(capsys, monkeypatch, "health", "--json")
    assert code == 1
    assert json.loads(out)["status"] == "unreachable"
    assert "no server answers at http://127.0.0.1:1" in err


def test_the_key_is_sent_and_never_printed(server: CannedServer, capsys: Capsys, monkeypatch: Patch) -> None:
    monkeypatch.setenv("API_KEY", "hunter2")
    code, out, err = run(capsys, monkeypatch, "traders", "track", ADDRESS.upper().replace("X", "x"))
    assert server.asked == [(f"POST /api/v1/traders/{ADDRESS}/track", "Bearer hunter2")]
    assert (code, out) == (1, "")
    assert err == "error: the server answered 404: no such thing\n"


def test_traders_are_listed_as_a_table_and_names_cannot_steer_the_terminal(
    server: CannedServer, capsys: Capsys, monkeypatch: Patch
) -> None:
    position = {"size": -1.5, "state": "exact", "as_of": "2026-01-01T00:00:00Z"}
    trader = {
        "address": ADDRESS,
        "score": 71.25,
        "account_value": 1e6,
        "tags": ["\x1b[31m[red]x"],
        "position": position,
    }
    server.answers["GET /api/v1/traders"] = (200, {"traders": [trader], "total": 7, "symbol": "BTC"})
    code, out, _ = run(capsys, monkeypatch, "traders", "list", "--limit", "5", "--min-score", "60")
    assert code == 0
    assert server.asked[0][0] == "GET /api/v1/traders?limit=5&min_score=60.0"
    assert f"{ADDRESS}  71.25  1,000,000      -1.5  exact" in out
    assert "?[31m[red]x" in out
    assert "1 of 7 tracked traders, BTC" in out


def test_all_collectors_are_ordered_one_by_one(server: CannedServer, capsys: Capsys, monkeypatch: Patch) -> None:
    running = [{"name": name, "status": "running"} for name in ("candles", "leaderboard")]
    server.answers["GET /api/v1/connectors"] = (200, running)
    for one in running:
        server.answers[f"POST /api/v1/connectors/{one['name']}/stop"] = (200, {**one, "status": "stopped"})
    code, out, _ = run(capsys, monkeypatch, "collectors", "stop", "--all", "--json")
    assert code == 0
    assert [each["status"] for each in json.loads(out)] == ["stopped", "stopped"]


def test_a_failing_collector_is_exit_1(server: CannedServer, capsys: Capsys, monkeypatch: Patch) -> None:
    server.answers["GET /api/v1/connectors"] = (200, [{"name": "candles", "status": "failing", "reason": "down"}])
    code, out, _ = run(capsys, monkeypatch, "collectors", "status")
    assert code == 1
    assert "down" in out


def test_something_else_on_the_port_is_told_without_a_traceback(
    server: CannedServer, capsys: Capsys, monkeypatch: Patch
) -> None:
    server.answers["GET /api/v1/connectors"] = (200, b"<html>")
    code, _, err = run(capsys, monkeypatch, "collectors", "status")
    assert code == 1
    assert "something else than JSON" in err


def test_wildcard_hosts_are_asked_on_loopback() -> None:
    assert base_url(Settings(api_host="0.0.0.0", api_port=9)) == "http://127.0.0.1:9"
    assert base_url(Settings(api_host="::", api_port=9)) == "http://[::1]:9"
    assert base_url(Settings(), "host:1/") == "http://host:1"


def test_a_class_and_those_without_a_vote_are_said_in_words(
    server: CannedServer, capsys: Capsys, monkeypatch: Patch
) -> None:
    reason = "traded 0 USD in a month (dormant: up to 0)"
    classed = {"name": "dormant", "reason": reason, "vote": 0.0}
    server.answers[f"GET /api/v1/traders/{ADDRESS}"] = (200, {"address": ADDRESS, "class": classed, "positions": []})
    signal = {
        "id": "0" * 24,
        "timestamp": "2026-01-01T00:00:00Z",
        "symbol": "BTC",
        "recommendation": "BUY",
        "confidence": 0.6,
        "calibrated": False,
        "net_exposure": 0.4,
        "traders_long": 5,
        "traders_short": 1,
        "traders_flat": 0,
        "coverage": 0.5,
        "state": "live",
    }
    explained = {
        "signal": signal,
        "voters": 6,
        "contributions": [],
        "others": 2,
        "others_share": -0.0125,
        "left_out": {"dormant": 3},
        "previous": None,
    }
    server.answers[f"GET /api/v1/signals/{'0' * 24}/explain"] = (200, explained)

    code, shown, _ = run(capsys, monkeypatch, "traders", "show", ADDRESS)
    assert (code, f"dormant: {reason}" in shown) == (0, True)
    code, told, _ = run(capsys, monkeypatch, "signals", "explain", "0" * 24)
    assert (code, "made by 6 voters; without a vote: 3 dormant" in told) == (0, True)
    assert "and 2 smaller ones, together -0.0125 of the net exposure" in told
