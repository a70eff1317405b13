"""Joining a class by code and name, coming back, teaching it, and guessing codes."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import tornado.web

from hub.room import Ended, RoomStatus
from hub.store.base import amend, amend_status
from hub.web.auth import Person, derive
from hub.web.base import PACE
from hub.web.class_sign_in import ClassSignIn
from hub.web.confinement import confinement
from hub.web.sign_in import WRONG
from hub.wire import replace
from tests.builders import HUB_KEY
from tests.web.serving import COOKIE_SECRET, MINE, TOKEN, Answer, Web, serving, session_cookie, xsrf_cookie

PASSWORD = "correct horse battery"
WAY = ClassSignIn(TOKEN, COOKIE_SECRET, HUB_KEY, PASSWORD)
CODE = WAY.invitation(0).code
SECRET = WAY.invitation(0).secret
LAUNCH = {"spec": {"profile": "notebook"}}


@pytest.fixture
async def course(tmp_path: Path) -> AsyncIterator[Web]:
    """A web tier of a class."""
    async with serving(tmp_path) as web:
        web.change_site(sign_in=WAY)
        yield web


async def send(web: Web, path: str, **form: str) -> Answer:
    return await web.ask("POST", path, "nobody", data=form)


def cookies(answer: Answer) -> dict[str, str]:
    """What a browser sends that got this answer."""
    cookie = answer.cookie("podium-session")
    assert cookie
    return {"Cookie": f"{cookie.partition(';')[0]}; {xsrf_cookie()}"}


async def who(web: Web, answer: Answer) -> str:
    """The identity of somebody who was let in: the owner of what they launch."""
    sent = cookies(answer)
    made = await web.ask("POST", "/api/workspaces", "nobody", headers=sent, json=LAUNCH)
    assert made.status in (200, 201)
    return str(made.json["spec"]["owner"])


class TestJoin:
    @pytest.mark.parametrize("code", [CODE, CODE.upper(), CODE.replace("-", " "), SECRET[:8], SECRET])
    async def test_with_the_code_and_a_name(self, course: Web, code: str) -> None:
        answer = await send(course, "/join", code=code, name="Ada")
        assert (answer.status, answer.location) == (303, "/")
        home = await course.ask("GET", "/", "nobody", headers=cookies(answer))
        assert home.status == 200
        assert "Ada" in home.text

    async def test_everybody_is_somebody_new(self, course: Web) -> None:
        one, other = [await send(course, "/join", code=CODE, name="Ada") for _ in range(2)]
        assert await who(course, one) != await who(course, other)

    @pytest.mark.parametrize("code", ["", " ", "-", "abcd-efgh", SECRET[:-1], SECRET + "a", CODE[:-1], TOKEN])
    async def test_with_another_code(self, course: Web, code: str) -> None:
        answer = await send(course, "/join", code=code, name="Ada")
        assert answer.status == 401
        assert "That is not the join code." in answer.text
        assert answer.cookie("podium-session") is None

    @pytest.mark.parametrize(
        ("name", "problem"),
        [
            ("", "name: please say your name."),
            (" \t\u200b\u202e ", "name: please say your name."),
            ("A" * 65, "name: it is longer than 64 characters."),
            ("😀" * 10_000, "name: it is longer than 64 characters."),
        ],
    )
    async def test_with_a_name_that_is_none(self, course: Web, name: str, problem: str) -> None:
        answer = await send(course, "/join", code=CODE, name=name)
        assert answer.status == 400
        assert problem in answer.text
        assert answer.cookie("podium-session") is None

    @pytest.mark.parametrize("name", ["<b onmouseover=alert(1)>", "عَلِيّ", "👩‍🏫 Grace", 'O\'Neil & "Söhne"'])
    async def test_a_name_is_text_wherever_it_is_shown(self, course: Web, name: str) -> None:
        answer = await send(course, "/join", code=CODE, name=name)
        assert answer.status == 303
        home = await course.ask("GET", "/", "nobody", headers=cookies(answer))
        assert "<b onmouseover" not in home.text
        again = await send(course, "/join", code="wrong", name=name)
        assert "<b onmouseover" not in again.text

    async def test_when_the_code_was_changed(self, course: Web) -> None:
        await amend(course.site.room, lambda room: replace(room, spec=replace(room.spec, code=1)))
        assert (await send(course, "/join", code=CODE, name="Ada")).status == 401
        assert (await send(course, "/join", code=SECRET, name="Ada")).status == 401
        assert (await send(course, "/join", code=WAY.invitation(1).code, name="Ada")).status == 303

    async def test_when_the_class_is_closed(self, course: Web) -> None:
        await amend(course.site.room, lambda room: replace(room, spec=replace(room.spec, open=False)))
        answer = await send(course, "/join", code=SECRET, name="Ada")
        assert answer.status == 403
        assert "The class is closed to newcomers." in answer.text

    async def test_who_is_in_already_goes_home(self, course: Web) -> None:
        joined = await send(course, "/join", code=CODE, name="Ada")
        answer = await course.ask("GET", "/join", "nobody", headers=cookies(joined))
        assert (answer.status, answer.location) == (302, "/")

    async def test_a_page_of_another_origin_cannot_join_for_anybody(self, course: Web) -> None:
        sent = {"Origin": "http://evil.example"}
        answer = await course.ask("POST", "/join", "nobody", headers=sent, data={"code": CODE, "name": "Ada"})
        assert answer.status == 403

    async def test_the_wish_to_go_somewhere_is_kept(self, course: Web) -> None:
        page = await course.ask("GET", "/sign-in?next=/workspaces/cluster-mine00", "nobody")
        assert 'name="next" value="/workspaces/cluster-mine00"' in page.text
        answer = await send(course, "/join", code=CODE, name="Ada", next="//evil.example")
        assert answer.location == "/"


class TestGuessing:
    async def test_wrong_codes_are_slowed_down_and_the_link_never_is(self, course: Web) -> None:
        burst = WRONG["join"].burst
        statuses = [
            (await send(course, "/join", code=f"{number:08}", name="Eve")).status
            for number in range(2 * burst)
        ]
        assert statuses[:burst] == [401] * burst
        assert 429 in statuses[burst:]
        assert (await send(course, "/join", code=SECRET, name="Ada")).status == 303

    async def test_a_right_code_shows_nothing_while_wrong_ones_are_slowed_down(self, course: Web) -> None:
        limit = course.application.settings["wrong_codes"]["join"]
        for _ in range(1000):
            limit.take("0", 1e12)
        limit._levels["0"] = (-1e9, 0.0)  # for the rest of the test
        right = await send(course, "/join", code=CODE, name="Eve")
        wrong = await send(course, "/join", code="wrong", name="Eve")
        assert right.status == wrong.status == 429
        assert int(right.headers["Retry-After"]) > 0
        assert "Too many wrong codes were tried." in right.text

    async def test_the_password_is_not_guessed_either(self, course: Web) -> None:
        burst = WRONG["instructor"].burst
        statuses = [
            (await send(course, "/sign-in/instructor", password=str(n), name="Eve")).status
            for n in range(burst + 2)
        ]
        assert statuses[:burst] == [401] * burst
        assert statuses[-1] == 429

    async def test_a_return_code_is_guessed_for_one_name_at_a_time(self, course: Web) -> None:
        await course.add(owner="class-1", spec={"display_name": "Ada"})
        await course.add("cluster-theirs", owner="class-2", spec={"display_name": "Bob"})
        statuses = [
            (await send(course, "/return", code=str(n), name="Ada")).status
            for n in range(WRONG["return"].burst + 2)
        ]
        assert statuses[-1] == 429
        person = await send(course, "/return", code=return_code("class-2"), name="Bob")
        assert person.status == 303


def return_code(owner: str) -> str:
    """What somebody was told to keep."""
    return WAY.return_code(Person(owner))


class TestReturn:
    async def test_to_a_workspace_that_runs(self, course: Web) -> None:
        await course.add(owner="class-1", spec={"display_name": "Ada"})
        answer = await send(course, "/return", name=" ADA ", code=return_code("class-1").upper())
        assert answer.status == 303
        page = await course.ask("GET", f"/workspaces/{MINE}", "nobody", headers=cookies(answer))
        assert page.status == 200
        assert return_code("class-1") in page.text

    async def test_to_the_files_of_one_that_has_ended(self, course: Web) -> None:
        now = datetime.now(UTC)
        ended = Ended(
            name=MINE, uid="u", owner="class-1", display_name="Ada", profile="p", launched=now, ended=now
        )
        await amend_status(course.site.room, lambda room: replace(room, status=RoomStatus(ended=(ended,))))
        assert (await send(course, "/return", name="Ada", code=return_code("class-1"))).status == 303

    async def test_while_the_class_is_closed(self, course: Web) -> None:
        await amend(course.site.room, lambda room: replace(room, spec=replace(room.spec, open=False)))
        await course.add(owner="class-1", spec={"display_name": "Ada"})
        assert (await send(course, "/return", name="Ada", code=return_code("class-1"))).status == 303

    @pytest.mark.parametrize(
        ("name", "owner"),
        [
            ("Bob", "class-1"),
            ("Ada", "class-2"),
            ("Ada", ""),
            ("Ada", "instructor-1"),
            ("Grace", "instructor-1"),
        ],
    )
    async def test_with_what_does_not_fit(self, course: Web, name: str, owner: str) -> None:
        await course.add(owner="class-1", spec={"display_name": "Ada"})
        await course.add("cluster-theirs", owner="instructor-1", spec={"display_name": "Grace"})
        answer = await send(course, "/return", name=name, code=return_code(owner))
        assert answer.status == 401
        assert answer.cookie("podium-session") is None


class TestInstructor:
    async def test_by_the_password(self, course: Web) -> None:
        one = await send(course, "/sign-in/instructor", password=PASSWORD, name="Grace")
        assert one.status == 303
        other = await send(course, "/sign-in/instructor", password=PASSWORD, name="grace")
        assert await who(course, one) == await who(course, other), "the same one wherever they are"

    @pytest.mark.parametrize("password", ["", PASSWORD[:-1], PASSWORD + " ", PASSWORD.upper(), TOKEN])
    async def test_by_another_one(self, course: Web, password: str) -> None:
        answer = await send(course, "/sign-in/instructor", password=password, name="Grace")
        assert answer.status == 401
        assert answer.cookie("podium-session") is None
        assert f'value="{password}"' not in answer.text or not password

    async def test_a_new_password_ends_their_sessions_and_no_others(self, course: Web) -> None:
        teacher = await send(course, "/sign-in/instructor", password=PASSWORD, name="Grace")
        attendee = await send(course, "/join", code=CODE, name="Ada")
        course.change_site(sign_in=ClassSignIn(TOKEN, COOKIE_SECRET, HUB_KEY, "another password"))
        assert (await course.ask("GET", "/api/workspaces", "nobody", headers=cookies(teacher))).status == 401
        assert (await course.ask("GET", "/api/workspaces", "nobody", headers=cookies(attendee))).status == 200

    async def test_sees_the_workspaces_of_others_and_opens_no_notebook(self, course: Web) -> None:
        await course.add(owner="class-1", spec={"display_name": "Ada"})
        teacher = cookies(await send(course, "/sign-in/instructor", password=PASSWORD, name="Grace"))
        attendee = cookies(await send(course, "/join", code=CODE, name="Bob"))
        for sent, status in ((teacher, 200), (attendee, 404)):
            assert (
                await course.ask("GET", f"/api/workspaces/{MINE}", "nobody", headers=sent)
            ).status == status
            assert (await course.ask("GET", f"/workspaces/{MINE}", "nobody", headers=sent)).status == status
            assert (await course.ask("GET", f"/workspaces/{MINE}/open", "nobody", headers=sent)).status == 404
            assert (await course.ask("GET", f"/{MINE}_9000/", "nobody", headers=sent)).status == 404


class TestOperator:
    async def test_opens_pages_from_the_hubs_own_machine(self, course: Web) -> None:
        answer = await send(course, "/sign-in", code=derive(HUB_KEY, "sign-in")[:16], next="/room")
        assert (answer.status, answer.location) == (303, "/room")
        assert (await course.ask("GET", "/metrics", "nobody", headers=cookies(answer))).status == 200

    @pytest.mark.parametrize("code", ["", CODE, SECRET, PASSWORD, derive(HUB_KEY, "sign-in")[:15]])
    async def test_is_nobody_with_another_code(self, course: Web, code: str) -> None:
        answer = await send(course, "/sign-in", code=code)
        assert answer.status == 401
        assert answer.cookie("podium-session") is None


class TestDashboardsOfOthers:
    """What an attendee's program answers, an instructor's browser must not be used by."""

    @pytest.fixture
    async def teacher(self, course: Web) -> dict[str, str]:
        """What an instructor sends, where somebody else has a workspace."""
        await course.add(owner="class-1", spec={"display_name": "Ada"}, clusters={"ipyparallel": None})
        return cookies(await send(course, "/sign-in/instructor", password=PASSWORD, name="Grace"))

    async def look(self, web: Web, path: str, teacher: dict[str, str], method: str = "GET") -> Answer:
        return await web.ask(method, f"/{MINE}_ipyparallel/{path}", "nobody", headers=teacher)

    async def test_are_confined_to_themselves(self, course: Web, teacher: dict[str, str]) -> None:
        for path in ("", "teapot", "packed", "nothing"):
            answer = await self.look(course, path, teacher)
            policies = answer.headers.getall("Content-Security-Policy")
            assert confinement(f"127.0.0.1:{course.port}", f"/{MINE}_ipyparallel") in policies
            assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"

    async def test_of_ones_own_are_not(self, course: Web) -> None:
        joined = cookies(await send(course, "/join", code=CODE, name="Ada"))
        made = await course.ask("POST", "/api/workspaces", "nobody", headers=joined, json=LAUNCH)
        owner = made.json["spec"]["owner"]
        await course.add(owner=owner, clusters={"ipyparallel": None})
        answer = await self.look(course, "", joined)
        assert answer.status == 200
        assert "Content-Security-Policy" not in answer.headers

    @pytest.mark.parametrize("to", ["/api/room", "../api/room", "..%2fapi", "%252e%252e/api/room"])
    async def test_lead_nowhere_else(self, course: Web, teacher: dict[str, str], to: str) -> None:
        answer = await self.look(course, f"redirect?to={to}", teacher)
        location = answer.headers.get("Location", f"/{MINE}_ipyparallel/")
        assert location.startswith((f"/{MINE}_ipyparallel/", "status"))
        assert ".." not in location
        assert "%2e" not in location.lower()

    @pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
    async def test_are_to_look_at(self, course: Web, teacher: dict[str, str], method: str) -> None:
        answer = await self.look(course, "kill", teacher, method)
        assert answer.status == 403
        assert course.upstream.seen == []

    async def test_are_opened_with_a_line_that_says_so(
        self, course: Web, teacher: dict[str, str], caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, "podium.audit")
        await self.look(course, "", {**teacher, "Sec-Fetch-Mode": "navigate"})
        await self.look(course, "", {**teacher, "Sec-Fetch-Mode": "no-cors"})
        (line,) = [vars(record) for record in caplog.records if record.name == "podium.audit"]
        assert (line["role"], line["did"], line["whom"]) == ("instructor", "open a dashboard", "class-1")


class TestPace:
    async def test_a_thousand_clicks_of_one_person_are_one_workspace(self, course: Web) -> None:
        joined = cookies(await send(course, "/join", code=CODE, name="Ada"))
        asked = [
            course.ask("POST", "/api/workspaces", "nobody", headers=joined, json=LAUNCH) for _ in range(300)
        ]
        answers = await asyncio.gather(*asked)
        statuses = [answer.status for answer in answers]
        assert statuses.count(201) == 1
        assert PACE["attendee"].burst <= len(statuses) - statuses.count(429) < 100
        refused = next(answer for answer in answers if answer.status == 429)
        assert int(refused.headers["Retry-After"]) > 0
        assert refused.message == "That was too much at once."
        assert len(await course.everything()) == 1

    async def test_nobody_waits_for_anybody_else(self, course: Web) -> None:
        ada, bob = [cookies(await send(course, "/join", code=CODE, name=name)) for name in ("Ada", "Bob")]
        limit = course.site.limits["attendee"]
        while not limit.wait((await self.me(course, ada)), asyncio.get_running_loop().time()):
            limit.take(await self.me(course, ada), asyncio.get_running_loop().time())
        for sent, status in ((ada, 429), (bob, 201)):
            asked = await course.ask("POST", "/api/workspaces", "nobody", headers=sent, json=LAUNCH)
            assert asked.status == status

    async def me(self, web: Web, sent: dict[str, str]) -> str:
        """The identity in a session."""
        value = tornado.web.decode_signed_value(
            COOKIE_SECRET, "podium-session", sent["Cookie"].partition("=")[2].partition(";")[0].strip('"')
        )
        person = WAY.by_session(value)
        assert person
        return person.name

    async def test_to_look_is_never_too_much(self, course: Web) -> None:
        joined = cookies(await send(course, "/join", code=CODE, name="Ada"))
        asked = [course.ask("GET", "/api/workspaces", "nobody", headers=joined) for _ in range(200)]
        assert {answer.status for answer in await asyncio.gather(*asked)} == {200}


class TestSession:
    async def test_ends_after_half_a_day(self, course: Web) -> None:
        cookie = (await send(course, "/join", code=CODE, name="Ada")).cookie("podium-session")
        assert cookie
        assert WAY.session_days == 0.5
        assert {"httponly", "samesite=lax"} <= {part.strip().lower() for part in cookie.split(";")}

    @pytest.mark.parametrize("value", ["ada", "guest-0123456789abcdef", "{}", '{"owner": "class-1"}'])
    async def test_of_another_way_to_sign_in_is_none(self, course: Web, value: str) -> None:
        sent = {"Cookie": session_cookie(value)}
        assert (await course.ask("GET", "/api/workspaces", "nobody", headers=sent)).status == 401

    async def test_out_again(self, course: Web) -> None:
        joined = await send(course, "/join", code=CODE, name="Ada")
        owner = await who(course, joined)
        (workspace,) = await course.everything()
        assert workspace.spec.owner == owner
        answer = await course.ask("POST", "/sign-out", "nobody", headers=cookies(joined))
        assert (answer.status, answer.location) == (303, "/sign-in")
        gone = [cookie for cookie in answer.headers.getall("Set-Cookie") if '=""' in cookie]
        assert {cookie.partition("=")[0] for cookie in gone} == {"podium-session", "podium-notebook"}
        assert any(f"Path=/{workspace.name}/" in cookie for cookie in gone)

    async def test_out_ends_what_the_session_holds_open(self, course: Web) -> None:
        joined = cookies(await send(course, "/join", code=CODE, name="Ada"))
        other = cookies(await send(course, "/join", code=CODE, name="Ada"))
        async with (
            course.browser.get(f"{course.url}/api/events", headers=joined) as mine,
            course.browser.get(f"{course.url}/api/events", headers=other) as theirs,
        ):
            await mine.content.readline()
            await theirs.content.readline()
            await course.ask("POST", "/sign-out", "nobody", headers=joined)
            await mine.content.read()  # to its end
            assert not theirs.content.at_eof()


async def test_every_try_leaves_a_line_without_what_was_typed(
    course: Web, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "podium.audit")
    await send(course, "/join", code="guess-me", name="Eve")
    joined = await send(course, "/join", code=CODE, name="Ada")
    owner = await who(course, joined)
    lines = [vars(record) for record in caplog.records if record.name == "podium.audit"]
    said = [(line["who"], line["did"], line["outcome"]) for line in lines]
    assert said == [
        ("", "join", "unauthorized"),
        (owner, "join", "done"),
        (owner, "POST /api/workspaces", "done"),
    ]
    assert "guess-me" not in json.dumps([str(line) for line in lines])
