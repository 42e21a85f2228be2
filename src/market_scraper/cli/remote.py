"""The running server, as commands ask it."""

from collections.abc import Mapping
from typing import Any

import httpx2

from market_scraper.config import Settings, load, mask
from market_scraper.domain.errors import MarketScraperError
from market_scraper.runtime.timeouts import COMMAND_S

_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


class CommandFailed(MarketScraperError):
    """The command could not do what was asked; the message says why. Exit code 1."""


class ServerUnreachable(CommandFailed):
    """Nobody answers where the server should be."""


class ServerRefused(CommandFailed):
    """The server answered with an error; `status` and `body` are its own."""

    def __init__(self, status: int, body: object) -> None:
        detail = body.get("detail") if isinstance(body, dict) else body
        super().__init__(f"the server answered {status}: {str(detail)[:300]}")
        self.status = status
        self.body = body


def base_url(settings: Settings, url: str | None = None) -> str:
    """Give where the server is asked: `url`, else API_HOST and API_PORT with wildcard addresses made loopback."""
    if url is not None:
        return (url if "://" in url else f"http://{url}").rstrip("/")
    host = _WILDCARDS.get(settings.api_host, settings.api_host)
    return f"http://[{host}]:{settings.api_port}" if ":" in host else f"http://{host}:{settings.api_port}"


class Remote:
    """A server that is asked over HTTP, with the key if there is one."""

    def __init__(self, base: str, api_key: str | None = None) -> None:
        self.base = base
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._is_local = httpx2.URL(base).host in _LOOPBACK

    @classmethod
    def from_settings(cls, url: str | None = None) -> "Remote":
        """Read API_HOST, API_PORT and API_KEY as the server does."""
        settings = load()
        return cls(base_url(settings, url), settings.api_key)

    def get(self, path: str, **params: object) -> Any:
        """Give the JSON answer; raises ServerRefused for an error and ServerUnreachable for none."""
        return self._ask("GET", path, {key: value for key, value in params.items() if value is not None})

    def post(self, path: str) -> Any:
        """Order something; raises like `get`."""
        return self._ask("POST", path, {})

    def _ask(self, method: str, path: str, params: Mapping[str, object]) -> Any:
        try:
            # A proxy from the environment must not stand between us and our own machine.
            with httpx2.Client(timeout=COMMAND_S, headers=self._headers, trust_env=not self._is_local) as client:
                answer = client.request(method, f"{self.base}{path}", params={k: str(v) for k, v in params.items()})
        except httpx2.InvalidURL as error:
            raise CommandFailed(f"{mask(self.base)} is no address of a server: {error}") from error
        except httpx2.HTTPError as error:
            reason = str(error) or type(error).__name__
            raise ServerUnreachable(
                f"no server answers at {mask(self.base)} ({reason}); start one with `market-scraper server`"
            ) from error
        try:
            body = answer.json()
        except ValueError as error:
            raise CommandFailed(
                f"{mask(self.base)} answered {answer.status_code} with something else than JSON"
            ) from error
        if answer.is_error:
            raise ServerRefused(answer.status_code, body)
        return body
