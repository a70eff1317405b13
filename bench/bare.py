"""The floor: a bare script that makes the same objects with the same client, and waits for the same pods.

It asks nothing and repairs nothing; it makes all it sends before the clock starts. Nothing here may know of
web, the controller or the proxy.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from hub import admission
from hub.backends.kubernetes.manifests import namespace_objects, pod
from hub.backends.kubernetes.names import Manifest, Release
from hub.backends.kubernetes.observed import Pod
from hub.desired import desired
from hub.kube.api import Api
from hub.kube.informer import Informer
from hub.profiles import Profile
from hub.scaling import assign
from hub.workload import Workload

SIDE_BY_SIDE = 16
"""Workspaces that are made at a time, so that the first are whole early; as many as the client's requests."""
KEY = b"bench"


@dataclass(frozen=True)
class Bundle:
    """All that is sent for one workspace, in its order: objects one by one, then the pods at once."""

    name: str
    objects: tuple[Manifest, ...]
    pods: tuple[dict[str, Any], ...]


def bundle(number: int, profile: Profile, release: Release) -> Bundle:
    """What the controller would make for a workspace of a profile."""
    name, now = f"cluster-bare{number:04}", datetime.now(UTC)
    body = {"spec": {"profile": profile.name}}
    workspace = admission.launch(body, {profile.name: profile}, "bench", name, now)
    workloads = [whole(workload) for workload in desired(workspace, KEY)]
    settings = workspace.spec.settings
    objects = namespace_objects(name, workloads, settings, release)
    secret = next(manifest.name for manifest in objects if manifest.kind == "Secret")
    pods = [
        pod(name, workload, instance, settings, release, secret)
        for workload in workloads
        for instance in workload.instances
    ]
    return Bundle(name, objects, tuple(pods))


def whole(workload: Workload) -> Workload:
    """A workload with all its instances."""
    return replace(workload, instances=assign(workload, (), None, drains_busy=False).instances)


def is_ready(one: Pod) -> bool:
    """Whether Kubernetes says so."""
    condition = one.condition("Ready")
    return condition is not None and condition.status == "True"


async def launch(api: Api, bundles: Sequence[Bundle], pause: float = 0.0) -> tuple[float, list[float]]:
    """Make them all.

    Args:
        pause: seconds between the clicks for one and for the next.

    Returns:
        When it began, by the monotonic clock, and the seconds after which each had all pods Ready, counted
        from its click, sorted.
    """
    clicks = {bundle.name: number * pause for number, bundle in enumerate(bundles)}
    waiting = {bundle.name: {str(pod["metadata"]["name"]) for pod in bundle.pods} for bundle in bundles}
    ready: list[float] = []
    done = asyncio.Event()

    def told(before: Pod | None, now: Pod | None) -> None:
        if now is None or not is_ready(now):
            return
        rest = waiting.get(now.metadata.namespace)
        if not rest:
            return
        rest.discard(now.metadata.name)
        if not rest:
            ready.append(time.monotonic() - begin - clicks[now.metadata.namespace])
            if len(ready) == len(bundles):
                done.set()

    pods = Informer(api, "/api/v1/pods", Pod, "app.kubernetes.io/managed-by=podium", told)
    following = asyncio.create_task(pods.run())
    await pods.synced.wait()
    begin = time.monotonic()
    left = list(reversed(bundles))

    async def work() -> None:
        while left:
            bundle = left.pop()
            await asyncio.sleep(max(0.0, begin + clicks[bundle.name] - time.monotonic()))
            await make(api, bundle)

    try:
        await asyncio.gather(*(work() for _ in range(SIDE_BY_SIDE)))
        await done.wait()
    finally:
        following.cancel()
    return begin, sorted(ready)


async def make(api: Api, bundle: Bundle) -> None:
    """Make one."""
    for manifest in bundle.objects:
        await api.call("POST", manifest.path, manifest.body)
    path = f"/api/v1/namespaces/{bundle.name}/pods"
    await asyncio.gather(*(api.call("POST", path, body) for body in bundle.pods))


async def scale_deployment(api: Api, bundle: Bundle, few: int, many: int) -> float:
    """Seconds in which a Deployment of the same worker pods goes from a few that are Ready to many."""
    for manifest in bundle.objects:
        await api.call("POST", manifest.path, manifest.body)
    worker = next(pod for pod in bundle.pods if pod["metadata"]["labels"]["podium.hub/role"] == "worker")
    labels = worker["metadata"]["labels"]
    path = f"/apis/apps/v1/namespaces/{bundle.name}/deployments"
    body = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "workers"},
        "spec": {
            "replicas": few,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": worker["spec"]},
        },
    }
    await api.call("POST", path, body)
    await settled(api, bundle.name, few)
    begin = time.monotonic()
    patch = {"spec": {"replicas": many}}
    await api.call("PATCH", f"{path}/workers", patch, content_type="application/merge-patch+json")
    await settled(api, bundle.name, many)
    return time.monotonic() - begin


async def settled(api: Api, namespace: str, count: int) -> None:
    """Wait until so many workers of a namespace are Ready."""
    enough = asyncio.Event()

    def told(before: Pod | None, now: Pod | None) -> None:
        if sum(map(is_ready, pods.objects.values())) >= count:
            enough.set()

    pods = Informer(api, f"/api/v1/namespaces/{namespace}/pods", Pod, "podium.hub/role=worker", told)
    following = asyncio.create_task(pods.run())
    await enough.wait()
    following.cancel()
