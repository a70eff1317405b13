"""An API server of which a test plays every word, over real HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

PATIENCE = 20.0


class Asked:
    """A request that waits for its answer.

    Args:
        request: as it came.
        body: its JSON, or None.
    """

    def __init__(self, request: web.Request, body: Any) -> None:
        self.request = request
        self.body = body
        self.answered: asyncio.Future[web.StreamResponse] = asyncio.get_running_loop().create_future()
        self._stream: web.StreamResponse | None = None

    @property
    def line(self) -> str:
        """Method and path."""
        return f"{self.request.method} {self.request.path}"

    @property
    def query(self) -> dict[str, str]:
        """What follows the question mark."""
        return dict(self.request.query)

    def answer(self, body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        """Answer with JSON, or with a text as it is."""
        text = body if isinstance(body, str) else json.dumps(body)
        self.answered.set_result(web.Response(status=status, text=text, headers=headers))

    def refuse(self, status: int, reason: str = "", message: str = "", **headers: str) -> None:
        """Answer as an API server refuses."""
        body = {"kind": "Status", "status": "Failure", "reason": reason, "message": message, "code": status}
        self.answer(body, status, {name.replace("_", "-"): value for name, value in headers.items()})

    def hang_up(self) -> None:
        """Cut the connection."""
        assert self.request.transport is not None
        self.request.transport.abort()

    async def say(self, *events: Mapping[str, Any]) -> None:
        """Send events of a watch."""
        await self.write("".join(json.dumps(event) + "\n" for event in events))

    async def write(self, text: str) -> None:
        """Send a part of a watch as it is."""
        if self._stream is None:
            self._stream = web.StreamResponse()
            await self._stream.prepare(self.request)
        await self._stream.write(text.encode())

    def end(self) -> None:
        """End a watch as a server does whose time is over."""
        self.answered.set_result(self._stream or web.Response())


class Server:
    """Takes requests and hands them to the test one by one."""

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[Asked] = asyncio.Queue()
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._handle)
        self._server = TestServer(application)

    async def start(self) -> str:
        """Listen. Returns the address."""
        await self._server.start_server(shutdown_timeout=0)
        return str(self._server.make_url("")).rstrip("/")

    async def stop(self) -> None:
        """End everything."""
        await self._server.close()

    async def asked(self, line: str = "", **query: str) -> Asked:
        """The next request, which has to be what is expected.

        Args:
            line: method and path; empty for whatever comes.
            query: what has to be in its query.
        """
        async with asyncio.timeout(PATIENCE):
            asked = await self._waiting.get()
        assert line in ("", asked.line)
        assert query.items() <= asked.query.items(), asked.query
        return asked

    @property
    def unheard(self) -> int:
        """How many requests came that nobody looked at."""
        return self._waiting.qsize()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        text = await request.text()
        asked = Asked(request, json.loads(text) if text else None)
        self._waiting.put_nowait(asked)
        return await asked.answered
