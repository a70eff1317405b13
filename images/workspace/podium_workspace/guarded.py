"""HTTP handlers that answer only to who has the token, for schedulers that have no such thing themselves.

Every account of the machine can connect to a loopback port; and no page of another site can make a browser
send an `Authorization` header. Nothing here may know of any framework.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from http import HTTPStatus
from pathlib import Path
from typing import Any

from tornado.iostream import StreamClosedError
from tornado.web import HTTPError, RequestHandler

from podium_workspace import tokens
from podium_workspace.held import Held

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)


class Guarded(RequestHandler):
    """Wants `Authorization: Bearer` with the `token` of the application's settings."""

    def prepare(self) -> None:
        """Refuse who may not ask."""
        if not tokens.bears(self.request.headers.get("Authorization"), self.settings["token"]):
            raise HTTPError(HTTPStatus.UNAUTHORIZED)

    def set_default_headers(self) -> None:
        """Nothing here is for caches."""
        self.set_header("Cache-Control", "no-store")
        self.set_header("X-Content-Type-Options", "nosniff")

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """The reason in a line, without a trace."""
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(f"{status_code} {self._reason}\n")


class State(Guarded):
    """`GET …?since=<version>`: a state now, or its next change."""

    def initialize(self, held: Held) -> None:
        """Remember which state."""
        self.held = held
        self.waiting: asyncio.Task[Any] | None = None

    async def get(self) -> None:
        """Answer, unless whoever asked has left meanwhile."""
        self.waiting = asyncio.current_task()
        answer = await self.held.answer(self.get_query_argument("since", ""))
        self.waiting = None
        with contextlib.suppress(StreamClosedError):
            await self.finish(answer)

    def on_connection_close(self) -> None:
        """Wait no longer for nobody."""
        if self.waiting is not None:
            self.waiting.cancel()


class Health(RequestHandler):
    """Whether the port answers: the one thing that everybody may know."""

    def get(self) -> None:
        """Answer with nothing."""
        self.set_status(HTTPStatus.NO_CONTENT)


class Page(Guarded):
    """A file that a browser may load; what it loads in turn must be beside it."""

    def initialize(self, path: Path, kind: str) -> None:
        """Remember which file, and its media type."""
        self.path = path
        self.kind = kind

    def get(self) -> None:
        """Send it."""
        self.set_header("Content-Type", f"{self.kind}; charset=utf-8")
        self.set_header("Content-Security-Policy", POLICY)
        self.finish(self.path.read_bytes())


def instances(body: bytes) -> set[str]:
    """The names in `{"workers": […]}`.

    Raises:
        HTTPError: 400, when it is nothing of the kind.
    """
    try:
        names = json.loads(body)["workers"]
    except (ValueError, TypeError, KeyError):
        raise HTTPError(HTTPStatus.BAD_REQUEST) from None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise HTTPError(HTTPStatus.BAD_REQUEST)
    return set(names)
