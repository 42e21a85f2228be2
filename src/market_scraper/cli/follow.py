"""The server's `/ws`, followed for as long as it takes."""

import json
from collections.abc import AsyncGenerator, Callable
from typing import Any
from urllib.parse import urlencode

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI

from market_scraper.cli.printing import remark
from market_scraper.cli.remote import CommandFailed, Remote, ServerUnreachable
from market_scraper.config import mask
from market_scraper.runtime.clock import real_sleep
from market_scraper.runtime.timeouts import COMMAND_S

REFUSED = 1008
"""The close code of a channel or address that the server does not know."""

_RETRY_S = 2.0


async def follow(
    remote: Remote, channel: str, symbol: str | None, *, on_lost: Callable[[str], None] = remark
) -> AsyncGenerator[dict[str, Any], None]:
    """Yield the messages of a channel; after a lost connection from the last seen number on.

    Only the first connection may fail: ServerUnreachable. Heartbeats and the greeting are kept to ourselves.
    """
    seen: int | None = None
    connected = False
    while True:
        query = {"channel": channel, "symbol": symbol, "last_seq": seen}
        uri = (
            f"{remote.base.replace('http', 'ws', 1)}/ws?{urlencode({k: v for k, v in query.items() if v is not None})}"
        )
        try:
            async with connect(uri, open_timeout=COMMAND_S, proxy=None) as socket:
                connected = True
                async for frame in socket:
                    message = json.loads(frame)
                    if message.get("type") == "hello":  # its number counts only while we have none: missed ones follow
                        seen = message.get("seq") if seen is None else seen
                        continue
                    seen = message.get("seq", seen)
                    if message.get("type") not in ("heartbeat", "pong"):
                        yield message
            reason = "the server closed the connection"
        except ConnectionClosed as error:
            if error.rcvd is not None and error.rcvd.code == REFUSED:
                raise CommandFailed(f"the server refused: {error.rcvd.reason}") from error
            reason = str(error)
        except (OSError, InvalidHandshake, InvalidURI, TimeoutError) as error:
            if not connected:
                raise ServerUnreachable(f"no server answers at {mask(remote.base)} ({error})") from error
            reason = str(error)
        on_lost(f"({reason}; trying again)")
        await real_sleep(_RETRY_S)
