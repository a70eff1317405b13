"""The routes that the notebook has beside Jupyter's.

    GET podium/state?since=<version>   what the notebook is doing, held while it is that version
    GET podium/archive, POST podium/restart        see jupyter_home
    GET <workspace>_<name>/...         to the dashboard of that name, which is beside the notebook
    GET dask/clusters                  no cluster that JupyterLab's Dask extension could start or stop

An open browser tab asks Jupyter for one thing or another all the time; none of that is activity here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from jupyter_server.base.handlers import APIHandler, JupyterHandler
from jupyter_server.serverapp import ServerApp
from tornado import web
from tornado.ioloop import PeriodicCallback

from podium_workspace import jupyter_home
from podium_workspace.held import Held

LOOK_MILLISECONDS = 1000
NO_ACTIVITY = [
    *("create_subshell_request", "list_subshell_request", "delete_subshell_request"),
    *("create_subshell_reply", "list_subshell_reply", "delete_subshell_reply"),
]
"""Messages that JupyterLab sends when a notebook is opened, of which Jupyter Server does not know yet."""


class Activity:
    """What the notebook is doing.

    Args:
        app: the server.
        warnings: what went wrong before it started.
        life: knows whether it was started again.
    """

    def __init__(self, app: ServerApp, warnings: Sequence[str], life: jupyter_home.Life) -> None:
        self._app = app
        self._life = life
        self._warnings = list(warnings)
        self._last: datetime | None = None
        self.state = Held(self._look, lambda state: (state["busy"], state["warnings"]))

    def _look(self) -> dict[str, Any]:
        self._last = max(filter(None, [self._last, *self._seen()]), default=None)
        return {
            "busy": any(kernel.execution_state == "busy" for kernel in self._kernels()),
            "lastActivity": self._last and self._last.astimezone(UTC).isoformat(),
            "warnings": self._warnings,
            "restarted": self._life.restarted,
        }

    def _kernels(self) -> Iterator[Any]:
        manager = self._app.kernel_manager
        return (manager.get_kernel(kernel_id) for kernel_id in manager.list_kernel_ids())

    def _seen(self) -> Iterator[datetime]:
        """When kernels last had something to do, and when terminals were last written to or wrote."""
        for kernel in self._kernels():
            yield kernel.last_activity
        terminals = self._app.web_app.settings.get("terminal_manager")
        for terminal in terminals.terminals.values() if terminals else ():
            yield terminal.last_activity


class State(APIHandler):
    """What the notebook is doing."""

    _track_activity = False

    def initialize(self, activity: Activity) -> None:
        """Take whom to ask."""
        self._activity = activity

    @web.authenticated
    async def get(self) -> None:
        """Answer, now or at the next change."""
        self.finish(await self._activity.state.answer(self.get_query_argument("since", "")))


class Onward(JupyterHandler):
    """From an address below the notebook's to the same beside it.

    JupyterLab's Dask extension takes every address without a host for one below the notebook's.
    """

    def _log(self) -> None:
        """Leave it out of the log: an open Dask panel asks every few seconds."""

    @web.authenticated
    def get(self, route: str) -> None:
        """Send the browser on."""
        query = f"?{self.request.query}" if self.request.query else ""
        self.redirect(f"/{route}{query}")


class NoClusters(APIHandler):
    """What JupyterLab's Dask extension may manage: nothing, for the hub does."""

    _track_activity = False

    @web.authenticated
    def get(self) -> None:
        """The list of its clusters."""
        self.finish("[]")

    @web.authenticated
    def put(self) -> None:
        """A new one."""
        raise web.HTTPError(403, "The workspace has a cluster already; Client() is connected to it.")


def add(app: ServerApp, name: str, warnings: Sequence[str], life: jupyter_home.Life) -> PeriodicCallback:
    """Add the routes to a server that is set up but does not run yet.

    Args:
        name: the workspace's.
        warnings: what went wrong before it started.
        life: what the home folder is of.

    Returns:
        What looks for changes, to be started when the server runs.
    """
    activity = Activity(app, warnings, life)
    app.kernel_manager.untracked_message_types = [*app.kernel_manager.untracked_message_types, *NO_ACTIVITY]
    base = app.base_url.rstrip("/")
    app.web_app.add_handlers(
        ".*$",
        [
            (f"{base}/podium/state", State, {"activity": activity}),
            (f"{base}/podium/archive", jupyter_home.Archive, {"life": life}),
            (f"{base}/podium/restart", jupyter_home.Restart, {"life": life}),
            (f"{base}/dask/clusters", NoClusters),
            (rf"{base}/+({name}_[a-z0-9]+(?:/.*)?)", Onward),
        ],
    )
    return PeriodicCallback(activity.state.touch, LOOK_MILLISECONDS)
