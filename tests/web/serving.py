"""The real web tier on a loopback socket, with a real store, and a browser to talk to it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
import tornado.netutil
import tornado.web
from multidict import CIMultiDict
from yarl import URL

import hub.wire
from hub.desired import context
from hub.keys import Keys
from hub.model import Status, Workspace
from hub.profiles import read_profiles
from hub.rules import Rules
from hub.store.files import FileStore
from hub.web.address import PublicAddress
from hub.web.auth import SESSION_COOKIE, XSRF_COOKIE, LocalSignIn, Person
from hub.web.base import Site
from hub.web.events import Watcher
from hub.web.server import Server
from tests.builders import HUB_KEY, make_workspace
from tests.memory_store import MemoryRoom
from tests.waiting import PATIENCE, until
from tests.web.upstream import Upstream, listening

HOST = "127.0.0.1"
PERSON, OTHER = "ada", "bob"
TOKEN = "token-of-the-api-0123456789"
CODE = "abcdefghijklmnop"
COOKIE_SECRET = "secret-of-the-cookies-0123456789"
XSRF = f"2|00000000|{'5e' * 16}|1700000000"
LOCAL = PublicAddress(local=True)
MINE, THEIRS = "cluster-mine00", "cluster-theirs"
LAUNCH = {"json": {"spec": {"profile": "notebook"}}}
SCALE = {"json": {"spec": {"workers": 3}}}
FORM = {"data": {"profile": "notebook"}}
PROFILES: dict[str, object] = {
    "workshop": {"title": "Workshop", "clusters": {"dask": {}, "ipyparallel": {}}, "max_workers": 8},
    "notebook": {"title": "Notebook", "frameworks": ["dask"], "max_workers": 4},
}


@dataclass(frozen=True)
class Answer:
    """An answer, read to its end."""

    status: int
    headers: CIMultiDict[str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()

    @property
    def location(self) -> str:
        """Where a redirect leads."""
        return self.headers["Location"]

    @property
    def message(self) -> str:
        """The message of an error of the API."""
        assert set(self.json) == {"error"}
        assert set(self.json["error"]) == {"code", "message", "hint"}
        return str(self.json["error"]["message"])

    def cookie(self, name: str) -> str | None:
        """The whole `Set-Cookie` of one name."""
        return next((c for c in self.headers.getall("Set-Cookie", ()) if c.startswith(f"{name}=")), None)


@dataclass
class Web:
    """A web tier that serves, its store, and what dashboards and notebooks are played by."""

    site: Site
    store: FileStore
    watcher: Watcher
    application: tornado.web.Application
    port: int
    upstream: Upstream
    browser: aiohttp.ClientSession
    own_ports: set[int]
    server: Server

    @property
    def followers(self) -> int:
        """How many event streams are open."""
        return sum(len(queues) for queues in self.watcher._followers.values())

    async def heard(self) -> None:
        """Wait until every event stream has taken what is news; what comes after is told after it."""

        def all_taken() -> bool:
            queues = [queue for queues in self.watcher._followers.values() for queue in queues]
            return bool(queues) and all(queue.empty() for queue in queues) and self.told()

        await until("every event stream has heard the news", all_taken)

    def told(self) -> bool:
        """Whether the watcher knows all that the store does."""
        return self.watcher.workspaces == self.store._objects

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://{HOST}:{self.port}"

    def credentials(self, who: str) -> dict[str, str]:
        """What somebody sends along: a token, a signed cookie, or something that pretends to be one."""
        match who:
            case "nobody":
                return {"Cookie": xsrf_cookie()}
            case "token":
                return {"Authorization": f"Bearer {TOKEN}"}
            case "wrong token":
                return {"Authorization": f"Bearer {TOKEN[:-1]}x"}
            case "session":
                return {"Cookie": f"{session_cookie(PERSON)}; {xsrf_cookie()}"}
            case "forged cookie":
                return {"Cookie": f"{session_cookie(PERSON, 'another secret')}; {xsrf_cookie()}"}
            case "cookie of another":
                return {"Cookie": f"{session_cookie(OTHER)}; {xsrf_cookie()}"}
        raise AssertionError(who)

    async def ask(
        self,
        method: str,
        path: str,
        who: str = "token",
        *,
        headers: Mapping[str, str] | None = None,
        xsrf: str | None = XSRF,
        **body: Any,
    ) -> Answer:
        """Send a request, exactly this one, and read the whole answer."""
        sent = {**self.credentials(who), **({"X-XSRFToken": xsrf} if xsrf else {}), **(headers or {})}
        url = URL(self.url + path, encoded=True)
        async with self.browser.request(method, url, headers=sent, allow_redirects=False, **body) as response:
            return Answer(response.status, CIMultiDict(response.headers), await response.read())

    async def raw(self, text: bytes) -> bytes:
        """Send bytes, and read until the other end closes or a whole head has come."""
        reader, writer = await asyncio.open_connection(HOST, self.port)
        writer.write(text)
        answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        return answer

    async def handshake(self, path: str, headers: Mapping[str, str]) -> int:
        """The status that a WebSocket's handshake is answered with."""
        lines = {
            "Host": f"{HOST}:{self.port}",
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
            **headers,
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        answer = await self.raw(f"GET {path} HTTP/1.1\r\n{head}\r\n".encode())
        return int(answer.split()[1])

    async def add(self, name: str = MINE, owner: str = PERSON, **changes: Any) -> Workspace:
        """A ready workspace, whose dashboards and notebook are the upstream; with the given status fields."""
        spec = changes.pop("spec", {})
        clusters = changes.pop("clusters", {"dask": None, "spark": 1})
        made = await self.store.create(make_workspace(name=name, owner=owner, clusters=clusters, **spec))
        fields = {
            "phase": "Ready",
            "url": f"/{name}/",
            "endpoints": dict.fromkeys(("notebook", *clusters), self.upstream.url),
            **changes,
        }
        return await self.store.update_status(hub.wire.replace(made, status=Status(**fields)))

    async def report(self, name: str = MINE, **fields: Any) -> Workspace:
        """Write a status, as the controller does."""
        present = await self.store.get(name)
        assert present is not None
        return await self.store.update_status(
            hub.wire.replace(present, status=hub.wire.replace(present.status, **fields))
        )

    async def finish(self, name: str = MINE) -> None:
        """Let a workspace that is being stopped be gone, as the controller does in the end."""
        present = await self.store.get(name)
        assert present is not None
        await self.store.update(
            hub.wire.replace(present, metadata=hub.wire.replace(present.metadata, finalizers=()))
        )

    async def keys(self, name: str = MINE) -> Keys:
        """The secrets of a workspace."""
        present = await self.store.get(name)
        assert present is not None
        return context(present, HUB_KEY).keys

    async def cut(self) -> None:
        """Close every connection, and take no new one."""
        await self.server.close()

    async def everything(self) -> list[Workspace]:
        """All objects, to be compared with what there was before."""
        return await self.store.list()

    def change_site(self, **changes: Any) -> None:
        """Let handlers work with something else from now on."""
        self.site = replace(self.site, **changes)
        self.application.settings["site"] = self.site


def session_cookie(name: str, secret: str = COOKIE_SECRET, clock: Callable[[], float] | None = None) -> str:
    """A session cookie, signed."""
    value = tornado.web.create_signed_value(secret, SESSION_COOKIE, name, clock=clock)
    return f"{SESSION_COOKIE}={value.decode()}"


def xsrf_cookie(value: str = XSRF) -> str:
    """The cookie that an XSRF token has to match."""
    return f"{XSRF_COOKIE}={value}"


def page_xsrf(page: Answer) -> str:
    """The XSRF token that a page gives to its script."""
    found = re.search(r'<meta name="xsrf" content="([^"]+)">', page.text)
    assert found
    return found[1]


@asynccontextmanager
async def serving(
    directory: Path,
    token: str = TOKEN,
    code: str = CODE,
    hub_key: bytes = HUB_KEY,
    address: PublicAddress = LOCAL,
    make_store: type[FileStore] = FileStore,
) -> AsyncIterator[Web]:
    """A web tier with an empty store in a directory, that serves while the context lasts."""
    async with contextlib.AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(listening())
        relayed = await stack.enter_async_context(aiohttp.ClientSession(auto_decompress=False))
        browser = await stack.enter_async_context(
            aiohttp.ClientSession(
                cookie_jar=aiohttp.DummyCookieJar(), timeout=aiohttp.ClientTimeout(total=PATIENCE)
            )
        )
        store = make_store(directory / "objects")
        room = MemoryRoom()
        watcher = Watcher(store, room)
        sockets = tornado.netutil.bind_sockets(0, HOST)
        port = int(sockets[0].getsockname()[1])
        own_ports: set[int] = set()
        person = Person(PERSON, role="operator")
        site = Site(
            store=store,
            room=room,
            rules=Rules(),
            watcher=watcher,
            profiles=read_profiles(PROFILES),
            unavailable={"spark": "Spark cannot run here. There is no Java."},
            sign_in=LocalSignIn(person, token, code, COOKIE_SECRET, public_port=port, web_port=port),
            address=address,
            hub_key=hub_key,
            session=relayed,
            own_port=own_ports.__contains__,
            kept="Its home folder is kept.",
        )
        server = Server(site, sockets)
        application = server.application
        watching = asyncio.create_task(watcher.run())
        try:
            yield Web(site, store, watcher, application, port, upstream, browser, own_ports, server)
        finally:
            await browser.close()
            await server.close()
            watching.cancel()
            await asyncio.gather(watching, *application.settings["background"], return_exceptions=True)
