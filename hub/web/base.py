"""What every handler shares: who is asking, the checks before anything else, and how errors are said.

Nothing here may know a route.
"""

from __future__ import annotations

import asyncio
import contextlib
import http
import logging
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import tornado.web

from hub import admission, audit
from hub.archives.base import Archives, NoArchives
from hub.errors import Forbidden, NotFound, PodiumError, TooMany, Unauthorized
from hub.health import Health
from hub.logs import REQUEST, REQUEST_HEADER, WORKSPACE, request_id
from hub.metrics import Figures, WebMetrics
from hub.model import Workspace
from hub.profiles import Profile
from hub.rules import Rules
from hub.store.base import RoomStore, Store
from hub.web.address import PublicAddress
from hub.web.auth import SESSION_COOKIE, Person, Role, SignIn
from hub.web.clicks import Clicks
from hub.web.departure import Departure
from hub.web.events import Watcher
from hub.web.limits import Limit, Rate, retry_after
from hub.web.sessions import Sessions

log = logging.getLogger("podium.web")

RETRY_AFTER = "5"
SAFE = ("GET", "HEAD", "OPTIONS")
PACE: Mapping[Role, Rate] = {
    "attendee": Rate(burst=60, per_second=1),
    "instructor": Rate(burst=1000, per_second=100),
    "operator": Rate(burst=1000, per_second=100),
}
"""How often each person may change something; who teaches does it for a whole room at once."""
TEMPLATES = Path(__file__).resolve().parent.parent.parent / "templates"
RELOAD = (TEMPLATES / "reload.js").read_text("utf-8")
"""The one script inside pages: it is for when no other comes."""
POLICY = (
    f"default-src 'self'; script-src 'self' 'sha256-{b64encode(sha256(RELOAD.encode()).digest()).decode()}'; "
    "img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)


@dataclass(frozen=True)
class Site:
    """What handlers work with.

    Args:
        store, watcher: Workspace objects, and news of them.
        room: the class as a whole.
        rules: what the operator decided for it.
        profiles: the menu.
        unavailable: frameworks that cannot run here, with the reason.
        sign_in: who is who.
        address: by which names the hub may be asked.
        archives: the homes of workspaces that ended.
        hub_key: the secret that all others are derived from.
        session: for relayed requests; it must leave bodies as they are.
        own_port: whether a port of this machine is listened on by the owner alone; None where pods have
            addresses of their own.
        kept: a sentence on what becomes of files after a stop.
        metrics: what is counted of requests, beside the process's other figures.
        health: what probes are told.
        marks: profile to the fingerprint that members of its pool have.
        clicks: those for a workspace that this process is busy with.
        limits: how often people may change something, by role.
        sessions: what is held open, by who is signed in.
    """

    store: Store
    room: RoomStore
    rules: Rules
    watcher: Watcher
    profiles: Mapping[str, Profile]
    unavailable: Mapping[str, str]
    sign_in: SignIn
    address: PublicAddress
    hub_key: bytes
    session: aiohttp.ClientSession
    own_port: Callable[[int], bool] | None
    kept: str
    archives: Archives = field(default_factory=NoArchives)
    metrics: WebMetrics = field(default_factory=lambda: WebMetrics(Figures()))
    health: Health = field(default_factory=Health)
    marks: Mapping[str, str] = field(default_factory=dict)
    clicks: Clicks = field(default_factory=Clicks)
    limits: Mapping[Role, Limit] = field(
        default_factory=lambda: {role: Limit(rate) for role, rate in PACE.items()}
    )
    sessions: Sessions = field(default_factory=Sessions)


class BaseHandler(tornado.web.RequestHandler):
    """A handler that knows who asks; everything but what says otherwise wants somebody signed in."""

    anybody = False
    """Whether nobody has to be signed in."""
    least: Role = "attendee"
    """What somebody has to be, at least."""
    limited = True
    """Whether what changes something is counted, by person."""
    audited = True
    """Whether a line says who changed what."""
    cross_site = False
    """Whether a request may come from a page of another origin; only what carries its own secret may."""
    held = False
    """Whether an answer lasts for as long as somebody listens."""

    current_user: Person | None
    whose = ""
    """The identity of the person whose workspace this is about."""

    @property
    def site(self) -> Site:
        """What handlers work with."""
        site = self.settings["site"]
        assert isinstance(site, Site)
        return site

    @property
    def departure(self) -> Departure:
        """Whether this process is about to end, which endless answers have to hear of."""
        departure = self.settings["departure"]
        assert isinstance(departure, Departure)
        return departure

    @cached_property
    def request_id(self) -> str:
        """What tells this request from others, here and wherever it is passed on to."""
        return request_id(self.request.headers.get(REQUEST_HEADER, ""))

    @property
    def person(self) -> Person:
        """Who is asking. Raises Unauthorized when nobody is signed in."""
        if self.current_user is None:
            raise Unauthorized(
                "Nobody is signed in.", "Open the home page, or send the token as a bearer token."
            )
        return self.current_user

    def get_current_user(self) -> Person | None:
        sign_in = self.site.sign_in
        if "Authorization" in self.request.headers:
            return sign_in.by_token(self.request)
        return sign_in.by_session(self.session_cookie)

    @property
    def session_cookie(self) -> bytes | None:
        """What the session cookie says, if it is signed and not too old."""
        return self.get_signed_cookie(SESSION_COOKIE, max_age_days=self.site.sign_in.session_days)

    @contextlib.contextmanager
    def told(self, end: Callable[[], object]) -> Iterator[None]:
        """Meanwhile have `end` called when this process is about to end, or the person signs out."""
        with self.departure.told(end), self.site.sessions.told(self.session_cookie or b"", end):
            yield

    def set_default_headers(self) -> None:
        self.set_header("Content-Security-Policy", POLICY)
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Referrer-Policy", "same-origin")
        self.set_header("Cache-Control", "no-store")
        self.set_header(REQUEST_HEADER, self.request_id)
        self.clear_header("Server")

    def prepare(self) -> None:
        REQUEST.set(self.request_id)
        self.check_sender()
        self.admit()
        if self.current_user is None:
            return
        if not self.current_user.may(self.least):
            raise Forbidden(f"This is for the {self.least}.", "Sign in as somebody who may.")
        self.check_pace(self.current_user)

    def admit(self) -> None:
        """Refuse who is not signed in, where somebody has to be."""
        if not self.anybody:
            _ = self.person

    def check_pace(self, person: Person) -> None:
        """Refuse what one person does too often. Raises TooMany."""
        if self.request.method in SAFE or not self.limited:
            return
        wait = self.site.limits[person.role].take(person.name, asyncio.get_running_loop().time())
        if wait:
            raise TooMany("That was too much at once.", "Wait a moment, then go on.", wait)

    def on_finish(self) -> None:
        if self.request.method in SAFE or not self.audited:
            return
        person, status = self.current_user, self.get_status()
        audit.note(
            f"{self.request.method} {self.request.path}",
            "done" if status < http.HTTPStatus.BAD_REQUEST else f"refused, {status}",
            who=person.name if person else "",
            role=person.role if person else "",
            whom=self.whose,
        )

    def check_sender(self) -> None:
        """Refuse what was led here by another name, or sent by a page of another origin."""
        host = self.request.headers.get("Host", "")
        address = self.site.address
        if not address.host_allowed(host):
            raise Forbidden(f"This hub answers only to {address.names}.", "Check the address.")
        if self.request.method in SAFE and not self.is_websocket:
            return
        if not self.cross_site and not address.origin_allowed(self.request.headers.get("Origin"), host):
            raise Forbidden("The request comes from another site.")

    @property
    def is_websocket(self) -> bool:
        """Whether the request asks for a WebSocket."""
        return self.request.headers.get("Upgrade", "").lower() == "websocket"

    def check_xsrf_cookie(self) -> None:
        # A bearer token is never sent by a browser on its own, so it needs no second proof.
        if "Authorization" not in self.request.headers and not self.cross_site:
            super().check_xsrf_cookie()

    async def workspace(self, name: str) -> Workspace:
        """A workspace of the person who asks, or for an instructor of anybody.

        Raises:
            NotFound: when there is none, also for one that is not theirs to know of.
        """
        return await self._workspace(name, others=self.person.instructs)

    async def own_workspace(self, name: str) -> Workspace:
        """A workspace of the person who asks. Raises NotFound, also for one of somebody else."""
        return await self._workspace(name, others=False)

    async def _workspace(self, name: str, others: bool) -> Workspace:
        workspace = await self.site.store.get(name)
        if workspace is None:
            # Another process may have made it a moment ago. Only for names of one's own is the store asked
            # to look, so that nobody can make it work by trying names.
            unseen = name in admission.names(self.site.hub_key, self.person.name)
        else:
            unseen = workspace.pooled  # another process may have taken it for somebody
        if unseen:
            workspace = await self.site.store.look(name)
        owner = "" if workspace is None else workspace.spec.owner
        if workspace is None or not owner or not (others or owner == self.person.name):
            raise NotFound(f"There is no workspace {name}.", "It may have ended. Launch a new one.")
        WORKSPACE.set(name)
        self.whose = owner
        return workspace

    def now(self) -> datetime:
        """The time."""
        return datetime.now(UTC)

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        if not isinstance(value, PodiumError):
            super().log_exception(typ, value, tb)

    def problem(self, status: int, error: object) -> PodiumError:
        """What to say about an exception, without letting its inside out."""
        if isinstance(error, PodiumError):
            return error
        reason = http.HTTPStatus(status).phrase if status in {s.value for s in http.HTTPStatus} else "Error"
        said = PodiumError(f"{reason}.", "The hub's log says more." if status >= 500 else "")
        said.status, said.code = status, reason.lower().replace(" ", "-")
        return said

    def _handle_request_exception(self, e: BaseException) -> None:
        if isinstance(e, PodiumError) and not self._finished:
            self.send_error(e.status, exc_info=(type(e), e, e.__traceback__))
            return
        super()._handle_request_exception(e)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        error = self.problem(status_code, (kwargs.get("exc_info") or (None, None))[1])
        self.say_when(error)
        self.write_json(error.body(), error.status)

    def say_when(self, error: PodiumError) -> None:
        """Tell programs when to try again, where that may help. Source: RFC 9110, section 10.2.3."""
        if error.status == http.HTTPStatus.SERVICE_UNAVAILABLE:
            self.set_header("Retry-After", RETRY_AFTER)
        if isinstance(error, TooMany):
            self.set_header("Retry-After", retry_after(error.seconds))

    def write_json(self, value: object, status: int = 200) -> None:
        """Answer with JSON."""
        self.set_status(status)
        self.set_header("Content-Type", "application/json")
        self.finish(msgspec.json.encode(value))
