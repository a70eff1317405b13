"""Who is asking: the one person of a hub on one machine, by session cookie, token, or account.

A secret is compared in constant time and never put into a URL. Nothing here may write pages or objects.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass
from typing import Literal, Protocol

from tornado.httputil import HTTPServerRequest

from hub.web import peers

SESSION_COOKIE = "podium-session"
XSRF_COOKIE = "podium-xsrf"


Role = Literal["attendee", "instructor", "operator"]


@dataclass(frozen=True)
class Person:
    """Somebody who is signed in.

    Args:
        name: the identity, by which workspaces are owned.
        display_name: what people call them; empty for the identity itself.
        role: what they may do: each may do what those before it may.
    """

    name: str
    display_name: str = ""
    role: Role = "attendee"

    @property
    def instructs(self) -> bool:
        """Whether they may see and change the room."""
        return self.role != "attendee"

    @property
    def operates(self) -> bool:
        """Whether they may also change what the hub costs."""
        return self.role == "operator"


class SignIn(Protocol):
    """A way to tell who is who."""

    @property
    def cookie_secret(self) -> str:
        """Signs session cookies."""

    def by_token(self, request: HTTPServerRequest) -> Person | None:
        """The person, if the request carries an API token."""

    def by_code(self, code: str) -> Person | None:
        """The person, if the code is one that was given out."""

    def by_account(self, request: HTTPServerRequest) -> Person | None:
        """The person who opens a page and needs no more to be known."""

    def by_session(self, name: bytes | None) -> Person | None:
        """The person of a session cookie whose signature was checked."""


@dataclass(frozen=True)
class GuestSignIn:
    """Sign-in for open demonstrations: every browser is somebody of its own, by its cookie alone.

    Args:
        token: the API's bearer token, for the one who runs the demonstration.
        cookie_secret: signs session cookies.
    """

    token: str
    cookie_secret: str

    def by_token(self, request: HTTPServerRequest) -> Person | None:
        """Whoever runs the demonstration, if the request carries the API token."""
        return Person("instructor", role="operator") if bears(request, self.token) else None

    def by_code(self, code: str) -> Person | None:
        """Nobody: there is no code."""
        return None

    def by_account(self, request: HTTPServerRequest) -> Person | None:
        """Somebody new."""
        return Person(f"guest-{secrets.token_hex(8)}")

    def by_session(self, name: bytes | None) -> Person | None:
        """The guest of a session cookie whose signature was checked."""
        return Person(name.decode()) if name is not None and name.startswith(b"guest-") else None


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
        return self.person if bears(request, self.token) else None

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


def bears(request: HTTPServerRequest, token: str) -> bool:
    """Whether a request carries a bearer token. Source: RFC 6750, section 2.1."""
    kind, _, given = request.headers.get("Authorization", "").partition(" ")
    return kind.lower() == "bearer" and same(given.strip(), token)


def same(one: str, other: str) -> bool:
    """Compare two secrets in constant time."""
    return hmac.compare_digest(one.encode(), other.encode())


def derive(hub_key: bytes, purpose: str) -> str:
    """A secret of the hub itself, 52 lower-case letters and digits long."""
    digest = hmac.new(hub_key, f"hub/{purpose}".encode(), hashlib.sha256).digest()
    return base64.b32encode(digest).decode().rstrip("=").lower()
