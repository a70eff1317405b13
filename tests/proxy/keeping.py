"""A keeper of real proxies, what it does to them, and what they have."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from proxy.chp import ProxyClient
from proxy.keeper import RouteKeeper
from proxy.routes import DEFAULT, SENTINEL
from tests.proxy.real import TOKEN, RealProxy
from tests.waiting import until

WEB = "http://127.0.0.1:9"
FIXED = {DEFAULT: WEB, SENTINEL: WEB}
A, B, C = ({f"/cluster-{letter * 6}": f"http://127.0.0.1:{n}"} for n, letter in enumerate("abc", 1))


class Recorder(ProxyClient):
    """A client that notes what it changed, and waits before what the test holds up."""

    def __init__(self, session: aiohttp.ClientSession, address: str, token: str = TOKEN) -> None:
        super().__init__(session, address, token)
        self.changes: list[tuple[str, str]] = []
        self.checked = asyncio.Event()
        self.held: dict[str, asyncio.Event] = {}
        """Path to what has to happen before it is added."""
        self.holding: list[str] = []

    async def has(self, path: str) -> bool:
        result = await super().has(path)
        self.checked.set()
        return result

    async def add(self, path: str, target: str) -> None:
        if path in self.held:
            self.holding.append(path)
            await self.held[path].wait()
        await super().add(path, target)
        self.changes.append(("add", path))

    async def remove(self, path: str) -> None:
        await super().remove(path)
        self.changes.append(("remove", path))


class Keeping:
    """A keeper, and its clients by the address of their proxies.

    Args:
        session: for their requests.
    """

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.clients: dict[str, Recorder] = {}
        self.keeper = RouteKeeper(lambda address: self.client(address, session), WEB)

    def client(self, address: str, session: aiohttp.ClientSession) -> Recorder:
        """The one client of an address."""
        return self.clients.setdefault(address, Recorder(session, address))

    def keep(self, *proxies: RealProxy) -> None:
        """Keep these proxies, and no others."""
        self.keeper.set_replicas([proxy.api for proxy in proxies])

    def changes(self, proxy: RealProxy) -> list[tuple[str, str]]:
        """What was changed at a proxy so far."""
        return self.clients[proxy.api].changes


@asynccontextmanager
async def keeping(session: aiohttp.ClientSession, *proxies: RealProxy) -> AsyncIterator[Keeping]:
    """A keeper that runs."""
    kept = Keeping(session)
    kept.keep(*proxies)
    task = asyncio.create_task(kept.keeper.run())
    try:
        yield kept
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def table(session: aiohttp.ClientSession, proxy: RealProxy) -> dict[str, str] | None:
    """Every route of a proxy; None when it does not answer."""
    try:
        return await ProxyClient(session, proxy.api, TOKEN).routes()
    except (aiohttp.ClientError, TimeoutError):
        return None


async def equal(session: aiohttp.ClientSession, proxy: RealProxy, wanted: dict[str, str]) -> None:
    """Wait until a proxy has exactly these routes."""

    async def look() -> bool:
        return await table(session, proxy) == wanted

    await until(f"the proxy has {wanted}", look)


async def clocks(session: aiohttp.ClientSession, proxy: RealProxy) -> dict[str, str]:
    """When each route of a proxy was last used, or put."""
    headers = {"Authorization": f"token {TOKEN}"}
    async with session.get(f"{proxy.api}/api/routes", headers=headers) as response:
        return {path: route["last_activity"] for path, route in (await response.json()).items()}
