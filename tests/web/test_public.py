"""A web tier that is found at an address of its own, behind something that ends TLS or not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hub.configuration import Secrets
from hub.web.auth import Mode
from hub.wiring import Addresses, Setup
from tests.builders import HUB_KEY
from tests.test_address import ANY, HTTPS, OWN
from tests.web.serving import CODE, MINE, OTHER, SCALE, Web, serving


@pytest.fixture
async def public(tmp_path: Path) -> AsyncIterator[Web]:
    """A web tier behind something that ends TLS."""
    async with serving(tmp_path, address=HTTPS) as web:
        yield web


@pytest.fixture
async def anywhere(tmp_path: Path) -> AsyncIterator[Web]:
    """A web tier that answers to any name."""
    async with serving(tmp_path, address=ANY) as web:
        yield web


def from_page(origin: str, host: str = OWN) -> dict[str, str]:
    return {"Host": host, "Origin": origin}


async def change(web: Web, sent: dict[str, str]) -> int:
    """The status of a page's change."""
    answer = await web.ask("PATCH", f"/api/workspaces/{MINE}", "session", headers=sent, **SCALE)
    return answer.status


async def shake(web: Web, sent: dict[str, str]) -> int:
    """The status of a page's WebSocket."""
    return await web.handshake(f"/{MINE}_dask/ws", {**web.credentials("session"), **sent})


@pytest.mark.parametrize("ask", [change, shake])
async def test_a_page_of_the_public_address_is_ones_own(public: Web, ask) -> None:
    await public.add()
    assert await ask(public, from_page(f"https://{OWN}")) in (101, 200)
    assert await ask(public, from_page(f"http://{OWN}")) == 403
    assert await ask(public, from_page("https://evil.com")) == 403
    assert await ask(public, from_page(f"https://{OWN}", "evil.com")) == 403
    assert await ask(public, from_page(public.url, f"127.0.0.1:{public.port}")) == 403


@pytest.mark.parametrize("ask", [change, shake])
async def test_a_page_of_whatever_name_was_asked_is_ones_own(anywhere: Web, ask) -> None:
    await anywhere.add()
    for scheme in ("http", "https"):
        assert await ask(anywhere, from_page(f"{scheme}://{OWN}")) in (101, 200)
        assert await ask(anywhere, from_page(f"{scheme}://elsewhere.org", "elsewhere.org")) in (101, 200)
    assert await ask(anywhere, from_page("https://evil.com")) == 403
    assert await ask(anywhere, from_page("null")) == 403


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/sign-in", "podium-xsrf"),
        ("/sign-in", "podium-session"),
        (f"/workspaces/{MINE}/open", "podium-notebook"),
    ],
)
async def test_cookies_are_for_tls_alone_where_the_address_says_so(
    public: Web, anywhere: Web, path: str, name: str
) -> None:
    for web, secure in ((public, True), (anywhere, False)):
        if await web.store.get(MINE) is None:
            await web.add()
        host = {"Host": OWN}
        if name == "podium-session":
            answer = await web.ask("POST", path, "nobody", headers=host, data={"code": CODE})
        else:
            who = "nobody" if path == "/sign-in" else "session"
            cookies = {} if name != "podium-xsrf" else {"Cookie": ""}
            answer = await web.ask("GET", path, who, headers={**host, **cookies})
        cookie = answer.cookie(name)
        assert cookie is not None
        assert ("secure" in [part.strip().lower() for part in cookie.split(";")]) is secure


async def test_redirects_lead_to_no_host(public: Web) -> None:
    await public.add()
    await public.add("cluster-theirs", owner=OTHER)
    for path in (f"/workspaces/{MINE}/open", f"/{MINE}_dask", f"/{MINE}/lab"):
        answer = await public.ask("GET", path, "session", headers={"Host": OWN})
        assert answer.status == 302
        assert answer.location.startswith("/")
        assert not answer.location.startswith("//")


@pytest.mark.parametrize(
    ("mode", "ip", "url", "host", "answered"),
    [
        ("local", "127.0.0.1", "", "localhost:8000", True),
        ("local", "127.0.0.1", f"https://{OWN}", OWN, False),  # one person, from the machine it is on
        ("guest", "127.0.0.1", "", "localhost:8000", True),
        ("guest", "127.0.0.1", "", OWN, False),  # nobody else can reach it, but for a name that leads here
        ("guest", "127.0.0.1", f"https://{OWN}", OWN, True),
        ("guest", "0.0.0.0", "", OWN, True),
        ("guest", "0.0.0.0", f"https://{OWN}", OWN, True),
        ("guest", "0.0.0.0", f"https://{OWN}", "localhost", False),
    ],
)
def test_who_is_answered_follows_from_the_settings(
    mode: Mode, ip: str, url: str, host: str, answered: bool
) -> None:
    nobody = dict.fromkeys(("port", "web_port", "metrics_port"), 1) | dict.fromkeys(
        ("web", "proxy", "proxy_api", "proxy_service"), ""
    )
    addresses = Addresses(ip=ip, public_url=url, **nobody)
    setup = Setup(Secrets(HUB_KEY, "", ""), None, {}, addresses, mode)
    assert setup.address.host_allowed(host) is answered
