"""Where the pods behind a Service are, as the API server tells of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from hub.kube import informer
from hub.kube.api import Api
from hub.kube.endpoints import follow
from tests.kube.server import Asked, Server
from tests.waiting import until

LINE = "GET /apis/discovery.k8s.io/v1/namespaces/kitchen/endpointslices"
LABELS = "kubernetes.io/service-name=tea-proxy-api"
API = {"name": "api", "port": 8001, "protocol": "TCP"}
METRICS = {"name": "metrics", "port": 8002, "protocol": "TCP"}


def part(name: str, *hosts: str, version: int = 7, **fields: Any) -> dict[str, Any]:
    """A slice as the server writes it, with more than anybody reads."""
    metadata = {"name": name, "namespace": "kitchen", "uid": f"{name}-1", "resourceVersion": str(version)}
    endpoints = [
        {
            "addresses": [host],
            "conditions": {"ready": False, "serving": False, "terminating": False},
            "targetRef": {"kind": "Pod", "name": f"tea-proxy-{host}"},
        }
        for host in hosts
    ]
    return {"metadata": metadata, "addressType": "IPv4", "endpoints": endpoints, "ports": [API]} | fields


def page(version: int, *items: dict[str, Any]) -> dict[str, Any]:
    """An answer to a list."""
    return {"metadata": {"resourceVersion": str(version)}, "items": list(items)}


class Following:
    """What was told, last of all."""

    def __init__(self) -> None:
        self.last: set[str] | None = None

    def hear(self, addresses: Any) -> None:
        """Be told."""
        self.last = set(addresses)

    async def hears(self, *addresses: str) -> None:
        """Wait until exactly these are told."""
        await until(f"{addresses} are told", lambda: self.last == set(addresses))


@pytest_asyncio.fixture
async def following(api: Api, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Following]:
    """Follows the proxies of the release `tea`."""
    monkeypatch.setattr(informer, "FIRST_PAUSE", 0.0)
    following = Following()
    task = asyncio.create_task(follow(api, "kitchen", "tea-proxy-api", "api", following.hear))
    yield following
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def listed(server: Server, *items: dict[str, Any]) -> Asked:
    """Answer the list, and take the watch that follows."""
    (await server.asked(LINE, labelSelector=LABELS)).answer(page(100, *items))
    return await server.asked(LINE, watch="1", labelSelector=LABELS)


async def test_all_slices_together_are_told_be_their_pods_ready_or_not(server, following):
    await listed(server, part("a", "10.0.0.7", "10.0.0.8"), part("b", "10.0.0.9"))
    await following.hears("http://10.0.0.7:8001", "http://10.0.0.8:8001", "http://10.0.0.9:8001")


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"ports": [METRICS, {**API, "port": 9001}]}, {"http://10.0.0.8:9001"}),
        ({"ports": [METRICS]}, set()),
        ({"ports": [{"name": "api"}]}, set()),  # every port, which says nothing
        ({"ports": None}, set()),
        ({"endpoints": None}, set()),
        (
            {"addressType": "IPv6", "endpoints": [{"addresses": ["fd00::7"]}]},
            {"http://[fd00::7]:8001"},
        ),
        ({"endpoints": [{"addresses": ["10.0.0.1", "10.0.0.2"]}]}, {"http://10.0.0.1:8001"}),
    ],
)
async def test_only_the_port_of_the_wanted_name_counts(server, following, fields, told):
    await listed(server, part("a", "10.0.0.8", **fields), part("b", "10.0.0.9"))
    await following.hears("http://10.0.0.9:8001", *told)


async def test_they_come_and_go(server, following):
    watch = await listed(server, part("a", "10.0.0.7"))
    await following.hears("http://10.0.0.7:8001")
    await watch.say({"type": "MODIFIED", "object": part("a", "10.0.0.7", "10.0.0.8", version=101)})
    await following.hears("http://10.0.0.7:8001", "http://10.0.0.8:8001")
    await watch.say({"type": "ADDED", "object": part("b", "10.0.0.9", version=102)})
    await following.hears("http://10.0.0.7:8001", "http://10.0.0.8:8001", "http://10.0.0.9:8001")
    await watch.say({"type": "DELETED", "object": part("a", version=103)})
    await following.hears("http://10.0.0.9:8001")


async def test_while_the_server_is_away_they_stay_where_they_were(server, following):
    watch = await listed(server, part("a", "10.0.0.7"))
    await following.hears("http://10.0.0.7:8001")
    watch.hang_up()
    (await server.asked(LINE, watch="1", resourceVersion="100")).refuse(503)
    watch = await server.asked(LINE, watch="1", resourceVersion="100")
    assert following.last == {"http://10.0.0.7:8001"}
    await watch.say({"type": "MODIFIED", "object": part("a", version=101)})
    await following.hears()
