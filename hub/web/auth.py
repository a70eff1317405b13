"""Who is asking, by session cookie, token, or account; and the sign-in of one machine, and of demonstrations.

A secret is compared in constant time and never put into a URL. Nothing here may write pages or objects.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

from tornado.httputil import HTTPServerRequest

from hub.web import peers

SESSION_COOKIE = "podium-session"
XSRF_COOKIE = "podium-xsrf"

Mode = Literal["local", "guest", "class", "oidc"]
Role = Literal["attendee", "instructor", "operator"]
ROLES: tuple[Role, ...] = ("attendee", "instructor", "operator")
"""Each may do what those before it may."""


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
    def shown(self) -> str:
        """What people call them."""
        return self.display_name or self.name

    @property
    def instructs(self) -> bool:
        """Whether they may see and change the room."""
        return self.role != "attendee"

    @property
    def operates(self) -> bool:
        """Whether they may also change what the hub costs."""
        return self.role == "operator"

    def may(self, least: Role) -> bool:
        """Whether they may do what somebody of a role may."""
        return ROLES.index(self.role) >= ROLES.index(least)


@dataclass(frozen=True)
class Invitation:
    """What lets newcomers in.

    Args:
        code: to type, such as `abcd-efgh`.
        secret: what goes after the # of the link to /join; longer than the code, and begins as that does.
    """

    code: str
    secret: str


class SignIn(Protocol):
    """A way to tell who is who."""

    mode: ClassVar[Mode]
    session_days: ClassVar[float]
    """How long a session lasts."""

    @property
    def cookie_secret(self) -> str:
        """Signs session cookies."""

    def by_token(self, request: HTTPServerRequest) -> Person | None:
        """The person, if the request carries an API token."""

    def by_code(self, code: str) -> Person | None:
        """The person, if the code is one that was printed in the terminal."""

    def by_account(self, request: HTTPServerRequest) -> Person | None:
        """The person who opens a page and needs no more to be known."""

    def by_session(self, value: bytes | None) -> Person | None:
        """The person of a session cookie whose signature was checked."""

    def session(self, person: Person) -> str:
        """What a session cookie says of a person."""

    def invitation(self, code: int) -> Invitation | None:
        """What lets newcomers in; None where nobody needs it.

        Args:
            code: the Room's `spec.code`.
        """

    def return_code(self, person: Person) -> str:
        """With this somebody who lost their cookie comes back; empty where that has another way."""


class Plain:
    """What ways of signing in say where they have nothing special to say."""

    def by_code(self, code: str) -> Person | None:
        """Nobody: there is no such code."""
        return None

    def by_account(self, request: HTTPServerRequest) -> Person | None:
        """Nobody: more has to be known."""
        return None

    def session(self, person: Person) -> str:
        """The identity alone."""
        return person.name

    def invitation(self, code: int) -> Invitation | None:
        """Nobody needs one."""
        return None

    def return_code(self, person: Person) -> str:
        """There is none."""
        return ""


@dataclass(frozen=True)
class GuestSignIn(Plain):
    """Sign-in for open demonstrations: every browser is somebody of its own, by its cookie alone.

    Args:
        token: the API's bearer token, for the one who runs the demonstration.
        cookie_secret: signs session cookies.
    """

    token: str
    cookie_secret: str
    mode: ClassVar[Mode] = "guest"
    session_days: ClassVar[float] = 31

    def by_token(self, request: HTTPServerRequest) -> Person | None:
        """Whoever runs the demonstration, if the request carries the API token."""
        return Person("instructor", role="operator") if bears(request, self.token) else None

    def by_account(self, request: HTTPServerRequest) -> Person | None:
        """Somebody new."""
        return Person(f"guest-{secrets.token_hex(8)}")

    def by_session(self, value: bytes | None) -> Person | None:
        """The guest of a session cookie whose signature was checked."""
        return Person(value.decode()) if value is not None and value.startswith(b"guest-") else None


@dataclass(frozen=True)
class LocalSignIn(Plain):
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
    mode: ClassVar[Mode] = "local"
    session_days: ClassVar[float] = 31

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

    def by_session(self, value: bytes | None) -> Person | None:
        """The person of a session cookie whose signature was checked."""
        return self.person if value is not None and same(value.decode(), self.person.name) else None


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
