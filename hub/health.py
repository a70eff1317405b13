"""What the probes and the monitoring of a part are told, at a port of its own and without sign-in.

`/healthz` fails only where starting the process again would help, `/readyz` where it should get no requests
yet, or no more. That an API server is away is neither: what runs stays reachable. Nothing here may know what
is asked for, or let out more than figures.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import tornado.httpserver
import tornado.netutil
import tornado.web
from prometheus_client import CONTENT_TYPE_LATEST

from hub.metrics import Figures


class Health:
    """Whether a process is alive, and whether it is ready.

    Args:
        stop: set once somebody asked the process to end.
        first: what has to be there once before it is ready: a word for it, and what waits for it.
    """

    def __init__(
        self,
        stop: asyncio.Event | None = None,
        first: Mapping[str, Callable[[], Awaitable[object]]] | None = None,
    ) -> None:
        self._stop = stop
        self._first = dict(first or {})
        self.works: Callable[[], bool] = lambda: True
        """Whether the work goes on; set by who does it."""

    async def run(self) -> None:
        """Wait for what has to be there, and then until cancelled."""
        for name, wait in list(self._first.items()):
            await wait()
            del self._first[name]
        await asyncio.Event().wait()

    @property
    def ailing(self) -> list[str]:
        """What is wrong, so that the process should be started again."""
        return [] if self.works() else ["work"]

    @property
    def missing(self) -> list[str]:
        """What is not ready."""
        stopping = self._stop is not None and self._stop.is_set()
        return [*self.ailing, *self._first, *(["stopping"] if stopping else [])]

    def answer(self, path: str) -> tuple[int, dict[str, object]]:
        """Status and JSON object for `/healthz` or `/readyz`."""
        failing = self.ailing if path == "/healthz" else self.missing
        return (503, {"status": "failing", "failing": failing}) if failing else (200, {"status": "ok"})


class _HealthHandler(tornado.web.RequestHandler):
    def get(self) -> None:
        status, body = self.settings["health"].answer(self.request.path)
        self.set_status(status)
        self.finish(body)


class _FiguresHandler(tornado.web.RequestHandler):
    async def get(self) -> None:
        page = await self.settings["figures"].page()
        self.set_header("Content-Type", CONTENT_TYPE_LATEST)
        self.finish(page)


@contextlib.asynccontextmanager
async def answering(health: Health, figures: Figures, ip: str, port: int) -> AsyncIterator[None]:
    """Answer probes for as long as the context lasts.

    Args:
        ip, port: where.
    """
    application = tornado.web.Application(
        [(r"/(?:healthz|readyz)", _HealthHandler), (r"/metrics", _FiguresHandler)],
        health=health,
        figures=figures,
        log_function=lambda handler: None,
    )
    server = tornado.httpserver.HTTPServer(application)
    server.add_sockets(tornado.netutil.bind_sockets(port, ip))
    try:
        yield
    finally:
        server.stop()
        await server.close_all_connections()
