"""Puts a whole hub together on one machine: web, controller, backend and proxy; and takes it apart.

Nothing here may decide anything about workspaces.
"""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import os
from collections.abc import Mapping
from pathlib import Path

import aiohttp
import tornado.httpserver
import tornado.netutil

from hub import tools
from hub.backends.local import LocalBackend
from hub.controller import Controller
from hub.errors import ConfigurationError
from hub.ports import HOST, Ports
from hub.probe import Probe
from hub.profiles import Profile
from hub.state import State
from hub.store.files import FileStore
from hub.web import peers
from hub.web.auth import LocalSignIn, Person, derive
from hub.web.base import Site
from hub.web.events import Watcher
from hub.web.server import make_application
from hub.workqueue import WorkQueue
from proxy.chp import ProxyClient, RouteKeeper
from proxy.process import ProxyProcess

WORKSPACE_CODE = Path(__file__).resolve().parent.parent / "images" / "workspace"
MOST_BODY = 16 * 2**20


class Hub:
    """All of Podium in one process, with its proxy and its workspaces as others.

    Args:
        state: opened by the caller.
        ip, port: the public address.
        profiles: the menu.
    """

    def __init__(self, state: State, ip: str, port: int, profiles: Mapping[str, Profile]) -> None:
        self._state = state
        self._port = port
        self._profiles = profiles
        self._key = state.key()
        self._token = state.token()
        self._ports = Ports()
        self._store = FileStore(state.directory / "objects")
        self._backend = make_backend(state, self._ports)
        token = derive(self._key, "proxy")
        log, command = state.directory / "proxy.log", tools.configurable_http_proxy()
        self._proxy = ProxyProcess(command, state.hub, f"{ip}:{port}", token, log, self._ports)
        self._queue = WorkQueue()
        self._sessions = contextlib.AsyncExitStack()
        self._public = f"http://{ip}:{port}"

    @property
    def code(self) -> str:
        """What may be typed into the sign-in page."""
        return derive(self._key, "sign-in")[:16]

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until told to stop, then end every process that was started.

        When a part of the hub fails instead, what it runs for people is left alone.
        """
        async with self._sessions:
            session = await self._sessions.enter_async_context(aiohttp.ClientSession())
            relayed = await self._sessions.enter_async_context(aiohttp.ClientSession(auto_decompress=False))
            await self._backend.start()
            sockets = tornado.netutil.bind_sockets(0, HOST)
            web = f"{HOST}:{sockets[0].getsockname()[1]}"
            client = ProxyClient(session, lambda: self._proxy.api, derive(self._key, "proxy"))
            keeper = RouteKeeper(client, f"http://{web}")
            await self._proxy.start(keeper.restarted)
            watcher = Watcher(self._store)
            application = make_application(self._site(watcher, relayed, int(web.rpartition(":")[2])))
            server = tornado.httpserver.HTTPServer(application, max_body_size=MOST_BODY)
            server.add_sockets(sockets)
            probe = Probe(session, self._queue.add, self._public)
            controller = Controller(self._store, self._backend, keeper, probe, self._queue, self._key)
            self._welcome()
            parts = [asyncio.create_task(part.run()) for part in (watcher, controller, keeper)]
            told = asyncio.create_task(stop.wait())
            done, _ = await asyncio.wait([told, *parts], return_when=asyncio.FIRST_COMPLETED)
            for task in (told, *parts):
                task.cancel()
            await asyncio.gather(told, *parts, return_exceptions=True)
            self._queue.close()
            await probe.close()
            server.stop()
            await self._end(told in done)
            await server.close_all_connections()
            for part in done - {told}:
                part.result()

    def _site(self, watcher: Watcher, session: aiohttp.ClientSession, web_port: int) -> Site:
        """What web works with."""
        return Site(
            store=self._store,
            watcher=watcher,
            profiles=self._profiles,
            unavailable=self._backend.unavailable,
            sign_in=LocalSignIn(
                person=Person(getpass.getuser()),
                token=self._token,
                code=self.code,
                cookie_secret=derive(self._key, "cookies"),
                public_port=self._port,
                web_port=web_port,
            ),
            hub_key=self._key,
            session=session,
            own_port=own_port,
            kept=f"Its home folder is kept for a week in {self._state.directory / 'kept'}.",
        )

    async def _end(self, told: bool) -> None:
        """End the processes that were started, or leave them for the next hub to find."""
        if not told:
            await self._backend.close(end=False)
            self._proxy.abandon()
            self._ports.close()
            return
        print("\nStopping …", flush=True)
        ended = await self._backend.close(end=True)
        await self._proxy.end()
        self._ports.close()
        print(f"Stopped {ended + 1} {'processes' if ended else 'process'}.", flush=True)
        remaining = len(await self._store.list())
        if remaining:
            what = "workspace" if remaining == 1 else "workspaces"
            print(f"{remaining} {what} will be started again by the next `make run`.", flush=True)

    def _welcome(self) -> None:
        grouped = " ".join(self.code[start : start + 4] for start in range(0, len(self.code), 4))
        print(
            f"\n  Podium is ready:  {self._public}/\n"
            f"  Should the page ask for a code, it is  {grouped}\n"
            f"  State and logs are in {self._state.directory}. Ctrl-C stops everything.\n",
            flush=True,
        )


def make_backend(state: State, ports: Ports) -> LocalBackend:
    """The local backend, with the programs of this machine. Raises ConfigurationError when one is missing."""
    python = tools.workspace_python()
    if not python.exists():
        raise ConfigurationError("The packages of the workspaces are not installed.", "Use `make run`.")
    java = tools.java()
    env = {"PYTHONPATH": str(WORKSPACE_CODE), "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    path = [python.parent]
    if java.path is not None:
        path.append(java.path.parent)
        env["JAVA_HOME"] = str(java.path.parent.parent)
    unavailable = {} if java.path is not None else {"spark": f"Spark cannot run here. {java.reason}"}
    return LocalBackend(state.directory, state.hub, path, env, unavailable, ports)


def own_port(port: int) -> bool:
    """Whether the programs that listen on a port of this machine are all of this account."""
    table = peers.sockets()
    return table is None or peers.listeners(table, port) == {os.getuid()}
