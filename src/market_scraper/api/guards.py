"""Who may write, and whose pages may open a WebSocket.

A browser on this machine can be made to call us by any page it shows; what tells such a call is the `Origin` header,
and, where a foreign name was pointed at the loopback address (DNS rebinding), the `Host` header.
"""

import hmac
from ipaddress import ip_address

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection, Request

from market_scraper.api.deps import state_of
from market_scraper.api.errors import Refused, Unauthorized

LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})
FORWARDING = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "via")


async def may_write(request: Request) -> None:
    """Let a write pass, or raise Unauthorized or Refused. A dependency of every POST route."""
    key = state_of(request).deps.api_key
    if key:
        if not _has_key(request.headers, key):
            raise Unauthorized("this needs the key of API_KEY, sent as `Authorization: Bearer`")
        return
    if not _is_loopback_peer(request):
        raise Refused("without an API_KEY only this machine may write")
    if _is_forwarded(request.headers):
        raise Refused("without an API_KEY nothing may be written through a proxy")
    if _host_name(request.headers) not in LOOPBACK_NAMES:
        raise Refused("without an API_KEY the Host header must name this machine")
    if not _is_own_origin(request.headers):
        raise Refused("a page of another origin may not write")


def is_foreign(connection: HTTPConnection) -> str | None:
    """Why a handshake must be refused; None = it is welcome."""
    headers = connection.headers
    if not _is_own_origin(headers):
        return "a page of another origin may not connect"
    listens_on_loopback = state_of(connection).deps.host in LOOPBACK_NAMES
    on_loopback = _is_loopback_peer(connection) and (listens_on_loopback or not _is_forwarded(headers))
    if on_loopback and _host_name(headers) not in LOOPBACK_NAMES:
        return "the Host header must name this machine"
    return None


def _has_key(headers: Headers, key: str) -> bool:
    scheme, _, given = headers.get("authorization", "").partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), key.encode())


def _is_loopback_peer(connection: HTTPConnection) -> bool:
    if connection.client is None:
        return False
    try:
        peer = ip_address(connection.client.host)
    except ValueError:
        return False
    mapped = getattr(peer, "ipv4_mapped", None)
    return (mapped or peer).is_loopback


def _is_forwarded(headers: Headers) -> bool:
    return any(name in headers for name in FORWARDING)


def _host_name(headers: Headers) -> str:
    """The Host header without its port, in lower case; "" when it is missing or given twice."""
    hosts = headers.getlist("host")
    if len(hosts) != 1:
        return ""
    host = hosts[0].strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def _is_own_origin(headers: Headers) -> bool:
    """No browser page at all, or one that we served: its host and port equal Host."""
    origins = headers.getlist("origin")
    if not origins:
        return True
    scheme, separator, host = origins[0].strip().lower().partition("://")
    default = {"http": ":80", "https": ":443"}.get(scheme)
    if len(origins) > 1 or not separator or default is None:
        return False
    own = headers.get("host", "").strip().lower()
    return own != "" and own.removesuffix(default) == host.removesuffix(default)
