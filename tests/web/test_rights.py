"""Who may do what in a class: every route with every method that it answers, asked by everybody there is.

A route that has no row here fails the first test. Whoever is refused changes nothing, and nothing inside a
workspace hears of it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import tornado.web

from hub.archives.local import LocalArchives
from hub.ending import Home
from hub.model import NAME
from hub.web import relay
from hub.web.auth import SESSION_COOKIE, Person
from hub.web.class_sign_in import ClassSignIn
from hub.web.server import make_application
from tests.builders import HUB_KEY
from tests.web.serving import COOKIE_SECRET, MINE, TOKEN, Web, serving, xsrf_cookie

PASSWORD = "password-of-the-instructors"
ADA = Person("class-00000000000000aa", "Ada")
PEOPLE = {
    "other": Person("class-00000000000000bb", "Bob"),
    "owner": ADA,
    "instructor": Person("instructor-00000000000000cc", "Grace", "instructor"),
}
STRANGERS = ("nobody", "wrong token", "forged cookie", "cookie of another password")
EVERYBODY = (*STRANGERS, *PEOPLE, "operator")


@dataclass(frozen=True)
class Row:
    """What a route answers to whom, where the workspace that it may be about is the owner's.

    Args:
        path: what is asked for; `{name}` is the workspace.
        stranger: to somebody who is not signed in.
        other: to an attendee whose workspace it is not.
        owner: to the attendee whose workspace it is.
        instructor, operator: to those.
        send: what is sent along.
    """

    path: str
    stranger: int
    other: int
    owner: int
    instructor: int
    operator: int
    send: dict[str, Any] = field(default_factory=dict)

    def expected(self, who: str) -> int:
        """The status for somebody."""
        return int(getattr(self, "stranger" if who in STRANGERS else who))


def anybody(path: str, status: int = 200, **send: Any) -> Row:
    """A route that is the same for all."""
    return Row(path, status, status, status, status, status, send)


def signed_in(path: str, stranger: int = 401, status: int = 200, **send: Any) -> Row:
    """A route for whoever is signed in, each for themselves."""
    return Row(path, stranger, status, status, status, status, send)


def watched(path: str, stranger: int = 401, status: int = 200, **send: Any) -> Row:
    """A route for the owner of a workspace and those who teach."""
    return Row(path, stranger, 404, status, status, status, send)


def owned(path: str, stranger: int = 302, status: int = 200) -> Row:
    """A route for the owner of a workspace alone."""
    return Row(path, stranger, 404, status, 404, 404)


def taught(path: str, stranger: int = 401, status: int = 200, **send: Any) -> Row:
    """A route for those who teach."""
    return Row(path, stranger, 403, 403, status, status, send)


def operated(path: str, stranger: int = 401, status: int = 200, **send: Any) -> Row:
    """A route for those who operate the hub."""
    return Row(path, stranger, 403, 403, 403, status, send)


def missing(path: str) -> Row:
    """Nothing is there, whoever asks."""
    return anybody(path, 404)


(RELAY, _), *_ = relay.ROUTES
ARCHIVE = "cluster-ended0-00000000"
DASHBOARD = "/{name}_dask/status"
CHANGES = ("POST", "PUT", "PATCH", "DELETE")
PORT = Row("/{name}_9000/ws", 302, 404, 200, 404, 404)
LAUNCH = {"spec": {"profile": "notebook"}}
WORKSPACE = "/api/workspaces/{name}"

ROWS: dict[tuple[str, str], Row] = {
    ("/api/workspaces", "GET"): signed_in("/api/workspaces"),
    ("/api/workspaces", "POST"): Row("/api/workspaces", 401, 201, 200, 201, 201, {"json": LAUNCH}),
    (rf"/api/workspaces/({NAME})", "GET"): watched(WORKSPACE),
    (rf"/api/workspaces/({NAME})", "PATCH"): watched(WORKSPACE, json={"spec": {"workers": 3}}),
    (rf"/api/workspaces/({NAME})", "DELETE"): watched(WORKSPACE, status=202),
    (rf"/api/workspaces/({NAME})/events", "GET"): watched(f"{WORKSPACE}/events"),
    ("/api/events", "GET"): signed_in("/api/events"),
    ("/api/profiles", "GET"): signed_in("/api/profiles"),
    ("/api/room", "GET"): taught("/api/room"),
    ("/api/room", "PATCH"): taught("/api/room", json={"spec": {"open": False}}),
    ("/api/room/events", "GET"): taught("/api/room/events"),
    (r"/api/room/attendees\.csv", "GET"): taught("/api/room/attendees.csv"),
    (r"/api/openapi\.json", "GET"): anybody("/api/openapi.json"),
    ("/api/.*", "GET"): missing("/api/nothing"),
    ("/", "GET"): signed_in("/", 302),
    ("/launch", "POST"): signed_in("/launch", 401, 303, data={"profile": "notebook"}),
    (rf"/workspaces/({NAME})", "GET"): watched("/workspaces/{name}", 302),
    (rf"/workspaces/({NAME})/open", "GET"): owned("/workspaces/{name}/open", 302, 302),
    ("/room", "GET"): taught("/room", 302),
    ("/room/projector", "GET"): taught("/room/projector", 302),
    (r"/room/invitation\.svg", "GET"): taught("/room/invitation.svg?origin={origin}", 302),
    ("/preflight", "GET"): taught("/preflight", 302),
    ("/report", "GET"): taught("/report", 302),
    (r"/report\.csv", "GET"): taught("/report.csv"),
    (rf"/archives/({NAME}-[0-9a-z-]{{1,8}})\.tar\.gz", "GET"): owned(f"/archives/{ARCHIVE}.tar.gz"),
    (rf"/workspaces/({NAME})/lab", "GET"): owned("/workspaces/{name}/lab", 401),
    ("/sign-in", "GET"): anybody("/sign-in"),
    ("/sign-in", "POST"): anybody("/sign-in", 401, data={"code": "abcdefgh"}),
    ("/join", "GET"): Row("/join", 200, 302, 302, 302, 302),
    ("/join", "POST"): anybody("/join", 401, data={"code": "abcdefgh", "name": "Eve"}),
    ("/return", "GET"): anybody("/return"),
    ("/sign-in/instructor", "GET"): anybody("/sign-in/instructor"),
    ("/return", "POST"): anybody("/return", 401, data={"code": "abcdefgh", "name": "Ada"}),
    ("/sign-in/instructor", "POST"): anybody(
        "/sign-in/instructor", 401, data={"password": "password", "name": "Eve"}
    ),
    ("/sign-in/begin", "GET"): missing("/sign-in/begin"),
    ("/sign-in/back", "GET"): missing("/sign-in/back"),
    ("/sign-out", "POST"): anybody("/sign-out", 303),
    ("/check", "GET"): anybody("/check"),
    ("/check/events", "GET"): signed_in("/check/events"),
    ("/check/socket", "GET"): signed_in("/check/socket", 401, 400),
    ("/(?:healthz|readyz)", "GET"): anybody("/healthz"),
    ("/metrics", "GET"): operated("/metrics"),
    ("/static/(.*)", "GET"): anybody("/static/podium.css"),
    ("/static/(.*)", "HEAD"): anybody("/static/podium.css"),
    **{
        (rf"/({file})", method): missing(f"/{file}".replace("\\", ""))
        for file in (r"favicon\.ico", r"robots\.txt")
        for method in ("GET", "HEAD")
    },
    (RELAY, "GET"): watched(DASHBOARD, 302),
    (RELAY, "HEAD"): watched(DASHBOARD, 302),
    (RELAY, "OPTIONS"): watched(DASHBOARD),
    **{(RELAY, method): Row(DASHBOARD, 401, 404, 200, 403, 403) for method in CHANGES},
    **{("/(.*)", method): missing("/nothing") for method in ("GET", "POST", "PUT", "PATCH", "DELETE")},
}


def label(value: object) -> str:
    return f"{value[1]} {value[0]}" if isinstance(value, tuple) else str(value)


def routes(application: tornado.web.Application) -> set[tuple[str, str]]:
    """Every pattern with every method that its handler answers."""
    found = set()
    for rule in application.wildcard_router.rules:
        kind = rule.target
        own = [
            method
            for method in kind.SUPPORTED_METHODS
            if getattr(kind, method.lower()) is not getattr(tornado.web.RequestHandler, method.lower())
        ]
        found |= {(rule.matcher.regex.pattern.removesuffix("$"), method) for method in own or ("GET",)}
    return found


@pytest.fixture
async def web(tmp_path: Path) -> AsyncIterator[Web]:
    """A class, in which Ada has a workspace, and what is kept of an earlier one."""
    async with serving(tmp_path) as web:
        sign_in = ClassSignIn(TOKEN, COOKIE_SECRET, HUB_KEY, PASSWORD)
        (tmp_path / "kept" / "cluster-ended0-1").mkdir(parents=True)
        archives = LocalArchives(tmp_path, ["printf"], {})
        tomorrow = datetime.now(UTC) + timedelta(days=1)
        await archives.keep(Home("cluster-ended0", ARCHIVE, ADA.name, tomorrow))
        web.change_site(sign_in=sign_in, archives=archives)
        await web.add(owner=ADA.name, spec={"display_name": ADA.display_name})
        yield web


def credentials(who: str) -> dict[str, str]:
    """What somebody sends along."""
    match who:
        case "nobody":
            return {"Cookie": xsrf_cookie()}
        case "wrong token":
            return {"Authorization": f"Bearer {TOKEN[:-1]}x"}
        case "operator":
            return {"Authorization": f"Bearer {TOKEN}"}
        case "forged cookie":
            return {"Cookie": f"{session(ADA, secret='another secret')}; {xsrf_cookie()}"}
        case "cookie of another password":
            return {"Cookie": f"{session(PEOPLE['instructor'], password='the last one')}; {xsrf_cookie()}"}
    return {"Cookie": f"{session(PEOPLE[who])}; {xsrf_cookie()}"}


def session(person: Person, secret: str = COOKIE_SECRET, password: str = PASSWORD) -> str:
    """A session cookie, signed."""
    value = ClassSignIn(TOKEN, secret, HUB_KEY, password).session(person)
    return f"{SESSION_COOKIE}={tornado.web.create_signed_value(secret, SESSION_COOKIE, value).decode()}"


async def ask(web: Web, method: str, path: str, who: str, **send: Any) -> int:
    """Ask for something and say the status; a stream is left once it has begun."""
    path = path.format(name=MINE, origin=web.url)
    if path.endswith("/events"):
        headers = credentials(who)
        async with web.browser.get(web.url + path, headers=headers, allow_redirects=False) as response:
            return response.status
    return (await web.ask(method, path, "nobody", headers=credentials(who), **send)).status


def test_the_table_has_a_row_for_every_route(web: Web) -> None:
    assert routes(make_application(web.site)) == set(ROWS)


@pytest.mark.parametrize("who", EVERYBODY)
@pytest.mark.parametrize("key", ROWS, ids=label)
async def test_who_may_what(web: Web, key: tuple[str, str], who: str) -> None:
    row, method = ROWS[key], key[1]
    before, room = await web.everything(), await web.site.room.get()
    status = await ask(web, method, row.path, who, **row.send)
    assert status == row.expected(who)
    if status >= 400 or method in ("GET", "HEAD"):
        assert (await web.everything(), await web.site.room.get()) == (before, room)
    if status in (302, 401, 403, 404):
        assert web.upstream.seen == []


@pytest.mark.parametrize("who", ["other", "owner", "instructor", "operator"])
async def test_lists_show_attendees_only_what_is_theirs(web: Web, who: str) -> None:
    sent = credentials(who)
    items = (await web.ask("GET", "/api/workspaces", "nobody", headers=sent)).json["items"]
    assert len(items) == (0 if who == "other" else 1)
    home = await web.ask("GET", "/", "nobody", headers=sent)
    assert (MINE in home.text) == (who == "owner")


async def test_what_the_pool_holds_is_nobodys(web: Web) -> None:
    await web.add("cluster-pooled", owner="")
    for who in ("owner", "instructor", "operator"):
        for method in ("GET", "DELETE"):
            assert await ask(web, method, "/api/workspaces/cluster-pooled", who) == 404


@pytest.mark.parametrize("who", EVERYBODY)
@pytest.mark.parametrize("suffix", ["dask", "9000"])
async def test_websockets_pass_the_same_check(web: Web, who: str, suffix: str) -> None:
    web.own_ports.add(9000)
    key = (RELAY, "GET")
    expected = ROWS[key].expected(who) if suffix == "dask" else PORT.expected(who)
    opened = await web.handshake(f"/{MINE}_{suffix}/ws", credentials(who))
    assert opened == (101 if expected == 200 else expected)


async def test_the_notebook_is_its_owners_alone(web: Web) -> None:
    for who in ("nobody", "other", "instructor", "operator"):
        assert await ask(web, "GET", f"/{MINE}/lab", who) in (302, 404)
        opened = await web.ask("GET", f"/workspaces/{MINE}/open", "nobody", headers=credentials(who))
        assert opened.cookie("podium-notebook") is None


PATCHES: dict[str, tuple[object, int, int, int]] = {
    "workers": (3, 200, 200, 200),
    "clusters": ({"dask": {"workers": 1}}, 200, 200, 200),
    "expires": ("2099-01-01T00:00:00Z", 200, 200, 200),
    "helpWanted": ("2026-11-23T09:00:00Z", 200, 200, 200),
    "restartedAt": ("2026-11-23T09:00:00Z", 200, 200, 200),
    "queuedAt": ("2026-11-23T09:00:00Z", 400, 200, 200),
    "owner": ("somebody", 400, 400, 400),
    "displayName": ("Somebody", 400, 400, 400),
    "profile": ("workshop", 400, 400, 400),
    "claimedAt": ("2026-11-23T09:00:00Z", 400, 400, 400),
    "settings": ({"wallTime": 3600}, 400, 400, 400),
}
"""Field of a workspace's spec to a value, and what owner, instructor and operator are answered."""
ROOM = {
    "open": (False, 200, 200),
    "code": ("new", 200, 200),
    "message": ({"text": "Ten minutes left."}, 200, 200),
    "pool": ({"workshop": {"size": 5}}, 200, 200),
    "preflight": (
        {"seats": 10, "profile": "workshop", "start": "2026-12-01T09:00:00Z", "hours": 2},
        200,
        200,
    ),
    "capacity": (50, 403, 200),
}
"""Field of the room's spec to a value, and what instructor and operator are answered."""


@pytest.mark.parametrize("field", PATCHES)
async def test_what_of_a_workspace_may_be_changed_by_whom(web: Web, field: str) -> None:
    value, *expected = PATCHES[field]
    send = {"json": {"spec": {field: value}}}
    answers = [await ask(web, "PATCH", WORKSPACE, who, **send) for who in ("owner", "instructor", "operator")]
    assert answers == expected


@pytest.mark.parametrize("field", ROOM)
async def test_what_of_the_room_may_be_changed_by_whom(web: Web, field: str) -> None:
    value, *expected = ROOM[field]
    send = {"json": {"spec": {field: value}}}
    answers = [await ask(web, "PATCH", "/api/room", who, **send) for who in ("instructor", "operator")]
    assert answers == expected
    for who in ("nobody", "other", "owner"):
        assert await ask(web, "PATCH", "/api/room", who, **send) in (401, 403)
