"""Launching, changing and stopping by the API, with clicks at the same moment and a controller in between."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import hub.wire
from hub.errors import Conflict
from hub.model import Workspace
from tests.web.serving import MINE, THEIRS, Answer, Web

ALL = "/api/workspaces"


async def launch(web: Web, profile: str = "workshop", **spec: Any) -> Answer:
    return await web.ask("POST", ALL, json={"spec": {"profile": profile, **spec}})


async def patch(web: Web, name: str = MINE, **spec: Any) -> Answer:
    return await web.ask("PATCH", f"{ALL}/{name}", json={"spec": spec})


class TestLaunch:
    async def test_the_object_comes_back(self, web: Web) -> None:
        answer = await launch(web)
        made = answer.json
        name = made["metadata"]["name"]
        assert answer.status == 201
        assert answer.headers["Location"] == f"{ALL}/{name}"
        assert made["spec"]["owner"] == "ada"
        assert made["spec"]["clusters"] == {"dask": {"workers": None}, "ipyparallel": {"workers": None}}
        assert made["status"]["phase"] == "Queued"
        assert (await web.ask("GET", f"{ALL}/{name}")).json == made
        assert (await web.ask("GET", ALL)).json == {"items": [made]}

    async def test_what_is_asked_goes_before_the_profile(self, web: Web) -> None:
        material = [{"git": "https://example.org/x.git", "ref": "main", "path": "a/b"}]
        made = (await launch(web, workers=5, clusters={"spark": {"workers": 1}}, content=material)).json[
            "spec"
        ]
        assert (made["workers"], made["clusters"], made["content"]) == (
            5,
            {"spark": {"workers": 1}},
            material,
        )

    async def test_ten_clicks_at_once(self, web: Web) -> None:
        answers = await asyncio.gather(*(launch(web) for _ in range(10)))
        assert sorted(answer.status for answer in answers) == [200] * 9 + [201]
        assert len({answer.json["metadata"]["name"] for answer in answers}) == 1
        assert len(await web.everything()) == 1

    async def test_a_click_on_another_profile_leads_to_the_one_there_is(self, web: Web) -> None:
        first = (await launch(web)).json
        again = await launch(web, "notebook")
        assert (again.status, again.json) == (200, first)

    async def test_somebody_else_has_one_already(self, web: Web) -> None:
        await web.add(THEIRS, owner="bob")
        assert (await launch(web)).status == 201
        assert len(await web.everything()) == 2

    async def test_another_while_the_last_one_is_stopping(self, web: Web) -> None:
        first = (await launch(web)).json["metadata"]["name"]
        await web.ask("DELETE", f"{ALL}/{first}")
        second = await launch(web)
        assert second.status == 201
        assert second.json["metadata"]["name"] != first
        # While the first one goes, and when it has gone, there is still one for all further clicks.
        assert (await launch(web)).json["metadata"]["name"] == second.json["metadata"]["name"]
        await web.finish(first)
        again = await launch(web)
        assert (again.status, again.json["metadata"]["name"]) == (200, second.json["metadata"]["name"])

    async def test_another_after_a_failure_which_is_cleared_away(self, web: Web) -> None:
        first = (await launch(web)).json["metadata"]["name"]
        await web.report(first, phase="Failed", message="No memory.")
        second = await launch(web)
        assert second.status == 201
        assert second.json["metadata"]["name"] != first
        failed = await web.store.get(first)
        assert failed
        assert failed.deleting
        await web.finish(first)
        assert (await launch(web)).json["metadata"]["name"] == second.json["metadata"]["name"]

    async def test_again_and_again(self, web: Web) -> None:
        names = set()
        for _ in range(5):
            answer = await launch(web)
            assert answer.status == 201
            names.add(answer.json["metadata"]["name"])
            await web.ask("DELETE", f"{ALL}/{answer.json['metadata']['name']}")
        assert len(names) == 5

    async def test_ten_clicks_while_the_last_one_is_stopping(self, web: Web) -> None:
        await web.ask("DELETE", f"{ALL}/{(await launch(web)).json['metadata']['name']}")
        answers = await asyncio.gather(*(launch(web) for _ in range(10)))
        assert len({answer.json["metadata"]["name"] for answer in answers}) == 1
        assert len(await web.everything()) == 2


class TestPatch:
    """A JSON merge patch of the object (RFC 7396), of what may be changed."""

    async def test_a_number_of_its_own(self, web: Web) -> None:
        await web.add()
        answer = await patch(web, clusters={"dask": {"workers": 5}})
        assert answer.json["spec"]["clusters"] == {"dask": {"workers": 5}, "spark": {"workers": 1}}

    async def test_null_gives_the_number_up(self, web: Web) -> None:
        await web.add()
        answer = await patch(web, clusters={"spark": {"workers": None}}, workers=3)
        assert answer.json["spec"]["clusters"]["spark"] == {"workers": None}
        stored = await web.store.get(MINE)
        assert stored
        assert stored.spec.workers_of("spark") == 3

    async def test_adding_one(self, web: Web) -> None:
        await web.add()
        assert set((await patch(web, clusters={"ipyparallel": {}})).json["spec"]["clusters"]) == {
            *("dask", "spark", "ipyparallel")
        }

    async def test_removing_one(self, web: Web) -> None:
        await web.add()
        assert (await patch(web, clusters={"dask": None})).json["spec"]["clusters"] == {
            "spark": {"workers": 1}
        }
        # Twice is once.
        assert (await patch(web, clusters={"dask": None})).json["spec"]["clusters"] == {
            "spark": {"workers": 1}
        }

    async def test_nothing_but_a_sign_of_life(self, web: Web) -> None:
        before = await web.add()
        after = await patch(web)
        assert after.status == 200
        assert datetime.fromisoformat(after.json["spec"]["touched"]) > before.spec.touched
        stored = await web.store.get(MINE)
        assert stored
        assert hub.wire.replace(stored.spec, touched=before.spec.touched) == before.spec

    async def test_more_time(self, web: Web) -> None:
        await web.add()
        wanted = datetime.now(UTC) + timedelta(hours=2)
        answer = await patch(web, expires=wanted.isoformat())
        assert datetime.fromisoformat(answer.json["spec"]["expires"]) == wanted

    @pytest.mark.parametrize(
        "end", ["9999-12-31T23:59:59Z", "9999-12-31T23:59:59-23:59", "2999-01-01T00:00:00+05:30"]
    )
    async def test_more_time_than_there_is_ends_at_the_profiles_wall_time(self, web: Web, end: str) -> None:
        before = await web.add()
        earliest = datetime.now(UTC)
        answer = await patch(web, expires=end)
        until = datetime.fromisoformat(answer.json["spec"]["expires"])
        wall_time = timedelta(seconds=before.spec.settings.wall_time)
        assert earliest + wall_time <= until <= datetime.now(UTC) + wall_time

    async def test_less_time(self, web: Web) -> None:
        await web.add()
        soon = datetime.now(UTC) + timedelta(minutes=1)
        answer = await patch(web, expires=soon.isoformat())
        assert datetime.fromisoformat(answer.json["spec"]["expires"]) == soon

    @pytest.mark.parametrize("workers", [0, 8])
    async def test_the_bounds_themselves(self, web: Web, workers: int) -> None:
        await web.add()
        answer = await patch(web, workers=workers, clusters={"dask": {"workers": workers}})
        assert answer.json["spec"]["workers"] == answer.json["spec"]["clusters"]["dask"]["workers"] == workers

    async def test_just_beyond_says_the_bound(self, web: Web) -> None:
        await web.add()
        answer = await patch(web, clusters={"dask": {"workers": 9}})
        assert answer.message == "spec.clusters.dask.workers: 9 is more than 8."
        assert "workshop" in answer.json["error"]["hint"]

    async def test_the_status_stays(self, web: Web) -> None:
        await web.add(message="As it was.")
        assert (await patch(web, workers=3)).json["status"]["message"] == "As it was."

    async def test_a_new_generation_and_version(self, web: Web) -> None:
        before = (await web.add()).metadata
        after = (await patch(web, workers=3)).json["metadata"]
        assert after["generation"] == before.generation + 1
        assert int(after["resourceVersion"]) > int(before.resource_version)

    async def test_of_one_that_is_stopping(self, web: Web) -> None:
        await web.add()
        await web.store.delete(MINE)
        before = await web.everything()
        answer = await patch(web, workers=3)
        assert (answer.status, answer.json["error"]["code"]) == (409, "conflict")
        assert answer.message == "The workspace is being stopped."
        assert await web.everything() == before

    async def test_of_one_that_failed(self, web: Web) -> None:
        await web.add(phase="Failed")
        before = await web.everything()
        answer = await patch(web, workers=3)
        assert answer.status == 409
        assert answer.json["error"]["hint"] == "Dismiss it and launch again."
        assert await web.everything() == before


class TestAtOnce:
    async def test_people_and_the_controller_write_at_once(self, web: Web) -> None:
        """Nobody loses: each change is applied to what the controller reported last, and the reverse."""
        await web.add()
        changes = [patch(web, clusters={"dask": {"workers": n}}) for n in range(8)]
        reports = [web.report(message=str(n)) for n in range(20)]
        answers, _ = await asyncio.gather(asyncio.gather(*changes), asyncio.gather(*reports))
        assert [answer.status for answer in answers] == [200] * 8
        assert {answer.json["spec"]["clusters"]["dask"]["workers"] for answer in answers} == set(range(8))

    async def test_a_report_comes_between_reading_and_writing(
        self, web: Web, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await web.add()
        update, reports = web.store.update, iter(["one", "two", "three"])

        async def late(workspace: Workspace) -> Workspace:
            message = next(reports, None)
            if message is not None:
                await web.report(message=message)
            return await update(workspace)

        monkeypatch.setattr(web.store, "update", late)
        answer = await patch(web, workers=7)
        assert answer.status == 200
        assert answer.json["spec"]["workers"] == 7
        assert answer.json["status"]["message"] == "three"

    async def test_it_goes_between_reading_and_writing(
        self, web: Web, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await web.add()
        update = web.store.update

        async def late(workspace: Workspace) -> Workspace:
            monkeypatch.undo()
            await web.store.delete(MINE)
            return await update(workspace)

        monkeypatch.setattr(web.store, "update", late)
        assert (await patch(web, workers=7)).status == 409

    async def test_a_store_that_moves_all_the_time(self, web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
        await web.add()

        async def never(workspace: Workspace) -> Workspace:
            raise Conflict("The workspace was changed by something else.", "Try again.")

        monkeypatch.setattr(web.store, "update", never)
        answer = await patch(web, workers=7)
        assert (answer.status, answer.json["error"]["hint"]) == (409, "Try again.")

    async def test_another_click_is_faster(self, web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
        create = web.store.create

        async def late(workspace: Workspace) -> Workspace:
            monkeypatch.undo()
            await create(workspace)
            return await create(workspace)

        monkeypatch.setattr(web.store, "create", late)
        answer = await launch(web)
        assert answer.status == 200
        assert len(await web.everything()) == 1


class TestDelete:
    async def test_it_is_marked(self, web: Web) -> None:
        await web.add()
        answer = await web.ask("DELETE", f"{ALL}/{MINE}")
        assert answer.status == 202
        assert answer.json["metadata"]["deletionTimestamp"]
        # The controller lets it go when nothing is left of it; until then asking again is harmless.
        again = await web.ask("DELETE", f"{ALL}/{MINE}")
        assert (again.status, again.json) == (202, answer.json)
        await web.finish()
        assert (await web.ask("DELETE", f"{ALL}/{MINE}")).status == 404

    async def test_many_at_once(self, web: Web) -> None:
        await web.add()
        answers = await asyncio.gather(*(web.ask("DELETE", f"{ALL}/{MINE}") for _ in range(5)))
        assert {answer.status for answer in answers} == {202}


async def test_the_menu(web: Web) -> None:
    items = (await web.ask("GET", "/api/profiles")).json["items"]
    assert [item["name"] for item in items] == ["workshop", "notebook"]
    assert items[0]["unavailable"] == {"spark": "Spark cannot run here. There is no Java."}
    assert items[1]["unavailable"] == {}
    assert items[1]["maxWorkers"] == 4


async def test_what_nobody_expected_says_nothing_of_its_inside(
    web: Web, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken() -> list[Workspace]:
        raise OSError("disk /secret/place is full")

    monkeypatch.setattr(web.store, "list", broken)
    answer = await web.ask("GET", ALL)
    assert answer.status == 500
    assert answer.json["error"] == {
        "code": "internal-server-error",
        "message": "Internal Server Error.",
        "hint": "The hub's log says more.",
    }
    page = await web.ask("GET", "/", "session")
    assert page.status == 500
    assert "/secret/place" not in page.text
    assert "/secret/place" in caplog.text
    caplog.clear()
