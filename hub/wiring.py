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
from hub.archives.base import Archives
from hub.archives.remote import RemoteArchives
from hub.configuration import Secrets, is_loopback
from hub.controller import Controller
from hub.edges import Edges, House
from hub.ground.base import Ground
from hub.health import Health
from hub.metrics import ControllerMetrics, Figures, Room, WebMetrics
from hub.pool import fingerprint
from hub.ports import HOST, Ports
from hub.preflight.runner import Known, Preflight
from hub.preflight.trial import Trier
from hub.probe import Probe
from hub.profiles import Profile
from hub.rules import Rules
from hub.state import State
from hub.web.address import PublicAddress
from hub.web.auth import GuestSignIn, LocalSignIn, Mode, Person, SignIn, derive
from hub.web.base import Site
from hub.web.class_sign_in import ClassSignIn
from hub.web.events import Watcher
from hub.web.oidc import OidcSettings, OidcSignIn
from hub.web.server import Server
from hub.workqueue import WorkQueue
from proxy.chp import ProxyClient
from proxy.keeper import RouteKeeper
from proxy.process import ProxyProcess

KEPT = "What was made in its home folder is kept, and can be downloaded from the home page."


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
        archive: the archive part; empty for none.
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
    archive: str = ""


@dataclass(frozen=True)
class Setup:
    """What all parts of a hub have in common.

    Args:
        secrets: the key and what is not derived from it.
        ground: where the hub stands.
        profiles: the menu.
        addresses: who listens where.
        mode: how people sign in.
        oidc: where they do, if that is elsewhere.
        rules: what the operator decided for the class as a whole.
        image: what runs where a profile names no image.
        figures: what the monitoring reads.
    """

    secrets: Secrets
    ground: Ground
    profiles: Mapping[str, Profile]
    addresses: Addresses
    mode: Mode = "local"
    oidc: OidcSettings | None = None
    rules: Rules = Rules()
    image: str = ""
    figures: Figures = field(default_factory=Figures)

    @property
    def marks(self) -> dict[str, str]:
        """Profile to the fingerprint that members of its pool have."""
        return {name: fingerprint(profile, self.image) for name, profile in self.profiles.items()}

    @property
    def code(self) -> str:
        """What may be typed into the sign-in page."""
        return derive(self.secrets.key, "sign-in")[:16]

    @property
    def address(self) -> PublicAddress:
        """By which names the hub may be asked. Raises ConfigurationError when `public_url` is no address."""
        here = self.addresses
        local = self.mode == "local" or (not here.public_url and is_loopback(here.ip))
        return PublicAddress(here.public_url, local)

    def sign_in(self, public_port: int, web_port: int) -> SignIn:
        """Who is who."""
        key, token = self.secrets.key, self.secrets.token
        cookies = derive(key, "cookies")
        match self.mode:
            case "guest":
                return GuestSignIn(token, cookies)
            case "class":
                return ClassSignIn(token, cookies, key, self.password)
            case "oidc":
                assert self.oidc is not None
                return OidcSignIn(token, cookies, key, self.oidc, self.secrets.oidc)
        person = Person(getpass.getuser(), role="operator")
        return LocalSignIn(person, token, self.code, cookies, public_port, web_port)

    @property
    def password(self) -> str:
        """The instructors', where people join a class: the one that was given, else one of the hub's own."""
        return self.secrets.instructor or derive(self.secrets.key, "instructor")[:16]

    def archives(self, session: aiohttp.ClientSession) -> Archives:
        """What keeps the homes of workspaces that end; `session` must leave bodies as they are."""
        if not self.addresses.archive:
            return self.ground.archives
        return RemoteArchives(session, self.addresses.archive, derive(self.secrets.key, "archives"))

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
            marks=self.marks,
            archives=self.archives(session),
            unavailable=self.ground.backend.unavailable,
            sign_in=self.sign_in(public_port, web_port),
            address=self.address,
            hub_key=self.secrets.key,
            session=session,
            own_port=self.ground.own_port,
            kept=KEPT if self.addresses.archive else self.ground.kept,
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


def make_controller(
    setup: Setup, keeper: RouteKeeper, probe: Probe, queue: WorkQueue, relayed: aiohttp.ClientSession
) -> Controller:
    """The controller, whose figures are told with the process's others.

    Args:
        relayed: a session that leaves bodies as they are.
    """
    ground, metrics = setup.ground, ControllerMetrics(setup.figures)
    Room(setup.figures, metrics, ground.store, queue, keeper)
    edges = Edges(ground.store, ground.backend, keeper, probe)
    return Controller(
        edges,
        queue,
        setup.secrets.key,
        metrics=metrics,
        reported=ground.reported,
        house=House(setup.profiles, setup.marks, setup.rules, ground.room, setup.archives(relayed)),
    )


def make_preflight(setup: Setup, session: aiohttp.ClientSession, public: str, own: str) -> Preflight:
    """What answers whether all is ready.

    Args:
        public: what people open; empty where that is not configured.
        own: the address of the proxy, as it is reached from here.
    """
    ground = setup.ground
    ways = tuple(dict.fromkeys(way for way in (public, own) if way))
    trier = Trier(ground.store, session, setup.secrets.key, ways, ground.backend.unavailable)
    known = Known(
        room=ground.room,
        trier=trier,
        surroundings=ground.surroundings,
        profiles=setup.profiles,
        rules=setup.rules,
        sign_in=setup.mode,
        archives=setup.archives(session),
        issuer=setup.oidc.issuer if setup.oidc else "",
        public_url=public,
        local=setup.address.local,
    )
    return Preflight(known)


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
            controller = make_controller(setup, keeper, probe, queue, relayed)
            preflight = make_preflight(
                setup, session, setup.addresses.public_url or self._public, self._public
            )
            health.works = controller.works

            async def act() -> None:
                await run_together(stop, controller.run(), preflight.run())

            told = False
            try:
                following = [part() for part in ground.follows()]
                following.append(self._welcome_once())
                leading = ground.lead(act)
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

    async def _welcome_once(self) -> None:
        """Welcome people once the room is known, which in a cluster takes those that follow it."""
        self._welcome((await self._setup.ground.room.get()).spec.code)
        await asyncio.Event().wait()

    def _welcome(self, number: int) -> None:
        """Say where the hub is, and what one needs to get in; `number` is that of the join code."""
        setup, public = self._setup, self._setup.addresses.public_url or self._public
        lines = [f"Podium is ready:  {public}/"]
        if setup.mode == "class":
            invitation = setup.sign_in(self._port, 0).invitation(number)
            assert invitation is not None
            lines += [
                f"Attendees join at {public}/join#{invitation.secret}  or with the code  {invitation.code}",
                "Instructors' password:  " + ("as given" if setup.secrets.instructor else setup.password),
            ]
        elif setup.mode == "local":
            code = " ".join(setup.code[start : start + 4] for start in range(0, 16, 4))
            lines.append(f"Should the page ask for a code, it is  {code}")
        lines.append(f"State and logs are in {self._state.directory}. Ctrl-C stops everything.")
        print("\n  " + "\n  ".join(lines) + "\n", flush=True)
