"""A controller that is killed at every step of a workspace's life, and another that goes on from there.

What a controller leaves behind is what its last request made of the cluster, so being killed before a request
is being killed after the one before it, and it does not matter whether it heard the answer.
"""

from __future__ import annotations

import asyncio

import pytest

from tests.kubernetes.hub_in_cluster import hub_in

AT_A_TIME = 12
"""How many lives are lived at once."""


async def live(hub, name):
    """All that people do with a workspace: a launch, more workers, fewer workers, a stop."""
    await hub.launch(name=name)
    await hub.ready(name, workers=2)
    await hub.ask(name, workers=4)
    await hub.ready(name, workers=4)
    await hub.ask(name, workers=1)
    await hub.ready(name, workers=1)
    assert set(hub.pods(name)) == {"notebook", "dask-scheduler", "dask-worker-1"}
    assert hub.routes.keys() == {f"/{name}"}
    await hub.store.delete(name)
    await hub.gone(name)
    made = {pod: len(uids) for (_, pod), uids in hub.made.items()}
    pods = {"notebook", "dask-scheduler", *(f"dask-worker-{number}" for number in range(1, 5))}
    assert made == dict.fromkeys(pods, 1), "nothing was made twice"


async def killed_after(hub, number):
    """Start a controller, and another in its place once it has made so many requests that change something.

    Returns:
        Whether it was killed.
    """
    controller = await hub.start()
    done = asyncio.Event()
    count = 0

    async def counted(method, path, send):
        nonlocal count
        answer = await send()
        count += method != "GET" and not path.endswith("/events")
        if count >= number:
            controller.api.cut = True
            answer.close()
            done.set()
            await asyncio.Event().wait()
        return answer

    controller.api.meddle = counted
    await done.wait()
    await hub.kill(controller)
    await hub.start()


async def one_life(cluster, directory, number):
    """A life with a controller that is killed after so many requests. Returns whether it got that far."""
    async with hub_in(cluster, directory) as hub:
        killed = asyncio.create_task(killed_after(hub, number))
        await live(hub, f"cluster-{number:06d}")
        happened = killed.done()
        if happened:
            killed.result()
        killed.cancel()
    return happened


@pytest.mark.slow
async def test_a_controller_that_is_killed_after_each_request_of_a_life(cluster, hub, tmp_path):
    controller = await hub.start()
    await live(hub, "cluster-000000")
    requests = len(controller.api.writes)
    places = asyncio.Semaphore(AT_A_TIME)

    async def in_turn(number):
        async with places:
            return await one_life(cluster, tmp_path, number)

    async with asyncio.TaskGroup() as tasks:
        lives = [tasks.create_task(in_turn(number)) for number in range(1, requests + 1)]
    killed = [life.result() for life in lives]
    # How often the status is written differs a little from life to life.
    assert all(killed[:20])
    assert sum(killed) > requests - 8


async def test_a_controller_that_was_away_finds_what_happened_meanwhile(hub):
    first = await hub.start()
    stays, shrinks, goes = [await hub.launch(workers=2) for _ in range(3)]
    for name in (stays, shrinks, goes):
        await hub.ready(name)
    await hub.kill(first)
    before = hub.uids(stays)
    hub.routes["/cluster-nobody"] = "http://10.128.0.1:8888"
    await hub.ask(shrinks, workers=1)
    await hub.store.delete(goes)
    new = await hub.launch(workers=1)
    await hub.kubectl("delete", "pod", "dask-worker-1", "-n", stays, "--wait=false")
    await hub.until("its pod is gone", lambda: "dask-worker-1" not in hub.pods(stays))
    await hub.start()
    await hub.ready(stays)
    await hub.ready(shrinks, workers=1)
    await hub.ready(new, workers=1)
    await hub.gone(goes)
    assert len(hub.uids(stays) & before) == 3
    assert hub.routes.keys() == {f"/{stays}", f"/{shrinks}", f"/{new}"}


async def test_a_namespace_without_an_object_is_removed(hub):
    first = await hub.start()
    name = await hub.launch()
    await hub.ready(name)
    await hub.kill(first)
    free = '--patch={"metadata": {"finalizers": null}}'
    await hub.kubectl("patch", "workspace", name, "-n", hub.namespace, "--type=merge", free)
    await hub.kubectl("delete", "workspace", name, "-n", hub.namespace)
    await hub.start()
    await hub.gone(name)


async def test_a_restart_changes_nothing_of_what_is_as_it_should_be(hub):
    first = await hub.start()
    names = [await hub.launch("kept") for _ in range(4)]
    for name in names:
        await hub.ready(name)
    await hub.kill(first)
    before = dict(hub.routes)
    second = await hub.start()
    await hub.until("all were looked at", lambda: second.all_looked_at)
    assert second.api.writes == []
    assert hub.routes == before
