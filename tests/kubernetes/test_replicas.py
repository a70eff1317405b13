"""Several web processes on one API server: whichever a request reaches, it is as if there were one."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from hub import admission
from hub.kube.api import Api
from hub.store.kubernetes import KubernetesStore
from tests.builders import HUB_KEY
from tests.kubernetes.between import Between
from tests.kubernetes.replicas import browser, held, replica
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("workspaces")


class Release:
    """Two web processes, each with its own line to the API server, and what the administrator sees."""

    def __init__(self, webs, lines, store, person):
        self.webs, self.lines, self.store, self.person = webs, lines, store, person

    async def all(self):
        """What really is there: the administrator asks the server for each name there may be."""
        looked = [await self.store.look(name) for name in self.names]
        return [workspace for workspace in looked if workspace is not None]

    async def live(self):
        return [workspace.name for workspace in await self.all() if not workspace.deleting]

    @property
    def names(self):
        return [admission.workspace_name(HUB_KEY, self.owner, attempt) for attempt in range(6)]

    async def begin(self):
        """Open the page, which makes the browser somebody."""
        page = await self.person.open(self.webs[0])
        assert page.status == 200
        self.owner = page.text.split('<bdi class="who">')[1].partition("<")[0]

    async def free(self, name):
        """Let a workspace that is being stopped be gone, as the controller does in the end."""
        api, path = self.store._api, f"{self.store.path}/{name}"
        nothing = [{"op": "replace", "path": "/metadata/finalizers", "value": []}]
        await api.call("PATCH", path, nothing, content_type="application/json-patch+json")


@pytest.fixture
async def release(cluster, release_namespace, tmp_path):
    async with AsyncExitStack() as stack:
        lines, webs = [], []
        for number in (1, 2):
            line, path = Between(cluster), tmp_path / f"web-{number}.kubeconfig"
            await stack.enter_async_context(line.serve(path))
            lines.append(line)
            webs.append(await stack.enter_async_context(replica(path, release_namespace)))
        api = await Api.connect(cluster.kubeconfig)
        stack.push_async_callback(api.close)
        store = KubernetesStore(api, release_namespace, lambda spec, made: spec)
        store._informer.synced.set()  # which is only asked to look
        release = Release(webs, lines, store, await stack.enter_async_context(browser()))
        await release.begin()
        yield release
        for workspace in await release.all():
            await release.free(workspace.name)


async def click(release, count=10):
    """Click so often at once, half of it on each. Returns the answers."""
    clicks = [release.person.launch(release.webs[number % 2]) for number in range(count)]
    return await asyncio.gather(*clicks)


async def test_ten_clicks_on_both_at_once_make_one_workspace(release):
    answers = await click(release)
    assert sorted(answer.status for answer in answers) == [200] * 9 + [201]
    assert {answer.json["metadata"]["name"] for answer in answers} == {release.names[0]}
    assert await release.live() == [release.names[0]]


async def test_and_one_more_while_the_last_one_is_being_stopped(release):
    first, second = release.webs
    old = (await release.person.launch(first)).json["metadata"]["name"]
    assert (await release.person.ask(second, "DELETE", f"/api/workspaces/{old}")).status == 202
    await until("both know", lambda: knows_end(first, old))
    answers = await click(release)
    assert sorted(answer.status for answer in answers) == [200] * 9 + [201]
    assert await release.live() == [release.names[1]]


async def knows_end(web, name):
    workspace = await web.knows(name)
    return workspace is not None and workspace.deleting


@pytest.mark.parametrize("stale", [0, 1])
async def test_one_process_knows_that_the_last_one_is_gone_and_the_other_does_not(release, stale):
    """So each takes another name, and one of them has to give way."""
    behind, ahead = release.webs[stale], release.webs[1 - stale]
    line_behind, line_ahead = release.lines[stale], release.lines[1 - stale]
    old = (await release.person.launch(behind)).json["metadata"]["name"]
    await release.person.ask(behind, "DELETE", f"/api/workspaces/{old}")
    await until("it is known", lambda: knows_end(ahead, old))
    async with held(line_behind.flowing):
        await release.free(old)

        async def gone():
            return await ahead.knows(old) is None

        await until("one of them has heard", gone)
        async with held(line_ahead.flowing):
            one = asyncio.create_task(release.person.launch(behind))
            await until("the first is made", lambda: has(release, 1))
            other = asyncio.create_task(release.person.launch(ahead))
            await until("the second is made", lambda: has(release, 2))
    answers = [await one, await other]
    assert [answer.status for answer in answers] == [201, 200]
    assert {answer.json["metadata"]["name"] for answer in answers} == {release.names[1]}
    assert await release.live() == [release.names[1]]


async def has(release, count):
    return len(await release.all()) == count


async def test_a_launch_that_failed_is_dismissed_once(release):
    name = (await release.person.launch(release.webs[0])).json["metadata"]["name"]
    api, path = release.store._api, f"{release.store.path}/{name}/status"
    failed = [{"op": "add", "path": "/status", "value": {"phase": "Failed"}}]
    await api.call("PATCH", path, failed, content_type="application/json-patch+json")

    async def told():
        return all([(await web.knows(name)).status.phase == "Failed" for web in release.webs])

    await until("both know", told)
    answers = await click(release)
    assert sorted(answer.status for answer in answers) == [200] * 9 + [201]
    assert await release.live() == [release.names[1]]


async def test_what_was_made_a_moment_ago_is_there_wherever_one_asks(release):
    first, second = release.webs
    async with held(release.lines[1].flowing):
        name = (await release.person.launch(first)).json["metadata"]["name"]
        assert await second.knows(name) is None
        assert (await release.person.open(second, f"/workspaces/{name}?launched=1")).status == 200
        assert (await release.person.ask(second, "GET", f"/api/workspaces/{name}")).status == 200
        again = await release.person.launch(second)
        assert (again.status, again.json["metadata"]["name"]) == (200, name)


async def test_names_that_cannot_be_ones_own_cost_no_request(release):
    line = release.lines[0]
    line.asked.clear()
    for name in ("cluster-abcdef", "cluster-00000000"):
        assert (await release.person.ask(release.webs[0], "GET", f"/api/workspaces/{name}")).status == 404
    assert line.asked == []
    own = release.names[0]
    assert (await release.person.ask(release.webs[0], "GET", f"/api/workspaces/{own}")).status == 404
    assert [asked.split()[0] for asked in line.asked] == ["GET"]


async def test_a_stream_that_goes_on_elsewhere_does_not_go_back(release):
    first, second = release.webs
    name = (await release.person.launch(first)).json["metadata"]["name"]
    path = f"/api/workspaces/{name}"

    async def known():
        return await second.knows(name) is not None

    await until("both know", known)
    async with held(release.lines[1].flowing):
        more = {"spec": {"clusters": {"dask": {"workers": 5}}}}
        changed = (await release.person.ask(first, "PATCH", path, more)).json
        seen = {"Last-Event-ID": changed["metadata"]["resourceVersion"]}
        async with release.person._session.get(f"{second.url}{path}/events", headers=seen) as response:
            async with asyncio.timeout(20):
                for begin in (b"retry: ", b"event: alive\n", b"event: notice\n", b"event: room\n"):
                    assert (await response.content.readuntil(b"\n\n")).startswith(begin)
            release.lines[1].flowing.set()
            one_more = (await release.person.ask(first, "PATCH", path, {"spec": {"workers": 3}})).json
            async with asyncio.timeout(20):
                event = await response.content.readuntil(b"\n\n")
            assert f"id: {one_more['metadata']['resourceVersion']}\n".encode() in event


async def test_cookies_and_tokens_of_the_one_are_good_for_the_other(release):
    first, second = release.webs
    name = (await release.person.launch(first)).json["metadata"]["name"]
    page = await release.person.open(first, f"/workspaces/{name}")
    assert page.status == 200
    changed = await release.person.ask(second, "PATCH", f"/api/workspaces/{name}", {"spec": {"workers": 3}})
    assert (changed.status, changed.json["spec"]["workers"]) == (200, 3)
    async with browser() as somebody:
        await somebody.open(second)
        assert (await somebody.ask(second, "GET", f"/api/workspaces/{name}")).status == 404
