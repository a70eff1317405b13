"""A controller in this process that can be disturbed, cut off and killed; the proxy and the pods are played.

Requests to pods never leave the machine: they go to `FakePods`. Nothing here may decide what is right.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import aiohttp
from aiohttp.client import _RequestContextManager, _WSRequestContextManager
from yarl import URL

from hub.backends.kubernetes.backend import KubernetesBackend
from hub.controller import Controller
from hub.edges import Edges, House
from hub.kube.api import Api
from hub.kube.lease import Lease
from hub.kube.recorder import Recorder
from hub.metrics import ControllerMetrics, Figures, KubernetesMetrics, Room
from hub.probe import Probe
from hub.store.room_kubernetes import RoomResource
from hub.workqueue import WorkQueue
from tests.builders import HUB_KEY
from tests.memory_edges import MemoryProxy

if TYPE_CHECKING:
    from tests.kubernetes.hub_in_cluster import HubInCluster

PUBLIC = "http://podium.invalid"
Send = Callable[[], Awaitable[Any]]


class Wire(Api):
    """The controller's way to the API server, which a test may listen to, disturb and cut."""

    def __init__(self, configuration: Any) -> None:
        super().__init__(configuration)
        self.requests: list[tuple[str, str]] = []
        self.cut = False
        self.hub: HubInCluster
        self.meddle: Callable[[str, str, Send], Awaitable[Any]] | None = None
        """What stands between: given method, path and what sends the request, it returns the answer."""

    async def _send(self, method: str, path: str, *rest: Any) -> Any:
        if self.cut:
            raise aiohttp.ClientConnectionError("killed")
        self.requests.append((method, path))
        self.hub.note(method, path)
        send = partial(super()._send, method, path, *rest)
        return await (self.meddle(method, path, send) if self.meddle else send())

    @property
    def asked_for_lease(self) -> int:
        """How often the lease was looked at."""
        return sum(method == "GET" and "/leases/" in path for method, path in self.requests)

    @property
    def writes(self) -> list[tuple[str, str]]:
        """The requests that could change something; Events only tell of it."""
        return [
            (method, path) for method, path in self.requests if method != "GET" and path[-7:] != "/events"
        ]


class RunningController:
    """All parts of a controller, which runs from now on.

    Args:
        hub: what it looks after.
        api: its own way to the API server.
        port: of the fake programs.
        lease: when it acts.
    """

    def __init__(self, hub: HubInCluster, api: Wire, port: int, lease: Mapping[str, float]) -> None:
        self.api = api
        self.api.hub = hub
        self.figures = Figures()
        self.api.asked = KubernetesMetrics(self.figures).asked
        self.store = hub.make_store(api)
        self.backend = KubernetesBackend(api, hub.release)
        self.queue = WorkQueue()
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        reached = cast(aiohttp.ClientSession, Rewriting(self._session, hub.routes, port))
        self._probe = Probe(reached, self.queue.add, PUBLIC)
        self._proxy = Proxy(hub.routes)
        edges = Edges(self.store, self.backend, self._proxy, self._probe)
        self._recorder = Recorder(api, hub.namespace)
        told, metrics = self._recorder.reported, ControllerMetrics(self.figures)
        Room(self.figures, metrics, self.store, self.queue, self._proxy)
        self.room = RoomResource(api, hub.namespace)
        house = House(hub.profiles, hub.marks, hub.rules, self.room)
        self.controller = Controller(edges, self.queue, HUB_KEY, metrics=metrics, reported=told, house=house)
        act: Callable[[], Coroutine[Any, Any, None]] = self.controller.run
        if lease:
            elected = Lease(
                api, hub.namespace, f"{hub.release.name}-controller", secrets.token_hex(4), **lease
            )
            act = partial(elected.lead, self.controller.run)
        self.running = asyncio.create_task(self._run(act))

    @property
    def all_looked_at(self) -> bool:
        """Whether every workspace that there was at the start was looked at since."""
        return self._proxy.whole

    async def _run(self, act: Callable[[], Coroutine[Any, Any, None]]) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.store.run())
            tasks.create_task(self.room.run())
            tasks.create_task(self.backend.run())
            tasks.create_task(self._recorder.run())
            tasks.create_task(act())

    async def end(self) -> None:
        """End all of it; raises what it failed with, if it did."""
        self.queue.close()
        self.running.cancel()
        await asyncio.wait([self.running])
        await self._probe.close()
        await self._session.close()
        await self.api.close()
        if not self.running.cancelled():
            self.running.result()


class Proxy(MemoryProxy):
    """A proxy's routes, of which is known whether every workspace had its turn."""

    whole = False

    @property
    def wanted(self) -> Mapping[str, str]:
        """As a keeper of real proxies tells it."""
        return self.table

    @property
    def present(self) -> Mapping[str, int]:
        """The same, of the one proxy that there is."""
        return {PUBLIC: len(self.table)}

    def complete(self) -> None:
        super().complete()
        self.whole = True


class Rewriting:
    """A session whose requests to pods, and to the proxy, go to the fake programs.

    Args:
        session: what sends them.
        routes: the proxy's.
        port: where the fake programs listen.
    """

    def __init__(self, session: aiohttp.ClientSession, routes: Mapping[str, str], port: int) -> None:
        self._session = session
        self._routes = routes
        self._port = port

    def get(self, url: str, **options: Any) -> _RequestContextManager:
        """As the session's."""
        return self.request("GET", url, **options)

    def request(
        self, method: str, url: str, headers: Mapping[str, str] | None = None, **options: Any
    ) -> _RequestContextManager:
        """As the session's."""
        here, pod = self._there(url)
        return self._session.request(method, here, headers={**(headers or {}), **pod}, **options)

    def ws_connect(
        self, url: str, headers: Mapping[str, str] | None = None, **options: Any
    ) -> _WSRequestContextManager:
        """As the session's."""
        here, pod = self._there(url)
        return self._session.ws_connect(here, headers={**(headers or {}), **pod}, **options)

    def _there(self, url: str) -> tuple[URL, dict[str, str]]:
        """Where a request goes, and what it says of the pod that it is for."""
        target = URL(url)
        if url.startswith(PUBLIC):
            route = self._routes.get(f"/{target.parts[1]}", "http://nobody:0")
            target = URL(route).join(target.relative())
        here = target.with_host("127.0.0.1").with_port(self._port)
        return here, {"X-Pod": f"{target.host}:{target.port}"}
