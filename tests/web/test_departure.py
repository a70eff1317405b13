"""A web process that is told to end: nothing that was asked is lost, and everybody is sent elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import aiohttp
import pytest

from hub.web import server
from tests.waiting import PATIENCE, until
from tests.web.serving import HOST, MINE, Web
from tests.web.test_events import stream


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """No new connections at once, and nothing is cut, unless a test is about that."""
    monkeypatch.setattr(server, "OPEN", 0.0)
    monkeypatch.setattr(server, "LAST", PATIENCE)


@asynccontextmanager
async def ending(web: Web) -> AsyncIterator[asyncio.Task[None]]:
    """Meanwhile the process is about to end."""
    task = asyncio.create_task(web.server.end())
    try:
        await until("the end is announced", lambda: web.application.settings["departure"].announced)
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class Connection:
    """A connection that is kept, as a proxy has them."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def ask(self, path: str) -> tuple[int, str]:
        """The status of an answer that is read to its end, and what it says of the connection."""
        self.send(path)
        return await self.read()

    def send(self, path: str, headers: Mapping[str, str] | None = None) -> None:
        lines = [f"{name}: {value}" for name, value in {"Host": "localhost", **(headers or {})}.items()]
        self._writer.write("\r\n".join([f"GET {path} HTTP/1.1", *lines, "", ""]).encode())

    async def read(self) -> tuple[int, str]:
        async with asyncio.timeout(PATIENCE):
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode().lower()
            fields = dict(line.split(": ", 1) for line in head.strip().split("\r\n")[1:])
            if "content-length" in fields:
                await self._reader.readexactly(int(fields["content-length"]))
            else:
                await self._reader.readuntil(b"\r\n0\r\n\r\n")
        return int(head.split()[1]), fields.get("connection", "")

    async def ended(self) -> bool:
        """Whether the other end closed it, after all that was read."""
        async with asyncio.timeout(PATIENCE):
            return await self._reader.read() == b""


@asynccontextmanager
async def connected(web: Web) -> AsyncIterator[Connection]:
    reader, writer = await asyncio.open_connection(HOST, web.port)
    try:
        yield Connection(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def refused(web: Web) -> bool:
    """Whether no new connection is taken."""
    try:
        _, writer = await asyncio.open_connection(HOST, web.port)
    except ConnectionRefusedError:
        return True
    writer.close()
    return False


async def test_a_request_on_a_kept_connection_is_answered_as_the_last(web: Web) -> None:
    async with connected(web) as kept:
        assert await kept.ask("/healthz") == (200, "")
        async with ending(web):
            await until("no new connection is taken", lambda: refused(web))
            assert await kept.ask("/static/podium.css") == (200, "close")
            assert await kept.ended()


async def test_the_process_ends_when_nobody_is_connected_any_more(web: Web) -> None:
    async with connected(web) as kept, connected(web) as other:
        await kept.ask("/healthz")
        await other.ask("/healthz")
        async with ending(web) as end:
            await kept.ask("/healthz")
            assert not end.done()
            await other.ask("/healthz")
            async with asyncio.timeout(PATIENCE / 2):
                await end


async def test_ten_proxies_lose_none_of_their_requests(web: Web) -> None:
    """Each asks one thing after the other on what is kept, and goes elsewhere where it is told to."""
    asked, answered = 0, 0
    told = asyncio.Event()

    async def proxy() -> None:
        nonlocal asked, answered
        async with connected(web) as kept:
            while True:
                asked += 1
                status, connection = await kept.ask("/healthz")
                assert status in (200, 503)  # which is what probes are told
                answered += 1
                if connection == "close":
                    return
                told.set()

    proxies = [asyncio.create_task(proxy()) for _ in range(10)]
    await told.wait()
    async with ending(web) as end:
        await asyncio.gather(*proxies)
        await end
    assert asked == answered


async def test_new_connections_are_taken_for_a_while(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "OPEN", PATIENCE)
    async with ending(web), connected(web) as late:
        assert await late.ask("/static/podium.css") == (200, "close")


@pytest.mark.parametrize("cut", [False, True])
async def test_a_request_under_way(web: Web, monkeypatch: pytest.MonkeyPatch, cut: bool) -> None:
    if cut:
        monkeypatch.setattr(server, "LAST", 0.1)
    await web.add()
    headers = web.credentials("session")
    async with web.browser.get(f"{web.url}/{MINE}_dask/stream", headers=headers) as response:
        assert await response.content.readexactly(5) == b"first"
        async with ending(web) as end:
            await until("no new connection is taken", lambda: refused(web))
            if not cut:
                web.upstream.go_on.set()
                assert await response.content.read() == b" last"
            else:
                await end
                with pytest.raises(aiohttp.ClientPayloadError):
                    await response.content.read()


async def test_an_answer_that_begins_after_the_announcement_is_the_last(web: Web) -> None:
    await web.add()
    async with connected(web) as kept:
        kept.send(f"/{MINE}_dask/held", web.credentials("session"))
        await until("it is asked upstream", lambda: web.upstream.seen)
        async with ending(web):
            web.upstream.go_on.set()
            assert await kept.read() == (200, "close")


async def test_an_event_stream_ends_well_and_goes_on_elsewhere(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "OPEN", PATIENCE)
    made = await web.add()
    async with stream(web) as events:
        await events.next()
        async with ending(web):
            rest = await events.response.content.read()  # which raises where it is cut
            told = (b'event: notice\ndata: ""\n\n', b'event: room\ndata: {"message":null}\n\n')
            assert rest in (b"", *told, b"".join(told))
            # Whoever comes back here before kube-proxy has heard is sent on.
            async with stream(web, seen=made.metadata.resource_version) as again:
                assert again.response.headers["Connection"] == "close"
                await again.response.content.read()


async def test_a_websocket_hears_that_this_end_goes_away(web: Web) -> None:
    await web.add()
    url = f"ws://{HOST}:{web.port}/{MINE}_dask/ws"
    async with web.browser.ws_connect(url, headers=web.credentials("session")) as socket:
        await socket.send_str("hello")
        assert (await socket.receive()).data == "HELLO"
        async with ending(web) as end:
            message = await socket.receive()
            assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1001)
            await web.upstream.close_codes.get()
            await end
