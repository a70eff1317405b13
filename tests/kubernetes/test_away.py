"""The API server is away: what is known is still shown, changes wait, and everybody is told, both times."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import AsyncExitStack

import aiohttp
import pytest

from hub.kube import api
from hub.kube import informer as module
from hub.store.kubernetes import AWAY
from tests.cluster.control_plane import ControlPlane
from tests.kubernetes.identities import let_go
from tests.kubernetes.replicas import LAUNCH, browser, noticed, replica
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("workspaces")

SAID = " ".join(AWAY)
CHANGE = {"spec": {"workers": 3}}


@pytest.fixture
def server(cluster):
    """An API server that may be taken away."""
    if not isinstance(cluster, ControlPlane):
        pytest.skip("a cluster that KUBECONFIG names is not ours to take away")
    return cluster


@pytest.fixture
async def web(server, web_kubeconfig, release_namespace):
    """A web process with the rights that web has."""
    async with replica(web_kubeconfig, release_namespace) as web:
        yield web
    let_go(server, release_namespace)


@pytest.fixture
async def person():
    async with browser() as person:
        yield person


async def refused(person, web, path):
    """Every change is refused in words for people, and with a time after which to try again."""
    for method, address, body in [
        ("PATCH", path, CHANGE),
        ("DELETE", path, None),
    ]:
        answer = await person.ask(web, method, address, body)
        assert answer.status == 503, method
        assert int(answer.headers["Retry-After"]) > 0
        assert answer.json["error"] == {"code": "unavailable", "message": AWAY[0], "hint": AWAY[1]}


async def test_it_is_killed_and_comes_back(server, web, person):
    await person.open(web)
    made = (await person.launch(web)).json
    name = made["metadata"]["name"]
    path = f"/api/workspaces/{name}"
    async with AsyncExitStack() as stack:
        streams = [
            await stack.enter_async_context(person.follow(web, address))
            for address in (f"{path}/events", "/api/events")
        ]
        assert [await noticed(stream) for stream in streams] == ["", ""]
        await asyncio.to_thread(server.stop_api_server)
        try:
            assert [await noticed(stream) for stream in streams] == [SAID, SAID]
            late = await stack.enter_async_context(person.follow(web, f"{path}/events"))
            assert await noticed(late) == SAID
            assert (await person.ask(web, "GET", path)).json["metadata"]["name"] == name
            for page in ("/", f"/workspaces/{name}"):
                shown = await person.open(web, page)
                assert shown.status == 200
                assert f'<p id="notice" >{SAID}</p>' in shown.text
            await refused(person, web, path)
            # Somebody who has a workspace is led to it; for somebody who has none there is none to be had.
            assert (await person.launch(web)).status == 200
            async with browser() as somebody:
                await somebody.open(web)
                assert (await somebody.ask(web, "POST", "/api/workspaces", LAUNCH)).status == 503
        finally:
            await asyncio.to_thread(server.start_api_server)
        assert [await noticed(stream) for stream in (*streams, late)] == ["", "", ""]
    assert "hidden" in (await person.open(web)).text.split('id="notice"')[1][:10]
    changed = await person.ask(web, "PATCH", path, CHANGE)
    assert (changed.status, changed.json["spec"]["workers"]) == (200, 3)


async def test_it_only_hangs(server, web, person, monkeypatch):
    """No connection is closed: only who asks for something notices, and everybody else is told by that."""
    monkeypatch.setattr(api, "TIMEOUT", aiohttp.ClientTimeout(total=1))
    monkeypatch.setattr(module, "OPENING", 1.0)
    await person.open(web)
    name = (await person.launch(web)).json["metadata"]["name"]
    path = f"/api/workspaces/{name}"
    async with person.follow(web, f"{path}/events") as stream:
        assert await noticed(stream) == ""
        os.kill(server.pids["kube-apiserver"], signal.SIGSTOP)
        try:
            assert web.store.away == ""
            assert (await person.ask(web, "PATCH", path, CHANGE)).status == 503
            assert await noticed(stream) == SAID
        finally:
            os.kill(server.pids["kube-apiserver"], signal.SIGCONT)
        assert await noticed(stream) == ""

    async def changed():
        return (await person.ask(web, "PATCH", path, CHANGE)).status == 200

    await until("changes are made again", changed)


async def test_a_watch_that_is_cut_once_is_no_reason_to_say_anything(web, server, person):
    """As when a balancer before several API servers takes one of them out."""
    informer = web.store._informer
    contact = informer.contact
    await until("it watches", lambda: informer._watched)
    informer.doubt()
    await until("the watch was lost", lambda: contact._failures)
    await until("it goes on", lambda: not contact._failures)
    assert not contact.lost
