"""What machines ask of web: whether it is well, and figures; and what is noted of each request.

Nothing here may write.
"""

from __future__ import annotations

import logging
from http import HTTPStatus

import tornado.web
from prometheus_client import CONTENT_TYPE_LATEST

from hub.web.base import BaseHandler, Site

log = logging.getLogger("podium.access")

MOST_LETTERS = 200


class HealthHandler(BaseHandler):
    """Whether the process is well, and whether it is ready."""

    anybody = True

    async def get(self) -> None:
        """Say so."""
        status, body = self.site.health.answer(self.request.path)
        self.write_json(body, status)


class MetricsHandler(BaseHandler):
    """The figures of this process, for whoever has the token."""

    least = "operator"

    async def get(self) -> None:
        """Show them."""
        page = await self.site.metrics.figures.page()
        self.set_header("Content-Type", CONTENT_TYPE_LATEST)
        self.finish(page)


def answered(handler: tornado.web.RequestHandler) -> None:
    """Count an answer and log it, without the query, which may hold what is nobody's business."""
    site, request, status = handler.settings["site"], handler.request, handler.get_status()
    assert isinstance(site, Site)
    method, path = str(request.method), request.path[:MOST_LETTERS]
    seconds = request.request_time()
    about: dict[str, object] = {
        "method": method,
        "path": path,
        "status": status,
        "ms": round(1000 * seconds, 1),
    }
    held = False
    if isinstance(handler, BaseHandler):
        about["request"] = handler.request_id
        held = handler.held
    site.metrics.answered(method, status, type(handler).__name__, None if held else seconds)
    level = logging.WARNING if status >= HTTPStatus.INTERNAL_SERVER_ERROR else logging.DEBUG
    log.log(level, "%s %s %d %.1f ms", method, path, status, about["ms"], extra=about)


ROUTES = [(r"/(?:healthz|readyz)", HealthHandler), (r"/metrics", MetricsHandler)]
