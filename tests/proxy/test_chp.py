"""The REST client, and what people get, against the real configurable-http-proxy."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from hub.ports import HOST, Ports
from proxy.chp import NOT_ANSWERING
from proxy.routes import SENTINEL
from tests.proxy.keeping import WEB, A, Recorder


@contextlib.asynccontextmanager
async def serving(application: web.Application) -> AsyncIterator[str]:
    """A program behind the proxy, or in its place; its address."""
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, HOST, 0)
    await site.start()
    try:
        yield site.name
    finally:
        await runner.cleanup()


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
    stranger = Recorder(session, shared_proxy.api, "wrong")
    for request in (stranger.routes(), stranger.add("/x", WEB), stranger.remove("/x")):
        with pytest.raises(aiohttp.ClientResponseError, match="403"):
            await request
    assert not await stranger.has("/x")


async def test_a_proxy_that_is_away_is_an_error(session):
    ports = Ports()
    nobody = Recorder(session, f"http://{HOST}:{ports.take()}")
    with pytest.raises(NOT_ANSWERING):
        await nobody.routes()
    ports.close()


@pytest.mark.parametrize("text", ["<html>", "[]", '{"/": {"to": "x"}}'])
async def test_so_is_something_else_at_its_address(session, text):
    async def answer(request):
        return web.Response(text=text)

    application = web.Application()
    application.router.add_get("/{path:.*}", answer)
    async with serving(application) as address:
        with pytest.raises(NOT_ANSWERING):
            await Recorder(session, address).routes()


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
    async with serving(application) as address:
        await client.add("/", WEB)
        await client.add("/cluster-aaaaaa", address)
        async with session.get(f"{shared_proxy.url}/cluster-aaaaaa/lab?x=1") as response:
            assert await response.text() == "/cluster-aaaaaa/lab?x=1", "the prefix is kept"
        async with session.ws_connect(f"{shared_proxy.url}/cluster-aaaaaa/talk") as socket:
            await socket.send_str("hello")
            assert await socket.receive_str() == "hello"
        async with session.get(f"{shared_proxy.url}/cluster-bbbbbb/lab") as response:
            assert response.status == 503, "that goes to web, which is not there in this test"
