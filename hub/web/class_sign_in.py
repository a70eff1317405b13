"""Sign-in of a class: attendees by a join code and a name, instructors by a password.

Everybody who joins is somebody new, however many have the same name; who lost the cookie comes back with a
code of their own. Codes are derived and compared in constant time. Nothing here may write pages or objects.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import ClassVar

import msgspec
from tornado.httputil import HTTPServerRequest

from hub.web.auth import Invitation, Mode, Person, Plain, Role, bears, derive, same
from hub.web.codes import LONG, SHORT, derive_code, grouped, same_name, typed

HALF_A_DAY = 0.5
OPERATOR = "operator"
"""The identity of whoever runs the hub, where others sign in otherwise."""


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """What a session cookie says, signed; `id` tells the sessions of one person apart."""

    owner: str
    name: str
    role: Role
    proof: str = ""
    id: str


@dataclass(frozen=True)
class Sessions:
    """Writes sessions, and reads them again.

    Args:
        prefix: how the identities begin that may be in them, so that another way of signing in reads none.
        proofs: for a role, what a session has to know; a change of it ends those there are.
    """

    prefix: tuple[str, ...]
    proofs: dict[Role, str] = field(default_factory=dict)

    def write(self, person: Person) -> str:
        """A new session of somebody."""
        session = Session(
            owner=person.name,
            name=person.display_name,
            role=person.role,
            proof=self.proofs.get(person.role, ""),
            id=secrets.token_hex(8),
        )
        return msgspec.json.encode(session).decode()

    def read(self, value: bytes | None) -> Person | None:
        """Who it is of; None for what is no session that holds here."""
        try:
            session = msgspec.json.decode(value or b"", type=Session)
        except msgspec.DecodeError:
            return None
        if not session.owner.startswith(self.prefix):
            return None
        if not same(session.proof, self.proofs.get(session.role, "")):
            return None
        return Person(session.owner, session.name, session.role)


def operator_by_code(hub_key: bytes, code: str) -> Person | None:
    """The operator, if this is the code with which `podium open` opens pages, 80 bits of the hub's key."""
    right = same("".join(code.split()).lower(), derive(hub_key, "sign-in")[:16])
    return Person(OPERATOR, role="operator") if right else None


@dataclass(frozen=True)
class ClassSignIn(Plain):
    """Sign-in of a class.

    Args:
        token: the API's bearer token, the operator's.
        cookie_secret: signs session cookies.
        hub_key: join codes, return codes and instructors' identities are derived from it.
        password: the instructors'.
    """

    token: str
    cookie_secret: str
    hub_key: bytes
    password: str
    mode: ClassVar[Mode] = "class"
    session_days: ClassVar[float] = HALF_A_DAY

    @property
    def _sessions(self) -> Sessions:
        proof = hmac.new(self.hub_key, f"password/{self.password}".encode(), hashlib.sha256).hexdigest()
        return Sessions(("class-", "instructor-", OPERATOR), {"instructor": proof[:16]})

    def by_code(self, code: str) -> Person | None:
        """The operator, if the code is one that only the hub's own machine can know."""
        return operator_by_code(self.hub_key, code)

    def by_token(self, request: HTTPServerRequest) -> Person | None:
        """The operator, if the request carries the API token."""
        return Person(OPERATOR, role="operator") if bears(request, self.token) else None

    def by_session(self, value: bytes | None) -> Person | None:
        """Whom a session cookie is of, whose signature was checked."""
        return self._sessions.read(value)

    def session(self, person: Person) -> str:
        """A session that no other one is the same as."""
        return self._sessions.write(person)

    def invitation(self, code: int) -> Invitation:
        """What lets newcomers in."""
        secret = derive_code(self.hub_key, f"join/{code}", LONG)
        return Invitation(grouped(secret[:SHORT]), secret)

    def invited(self, given: str, code: int) -> bool:
        """Whether this is what lets newcomers in, from the link or typed.

        Args:
            given: what somebody gave.
            code: the Room's `spec.code`.
        """
        secret = self.invitation(code).secret
        return same(typed(given), secret[: SHORT if len(typed(given)) <= SHORT else LONG])

    def newcomer(self, name: str) -> Person:
        """Somebody new, by this name."""
        return Person(f"class-{secrets.token_hex(8)}", name)

    def instructor(self, password: str, name: str) -> Person | None:
        """The instructor of this name, if the password is theirs; the same one wherever they sign in."""
        if not same(password, self.password):
            return None
        digest = hmac.new(self.hub_key, f"instructor/{same_name(name)}".encode(), hashlib.sha256)
        return Person(f"instructor-{digest.hexdigest()[:16]}", name, "instructor")

    def return_code(self, person: Person) -> str:
        """With this and their name somebody who lost their cookie comes back."""
        if not person.name.startswith("class-"):
            return ""
        return grouped(derive_code(self.hub_key, f"return/{person.name}", SHORT))

    def returning(self, name: str, code: str, known: Iterable[Person]) -> Person | None:
        """Who comes back.

        Args:
            name: what people call them.
            code: what they were told to keep.
            known: everybody who was here.
        """
        found = None
        for person in known:
            fits = same(typed(code), typed(self.return_code(person)) or "-")
            if same_name(person.display_name) == same_name(name) and fits:
                found = person
        return found
