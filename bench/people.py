"""People in their browsers, as far as the hub can tell: a page, a click, a stream of news, a notebook.

Each is somebody of their own, by the session cookie that the first page gives. Nobody tries anything again:
what a browser would show as an error is one. Nothing here may know how the hub works inside.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from typing import Any

import aiohttp
import msgspec
from msgspec import Struct

from hub.web.auth import XSRF_COOKIE

NOTHING: Mapping[str, str] = {}
PATIENCE = 900.0
"""Seconds after which a launch is taken to never end."""


class _Cluster(Struct, frozen=True):
    ready: int = 0
    workers: int = 0


class _Status(Struct, frozen=True):
    phase: str = ""
    message: str = ""
    clusters: dict[str, _Cluster] = {}


class _Metadata(Struct, frozen=True):
    name: str


class Seen(Struct, frozen=True):
    """A workspace, as far as a page looks at it."""

    metadata: _Metadata
    status: _Status = _Status()

    def workers(self, cluster: str) -> int:
        """How many of a cluster's workers are Ready."""
        return self.status.clusters.get(cluster, _Cluster()).ready


@dataclass
class Person:
    """Somebody with a browser.

    Args:
        session: for all requests; it must keep no cookies.
        url: the hub's address.
        refusals: what the browser had to show as an error.
        clicked, accepted, usable, opened: when, by the monotonic clock: the click, its answer, JupyterLab
            Ready, and the notebook's answer once every worker is Ready too; 0 for never.
    """

    session: aiohttp.ClientSession
    url: str
    name: str = ""
    refusals: list[str] = field(default_factory=list)
    clicked: float = 0.0
    accepted: float = 0.0
    usable: float = 0.0
    opened: float = 0.0
    cookies: dict[str, str] = field(default_factory=dict)

    async def arrive(self) -> None:
        """Open the home page."""
        await self._request("GET", "/")

    async def join(self, secret: str, name: str) -> None:
        """Open the invitation's link, type a name, and come to the home page."""
        await self._request("GET", "/join")
        form = aiohttp.FormData({"code": secret, "name": name, "_xsrf": self.cookies[XSRF_COOKIE]})
        await self._send("POST", "/join", data=form)
        await self.arrive()

    async def launch(self, profile: str, workers: int) -> None:
        """Click, wait until everything is Ready, and open the notebook."""
        self.clicked = time.monotonic()
        try:
            async with asyncio.timeout(PATIENCE):
                answer = await self._request("POST", "/api/workspaces", {"spec": {"profile": profile}})
                self.accepted = time.monotonic()
                self.name = msgspec.json.decode(answer, type=Seen).metadata.name
                await self.until(lambda seen: self._is_whole(seen, workers))
                await self._request("GET", f"/workspaces/{self.name}/open")
                await self._request("GET", f"/{self.name}/api")
                self.opened = time.monotonic()
        except (TimeoutError, Refused):
            return

    def _is_whole(self, seen: Seen, workers: int) -> bool:
        if seen.status.phase == "Failed":
            self.refusals.append(f"Failed: {seen.status.message}")
            raise Refused
        if seen.status.phase != "Ready":
            return False
        self.usable = self.usable or time.monotonic()
        return seen.workers("dask") == workers

    async def scale(self, workers: int) -> None:
        """Move the slider."""
        patch = {"spec": {"clusters": {"dask": {"workers": workers}}}}
        await self._request("PATCH", f"/api/workspaces/{self.name}", patch)

    async def until(self, true: Callable[[Seen], bool]) -> None:
        """Follow the workspace's news until something is true of it; a stream that ends is opened again."""
        while True:
            async with contextlib.aclosing(self._news()) as news:
                async for seen in news:
                    if true(seen):
                        return

    async def _news(self) -> AsyncGenerator[Seen]:
        timeout = aiohttp.ClientTimeout(total=None, sock_read=60)
        url = f"{self.url}/api/workspaces/{self.name}/events"
        async with self.session.get(url, headers=self._headers(), timeout=timeout) as response:
            if response.status != 200:
                await self._refused("GET", url, response)
            async for line in response.content:
                if line.startswith(b'data: {"apiVersion"'):  # else it tells of the hub
                    yield msgspec.json.decode(line[6:], type=Seen)

    async def _request(self, method: str, path: str, body: object = None) -> bytes:
        headers = {"X-Xsrftoken": self.cookies[XSRF_COOKIE]} if method != "GET" else {}
        return await self._send(method, path, json=body, headers=headers)

    async def _send(self, method: str, path: str, headers: Mapping[str, str] = NOTHING, **body: Any) -> bytes:
        sent = {**self._headers(), **headers}
        try:
            async with self.session.request(
                method, self.url + path, headers=sent, allow_redirects=False, **body
            ) as response:
                if response.status >= 400:
                    await self._refused(method, path, response)
                for value in response.headers.getall("Set-Cookie", ()):
                    self.cookies |= {name: morsel.value for name, morsel in SimpleCookie(value).items()}
                return await response.read()
        except (aiohttp.ClientError, OSError) as error:
            self.refusals.append(f"{method} {path}: {error!r}")
            raise Refused from None

    async def _refused(self, method: str, path: str, response: aiohttp.ClientResponse) -> None:
        self.refusals.append(f"{method} {path}: {response.status} {(await response.text())[:300]}")
        raise Refused

    def _headers(self) -> dict[str, str]:
        return {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}


class Refused(Exception):
    """A browser showed an error; it is among the refusals."""


def browsers() -> aiohttp.ClientSession:
    """A session for any number of people."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=120),
    )
