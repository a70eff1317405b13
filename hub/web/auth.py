"""Who is asking: the one person of a hub on one machine, by session cookie, token, or account.

A secret is compared in constant time and never put into a URL. Nothing here may write pages or objects.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import os
from dataclasses import dataclass
from urllib.parse import urlsplit

from tornado.httputil import HTTPServerRequest

from hub.web import peers

SESSION_COOKIE = "podium-session"
XSRF_COOKIE = "podium-xsrf"


@dataclass(frozen=True)
class Person:
    """Somebody who is signed in."""

    name: str


@dataclass(frozen=True)
class LocalSignIn:
    """Sign-in for one machine and one person.

    Args:
        person: the one person there is.
        token: the API's bearer token.
        code: what may be typed into the sign-in page.
        cookie_secret: signs session cookies.
        public_port: where the proxy listens.
        web_port: where web listens, behind the proxy.
    """

    person: Person
    token: str
    code: str
    cookie_secret: str
    public_port: int
    web_port: int

    def by_token(self, request: HTTPServerRequest) -> Person | None:
        """The person, if the request carries the API token."""
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        return self.person if kind.lower() == "bearer" and same(token.strip(), self.token) else None

    def by_code(self, code: str) -> Person | None:
        """The person, if the code is the one that was printed."""
        return self.person if same("".join(code.split()).lower(), self.code) else None

    def by_account(self, request: HTTPServerRequest) -> Person | None:
        """The person, if everybody who is connected now is the account that the hub runs as.

        The request came through the proxy, which hides its sender; but while it waits for its answer its
        connection is open, so when all open connections are ours, it is ours.
        """
        table = peers.sockets()
        address = getattr(request.connection, "context", None)
        address = getattr(address, "address", None)
        if table is None or not isinstance(address, tuple):
            return None
        me = {os.getuid()}
        direct = peers.client(table, int(address[1]), self.web_port)
        return self.person if direct == me and peers.clients(table, self.public_port) == me else None

    def by_session(self, name: bytes | None) -> Person | None:
        """The person of a session cookie whose signature was checked."""
        return self.person if name is not None and same(name.decode(), self.person.name) else None


def same(one: str, other: str) -> bool:
    """Compare two secrets in constant time."""
    return hmac.compare_digest(one.encode(), other.encode())


def derive(hub_key: bytes, purpose: str) -> str:
    """A secret of the hub itself, 52 lower-case letters and digits long."""
    digest = hmac.new(hub_key, f"hub/{purpose}".encode(), hashlib.sha256).digest()
    return base64.b32encode(digest).decode().rstrip("=").lower()


def host_allowed(host: str) -> bool:
    """Whether a Host header names this machine; any other name was led here (DNS rebinding)."""
    try:
        parts = urlsplit(f"//{host}")
        name, _ = parts.hostname or "", parts.port  # a port that is no number raises, too
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def origin_allowed(origin: str | None, host: str) -> bool:
    """Whether a request with this Origin header comes from a page of this hub, or from no page at all."""
    return origin is None or origin == f"http://{host}"
