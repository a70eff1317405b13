"""What is between a browser and the web tier: a proxy that can fail in every way that proxies do.

Nothing here may know what is asked.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import aiohttp
from aiohttp import web

HOST = "127.0.0.1"
HOP_BY_HOP = ("connection", "transfer-encoding", "content-length", "keep-alive")


class Line:
    """A reverse proxy.

    Args:
        target: the address it passes requests on to.
    """

    def __init__(self, target: str) -> None:
        self._target = target
        self.url = ""
        self.fault: Callable[[web.Request], web.Response | None] = lambda request: None
        """What is answered in place of the web tier; None lets a request pass."""
        self.refuses_websockets = False
        self.gathers = False
        """Whether events are held back until their stream ends, as some proxies do."""
        self.drops_cookies = False
        self.streams: list[asyncio.Task[object]] = []
        """The event streams of the API that were begun, also those that ended."""
        self.silent: set[asyncio.Task[object]] = set()
        """Those that nothing comes through any more."""

    @contextlib.asynccontextmanager
    async def serve(self) -> AsyncIterator[None]:
        """Listen."""
        async with aiohttp.ClientSession(
            auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar()
        ) as self._session:
            app = web.Application()
            app.router.add_route("*", "/{path:.*}", self._answer)
            runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
            await runner.setup()
            await web.TCPSite(runner, HOST, 0).start()
            self.url = f"http://{HOST}:{runner.addresses[0][1]}"
            try:
                yield
            finally:
                await runner.cleanup()

    async def hang_up(self) -> None:
        """End the event streams there are."""
        for task in self.streams:
            task.cancel()

    async def fall_silent(self) -> None:
        """Let nothing more come through the event streams there are."""
        self.silent |= set(self.streams)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        own = self.fault(request)
        if own is not None:
            return own
        dropped = (*HOP_BY_HOP, "cookie") if self.drops_cookies else HOP_BY_HOP
        headers = {name: value for name, value in request.headers.items() if name.lower() not in dropped}
        if request.headers.get("Upgrade") == "websocket":
            return await self._pass_on_both_ways(request, headers)
        async with self._session.request(
            request.method,
            self._target + request.path_qs,
            headers=headers,
            data=await request.read(),
            allow_redirects=False,
        ) as given:
            answer = web.StreamResponse(status=given.status)
            for name, value in given.headers.items():
                if name.lower() not in HOP_BY_HOP:
                    answer.headers.add(name, value)
            await answer.prepare(request)
            await self._pass_on(given, answer)
        return answer

    async def _pass_on(self, given: aiohttp.ClientResponse, answer: web.StreamResponse) -> None:
        task = asyncio.current_task()
        assert task is not None
        events = given.content_type == "text/event-stream"
        if events and given.url.path.startswith("/api/"):
            self.streams.append(task)
        if events and self.gathers:
            await answer.write(await given.read())
        async for chunk in given.content.iter_any():
            if task in self.silent:
                await asyncio.Event().wait()
            await answer.write(chunk)

    async def _pass_on_both_ways(
        self, request: web.Request, headers: dict[str, str]
    ) -> web.WebSocketResponse | web.Response:
        if self.refuses_websockets:
            return page_of_a_proxy(400)
        own = {n: v for n, v in headers.items() if not n.lower().startswith(("sec-websocket", "upgrade"))}
        near = web.WebSocketResponse()
        async with self._session.ws_connect(self._target + request.path_qs, headers=own) as far:
            await near.prepare(request)

            async def up() -> None:
                async for message in near:
                    await far.send_str(message.data)
                await far.close()

            sending = asyncio.create_task(up())
            async for message in far:
                await near.send_str(message.data)
            await near.close()
            await sending
        return near


def page_of_a_proxy(status: int) -> web.Response:
    """What a proxy shows while what is behind it is away."""
    return web.Response(status=status, text=f"<h1>{status}</h1>", content_type="text/html")
