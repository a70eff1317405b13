"""A small server that stands for a dashboard or a notebook: says what it was asked, misbehaves on request.

What it does depends on the last part of the path, so that it can be put below any prefix.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import WSMsgType, web
from multidict import CIMultiDictProxy

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Seen:
    """One request as it arrived; `target` is the request line's, as it was written."""

    method: str
    target: str
    headers: CIMultiDictProxy[str]
    body: bytes


@dataclass
class Upstream:
    """What arrived, and what it takes to let a held answer go on."""

    url: str = ""
    seen: list[Seen] = field(default_factory=list)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a handshake that is held, below `/slow/`, has come."""
    left: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when whoever waited for a held answer went away."""
    close_codes: asyncio.Queue[int | None] = field(default_factory=asyncio.Queue)
    """With what each WebSocket ended, as this end saw it."""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer as the last part of the path says."""
        last = request.path.rpartition("/")[2]
        if last == "ws":
            self._note(request, b"")
            return await self._websocket(request)
        body = await request.read()
        self._note(request, body)
        match last:
            case "held":
                await self._held()
            case "stream":
                return await self._stream(request)
            case "broken":
                return await self._broken(request)
            case "garbage":
                assert request.transport is not None
                request.transport.write(b"this is not HTTP\r\n\r\n")
                request.transport.close()
                return web.Response()
            case "redirect":
                return web.Response(status=302, headers={"Location": request.query["to"]})
            case "cookies":
                answer = web.Response()
                for cookie in request.query.getall("set"):
                    answer.headers.add("Set-Cookie", cookie)
                return answer
            case "hops":
                headers = {"Keep-Alive": "timeout=9", "X-Once": "1", "X-Kept": "2", "Connection": "X-Once"}
                return web.Response(headers=headers)
            case "packed":
                answer = web.Response(text="plain words " * 100, headers={"ETag": '"1"'})
                answer.enable_compression()
                return answer
            case "teapot":
                return web.Response(status=418, reason="Teapot", text="short and stout")
            case "nothing":
                return web.Response(status=204)
            case "unchanged":
                return web.Response(status=304, headers={"ETag": '"1"'})
        said = {"method": request.method, "target": request.raw_path, "body": body.decode()}
        return web.Response(text=json.dumps(said), headers={"X-Own": "kept"}, content_type="application/json")

    def _note(self, request: web.Request, body: bytes) -> None:
        self.seen.append(Seen(request.method, request.raw_path, request.headers, body))

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "text/plain"})
        await answer.prepare(request)
        await answer.write(b"first")
        await self._held()
        await answer.write(b" last")
        return answer

    async def _held(self) -> None:
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.left.set()
            raise

    async def _broken(self, request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "text/plain"})
        await answer.prepare(request)
        await answer.write(b"first")
        await self.go_on.wait()
        assert request.transport is not None
        request.transport.abort()
        return answer

    async def _websocket(self, request: web.Request) -> web.WebSocketResponse:
        if "/slow/" in request.path:
            self.asked.set()
            await self._held()
        socket = web.WebSocketResponse(protocols=("second", "bokeh"), max_msg_size=0)
        await socket.prepare(request)
        async for message in socket:
            if message.type is WSMsgType.BINARY:
                await socket.send_bytes(message.data[::-1])
            elif message.data.startswith("close "):
                await socket.close(code=int(message.data.removeprefix("close ")), message=b"as asked")
            elif message.data == "vanish":
                assert request.transport is not None
                request.transport.abort()
            else:
                await socket.send_str(message.data.upper())
        self.close_codes.put_nowait(socket.close_code)
        return socket


@asynccontextmanager
async def listening() -> AsyncIterator[Upstream]:
    """An upstream that listens on a loopback port of its own."""
    upstream = Upstream()
    app = web.Application(client_max_size=2**25)
    app.router.add_route("*", "/{path:.*}", upstream.answer)
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, HOST, 0).start()
    upstream.url = f"http://{HOST}:{runner.addresses[0][1]}"
    try:
        yield upstream
    finally:
        upstream.go_on.set()
        await runner.cleanup()
