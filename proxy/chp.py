"""The REST client of configurable-http-proxy, and the keeper that makes its routes what they should be.

Source: the proxy's REST API, as its README describes it. Nothing here may decide which routes there
should be; that is `routes.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from urllib.parse import quote

import aiohttp

from proxy.routes import DEFAULT, SENTINEL, diff

log = logging.getLogger("podium.proxy")

CHECK_SECONDS = 0.5
TIMEOUT = aiohttp.ClientTimeout(total=10, connect=2)


class ProxyClient:
    """One configurable-http-proxy.

    Args:
        session: for its requests.
        address: gives the address of its REST API, such as `http://127.0.0.1:8001`; it may move.
        token: its `CONFIGPROXY_AUTH_TOKEN`.
    """

    def __init__(self, session: aiohttp.ClientSession, address: Callable[[], str], token: str) -> None:
        self._session = session
        self._address = address
        self._headers = {"Authorization": f"token {token}"}

    async def routes(self) -> dict[str, str]:
        """Every path and its target."""
        async with self._request("GET", DEFAULT) as response:
            response.raise_for_status()
            return {path: str(route["target"]) for path, route in (await response.json()).items()}

    async def has(self, path: str) -> bool:
        """Whether there is a route of exactly this path; cheap, however many there are."""
        async with self._request("GET", path) as response:
            return response.status == 200

    async def add(self, path: str, target: str) -> None:
        """Add a route, or lead an existing one elsewhere."""
        async with self._request("POST", path, {"target": target}) as response:
            response.raise_for_status()

    async def remove(self, path: str) -> None:
        """Remove a route; one that is not there is no error."""
        async with self._request("DELETE", path) as response:
            if response.status != 404:
                response.raise_for_status()

    def _request(self, method: str, path: str, body: object = None) -> aiohttp.client._RequestContextManager:
        url = f"{self._address()}/api/routes{quote(path)}"
        return self._session.request(method, url, headers=self._headers, json=body, timeout=TIMEOUT)


class RouteKeeper:
    """Keeps one proxy equal to what the workspaces want.

    Args:
        client: the proxy.
        default: where everything goes that has no route: web.
    """

    def __init__(self, client: ProxyClient, default: str) -> None:
        self._client = client
        self._fixed = {DEFAULT: default, SENTINEL: default}
        self._of: dict[str, dict[str, str]] = {}
        self._present: dict[str, str] | None = None
        self._complete = False
        self._lock = asyncio.Lock()
        self._wake = asyncio.Event()

    async def put(self, name: str, wanted: dict[str, str]) -> None:
        """Make the routes of one workspace what they should be; if the proxy is away, `run` does it later."""
        if wanted == self._of.get(name, {}):
            return
        self._of[name] = wanted
        if not wanted:
            del self._of[name]
        try:
            await self._sync()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            log.debug("the proxy does not answer: %r", error)
            self._wake.set()

    def complete(self) -> None:
        """Every workspace has been put once: routes that nobody wants may now be removed."""
        self._complete = True
        self._wake.set()

    def restarted(self) -> None:
        """The proxy was started again, so it may be empty."""
        self._present = None
        self._wake.set()

    async def run(self) -> None:
        """Notice that the proxy lost its routes, and put them back; until cancelled."""
        quiet = False
        while True:
            try:
                if self._wake.is_set() or not await self._client.has(SENTINEL):
                    self._wake.clear()
                    await self._resync()
                quiet = False
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                self._wake.set()
                if not quiet:
                    log.info("the proxy does not answer yet: %r", error)
                quiet = True
                await asyncio.sleep(CHECK_SECONDS / 5)
                continue
            # asyncio.wait_for may swallow a cancellation in Python 3.11, and this would go on for ever.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CHECK_SECONDS):
                    await self._wake.wait()

    @property
    def wanted(self) -> dict[str, str]:
        """Every route that there should be, the sentinel last."""
        workspaces = {path: target for routes in self._of.values() for path, target in routes.items()}
        return {DEFAULT: self._fixed[DEFAULT], **workspaces, SENTINEL: self._fixed[SENTINEL]}

    async def _resync(self) -> None:
        """Ask the proxy what it has, then put right what is not."""
        self._present = None
        await self._sync()

    async def _sync(self) -> None:
        async with self._lock:
            present = self._present
            if present is None:
                present = self._present = await self._client.routes()
            changes = diff(present, self.wanted)
            for path, target in changes.add.items():
                await self._client.add(path, target)
                present[path] = target
            for path in changes.remove if self._complete else ():
                await self._client.remove(path)
                del present[path]
