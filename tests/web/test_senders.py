"""What a request says of where it comes from: the XSRF token, the Host header and the Origin header."""

from __future__ import annotations

import pytest

from tests.web.serving import (
    CODE,
    FORM,
    LAUNCH,
    MINE,
    SCALE,
    XSRF,
    Answer,
    Web,
    page_xsrf,
    session_cookie,
    xsrf_cookie,
)

CHANGES = [
    ("POST", "/api/workspaces", LAUNCH),
    ("PATCH", f"/api/workspaces/{MINE}", SCALE),
    ("DELETE", f"/api/workspaces/{MINE}", {}),
    ("POST", "/launch", FORM),
    ("POST", "/sign-out", {}),
]
OTHER_XSRF = XSRF.replace("5e", "5f")


class TestXsrf:
    @pytest.mark.parametrize(
        "wrong", [None, "", OTHER_XSRF, "2|", "2|x|y|z", "é", XSRF[:-1] + "é", "5e" * 16 + "5e"]
    )
    @pytest.mark.parametrize(("method", "path", "send"), CHANGES)
    async def test_a_cookie_alone_changes_nothing(
        self, web: Web, method: str, path: str, send: dict[str, object], wrong: str | None
    ) -> None:
        await web.add()
        before = await web.everything()
        answer = await web.ask(method, path, "session", xsrf=wrong, **send)
        assert answer.status == 403
        assert answer.cookie("podium-session") is None
        assert await web.everything() == before

    @pytest.mark.parametrize(("method", "path", "send"), CHANGES)
    async def test_a_token_without_its_cookie(
        self, web: Web, method: str, path: str, send: dict[str, object]
    ) -> None:
        await web.add()
        before = await web.everything()
        sent = {"Cookie": session_cookie("ada")}
        assert (await web.ask(method, path, "nobody", headers=sent, **send)).status == 403
        assert await web.everything() == before

    @pytest.mark.parametrize("who", ["session", "token"])
    @pytest.mark.parametrize(("method", "path", "send"), CHANGES)
    async def test_the_right_token_or_a_bearer(
        self, web: Web, method: str, path: str, send: dict[str, object], who: str
    ) -> None:
        await web.add()
        answer = await web.ask(method, path, who, xsrf=XSRF if who == "session" else None, **send)
        assert answer.status < 400

    async def test_what_a_page_gives_to_its_script(self, web: Web) -> None:
        await web.add()
        page = await web.ask(
            "GET", f"/workspaces/{MINE}", "nobody", headers={"Cookie": session_cookie("ada")}
        )
        cookie = page.cookie("podium-xsrf")
        assert cookie
        assert "SameSite=Strict" in cookie
        assert "Path=/" in cookie
        sent = {"Cookie": f"{session_cookie('ada')}; {cookie.partition(';')[0]}"}
        path = f"/api/workspaces/{MINE}"
        right = await web.ask("PATCH", path, "nobody", headers=sent, xsrf=page_xsrf(page), **SCALE)
        assert right.json["spec"]["workers"] == 3

    async def test_what_a_form_sends(self, web: Web) -> None:
        sent = {"profile": "notebook", "_xsrf": XSRF}
        answer = await web.ask("POST", "/launch", "session", xsrf=None, data=sent)
        assert answer.status == 303

    async def test_a_token_in_the_address_of_another_site_is_no_use(self, web: Web) -> None:
        await web.add()
        sent = {"Cookie": f"{session_cookie('ada')}; {xsrf_cookie(OTHER_XSRF)}"}
        path = f"/api/workspaces/{MINE}?_xsrf={XSRF}"
        assert (await web.ask("DELETE", path, "nobody", headers=sent, xsrf=None)).status == 403


LOCAL = ["127.0.0.1", "127.0.0.1:8000", "localhost", "LOCALHOST:8000", "[::1]", "[::1]:8000", "127.9.9.9"]
ELSEWHERE = [
    *("evil.com", "evil.com:8000", "127.0.0.1.evil.com", "localhost.evil.com:8000", "evil-localhost"),
    *("10.0.0.1", "0.0.0.0", "[::2]", "[::1", "169.254.169.254", "2130706433", "localhost."),
    *("127.0.0.1:8000:evil.com", "evil.com:127.0.0.1"),
]
ASKED = [
    *("/", "/sign-in", "/healthz", "/metrics", "/nothing", "/api/workspaces", "/api/openapi.json"),
    *(f"/workspaces/{MINE}", f"/workspaces/{MINE}/open", f"/api/workspaces/{MINE}/events"),
    *(f"/{MINE}_dask/status", f"/{MINE}_9000/"),
]


class TestHost:
    """A name of somebody else's that leads to this machine (DNS rebinding) leads nowhere."""

    @pytest.mark.parametrize("host", ELSEWHERE)
    async def test_elsewhere(self, web: Web, host: str) -> None:
        await web.add()
        web.own_ports.add(9000)
        for path in ASKED:
            answer = await web.ask("GET", path, "session", headers={"Host": host})
            # 400 is the server's own word for what is no host at all.
            assert answer.status in (400, 403), path
            assert MINE.encode() not in answer.body
            assert answer.cookie("podium-notebook") is None
        assert web.upstream.seen == []

    @pytest.mark.parametrize("host", LOCAL)
    async def test_here(self, web: Web, host: str) -> None:
        await web.add()
        for path in ("/", "/api/workspaces", f"/{MINE}_dask/status"):
            assert (await web.ask("GET", path, "session", headers={"Host": host})).status == 200

    @pytest.mark.parametrize(("version", "status"), [("1.1", b"400"), ("1.0", b"403")])
    async def test_none(self, web: Web, version: str, status: bytes) -> None:
        cookie = session_cookie("ada")
        answer = await web.raw(f"GET / HTTP/{version}\r\nCookie: {cookie}\r\n\r\n".encode())
        assert answer.split()[1] == status

    async def test_two(self, web: Web) -> None:
        answer = await web.raw(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: evil.com\r\n\r\n")
        assert answer.split()[1] == b"400"

    async def test_no_sign_in_even_with_the_code(self, web: Web) -> None:
        answer = await web.ask(
            "POST", "/sign-in", "nobody", headers={"Host": "evil.com"}, data={"code": CODE}
        )
        assert answer.status == 403
        assert answer.cookie("podium-session") is None

    async def test_no_websocket(self, web: Web) -> None:
        await web.add()
        sent = {**web.credentials("session"), "Host": "evil.com", "Origin": "http://evil.com"}
        assert await web.handshake(f"/{MINE}_dask/ws", sent) == 403
        assert web.upstream.seen == []

    async def test_no_change_even_with_a_token(self, web: Web) -> None:
        await web.add()
        before = await web.everything()
        path = f"/api/workspaces/{MINE}"
        assert (await web.ask("DELETE", path, headers={"Host": "evil.com"})).status == 403
        assert await web.everything() == before


FOREIGN = [
    *("http://evil.com", "https://evil.com:8000", "null", "", "file://", "http://[", "http://[::1", "//"),
    *(
        "http://127.0.0.1",
        "http://127.0.0.1:1",
        "http://localhost:{port}",
        "http://127.0.0.1:{port}.evil.com",
    ),
    *("http://127.0.0.1:{port}@evil.com", "http://evil.com/http://127.0.0.1:{port}", "127.0.0.1:{port}"),
    "http://127.0.0.1:{port} http://evil.com",
]


class TestOrigin:
    @pytest.mark.parametrize("origin", FOREIGN)
    async def test_another_sites_page_changes_nothing(self, web: Web, origin: str) -> None:
        await web.add()
        before = await web.everything()
        sent = {"Origin": origin.format(port=web.port)}
        for method, path, send in [*CHANGES, ("POST", f"/{MINE}_dask/x", {})]:
            answer = await web.ask(method, path, "session", headers=sent, **send)
            assert answer.status == 403, path
        assert await web.everything() == before
        assert web.upstream.seen == []

    @pytest.mark.parametrize("who", ["session", "token"])
    @pytest.mark.parametrize("origin", FOREIGN)
    async def test_another_sites_page_opens_no_websocket(self, web: Web, origin: str, who: str) -> None:
        await web.add()
        sent = {**web.credentials(who), "Origin": origin.format(port=web.port)}
        assert await web.handshake(f"/{MINE}_dask/ws", sent) == 403
        assert web.upstream.seen == []

    async def test_ones_own_page(self, web: Web) -> None:
        await web.add()
        own = {"Origin": web.url}
        for method, path, send in CHANGES:
            assert (await web.ask(method, path, "session", headers=own, **send)).status < 400
        await web.add("cluster-second")
        sent = {**web.credentials("session"), **own}
        assert await web.handshake("/cluster-second_dask/ws", sent) == 101

    async def test_another_sites_page_reads_nothing(self, web: Web) -> None:
        await web.add()
        for path in ASKED:
            if not path.endswith("/events"):
                answer = await web.ask("GET", path, "session", headers={"Origin": "http://evil.com"})
                assert not [name for name in answer.headers if name.lower().startswith("access-control")]

    async def test_no_preflight_is_granted(self, web: Web) -> None:
        asked = {"Origin": "http://evil.com", "Access-Control-Request-Method": "DELETE"}
        answer: Answer = await web.ask("OPTIONS", f"/api/workspaces/{MINE}", "nobody", headers=asked)
        assert answer.status >= 400
        assert "Access-Control-Allow-Origin" not in answer.headers

    async def test_a_page_in_a_file_signs_in_by_the_code(self, web: Web) -> None:
        sent = {"Origin": "null"}
        answer = await web.ask("POST", "/sign-in", "nobody", headers=sent, xsrf=None, data={"code": CODE})
        assert (answer.status, answer.location) == (303, "/")
