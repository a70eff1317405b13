"""Getting in: by the code that was printed, by one's account on the machine, and nowhere else from there."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import quote

import pytest
import tornado.netutil

from hub.web import peers
from hub.web.auth import GuestSignIn
from tests.web.serving import CODE, COOKIE_SECRET, HOST, MINE, TOKEN, Answer, Web, session_cookie

ME, SOMEBODY = os.getuid(), os.getuid() + 1


async def sign_in(web: Web, code: str, **form: str) -> Answer:
    return await web.ask("POST", "/sign-in", "nobody", data={"code": code, **form})


class TestCode:
    @pytest.mark.parametrize(
        "code", [CODE, CODE.upper(), "abcd efgh ijkl mnop", f"  {CODE}\n", "abcd\u00a0efghijklmnop"]
    )
    async def test_right(self, web: Web, code: str) -> None:
        answer = await sign_in(web, code)
        assert (answer.status, answer.location) == (303, "/")
        cookie = answer.cookie("podium-session")
        assert cookie
        home = await web.ask("GET", "/", "nobody", headers={"Cookie": cookie.partition(";")[0]})
        assert home.status == 200

    @pytest.mark.parametrize(
        "code",
        [
            "",
            " ",
            CODE[:-1],
            CODE + "a",
            CODE[::-1],
            "é" * 16,
            "\u0000" * 16,
            "x" * 10_000,
            TOKEN,
            "<b>",
            "a" * 16,
        ],
    )
    async def test_wrong(self, web: Web, code: str) -> None:
        answer = await sign_in(web, code)
        assert answer.status == 401
        assert answer.cookie("podium-session") is None
        assert "That is not the code." in answer.text
        assert "<b>" not in answer.text

    async def test_none(self, web: Web) -> None:
        assert (await web.ask("POST", "/sign-in", "nobody")).status == 401

    async def test_bytes_that_are_no_text(self, web: Web) -> None:
        sent = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = await web.ask("POST", "/sign-in", "nobody", headers=sent, data=b"code=%ff%fe")
        assert answer.status in (400, 401)
        assert answer.cookie("podium-session") is None

    async def test_in_an_address_it_counts_for_nothing(self, web: Web) -> None:
        for method in ("GET", "POST"):
            answer = await web.ask(method, f"/sign-in?code={CODE}", "nobody")
            assert answer.cookie("podium-session") is None

    async def test_the_cookie_is_for_this_site_and_not_for_scripts(self, web: Web) -> None:
        cookie = (await sign_in(web, CODE)).cookie("podium-session")
        assert cookie
        parts = {part.strip().lower() for part in cookie.split(";")[1:]}
        assert {"httponly", "samesite=lax", "path=/"} <= parts
        assert not any(part.startswith("domain") for part in parts)
        assert CODE not in cookie

    async def test_a_session_ends_after_a_month(self, web: Web) -> None:
        def days_ago(days: int) -> dict[str, str]:
            return {"Cookie": session_cookie("ada", clock=lambda: time.time() - days * 86400)}

        assert (await web.ask("GET", "/", "nobody", headers=days_ago(30))).status == 200
        assert (await web.ask("GET", "/", "nobody", headers=days_ago(32))).status == 302

    @pytest.mark.parametrize("value", ["ada", "", "2|1:0|10:1|", "é", '"ada"', "2|" * 500, "%00"])
    async def test_a_cookie_that_is_none(self, web: Web, value: str) -> None:
        sent = {"Cookie": f"podium-session={value}"}
        assert (await web.ask("GET", "/api/workspaces", "nobody", headers=sent)).status == 401

    async def test_out_again(self, web: Web) -> None:
        answer = await web.ask("POST", "/sign-out", "session")
        assert (answer.status, answer.location) == (303, "/sign-in")
        cookie = answer.cookie("podium-session")
        assert cookie
        assert cookie.startswith('podium-session="";')
        assert "expires" in cookie


class TestGuest:
    async def test_is_somebody_new_and_stays_who_they_are(self, web: Web) -> None:
        web.change_site(sign_in=GuestSignIn(TOKEN, COOKIE_SECRET))
        one, other = [await web.ask("GET", "/", "nobody") for _ in range(2)]
        assert one.cookie("podium-session") != other.cookie("podium-session")
        cookie = (one.cookie("podium-session") or "").partition(";")[0]
        again = await web.ask("GET", "/", "nobody", headers={"Cookie": cookie})
        assert again.status == 200
        assert again.cookie("podium-session") is None

    async def test_who_is_out_is_told_how_to_begin(self, web: Web) -> None:
        web.change_site(sign_in=GuestSignIn(TOKEN, COOKIE_SECRET))
        page = await web.ask("GET", "/sign-in?next=/check", "nobody")
        assert "You are signed out" in page.text
        assert 'href="/check"' in page.text

    async def test_does_not_teach(self, web: Web) -> None:
        web.change_site(sign_in=GuestSignIn(TOKEN, COOKIE_SECRET))
        assert (await web.ask("GET", "/room", "nobody")).status == 403
        assert (await web.ask("GET", "/api/room", "token")).status == 200


ASIDE = [
    *(
        "//evil.com",
        "///evil.com",
        "http://evil.com",
        "https:evil.com",
        "evil.com",
        "javascript:alert(1)",
        "data:,x",
    ),
    *(
        "\\\\evil.com",
        "/\\evil.com",
        "/\t/evil.com",
        "/\n/evil.com",
        "\t//evil.com",
        "//[",
        "http://[",
        " //evil.com",
    ),
    *(
        "/\\/evil.com",
        "//evil.com/%2f..",
        "http:///evil.com",
        "//\u2025evil.com",
        "/a\r\nSet-Cookie: a=b",
        "/\x0b/evil.com",
    ),
    "/\x7f",
]


class TestNext:
    """Wherever `next` points, one stays here."""

    @pytest.mark.parametrize("aside", ASIDE)
    async def test_aside_after_the_code(self, web: Web, aside: str) -> None:
        answer = await sign_in(web, CODE, next=aside)
        assert (answer.status, answer.location) == (303, "/")
        assert answer.cookie("a") is None

    @pytest.mark.parametrize("aside", ASIDE)
    async def test_aside_in_the_page_that_asks(self, web: Web, aside: str) -> None:
        page = await web.ask("GET", f"/sign-in?next={quote(aside)}", "nobody")
        assert '<input type="hidden" name="next" value="/">' in page.text

    @pytest.mark.parametrize(
        "aside", [*ASIDE, "/", "/sign-in", "/cluster-theirs/", "lab", f"/{MINE}", "/x?/" + MINE]
    )
    async def test_aside_on_the_way_to_the_notebook(self, web: Web, aside: str) -> None:
        await web.add()
        answer = await web.ask("GET", f"/workspaces/{MINE}/open?next={quote(aside)}", "session")
        assert (answer.status, answer.location) == (302, f"/{MINE}/")

    @pytest.mark.parametrize(
        "inside", ["/", f"/workspaces/{MINE}?launched=1", "/a//b", "/?next=http://evil.com"]
    )
    async def test_inside(self, web: Web, inside: str) -> None:
        assert (await sign_in(web, CODE, next=inside)).location == inside

    async def test_inside_the_notebook(self, web: Web) -> None:
        await web.add()
        wanted = f"/{MINE}/lab/tree/a%20b.ipynb"
        answer = await web.ask("GET", f"/workspaces/{MINE}/open?next={quote(wanted)}", "session")
        assert answer.location == wanted

    async def test_who_is_sent_to_sign_in_comes_back(self, web: Web) -> None:
        await web.add()
        wanted = f"/{MINE}_dask/status?a=b&c=%2F"
        away = await web.ask("GET", wanted, "nobody")
        page = await web.ask("GET", away.location, "nobody")
        assert f'name="next" value="{wanted.replace("&", "&amp;")}"' in page.text
        assert (await sign_in(web, CODE, next=wanted)).location == wanted


class TestAccount:
    """The account at the other end of every open connection is asked of the kernel, which is played here."""

    @pytest.mark.parametrize(
        ("direct", "public", "let_in"),
        [
            ({ME}, {ME}, True),
            ({ME}, {ME, SOMEBODY}, False),
            ({SOMEBODY}, {ME}, False),
            ({SOMEBODY}, {SOMEBODY}, False),
            ({ME, SOMEBODY}, {ME}, False),
            ({ME}, set(), False),
            (set(), {ME}, False),
            (set(), set(), False),
        ],
    )
    async def test_all_are_mine_or_nobody_gets_in(
        self, web: Web, monkeypatch: pytest.MonkeyPatch, direct: set[int], public: set[int], let_in: bool
    ) -> None:
        monkeypatch.setattr(peers, "sockets", list)
        monkeypatch.setattr(peers, "client", lambda *_: direct)
        monkeypatch.setattr(peers, "clients", lambda *_: public)
        answer = await web.ask("GET", "/", "nobody")
        assert answer.status == (200 if let_in else 302)
        assert (answer.cookie("podium-session") is not None) is let_in

    async def test_only_a_page_signs_in_so(self, web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(peers, "sockets", list)
        monkeypatch.setattr(peers, "client", lambda *_: {ME})
        monkeypatch.setattr(peers, "clients", lambda *_: {ME})
        await web.add()
        before = await web.everything()
        assert (await web.ask("GET", "/api/workspaces", "nobody")).status == 401
        assert (await web.ask("POST", "/launch", "nobody", data={"profile": "notebook"})).status == 401
        assert (await web.ask("GET", "/", "nobody", headers={"Host": "evil.com"})).status == 403
        assert await web.everything() == before


@contextlib.contextmanager
def another_account() -> Iterator[None]:
    """Sockets that are made here belong to another account."""
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells whose a connection is")
class TestRealAccount:
    """The same with the kernel itself, and with a proxy between that hides who is asking."""

    @pytest.fixture(autouse=True)
    def no_account(self) -> None:
        """Here the kernel is asked."""

    async def page(
        self, web: Web, beside: socket.socket | None = None, asking: socket.socket | None = None
    ) -> int:
        """The status of the home page through a proxy, perhaps with another connection open beside."""
        listening = tornado.netutil.bind_sockets(0, HOST)[0]
        public = int(listening.getsockname()[1])
        web.change_site(sign_in=replace(web.site.sign_in, public_port=public))

        async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(asyncio.IncompleteReadError):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(await web.raw(head))
                await writer.drain()
            writer.close()

        async with await asyncio.start_server(forward, sock=listening):
            loop = asyncio.get_running_loop()
            for each in filter(None, (beside, asking)):
                each.setblocking(False)
                await loop.sock_connect(each, (HOST, public))
            if asking is None:
                reader, writer = await asyncio.open_connection(HOST, public)
            else:
                reader, writer = await asyncio.open_connection(sock=asking)
            writer.write(f"GET / HTTP/1.1\r\nHost: {HOST}:{public}\r\n\r\n".encode())
            answer = await reader.readuntil(b"\r\n\r\n")
            for end in filter(None, (writer, beside)):
                end.close()
            return int(answer.split()[1])

    async def test_my_own_connection(self, web: Web) -> None:
        assert await self.page(web) == 200

    @pytest.mark.skipif(ME != 0, reason="only root can make a socket of another account")
    async def test_a_connection_of_another_account(self, web: Web) -> None:
        with another_account():
            theirs = socket.socket()
        assert await self.page(web, asking=theirs) == 302

    @pytest.mark.skipif(ME != 0, reason="only root can make a socket of another account")
    async def test_somebody_else_is_connected_too(self, web: Web) -> None:
        with another_account():
            theirs = socket.socket()
        assert await self.page(web, beside=theirs) == 302
