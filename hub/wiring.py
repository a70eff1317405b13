"""Puts the parts of a hub together in one process, and takes them apart; `parts.py` has each by itself.

Nothing here may decide anything about workspaces.
"""

from __future__ import annotations

import asyncio
import contextlib
import getpass
from collections.abc import AsyncIterator, Awaitable, Mapping
from dataclasses import dataclass, field

import aiohttp
import tornado.netutil

from hub import tools
from hub.configuration import Secrets, is_loopback
from hub.controller import Controller
from hub.edges import Edges
from hub.ground.base import Ground
from hub.health import Health
from hub.metrics import ControllerMetrics, Figures, Room, WebMetrics
from hub.ports import HOST, Ports
from hub.probe import Probe
from hub.profiles import Profile
from hub.rules import Rules
from hub.state import State
from hub.web.address import PublicAddress
from hub.web.auth import GuestSignIn, LocalSignIn, Person, SignIn, derive
from hub.web.base import Site
from hub.web.events import Watcher
from hub.web.server import Server
from hub.workqueue import WorkQueue
from proxy.chp import ProxyClient
from proxy.keeper import RouteKeeper
from proxy.process import ProxyProcess


@dataclass(frozen=True, kw_only=True)
class Addresses:
    """Who listens where, and who is found where.

    Args:
        ip, port: of the hub on one machine; web listens at `ip`, too.
        public_url: what people open; empty for any name.
        web_port, metrics_port: where parts listen.
        web: address of the web tier, as the proxy reaches it.
        proxy: address of the proxy itself, as the controller reaches it.
        proxy_api: address of the only proxy's API.
        proxy_service: the Service of all proxies' APIs; empty for only one.
    """

    ip: str
    port: int
    public_url: str
    web_port: int
    metrics_port: int
    web: str
    proxy: str
    proxy_api: str
    proxy_service: str


@dataclass(frozen=True)
class Setup:
    """What all parts of a hub have in common.

    Args:
        secrets: the key and what is not derived from it.
        ground: where the hub stands.
        profiles: the menu.
        addresses: who listens where.
        guests: whether everybody who opens a page is somebody of their own.
        rules: what the operator decided for the class as a whole.
        figures: what the monitoring reads.
    """

    secrets: Secrets
    ground: Ground
    profiles: Mapping[str, Profile]
    addresses: Addresses
    guests: bool = False
    rules: Rules = Rules()
    figures: Figures = field(default_factory=Figures)

    @property
    def code(self) -> str:
        """What may be typed into the sign-in page."""
        return derive(self.secrets.key, "sign-in")[:16]

    @property
    def address(self) -> PublicAddress:
        """By which names the hub may be asked. Raises ConfigurationError when `public_url` is no address."""
        here = self.addresses
        local = not self.guests or (not here.public_url and is_loopback(here.ip))
        return PublicAddress(here.public_url, local)

    def sign_in(self, public_port: int, web_port: int) -> SignIn:
        """Who is who."""
        key, token = self.secrets.key, self.secrets.token
        cookies = derive(key, "cookies")
        if self.guests:
            return GuestSignIn(token, cookies)
        person = Person(getpass.getuser(), role="operator")
        return LocalSignIn(person, token, self.code, cookies, public_port, web_port)

    def site(
        self,
        watcher: Watcher,
        session: aiohttp.ClientSession,
        public_port: int,
        web_port: int,
        health: Health,
    ) -> Site:
        """What web works with."""
        return Site(
            store=self.ground.store,
            room=self.ground.room,
            rules=self.rules,
            watcher=watcher,
            profiles=self.profiles,
            unavailable=self.ground.backend.unavailable,
            sign_in=self.sign_in(public_port, web_port),
            address=self.address,
            hub_key=self.secrets.key,
            session=session,
            own_port=self.ground.own_port,
            kept=self.ground.kept,
            metrics=WebMetrics(self.figures),
            health=health,
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


def keep_routes(setup: Setup, session: aiohttp.ClientSession, web: str) -> RouteKeeper:
    """A keeper of proxies, which is still to be told where they are.

    Args:
        web: address of the web tier, as a proxy reaches it.
    """
    return RouteKeeper(lambda address: ProxyClient(session, address, setup.secrets.proxy), web)


def make_controller(setup: Setup, keeper: RouteKeeper, probe: Probe, queue: WorkQueue) -> Controller:
    """The controller, whose figures are told with the process's others."""
    ground, metrics = setup.ground, ControllerMetrics(setup.figures)
    Room(setup.figures, metrics, ground.store, queue, keeper)
    edges = Edges(ground.store, ground.backend, keeper, probe)
    return Controller(
        edges,
        queue,
        setup.secrets.key,
        profiles=setup.profiles,
        metrics=metrics,
        reported=ground.reported,
        room=ground.room,
        rules=setup.rules,
    )


class Hub:
    """All of Podium in one process, with its proxy as another.

    Args:
        setup: what all parts have in common.
        state: the state directory, opened by the caller.
        ports: holds the proxy's ports.
    """

    def __init__(self, setup: Setup, state: State, ports: Ports) -> None:
        self._setup = setup
        self._state = state
        self._ports = ports
        ip, port = setup.addresses.ip, setup.addresses.port
        self._port = port
        log, command = state.directory / "proxy.log", tools.configurable_http_proxy()
        self._proxy = ProxyProcess(command, state.hub, f"{ip}:{port}", setup.secrets.proxy, log, ports)
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
            keeper = keep_routes(setup, session, f"http://{HOST}:{web}")
            await self._proxy.start(keeper.restarted)
            keeper.set_replicas([self._proxy.api])
            watcher = Watcher(ground.store, ground.room)
            health = Health(stop, {"store": ground.store.list, "cluster": ground.backend.names})
            server = Server(setup.site(watcher, relayed, self._port, web, health), sockets)
            probe = Probe(session, queue.add, self._public)
            controller = make_controller(setup, keeper, probe, queue)
            health.works = controller.works
            self._welcome()
            told = False
            try:
                following = [part() for part in ground.follows()]
                leading = ground.lead(controller.run)
                parts = (watcher.run(), keeper.run(), health.run())
                told = await run_together(stop, *following, *parts, leading)
            finally:
                queue.close()
                await probe.close()
                await server.close()
                await self._end(told)

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
            f"  State and logs are in {self._state.directory}. Ctrl-C stops everything.\n",
            flush=True,
        )
