"""From 8 workers to 100 and back, by every road there is: exactly those that are drained end."""

from __future__ import annotations

import asyncio
import contextlib
import json

import aiohttp
import pytest
import tornado.netutil

from hub.rules import Rules
from hub.store.kubernetes import GROUP, PLURAL, VERSION
from hub.web.address import PublicAddress
from hub.web.auth import LocalSignIn, Person
from hub.web.base import Site
from hub.web.events import Watcher
from hub.web.server import Server
from tests.builders import HUB_KEY
from tests.cluster.access import ClusterError
from tests.memory_store import MemoryRoom
from tests.web.serving import CODE, COOKIE_SECRET, HOST, TOKEN


@contextlib.asynccontextmanager
async def web(hub):
    """A web tier. Gives its address."""
    sockets = tornado.netutil.bind_sockets(0, HOST)
    port = sockets[0].getsockname()[1]
    room = MemoryRoom()
    watcher = Watcher(hub.store, room)
    async with aiohttp.ClientSession() as session:
        site = Site(
            **{"store": hub.store, "watcher": watcher, "profiles": hub.profiles, "unavailable": {}},
            **{"hub_key": HUB_KEY, "session": session, "own_port": None, "kept": ""},
            sign_in=LocalSignIn(Person("ada", role="operator"), TOKEN, CODE, COOKIE_SECRET, port, port),
            address=PublicAddress(local=True),
            room=room,
            rules=Rules(),
        )
        server = Server(site, sockets)
        watching = asyncio.create_task(watcher.run())
        await hub.until("it knows what there is", lambda: watcher.workspaces)
        yield f"http://{HOST}:{port}"
        await server.close()
        watching.cancel()
        await asyncio.gather(watching, *server.application.settings["background"], return_exceptions=True)


async def by_rest(hub, name, workers):
    """As the slider and the CLI do it."""
    async with web(hub) as address, aiohttp.ClientSession() as session:
        asked = {"json": {"spec": {"workers": workers}}, "headers": {"Authorization": f"Bearer {TOKEN}"}}
        async with session.patch(f"{address}/api/workspaces/{name}", **asked) as answer:
            assert answer.status == 200, await answer.text()


async def by_patch(hub, name, workers):
    """As somebody does it who has only kubectl."""
    patch = json.dumps({"spec": {"workers": workers}})
    await hub.kubectl("patch", "workspace", name, "-n", hub.namespace, "--type=merge", f"--patch={patch}")


async def by_scale(hub, name, workers):
    """As an autoscaler does it too."""
    await hub.kubectl("scale", f"workspace/{name}", "-n", hub.namespace, f"--replicas={workers}")


@pytest.mark.parametrize("scale", [by_rest, by_patch, by_scale])
async def test_8_to_100_workers_and_back(hub, scale):
    await hub.start()
    name = await hub.launch(workers=8)
    await hub.ready(name, workers=8)
    first = hub.uids(name)
    await scale(hub, name, 100)
    await hub.ready(name, workers=100)
    assert first <= hub.uids(name), "those that were there are still the same"
    working = {f"dask-worker-{number}" for number in range(50, 58)}
    hub.fake.busy = {(name, worker) for worker in working}
    hub.fake.changed()
    await hub.until("their work is known", lambda: hub.counts(name, busy=8))
    await scale(hub, name, 8)
    await hub.ready(name, workers=8)
    assert hub.workers(name) == working, "none that works was sent away"
    ended = [worker for place, worker in hub.fake.asked if place == name]
    assert sorted(ended) == sorted({f"dask-worker-{n}" for n in range(1, 101)} - working)
    assert all(len(uids) == 1 for (place, _), uids in hub.made.items() if place == name)


async def test_a_worker_ends_when_it_is_drained_and_not_before(hub):
    await hub.start()
    name = await hub.launch(workers=3)
    await hub.ready(name, workers=3)
    hub.fake.hold_drains = True
    await hub.ask(name, workers=1)
    await hub.until("two are asked to finish", lambda: len(hub.fake.asked) == 2)
    await hub.until("they count no longer", lambda: hub.counts(name, ready=1))
    assert len(hub.workers(name)) == 3
    hub.fake.hold_drains = False
    hub.fake.changed()
    await hub.ready(name, workers=1)


async def test_those_that_drain_are_not_called_back_but_others_come(hub):
    await hub.start()
    name = await hub.launch(workers=3)
    await hub.ready(name, workers=3)
    hub.fake.hold_drains = True
    await hub.ask(name, workers=2)
    await hub.until("one is asked to finish", lambda: hub.fake.asked == [(name, "dask-worker-3")])
    await hub.ask(name, workers=3)
    await hub.until("a new one is there", lambda: "dask-worker-4" in hub.workers(name))
    hub.fake.hold_drains = False
    hub.fake.changed()
    await hub.ready(name, workers=3)
    assert hub.workers(name) == {"dask-worker-1", "dask-worker-2", "dask-worker-4"}


async def test_nothing_shrinks_while_the_scheduler_does_not_answer(hub):
    await hub.start()
    name = await hub.launch(workers=4)
    await hub.ready(name, workers=4)
    hub.fake.dead = {hub.pods(name)["dask-scheduler"].metadata.uid}
    hub.fake.changed()
    await hub.until("that is known", lambda: hub.counts(name, ready=0))
    await hub.ask(name, workers=1)
    await hub.until("it was looked at", lambda: hub.counts(name, workers=1))
    assert len(hub.workers(name)) == 4
    assert hub.fake.asked == []
    hub.fake.dead = set()
    hub.fake.changed()
    await hub.ready(name, workers=1)


async def test_a_number_beyond_the_profile_is_refused_by_the_server_itself(hub):
    await hub.start()
    name = await hub.launch()
    await hub.ready(name)
    with pytest.raises(ClusterError, match=r"workers: more than settings\.maxWorkers"):
        await by_scale(hub, name, 101)


async def test_scale_tells_what_became_of_it(hub):
    await hub.start()
    name = await hub.launch(workers=3)
    await hub.ready(name, workers=3)
    path = f"/apis/{GROUP}/{VERSION}/namespaces/{hub.namespace}/{PLURAL}/{name}/scale"
    scale = json.loads(await hub.kubectl("get", "--raw", path))
    assert (scale["spec"]["replicas"], scale["status"]["replicas"]) == (3, 3)
    selected = await hub.see("pods", "-n", name, "-l", scale["status"]["selector"])
    assert {pod["metadata"]["name"] for pod in selected["items"]} == hub.workers(name)
