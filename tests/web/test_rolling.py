"""A web process goes and another stays, behind the real proxy and something that spreads connections."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
import tornado.netutil

from hub import tools
from hub.web.server import Server
from proxy.chp import ProxyClient
from tests.proxy.real import TOKEN, RealProxy, real_proxy
from tests.waiting import PATIENCE, until
from tests.web.serving import HOST, Web

pytestmark = pytest.mark.skipif(tools.node().path is None, reason="no Node.js")


class Service:
    """Spreads connections over several processes, as kube-proxy does: one that is made stays where it is."""

    def __init__(self, *ports: int) -> None:
        self.ports = list(ports)
        self._next = 0

    async def forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take a connection."""
        self._next += 1
        try:
            there = await asyncio.open_connection(HOST, self.ports[self._next % len(self.ports)])
        except ConnectionError:
            writer.transport.abort()
            return
        await asyncio.gather(_pump(reader, there[1]), _pump(there[0], writer))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(2**16):
            writer.write(data)
            await writer.drain()
    writer.close()


@pytest.fixture
def proxy() -> Iterator[RealProxy]:
    with real_proxy() as proxy:
        yield proxy


@asynccontextmanager
async def second(web: Web) -> AsyncIterator[tuple[Server, int]]:
    """Another process of the same hub."""
    sockets = tornado.netutil.bind_sockets(0, HOST)
    other = Server(web.site, sockets)
    try:
        yield other, int(sockets[0].getsockname()[1])
    finally:
        await other.close()


@pytest.mark.parametrize("well", [True, False])
async def test_nobody_notices(web: Web, proxy: RealProxy, well: bool) -> None:
    """And somebody does, when it is just cut: else this test would show nothing."""
    statuses: Counter[int] = Counter()
    over = asyncio.Event()

    async def person(session: aiohttp.ClientSession) -> None:
        while not over.is_set():
            async with session.get(f"{proxy.url}/static/podium.css") as response:
                await response.read()
            statuses[response.status] += 1

    async def more(count: int) -> None:
        wanted = statuses.total() + count
        await until(f"{count} more are answered", lambda: statuses.total() >= wanted)

    async with contextlib.AsyncExitStack() as stack:
        going, port = await stack.enter_async_context(second(web))
        service = Service(web.port, port)
        listening = await stack.enter_async_context(await asyncio.start_server(service.forward, HOST, 0))
        session = await stack.enter_async_context(
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PATIENCE))
        )
        client = ProxyClient(session, proxy.api, TOKEN)
        await client.add("/", f"http://{HOST}:{listening.sockets[0].getsockname()[1]}")
        people = [asyncio.create_task(person(session)) for _ in range(20)]
        await more(200)
        ending = asyncio.create_task(going.end() if well else going.close())
        await more(20)
        service.ports.remove(port)  # which is later than the process was told
        await ending
        await more(200)
        over.set()
        await asyncio.gather(*people)
    assert (set(statuses) == {200}) is well, statuses
