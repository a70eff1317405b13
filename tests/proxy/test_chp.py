"""The REST client and the keeper of routes, against the real configurable-http-proxy."""

from __future__ import annotations

import asyncio
import contextlib

import aiohttp
import pytest
from aiohttp import web

from hub.ports import HOST, Ports
from proxy.chp import RouteKeeper
from proxy.routes import DEFAULT, SENTINEL
from tests.proxy.conftest import Recorder
from tests.waiting import until

WEB = "http://127.0.0.1:9"
FIXED = {DEFAULT: WEB, SENTINEL: WEB}
A, B = {"/cluster-aaaaaa": "http://127.0.0.1:1"}, {"/cluster-bbbbbb": "http://127.0.0.1:2"}


@contextlib.asynccontextmanager
async def running(keeper):
    task = asyncio.create_task(keeper.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def equal(client, wanted):
    async def look():
        with contextlib.suppress(aiohttp.ClientError):
            return await client.routes() == wanted

    await until(f"the proxy has {wanted}", look)


# The client.


async def test_routes_come_and_go(client):
    assert await client.routes() == {}
    await client.add("/cluster-aaaaaa", "http://127.0.0.1:1")
    assert await client.routes() == A
    await client.add("/cluster-aaaaaa", "http://127.0.0.1:3")
    assert await client.routes() == {"/cluster-aaaaaa": "http://127.0.0.1:3"}
    await client.remove("/cluster-aaaaaa")
    assert await client.routes() == {}


async def test_one_route_can_be_asked_for(client):
    assert not await client.has(SENTINEL)
    await client.add("/", WEB)
    assert not await client.has(SENTINEL), "the default route does not answer for it"
    await client.add(SENTINEL, WEB)
    assert await client.has(SENTINEL)


async def test_removing_what_is_not_there_is_no_error(client):
    await client.remove("/cluster-aaaaaa")


async def test_odd_paths_arrive_as_they_are(client):
    await client.add("/ä b?c#d%2F", WEB)
    assert await client.routes() == {"/ä b?c#d%2F": WEB}
    await client.remove("/ä b?c#d%2F")
    assert await client.routes() == {}


async def test_a_wrong_token_is_an_error(shared_proxy, session):
    stranger = Recorder(session, lambda: shared_proxy.api, "wrong")
    for request in (stranger.routes(), stranger.add("/x", WEB), stranger.remove("/x")):
        with pytest.raises(aiohttp.ClientResponseError, match="403"):
            await request
    assert not await stranger.has("/x")


async def test_a_proxy_that_is_away_is_an_error(session):
    ports = Ports()
    nobody = Recorder(session, lambda: f"http://{HOST}:{port}")
    port = ports.take()
    with pytest.raises(aiohttp.ClientError):
        await nobody.routes()
    ports.close()


# The keeper.


async def test_every_workspace_has_its_routes_and_they_follow_it(client):
    keeper = RouteKeeper(client, WEB)
    keeper.complete()
    async with running(keeper):
        await keeper.put("cluster-aaaaaa", A)
        await keeper.put("cluster-bbbbbb", B)
        await equal(client, {**FIXED, **A, **B})
        await keeper.put("cluster-aaaaaa", {"/cluster-aaaaaa": "http://127.0.0.1:3"})
        await equal(client, {**FIXED, **B, "/cluster-aaaaaa": "http://127.0.0.1:3"})
        await keeper.put("cluster-aaaaaa", {})
        await equal(client, {**FIXED, **B})
        await keeper.put("cluster-aaaaaa", {})
        assert keeper.wanted == {**FIXED, **B}


async def test_a_put_is_done_when_it_returns(client):
    keeper = RouteKeeper(client, WEB)
    await keeper.put("cluster-aaaaaa", A)
    assert await client.routes() == {**FIXED, **A}


async def test_the_sentinel_comes_last(client):
    keeper = RouteKeeper(client, WEB)
    await keeper.put("cluster-aaaaaa", A)
    assert client.changes[-1] == ("add", SENTINEL)


async def test_what_is_right_is_never_put_again(client, shared_proxy, session):
    first = RouteKeeper(client, WEB)
    await first.put("cluster-aaaaaa", A)
    await first.put("cluster-bbbbbb", B)
    client.changes.clear()
    await first.put("cluster-aaaaaa", dict(A))
    assert client.changes == []
    # A hub that starts again knows nothing and finds a full proxy.
    again = Recorder(session, lambda: shared_proxy.api)
    second = RouteKeeper(again, WEB)
    async with running(second):
        await second.put("cluster-aaaaaa", A)
        await second.put("cluster-bbbbbb", {"/cluster-bbbbbb": "http://127.0.0.1:4"})
        second.complete()
        await equal(again, {**FIXED, **A, "/cluster-bbbbbb": "http://127.0.0.1:4"})
    assert again.changes == [("add", "/cluster-bbbbbb")]


async def test_nothing_is_removed_until_every_workspace_was_looked_at(client):
    stale = {"/cluster-cccccc": "http://127.0.0.1:7"}
    for path, target in {**FIXED, **A, **stale}.items():
        await client.add(path, target)
    keeper = RouteKeeper(client, WEB)
    async with running(keeper):
        await keeper.put("cluster-bbbbbb", B)
        await keeper.put("cluster-bbbbbb", {})
        assert await client.routes() == {**FIXED, **A, **B, **stale}
        await keeper.put("cluster-aaaaaa", A)
        keeper.complete()
        await equal(client, {**FIXED, **A})


async def test_a_proxy_that_lost_everything_gets_it_back(own_proxy, session):
    client = Recorder(session, lambda: own_proxy.api)
    keeper = RouteKeeper(client, WEB)
    keeper.complete()
    async with running(keeper):
        await keeper.put("cluster-aaaaaa", A)
        await keeper.put("cluster-bbbbbb", B)
        own_proxy.kill()
        await keeper.put("cluster-bbbbbb", {})  # said while it is away
        await keeper.put("cluster-cccccc", {"/cluster-cccccc": "http://127.0.0.1:3"})
        await asyncio.to_thread(own_proxy.start)
        await equal(client, {**FIXED, **A, "/cluster-cccccc": "http://127.0.0.1:3"})


async def test_a_proxy_that_was_emptied_without_a_word_gets_everything_back(client):
    keeper = RouteKeeper(client, WEB)
    async with running(keeper):
        await keeper.put("cluster-aaaaaa", A)
        for path in ("/cluster-aaaaaa", DEFAULT, SENTINEL):
            await client.remove(path)
        await equal(client, {**FIXED, **A})


async def test_a_proxy_that_was_started_again_is_asked_at_once(client, monkeypatch):
    monkeypatch.setattr("proxy.chp.CHECK_SECONDS", 3600)
    keeper = RouteKeeper(client, WEB)
    async with running(keeper):
        await keeper.put("cluster-aaaaaa", A)
        await client.remove("/cluster-aaaaaa")
        keeper.restarted()
        await equal(client, {**FIXED, **A})


async def test_people_arrive_where_the_routes_lead(client, shared_proxy, session):
    async def here(request):
        return web.Response(text=request.path_qs)

    async def talk(request):
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str(await socket.receive_str())
        await socket.close()
        return socket

    application = web.Application()
    application.router.add_get("/cluster-aaaaaa/talk", talk)
    application.router.add_get("/{path:.*}", here)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, HOST, 0)
    await site.start()
    try:
        keeper = RouteKeeper(client, WEB)
        await keeper.put("cluster-aaaaaa", {"/cluster-aaaaaa": site.name})
        async with session.get(f"{shared_proxy.url}/cluster-aaaaaa/lab?x=1") as response:
            assert await response.text() == "/cluster-aaaaaa/lab?x=1", "the prefix is kept"
        async with session.ws_connect(f"{shared_proxy.url}/cluster-aaaaaa/talk") as socket:
            await socket.send_str("hello")
            assert await socket.receive_str() == "hello"
        async with session.get(f"{shared_proxy.url}/cluster-bbbbbb/lab") as response:
            assert response.status == 503, "that goes to web, which is not there in this test"
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("moment", range(6))
async def test_it_stops_when_told_to_even_if_it_is_woken_at_that_moment(client, monkeypatch, moment):
    monkeypatch.setattr("proxy.chp.CHECK_SECONDS", 3600)
    keeper = RouteKeeper(client, WEB)
    await keeper.put("cluster-aaaaaa", A)
    task = asyncio.create_task(keeper.run())
    await client.checked.wait()
    for _ in range(10):
        await asyncio.sleep(0)
    keeper.complete()
    for _ in range(moment):
        await asyncio.sleep(0)
    task.cancel()
    done, _ = await asyncio.wait([task], timeout=5)
    task.cancel()
    assert done
