"""What the landing page tries before the click: whether cookies, WebSockets and event streams get through.

Nothing here may read or write an object.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import tornado.websocket

from hub.web.api import StreamHandler, told
from hub.web.base import BaseHandler

DRIPS, DRIP_SECONDS = 5, 0.1
"""The page takes them for held back when they come all at once."""
MOST_MESSAGE = 100
LONGEST = 10.0
"""Seconds for which an echo is waited for."""


class CheckHandler(BaseHandler):
    """The first question."""

    anybody = True

    async def get(self) -> None:
        """Say what time it is, and whether the browser sent who it is."""
        self.write_json({"now": self.now(), "signedIn": self.current_user is not None})


class DripHandler(StreamHandler):
    """An event stream whose events come one by one, unless something on the way gathers them."""

    async def get(self) -> None:
        """Send them."""
        await self.stream(drips())


async def drips() -> AsyncGenerator[str]:
    """Some events, with a pause between."""
    for number in range(DRIPS):
        yield told("drip", number)
        await asyncio.sleep(DRIP_SECONDS)


class EchoHandler(tornado.websocket.WebSocketHandler, BaseHandler):
    """A WebSocket that says what it hears, once."""

    def check_origin(self, origin: str) -> bool:
        return True  # `check_sender` has done it, for HTTP and WebSockets alike

    def open(self, *args: str, **kwargs: str) -> None:
        asyncio.get_running_loop().call_later(LONGEST, self.close)

    def on_message(self, message: str | bytes) -> None:
        if len(message) <= MOST_MESSAGE:
            self.write_message(message, binary=isinstance(message, bytes))
        self.close()


ROUTES = [
    (r"/check", CheckHandler),
    (r"/check/events", DripHandler),
    (r"/check/socket", EchoHandler),
]
