"""The REST client of configurable-http-proxy.

Source: the proxy's REST API, as its README describes it. Nothing here may know which routes there should be.
"""

from __future__ import annotations

from urllib.parse import quote

import aiohttp
import msgspec
from msgspec import Struct

from proxy.routes import DEFAULT

TIMEOUT = aiohttp.ClientTimeout(total=5, connect=2)
NOT_ANSWERING = (aiohttp.ClientError, TimeoutError, OSError, msgspec.DecodeError)
"""What is raised when a proxy does not do what it was asked to."""


class _Route(Struct):
    target: str


ROUTES = msgspec.json.Decoder(dict[str, _Route])


class ProxyClient:
    """One configurable-http-proxy.

    Args:
        session: for its requests.
        address: of its REST API, such as `http://127.0.0.1:8001`.
        token: its `CONFIGPROXY_AUTH_TOKEN`.
    """

    def __init__(self, session: aiohttp.ClientSession, address: str, token: str) -> None:
        self._session = session
        self._routes = f"{address}/api/routes"
        self._headers = {"Authorization": f"token {token}"}

    async def routes(self) -> dict[str, str]:
        """Every path and its target."""
        async with self._request("GET", DEFAULT) as response:
            response.raise_for_status()
            return {path: route.target for path, route in ROUTES.decode(await response.read()).items()}

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
        url = self._routes + quote(path)
        return self._session.request(method, url, headers=self._headers, json=body, timeout=TIMEOUT)
