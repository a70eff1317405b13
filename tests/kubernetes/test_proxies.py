"""The proxies of a release are found by their Service, as real slices of it tell, and kept equal.

The pods are objects alone: a test writes their addresses, and real proxies of this machine stand behind them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from hub.ground.kubernetes import KubernetesGround
from hub.kube.api import Api
from hub.ports import HOST
from tests.cluster.control_plane import ControlPlane
from tests.proxy.conftest import session
from tests.proxy.keeping import FIXED, A, B, Keeping, equal
from tests.proxy.real import RealProxy, real_proxy
from tests.waiting import until

__all__ = ["session"]

POD_NETWORK = "192.0.2."
"""What the API server takes for an address of a pod, which it does not of a loopback address."""


class Pods:
    """The pods of the proxies.

    Args:
        cluster: whose nodes do not exist.
        release: whose proxies they are.
    """

    def __init__(self, cluster: ControlPlane, release: Any) -> None:
        self._cluster = cluster
        self._labels = {"app.kubernetes.io/instance": release.name, "app.kubernetes.io/component": "proxy"}
        self._release = release
        self._addresses = 0

    def serve(self) -> None:
        """Make the Service, as the chart does."""
        ports = [{"name": "api", "port": 8001, "targetPort": "api"}]
        spec = {"clusterIP": "None", "publishNotReadyAddresses": True, "selector": self._labels}
        metadata = self._metadata(f"{self._release.name}-proxy-api")
        service = {"apiVersion": "v1", "kind": "Service", "metadata": metadata}
        self._cluster.create({**service, "spec": {**spec, "ports": ports}})

    def add(self, name: str, proxy: RealProxy) -> str:
        """Make a pod that runs, and is not ready. Returns the address of its API, as others see it."""
        self._addresses += 1
        ports = [{"name": "api", "containerPort": proxy.api_port}]
        spec = {
            "serviceAccountName": f"{self._release.name}-controller",
            "automountServiceAccountToken": False,
            "containers": [{"name": "main", "image": "example.invalid/none", "ports": ports}],
        }
        metadata = self._metadata(name, labels=self._labels, annotations={"podium.test/held": ""})
        self._cluster.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
        ip = f"{POD_NETWORK}{self._addresses}"
        status = {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}]}
        self._cluster.kubectl(
            *("patch", "pod", name, "-n", self._release.namespace, "--subresource=status"),
            *("--type=merge", f"--patch={json.dumps({'status': status})}"),
        )
        return f"http://{ip}:{proxy.api_port}"

    def remove(self, name: str) -> None:
        """Delete a pod at once."""
        self._cluster.kubectl("delete", "pod", name, "-n", self._release.namespace, "--force")

    def _metadata(self, name: str, **more: Any) -> dict[str, Any]:
        return {"name": name, "namespace": self._release.namespace, **more}


@pytest.fixture
def pods(cluster, release):
    """Those of a release whose Service is there."""
    if not isinstance(cluster, ControlPlane):
        pytest.skip("a cluster that KUBECONFIG names has machines, on which the pods would really run")
    pods = Pods(cluster, release)
    pods.serve()
    return pods


class Reaching(Keeping):
    """A keeper that finds behind the address of a pod what stands for it on this machine."""

    def client(self, address, session):
        port = address.rpartition(":")[2]
        assert POD_NETWORK in address
        return super().client(f"http://{HOST}:{port}", session)


@contextlib.asynccontextmanager
async def controller(kubeconfig, release, session) -> AsyncIterator[Reaching]:
    """Keeps the release's proxies, with the rights that the controller has."""
    ground = KubernetesGround(await Api.connect(kubeconfig), release, {})
    kept = Reaching(session)
    service = f"{release.name}-proxy-api"
    running = [
        asyncio.create_task(ground.proxies(service, kept.keeper.set_replicas)),
        asyncio.create_task(kept.keeper.run()),
    ]
    try:
        yield kept
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await ground.close(told=False)


async def test_they_come_and_go_and_each_has_every_route(pods, release, controller_kubeconfig, session):
    with contextlib.ExitStack() as stack:
        first, second, third = (stack.enter_context(real_proxy()) for _ in range(3))
        for name, proxy in (("first", first), ("second", second)):
            await asyncio.to_thread(pods.add, name, proxy)
        async with controller(controller_kubeconfig, release, session) as kept:
            await kept.keeper.put("cluster-aaaaaa", A)
            kept.keeper.tried()
            for proxy in (first, second):
                await equal(session, proxy, {**FIXED, **A})

            address = await asyncio.to_thread(pods.add, "third", third)
            await equal(session, third, {**FIXED, **A})
            assert kept.keeper.present.keys() > {address}

            await asyncio.to_thread(pods.remove, "third")
            await until("it is forgotten", lambda: address not in kept.keeper.present)
            await kept.keeper.put("cluster-bbbbbb", B)
            for proxy in (first, second):
                await equal(session, proxy, {**FIXED, **A, **B})
            await equal(session, third, {**FIXED, **A})


async def test_a_controller_that_begins_finds_them_and_leaves_alone_what_is_right(
    pods, release, controller_kubeconfig, session
):
    with real_proxy() as proxy:
        await asyncio.to_thread(pods.add, "first", proxy)
        async with controller(controller_kubeconfig, release, session) as kept:
            await kept.keeper.put("cluster-aaaaaa", A)
            kept.keeper.tried()
            await equal(session, proxy, {**FIXED, **A})
        async with controller(controller_kubeconfig, release, session) as kept:
            await kept.keeper.put("cluster-aaaaaa", A)
            await kept.keeper.put("cluster-bbbbbb", B)
            kept.keeper.tried()
            kept.keeper.complete()
            await equal(session, proxy, {**FIXED, **A, **B})
            assert kept.changes(proxy) == [("add", "/cluster-bbbbbb")]
