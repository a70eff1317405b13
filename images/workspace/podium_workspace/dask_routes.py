"""The routes that the scheduler's dashboard has beside Dask's own.

    GET  podium/state?since=<version>    the state of the workers, held while it is that version
    POST podium/drain                    {"workers": [names]}: ask them to finish

Dask finds `routes` by this module's name in its configuration. Who may ask is decided before, by
`dask_scheduler.Guard`.
"""

from __future__ import annotations

from typing import Any

from distributed.http.utils import RequestHandler

from podium_workspace.dask_draining import Draining
from podium_workspace.guarded import instances


class Home(RequestHandler):
    """Below a prefix, Dask's own way from here to the first page leads nowhere."""

    def get(self) -> None:
        """Go to the first page."""
        self.redirect(self.request.path.rstrip("/") + "/status")


class State(RequestHandler):
    """The state of the workers."""

    async def get(self) -> None:
        """Answer, now or at the next change."""
        self.write(await draining(self).state.answer(self.get_query_argument("since", "")))


class Drain(RequestHandler):
    """Workers that should finish."""

    def post(self) -> None:
        """Take the names; answers before anything is drained."""
        draining(self).drain(instances(self.request.body))
        self.set_status(202)


def draining(handler: Any) -> Draining:
    """The plugin of the scheduler that a handler belongs to."""
    plugin = handler.server.plugins[Draining.name]
    assert isinstance(plugin, Draining)
    return plugin


routes: list[tuple[str, type[RequestHandler], dict[str, Any]]] = [
    ("", Home, {}),
    ("podium/state", State, {}),
    ("podium/drain", Drain, {}),
]
