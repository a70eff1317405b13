"""Redirects, streams, and what cannot be reached: how a relayed answer ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from urllib.parse import quote

import aiohttp
import pytest

from hub.web.relay import Target, relocated
from tests.waiting import PATIENCE
from tests.web.serving import MINE, THEIRS, Web
from tests.web.test_relay import BESIDE, DASK, PORT, SPARK, seen


@pytest.fixture(autouse=True)
async def workspace(web: Web) -> None:
    """A workspace whose dashboards and notebook answer."""
    await web.add()
    web.own_ports.add(9000)


SPARK_TARGET = Target("http://127.0.0.1:4003", SPARK, {})
DASK_TARGET = Target(f"http://127.0.0.1:4001{DASK}", DASK, {})
PORT_TARGET = Target(f"http://127.0.0.1:4000{BESIDE}", PORT, {})


class TestLocation:
    """Where a redirect of what is relayed to leads the browser."""

    @pytest.mark.parametrize(
        ("target", "said", "followed"),
        [
            # Without the route in it: it is put in front.
            (SPARK_TARGET, "/jobs/", f"{SPARK}/jobs/"),
            (SPARK_TARGET, "/", f"{SPARK}/"),
            (SPARK_TARGET, "/jobs/?a=b#c", f"{SPARK}/jobs/?a=b#c"),
            (SPARK_TARGET, "http://127.0.0.1:4003/jobs/", f"{SPARK}/jobs/"),
            (SPARK_TARGET, "http://127.0.0.1:8000/jobs/", f"{SPARK}/jobs/"),
            (SPARK_TARGET, "//127.0.0.1:4003/jobs/", f"{SPARK}/jobs/"),
            (SPARK_TARGET, "http://127.0.0.1:4003", SPARK),
            # With the route in it already, as programs do that know of it: it is left.
            (SPARK_TARGET, f"{SPARK}/jobs/", f"{SPARK}/jobs/"),
            (SPARK_TARGET, f"http://127.0.0.1:8000{SPARK}/jobs/", f"{SPARK}/jobs/"),
            (DASK_TARGET, f"{DASK}/status", f"{DASK}/status"),
            (DASK_TARGET, f"http://127.0.0.1:4001{DASK}/status", f"{DASK}/status"),
            (DASK_TARGET, DASK, DASK),
            (DASK_TARGET, "/status", f"{DASK}/status"),
            # With the way through the notebook in it: it is taken out.
            (PORT_TARGET, f"{BESIDE}/login", f"{PORT}/login"),
            (PORT_TARGET, f"http://127.0.0.1:4000{BESIDE}/login?next=%2F", f"{PORT}/login?next=%2F"),
            (PORT_TARGET, "/login", f"{PORT}/login"),
            # Relative ones are the browser's to resolve.
            (SPARK_TARGET, "status", "status"),
            (SPARK_TARGET, "../status?x=1", "../status?x=1"),
            (SPARK_TARGET, "?page=2", "?page=2"),
            (SPARK_TARGET, "#there", "#there"),
            # Other places are other places.
            (SPARK_TARGET, "https://spark.apache.org/docs/", "https://spark.apache.org/docs/"),
            (SPARK_TARGET, "http://127.0.0.1:4040/jobs/", "http://127.0.0.1:4040/jobs/"),
            (SPARK_TARGET, "//example.org/x", "//example.org/x"),
        ],
    )
    def test_rewritten(self, target: Target, said: str, followed: str) -> None:
        assert relocated(said, target, "127.0.0.1:8000") == followed

    async def test_over_the_wire(self, web: Web) -> None:
        for route, said, followed in [
            (SPARK, "/jobs/", f"{SPARK}/jobs/"),
            (DASK, f"{web.upstream.url}{DASK}/status", f"{DASK}/status"),
            (PORT, f"{BESIDE}/login", f"{PORT}/login"),
        ]:
            answer = await web.ask("GET", f"{route}/redirect?to={quote(said, safe='')}", "session")
            assert (answer.status, answer.location) == (302, followed)

    async def test_one_that_is_no_address(self, web: Web) -> None:
        answer = await web.ask("GET", f"{SPARK}/redirect?to={quote('http://[')}", "session")
        assert answer.status in (302, 503)


@asynccontextmanager
async def opened(web: Web, path: str) -> AsyncIterator[aiohttp.ClientResponse]:
    """An answer whose body is still to come."""
    async with web.browser.get(web.url + path, headers=web.credentials("session")) as response:
        yield response


async def some(response: aiohttp.ClientResponse, size: int) -> bytes:
    return await asyncio.wait_for(response.content.readexactly(size), PATIENCE)


class TestStreaming:
    @pytest.mark.parametrize("route", [DASK, SPARK, PORT])
    async def test_the_beginning_comes_before_the_end_is_known(self, web: Web, route: str) -> None:
        async with opened(web, f"{route}/stream") as response:
            assert await some(response, 5) == b"first"
            web.upstream.go_on.set()
            assert await response.read() == b" last"

    async def test_half_an_answer_does_not_look_whole(self, web: Web) -> None:
        async with opened(web, f"{DASK}/broken") as response:
            assert await some(response, 5) == b"first"
            web.upstream.go_on.set()
            with pytest.raises(aiohttp.ClientError):
                await response.read()

    async def test_nobody_is_waited_for_who_has_gone(self, web: Web) -> None:
        async with opened(web, f"{DASK}/stream") as response:
            await some(response, 5)
        await asyncio.wait_for(web.upstream.left.wait(), PATIENCE)


def closed_port() -> Mapping[str, str]:
    """Endpoints at which nothing listens."""
    return dict.fromkeys(("notebook", "dask", "spark"), "http://127.0.0.1:1")


class TestOutOfReach:
    @pytest.mark.parametrize("route", [DASK, SPARK, PORT])
    @pytest.mark.parametrize("method", ["GET", "POST"])
    async def test_nothing_listens(self, web: Web, route: str, method: str) -> None:
        await web.report(endpoints=closed_port())
        answer = await web.ask(method, f"{route}/page", "session")
        assert answer.status == 503
        assert "It does not answer now." in answer.text
        assert "Reload the page in a moment." in answer.text
        assert "127.0.0.1:1" not in answer.text

    async def test_what_answers_speaks_no_http(self, web: Web) -> None:
        answer = await web.ask("GET", f"{DASK}/garbage", "session")
        assert answer.status == 503
        assert "It does not answer now." in answer.text

    @pytest.mark.parametrize(
        ("route", "said"),
        [(DASK, "The Dask dashboard is not up yet."), (PORT, "The notebook is not up yet.")],
    )
    async def test_it_is_not_up_yet(self, web: Web, route: str, said: str) -> None:
        await web.report(endpoints={})
        answer = await web.ask("GET", f"{route}/", "session")
        assert answer.status == 503
        assert said in answer.text

    @pytest.mark.parametrize("suffix", ["ipyparallel", "ray", "notebook", "Dask", "dask2", "9000x"])
    async def test_no_such_cluster(self, web: Web, suffix: str) -> None:
        # An endpoint alone is no permission: the cluster may just have been removed.
        await web.report(endpoints=dict.fromkeys(("ipyparallel", "ray", "notebook"), web.upstream.url))
        answer = await web.ask("GET", f"/{MINE}_{suffix}/", "session")
        assert answer.status == 404
        assert web.upstream.seen == []

    @pytest.mark.parametrize(
        "port", ["9001", "22", "0", "65536", "99999999999999999999", "00", "-1", "9000.", "%39000", "٩"]
    )
    async def test_a_port_that_is_not_ones_own(self, web: Web, port: str) -> None:
        """On a shared machine another account may listen there; that must not look like one's own."""
        answer = await web.ask("GET", f"/{MINE}_{quote(port, safe='%')}/", "session")
        assert answer.status == 404
        assert web.upstream.seen == []

    async def test_where_pods_have_addresses_every_port_is_ones_own(self, web: Web) -> None:
        web.change_site(own_port=None)
        assert (await seen(web, "GET", f"/{MINE}_9001/x")).target == f"/{MINE}/proxy/9001/x"

    async def test_the_port_of_another_person(self, web: Web) -> None:
        await web.add(THEIRS, owner="bob")
        assert (await web.ask("GET", f"/{THEIRS}_9000/", "session")).status == 404
        assert web.upstream.seen == []
