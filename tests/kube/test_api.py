"""Requests: what is sent, what is sent again, and how refusals and silence are told."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from hub.errors import ConfigurationError
from hub.kube import api as module
from hub.kube.api import AT_ONCE, MOST_RETRIES, NOT_ANSWERING, Api, ApiError, Pace
from tests.virtual import now, simulate

PODS = "/api/v1/pods"


class TestACall:
    async def test_is_json_both_ways(self, api, server):
        call = asyncio.create_task(api.call("POST", PODS, {"name": "é"}, {"dryRun": "All", "a": "b c"}))
        asked = await server.asked(f"POST {PODS}", dryRun="All", a="b c")
        assert asked.body == {"name": "é"}
        assert asked.request.headers["Content-Type"] == "application/json"
        asked.answer({"made": [1, None]})
        assert await call == {"made": [1, None]}

    async def test_says_who_we_are(self, api, server):
        call = asyncio.create_task(api.call("GET", PODS))
        asked = await server.asked()
        assert asked.request.headers["Authorization"] == "Bearer let-me-in"
        assert asked.request.headers["User-Agent"] == "podium"
        asked.answer({})
        await call

    async def test_that_patches_says_how(self, api, server):
        patch = [{"op": "add", "path": "/a", "value": 1}]
        call = asyncio.create_task(api.call("PATCH", PODS, patch, content_type=module.JSON_PATCH))
        asked = await server.asked(f"PATCH {PODS}")
        assert asked.request.headers["Content-Type"] == "application/json-patch+json"
        assert asked.body == patch
        asked.answer({})
        await call

    async def test_gives_a_body_as_it_is(self, api, server):
        call = asyncio.create_task(api.fetch("GET", f"{PODS}/x/log"))
        (await server.asked()).answer("no json\n")
        assert await call == b"no json\n"


class TestWhatIsCounted:
    @pytest.fixture
    def counted(self, api):
        """Method and status of each request."""
        counted = []

        def asked(method, code, seconds):
            assert 0 <= seconds < 60
            counted.append((method, code))

        api.asked = asked
        return counted

    async def test_every_request_with_what_it_was_answered(self, api, server, counted):
        call = asyncio.create_task(api.call("GET", PODS))
        (await server.asked()).refuse(429, "TooManyRequests", "later", Retry_After="0")
        (await server.asked()).answer({})
        await call
        call = asyncio.create_task(api.call("POST", PODS, {}))
        (await server.asked()).refuse(409, "Conflict", "it was changed")
        with pytest.raises(ApiError):
            await call
        assert counted == [("GET", "429"), ("GET", "200"), ("POST", "409")]

    async def test_one_without_an_answer(self, api, server, counted):
        call = asyncio.create_task(api.call("POST", PODS, {}))
        (await server.asked()).hang_up()
        with pytest.raises(module.NOT_ANSWERING):
            await call
        assert counted == [("POST", "none")]

    async def test_a_watch_when_it_begins(self, api, server, counted):
        async def watch():
            async with api.stream(PODS, {"watch": "1"}, module.JSON, 60) as content:
                await content.readany()

        watching = asyncio.create_task(watch())
        asked = await server.asked()
        await asked.say({"type": "ADDED"})
        await watching
        assert counted == [("GET", "200")]
        asked.end()


class TestARefusal:
    @pytest.mark.parametrize(
        ("body", "reason", "message"),
        [
            ({"reason": "Conflict", "message": "it was changed"}, "Conflict", "it was changed"),
            ({"kind": "Status"}, "", ""),
            ("upstream is gone", "", "upstream is gone"),
            (["no", "object"], "", '["no", "object"]'),
            ({"message": "x" * 5000}, "", "x" * 2000),
            ("y" * 5000, "", "y" * 500),
        ],
    )
    async def test_is_told_in_kubernetes_words(self, api, server, body, reason, message):
        call = asyncio.create_task(api.call("PUT", PODS, {}))
        (await server.asked()).answer(body, status=409)
        with pytest.raises(ApiError) as refused:
            await call
        error = refused.value
        assert (error.status, error.reason, error.message) == (409, reason, message)
        assert str(error) == f"409 {reason}: {message}"

    @pytest.mark.parametrize("status", [400, 403, 404, 410, 422, 500, 503])
    async def test_is_not_asked_for_again(self, api, server, status):
        call = asyncio.create_task(api.call("POST", PODS, {}))
        (await server.asked()).refuse(status, "Why", "because")
        with pytest.raises(ApiError, match=f"{status} Why: because"):
            await call
        assert server.unheard == 0


class TestABusyServer:
    async def test_is_asked_again_with_the_same(self, api, server):
        call = asyncio.create_task(api.call("POST", PODS, {"a": 1}, {"b": "c"}))
        for _ in range(2):
            (await server.asked(f"POST {PODS}", b="c")).refuse(429, "TooManyRequests", Retry_After="0")
        asked = await server.asked(f"POST {PODS}", b="c")
        assert asked.body == {"a": 1}
        asked.answer({"made": True})
        assert await call == {"made": True}

    async def test_is_given_up_in_the_end(self, api, server):
        call = asyncio.create_task(api.call("GET", PODS))
        for _ in range(MOST_RETRIES):
            (await server.asked()).refuse(429, "TooManyRequests", "later", Retry_After="0")
        with pytest.raises(ApiError, match="429 TooManyRequests: later"):
            await call

    async def test_lets_others_through_while_one_waits(self, api, server):
        waiting = asyncio.create_task(api.call("GET", "/slow"))
        (await server.asked("GET /slow")).refuse(429, Retry_After="30")
        for _ in range(3):
            others = [asyncio.create_task(api.call("GET", "/quick")) for _ in range(AT_ONCE)]
            for _ in others:
                (await server.asked("GET /quick")).answer({})
            await asyncio.gather(*others)
        assert not waiting.done()
        waiting.cancel()

    @pytest.mark.parametrize(
        ("told", "attempt", "expected"),
        [
            ("1", 0, 1.0),
            ("0.5", 3, 0.5),
            ("3600", 0, 30.0),
            ("-5", 0, 0.0),
            (None, 0, 0.2),
            (None, 3, 1.6),
            ("Wed, 21 Oct 2026 07:28:00 GMT", 1, 0.4),
        ],
    )
    def test_says_when(self, told, attempt, expected):
        assert module._pause(told, attempt) == expected


class TestSilence:
    async def test_of_a_connection_that_is_cut(self, api, server):
        call = asyncio.create_task(api.call("POST", PODS, {}))
        (await server.asked()).hang_up()
        with pytest.raises(NOT_ANSWERING):
            await call
        assert server.unheard == 0  # it may have been carried out

    async def test_of_a_server_that_is_not_there(self, api, server):
        await server.stop()
        with pytest.raises(NOT_ANSWERING):
            await api.call("GET", PODS)

    async def test_of_a_watch(self, api, server):
        async def follow() -> None:
            async with api.stream(PODS, {"watch": "1"}, module.JSON, silence=0.1) as content:
                assert await content.readline() == b'{"type": "BOOKMARK"}\n'
                await content.readline()

        following = asyncio.create_task(follow())
        asked = await server.asked(f"GET {PODS}", watch="1")
        await asked.say({"type": "BOOKMARK"})
        with pytest.raises(TimeoutError):
            await following

    async def test_of_a_watch_that_is_refused(self, api, server):
        async def follow() -> None:
            async with api.stream(PODS, {}, module.JSON, silence=60):
                raise AssertionError("never")

        following = asyncio.create_task(follow())
        (await server.asked()).refuse(410, "Expired", "too old")
        with pytest.raises(ApiError, match="410 Expired: too old"):
            await following


async def test_no_more_than_so_many_at_once(api, server):
    calls = [asyncio.create_task(api.call("GET", f"/{number}")) for number in range(AT_ONCE + 3)]
    under_way = [await server.asked() for _ in range(AT_ONCE)]
    assert server.unheard == 0
    for served in range(AT_ONCE + 3):
        under_way.pop(0).answer({})
        if served < 3:
            under_way.append(await server.asked())
    await asyncio.gather(*calls)


class TestThePace:
    """On a clock that jumps."""

    @pytest.fixture(autouse=True)
    def clock(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=now))

    def turns(self, count: int, rest: float = 0.0) -> list[tuple[int, float]]:
        """Who came through when, of so many that ask at once after a rest."""

        async def main() -> list[tuple[int, float]]:
            pace = Pace(rate=10, burst=3)
            await asyncio.gather(*(pace.turn() for _ in range(3 if rest else 0)))
            await asyncio.sleep(rest)
            began, through = now(), []

            async def one(number: int) -> None:
                await pace.turn()
                through.append((number, round(now() - began, 6)))

            await asyncio.gather(*(one(number) for number in range(count)))
            return through

        return simulate(main())

    def test_lets_a_burst_through_and_then_so_many_a_second(self):
        assert self.turns(6) == [(0, 0.0), (1, 0.0), (2, 0.0), (3, 0.1), (4, 0.2), (5, 0.3)]

    def test_regains_its_burst_by_a_rest(self):
        assert self.turns(4, rest=0.1) == [(0, 0.0), (1, 0.1), (2, 0.2), (3, 0.3)]
        assert self.turns(5, rest=3600) == [(0, 0.0), (1, 0.0), (2, 0.0), (3, 0.1), (4, 0.2)]


class TestFindingACluster:
    async def test_that_no_file_names(self, tmp_path):
        with pytest.raises(ConfigurationError, match="No Kubernetes cluster can be found"):
            await Api.connect(tmp_path / "none")

    async def test_in_a_file_that_is_none(self, tmp_path):
        (tmp_path / "config").write_text("no: cluster\n")
        with pytest.raises(ConfigurationError) as refused:
            await Api.connect(tmp_path / "config")
        assert "KUBECONFIG" in refused.value.hint

    async def test_in_a_pod_that_was_given_no_token(self, monkeypatch):
        monkeypatch.delenv("KUBECONFIG", raising=False)
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
        with pytest.raises(ConfigurationError):
            await Api.connect()
