"""A Kubernetes cluster as a class's surroundings: what is asked of the API server.

`judge.py` and `places.py` say what it means. Nothing here may change anything.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import msgspec
from kubernetes.utils.quantity import parse_quantity
from msgspec import Struct, field

from hub.backends.kubernetes.manifests import quota
from hub.backends.kubernetes.names import Release
from hub.doctor import judge as doctor
from hub.doctor.machines import Machine, machines, usable
from hub.errors import Unavailable
from hub.kube.api import Api, ApiError
from hub.preflight import judge, places
from hub.preflight.judge import TITLES
from hub.preflight.places import Quota
from hub.preflight.seats import PODS, Space, pods, together
from hub.preflight.steps import Class, Step
from hub.room import Check

NODES = "/api/v1/nodes"
PODS_PATH = "/api/v1/pods"
NOT_OVER = "status.phase!=Succeeded,status.phase!=Failed"
PAGE = "500"
STORAGE_CLASSES = "/apis/storage.k8s.io/v1/storageclasses"
DEFAULT = "storageclass.kubernetes.io/is-default-class"
QUOTAS = "/api/v1/namespaces/{}/resourcequotas"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices"
SERVICE = "kubernetes.io/service-name"
WORKSPACES = "count/workspaces.podium.hub"
LISTED = 50
"""How many images a node tells of, where its `nodeStatusMaxImages` is not another."""


class _Resources(Struct, frozen=True):
    requests: dict[str, str] = {}


class _Container(Struct, frozen=True, rename="camel"):
    resources: _Resources = _Resources()
    restart_policy: str = ""


class _PodSpec(Struct, frozen=True, rename="camel"):
    node_name: str = ""
    containers: tuple[_Container, ...] = ()
    init_containers: tuple[_Container, ...] = ()
    overhead: dict[str, str] = {}


class PodRequests(Struct, frozen=True):
    """A pod, as far as it takes room on its node."""

    spec: _PodSpec


class _Place(Struct, frozen=True):
    continue_: str = field(name="continue", default="")


class _Page(Struct, frozen=True):
    metadata: _Place
    items: tuple[PodRequests, ...] | None = None


class ClusterSurroundings:
    """A cluster.

    Args:
        api: the server, as somebody with the controller's rights.
        release: the installation.
    """

    def __init__(self, api: Api, release: Release) -> None:
        self._api = api
        self._release = release

    def steps(self, course: Class) -> Sequence[Step]:
        """See `Surroundings`."""
        names = ("nodes", "cpu", "memory", "gpu", "pods", "room", "images")
        return (
            Step(_titles(*names), lambda: self._nodes(course)),
            Step(_titles("quota"), lambda: self._quota(course)),
            Step(_titles("storage"), lambda: self._storage(course)),
            Step(_titles("proxies"), self._proxies),
        )

    async def _nodes(self, course: Class) -> list[Check]:
        nodes, taken = await asyncio.gather(self._get(NODES), self._taken())
        settings, seen = course.profile.settings, [machine(node) for node in nodes["items"]]
        able = {one.name for one in usable(seen, settings)}
        images = {node["metadata"]["name"]: node["status"].get("images", []) for node in nodes["items"]}
        spaces = [
            Space(
                name=one.name,
                offers=one.offers,
                taken=taken.get(one.name, {}),
                images=frozenset(name for image in images[one.name] for name in image.get("names") or ()),
                listed=len(images[one.name]) < LISTED,
            )
            for one in seen
            if one.name in able
        ]
        own = settings.kubernetes
        first = judge.found("nodes", machines(seen, settings))
        if not spaces:
            return [first]
        place = self._release
        prepull = f"kubectl rollout status --namespace {place.namespace} daemonset/{place.name}-prepull"
        image = settings.image or place.image
        return [
            first,
            *places.resources(course, spaces, pods(course.profile), own.gpu_resource),
            places.images(image, spaces, own.image_pull_policy, prepull),
        ]

    async def _taken(self) -> dict[str, dict[str, float]]:
        """What pods have set aside, by node and resource."""
        query = {"fieldSelector": NOT_OVER, "limit": PAGE}
        taken: dict[str, dict[str, float]] = {}
        while True:
            with _said():
                data = await self._api.fetch("GET", PODS_PATH, query=query)
            page = msgspec.json.decode(data, type=_Page)
            for pod in page.items or ():
                if pod.spec.node_name:
                    here = taken.setdefault(pod.spec.node_name, {})
                    _add(here, requested(pod))
            if not page.metadata.continue_:
                return taken
            query["continue"] = page.metadata.continue_

    async def _quota(self, course: Class) -> list[Check]:
        profile, place = course.profile, self._release
        seat = together(pods(profile))
        own = quota(profile.settings)
        asked = {"pods": seat[PODS], "requests.cpu": seat["cpu"], "requests.memory": seat["memory"]}
        limits = [
            Quota(f"each workspace of {profile.name}", name, number, _number(own[name]))
            for name, number in asked.items()
        ]
        found = await self._get(QUOTAS.format(place.namespace))
        for one in found["items"]:
            hard, used = one["spec"].get("hard", {}), one.get("status", {}).get("used", {})
            if WORKSPACES in hard:
                left = _number(hard[WORKSPACES]) - _number(used.get(WORKSPACES, "0"))
                limits.append(Quota(f"the namespace {place.namespace}", "workspaces", course.missing, left))
        return [places.quotas(limits)]

    async def _storage(self, course: Class) -> list[Check]:
        wanted = doctor.claimed([course.profile])
        with _said():
            named = await classes(self._api) if wanted else {}
        return [judge.found("storage", doctor.storage(named, wanted))]

    async def _proxies(self) -> list[Check]:
        proxy, web = await asyncio.gather(self._ready("proxy"), self._ready("web"))
        return [judge.proxies(proxy, web)]

    async def _get(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        with _said():
            return await self._api.call("GET", path, query=query)

    async def _ready(self, part: str) -> int | None:
        """How many pods of a part of the release are ready; None where there is no such part."""
        place = self._release
        query = {"labelSelector": f"{SERVICE}={place.name}-{part}"}
        slices = await self._get(SLICES.format(place.namespace), query=query)
        if not slices["items"]:
            return None
        return len(
            {
                endpoint["addresses"][0]
                for part_ in slices["items"]
                for endpoint in part_.get("endpoints") or ()
                if endpoint.get("conditions", {}).get("ready", True)
            }
        )


def machine(node: Mapping[str, Any]) -> Machine:
    """A node, from what the API server has of it."""
    spec, status = node.get("spec", {}), node.get("status", {})
    conditions = {one["type"]: one["status"] for one in status.get("conditions", [])}
    return Machine(
        name=node["metadata"]["name"],
        ready=conditions.get("Ready") == "True",
        cordoned=spec.get("unschedulable", False),
        labels=node["metadata"].get("labels", {}),
        taints=[(one["key"], one.get("value", ""), one["effect"]) for one in spec.get("taints", [])],
        offers={name: float(parse_quantity(text)) for name, text in status.get("allocatable", {}).items()},
    )


async def classes(api: Api) -> dict[str, bool]:
    """The name of each storage class, and whether it is the default."""
    return {
        one["metadata"]["name"]: one["metadata"].get("annotations", {}).get(DEFAULT) == "true"
        for one in (await api.call("GET", STORAGE_CLASSES))["items"]
    }


def requested(pod: PodRequests) -> dict[str, float]:
    """What a pod sets aside on its node: cores, bytes, pieces, and one place.

    Source: Kubernetes, "Pod resource requests and limits", "Init Containers" and "Sidecar Containers".
    """
    spec = pod.spec
    running: dict[str, float] = {PODS: 1.0}
    beside: dict[str, float] = {}
    before: dict[str, float] = {}
    for one in spec.init_containers:
        own = _amounts(one.resources.requests)
        if one.restart_policy == "Always":
            _add(beside, own)
        else:
            own = {name: number + beside.get(name, 0.0) for name, number in own.items()}
            before = {name: max(own.get(name, 0.0), before.get(name, 0.0)) for name in {*own, *before}}
    for one in spec.containers:
        _add(running, _amounts(one.resources.requests))
    _add(running, beside)
    result = {name: max(running.get(name, 0.0), before.get(name, 0.0)) for name in {*running, *before}}
    _add(result, _amounts(spec.overhead))
    return result


@contextlib.contextmanager
def _said() -> Iterator[None]:
    """Say what the API server refuses as everything else says it."""
    try:
        yield
    except ApiError as error:
        raise Unavailable(error.message) from error


def _titles(*names: str) -> dict[str, str]:
    return {name: TITLES[name] for name in names}


def _amounts(said: Mapping[str, str]) -> dict[str, float]:
    return {name: _number(text) for name, text in said.items()}


@cache
def _number(text: str) -> float:
    return float(parse_quantity(text))


def _add(to: dict[str, float], amounts: Mapping[str, float]) -> None:
    for name, number in amounts.items():
        to[name] = to.get(name, 0.0) + number
