"""Whatever the API server answers, and when it does not: a workspace comes to be what it should, and once."""

from __future__ import annotations

import asyncio
from itertools import cycle

import pytest

from hub import controller, workqueue
from hub.kube import informer
from tests.kubernetes.between import Between, refusal


@pytest.fixture
async def between(hub, tmp_path, monkeypatch):
    """What stands between this release's controllers and the API server; they try again soon."""
    monkeypatch.setattr(workqueue, "LONGEST_PAUSE", 0.3)
    between = Between(hub.cluster)
    async with between.serve(tmp_path / "between.kubeconfig"):
        hub.kubeconfig = tmp_path / "between.kubeconfig"
        yield between
        await hub.kill_all()


def once(answer):
    """A fault that every request meets when it is first sent; a watch is another request each time."""
    met = set()

    def fault(request):
        key = (request.method, request.path_qs)
        if key in met or "watch" in request.query:
            return None
        met.add(key)
        return answer()

    return fault


def writes_once(answer):
    """As `once`, of requests that change something."""
    fault = once(answer)
    return lambda request: None if request.method == "GET" else fault(request)


async def launch_and_scale(hub):
    """A launch, more workers and fewer workers, in which nothing is made twice. Returns the name."""
    name = await hub.launch(workers=2)
    await hub.ready(name, workers=2)
    await hub.ask(name, workers=4)
    await hub.ready(name, workers=4)
    await hub.ask(name, workers=1)
    await hub.ready(name, workers=1)
    assert hub.lives(name) == 6
    return name


async def whole_life(hub):
    """As `launch_and_scale`, and a stop."""
    name = await launch_and_scale(hub)
    await hub.store.delete(name)
    await hub.gone(name)
    assert hub.lives(name) == 6


BUSY = [
    *(
        lambda: refusal(429, "TooManyRequests", **{"Retry-After": "0"}),
        lambda: refusal(429, "TooManyRequests"),
    ),
    *(lambda: refusal(500, "InternalError"), lambda: refusal(503, "ServiceUnavailable")),
    lambda: refusal(504, "Timeout"),
]
"""What an API server says that has something else to do, or has trouble of its own."""


@pytest.mark.parametrize("first", range(len(BUSY)))
async def test_every_request_is_refused_once(hub, between, first):
    answers = cycle(BUSY[first:] + BUSY[:first])
    between.fault = once(lambda: next(answers)())
    await hub.start()
    await launch_and_scale(hub)


async def test_every_write_is_carried_out_but_its_answer_is_an_error(hub, between):
    between.lose = writes_once(lambda: refusal(500, "InternalError"))
    await hub.start()
    await whole_life(hub)


async def test_every_write_is_carried_out_but_its_answer_is_lost(hub, between):
    def hang_up(request):
        request.transport.abort()
        return refusal(500, "InternalError")

    lost = writes_once(lambda: True)
    between.lose = lambda request: hang_up(request) if lost(request) else None
    await hub.start()
    await launch_and_scale(hub)


async def test_everything_that_may_meet_a_conflict_meets_it_once(hub, between):
    """An object that was written since it was read, and a quota that counts others in the same moment."""
    refuse = writes_once(lambda: refusal(409, "Conflict"))

    def conflict(request):
        pod = request.method == "POST" and request.path.endswith("/pods")
        return refuse(request) if pod or "/workspaces/" in request.path else None

    between.fault = conflict
    await hub.start()
    await whole_life(hub)


async def test_an_object_that_people_change_all_the_time(hub):
    await hub.start()
    name = await hub.launch()

    async def write_all_the_time():
        for number in range(200):
            await hub.kubectl(
                "annotate", "workspace", name, "-n", hub.namespace, "--overwrite", f"n={number}"
            )

    writing = asyncio.create_task(write_all_the_time())
    await hub.ready(name)
    await hub.kubectl("scale", "workspace", name, "-n", hub.namespace, "--replicas=3")
    await hub.ready(name, workers=3)
    assert not writing.done()
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)


async def test_what_happened_before_the_oldest_version_that_the_server_knows(hub, between):
    await hub.start()
    name = await hub.launch()
    await hub.ready(name)
    refused = []

    def gone(request):
        if "watch" in request.query and request.path not in refused:
            refused.append(request.path)
            return refusal(410, "Expired")
        return None

    between.fault = gone
    before, watched = hub.lives(name), set(between.watched)
    between.hang_up()
    await hub.kubectl("delete", "pod", "notebook", "dask-worker-1", "-n", name, "--wait=false")
    await hub.until("they are made again", lambda: hub.lives(name) == before + 2)
    await hub.ready(name)
    await hub.until("every watch was begun anew", lambda: set(refused) == watched)


async def test_watches_that_fall_silent(hub, between, monkeypatch):
    monkeypatch.setattr(informer, "SILENCE", 1.5)
    await hub.start()
    name = await hub.launch()
    await hub.ready(name)
    before = sorted(between.watched)
    between.fall_silent()
    await hub.kubectl("delete", "pod", "dask-worker-1", "-n", name, "--wait=false")
    await hub.until("others are begun", lambda: sorted(between.watched) == sorted(before * 2))
    await hub.ready(name)
    assert hub.lives(name) == 5


async def test_nothing_is_done_while_nothing_is_known(hub, between):
    first = await hub.start()
    name = await hub.launch()
    await hub.ready(name)
    await hub.kill(first)
    refused = []

    def no_pods(request):
        if request.path == "/api/v1/pods":
            refused.append(request)
            return refusal(500, "InternalError")
        return None

    between.fault = no_pods
    second = await hub.start()
    await hub.until("it has asked again and again", lambda: len(refused) > 3)
    assert second.api.writes == []
    between.fault = lambda request: None
    await hub.until("all were looked at", lambda: second.all_looked_at)
    assert hub.lives(name) == 4


async def test_the_api_server_is_killed_and_comes_back(hub, cluster, monkeypatch):
    monkeypatch.setattr(controller, "RESYNC", 1.0)
    await hub.start()
    name = await hub.launch()
    workspace = await hub.ready(name)
    before = hub.uids(name)
    await asyncio.to_thread(cluster.stop_api_server)
    assert hub.routes == {f"/{name}": workspace.status.endpoints["notebook"]}
    await asyncio.to_thread(cluster.start_api_server)
    await hub.ask(name, workers=3)
    await hub.ready(name, workers=3)
    other = await hub.launch()
    await hub.ready(other)
    assert before < hub.uids(name)
    await hub.store.delete(name)
    await hub.gone(name)


async def test_the_api_server_is_killed_in_the_middle_of_launches(hub, cluster):
    controller = await hub.start()
    names = [await hub.launch() for _ in range(5)]
    await hub.until("they have begun", lambda: len(controller.api.writes) > 20)
    await asyncio.to_thread(cluster.stop_api_server)
    await asyncio.to_thread(cluster.start_api_server)
    for name in names:
        await hub.ready(name)
        assert hub.lives(name) == 4
