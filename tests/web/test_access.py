"""Who may do what: every route the application has, asked by everybody there is, by HTTP and by WebSocket."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
import tornado.web

from hub.model import NAME
from hub.web import relay
from hub.web.server import make_application
from tests.web.serving import MINE, THEIRS, Web

STRANGERS = ("nobody", "wrong token", "forged cookie", "cookie of another")
OWNER = ("token", "session")


@dataclass(frozen=True)
class Row:
    """What a route answers: to strangers, to the owner, and to somebody who asks for another's workspace."""

    path: str
    stranger: int
    owner: int
    of_another: int = 404
    send: dict[str, Any] = field(default_factory=dict)


(RELAY, _), *_ = relay.ROUTES
RELAYED = Row("/{name}_dask/status", 401, 200)
LAUNCH = {"json": {"spec": {"profile": "notebook"}}}
SCALE = {"json": {"spec": {"workers": 3}}}
FORM = {"data": {"profile": "notebook"}}

ROWS: dict[tuple[str, str], Row] = {
    ("/api/workspaces", "GET"): Row("/api/workspaces", 401, 200),
    ("/api/workspaces", "POST"): Row("/api/workspaces", 401, 200, send=LAUNCH),
    (rf"/api/workspaces/({NAME})", "GET"): Row("/api/workspaces/{name}", 401, 200),
    (rf"/api/workspaces/({NAME})", "PATCH"): Row("/api/workspaces/{name}", 401, 200, send=SCALE),
    (rf"/api/workspaces/({NAME})", "DELETE"): Row("/api/workspaces/{name}", 401, 202),
    (rf"/api/workspaces/({NAME})/events", "GET"): Row("/api/workspaces/{name}/events", 401, 200),
    ("/api/events", "GET"): Row("/api/events", 401, 200),
    ("/api/profiles", "GET"): Row("/api/profiles", 401, 200),
    (r"/api/openapi\.json", "GET"): Row("/api/openapi.json", 200, 200),
    ("/api/.*", "GET"): Row("/api/nothing", 404, 404),
    ("/", "GET"): Row("/", 302, 200),
    ("/launch", "POST"): Row("/launch", 401, 303, send=FORM),
    (rf"/workspaces/({NAME})", "GET"): Row("/workspaces/{name}", 302, 200),
    (rf"/workspaces/({NAME})/open", "GET"): Row("/workspaces/{name}/open", 302, 302),
    ("/sign-in", "GET"): Row("/sign-in", 200, 200),
    ("/sign-in", "POST"): Row("/sign-in", 401, 401),
    ("/sign-out", "POST"): Row("/sign-out", 303, 303),
    ("/(?:healthz|readyz)", "GET"): Row("/healthz", 200, 200),
    ("/metrics", "GET"): Row("/metrics", 401, 200),
    (RELAY, "GET"): Row("/{name}_dask/status", 302, 200),
    (RELAY, "HEAD"): Row("/{name}_dask/status", 302, 200),
    **{(RELAY, method): RELAYED for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS")},
    ("/static/(.*)", "GET"): Row("/static/podium.css", 200, 200),
    ("/static/(.*)", "HEAD"): Row("/static/podium.css", 200, 200),
    (r"/(favicon\.ico)", "GET"): Row("/favicon.ico", 404, 404),
    (r"/(favicon\.ico)", "HEAD"): Row("/favicon.ico", 404, 404),
    (r"/(robots\.txt)", "GET"): Row("/robots.txt", 404, 404),
    (r"/(robots\.txt)", "HEAD"): Row("/robots.txt", 404, 404),
    ("/(.*)", "GET"): Row("/nothing", 404, 404),
    **{("/(.*)", method): Row("/nothing", 404, 404) for method in ("POST", "PUT", "PATCH", "DELETE")},
}
NAMED = {key: row for key, row in ROWS.items() if "{name}" in row.path}


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


def test_the_table_below_has_a_row_for_every_route(web: Web) -> None:
    assert routes(make_application(web.site)) == set(ROWS)


async def ask(web: Web, key: tuple[str, str], who: str, name: str) -> int:
    """Ask for a route and say the status; a stream is left once it has begun."""
    row = ROWS[key]
    if row.path.endswith("/events"):
        path = web.url + row.path.format(name=name)
        async with web.browser.get(path, headers=web.credentials(who), allow_redirects=False) as response:
            return response.status
    return (await web.ask(key[1], row.path.format(name=name), who, **row.send)).status


@pytest.mark.parametrize("who", STRANGERS)
@pytest.mark.parametrize("key", ROWS, ids=label)
async def test_a_stranger(web: Web, key: tuple[str, str], who: str) -> None:
    await web.add()
    before = await web.everything()
    assert await ask(web, key, who, MINE) == ROWS[key].stranger
    assert await web.everything() == before
    assert web.upstream.seen == []


@pytest.mark.parametrize("who", OWNER)
@pytest.mark.parametrize("key", ROWS, ids=label)
async def test_the_owner(web: Web, key: tuple[str, str], who: str) -> None:
    await web.add()
    assert await ask(web, key, who, MINE) == ROWS[key].owner


@pytest.mark.parametrize("who", OWNER)
@pytest.mark.parametrize("key", NAMED, ids=label)
async def test_the_workspace_of_another(web: Web, key: tuple[str, str], who: str) -> None:
    await web.add(THEIRS, owner="bob")
    before = await web.everything()
    there = await ask(web, key, who, THEIRS)
    assert there == ROWS[key].of_another
    assert await web.everything() == before
    assert web.upstream.seen == []
    # Nothing tells a workspace of somebody else from one that there never was.
    assert there == await ask(web, key, who, "cluster-nowhere")


@pytest.mark.parametrize("key", [key for key in ROWS if key[1] in ("GET", "HEAD")], ids=label)
async def test_looking_changes_nothing(web: Web, key: tuple[str, str]) -> None:
    await web.add()
    before = await web.everything()
    await ask(web, key, "session", MINE)
    assert await web.everything() == before


async def test_a_list_shows_only_ones_own(web: Web) -> None:
    await web.add()
    await web.add(THEIRS, owner="bob")
    names = [item["metadata"]["name"] for item in (await web.ask("GET", "/api/workspaces")).json["items"]]
    assert names == [MINE]
    assert THEIRS not in (await web.ask("GET", "/", "session")).text


@pytest.mark.parametrize("suffix", ["dask", "spark", "9000"])
@pytest.mark.parametrize("who", STRANGERS)
async def test_a_stranger_opens_no_websocket(web: Web, who: str, suffix: str) -> None:
    await web.add()
    web.own_ports.add(9000)
    assert await shake(web, who, f"/{MINE}_{suffix}/ws") in (302, 401)
    assert web.upstream.seen == []


@pytest.mark.parametrize("who", OWNER)
async def test_the_owner_opens_a_websocket(web: Web, who: str) -> None:
    await web.add()
    assert await shake(web, who, f"/{MINE}_dask/ws") == 101


@pytest.mark.parametrize("who", OWNER)
async def test_no_websocket_to_the_workspace_of_another(web: Web, who: str) -> None:
    await web.add(THEIRS, owner="bob")
    assert await shake(web, who, f"/{THEIRS}_dask/ws") == 404
    assert web.upstream.seen == []


async def shake(web: Web, who: str, path: str) -> int:
    """The status that a WebSocket's handshake is answered with."""
    return await web.handshake(path, web.credentials(who))


@pytest.mark.parametrize("scheme", ["Basic", "bearer ", "Token", "Bearer Bearer"])
async def test_a_header_that_is_no_token_is_not_passed_over(web: Web, scheme: str) -> None:
    # Falling back to the cookie would let a page of another origin choose who is asked for.
    sent = {**web.credentials("session"), "Authorization": f"{scheme} eDp5"}
    assert (await web.ask("GET", "/api/workspaces", "nobody", headers=sent)).status == 401


async def test_a_token_needs_no_second_proof_and_no_exact_case(web: Web) -> None:
    answer = await web.ask("POST", "/api/workspaces", xsrf=None, **LAUNCH)
    assert answer.status == 201
    lower = {"Authorization": web.credentials("token")["Authorization"].replace("Bearer", "bearer")}
    assert (await web.ask("GET", "/api/workspaces", "nobody", headers=lower)).status == 200


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_health_says_nothing_of_anybody(web: Web, path: str) -> None:
    await web.add()
    assert (await web.ask("GET", path, "nobody")).json == {"status": "ok"}


@pytest.mark.parametrize("path", ["/healthzz", "/readyz/x", "/healthz%7C/readyz"])
async def test_only_the_exact_path_is_health(web: Web, path: str) -> None:
    assert (await web.ask("GET", path, "nobody")).status == 404


async def test_the_notebooks_own_path_says_nothing_to_strangers(web: Web) -> None:
    await web.add()
    mine = await web.ask("GET", f"/{MINE}/lab", "nobody")
    assert mine.status == (await web.ask("GET", "/cluster-nowhere/lab", "nobody")).status == 404
    led = await web.ask("GET", f"/{MINE}/lab", "session")
    assert (led.status, led.location) == (302, f"/workspaces/{MINE}?launched=1")
    await web.add(THEIRS, owner="bob")
    assert (await web.ask("GET", f"/{THEIRS}/lab", "session")).status == 404
