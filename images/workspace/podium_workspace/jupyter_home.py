"""The routes for what becomes of the home folder, and of the notebook: keep the one, start the other again.

    GET podium/archive?limit=<bytes>   the home folder as a gzipped tar; 204 while nobody has worked in it
    POST podium/restart {"at": …}      start again: no kernels, and a server that has forgotten everything

The folder is packed by a process of its own (`archive.py`), so that the notebook serves on. Who is asked to
start again replaces itself, so that its pod, and a home folder that is only in it, stays.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import tempfile
from http import HTTPStatus
from pathlib import Path

from jupyter_server.base.handlers import APIHandler
from jupyter_server.serverapp import ServerApp
from tornado import web
from tornado.iostream import StreamClosedError

PIECE = 2**18
ASKED = "PODIUM_RESTARTED"
"""The variable that holds the last request to start again that was made before this pod was."""


class Life:
    """This life of the notebook.

    Args:
        app: the server.
        home: the home folder.
        since: what is newer was made by somebody who worked here.
    """

    def __init__(self, app: ServerApp, home: Path, since: float) -> None:
        self.home, self.since = home, since
        self._app = app
        self._note = Path(tempfile.gettempdir(), "podium-restarted")
        self.again = False
        """Whether to start again once the server has ended."""

    @property
    def restarted(self) -> str:
        """The last request to start again that was followed; empty for none."""
        with contextlib.suppress(OSError):
            return self._note.read_text()
        return os.environ.get(ASKED, "")

    def restart(self, at: str) -> None:
        """Follow a request to start again."""
        self._note.write_text(at)
        self.again = True
        self._app.io_loop.add_callback(self._app.stop)


def start_again() -> None:
    """Replace this process by a new one of the same program; does not return."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - itself


class Archive(APIHandler):
    """The home folder."""

    _track_activity = False

    def initialize(self, life: Life) -> None:
        """Take whose home it is."""
        self._life = life

    @web.authenticated
    async def get(self) -> None:
        """Send it, piece by piece; half of it never looks like all of it."""
        limit = self.get_query_argument("limit", str(sys.maxsize))
        if not limit.isdecimal():
            raise web.HTTPError(HTTPStatus.BAD_REQUEST)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "podium_workspace.archive", os.fspath(self._life.home)),
            *("--limit", limit, "--since", str(self._life.since)),
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        try:
            piece = await process.stdout.read(PIECE)
            if piece:
                self.set_header("Content-Type", "application/gzip")
            while piece:
                self.write(piece)
                await self.flush()
                piece = await process.stdout.read(PIECE)
            failed = bool(await process.wait())
        except StreamClosedError:
            return  # nobody listens any more
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        if failed and self._headers_written:
            self.detach().close()
        elif failed:
            raise web.HTTPError(HTTPStatus.INTERNAL_SERVER_ERROR)
        else:
            if not self._headers_written:
                self.set_status(HTTPStatus.NO_CONTENT)
            await self.finish()


class Restart(APIHandler):
    """A new start."""

    _track_activity = False

    def initialize(self, life: Life) -> None:
        """Take what is to start again."""
        self._life = life

    @web.authenticated
    async def post(self) -> None:
        """Start again, once this is answered; a request that was followed already changes nothing."""
        asked = (self.get_json_body() or {}).get("at")
        if not isinstance(asked, str) or len(asked) > 64:
            raise web.HTTPError(HTTPStatus.BAD_REQUEST)
        self.set_status(HTTPStatus.ACCEPTED)
        await self.finish("{}")
        if asked != self._life.restarted:
            self._life.restart(asked)
