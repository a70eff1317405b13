"""A controller in this process on a real API server, the fake programs of its pods, and people who look on.

What is real (objects, pods, routes, what schedulers know) outlives a controller; `start` makes everything
else anew, as when one is killed and started again. Requests to pods never leave the machine: they go to
`FakePods`. Nothing here may decide what is right.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, cast

import aiohttp
from aiohttp.client import _RequestContextManager
from yarl import URL

from hub import admission
from hub.backends.kubernetes.backend import KubernetesBackend
from hub.backends.kubernetes.names import COLLECTIONS, Release
from hub.backends.kubernetes.observed import Namespace, Pod
from hub.controller import Controller
from hub.errors import Conflict
from hub.kube.api import NOT_ANSWERING, Api, ApiError
from hub.kube.informer import Informer
from hub.kube.lease import Lease
from hub.model import Workspace
from hub.probe import Probe
from hub.profiles import read_profiles
from hub.store.kubernetes import GROUP, PLURAL, VERSION, KubernetesStore
from hub.workqueue import WorkQueue
from tests.builders import HUB_KEY
from tests.cluster.access import Cluster
from tests.cluster.fake_pods import FakePods
from tests.memory_edges import MemoryProxy
from tests.waiting import until

PATIENCE = 60.0
"""Seconds after which a condition that should come true is taken to never do so."""
PUBLIC = "http://podium.invalid"
SMALL = {"cpu": 0.1, "memory": "64Mi"}
SOON = {"spec": {"terminationGracePeriodSeconds": 1}}
"""Kubernetes removes a namespace no sooner than half the longest grace period of the pods in it."""
PROFILE = {
    "workers": 2,
    "clusters": {"dask": {}},
    "max_workers": 100,
    "resources": {"notebook": SMALL, "scheduler": SMALL, "worker": SMALL},
    "kubernetes": {"pod_patch": {"notebook": SOON, "scheduler": SOON, "worker": SOON}},
}
HELD = {"metadata": {"annotations": {"podium.test/held": ""}}}
"""A patch for pods whose status a test writes itself."""


def profile(held: str = "", resources: Mapping[str, Any] | None = None, **kubernetes: Any) -> dict[str, Any]:
    """The profile of these tests with something changed.

    Args:
        held: the role whose pods are left to the test.
        resources: role to what it needs.
        kubernetes: settings of the profile of that name.
    """
    patch = {role: SOON | (HELD if role == held else {}) for role in ("notebook", "scheduler", "worker")}
    needs = {**cast(dict[str, Any], PROFILE["resources"]), **(resources or {})}
    return {**PROFILE, "resources": needs, "kubernetes": {"pod_patch": patch, **kubernetes}}


PROFILES = {
    "workshop": PROFILE,
    "held": profile(held="notebook"),
    "held-workers": profile(held="worker"),
    "kept": profile(home={"size": "1Gi"}),
    "passing": profile(namespace_lost="remove"),
    "tight": profile(quota={"pods": "3"}),
    "huge": profile(resources={"notebook": {"cpu": 700, "memory": "64Mi"}}),
    "picky": profile(node_selector={"podium.test/kind": "special"}),
}
"""The menu, each entry named for what it is used for in tests."""


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
        """The requests that could change something."""
        return [request for request in self.requests if request[0] != "GET"]


class HubInCluster:
    """A release of its own in a namespace of its own.

    Args:
        cluster: with nodes whose pods do not exist.
        namespace: an empty one, for the Workspace objects.
        kubeconfig: the controller's; by default the administrator's.
    """

    def __init__(
        self,
        cluster: Cluster,
        namespace: str,
        kubeconfig: Path | None = None,
    ) -> None:
        self.cluster = cluster
        self.namespace = namespace
        self.release = Release(namespace, namespace)
        self.routes: dict[str, str] = {}
        self.lost: list[str] = []
        """Workers that a controller ended though their scheduler, which knew them, was not asked to drain."""
        self.made: dict[tuple[str, str], set[str]] = {}
        """Namespace and name of each pod there ever was to the uids it had."""
        self._addresses = 0
        self.profiles = read_profiles(PROFILES)
        self.kubeconfig = kubeconfig or cluster.kubeconfig
        """The controller's, from its next start on."""
        self._controllers: list[RunningController] = []
        self._watching: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Have people who look on, and programs in the pods."""
        self.people = await Api.connect(self.cluster.kubeconfig)
        self.store = self.make_store(self.people)
        labels = f"podium.hub/release={self.release.name}"
        self.fake = FakePods(self.people, labels, pause=0.02)
        (self._port,) = await self.fake.listen("127.0.0.1", [0])
        self._pods = Informer(self.people, "/api/v1/pods", Pod, labels, self._pod_moved)
        self._namespaces = Informer(self.people, "/api/v1/namespaces", Namespace, labels, _nothing)
        followed = (self.store.run, self.fake.run, self._pods.run, self._namespaces.run)
        self._watching = [asyncio.create_task(follow()) for follow in followed]
        await self._pods.synced.wait()

    async def close(self) -> None:
        """Kill what runs and let the cluster remove the rest by itself."""
        await self.kill_all()
        for workspace in await self.store.list():
            path = f"/apis/{GROUP}/{VERSION}/namespaces/{self.namespace}/{PLURAL}/{workspace.name}"
            free = [{"op": "add", "path": "/metadata/finalizers", "value": []}]
            with contextlib.suppress(ApiError, *NOT_ANSWERING):
                await self.people.call("PATCH", path, free, content_type="application/json-patch+json")
        for namespace in self.namespaces():
            with contextlib.suppress(ApiError, *NOT_ANSWERING):
                await self.people.call("DELETE", f"/api/v1/namespaces/{namespace}")
        for task in self._watching:
            task.cancel()
        await asyncio.gather(*self._watching, return_exceptions=True)
        await self.fake.close()
        await self.people.close()

    # The controller.

    def make_store(self, api: Api) -> KubernetesStore:
        """A store of this release's Workspace objects."""
        return KubernetesStore(api, self.namespace, partial(admission.complete, self.profiles))

    async def start(self, **lease: float) -> RunningController:
        """Start a controller, which knows nothing but what is real.

        Args:
            lease: its duration, patience and period in seconds; without them, it acts at once.
        """
        api = await Wire.connect(self.kubeconfig)
        assert isinstance(api, Wire)
        controller = RunningController(self, api, self._port, lease)
        self._controllers.append(controller)
        return controller

    async def kill(self, controller: RunningController) -> None:
        """Kill a controller: no request of it comes after this."""
        self._controllers.remove(controller)
        controller.api.cut = True
        await controller.end()

    async def kill_all(self) -> None:
        """Kill all controllers."""
        for controller in list(self._controllers):
            await self.kill(controller)

    async def stop(self, controller: RunningController) -> None:
        """Ask a controller to end, which it does in order."""
        self._controllers.remove(controller)
        await controller.end()

    # People.

    async def launch(self, profile: str = "workshop", name: str = "", **spec: Any) -> str:
        """Ask for a workspace. Returns its name."""
        name = name or new_name()
        body = {"spec": {"profile": profile, **spec}}
        asked = admission.launch(body, self.profiles, "ada", name, datetime.now(UTC))
        await self.store.create(asked)
        return name

    async def ask(self, name: str, **spec: Any) -> None:
        """Change what is asked for, as the API does it: again, when a controller's report came between."""
        while True:
            changed = admission.change(await self.get(name), {"spec": spec}, datetime.now(UTC))
            with contextlib.suppress(Conflict):
                await self.store.update(changed)
                return

    async def get(self, name: str) -> Workspace:
        """The workspace as people see it."""
        workspace = await self.store.get(name)
        assert workspace is not None
        return workspace

    async def kubectl(self, *arguments: str, given: str | None = None) -> str:
        """Run kubectl as the administrator."""
        return await asyncio.to_thread(self.cluster.kubectl, *arguments, given=given)

    async def see(self, *arguments: str) -> Any:
        """What `kubectl get` gives, decoded."""
        return await asyncio.to_thread(self.cluster.get, *arguments)

    async def create(self, *objects: dict[str, Any]) -> None:
        """Make objects as the administrator."""
        await asyncio.to_thread(self.cluster.create, *objects)

    async def absent(self, name: str) -> bool:
        """Whether there is no Workspace object of a name."""
        return await self.store.get(name) is None

    async def until(self, what: str, true: Callable[[], Any], patience: float = PATIENCE) -> Any:
        """Wait until something is true; raises AssertionError with what there is when it never is."""
        try:
            return await until(what, true, patience)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{await self._snapshot()}") from None

    async def tells(self, name: str, **parts: object) -> bool:
        """Whether a workspace has these parts in its status."""
        seen = (await self.get(name)).status
        return all(getattr(seen, key) == value for key, value in parts.items())

    async def counts(self, name: str, **parts: object) -> bool:
        """Whether a workspace has these parts in the status of its Dask cluster."""
        seen = (await self.get(name)).status.clusters.get("dask")
        return seen is not None and all(getattr(seen, key) == value for key, value in parts.items())

    async def troubled(self, name: str) -> Workspace | None:
        """A workspace whose Dask cluster has something wrong."""
        workspace = await self.get(name)
        return workspace if workspace.status.clusters["dask"].message else None

    async def phase(self, name: str, phase: str, reason: str = "", patience: float = PATIENCE) -> Workspace:
        """Wait until a workspace says so, and return it."""

        async def seen() -> Workspace | None:
            workspace = await self.store.get(name)
            if workspace is None:
                return None
            status = workspace.status
            return workspace if (status.phase, status.reason) == (phase, reason) else None

        return cast(Workspace, await self.until(f"{name} is {phase} {reason}", seen, patience))

    async def ready(self, name: str, workers: int = 2) -> Workspace:
        """Wait until a workspace is Ready with all its workers, and no others, and return it."""

        async def seen() -> Workspace | None:
            workspace = await self.store.get(name)
            if workspace is None or workspace.status.phase != "Ready":
                return None
            same = workspace.status.workers == len(self.workers(name)) == workers
            return workspace if same else None

        return cast(Workspace, await self.until(f"{name} is Ready with {workers} workers", seen))

    async def gone(self, name: str) -> None:
        """Wait until nothing is left of a workspace."""

        async def seen() -> bool:
            there = name in self.namespaces() or self.pods(name) or f"/{name}" in self.routes
            return await self.store.get(name) is None and not there

        await self.until(f"{name} is gone", seen)

    # Reality.

    def pods(self, name: str) -> dict[str, Pod]:
        """The pods of a workspace."""
        return {key: pod for (place, key), pod in self._pods.objects.items() if place == name}

    def workers(self, name: str) -> set[str]:
        """The names of its workers."""
        return {
            key for key, pod in self.pods(name).items() if pod.metadata.labels["podium.hub/role"] == "worker"
        }

    def uids(self, name: str) -> set[str]:
        """What tells the pods of a workspace from others of the same names."""
        return {pod.metadata.uid for pod in self.pods(name).values()}

    def lives(self, name: str) -> int:
        """How many pods the workspace ever had."""
        return sum(len(uids) for (place, _), uids in self.made.items() if place == name)

    def free_address(self) -> str:
        """An address for a pod whose status a test writes itself; kwok gives none of these."""
        self._addresses += 1
        return f"10.255.{self._addresses // 250}.{self._addresses % 250 + 1}"

    def namespaces(self) -> set[str]:
        """The namespaces of all workspaces of this release."""
        return {name for _, name in self._namespaces.objects}

    async def status_of(self, name: str, pod: str, status: Mapping[str, Any]) -> None:
        """Write a pod's status, as its machine would."""
        path = f"{COLLECTIONS['Pod'].format(name)}/{pod}/status"
        kind = "application/strategic-merge-patch+json"
        await self.people.call("PATCH", path, {"status": dict(status)}, content_type=kind)

    def _pod_moved(self, before: Pod | None, now: Pod | None) -> None:
        pod = now or before
        assert pod is not None
        key = (pod.metadata.namespace, pod.metadata.name)
        self.made.setdefault(key, set()).add(pod.metadata.uid)

    def note(self, method: str, path: str) -> None:
        """Take note of a controller's request."""
        _, _, _, _, name, *rest = [*path.split("/"), "", ""]
        if method != "DELETE" or rest[:1] != ["pods"]:
            return
        pod = self.pods(name).get(rest[1])
        asked = (name, rest[1]) in self.fake.asked or (pod is not None and pod.terminating)
        if pod and pod.metadata.uid in self.fake.registered and not pod.over and not asked:
            self.lost.append(f"{name}/{rest[1]}")

    async def _snapshot(self) -> str:
        statuses = [(w.name, w.deleting, w.status) for w in await self.store.list()]
        pods = [(*key, pod.status.phase, pod.status.pod_ip) for key, pod in self._pods.objects.items()]
        return f"{statuses}\n{pods}\n{self.routes}"


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
        self.store = hub.make_store(api)
        self.backend = KubernetesBackend(api, hub.release)
        self.queue = WorkQueue()
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        reached = cast(aiohttp.ClientSession, Rewriting(self._session, hub.routes, port))
        self._probe = Probe(reached, self.queue.add, PUBLIC)
        self._proxy = Proxy(hub.routes)
        self.controller = Controller(
            self.store, self.backend, self._proxy, self._probe, self.queue, HUB_KEY, profiles=hub.profiles
        )
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
            tasks.create_task(self.backend.run())
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
        target = URL(url)
        if url.startswith(PUBLIC):
            route = self._routes.get(f"/{target.parts[1]}", "http://nobody:0")
            target = URL(route).join(target.relative())
        here = target.with_host("127.0.0.1").with_port(self._port)
        pod = {"X-Pod": f"{target.host}:{target.port}"}
        return self._session.request(method, here, headers={**(headers or {}), **pod}, **options)


def new_name() -> str:
    """A name that no workspace has."""
    return f"cluster-{secrets.token_hex(4)}"


def _nothing(before: object, now: object) -> None:
    """Nobody is told."""


@contextlib.asynccontextmanager
async def hub_in(cluster: Cluster, namespace: str) -> AsyncIterator[HubInCluster]:
    """A release whose controller is not started yet; at its end no worker was lost."""
    hub = HubInCluster(cluster, namespace)
    await hub.open()
    try:
        yield hub
    finally:
        await hub.close()
    assert hub.lost == [], "no worker ended that was not drained"
