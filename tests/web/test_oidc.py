"""Signing in at a real provider, by requests alone: who comes out of it, and what is not believed."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import aiohttp
import pytest
from authlib.common.errors import AuthlibBaseError
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey, RSAKey

from hub.errors import ConfigurationError
from hub.web.oidc import OidcSignIn, read_oidc
from tests.builders import HUB_KEY
from tests.dex import CLIENT, PASSWORD, SECRET, SETTINGS, provider
from tests.web.serving import COOKIE_SECRET, TOKEN, XSRF, Answer, Web, serving

ADA, GRACE, ROOT = "ada@example.org", "grace@example.org", "root@example.org"


def way(issuer: str, secret: str = SECRET, **settings: Any) -> OidcSignIn:
    return OidcSignIn(
        TOKEN, COOKIE_SECRET, HUB_KEY, read_oidc({"issuer": issuer, **SETTINGS, **settings}), secret
    )


@asynccontextmanager
async def signing(directory: Path, **given: Any) -> AsyncIterator[tuple[Web, Any]]:
    """A web tier whose people sign in at a provider, and that provider."""
    async with serving(directory) as web:
        with provider([f"{web.url}/sign-in/back"], **given) as dex:
            web.change_site(sign_in=way(dex.issuer))
            yield web, dex


@pytest.fixture
async def web(tmp_path: Path) -> AsyncIterator[Web]:
    async with signing(tmp_path) as (web, _):
        yield web


class Visitor:
    """A browser without scripts, with cookies of its own."""

    def __init__(self, web: Web) -> None:
        self.web = web
        self.cookies: dict[str, str] = {}

    async def ask(self, path: str) -> Answer:
        """Open a page of the hub."""
        sent = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        answer = await self.web.ask("GET", path, "nobody", headers=sent)
        for cookie in answer.headers.getall("Set-Cookie", ()):
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value
        return answer

    async def at_provider(self, address: str, login: str = ADA) -> str:
        """Sign in at the provider. Returns the path and query that it leads back to."""
        async with aiohttp.ClientSession() as session:
            async with session.get(address) as page:
                form = re.search(r'action="([^"]+)"', await page.text())
                assert form, await page.text()
                target = urljoin(str(page.url), unescape(form[1]))
            data = {"login": login, "password": PASSWORD}
            async with session.post(target, data=data, allow_redirects=False) as answer:
                location = answer.headers["Location"]
        parts = urlsplit(location)
        return f"{parts.path}?{parts.query}"

    async def sign_in(self, login: str = ADA, wanted: str = "/") -> Answer:
        """All of it. Returns the hub's last answer."""
        begun = await self.ask(f"/sign-in/begin?next={wanted}")
        return await self.ask(await self.at_provider(begun.location, login))

    async def me(self) -> dict[str, Any]:
        """The workspace that one gets, which tells who one is."""
        sent = {"Cookie": f"podium-session={self.cookies['podium-session']}; podium-xsrf={XSRF}"}
        answer = await self.web.ask(
            "POST", "/api/workspaces", "nobody", headers=sent, json={"spec": {"profile": "notebook"}}
        )
        spec: dict[str, Any] = answer.json["spec"]
        return spec


class TestWho:
    async def test_comes_in_by_name(self, web: Web) -> None:
        ada = Visitor(web)
        answer = await ada.sign_in(wanted="/?a=b")
        assert (answer.status, answer.location) == (303, "/?a=b")
        home = await ada.ask("/")
        assert "Ada Lovelace" in home.text

    async def test_is_issuer_and_subject_wherever_they_come_from(self, web: Web) -> None:
        here, there, grace = Visitor(web), Visitor(web), Visitor(web)
        await here.sign_in()
        await there.sign_in()
        await grace.sign_in(GRACE)
        owners = [(await visitor.me())["owner"] for visitor in (here, there, grace)]
        assert owners[0] == owners[1] != owners[2]
        assert re.fullmatch("oidc-[0-9a-f]{16}", owners[0])

    @pytest.mark.parametrize(("login", "status"), [(ADA, 403), (GRACE, 200), (ROOT, 200)])
    async def test_teaches_by_their_groups(self, web: Web, login: str, status: int) -> None:
        visitor = Visitor(web)
        await visitor.sign_in(login)
        assert (await visitor.ask("/api/room")).status == status

    async def test_of_another_issuer_is_somebody_else(self) -> None:
        one, other = way("https://a.example.org"), way("https://b.example.org")
        claims = {"sub": "1", "name": "Ada"}
        first = one.person({**claims, "iss": "https://a.example.org"})
        second = other.person({**claims, "iss": "https://b.example.org"})
        assert first.name != second.name

    @pytest.mark.parametrize(
        ("claims", "shown"),
        [
            ({"name": " Ada\u202e "}, "Ada"),
            ({"name": "", "preferred_username": "ada"}, "ada"),
            ({"name": "A" * 100, "email": "a@example.org"}, "a@example.org"),
            ({"name": {"first": 1}}, "{'first': 1}"),
            ({}, ""),
        ],
    )
    async def test_is_called_what_can_be_shown(self, claims: dict[str, Any], shown: str) -> None:
        person = way("https://a.example.org").person({"iss": "i", "sub": "s", **claims})
        assert person.display_name == shown

    @pytest.mark.parametrize(
        ("groups", "role"),
        [
            (None, "attendee"),
            ([], "attendee"),
            ("teachers", "instructor"),
            (["x", "teachers"], "instructor"),
            (["teachers", "admins"], "operator"),
            ({"teachers": True}, "attendee"),
            ("teachers,admins", "attendee"),
        ],
    )
    async def test_may_what_their_groups_may(self, groups: object, role: str) -> None:
        person = way("https://a.example.org").person({"iss": "i", "sub": "s", "groups": groups})
        assert person.role == role


class TestRefused:
    async def test_a_state_of_another_browser(self, web: Web) -> None:
        ada, eve = Visitor(web), Visitor(web)
        begun = await eve.ask("/sign-in/begin")
        await ada.ask("/sign-in/begin")
        back = await eve.at_provider(begun.location)
        answer = await ada.ask(back)
        assert answer.status == 400
        assert "This sign-in was begun elsewhere, or too long ago." in answer.text
        assert "podium-session" not in ada.cookies

    async def test_a_way_back_that_was_never_begun(self, web: Web) -> None:
        for query in ("", "?code=a", "?code=a&state=", "?state=b&code=a"):
            visitor = Visitor(web)
            assert (await visitor.ask(f"/sign-in/back{query}")).status == 400
            assert "podium-session" not in visitor.cookies

    async def test_a_way_back_that_was_gone_before(self, web: Web) -> None:
        ada = Visitor(web)
        begun = await ada.ask("/sign-in/begin")
        kept = dict(ada.cookies)
        back = await ada.at_provider(begun.location)
        assert (await ada.ask(back)).status == 303
        assert (await ada.ask(back)).status == 400
        ada.cookies = kept
        assert (await ada.ask(back)).status == 403, "the provider takes a code once"

    async def test_a_code_of_somebody_elses_flow(self, web: Web) -> None:
        ada, eve = Visitor(web), Visitor(web)
        theirs = await eve.at_provider((await eve.ask("/sign-in/begin")).location)
        mine = await ada.ask("/sign-in/begin")
        (state,) = parse_qs(urlsplit(mine.location).query)["state"]
        (code,) = parse_qs(urlsplit(theirs).query)["code"]
        answer = await ada.ask(f"/sign-in/back?state={state}&code={code}")
        assert answer.status == 403, "the verifier is another one"
        assert "podium-session" not in ada.cookies

    async def test_who_the_provider_did_not_let_in(self, web: Web) -> None:
        ada = Visitor(web)
        begun = await ada.ask("/sign-in/begin")
        (state,) = parse_qs(urlsplit(begun.location).query)["state"]
        answer = await ada.ask(f"/sign-in/back?state={state}&error=access_denied")
        assert answer.status == 403
        assert "The sign-in service did not let you in." in answer.text

    async def test_a_token_that_is_too_old(self, tmp_path: Path) -> None:
        async with signing(tmp_path, seconds=-3600) as (web, _):
            answer = await Visitor(web).sign_in()
            assert answer.status == 403
            assert "The sign-in service&#x27;s answer cannot be believed." in answer.text

    async def test_a_hub_that_the_provider_does_not_know(self, web: Web) -> None:
        issuer = web.site.sign_in.settings.issuer
        web.change_site(sign_in=way(issuer, secret="another"))
        answer = await Visitor(web).sign_in()
        assert answer.status == 403
        assert "The sign-in service does not know of this sign-in." in answer.text


class TestAway:
    async def test_before_somebody_goes_there(self, tmp_path: Path) -> None:
        async with signing(tmp_path) as (web, dex):
            dex.process.kill()
            dex.process.wait()
            answer = await Visitor(web).ask("/sign-in/begin")
            assert answer.status == 503
            assert "The sign-in service does not answer now." in answer.text
            assert "<h1>Sign in</h1>" in answer.text

    async def test_when_somebody_comes_back(self, tmp_path: Path) -> None:
        async with signing(tmp_path) as (web, dex):
            ada = Visitor(web)
            back = await ada.at_provider((await ada.ask("/sign-in/begin")).location)
            dex.process.kill()
            dex.process.wait()
            answer = await ada.ask(back)
            assert answer.status == 503
            assert "podium-session" not in ada.cookies

    @pytest.mark.parametrize(
        "said", [b"", b"{", b"[]", b"null", b'{"issuer": "http://evil.example"}', b"\xff" * 10_000]
    )
    async def test_one_that_says_nonsense(self, web: Web, said: bytes) -> None:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + said)
            await writer.drain()
            writer.close()

        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            web.change_site(sign_in=way(f"http://127.0.0.1:{port}"))
            refused = await Visitor(web).ask("/sign-in/begin")
        assert refused.status in (403, 503)


class TestFlow:
    async def test_asks_for_a_code_with_pkce_and_a_nonce(self, web: Web) -> None:
        begun = await Visitor(web).ask("/sign-in/begin")
        asked = parse_qs(urlsplit(begun.location).query)
        assert asked["response_type"] == ["code"]
        assert asked["code_challenge_method"] == ["S256"]
        assert len(asked["nonce"][0]) == 64
        assert asked["redirect_uri"] == [f"{web.url}/sign-in/back"]
        assert asked["client_id"] == [CLIENT]

    async def test_keeps_no_secret_in_the_browser(self, web: Web) -> None:
        begun = await Visitor(web).ask("/sign-in/begin")
        cookie = begun.cookie("podium-oidc")
        assert cookie
        asked = parse_qs(urlsplit(begun.location).query)
        assert asked["nonce"][0] not in cookie
        parts = {part.strip().lower() for part in cookie.split(";")[1:]}
        assert {"httponly", "samesite=lax", "path=/sign-in"} <= parts

    @pytest.mark.parametrize("aside", ["//evil.example", "https://evil.example", "/\\evil.example"])
    async def test_leads_nowhere_else(self, web: Web, aside: str) -> None:
        assert (await Visitor(web).sign_in(wanted=aside)).location == "/"

    async def test_is_not_there_where_people_sign_in_otherwise(self, tmp_path: Path) -> None:
        async with serving(tmp_path) as web:
            for path in ("/sign-in/begin", "/sign-in/back?code=a&state=b", "/join"):
                assert (await web.ask("GET", path, "nobody")).status == 404


class TestToken:
    """An ID token that something else than the provider made, or for somebody else."""

    KEY = RSAKey.generate_key(2048, {"kid": "1"}, private=True)
    OTHER = RSAKey.generate_key(2048, {"kid": "1"}, private=True)
    ISSUER = "https://a.example.org"
    METADATA = {"id_token_signing_alg_values_supported": ["none", "HS256", "RS256"]}

    def claims(self, key: Any = None, alg: str = "RS256", **changes: Any) -> dict[str, Any]:
        """What comes of a token with changed claims."""
        now = int(time.time())
        claims = {"iss": self.ISSUER, "sub": "1", "aud": CLIENT, "iat": now, "exp": now + 60, "nonce": "n"}
        claims = {name: value for name, value in {**claims, **changes}.items() if value is not None}
        token = jwt.encode({"alg": alg, "kid": "1"}, claims, key or self.KEY, algorithms=[alg])
        keys = {"keys": [self.KEY.as_dict(private=False)]}
        found = way(self.ISSUER)._claims({"id_token": token}, keys, self.METADATA, "n")
        return dict(found)

    def test_that_is_right(self) -> None:
        assert self.claims()["sub"] == "1"
        assert self.claims(aud=[CLIENT])["sub"] == "1"

    @pytest.mark.parametrize(
        "changes",
        [
            {"iss": "https://b.example.org"},
            {"iss": None},
            {"aud": "another"},
            {"aud": None},
            {"aud": [CLIENT, "another"], "azp": "another"},
            {"nonce": "m"},
            {"nonce": None},
            {"exp": 1},
            {"exp": None},
            {"sub": None},
            {"iat": int(time.time()) + 86400},
        ],
    )
    def test_with_a_claim_that_does_not_fit(self, changes: dict[str, Any]) -> None:
        with pytest.raises((JoseError, AuthlibBaseError, ValueError)):
            self.claims(**changes)

    def test_that_another_key_signed(self) -> None:
        with pytest.raises((JoseError, ValueError)):
            self.claims(self.OTHER)

    @pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")  # it warns of making such a token
    @pytest.mark.parametrize("alg", ["HS256", "none"])
    def test_that_no_key_of_the_providers_signed(self, alg: str) -> None:
        key = OctKey.import_key("what the client calls its secret, long enough")
        with pytest.raises((JoseError, ValueError)):
            self.claims(key, alg)

    def test_from_a_clock_that_is_ten_minutes_off_is_believed(self) -> None:
        now = int(time.time())
        assert self.claims(iat=now + 590, exp=now + 650)["sub"] == "1"
        assert self.claims(iat=now - 650, exp=now - 590)["sub"] == "1"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "Podium.oidc"),
        ({"issuer": "example.org", "client_id": "a"}, "Podium.oidc, issuer"),
        ({"issuer": "https://a.example.org", "client_id": ""}, "Podium.oidc, client_id"),
        ({"issuer": "https://a.example.org", "client_id": "a", "groups": "x"}, "groups"),
    ],
)
def test_settings_that_do_not_fit_are_named(given: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        read_oidc(given)
