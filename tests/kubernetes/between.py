"""What stands between a controller and the API server: passes requests on, and answers some of them itself.

It speaks plain HTTP on the loopback address to a kubeconfig of its own. Nothing here may know what is asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
from aiohttp import web

from hub.kube.api import Api
from tests.cluster import certificates
from tests.cluster.access import Cluster

Fault = Callable[[web.Request], "web.Response | None"]


class Between:
    """A reverse proxy.

    Args:
        cluster: whose API server it passes requests on to, as the administrator.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.fault: Fault = lambda request: None
        """What is answered in place of the API server; None lets a request pass."""
        self.lose: Fault = lambda request: None
        """What is answered although the API server carried the request out."""
        self.watched: list[str] = []
        """The paths of the watches that were begun."""
        self.asked: list[str] = []
        """Method and path of every other request."""
        self.flowing = asyncio.Event()
        """While it is not set, what watches tell comes late."""
        self.flowing.set()
        self._watching: set[asyncio.Task[object]] = set()
        self._silent: set[asyncio.Task[object]] = set()

    @contextlib.asynccontextmanager
    async def serve(self, kubeconfig: Path) -> AsyncIterator[None]:
        """Listen, and write the kubeconfig that leads here."""
        self._api = await Api.connect(self._cluster.kubeconfig)
        app = web.Application(client_max_size=2**24)
        app.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        certificates.kubeconfig(kubeconfig, {"server": f"http://127.0.0.1:{runner.addresses[0][1]}"}, {})
        try:
            yield
        finally:
            await runner.cleanup()
            await self._api.close()

    def fall_silent(self) -> None:
        """Let nothing more come through the watches there are."""
        self._silent |= self._watching

    def hang_up(self) -> None:
        """End the watches there are."""
        for task in self._watching:
            task.cancel()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if "watch" not in request.query:
            self.asked.append(f"{request.method} {request.path}")
        own = self.fault(request)
        if own is not None:
            return own
        text = await request.read()
        body = json.loads(text) if text else None
        kind, accept = request.headers["Content-Type"], request.headers["Accept"]
        endless = aiohttp.ClientTimeout(total=None)
        given = await self._api._send(request.method, request.path_qs, body, None, kind, accept, endless)
        async with given:
            if "watch" in request.query:
                return await self._pass_on(request, given)
            whole = web.Response(body=await given.read(), status=given.status, headers=_kept(given))
            return self.lose(request) or whole

    async def _pass_on(self, request: web.Request, given: aiohttp.ClientResponse) -> web.StreamResponse:
        """A watch, which stays as it is when it falls silent."""
        self.watched.append(request.path)
        task = asyncio.current_task()
        assert task is not None
        self._watching.add(task)
        task.add_done_callback(self._watching.discard)
        answer = web.StreamResponse(status=given.status)
        await answer.prepare(request)
        async for chunk in given.content.iter_any():
            if task in self._silent:
                await asyncio.Event().wait()
            await self.flowing.wait()
            await answer.write(chunk)
        return answer


def _kept(given: aiohttp.ClientResponse) -> dict[str, str]:
    return {name: given.headers[name] for name in ("Content-Type", "Retry-After") if name in given.headers}


def refusal(status: int, reason: str, **headers: str) -> web.Response:
    """What the API server says when it refuses."""
    said = {"kind": "Status", "status": "Failure", "code": status, "reason": reason, "message": reason}
    return web.json_response(said, status=status, headers=headers)
