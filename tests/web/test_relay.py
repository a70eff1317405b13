"""What is relayed to dashboards and to programs beside the notebook, and what must not be."""

from __future__ import annotations

import io
from typing import Any
from urllib.parse import quote

import pytest

from tests.web.serving import MINE, Web, xsrf_cookie
from tests.web.upstream import Seen

DASK, SPARK, PORT = f"/{MINE}_dask", f"/{MINE}_spark", f"/{MINE}_9000"
BESIDE = f"/{MINE}/proxy/9000"
RELAYS = [(DASK, DASK), (SPARK, ""), (PORT, BESIDE)]
"""A route as the browser sees it, and what stands in its place upstream: Dask alone keeps it."""


@pytest.fixture(autouse=True)
async def workspace(web: Web) -> None:
    """A workspace whose dashboards and notebook answer."""
    await web.add()
    web.own_ports.add(9000)


async def seen(web: Web, method: str, path: str, who: str = "session", **sent: Any) -> Seen:
    """Ask, and say what arrived upstream."""
    answer = await web.ask(method, path, who, **sent)
    assert answer.status < 500
    (one,) = web.upstream.seen
    web.upstream.seen.clear()
    return one


class TestRequest:
    @pytest.mark.parametrize(("route", "upstream"), RELAYS)
    @pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"])
    async def test_methods(self, web: Web, method: str, route: str, upstream: str) -> None:
        arrived = await seen(web, method, f"{route}/some/page")
        assert (arrived.method, arrived.target) == (method, f"{upstream}/some/page")

    @pytest.mark.parametrize(("route", "upstream"), RELAYS)
    @pytest.mark.parametrize(
        "rest",
        [
            *(
                "/",
                "/a/b/",
                "/a?b=c&b=d",
                "/?",
                "/a?b=%2F&c=d%20e",
                "/a%2Fb",
                "/a%3Fb",
                "/a%25b",
                "/a%20b",
                "/a+b",
            ),
            *("/caf%C3%A9", "/%ff%fe", "/a;b=c", "/a//b", "/a/../b", "/a%2e%2e/b", "/@:x!$&'()*"),
            *(
                "/api/v1/applications/app-1/jobs?status=running",
                "/proxy/app-1/jobs/",
                "/a?b=http://c/d",
                "/a?%0d%0a",
            ),
        ],
    )
    async def test_the_path_arrives_as_it_was_written(
        self, web: Web, route: str, upstream: str, rest: str
    ) -> None:
        arrived = await seen(web, "GET", route + rest)
        assert arrived.target.removesuffix("?") == (upstream + rest).removesuffix("?")

    @pytest.mark.parametrize(
        "rest", ["/a%0d%0aX-Evil:%201", "/a?b%0d%0aX-Evil:%201", "/%0aX-Evil:%201%0d%0a%0d%0a"]
    )
    async def test_no_line_is_slipped_in(self, web: Web, rest: str) -> None:
        answer = await web.ask("GET", DASK + rest, "session")
        assert answer.status < 500
        assert not [one for one in web.upstream.seen if "X-Evil" in one.headers]
        assert len(web.upstream.seen) <= 1

    @pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
    async def test_bodies(self, web: Web, method: str) -> None:
        body = bytes(range(256)) * 400
        kind = {"Content-Type": "application/x-thing"}
        arrived = await seen(web, method, f"{DASK}/teapot", headers=kind, data=body)
        assert arrived.body == body
        assert arrived.headers["Content-Type"] == "application/x-thing"

    async def test_forms_are_not_taken_apart(self, web: Web) -> None:
        arrived = await seen(web, "POST", f"{DASK}/teapot", data=b"a=b&a=c&_xsrf=%00", headers=FORM)
        assert arrived.body == b"a=b&a=c&_xsrf=%00"

    async def test_a_large_body(self, web: Web) -> None:
        body = b"x" * 3_000_000
        assert (await seen(web, "POST", f"{DASK}/teapot", data=io.BytesIO(body), headers=FORM)).body == body

    async def test_no_body_and_no_type_are_made_up(self, web: Web) -> None:
        arrived = await seen(web, "GET", f"{DASK}/page")
        assert arrived.body == b""
        assert "Content-Type" not in arrived.headers

    async def test_without_a_slash_the_browser_is_sent_to_the_folder(self, web: Web) -> None:
        answer = await web.ask("GET", f"{DASK}?a=b%20c", "session")
        assert (answer.status, answer.location) == (302, f"{DASK}/?a=b%20c")
        assert web.upstream.seen == []


FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class TestRequestHeaders:
    async def test_the_browsers_own_arrive(self, web: Web) -> None:
        own = {
            "X-Own": "a",
            "Accept": "text/x",
            "Accept-Language": "de",
            "If-None-Match": '"1"',
            "Range": "bytes=0-1",
        }
        arrived = await seen(web, "GET", f"{DASK}/page", headers=own)
        assert {name: arrived.headers[name] for name in own} == own
        assert arrived.headers["Host"] == f"127.0.0.1:{web.port}"
        assert arrived.headers["X-Forwarded-Prefix"] == DASK

    async def test_who_says_no_encoding_gets_none(self, web: Web) -> None:
        cookie = web.credentials("session")["Cookie"]
        head = f"GET {DASK}/packed HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n"
        answer = await web.raw(f"{head}\r\n".encode())
        assert b"200" in answer.splitlines()[0]
        assert b"content-encoding" not in answer.lower()
        (arrived,) = web.upstream.seen
        assert "Accept-Encoding" not in arrived.headers

    @pytest.mark.parametrize("who", ["session", "token"])
    @pytest.mark.parametrize(("route", "purpose"), [(DASK, "dask"), (SPARK, "spark"), (PORT, "notebook")])
    async def test_the_targets_credentials_stand_in_for_the_persons(
        self, web: Web, who: str, route: str, purpose: str
    ) -> None:
        arrived = await seen(web, "GET", f"{route}/page", who)
        assert arrived.headers.getall("Authorization") == [f"Bearer {(await web.keys()).token(purpose)}"]
        said = " ".join(arrived.headers.values())
        for value in web.credentials(who).values():
            assert value.removeprefix("Bearer ").partition("=")[2] not in said or "Bearer" in value
        assert web.site.sign_in.token not in said
        assert "podium-" not in said

    @pytest.mark.parametrize(
        ("sent", "arrives"),
        [
            ("{own}", None),
            ("{own}; a=1", "a=1"),
            ("a=1; {own}; b=2", "a=1; b=2"),
            ("a=1;{own};b=2", "a=1; b=2"),
            ('{own}; a="x; y"; b=c=d', 'a="x; y"; b=c=d'),
            ("{own}; podium-notebook=secret; x-podium-session=kept", "x-podium-session=kept"),
            ("{own}; podium-xsrf=again; _xsrf=of-the-program", "_xsrf=of-the-program"),
            ("{own}; ; ;bare", "bare"),
        ],
    )
    async def test_cookies(self, web: Web, sent: str, arrives: str | None) -> None:
        own = f"{web.credentials('session')['Cookie']}; {xsrf_cookie()}"
        arrived = await seen(web, "GET", f"{DASK}/page", headers={"Cookie": sent.format(own=own)})
        assert arrived.headers.get("Cookie") == arrives

    async def test_what_is_for_the_next_hop_only_stays_here(self, web: Web) -> None:
        hops = {
            "Connection": "keep-alive, X-Once",
            "X-Once": "1",
            "Keep-Alive": "timeout=5",
            "TE": "trailers",
            "Proxy-Authorization": "Basic eDp5",
            "X-Kept": "2",
        }
        arrived = await seen(web, "GET", f"{DASK}/page", headers=hops)
        assert not {name.lower() for name in arrived.headers} & {
            *("x-once", "keep-alive", "te", "proxy-authorization"),
        }
        assert arrived.headers["X-Kept"] == "2"


class TestAnswer:
    async def test_status_headers_and_body(self, web: Web) -> None:
        answer = await web.ask("GET", f"{DASK}/teapot", "session")
        assert (answer.status, answer.body) == (418, b"short and stout")
        answer = await web.ask("GET", f"{DASK}/page", "session")
        assert answer.headers["X-Own"] == "kept"
        assert answer.headers["Content-Type"].startswith("application/json")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"

    @pytest.mark.parametrize(("path", "status"), [("nothing", 204), ("unchanged", 304)])
    async def test_answers_without_a_body(self, web: Web, path: str, status: int) -> None:
        answer = await web.ask("GET", f"{DASK}/{path}", "session")
        assert (answer.status, answer.body) == (status, b"")

    async def test_a_head_has_no_body(self, web: Web) -> None:
        answer = await web.ask("HEAD", f"{DASK}/teapot", "session")
        assert (answer.status, answer.body) == (418, b"")

    async def test_a_packed_body_can_be_unpacked(self, web: Web) -> None:
        answer = await web.ask("GET", f"{DASK}/packed", "session", headers={"Accept-Encoding": "gzip"})
        assert answer.headers["Content-Encoding"] == "gzip"
        assert answer.text == "plain words " * 100

    async def test_what_is_for_one_hop_only_stays_there(self, web: Web) -> None:
        answer = await web.ask("GET", f"{DASK}/hops", "session")
        assert answer.headers["X-Kept"] == "2"
        assert "X-Once" not in answer.headers
        assert "Keep-Alive" not in answer.headers

    @pytest.mark.parametrize(
        ("cookie", "kept"),
        [
            ("a=1", f"a=1; Path={DASK}/"),
            ("a=1; Path=/; HttpOnly", f"a=1; HttpOnly; Path={DASK}/"),
            ("a=1; path=/cluster-theirs/; DOMAIN=127.0.0.1; Secure", f"a=1; Secure; Path={DASK}/"),
            ("path_view=1; Max-Age=5", f"path_view=1; Max-Age=5; Path={DASK}/"),
            ("domain=x; SameSite=Lax", f"domain=x; SameSite=Lax; Path={DASK}/"),
            ("podium-session=x", None),
            ("podium-xsrf=x; Path=/", None),
            (" podium-notebook =x", None),
        ],
    )
    async def test_cookies_are_kept_below_the_route(self, web: Web, cookie: str, kept: str | None) -> None:
        answer = await web.ask("GET", f"{DASK}/cookies?set={quote(cookie)}&set=other=2", "session")
        wanted = ([kept] if kept else []) + [f"other=2; Path={DASK}/"]
        assert answer.headers.getall("Set-Cookie") == wanted
