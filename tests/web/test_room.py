"""The room by HTTP: what instructors see and say, the list for a spreadsheet, the invitation as a picture."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

import hub.wire
from hub.model import PREFLIGHT
from hub.room import Ended, Room
from hub.store.base import amend, amend_status
from hub.web import api
from hub.web.auth import Invitation, LocalSignIn, Person
from tests.waiting import PATIENCE, until
from tests.web.serving import CODE, COOKIE_SECRET, MINE, PERSON, THEIRS, TOKEN, Web
from tests.web.test_events import stream

ROOM = "/api/room"
GONE = Ended(
    name="cluster-gone00",
    uid="1",
    owner="eve",
    profile="workshop",
    launched=datetime(2026, 3, 1, tzinfo=UTC),
    ended=datetime(2026, 3, 2, tzinfo=UTC),
)


class WithCode(LocalSignIn):
    """A sign-in that invites."""

    def invitation(self, code: int) -> Invitation:
        return Invitation(f"code-{code:04d}", f"secret-of-{code}")


def sign_in(web: Web, role: str = "operator", kind: type[LocalSignIn] = LocalSignIn) -> None:
    """Let the one person be of a role."""
    person = Person(PERSON, "Ada Lovelace", role)  # type: ignore[arg-type]
    web.change_site(sign_in=kind(person, TOKEN, CODE, COOKIE_SECRET, web.port, web.port))


async def patch(web: Web, **spec: Any) -> Any:
    return await web.ask("PATCH", ROOM, json={"spec": spec})


class Look:
    """The room's event stream as a browser reads it.

    Args:
        content: of the answer.
    """

    def __init__(self, content: Any) -> None:
        self._content = content

    async def next(self, *kinds: str) -> Any:
        """The next event of some kinds; others are passed over."""
        while True:
            async with asyncio.timeout(PATIENCE):
                block = (await self._content.readuntil(b"\n\n")).decode()
            fields = dict(line.split(": ", 1) for line in block.strip("\n").split("\n"))
            if fields.get("event") in kinds:
                return json.loads(fields["data"])


@asynccontextmanager
async def looking(web: Web) -> AsyncIterator[Look]:
    headers = web.credentials("token")
    async with web.browser.get(f"{web.url}{ROOM}/events", headers=headers) as response:
        assert response.status == 200
        yield Look(response.content)


def names(news: Any) -> list[str]:
    return [item["metadata"]["name"] for item in news["items"]]


class TestRoom:
    async def test_is_there_before_anybody_wrote_it(self, web: Web) -> None:
        answer = await web.ask("GET", ROOM)
        assert hub.wire.convert(answer.json["room"], Room) == Room()
        assert answer.json["invitation"] is None

    async def test_is_changed_and_says_who_said_it(self, web: Web) -> None:
        sign_in(web)
        answer = await patch(web, message={"text": "Break."}, open=False)
        assert answer.status == 200
        spec = answer.json["room"]["spec"]
        assert (spec["message"]["text"], spec["message"]["by"], spec["open"]) == (
            "Break.",
            "Ada Lovelace",
            False,
        )
        assert (await web.ask("GET", ROOM)).json == answer.json

    async def test_a_new_code_is_another_invitation(self, web: Web) -> None:
        sign_in(web, kind=WithCode)
        before = (await web.ask("GET", ROOM)).json["invitation"]
        after = (await patch(web, code="new")).json["invitation"]
        assert (before["code"], after["code"]) == ("code-0000", "code-0001")
        assert after["secret"] == "secret-of-1"

    async def test_what_two_say_at_once_is_all_taken(self, web: Web) -> None:
        await asyncio.gather(*(patch(web, code="new") for _ in range(10)))
        assert (await web.ask("GET", ROOM)).json["room"]["spec"]["code"] == 10

    async def test_a_bad_change_is_refused_by_field(self, web: Web) -> None:
        answer = await patch(web, pool={"nothing": {"size": 1}})
        assert (answer.status, answer.message) == (
            400,
            "spec.pool.nothing: there is no profile 'nothing'.",
        )

    async def test_capacity_is_not_the_instructors(self, web: Web) -> None:
        sign_in(web, "instructor")
        assert (await patch(web, capacity=3)).status == 403
        assert (await patch(web, open=False)).status == 200

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("GET", ROOM),
            ("PATCH", ROOM),
            ("GET", f"{ROOM}/events"),
            ("GET", f"{ROOM}/attendees.csv"),
            ("GET", "/room"),
            ("GET", "/room/projector"),
            ("GET", "/room/invitation.svg"),
        ],
    )
    async def test_is_not_for_attendees(self, web: Web, method: str, path: str) -> None:
        sign_in(web, "attendee")
        body = {"json": {"spec": {"open": False}}} if method == "PATCH" else {}
        assert (await web.ask(method, path, **body)).status == 403
        assert (await web.site.room.get()).spec.open


class TestWorkspaces:
    async def test_an_instructor_sees_and_changes_everybodys(self, web: Web) -> None:
        sign_in(web, "instructor")
        await web.add()
        await web.add(THEIRS, owner="bob")
        await web.add("cluster-pooled", owner="")
        assert names((await web.ask("GET", "/api/workspaces")).json) == [MINE, THEIRS]
        queued_at = "2026-03-01T11:00:00Z"
        answer = await web.ask(
            "PATCH", f"/api/workspaces/{THEIRS}", json={"spec": {"queuedAt": queued_at, "workers": 3}}
        )
        assert (answer.json["spec"]["queuedAt"], answer.json["spec"]["workers"]) == (queued_at, 3)

    async def test_an_attendee_sees_their_own_and_moves_nobody_up(self, web: Web) -> None:
        sign_in(web, "attendee")
        await web.add()
        await web.add(THEIRS, owner="bob")
        assert names((await web.ask("GET", "/api/workspaces")).json) == [MINE]
        body = {"json": {"spec": {"queuedAt": "2026-03-01T11:00:00Z"}}}
        assert (await web.ask("PATCH", f"/api/workspaces/{MINE}", **body)).status == 400
        assert (await web.ask("PATCH", f"/api/workspaces/{THEIRS}", **body)).status == 404

    async def test_an_attendee_raises_a_hand(self, web: Web) -> None:
        sign_in(web, "attendee")
        await web.add()
        raised = {"json": {"spec": {"helpWanted": "2001-01-01T00:00:00Z"}}}
        up = (await web.ask("PATCH", f"/api/workspaces/{MINE}", **raised)).json["spec"]["helpWanted"]
        assert datetime.fromisoformat(up).year > 2001
        lowered = {"json": {"spec": {"helpWanted": None}}}
        down = await web.ask("PATCH", f"/api/workspaces/{MINE}", **lowered)
        assert down.json["spec"]["helpWanted"] is None


class TestStream:
    async def test_begins_with_everybody_who_has_a_seat(self, web: Web) -> None:
        await web.add()
        await web.add(THEIRS, owner="bob")
        await web.add("cluster-pooled", owner="")
        tried = await web.add("cluster-tried0", owner="preflight")
        labels = {PREFLIGHT: "yes"}
        await web.store.update(
            hub.wire.replace(tried, metadata=hub.wire.replace(tried.metadata, labels=labels))
        )
        async with looking(web) as look:
            assert names(await look.next("workspaces")) == [MINE, THEIRS]

    async def test_gathers_what_changes(self, web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in (MINE, THEIRS):
            await web.add(name)
        async with looking(web) as look:
            await look.next("room")
            for number in range(20):
                await web.report(MINE, message=str(number))
                await web.report(THEIRS, message=str(number))
            heard: list[Any] = []
            while not heard or len([item for item in heard if item["status"]["message"] == "19"]) < 2:
                heard += (await look.next("changes"))["items"]
        assert len(heard) < 40  # some of what was overtaken was never said

    async def test_tells_of_who_came_and_who_is_gone(self, web: Web) -> None:
        async with looking(web) as look:
            assert names(await look.next("workspaces")) == []
            await web.add()
            assert names(await look.next("changes")) == [MINE]
            await web.store.delete(MINE)
            assert (await look.next("changes"))["items"][0]["metadata"]["deletionTimestamp"]
            await web.finish()
            assert (await look.next("changes")) == {"items": [], "gone": [MINE]}

    async def test_a_claim_from_the_pool_is_somebody_who_came(self, web: Web) -> None:
        pooled = await web.add("cluster-pooled", owner="")
        async with looking(web) as look:
            assert names(await look.next("workspaces")) == []
            spec = hub.wire.replace(pooled.spec, owner="bob")
            await web.store.update(hub.wire.replace(pooled, spec=spec))
            assert names(await look.next("changes")) == ["cluster-pooled"]

    async def test_tells_of_the_room_but_not_of_who_left(self, web: Web) -> None:
        def end(room: Room) -> Room:
            return hub.wire.replace(room, status=hub.wire.replace(room.status, ended=(GONE,)))

        await amend_status(web.site.room, end)
        async with looking(web) as look:
            await look.next("workspaces")
            await patch(web, message={"text": "Break."})
            while (news := await look.next("room"))["room"]["spec"]["message"] is None:
                pass
            assert news["room"]["spec"]["message"]["text"] == "Break."
            assert news["room"]["status"]["ended"] == []
        assert len((await web.ask("GET", ROOM)).json["room"]["status"]["ended"]) == 1

    async def test_is_still_there_and_leaves_nobody_behind(
        self, web: Web, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(api, "KEEP_ALIVE", 0.01)
        async with looking(web) as look:
            for _ in range(3):
                assert await look.next("alive") == 0.01
            assert len(web.watcher._onlookers) == 1
        await until("nobody looks on", lambda: not web.watcher._onlookers)

    async def test_attendees_hear_what_is_said_and_nothing_else_of_the_room(self, web: Web) -> None:
        await web.add()
        async with stream(web) as events:
            await events.next()
            await patch(web, message={"text": "Break."})
            await patch(web, code="new")
            await web.report(message="news")
            assert (await events.next())[2]["status"]["message"] == "news"
            assert [said and said["text"] for said in events.said] == [None, "Break."]


class TestAttendees:
    async def rows(self, web: Web) -> list[list[str]]:
        answer = await web.ask("GET", f"{ROOM}/attendees.csv")
        assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
        assert 'filename="attendees.csv"' in answer.headers["Content-Disposition"]
        assert answer.text[0] == "\ufeff"
        return list(csv.reader(io.StringIO(answer.text[1:])))

    async def test_are_listed_by_name(self, web: Web) -> None:
        await web.add(spec={"display_name": "bob"})
        await web.add(THEIRS, owner="id-1", spec={"display_name": "Ana"}, workers=3)
        await web.add("cluster-pooled", owner="")
        head, *rows = await self.rows(web)
        assert head[:5] == ["name", "identity", "workspace", "profile", "phase"]
        assert [row[:5] for row in rows] == [
            ["Ana", "id-1", THEIRS, "workshop", "Ready"],
            ["bob", PERSON, MINE, "workshop", "Ready"],
        ]
        assert rows[0][7] == "3"

    @pytest.mark.parametrize(
        "name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", '=HYPERLINK("http://x","y")', "＝1+1"]
    )
    async def test_no_name_is_a_formula(self, web: Web, name: str) -> None:
        await web.add(spec={"display_name": name})
        _, row = await self.rows(web)
        assert row[0] == f"'{name}"

    async def test_a_name_is_one_cell_whatever_it_holds(self, web: Web) -> None:
        name = 'Ünal "Ü", محمد\n🎓'
        await web.add(spec={"display_name": name})
        _, row = await self.rows(web)
        assert row[0] == name


class TestInvitation:
    async def test_is_a_picture_of_the_link(self, web: Web) -> None:
        sign_in(web, kind=WithCode)
        answer = await web.ask("GET", f"/room/invitation.svg?origin={web.url}")
        assert (answer.status, answer.headers["Content-Type"]) == (200, "image/svg+xml")
        other = await web.ask("GET", f"/room/invitation.svg?origin={web.url}")
        assert answer.body == other.body
        await amend(web.site.room, lambda r: hub.wire.replace(r, spec=hub.wire.replace(r.spec, code=1)))
        assert (await web.ask("GET", f"/room/invitation.svg?origin={web.url}")).body != answer.body
        assert b"secret" not in answer.body

    @pytest.mark.parametrize(
        "origin", ["", "https://evil.example", "javascript:alert(1)", "http://127.0.0.1:1"]
    )
    async def test_leads_nowhere_else(self, web: Web, origin: str) -> None:
        assert (await web.ask("GET", f"/room/invitation.svg?origin={origin}")).status == 400
