"""Relays dashboards to their owner and to instructors, and web programs to the owner who started them.

`/cluster-x_dask/…` goes to a cluster's dashboard, `/cluster-x_9000/…` to port 9000 beside the notebook.
HTTP and WebSockets pass the same check. What a dashboard shows is in its owner's hands, so an instructor's
browser gets it confined to itself: it can make no use of their session. Cookies of the hub never reach what
is relayed to. Nothing here may know more of a framework than `clusters/` says.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import tornado.iostream
import tornado.web
import tornado.websocket
from yarl import URL

from hub import audit, notebook
from hub.clusters import CLUSTERS
from hub.desired import context
from hub.errors import Forbidden, NotFound, Unavailable
from hub.logs import REQUEST_HEADER
from hub.model import NAME, Workspace
from hub.settings import FRAMEWORKS
from hub.web.auth import SESSION_COOKIE, XSRF_COOKIE
from hub.web.base import SAFE
from hub.web.confinement import confinement, stays
from hub.web.pages import PageHandler

HOP_BY_HOP = frozenset(
    {
        *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization"),
        *("te", "trailer", "transfer-encoding", "upgrade"),
    }
)
"""Source: RFC 9110, section 7.6.1."""
NOT_SENT = HOP_BY_HOP | {"host", "content-length", "authorization", "cookie", REQUEST_HEADER.lower()}
NOT_RETURNED = HOP_BY_HOP | {
    *("content-length", "set-cookie", "server", "date", REQUEST_HEADER.lower()),
    *("service-worker-allowed", "clear-site-data"),  # which would reach beyond its own path
}
AS_SENT = ("Accept-Encoding", "Accept", "User-Agent", "Content-Type")
"""What the browser decides, or leaves out: bodies are passed on as they are, compressed or not."""
OWN_COOKIES = (SESSION_COOKIE, XSRF_COOKIE, notebook.COOKIE)
TIMEOUT = aiohttp.ClientTimeout(total=None, connect=10, sock_read=300)
GOING_AWAY = 1001
"""Source: RFC 6455, section 7.4.1."""
MOST_MESSAGE = 16 * 2**20


@dataclass(frozen=True)
class Target:
    """Where a request goes.

    Args:
        base: address that the rest of the path is added to.
        prefix: the route as the browser sees it.
        headers: the credentials that the target wants.
    """

    base: str
    prefix: str
    headers: Mapping[str, str]


class RelayHandler(tornado.websocket.WebSocketHandler, PageHandler):
    """One request or WebSocket to something inside a workspace."""

    _upstream: aiohttp.ClientWebSocketResponse | None = None
    _pump: asyncio.Task[None] | None = None
    _task: asyncio.Task[Any] | None = None
    _told: contextlib.ExitStack | None = None
    _confined = False
    limited = False
    audited = False

    def set_default_headers(self) -> None:
        # What is relayed has its own rules on caching and content; only this is ours to say.
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header(REQUEST_HEADER, self.request_id)
        self.clear_header("Server")
        self.clear_header("Content-Type")

    def check_xsrf_cookie(self) -> None:
        """The Origin check of `check_sender` stands for it: a relayed program has no XSRF token of ours."""

    async def get(self, name: str, suffix: str, slash: str | None) -> None:
        if slash is None:
            query = f"?{self.request.query}" if self.request.query else ""
            self.redirect(f"/{name}_{suffix}/{query}")
            return
        target = await self._target(name, suffix)
        if self.is_websocket:
            if await self._open_upstream(target):
                await super().get(name, suffix, slash)
        else:
            await self._relay(target)

    async def post(self, name: str, suffix: str, slash: str | None) -> None:
        """Relay a request with a body."""
        await self._relay(await self._target(name, suffix))

    put = patch = delete = head = options = post

    async def _target(self, name: str, suffix: str) -> Target:
        prefix = f"/{name}_{suffix}"
        if suffix.isdigit():
            return self._port(await self.own_workspace(name), int(suffix), prefix)
        workspace = await self._watched(name)
        for framework in FRAMEWORKS:
            if framework == suffix and framework in workspace.spec.clusters:
                endpoint = workspace.status.endpoints.get(framework)
                if endpoint is None:
                    title = CLUSTERS[framework].title
                    raise Unavailable(f"The {title} dashboard is not up yet.", "Reload the page in a moment.")
                strip = CLUSTERS[framework].dashboard.strip
                keys = context(workspace, self.site.hub_key).keys
                headers = CLUSTERS[framework].headers(keys)
                return Target(endpoint if strip else endpoint + prefix, prefix, headers)
        raise NotFound(f"There is no {suffix} cluster in {name}.", "Add it on the workspace's page.")

    async def _watched(self, name: str) -> Workspace:
        """The workspace of a dashboard, which is confined where it is somebody else's."""
        workspace, person = await self.workspace(name), self.person
        if workspace.spec.owner != person.name:
            if self.request.method not in SAFE:
                raise Forbidden("A dashboard of somebody else is to look at.", "Its owner can change it.")
            self._confined = True
            if self.request.headers.get("Sec-Fetch-Mode", "navigate") == "navigate":
                audit.note(
                    *("open a dashboard", "done"),
                    who=person.name,
                    role=person.role,
                    whom=self.whose,
                    what=self.request.path,
                )
        return workspace

    def _port(self, workspace: Workspace, port: int, prefix: str) -> Target:
        """A program beside the notebook, reached through the notebook's own server, which runs there too."""
        endpoint = workspace.status.endpoints.get("notebook")
        if endpoint is None:
            raise Unavailable("The notebook is not up yet.", "Reload the page in a moment.")
        own = self.site.own_port
        if not 0 < port < 65536 or (own is not None and not own(port)):
            raise NotFound(
                f"Nothing of yours listens on port {port}.", "Start the program in the notebook first."
            )
        keys = context(workspace, self.site.hub_key).keys
        return Target(f"{endpoint}/{workspace.name}/proxy/{port}", prefix, notebook.headers(keys))

    async def _relay(self, target: Target) -> None:
        request = self.request
        self._task = asyncio.current_task()
        try:
            async with self.site.session.request(
                request.method or "GET",
                address(target, request.uri or ""),
                data=io.BytesIO(request.body) if request.body else None,
                headers=self._sent(target),
                skip_auto_headers=AS_SENT,
                allow_redirects=False,
                timeout=TIMEOUT,
            ) as response:
                self.set_status(response.status, response.reason)
                self._return_headers(response, target)
                if self._confined:
                    self._confine(target)
                async for chunk in response.content.iter_any():
                    self.write(chunk)
                    await self.flush()
        except (tornado.iostream.StreamClosedError, asyncio.CancelledError):
            return  # the browser went away
        except (aiohttp.ClientError, TimeoutError):
            if not self._headers_written:
                raise Unavailable("It does not answer now.", "Reload the page in a moment.") from None
            # Half an answer must not look like a whole one.
            self.detach().close()
            return
        finally:
            self._task = None
        await self.finish()

    def on_connection_close(self) -> None:
        # What is relayed may hold its answer for long; nobody waits for it any more.
        super().on_connection_close()
        if self._task is not None:
            self._task.cancel()

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        PageHandler.set_default_headers(self)  # an error page is ours again
        PageHandler.write_error(self, status_code, **kwargs)

    def _return_headers(self, response: aiohttp.ClientResponse, target: Target) -> None:
        dropped = NOT_RETURNED | named_by_connection(response.headers)
        for header, value in response.headers.items():
            if header.lower() == "location":
                self.add_header(header, relocated(value, target, self.request.host))
            elif header.lower() not in dropped:
                self.add_header(header, value)
        for cookie in response.headers.getall("Set-Cookie", ()):
            # Whatever is relayed to may keep cookies, but only below its own path and not under our names.
            pair, *attributes = cookie.split(";")
            if pair.partition("=")[0].strip() not in OWN_COOKIES:
                kept = [
                    a for a in attributes if a.partition("=")[0].strip().lower() not in ("path", "domain")
                ]
                self.add_header("Set-Cookie", ";".join([pair, *kept, f" Path={target.prefix}/"]))

    def _confine(self, target: Target) -> None:
        """Let what is shown reach itself and nothing else of the hub in the name of whoever looks at it."""
        self.add_header("Content-Security-Policy", confinement(self.request.host, target.prefix))
        self.set_header("Cross-Origin-Opener-Policy", "same-origin")
        location = self._headers.get("Location")
        if location is not None and not stays(location, self.request.path, target.prefix):
            self.clear()
            raise Forbidden("This dashboard leads elsewhere.", "Its owner can open it.")

    def _sent(self, target: Target) -> dict[str, str]:
        dropped = NOT_SENT | named_by_connection(self.request.headers)
        headers = {h: v for h, v in self.request.headers.get_all() if h.lower() not in dropped}
        cookies = foreign_cookies(self.request.headers.get_list("Cookie"))
        if cookies:
            headers["Cookie"] = cookies
        headers["Host"] = self.request.host
        headers["X-Forwarded-Prefix"] = target.prefix
        headers[REQUEST_HEADER] = self.request_id
        return {**headers, **target.headers}

    # WebSockets

    def check_origin(self, origin: str) -> bool:
        return True  # `check_sender` has done it, for HTTP and WebSockets alike

    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        return self._upstream.protocol if self._upstream else None

    async def _open_upstream(self, target: Target) -> bool:
        """Connect to what is relayed to; False when the browser did not wait for that."""
        asked = self.request.headers.get("Sec-WebSocket-Protocol", "")
        skip = ("sec-websocket", "upgrade", "connection")
        headers = {h: v for h, v in self._sent(target).items() if not h.lower().startswith(skip)}
        self._task = asyncio.current_task()
        try:
            self._upstream = await self.site.session.ws_connect(
                address(target, self.request.uri or ""),
                headers=headers,
                protocols=[part.strip() for part in asked.split(",") if part.strip()],
                max_msg_size=MOST_MESSAGE,
            )
        except (aiohttp.ClientError, TimeoutError):
            raise Unavailable("It does not answer now.") from None
        except asyncio.CancelledError:
            return False
        finally:
            self._task = None
        return True

    def open(self, *args: str, **kwargs: str) -> None:
        self._pump = asyncio.create_task(self._send_down())
        self._told = contextlib.ExitStack()
        self._told.enter_context(self.told(lambda: self.close(GOING_AWAY)))

    async def _send_down(self) -> None:
        assert self._upstream is not None
        with contextlib.suppress(tornado.websocket.WebSocketClosedError):
            async for message in self._upstream:
                if message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                    await self.write_message(message.data, binary=message.type is aiohttp.WSMsgType.BINARY)
        self.close(self._upstream.close_code)

    async def on_message(self, message: str | bytes) -> None:
        assert self._upstream is not None
        with contextlib.suppress(ConnectionError):
            if isinstance(message, str):
                await self._upstream.send_str(message)
            else:
                await self._upstream.send_bytes(message)

    def on_close(self) -> None:
        if self._told is not None:
            self._told.close()
        if self._upstream is not None:
            closing = asyncio.create_task(self._upstream.close(code=self.close_code or 1000))
            self.settings["background"].add(closing)
            closing.add_done_callback(self.settings["background"].discard)


def address(target: Target, uri: str) -> URL:
    """The address upstream; path and query are passed on as they were written."""
    rest = uri.removeprefix(target.prefix)
    return URL(target.base + (rest if rest.startswith("/") else f"/{rest}"), encoded=True)


def named_by_connection(headers: Mapping[str, str]) -> set[str]:
    """The headers that are for the next hop only, as a Connection header says. Source: RFC 9110, 7.6.1."""
    return {name.strip().lower() for name in headers.get("Connection", "").split(",")}


def relocated(location: str, target: Target, host: str) -> str:
    """A redirect of what is relayed to, as the browser has to follow it."""
    try:
        parts = urlsplit(location)
    except ValueError:
        return location
    if parts.netloc and parts.netloc not in (host, urlsplit(target.base).netloc):
        return location
    path = parts.path
    if parts.netloc or path.startswith("/"):
        inner = urlsplit(target.base).path
        if inner and not path.startswith(target.prefix + "/"):
            path = path.removeprefix(inner)
        if not path.startswith(target.prefix):
            path = target.prefix + path
    return parts._replace(scheme="", netloc="", path=path).geturl()


def foreign_cookies(headers: Iterable[str]) -> str:
    """The cookies that are not the hub's, as they were sent."""
    cookies = [part.strip() for header in headers for part in header.split(";")]
    return "; ".join(cookie for cookie in cookies if cookie and cookie.partition("=")[0] not in OWN_COOKIES)


ROUTES = [(rf"/({NAME})_([a-z0-9]+)(?:(/).*)?", RelayHandler)]
