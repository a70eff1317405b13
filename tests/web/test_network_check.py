"""What the landing page tries before the click."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from tests.waiting import PATIENCE
from tests.web.serving import Web


async def test_says_the_time_and_whether_the_cookie_came(web: Web) -> None:
    known, stranger = await web.ask("GET", "/check", "session"), await web.ask("GET", "/check", "nobody")
    assert (known.status, stranger.status) == (200, 200)
    assert known.json["signedIn"] is True
    assert stranger.json["signedIn"] is False
    assert known.json["now"].startswith("20")


async def test_events_come_one_by_one(web: Web) -> None:
    now = asyncio.get_running_loop().time
    async with web.browser.get(f"{web.url}/check/events", headers=web.credentials("session")) as answer:
        assert answer.headers["X-Accel-Buffering"] == "no"
        came = [now() async for line in answer.content if line.startswith(b"event: drip")]
    assert len(came) == 5
    assert came[-1] - came[0] >= 0.4


async def test_a_websocket_says_what_it_hears(web: Web) -> None:
    async with (
        asyncio.timeout(PATIENCE),
        web.browser.ws_connect(f"{web.url}/check/socket", headers=web.credentials("session")) as socket,
    ):
        await socket.send_str("hello")
        assert await socket.receive_str() == "hello"
        assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE


async def test_a_websocket_says_nothing_that_is_long(web: Web) -> None:
    async with (
        asyncio.timeout(PATIENCE),
        web.browser.ws_connect(f"{web.url}/check/socket", headers=web.credentials("session")) as socket,
    ):
        await socket.send_str("x" * 101)
        assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE


@pytest.mark.parametrize("path", ["/check/events", "/check/socket"])
async def test_is_not_for_strangers(web: Web, path: str) -> None:
    assert (await web.ask("GET", path, "nobody")).status == 401


async def test_is_not_for_pages_of_other_sites(web: Web) -> None:
    headers = {**web.credentials("session"), "Origin": "https://elsewhere.example"}
    assert await web.handshake("/check/socket", headers) == 403
