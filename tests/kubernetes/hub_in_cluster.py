"""A controller in this process on a real API server, the fake programs of its pods, and people who look on.

What is real (objects, pods, routes, what schedulers know) outlives a controller; `start` makes everything
else anew, as when one is killed and started again. Nothing here may decide what is right.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, cast

import yaml

from hub import admission
from hub.backends.kubernetes.names import COLLECTIONS, Release
from hub.backends.kubernetes.observed import Namespace, Pod
from hub.errors import Conflict
from hub.kube.api import NOT_ANSWERING, Api, ApiError
from hub.kube.informer import Informer
from hub.model import Workspace
from hub.pool import fingerprint
from hub.profiles import read_profiles
from hub.rules import Rules
from hub.store.kubernetes import GROUP, PLURAL, VERSION, KubernetesStore
from tests.cluster.access import Cluster
from tests.cluster.certificates import kubeconfig
from tests.cluster.fake_pods import FakePods
from tests.kubernetes.controllers import RunningController, Wire
from tests.kubernetes.identities import manifests
from tests.kubernetes.menu import PROFILES
from tests.waiting import until

PATIENCE = 60.0
"""Seconds after which a condition that should come true is taken to never do so."""
RIGHTS = {
    "ServiceAccount": "/api/v1/namespaces/{}/serviceaccounts",
    "Role": "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/roles",
    "RoleBinding": "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/rolebindings",
    "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
}
"""Kind to where the objects of `helm/files/rights` are made."""


class HubInCluster:
    """A release of its own in a namespace of its own.

    Args:
        cluster: with nodes whose pods do not exist.
        directory: for a kubeconfig with the rights that the controller has, and no others.
    """

    def __init__(self, cluster: Cluster, directory: Path) -> None:
        self.cluster = cluster
        self.namespace = f"podium-test-{secrets.token_hex(4)}"
        self.release = Release(self.namespace, self.namespace)
        self.routes: dict[str, str] = {}
        self.lost: list[str] = []
        """Workers that a controller ended though their scheduler, which knew them, was not asked to drain."""
        self.made: dict[tuple[str, str], set[str]] = {}
        """Namespace and name of each pod there ever was to the uids it had."""
        self._addresses = 0
        self.profiles = read_profiles(PROFILES)
        self.rules = Rules()
        self.kubeconfig = directory / f"{self.namespace}.kubeconfig"
        """The controller's, from its next start on."""
        self._controllers: list[RunningController] = []
        self._watching: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Have people who look on, and programs in the pods."""
        self.people = await Api.connect(self.cluster.kubeconfig)
        await self._prepare()
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
        for namespace in (*self.namespaces(), self.namespace):
            with contextlib.suppress(ApiError, *NOT_ANSWERING):
                await self.people.call("DELETE", f"/api/v1/namespaces/{namespace}")
        for kind in ("ClusterRoleBinding", "ClusterRole"):
            with contextlib.suppress(ApiError, *NOT_ANSWERING):
                await self.people.call("DELETE", f"{RIGHTS[kind]}/{self.release.name}-controller")
        for task in self._watching:
            task.cancel()
        await asyncio.gather(*self._watching, return_exceptions=True)
        await self.fake.close()
        await self.people.close()

    async def _prepare(self) -> None:
        """Make the namespace and the controller's account, and write a kubeconfig that shows its token."""
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}}
        await self.people.call("POST", COLLECTIONS["Namespace"], namespace)
        for body in yaml.safe_load_all(manifests("controller", self.release)):
            await self.people.call("POST", RIGHTS[body["kind"]].format(self.namespace), body)
        account = f"{RIGHTS['ServiceAccount'].format(self.namespace)}/{self.release.name}-controller"
        asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        given = await self.people.call("POST", f"{account}/token", asked)
        server = json.loads(await asyncio.to_thread(self.cluster.kubeconfig.read_text))["clusters"][0]
        kubeconfig(self.kubeconfig, server["cluster"], {"token": given["status"]["token"]})

    @property
    def marks(self) -> dict[str, str]:
        """Profile to the fingerprint of what is launched now."""
        return {name: fingerprint(profile, self.release.image) for name, profile in self.profiles.items()}

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


def new_name() -> str:
    """A name that no workspace has."""
    return f"cluster-{secrets.token_hex(4)}"


def _nothing(before: object, now: object) -> None:
    """Nobody is told."""


@contextlib.asynccontextmanager
async def hub_in(cluster: Cluster, directory: Path) -> AsyncIterator[HubInCluster]:
    """A release whose controller is not started yet; at its end no worker was lost."""
    hub = HubInCluster(cluster, directory)
    await hub.open()
    try:
        yield hub
    finally:
        await hub.close()
    assert hub.lost == [], "no worker ended that was not drained"
