"""uvicorn's WebSocket protocol, with a way to cut the connection as a broken network would."""

from collections.abc import Callable, MutableMapping
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

_EXTENSION = "market_scraper.abort"


class AbortableWebSocket(WebSocketsSansIOProtocol):
    """ASGI knows no abort, and closing is always polite; so the transport's abort is lent to the application."""

    def handle_connect(self, event: Request) -> None:
        """Open as usual; the application starts after this returns, so it finds the extension."""
        super().handle_connect(event)
        if not self.transport.is_closing():
            extensions: MutableMapping[str, Any] = self.scope["extensions"]
            extensions[_EXTENSION] = {"abort": self.transport.abort}


def abort_of(scope: MutableMapping[str, Any]) -> Callable[[], None]:
    """The function that cuts this connection: the client sees 1006."""
    abort: Callable[[], None] = scope["extensions"][_EXTENSION]["abort"]
    return abort
