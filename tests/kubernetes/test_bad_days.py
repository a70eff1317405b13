"""Bad days of a class: programs die while people click, clocks are wrong, somebody clicks without end.

Whatever happens, everybody has exactly one workspace in the end.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections import Counter
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import pytest

from bench import netns
from hub.kube.api import Api
from hub.store.kubernetes import KubernetesStore
from hub.tools import CHECKOUT, ToolError
from hub.web.base import BaseHandler
from tests.kubernetes.replicas import browser, replica

pytestmark = pytest.mark.usefixtures("workspaces")
TEN_MINUTES = timedelta(minutes=10)


@pytest.fixture(scope="module")
def own_network():
    """A network in which every address of a fake pod is this machine's."""
    try:
        if netns.run(["true"]) == 0:
            return
        why = "this account may make no network of its own"
    except ToolError as error:
        why = str(error)
    pytest.skip(why)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("killed", ["web", "controller", "proxy"])
def test_a_program_is_killed_while_100_people_click(own_network, bin, killed):
    arguments = ["class", "--people=100", "--seconds=5", f"--kill={killed}"]
    command = [sys.executable, "-m", "bench", *arguments]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Nothing was wrong." in done.stdout


class Class:
    """Some web processes, and the objects that the administrator sees."""

    def __init__(self, webs, store):
        self.webs, self.store = webs, store

    async def owners(self):
        """How many workspaces everybody has that are not ending."""
        items = (await self.store._api.call("GET", self.store.path))["items"]
        return Counter(item["spec"]["owner"] for item in items if "deletionTimestamp" not in item["metadata"])


@pytest.fixture
async def room(cluster, release_namespace, web_kubeconfig):
    async with AsyncExitStack() as stack:
        webs = [await stack.enter_async_context(replica(web_kubeconfig, release_namespace)) for _ in range(2)]
        api = await Api.connect(cluster.kubeconfig)
        stack.push_async_callback(api.close)
        store = KubernetesStore(api, release_namespace, lambda spec, made: spec)
        yield Class(webs, store)
        for item in (await api.call("GET", store.path))["items"]:
            nothing = [{"op": "add", "path": "/metadata/finalizers", "value": []}]
            path = f"{store.path}/{item['metadata']['name']}"
            await api.call("PATCH", path, nothing, content_type="application/json-patch+json")


async def test_a_thousand_clicks_of_one_person_make_one_workspace(room):
    async with browser() as eager, browser() as other:
        await eager.open(room.webs[0])
        await other.open(room.webs[1])
        turn = asyncio.Semaphore(50)

        async def click(number):
            async with turn:
                return await eager.launch(room.webs[number % 2])

        answers = await asyncio.gather(*(click(number) for number in range(1000)))
        found = Counter(answer.status for answer in answers)
        assert set(found) == {200, 201, 429}
        assert found[201] == 1
        assert found[429] > 500
        refused = next(answer for answer in answers if answer.status == 429)
        assert int(refused.headers["Retry-After"]) >= 1
        names = {answer.json["metadata"]["name"] for answer in answers if answer.status != 429}
        assert len(names) == 1
        assert (await other.launch(room.webs[0])).status == 201, "nobody else has to wait for that"
    assert sorted((await room.owners()).values()) == [1, 1]


@pytest.mark.parametrize("off", [TEN_MINUTES, -TEN_MINUTES], ids=["ahead", "behind"])
async def test_the_clock_of_one_web_process_is_off_by_ten_minutes(room, monkeypatch, off):
    wrong = room.webs[1].server.application.settings["site"]

    def now(handler):
        return datetime.now(UTC) + (off if handler.site is wrong else timedelta())

    monkeypatch.setattr(BaseHandler, "now", now)
    async with browser() as person:
        await person.open(room.webs[0])
        answers = await asyncio.gather(*(person.launch(room.webs[number % 2]) for number in range(10)))
        assert sorted(answer.status for answer in answers) == [200] * 9 + [201]
        name = answers[0].json["metadata"]["name"]
        ends = (datetime.now(UTC) + timedelta(hours=2)).isoformat()
        for web in room.webs:
            changed = await person.ask(web, "PATCH", f"/api/workspaces/{name}", {"spec": {"expires": ends}})
            assert changed.status == 200
            assert (await person.open(web, f"/workspaces/{name}")).status == 200
    assert list((await room.owners()).values()) == [1]
