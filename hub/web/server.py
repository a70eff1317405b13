"""Puts the handlers together, answers, and ends without a request lost. Nothing here may handle anything."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterable
from typing import Any

import tornado.httpserver
import tornado.iostream
import tornado.web

from hub.web import (
    api,
    archives,
    metrics,
    network_check,
    pages,
    preflight,
    relay,
    report,
    room,
    room_api,
    sign_in,
    sign_in_oidc,
)
from hub.web.auth import XSRF_COOKIE
from hub.web.base import TEMPLATES, Site
from hub.web.departure import Departure

PING_SECONDS = 30
MOST_BODY = 16 * 2**20
OPEN = 2.0
"""Seconds for which connections are still taken after the end was announced: whoever spreads requests over
several processes, such as kube-proxy, hears of it later than we do."""
LAST = 5.0
"""Seconds after the announcement after which what has not ended is cut."""


def make_application(site: Site) -> tornado.web.Application:
    """The web tier of a hub."""
    background: set[asyncio.Task[object]] = set()
    departure = Departure()
    return tornado.web.Application(
        [
            *room_api.ROUTES,
            *api.ROUTES,
            *pages.ROUTES,
            *network_check.ROUTES,
            *room.ROUTES,
            *preflight.ROUTES,
            *sign_in.ROUTES,
            *sign_in_oidc.ROUTES,
            *archives.ROUTES,
            *report.ROUTES,
            *metrics.ROUTES,
            *relay.ROUTES,
            (r"/static/(.*)", pages.StaticHandler, {"path": str(TEMPLATES / "static")}),
            (r"/(.*)", pages.MissingHandler),
        ],
        site=site,
        log_function=metrics.answered,
        background=background,
        departure=departure,
        wrong_codes=sign_in.wrong_codes(),
        transforms=[departure.last_answers()],
        template_path=str(TEMPLATES),
        static_path=str(TEMPLATES / "static"),
        static_handler_class=pages.StaticHandler,
        static_url_prefix="/static/",
        cookie_secret=site.sign_in.cookie_secret,
        xsrf_cookies=True,
        xsrf_cookie_name=XSRF_COOKIE,
        xsrf_cookie_kwargs={"samesite": "Strict", "path": "/", "secure": site.address.secure},
        websocket_ping_interval=PING_SECONDS,
        websocket_max_message_size=relay.MOST_MESSAGE,
    )


class Server:
    """Answers requests.

    Args:
        site: what handlers work with.
        sockets: where it listens.
    """

    def __init__(self, site: Site, sockets: Iterable[socket.socket]) -> None:
        self.application = make_application(site)
        self._departure: Departure = self.application.settings["departure"]
        self._http = _Server(self.application, max_body_size=MOST_BODY)
        self._http.add_sockets(sockets)

    async def end(self) -> None:
        """Answer what was asked, send everybody elsewhere, and take no new connections after a while.

        Streams and WebSockets are ended at once; an answer that takes longer than `LAST` is cut.
        """
        self._http.conn_params.no_keep_alive = True
        self._departure.announce()
        await asyncio.sleep(OPEN)
        self._http.stop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST - OPEN):
                await self._departure.over.wait()
                await self._http.left.wait()
        await self.close()

    async def close(self) -> None:
        """Take no new connections, and cut those there are."""
        self._http.stop()
        await self._http.close_all_connections()


class _Server(tornado.httpserver.HTTPServer):
    """Tells when nobody is connected."""

    def initialize(self, *args: Any, **kwargs: Any) -> None:
        super().initialize(*args, **kwargs)
        self.left = asyncio.Event()
        self.left.set()

    def handle_stream(self, stream: tornado.iostream.IOStream, address: tuple[Any, ...]) -> None:
        self.left.clear()
        super().handle_stream(stream, address)

    def on_close(self, server_conn: object) -> None:
        super().on_close(server_conn)
        if not self._connections:
            self.left.set()
