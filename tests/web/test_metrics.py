"""What machines ask of web, and what is noted of each request."""

from __future__ import annotations

import json
import logging
from dataclasses import replace

import pytest

from hub.health import Health
from hub.logs import REQUEST, REQUEST_ID, JsonLines, about
from hub.web.auth import Person
from tests.waiting import until
from tests.web.serving import MINE, OTHER, PERSON, THEIRS, Web

OWN = "X-Request-Id"


class TestProbes:
    async def test_ready_and_alive(self, web: Web) -> None:
        for path in ("/healthz", "/readyz"):
            answer = await web.ask("GET", path, "nobody")
            assert (answer.status, answer.json) == (200, {"status": "ok"})

    async def test_not_ready(self, web: Web) -> None:
        async def never() -> None: ...

        web.change_site(health=Health(None, {"store": never}))
        answer = await web.ask("GET", "/readyz", "nobody")
        assert (answer.status, answer.json) == (503, {"status": "failing", "failing": ["store"]})
        assert (await web.ask("GET", "/healthz", "nobody")).status == 200


class TestFigures:
    async def test_requests_are_counted(self, web: Web) -> None:
        await web.ask("GET", "/api/profiles")
        await web.ask("GET", "/api/nothing")
        lines = (await web.ask("GET", "/metrics")).text.splitlines()
        assert 'podium_http_requests_total{method="GET",status="200"} 1.0' in lines
        assert 'podium_http_requests_total{method="GET",status="404"} 1.0' in lines
        assert 'podium_http_request_duration_seconds_count{handler="ProfilesHandler"} 1.0' in lines

    async def test_an_answer_that_lasts_is_counted_but_not_timed(self, web: Web) -> None:
        await web.add()
        url = f"{web.url}/api/workspaces/{MINE}/events"
        async with web.browser.get(url, headers=web.credentials("token")) as stream:
            await stream.content.readline()

        async def counted() -> bytes | None:
            page = await web.site.metrics.figures.page()
            return page if b'podium_http_requests_total{method="GET",status="200"} 1.0' in page else None

        assert b"EventsHandler" not in (await until("it is counted", counted) or b"")


class TestRequestIds:
    async def test_one_that_is_sent_is_answered(self, web: Web) -> None:
        answer = await web.ask("GET", "/api/profiles", headers={OWN: "my-id.7"})
        assert answer.headers.getall(OWN) == ["my-id.7"]

    @pytest.mark.parametrize("sent", ["", "x" * 65, "a b", "<script>"])
    async def test_another_is_made_else(self, web: Web, sent: str) -> None:
        answers = [await web.ask("GET", "/api/profiles", headers={OWN: sent}) for _ in range(2)]
        made = [answer.headers[OWN] for answer in answers]
        assert sent not in made
        assert made[0] != made[1]
        assert all(REQUEST_ID.fullmatch(each) for each in made)

    @pytest.mark.parametrize(("method", "path"), [("GET", "/"), ("GET", "/nothing"), ("POST", "/launch")])
    async def test_pages_and_refusals_have_one(self, web: Web, method: str, path: str) -> None:
        answer = await web.ask(method, path, "nobody", headers={OWN: "my-id"}, xsrf=None)
        assert answer.headers.getall(OWN) == ["my-id"]

    async def test_it_goes_on_to_what_is_relayed_to_and_comes_back_once(self, web: Web) -> None:
        await web.add()
        answer = await web.ask("GET", f"/{MINE}_dask/status", headers={OWN: "my-id"})
        assert answer.status == 200
        assert answer.headers.getall(OWN) == ["my-id"]
        [seen] = web.upstream.seen
        assert seen.headers.getall(OWN) == ["my-id"]

    async def test_it_is_known_to_all_that_a_handler_calls(
        self, web: Web, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        known = []

        async def listed() -> list[object]:
            known.append(REQUEST.get())
            return []

        monkeypatch.setattr(web.store, "list", listed)
        for sent in ("first", "second"):
            await web.ask("GET", "/api/workspaces", headers={OWN: sent})
        assert known == ["first", "second"]


class TestAccessLog:
    async def test_a_line_without_the_query(self, web: Web, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG, "podium.access")
        await web.ask("GET", "/api/profiles?token=secret", headers={OWN: "my-id"})
        [record] = [r for r in caplog.records if r.name == "podium.access"]
        assert record.levelno == logging.DEBUG
        assert about(record)
        told = json.loads(JsonLines().format(record))
        assert told.pop("ms") >= 0
        assert "secret" not in record.getMessage()
        assert record.getMessage().startswith("GET /api/profiles 200 ")
        wanted = {"method": "GET", "path": "/api/profiles", "status": 200, "request": "my-id"}
        assert wanted.items() <= told.items()

    async def test_of_a_workspace(
        self, web: Web, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        caplog.set_level(logging.DEBUG, "podium.access")
        monkeypatch.setattr(caplog.handler, "filters", [about])
        attendee = replace(web.site.sign_in, person=Person(PERSON))
        web.change_site(sign_in=attendee)
        await web.add()
        await web.add(THEIRS, OTHER)
        for name in (MINE, THEIRS):
            await web.ask("GET", f"/api/workspaces/{name}")
        mine, theirs = [r for r in caplog.records if r.name == "podium.access"]
        assert mine.__dict__["workspace"] == MINE
        assert "workspace" not in theirs.__dict__, "it is not this person's to name"

    async def test_a_long_path_makes_no_long_line(self, web: Web, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG, "podium.access")
        await web.ask("GET", "/" + "x" * 5000)
        [record] = [r for r in caplog.records if r.name == "podium.access"]
        assert len(record.getMessage()) < 300

    async def test_a_failure_is_a_warning(self, web: Web, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.WARNING, "podium.access")
        await web.add(endpoints={})
        answer = await web.ask("GET", f"/{MINE}_dask/status")
        assert answer.status == 503
        [record] = [r for r in caplog.records if r.name == "podium.access"]
        assert record.levelno == logging.WARNING
