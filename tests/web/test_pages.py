"""The pages: what protects them, what must never be on them, and where they lead."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from urllib.parse import unquote

import pytest

from hub.keys import Keys
from hub.model import ClusterStatus, HistoryEntry
from hub.web.pages import size
from tests.builders import HUB_KEY, NOW
from tests.web.serving import (
    CODE,
    COOKIE_SECRET,
    MINE,
    PROFILES,
    THEIRS,
    TOKEN,
    XSRF,
    Answer,
    Web,
    xsrf_cookie,
)
from tests.web.test_rights import ROWS, label

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'`&{{ 1 }}"
PAGES = [
    ("GET", "/", "session", 200),
    ("GET", f"/workspaces/{MINE}", "session", 200),
    ("GET", "/sign-in", "nobody", 200),
    ("POST", "/sign-in", "nobody", 401),
    ("GET", "/nothing", "nobody", 404),
    ("GET", f"/workspaces/{THEIRS}", "session", 404),
    ("GET", "/launch", "session", 405),
    ("POST", "/launch", "session", 400),
    ("POST", "/launch", "nobody", 401),
    ("GET", f"/{MINE}_ipyparallel/", "session", 404),
    ("GET", f"/{MINE}_9000/", "session", 404),
    ("GET", "/cluster-broken_dask/status", "session", 503),
    ("GET", "/cluster-closed_dask/status", "session", 503),
]
API = [
    ("GET", "/api/workspaces", "session", 200),
    ("GET", "/api/workspaces", "nobody", 401),
    ("GET", "/api/nothing", "session", 404),
    ("GET", "/api/openapi.json", "nobody", 200),
    ("GET", "/healthz", "nobody", 200),
    ("GET", "/metrics", "session", 200),
]


class Tags(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.attributes: list[str] = []
        self.scripts: list[dict[str, str | None]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes += [name for name, _ in attrs]
        if tag == "script":
            self.scripts.append(dict(attrs))


async def furnish(web: Web) -> None:
    """A workspace that is ready, one whose dashboard is not up, and one whose dashboard has gone."""
    await web.add()
    await web.add("cluster-broken", endpoints={})
    await web.add("cluster-closed", endpoints={"dask": "http://127.0.0.1:1"})


def fingerprint(script: str) -> str:
    """What a policy calls a script inside a page. Source: Content Security Policy Level 3."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


class TestHeaders:
    @pytest.mark.parametrize(("method", "path", "who", "status"), PAGES)
    async def test_of_a_page(self, web: Web, method: str, path: str, who: str, status: int) -> None:
        await furnish(web)
        answer = await web.ask(method, path, who)
        assert answer.status == status
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        policy = dict(
            part.strip().split(" ", 1) for part in answer.headers["Content-Security-Policy"].split(";")
        )
        assert policy["default-src"] == "'self'"
        inside = re.findall(r"<script>(.*?)</script>", answer.text, re.DOTALL)
        assert policy["script-src"].split() == ["'self'", *map(fingerprint, inside)]
        assert policy["frame-ancestors"] == policy["object-src"] == policy["base-uri"] == "'none'"
        assert policy["form-action"] == "'self'"
        self.check(answer)

    @pytest.mark.parametrize(("method", "path", "who", "status"), API)
    async def test_of_the_api(self, web: Web, method: str, path: str, who: str, status: int) -> None:
        await furnish(web)
        answer = await web.ask(method, path, who)
        assert answer.status == status
        assert "html" not in answer.headers["Content-Type"]
        self.check(answer)

    def check(self, answer: Answer) -> None:
        """What holds for everything that the hub says itself."""
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Referrer-Policy"] == "same-origin"
        assert "Server" not in answer.headers

    async def test_of_an_event_stream(self, web: Web) -> None:
        await web.add()
        path = f"{web.url}/api/workspaces/{MINE}/events"
        async with web.browser.get(path, headers=web.credentials("token")) as response:
            assert response.headers["Content-Type"] == "text/event-stream"
            assert response.headers["Cache-Control"] == "no-store"
            assert response.headers["X-Content-Type-Options"] == "nosniff"

    @pytest.mark.parametrize(
        "path",
        ["../setup.cfg", "..%2Fbase.html", "%2e%2e/base.html", "/etc/passwd", "%00", "podium.css%00.html"],
    )
    async def test_nothing_but_styles_and_scripts_is_static(self, web: Web, path: str) -> None:
        assert (await web.ask("GET", f"/static/{path}", "session")).status in (400, 403, 404)

    async def test_scripts_are_scripts(self, web: Web) -> None:
        answer = await web.ask("GET", "/static/podium.js", "nobody")
        assert answer.headers["Content-Type"].startswith(("text/javascript", "application/javascript"))
        assert answer.headers["X-Content-Type-Options"] == "nosniff"

    async def test_a_script_is_kept_under_the_address_that_its_content_has(self, web: Web) -> None:
        page = (await web.ask("GET", "/", "session")).text
        (path,) = re.findall(r'src="(/static/podium\.js\?v=[^"]+)"', page)
        kept = await web.ask("GET", path, "nobody")
        assert int(kept.headers["Cache-Control"].partition("max-age=")[2]) > 10**6

    @pytest.mark.parametrize("version", ["?v=another", "", "?v=", "?v=a&v=b"])
    async def test_and_not_under_that_of_another_version(self, web: Web, version: str) -> None:
        """During an upgrade a page of the new version may ask a process of the old one."""
        answer = await web.ask("GET", f"/static/podium.js{version}", "nobody")
        assert (answer.status, answer.headers.get("Cache-Control")) == (200, None)


class TestSecrets:
    async def secrets(self, web: Web) -> list[bytes]:
        """Whatever opens something, however it is written."""
        keys: Keys = await web.keys()
        own = [TOKEN.encode(), CODE.encode(), COOKIE_SECRET.encode(), HUB_KEY]
        raw = [keys.raw(purpose) for purpose in ("notebook", "dask", "spark", "ipyparallel", "spark-ui")]
        encoded = [
            form
            for secret in raw
            for form in (
                secret.hex().encode(),
                base64.urlsafe_b64encode(secret)[:43],
                base64.b64encode(secret)[:43],
            )
        ]
        return own + encoded

    @pytest.mark.parametrize("key", [key for key in ROWS if not key[0].endswith("/events")], ids=label)
    async def test_are_in_no_answer(self, web: Web, key: tuple[str, str]) -> None:
        await web.add()
        secrets = await self.secrets(web)
        row = ROWS[key]
        answer = await web.ask(key[1], row.path.format(name=MINE, origin=web.url), "session", **row.send)
        headers = "\n".join(
            f"{k}: {v}" for k, v in answer.headers.items() if not v.startswith("podium-notebook=")
        )
        said = unquote(headers).encode() + answer.body
        assert [secret for secret in secrets if secret in said] == []

    async def test_are_on_no_page_that_says_what_is_wrong(self, web: Web) -> None:
        await furnish(web)
        secrets = await self.secrets(web)
        for method, path, who, _ in [*PAGES, *API]:
            answer = await web.ask(method, path, who, data={"code": CODE[:-1]} if method == "POST" else None)
            assert [secret for secret in secrets if secret in answer.body] == []

    async def test_a_code_that_was_typed_is_not_shown_again(self, web: Web) -> None:
        answer = await web.ask("POST", "/sign-in", "nobody", data={"code": "mistyped-code"})
        assert "mistyped-code" not in answer.text


class TestText:
    async def test_is_text_whatever_it_holds(self, web: Web) -> None:
        """What programs wrote and repositories are called is shown, never obeyed."""
        await web.add(
            phase="Failed",
            message=HOSTILE,
            log=(HOSTILE,),
            warnings=(HOSTILE,),
            clusters={"dask": ClusterStatus(message=HOSTILE, dashboard='"><script>alert(3)</script>')},
            history=(HistoryEntry(phase="Failed", reason=HOSTILE, at=NOW),),
        )
        for path in ("/", f"/workspaces/{MINE}"):
            page = (await web.ask("GET", path, "session")).text
            assert "alert(1)" in page
            tags = Tags(page)
            assert "img" not in tags.names
            types = [attributes.get("type") for attributes in tags.scripts]
            assert set(types) == {"module", "application/json", None}
            assert types.count(None) == 1, "the one that every page has"
            assert not [name for name in tags.attributes if name.startswith("on")]
            data = re.search(
                r'<script type="application/json" id="workspace">(.*?)</script>', page, re.DOTALL
            )
            assert data
            assert json.loads(data[1])["status"]["message"] == HOSTILE

    async def test_of_an_address_is_not_repeated(self, web: Web) -> None:
        for path in (
            "/%3Cscript%3Ealert(1)%3C/script%3E",
            "/sign-in?next=%22%3E%3Cscript%3Ealert(1)%3C/script%3E",
        ):
            assert "<script>alert" not in (await web.ask("GET", path, "nobody")).text

    async def test_of_a_form_is_not_repeated(self, web: Web) -> None:
        answer = await web.ask("POST", "/launch", "session", data={"profile": "<script>alert(1)</script>"})
        assert answer.status == 400
        assert "<script>alert" not in answer.text
        assert "&lt;script&gt;" in answer.text
        assert await web.everything() == []


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (1000, "1 kB"),
        (999_499, "999 kB"),
        (999_501, "1 MB"),
        (12_345_678, "12.3 MB"),
        (5 * 10**11, "500 GB"),
        (5 * 10**12, "5 TB"),
    ],
)
def test_sizes_are_said_as_people_say_them(count: int, said: str) -> None:
    assert size(count) == said


class TestPages:
    async def test_home_shows_the_menu(self, web: Web) -> None:
        page = (await web.ask("GET", "/", "session")).text
        for name in PROFILES:
            assert f'id="profile-{name}"' in page
        assert "There is no Java." in page
        assert "Launch cluster" in page

    async def test_home_shows_the_workspace_that_lives(self, web: Web) -> None:
        await web.add("cluster-ending")
        await web.store.delete("cluster-ending")
        assert "cluster-ending" in (await web.ask("GET", "/", "session")).text
        await web.add()
        page = (await web.ask("GET", "/", "session")).text
        assert MINE in page
        assert "cluster-ending" not in page

    async def test_home_signed_in_sets_no_session_anew(self, web: Web) -> None:
        assert (await web.ask("GET", "/", "session")).cookie("podium-session") is None

    async def test_the_button_without_scripts(self, web: Web) -> None:
        answer = await web.ask("POST", "/launch", "session", data={"profile": "workshop"})
        (made,) = await web.everything()
        assert (answer.status, answer.location) == (303, f"/workspaces/{made.name}?launched=1")
        again = await web.ask("POST", "/launch", "session", data={"profile": "notebook"})
        assert again.location == answer.location

    @pytest.mark.parametrize("phase", ["Queued", "Starting", "Stopping", "Failed", "Ready"])
    async def test_a_workspace_in_every_phase(self, web: Web, phase: str) -> None:
        await web.add(phase=phase)
        for path in ("/", f"/workspaces/{MINE}"):
            page = await web.ask("GET", path, "session")
            assert page.status == 200
            assert phase in page.text

    async def test_a_workspace_whose_profile_is_no_more(self, web: Web) -> None:
        await web.add(spec={"profile": "last-year"})
        page = await web.ask("GET", f"/workspaces/{MINE}", "session")
        assert page.status == 200
        assert "last-year" in page.text

    @pytest.mark.parametrize("phase", ["Queued", "Starting", "Stopping", "Failed"])
    async def test_the_door_waits_until_the_notebook_is_ready(self, web: Web, phase: str) -> None:
        await web.add(phase=phase)
        answer = await web.ask("GET", f"/workspaces/{MINE}/open", "session")
        assert (answer.status, answer.location) == (302, f"/workspaces/{MINE}?launched=1")
        assert answer.cookie("podium-notebook") is None

    async def test_the_door_gives_the_notebooks_cookie_for_its_path_alone(self, web: Web) -> None:
        await web.add()
        answer = await web.ask("GET", f"/workspaces/{MINE}/open", "session")
        cookie = answer.cookie("podium-notebook")
        assert cookie
        value, *parts = [part.strip() for part in cookie.split(";")]
        assert value == f"podium-notebook={(await web.keys()).token('notebook')}"
        assert {"httponly", f"path=/{MINE}/", "samesite=lax"} <= {part.lower() for part in parts}
        assert answer.location == f"/{MINE}/"

    async def test_a_name_in_its_second_life_has_other_secrets(self, web: Web) -> None:
        await web.add()
        before = (await web.keys()).token("notebook")
        await web.store.delete(MINE)
        await web.finish()
        await web.add()
        assert (await web.keys()).token("notebook") != before

    async def test_every_form_carries_the_token(self, web: Web) -> None:
        sent = {"Cookie": f"{web.credentials('session')['Cookie']}; {xsrf_cookie()}"}
        for path in ("/", "/sign-in"):
            page = (await web.ask("GET", path, "nobody", headers=sent)).text
            forms = re.findall(r"<form[^>]*method=\"post\".*?</form>", page, re.DOTALL)
            assert forms
            for form in forms:
                token = re.search(r'name="_xsrf" value="([^"]+)"', form)
                assert token
                assert token[1] != XSRF  # masked anew for each page, so that compression leaks nothing
