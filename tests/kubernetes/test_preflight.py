"""Ready for nine? On a real control plane, with the controller's rights and nodes that do not exist."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import aiohttp
import pytest

from hub.archives.base import NoArchives
from hub.backends.kubernetes.names import Release
from hub.errors import Unavailable
from hub.kube.api import Api
from hub.preflight.cluster import ClusterSurroundings
from hub.preflight.runner import Known, Preflight
from hub.preflight.steps import Class
from hub.preflight.trial import Trier
from hub.profiles import read_profiles
from hub.room import Check, PreflightOrder, PreflightReport
from hub.rules import Prices, Rules
from hub.store.base import amend
from hub.store.room_kubernetes import RoomResource
from hub.wire import replace
from tests.builders import HUB_KEY
from tests.cluster.access import Cluster
from tests.cluster.control_plane import ControlPlane
from tests.kubernetes.controllers import PUBLIC, Rewriting
from tests.kubernetes.hub_in_cluster import HubInCluster

OK, WARNING, FAILED, SKIPPED = "ok", "warning", "failed", "skipped"
PLACE = "podium.test/preflight"
TINY = {"cpu": 0.5, "memory": "256Mi"}
START = datetime.now(UTC) + timedelta(hours=12)
AddNodes = Callable[..., list[str]]


@pytest.fixture
def place(cluster: Cluster) -> str:
    """The label of the nodes of one test, which no other pods go to."""
    if not isinstance(cluster, ControlPlane):
        pytest.skip("nodes cannot be added to a cluster that KUBECONFIG names")
    return f"place-{secrets.token_hex(4)}"


@pytest.fixture
def add_nodes(cluster: ControlPlane, place: str) -> Iterator[AddNodes]:
    """Adds nodes to that place; they are gone after the test."""
    added: list[str] = []

    def add(count: int, images: tuple[str, ...] = (), **offers: Any) -> list[str]:
        names = cluster.add_nodes(count, **offers)
        added.extend(names)
        for name in names:
            cluster.kubectl("label", "node", name, f"{PLACE}={place}")
            if images:
                patch = json.dumps({"status": {"images": [{"names": images, "sizeBytes": 1}]}})
                cluster.kubectl("patch", "node", name, "--subresource=status", "--type=merge", "-p", patch)
        return names

    yield add
    if added:
        cluster.kubectl("delete", "node", *added, "--wait=false")


def course(place: str, seats: int = 10, **profile: Any) -> Class:
    """A class whose pods go to one place; each seat is a notebook, a scheduler and two workers."""
    own = {"node_selector": {PLACE: place}, **profile.pop("kubernetes", {})}
    settings = {
        **{"clusters": {"dask": {}}, "workers": 2, "max_workers": 2},
        **{"resources": dict.fromkeys(("notebook", "scheduler", "worker"), TINY), "kubernetes": own},
    }
    made = read_profiles({"course": {**settings, **profile}})["course"]
    return Class(made, seats, START, 3)


async def look(kubeconfig: Path, release: Release, asked: Class) -> dict[str, Check]:
    """What is found of a class, by the names of the checks."""
    api = await Api.connect(kubeconfig)
    try:
        found = [await step.look() for step in ClusterSurroundings(api, release).steps(asked)]
    finally:
        await api.close()
    return {check.name: check for checks in found for check in checks}


def states(found: dict[str, Check], *names: str) -> dict[str, str]:
    """How some of them are; all but web and proxies without names."""
    return {name: found[name].state for name in (names or found) if name != "proxies"}


GOOD = {
    **{"nodes": OK, "cpu": OK, "memory": OK, "gpu": SKIPPED, "pods": OK, "room": OK},
    **{"images": OK, "quota": OK, "storage": OK},
}
IMAGE = ("docker.io/library/podium-workspace:latest",)


async def test_all_is_well(workspaces, release, controller_kubeconfig, place, add_nodes):
    add_nodes(2, IMAGE, cpu="10", memory="8Gi", pods=20)
    found = await look(controller_kubeconfig, release, course(place))
    assert states(found) == GOOD
    assert found["cpu"].message == "20 cores are free on 2 nodes, and 20 cores are asked for."


class TestTooLittle:
    async def test_processors(self, workspaces, release, controller_kubeconfig, place, add_nodes):
        add_nodes(2, IMAGE, cpu="8", memory="64Gi")
        found = await look(controller_kubeconfig, release, course(place))
        assert states(found) == GOOD | {"cpu": FAILED, "room": FAILED}
        assert "16 cores are free on 2 nodes, enough for 8 of 10 people" in found["cpu"].message

    async def test_memory(self, workspaces, release, controller_kubeconfig, place, add_nodes):
        add_nodes(1, IMAGE, cpu="64", memory="5Gi")
        found = await look(controller_kubeconfig, release, course(place))
        assert states(found) == GOOD | {"memory": FAILED, "room": FAILED}

    async def test_places_for_pods(self, workspaces, release, controller_kubeconfig, place, add_nodes):
        add_nodes(1, IMAGE, pods=39)
        found = await look(controller_kubeconfig, release, course(place))
        assert states(found) == GOOD | {"pods": FAILED, "room": FAILED}
        assert "39 places are free on 1 node, enough for 9 of 10" in found["pods"].message

    async def test_gpus(self, workspaces, release, controller_kubeconfig, place, add_nodes):
        add_nodes(1, IMAGE)
        resources = {"notebook": TINY, "scheduler": TINY, "worker": {**TINY, "gpu": 1}}
        found = await look(controller_kubeconfig, release, course(place, resources=resources))
        assert states(found, "gpu", "room", "nodes") == {"gpu": FAILED, "room": FAILED, "nodes": FAILED}

    async def test_what_runs_already_is_counted(
        self, cluster, workspaces, release, controller_kubeconfig, place, add_nodes
    ):
        [name] = add_nodes(1, IMAGE, cpu="20", memory="64Gi")
        busy = {"name": "busy", "image": "busy", "resources": {"requests": {"cpu": "3", "memory": "1Gi"}}}
        before = {"name": "before", "image": "busy", "resources": {"requests": {"cpu": "5"}}}
        cluster.create(
            {
                **{"apiVersion": "v1", "kind": "Pod"},
                "metadata": {"name": "busy", "namespace": release.namespace},
                "spec": {"nodeName": name, "containers": [busy], "initContainers": [before]},
            }
        )
        found = await look(controller_kubeconfig, release, course(place))
        assert "15 cores are free on 1 node, enough for 7 of 10 people" in found["cpu"].message


class TestNodes:
    async def test_none(self, workspaces, release, controller_kubeconfig, place):
        found = await look(controller_kubeconfig, release, course(place))
        assert states(found) == {"nodes": FAILED, "quota": OK, "storage": OK}
        assert "takes pods of this profile" in found["nodes"].message

    async def test_with_a_taint(self, cluster, workspaces, release, controller_kubeconfig, place, add_nodes):
        [first, _] = add_nodes(2, IMAGE, cpu="20", memory="64Gi")
        cluster.kubectl("taint", "node", first, "podium.test/for=others:NoSchedule")
        found = await look(controller_kubeconfig, release, course(place, seats=20))
        assert "20 cores are free on 1 node, enough for 10 of 20" in found["cpu"].message
        tolerations = [{"key": "podium.test/for", "value": "others"}]
        tolerant = course(place, seats=20, kubernetes={"tolerations": tolerations})
        assert states(await look(controller_kubeconfig, release, tolerant)) == GOOD

    async def test_without_the_image(self, workspaces, release, controller_kubeconfig, place, add_nodes):
        [name] = add_nodes(1)
        found = await look(controller_kubeconfig, release, course(place))
        assert states(found) == GOOD | {"images": FAILED}
        assert found["images"].message.startswith(f"podium-workspace is not on 1 of 1: {name}.")
        command = found["images"].hint.splitlines()[-1]
        assert command.endswith(f"--namespace {release.namespace} daemonset/{release.name}-prepull")
        add_nodes(1, IMAGE)
        found = await look(controller_kubeconfig, release, course(place))
        assert found["images"].state == WARNING


class TestQuotas:
    async def test_of_the_release(
        self, cluster, workspaces, release, controller_kubeconfig, place, add_nodes
    ):
        add_nodes(1, IMAGE)
        limit = {"count/workspaces.podium.hub": "4"}
        cluster.create(
            {
                **{"apiVersion": "v1", "kind": "ResourceQuota", "spec": {"hard": limit}},
                "metadata": {"name": "few", "namespace": release.namespace},
            }
        )
        found = await look(controller_kubeconfig, release, course(place))
        assert states(found) == GOOD | {"quota": FAILED}
        assert f"{release.namespace} leaves 4 of workspaces: 10 are needed" in found["quota"].message

    async def test_of_each_workspace(self, workspaces, release, controller_kubeconfig, place, add_nodes):
        add_nodes(1, IMAGE)
        tight = course(place, kubernetes={"quota": {"pods": "3"}})
        found = await look(controller_kubeconfig, release, tight)
        assert "each workspace of course leaves 3 of pods: 4 are needed" in found["quota"].message


async def test_storage(workspaces, release, controller_kubeconfig, place, add_nodes):
    add_nodes(1, IMAGE)
    default = course(place, kubernetes={"home": {}})
    assert (await look(controller_kubeconfig, release, default))["storage"].state == OK
    other = course(place, kubernetes={"home": {"storage_class": "podium-test-none"}})
    found = (await look(controller_kubeconfig, release, other))["storage"]
    assert (found.state, "no class podium-test-none" in found.message) == (FAILED, True)
    assert "standard" in found.hint


async def test_web_and_proxies(cluster, workspaces, release, controller_kubeconfig, place, add_nodes):
    add_nodes(1, IMAGE)

    async def found() -> Check:
        return (await look(controller_kubeconfig, release, course(place)))["proxies"]

    assert (await found()).state == SKIPPED
    for part, count in (("proxy", 2), ("web", 1)):
        addresses = [
            {"addresses": [f"10.255.0.{n + 1}"], "conditions": {"ready": True}} for n in range(count)
        ]
        away = {"addresses": ["10.255.0.9"], "conditions": {"ready": False}}
        cluster.create(
            {
                **{"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4"},
                "metadata": {
                    **{"name": part, "namespace": release.namespace},
                    "labels": {"kubernetes.io/service-name": f"{release.name}-{part}"},
                },
                **{"endpoints": [*addresses, away], "ports": [{"name": "http", "port": 8000}]},
            }
        )
    seen = await found()
    assert (seen.state, "one pod of web" in seen.message) == (WARNING, True)


async def test_somebody_who_may_not_look(workspaces, release, web_kubeconfig, place):
    api = await Api.connect(web_kubeconfig)
    try:
        first, *_ = ClusterSurroundings(api, release).steps(course(place))
        with pytest.raises(Unavailable, match="cannot list resource"):
            await first.look()
    finally:
        await api.close()


class Asker:
    """An instructor who asks a controller that runs."""

    def __init__(self, hub: HubInCluster, room: RoomResource) -> None:
        self._hub = hub
        self._room = room

    async def asks(self, profile: str, seats: int = 1) -> None:
        """Ask whether all is ready."""
        now = datetime.now(UTC)
        order = PreflightOrder(seats=seats, profile=profile, start=now, hours=2, at=now)
        await amend(self._room, lambda room: replace(room, spec=replace(room.spec, preflight=order)))

    async def hears(self) -> tuple[PreflightReport, dict[str, Check]]:
        """The whole answer."""

        async def answered() -> PreflightReport | None:
            room = await self._room.get()
            order, report = room.spec.preflight, room.status.preflight
            assert order is not None
            return report if report and report.at == order.at and not report.running else None

        report = cast(PreflightReport, await self._hub.until("the preflight is answered", answered))
        return report, {check.name: check for check in report.checks}


@pytest.fixture
async def asker(hub: HubInCluster) -> AsyncIterator[Asker]:
    """A hub whose controller acts and answers preflights, with nothing but the controller's rights."""
    controller = await hub.start()
    api = await Api.connect(hub.kubeconfig)
    room, store = RoomResource(api, hub.namespace), hub.make_store(api)
    async with aiohttp.ClientSession() as session:
        reached = cast(aiohttp.ClientSession, Rewriting(session, hub.routes, hub._port))
        known = Known(
            room=room,
            trier=Trier(store, reached, HUB_KEY, (PUBLIC,)),
            surroundings=ClusterSurroundings(api, hub.release),
            profiles=hub.profiles,
            rules=Rules(prices=Prices(currency="EUR", cpu_hour=1.0)),
            sign_in="class",
            archives=NoArchives(),
            issuer="",
            public_url=PUBLIC,
        )
        parts = (room.run, store.run, Preflight(known).run)
        running = [asyncio.create_task(part()) for part in parts]
        try:
            yield Asker(hub, room)
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            await api.close()
    with contextlib.suppress(ValueError):
        await hub.kill(controller)


class TestARunningController:
    async def test_tries_a_launch_and_removes_it(self, hub, asker):
        await asker.asks("workshop", seats=20)
        report, found = await asker.hears()
        assert found["launch"].state == OK, found["launch"]
        assert "over HTTP and WebSocket, and all 2 workers were ready" in found["launch"].message
        assert (found["nodes"].state, found["images"].state) == (OK, FAILED)
        assert report.cost == "16.00 EUR"  # 20 seats of 4 pods with a tenth of a core, for two hours
        assert await hub.store.list() == []
        assert hub.namespaces() == set()

    async def test_a_launch_that_finds_no_node(self, hub, asker):
        """What it waits for is told meanwhile; the next question ends it, and what it made."""
        await asker.asks("huge")

        async def told() -> bool:
            report = (await asker._room.get()).status.preflight
            return report is not None and any(
                check.name == "launch" and "No machine" in check.message for check in report.checks
            )

        await hub.until("the launch tells what it waits for", told)
        await asker.asks("workshop")
        _, found = await asker.hears()
        assert found["launch"].state == OK
        assert await hub.store.list() == []
