"""WebSockets to dashboards and to programs beside the notebook: handshakes, messages and ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from hub.web import relay
from tests.waiting import PATIENCE
from tests.web.serving import MINE, Web
from tests.web.test_relay import DASK, PORT, RELAYS, SPARK


@pytest.fixture(autouse=True)
async def workspace(web: Web) -> None:
    """A workspace whose dashboards and notebook answer."""
    await web.add()
    web.own_ports.add(9000)


@asynccontextmanager
async def socket(
    web: Web, path: str = f"{DASK}/ws", **options: Any
) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """A WebSocket through the relay."""
    headers = {**web.credentials("session"), **options.pop("headers", {})}
    async with web.browser.ws_connect(web.url + path, headers=headers, **options) as opened:
        yield opened


async def hear(opened: aiohttp.ClientWebSocketResponse) -> aiohttp.WSMessage:
    return await asyncio.wait_for(opened.receive(), PATIENCE)


async def closed_upstream(web: Web) -> int | None:
    """With what the far end saw its WebSocket close."""
    return await asyncio.wait_for(web.upstream.close_codes.get(), PATIENCE)


class TestMessages:
    @pytest.mark.parametrize("route", [DASK, SPARK, PORT])
    async def test_text(self, web: Web, route: str) -> None:
        async with socket(web, f"{route}/ws") as opened:
            await opened.send_str("grüße")
            heard = await hear(opened)
            assert (heard.type, heard.data) == (aiohttp.WSMsgType.TEXT, "GRÜSSE")

    async def test_binary(self, web: Web) -> None:
        async with socket(web) as opened:
            await opened.send_bytes(bytes(range(256)))
            heard = await hear(opened)
            assert (heard.type, heard.data) == (aiohttp.WSMsgType.BINARY, bytes(range(256))[::-1])

    async def test_none_is_lost_or_overtakes(self, web: Web) -> None:
        async with socket(web) as opened:
            for number in range(200):
                await opened.send_str(f"m{number}")
            assert [(await hear(opened)).data for _ in range(200)] == [f"M{n}" for n in range(200)]

    async def test_large(self, web: Web) -> None:
        """Plots of a big cluster come in messages of megabytes."""
        async with socket(web, max_msg_size=0) as opened:
            await opened.send_str("x" * 2_000_000)
            assert (await hear(opened)).data == "X" * 2_000_000

    async def test_too_large_ends_this_one_alone(self, web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(relay, "MOST_MESSAGE", 1000)
        async with socket(web) as kept, socket(web) as opened:
            await opened.send_str("x" * 2000)
            assert (await hear(opened)).type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
            await kept.send_str("still here")
            assert (await hear(kept)).data == "STILL HERE"


class TestHandshake:
    @pytest.mark.parametrize(("route", "upstream"), RELAYS)
    async def test_where_it_arrives(self, web: Web, route: str, upstream: str) -> None:
        async with socket(web, f"{route}/a%2Fb/ws?token=x%20y"):
            pass
        (arrived,) = web.upstream.seen
        assert arrived.target == f"{upstream}/a%2Fb/ws?token=x%20y"

    async def test_credentials_and_cookies(self, web: Web) -> None:
        cookie = f"{web.credentials('session')['Cookie']}; own=1"
        async with socket(web, headers={"Cookie": cookie, "Origin": web.url, "X-Own": "2"}):
            pass
        (arrived,) = web.upstream.seen
        assert arrived.headers["Authorization"] == f"Bearer {(await web.keys()).token('dask')}"
        assert arrived.headers["Cookie"] == "own=1"
        assert arrived.headers["X-Own"] == "2"
        # Bokeh compares the two before it lets a browser in.
        assert arrived.headers["Origin"] == web.url
        assert arrived.headers["Host"] == f"127.0.0.1:{web.port}"

    @pytest.mark.parametrize(
        ("asked", "chosen"),
        [(("bokeh", "token-abc"), "bokeh"), (("bokeh",), "bokeh"), (("other",), None), ((), None)],
    )
    async def test_the_protocol_is_chosen_upstream(
        self, web: Web, asked: tuple[str, ...], chosen: str | None
    ) -> None:
        async with socket(web, protocols=asked) as opened:
            assert opened.protocol == chosen
        (arrived,) = web.upstream.seen
        said = arrived.headers.get("Sec-WebSocket-Protocol", "")
        assert [part.strip() for part in said.split(",") if part] == list(asked)

    @pytest.mark.parametrize(
        ("path", "status"),
        [
            (f"{DASK}/teapot", 503),  # what is there speaks no WebSocket
            (f"/{MINE}_ipyparallel/ws", 404),
            (f"/{MINE}_9001/ws", 404),
            (f"{DASK}/broken", 503),
        ],
    )
    async def test_refused(self, web: Web, path: str, status: int) -> None:
        web.upstream.go_on.set()
        assert await web.handshake(path, web.credentials("session")) == status

    async def test_nothing_listens(self, web: Web) -> None:
        await web.report(endpoints={"dask": "http://127.0.0.1:1"})
        assert await web.handshake(f"{DASK}/ws", web.credentials("session")) == 503

    async def test_who_gives_up_during_it_leaves_nothing_open(self, web: Web) -> None:
        """The handshake upstream is held, and the browser goes."""
        cookie = web.credentials("session")["Cookie"]
        head = f"Host: localhost\r\nCookie: {cookie}\r\nSec-WebSocket-Version: 13\r\n"
        _, writer = await asyncio.open_connection("127.0.0.1", web.port)
        writer.write(
            f"GET {DASK}/slow/ws HTTP/1.1\r\n{head}Upgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        await asyncio.wait_for(web.upstream.asked.wait(), PATIENCE)
        writer.transport.abort()
        await asyncio.wait_for(web.upstream.left.wait(), PATIENCE)


class TestEnd:
    @pytest.mark.parametrize("code", [1000, 1001, 1003, 1011, 3000, 4001])
    async def test_by_the_far_end(self, web: Web, code: int) -> None:
        async with socket(web) as opened:
            await opened.send_str(f"close {code}")
            heard = await hear(opened)
            assert (heard.type, heard.data) == (aiohttp.WSMsgType.CLOSE, code)

    @pytest.mark.parametrize("code", [1000, 1001, 3000, 4001])
    async def test_by_the_browser(self, web: Web, code: int) -> None:
        async with socket(web) as opened:
            await opened.close(code=code)
        assert await closed_upstream(web) == code

    async def test_the_far_end_vanishes(self, web: Web) -> None:
        async with socket(web) as opened:
            await opened.send_str("vanish")
            await hear(opened)
            assert opened.closed
            assert opened.close_code != 1000

    async def test_the_browser_vanishes(self, web: Web) -> None:
        async with socket(web) as opened:
            await opened.send_str("here")
            await hear(opened)
            assert opened._response.connection
            assert opened._response.connection.transport
            opened._response.connection.transport.abort()
            assert await closed_upstream(web) is not None

    async def test_the_hub_keeps_nothing_of_it(self, web: Web) -> None:
        for _ in range(3):
            async with socket(web) as opened:
                await opened.send_str("here")
                await hear(opened)
            await closed_upstream(web)
        await asyncio.gather(*web.application.settings["background"])
        assert web.application.settings["background"] == set()
