"""Dask's scheduler as `dask scheduler` runs it, with its dashboard's port guarded by a token.

The token comes from the file that `PODIUM_DASK_TOKEN_FILE` names, TLS from Dask's own settings; neither may
be an argument, which every account of the machine can read.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import resource
import signal
from collections.abc import Callable
from typing import Any

import dask.config
from distributed import Scheduler, Status
from distributed.http.scheduler import info
from tornado.httputil import HTTPMessageDelegate, HTTPServerRequest
from tornado.routing import Router
from tornado.web import Application, RequestHandler, stream_request_body

from podium_workspace import tokens
from podium_workspace.dask_draining import Draining

ROUTES = [
    "podium_workspace.dask_routes",
    "distributed.http.scheduler.info",
    "distributed.http.scheduler.json",
    "distributed.http.scheduler.prometheus",
    "distributed.http.health",
    "distributed.http.statics",
]
"""Dask's own but for its relay, which would reach whatever the scheduler's machine can reach."""

logger = logging.getLogger("distributed.podium")


@stream_request_body
class Outside(RequestHandler):
    """The answer to everything that may not pass: a status; the body of a request is dropped as it comes."""

    def initialize(self, status: int) -> None:
        """Take the status to answer with."""
        self._status = status

    def data_received(self, chunk: bytes) -> None:
        """Drop it."""

    def get(self) -> None:
        """Answer."""
        self.set_status(self._status)
        if self._status == 401:
            self.set_header("WWW-Authenticate", "Bearer")

    head = post = put = patch = delete = options = get


class Guard(Router):
    """Lets a request pass when it bears the token, whatever it is for: pages, WebSockets, files.

    Args:
        inside: what is guarded.
        token: the secret.
        health: the one path at which everybody is told, with nothing, that there is an answer.
        ready: whether what is guarded can answer by now; before, everybody gets 503.
    """

    def __init__(self, inside: Application, token: str, health: str, ready: Callable[[], bool]) -> None:
        self._inside = inside
        self._token = token
        self._health = health
        self._ready = ready
        self._outside = Application()

    def find_handler(self, request: HTTPServerRequest, **kwargs: Any) -> HTTPMessageDelegate | None:
        """Choose who answers a request, from its headers alone."""
        status = 503
        if self._ready():
            if tokens.bears(request.headers.get("Authorization"), self._token):
                return self._inside.find_handler(request, **kwargs)
            status = 204 if request.path == self._health else 401
        return self._outside.get_handler_delegate(request, Outside, {"status": status})


async def run(host: str, port: int, dashboard_port: int, prefix: str, token: str) -> None:
    """Run a scheduler until a signal asks to end.

    Args:
        host: the address to listen on.
        port: for workers and clients.
        dashboard_port: for the dashboard.
        prefix: what the path of every page begins with.
        token: what every request to the dashboard's port has to bear.

    Raises:
        RuntimeError: when a port is not to be had.
    """
    dask.config.set({"distributed.scheduler.http.routes": ROUTES})
    # These pages are two levels deep and climb three, which only goes well at the root.
    info.rel_path_statics["rel_path_statics"] = prefix
    scheduler = Scheduler(
        host=host,
        port=port,
        protocol="tls",
        dashboard_address=f"{host}:{dashboard_port}",
        dashboard=True,
        http_prefix=prefix,
    )
    # Nothing was awaited since the port was bound, so no request can have come before the guard.
    scheduler.http_server.request_callback = Guard(
        scheduler.http_application,
        token,
        f"{prefix}/health",
        lambda: bool(scheduler.status == Status.running),
    )
    if scheduler.http_server.port != dashboard_port:
        raise RuntimeError(f"port {dashboard_port} is taken")
    scheduler.add_plugin(Draining(scheduler))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, lambda: loop.create_task(scheduler.close(reason="asked to end")))
    await scheduler
    await scheduler.finished()


def main() -> None:
    """Read arguments and environment, and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--dashboard-port", type=int, required=True)
    parser.add_argument("--prefix", required=True)
    given = parser.parse_args()
    token = tokens.read(os.environ.pop("PODIUM_DASK_TOKEN_FILE"))
    # Each worker and each client takes some descriptors.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, hard // 2), hard))
    asyncio.run(run(given.host, given.port, given.dashboard_port, given.prefix, token))


if __name__ == "__main__":
    main()
