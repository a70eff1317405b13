"""Web processes of one release on a real API server, and browsers that talk to whichever they like.

Nothing here may decide what is right.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import aiohttp
import tornado.netutil

from hub import admission
from hub.kube.api import Api
from hub.model import Workspace
from hub.profiles import read_profiles
from hub.rules import Rules
from hub.store.kubernetes import KubernetesStore
from hub.store.room_kubernetes import RoomResource
from hub.web.address import PublicAddress
from hub.web.auth import GuestSignIn
from hub.web.base import Site
from hub.web.events import Watcher
from hub.web.server import Server
from tests.builders import HUB_KEY
from tests.kubernetes.menu import PROFILES
from tests.waiting import PATIENCE

HOST = "127.0.0.1"
TOKEN = "token-of-the-api-0123456789"
NOTHING: Mapping[str, str] = MappingProxyType({})
LAUNCH = {"spec": {"profile": "workshop"}}


@dataclass
class Replica:
    """One web process."""

    store: KubernetesStore
    server: Server
    url: str

    async def knows(self, name: str) -> Workspace | None:
        """A workspace, as far as this process has heard."""
        return await self.store.get(name)


@asynccontextmanager
async def replica(
    kubeconfig: Path, namespace: str, marks: Mapping[str, str] = NOTHING
) -> AsyncIterator[Replica]:
    """A web process that serves while the context lasts.

    Args:
        marks: profile to the fingerprint that members of its pool have.
    """
    api = await Api.connect(kubeconfig)
    profiles = read_profiles(PROFILES)
    store = KubernetesStore(api, namespace, partial(admission.complete, profiles))
    room = RoomResource(api, namespace)
    watcher = Watcher(store, room)
    following = [asyncio.create_task(part()) for part in (store.run, room.run, watcher.run)]
    sockets = tornado.netutil.bind_sockets(0, HOST)
    async with aiohttp.ClientSession(auto_decompress=False) as relayed:
        site = Site(
            store=store,
            room=room,
            rules=Rules(),
            watcher=watcher,
            profiles=profiles,
            unavailable={},
            sign_in=GuestSignIn(TOKEN, "secret-of-the-cookies-0123456789"),
            address=PublicAddress(),
            hub_key=HUB_KEY,
            session=relayed,
            own_port=None,
            kept="",
            marks=marks,
        )
        server = Server(site, sockets)
        await store.list()
        try:
            yield Replica(store, server, f"http://{HOST}:{sockets[0].getsockname()[1]}")
        finally:
            await server.close()
            for task in following:
                task.cancel()
            await asyncio.gather(*following, return_exceptions=True)
            await api.close()


@dataclass
class Answer:
    """An answer, read to its end."""

    status: int
    headers: Any
    text: str
    json: Any


class Browser:
    """Somebody's browser, whose requests reach any web process.

    Args:
        session: with a cookie jar of its own.
    """

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self._xsrf = ""

    async def open(self, web: Replica, path: str = "/") -> Answer:
        """Open a page."""
        answer = await self._send(web, "GET", path)
        found = re.search(r'<meta name="xsrf" content="([^"]+)">', answer.text)
        if found:
            self._xsrf = found[1]
        return answer

    async def ask(self, web: Replica, method: str, path: str, body: object = None) -> Answer:
        """Send what a page's script would."""
        return await self._send(web, method, path, json=body, headers={"X-XSRFToken": self._xsrf})

    async def launch(self, web: Replica) -> Answer:
        """Click the button."""
        return await self.ask(web, "POST", "/api/workspaces", LAUNCH)

    @asynccontextmanager
    async def follow(self, web: Replica, path: str) -> AsyncIterator[aiohttp.StreamReader]:
        """An event stream."""
        endless = aiohttp.ClientTimeout(total=None)
        async with self._session.get(web.url + path, timeout=endless) as response:
            assert response.status == 200
            yield response.content

    async def _send(self, web: Replica, method: str, path: str, **more: Any) -> Answer:
        async with self._session.request(method, web.url + path, **more) as response:
            text = await response.text()
            value = await response.json() if response.content_type == "application/json" else None
            return Answer(response.status, response.headers, text, value)


@asynccontextmanager
async def browser() -> AsyncIterator[Browser]:
    """A browser that nobody has used before."""
    jar = aiohttp.CookieJar(unsafe=True)  # which takes addresses for hosts; ports do not matter to cookies
    timeout = aiohttp.ClientTimeout(total=PATIENCE)
    async with aiohttp.ClientSession(cookie_jar=jar, timeout=timeout) as session:
        yield Browser(session)


async def noticed(stream: aiohttp.StreamReader) -> str:
    """The next notice of an event stream."""
    async with asyncio.timeout(PATIENCE):
        while True:
            block = (await stream.readuntil(b"\n\n")).decode()
            if block.startswith("event: notice\n"):
                return block.partition("data: ")[2].strip().strip('"')


@contextlib.asynccontextmanager
async def held(*watches: asyncio.Event) -> AsyncIterator[None]:
    """Meanwhile what watches tell comes late."""
    for watch in watches:
        watch.clear()
    try:
        yield
    finally:
        for watch in watches:
            watch.set()
