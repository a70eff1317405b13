"""Puts the parts of a hub together, in one process or in several; and takes them apart.

Nothing here may decide anything about workspaces.
"""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import socket
from collections.abc import AsyncIterator, Awaitable, Mapping
from dataclasses import dataclass

import aiohttp
import tornado.httpserver
import tornado.netutil

from hub import tools
from hub.controller import Controller
from hub.ground.base import Ground
from hub.ports import HOST, Ports
from hub.probe import Probe
from hub.profiles import Profile
from hub.state import State
from hub.web.auth import GuestSignIn, LocalSignIn, Person, SignIn, derive
from hub.web.base import Site
from hub.web.events import Watcher
from hub.web.server import make_application
from hub.workqueue import WorkQueue
from proxy.chp import ProxyClient, RouteKeeper
from proxy.process import ProxyProcess

MOST_BODY = 16 * 2**20


@dataclass(frozen=True)
class Setup:
    """What all parts of a hub have in common.

    Args:
        state: opened by the caller.
        key: the secret that all others are derived from.
        token: the API's bearer token.
        ground: where the hub stands.
        profiles: the menu.
        guests: whether everybody who opens a page is somebody of their own.
    """

    state: State
    key: bytes
    token: str
    ground: Ground
    profiles: Mapping[str, Profile]
    guests: bool = False

    @property
    def proxy_token(self) -> str:
        """What the proxy's API asks for."""
        return derive(self.key, "proxy")

    @property
    def code(self) -> str:
        """What may be typed into the sign-in page."""
        return derive(self.key, "sign-in")[:16]

    def sign_in(self, public_port: int, web_port: int) -> SignIn:
        """Who is who."""
        cookies = derive(self.key, "cookies")
        if self.guests:
            return GuestSignIn(self.token, cookies)
        person = Person(getpass.getuser())
        return LocalSignIn(person, self.token, self.code, cookies, public_port, web_port)

    def site(self, watcher: Watcher, session: aiohttp.ClientSession, public_port: int, web_port: int) -> Site:
        """What web works with."""
        return Site(
            store=self.ground.store,
            watcher=watcher,
            profiles=self.profiles,
            unavailable=self.ground.backend.unavailable,
            sign_in=self.sign_in(public_port, web_port),
            hub_key=self.key,
            session=session,
            own_port=self.ground.own_port,
            kept=self.ground.kept,
        )


@contextlib.asynccontextmanager
async def sessions() -> AsyncIterator[tuple[aiohttp.ClientSession, aiohttp.ClientSession]]:
    """A session for the hub's own requests, and one for what it relays as it is.

    Requests are held by the hundred, one for each thing that is watched, so their number has no limit here.
    """
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as own,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), auto_decompress=False) as relayed,
    ):
        yield own, relayed


async def run_together(stop: asyncio.Event, *parts: Awaitable[None]) -> bool:
    """Run parts until told to stop, or until one of them ends or fails, which raises.

    Returns:
        Whether it was told to stop.
    """
    tasks = [asyncio.ensure_future(part) for part in parts]
    told = asyncio.create_task(stop.wait())
    try:
        done, _ = await asyncio.wait([told, *tasks], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (told, *tasks):
            task.cancel()
        await asyncio.gather(told, *tasks, return_exceptions=True)
    for task in done - {told}:
        task.result()
    return told in done


def serve(site: Site, sockets: list[socket.socket]) -> tornado.httpserver.HTTPServer:
    """Begin to answer requests."""
    server = tornado.httpserver.HTTPServer(make_application(site), max_body_size=MOST_BODY)
    server.add_sockets(sockets)
    return server


class Hub:
    """All of Podium in one process, with its proxy as another.

    Args:
        setup: what all parts have in common.
        ip, port: the public address.
        ports: holds the proxy's ports.
    """

    def __init__(self, setup: Setup, ip: str, port: int, ports: Ports) -> None:
        self._setup = setup
        self._port = port
        self._ports = ports
        state = setup.state
        log, command = state.directory / "proxy.log", tools.configurable_http_proxy()
        self._proxy = ProxyProcess(command, state.hub, f"{ip}:{port}", setup.proxy_token, log, ports)
        self._public = f"http://{ip}:{port}"

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until told to stop, then end every process that was started.

        When a part of the hub fails instead, what it runs for people is left alone.
        """
        setup, ground, queue = self._setup, self._setup.ground, WorkQueue()
        async with sessions() as (session, relayed):
            await ground.start()
            sockets = tornado.netutil.bind_sockets(0, HOST)
            web = sockets[0].getsockname()[1]
            client = ProxyClient(session, lambda: self._proxy.api, setup.proxy_token)
            keeper = RouteKeeper(client, f"http://{HOST}:{web}")
            await self._proxy.start(keeper.restarted)
            watcher = Watcher(ground.store)
            server = serve(setup.site(watcher, relayed, self._port, web), sockets)
            probe = Probe(session, queue.add, self._public)
            controller = Controller(
                ground.store, ground.backend, keeper, probe, queue, setup.key, profiles=setup.profiles
            )
            self._welcome()
            told = False
            try:
                following = [part() for part in ground.follows()]
                leading = ground.lead(controller.run)
                told = await run_together(stop, *following, watcher.run(), keeper.run(), leading)
            finally:
                queue.close()
                await probe.close()
                server.stop()
                await self._end(told)
                await server.close_all_connections()

    async def _end(self, told: bool) -> None:
        """End the processes that were started, or leave them for the next hub to find."""
        if told:
            print("\nStopping …", flush=True)
        said = await self._setup.ground.close(told)
        if told:
            await self._proxy.end()
            print(said, flush=True)
        else:
            self._proxy.abandon()
        self._ports.close()

    def _welcome(self) -> None:
        code = self._setup.code
        grouped = " ".join(code[start : start + 4] for start in range(0, len(code), 4))
        print(
            f"\n  Podium is ready:  {self._public}/\n"
            f"  Should the page ask for a code, it is  {grouped}\n"
            f"  State and logs are in {self._setup.state.directory}. Ctrl-C stops everything.\n",
            flush=True,
        )


async def run_web(setup: Setup, ip: str, port: int, public_port: int, stop: asyncio.Event) -> None:
    """The web tier as a process of its own: pages, API and relay, behind a proxy that somebody else runs.

    Args:
        ip, port: where it listens, for the proxy.
        public_port: of the address that people open.
    """
    ground = setup.ground
    await ground.start()
    async with sessions() as (_, relayed):
        watcher = Watcher(ground.store)
        sockets = tornado.netutil.bind_sockets(port, ip)
        server = serve(setup.site(watcher, relayed, public_port, port), sockets)
        print(f"Podium's web tier listens on {ip}:{port}.", flush=True)
        try:
            await run_together(stop, *(part() for part in ground.follows(backend=False)), watcher.run())
        finally:
            server.stop()
            await ground.close(told=False)
            await server.close_all_connections()


async def run_controller(setup: Setup, proxy: str, web: str, public: str, stop: asyncio.Event) -> None:
    """The controller as a process of its own; of several, one acts.

    Args:
        proxy: address of the proxy's API.
        web: address of the web tier, as the proxy reaches it.
        public: address of the proxy itself, as the controller reaches it.
    """
    ground, queue = setup.ground, WorkQueue()
    await ground.start()
    async with sessions() as (session, _):
        keeper = RouteKeeper(ProxyClient(session, lambda: proxy, setup.proxy_token), web)
        probe = Probe(session, queue.add, public)
        controller = Controller(
            ground.store, ground.backend, keeper, probe, queue, setup.key, profiles=setup.profiles
        )

        async def act() -> None:
            print("This controller acts.", flush=True)
            await run_together(stop, controller.run(), keeper.run())

        try:
            await run_together(stop, *(part() for part in ground.follows()), ground.lead(act))
        finally:
            queue.close()
            await probe.close()
            await ground.close(told=False)
