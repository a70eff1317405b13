"""Puts the handlers together. Nothing here may handle anything."""

from __future__ import annotations

import asyncio
from pathlib import Path

import tornado.web

from hub.web import api, metrics, pages, relay
from hub.web.auth import XSRF_COOKIE
from hub.web.base import Site

TEMPLATES = Path(__file__).resolve().parent.parent.parent / "templates"
PING_SECONDS = 30


def make_application(site: Site) -> tornado.web.Application:
    """The web tier of a hub."""
    background: set[asyncio.Task[object]] = set()
    return tornado.web.Application(
        [
            *api.ROUTES,
            *pages.ROUTES,
            *metrics.ROUTES,
            *relay.ROUTES,
            (r"/static/(.*)", pages.StaticHandler, {"path": str(TEMPLATES / "static")}),
            (r"/(.*)", pages.MissingHandler),
        ],
        site=site,
        background=background,
        template_path=str(TEMPLATES),
        static_path=str(TEMPLATES / "static"),
        static_handler_class=pages.StaticHandler,
        static_url_prefix="/static/",
        cookie_secret=site.sign_in.cookie_secret,
        xsrf_cookies=True,
        xsrf_cookie_name=XSRF_COOKIE,
        xsrf_cookie_kwargs={"samesite": "Strict", "path": "/"},
        websocket_ping_interval=PING_SECONDS,
        websocket_max_message_size=relay.MOST_MESSAGE,
    )
