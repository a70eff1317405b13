"""IPyParallel as a workspace runs it: a real controller, real engines over CURVE, a real client."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import psutil
import pytest

from hub.clusters.base import ClusterState, Request, WorkerState
from hub.clusters.ipyparallel import CLIENT_FILE, IPYPARALLEL
from hub.ports import HOST
from tests.workspace.conftest import CONTEXT, Inside, Site, eventually, send

pytestmark = pytest.mark.slow

TOKEN = dict(IPYPARALLEL.headers(CONTEXT.keys))
SCHEDULER = IPYPARALLEL.scheduler(CONTEXT)
WORKER = IPYPARALLEL.worker(CONTEXT, 3)
DASHBOARD = "ipyparallel-scheduler.dashboard"
ONE, TWO, THREE = (f"ipyparallel-worker-{number}" for number in (1, 2, 3))

FUNCTIONS = """
import os, time
import ipyparallel as ipp

def patient(number, folder=os.getcwd()):
    import os, time
    while not os.path.exists(os.path.join(folder, "gate")):
        time.sleep(0.02)
    return number + 1000

def connect():
    global client
    client = ipp.Client()
    return client.ids

def numbered(instance):
    return next((number for number, uuid in client._engines.items() if uuid.startswith(instance + "_")), None)
"""


class Cluster:
    """The cluster as the hub sees it, and a client as a notebook has it."""

    def __init__(self, site: Site, client: Inside) -> None:
        self.site = site
        self.client = client

    async def state(self, since: str = "") -> ClusterState:
        """What the controller says."""
        request = IPYPARALLEL.state_request(CONTEXT, since)
        return IPYPARALLEL.read_state(await send(self.site.url(DASHBOARD), request, TOKEN))

    async def answers(self) -> bool:
        """Whether the controller says anything."""
        try:
            await self.state()
        except aiohttp.ClientError:
            return False
        return True

    async def engines(self) -> dict[str, dict[str, Any]]:
        """What the view shows, by instance."""
        body = await send(self.site.url(DASHBOARD), Request("GET", "/podium/engines"), TOKEN)
        return {engine["instance"]: engine for engine in json.loads(body)["engines"]}

    async def worker(self, instance: str) -> WorkerState | None:
        """What the controller says of one engine."""
        return next((w for w in (await self.state()).workers if w.instance == instance), None)

    async def comes(self, *expected: WorkerState) -> None:
        """Wait until the controller says this of those workers."""

        async def said() -> bool:
            return set(expected) <= set((await self.state()).workers)

        await eventually(said)

    async def grow(self, *instances: str) -> None:
        """Start engines and wait until the controller and the client know them."""
        for instance in instances:
            self.site.start(WORKER, instance)
        await self.comes(*map(WorkerState, instances))
        for instance in instances:
            await eventually(lambda instance=instance: self.client.run(f"numbered({instance!r}) is not None"))

    async def drain(self, *instances: str) -> None:
        """Ask engines to leave."""
        for request in IPYPARALLEL.drain_requests(CONTEXT, instances):
            await send(self.site.url(DASHBOARD), request, TOKEN)

    async def end(self, *instances: str) -> None:
        """End engines and wait until the controller has noticed."""
        for instance in instances:
            self.site.end(instance)
        await self.gone(*instances)

    async def gone(self, *instances: str) -> None:
        """Wait until the controller knows nothing of them."""
        for instance in instances:

            async def unknown(instance: str = instance) -> bool:
                return await self.worker(instance) is None

            await eventually(unknown)

    def open_gate(self) -> None:
        """Let everything that is patient finish."""
        (self.site.home / "gate").touch()


@pytest.fixture(scope="module")
def controller(site: Site) -> Site:
    """A controller; it may not answer yet."""
    site.start(SCHEDULER)
    return site


@pytest.fixture
async def cluster(controller: Site) -> AsyncIterator[Cluster]:
    """A controller that answers, and a client; engines are the tests' to start and end."""
    client = controller.inside(IPYPARALLEL.notebook(CONTEXT))
    cluster = Cluster(controller, client)
    await eventually(cluster.answers)
    (controller.home / "gate").unlink(missing_ok=True)
    await client.run(FUNCTIONS)
    await client.run("connect()")
    yield cluster
    await client.run("client.close()")
    await cluster.end(*[worker.instance for worker in (await cluster.state()).workers])


async def test_a_bare_client_computes_on_all_engines_in_every_way(cluster: Cluster) -> None:
    await cluster.grow(ONE, TWO)
    assert await cluster.client.run("client[:].map_sync(lambda n: n * n, range(9))") == [
        n * n for n in range(9)
    ]
    balanced = "client.load_balanced_view().map_sync(lambda n: n * n, range(30))"
    assert await cluster.client.run(balanced) == [n * n for n in range(30)]
    assert await cluster.client.run("client.broadcast_view().apply_sync(lambda: 7)") == [7, 7]
    pids = await cluster.client.run("client[:].apply_sync(os.getpid)")
    assert len(set(pids)) == 2


@pytest.mark.parametrize("how", ["direct[0].apply_async", "balanced.apply_async", "every.apply_async"])
async def test_work_makes_cluster_and_engine_busy_until_it_is_done(cluster: Cluster, how: str) -> None:
    await cluster.grow(ONE)
    await cluster.client.run(
        "direct, balanced, every = client, client.load_balanced_view(), client.broadcast_view()\n"
        "direct = [client[numbered('ipyparallel-worker-1')]]\n"
        f"answer = {how}(patient, 1)"
    )
    await cluster.comes(WorkerState(ONE, busy=True))
    assert (await cluster.state()).busy
    cluster.open_gate()
    assert await cluster.client.run("answer.get()") in (1001, [1001])
    await cluster.comes(WorkerState(ONE))
    assert not (await cluster.state()).busy


async def test_tasks_without_an_engine_make_the_cluster_busy(cluster: Cluster) -> None:
    await cluster.grow(ONE)
    await cluster.client.run("answers = client.load_balanced_view().map_async(patient, range(3))")
    await cluster.comes(WorkerState(ONE, busy=True))
    assert (await cluster.engines())[ONE]["queue"] == 1, "the others wait for whichever engine is free first"
    cluster.open_gate()
    assert await cluster.client.run("answers.get()") == [1000, 1001, 1002]


async def test_a_busy_engine_is_not_drained_and_an_idle_one_gets_nothing_more(cluster: Cluster) -> None:
    await cluster.grow(ONE, TWO, THREE)
    await cluster.client.run("answer = client[numbered('ipyparallel-worker-1')].apply_async(patient, 1)")
    await cluster.comes(WorkerState(ONE, busy=True))
    await cluster.drain(ONE, TWO)
    await cluster.drain(ONE, TWO)  # asking again is harmless
    gone = WorkerState(TWO, draining=True, drained=True)
    await cluster.comes(WorkerState(ONE, busy=True), gone, WorkerState(THREE))
    assert cluster.site.running(TWO), "ending it is the hub's to do"

    await eventually(lambda: cluster.client.run("numbered('ipyparallel-worker-2') is None"))
    squares = "client.load_balanced_view().map_sync(lambda n: n * n, range(50))"
    # Those that were given to the busy engine are answered once it is free.
    cluster.client.say(squares)
    cluster.open_gate()
    assert await asyncio.to_thread(cluster.client.hear) == [n * n for n in range(50)]
    assert await cluster.client.run("answer.get()") == 1001
    engines = await cluster.engines()
    assert engines[TWO]["done"] == 0
    assert engines[ONE]["done"] + engines[THREE]["done"] == 51
    await cluster.drain(ONE)
    await cluster.comes(WorkerState(ONE, draining=True, drained=True), gone, WorkerState(THREE))


async def test_an_engine_that_is_ended_once_it_is_drained_takes_no_task_with_it(cluster: Cluster) -> None:
    await cluster.grow(ONE, TWO)
    cluster.client.say(
        "balanced = client.load_balanced_view()\n"
        "[balanced.map_sync(lambda n: n * n, range(6)) for turn in range(60)] == [[0, 1, 4, 9, 16, 25]] * 60"
    )

    async def drained() -> bool:
        await cluster.drain(ONE)
        worker = await cluster.worker(ONE)
        return worker is not None and worker.drained

    await eventually(drained)
    cluster.site.end(ONE)
    assert await asyncio.to_thread(cluster.client.hear)
    await cluster.gone(ONE)


async def test_what_reaches_a_leaving_engine_at_the_last_moment_is_still_done(cluster: Cluster) -> None:
    await cluster.grow(ONE)
    await cluster.client.run("number = numbered('ipyparallel-worker-1'); uuid = client._engines[number]")
    await cluster.drain(ONE)
    await eventually(lambda: cluster.client.run("number not in client.ids"))
    # A client that has not heard yet that the engine leaves, as one may be for a moment.
    await cluster.client.run(
        "client._ids.append(number); client._engines[number] = uuid\n"
        "late = client[number].apply_async(patient, 5)"
    )
    await cluster.comes(WorkerState(ONE, busy=True, draining=True, drained=False))
    cluster.open_gate()
    assert await cluster.client.run("late.get()") == 1005
    await cluster.comes(WorkerState(ONE, draining=True, drained=True))


async def test_an_engine_that_is_ended_by_others_does_its_work_first(cluster: Cluster) -> None:
    await cluster.grow(ONE, TWO)
    await cluster.client.run("answer = client[numbered('ipyparallel-worker-1')].apply_async(patient, 1)")
    await cluster.comes(WorkerState(ONE, busy=True))
    busy = asyncio.create_task(cluster.site.leave(WORKER, ONE))
    assert await cluster.site.leave(WORKER, TWO) == (0, f"{TWO} may end: it is drained\n")
    assert not busy.done()
    assert await cluster.worker(ONE) == WorkerState(ONE, busy=True)
    cluster.open_gate()
    assert await busy == (0, f"{ONE} may end: it is drained\n")
    assert await cluster.client.run("answer.get()") == 1001


async def test_an_engine_does_not_wait_for_a_controller_that_is_gone(cluster: Cluster) -> None:
    cluster.site.end("ipyparallel-scheduler")
    code, said = await cluster.site.leave(WORKER, ONE)
    assert code == 0
    assert said.startswith(f"{ONE} may end: the scheduler is away: ")
    cluster.site.start(SCHEDULER)
    await eventually(cluster.answers)
    await eventually(lambda: cluster.client.run("connect() == []"))


async def test_all_engines_may_leave_and_come_again_under_their_names(cluster: Cluster) -> None:
    await cluster.grow(ONE, TWO)
    await cluster.drain(ONE, TWO, "ipyparallel-worker-99")
    for instance in (ONE, TWO):
        await cluster.comes(WorkerState(instance, draining=True, drained=True))
    await cluster.end(ONE, TWO)
    await cluster.grow(ONE)
    assert (await cluster.state()).workers == (WorkerState(ONE),)


async def test_an_engine_that_was_killed_and_started_again_is_there_once(cluster: Cluster) -> None:
    await cluster.grow(ONE)
    before = await cluster.client.run("numbered('ipyparallel-worker-1')")
    await cluster.client.run("answer = client[numbered('ipyparallel-worker-1')].apply_async(patient, 1)")
    await cluster.comes(WorkerState(ONE, busy=True))
    for process in psutil.Process(cluster.site.pid(ONE)).children(recursive=True):
        process.kill()  # the nanny, which would tell the controller
    psutil.Process(cluster.site.pid(ONE)).kill()
    cluster.site.end(ONE)
    await cluster.grow(ONE)
    assert (await cluster.state()).workers == (WorkerState(ONE),)
    await eventually(lambda: cluster.client.run(f"numbered('ipyparallel-worker-1') not in (None, {before})"))
    assert await cluster.client.run("client.load_balanced_view().apply_sync(lambda: 3)") == 3


async def test_engines_end_with_their_controller_and_the_next_one_finds_new_ones(cluster: Cluster) -> None:
    await cluster.grow(ONE, TWO)
    await cluster.client.run("answer = client[numbered('ipyparallel-worker-1')].apply_async(patient, 1)")
    await cluster.comes(WorkerState(ONE, busy=True))
    psutil.Process(cluster.site.pid("ipyparallel-scheduler")).kill()
    cluster.site.end("ipyparallel-scheduler")
    cluster.site.start(SCHEDULER)

    async def ended() -> bool:
        return not cluster.site.running(ONE) and not cluster.site.running(TWO)

    await eventually(ended)
    for instance in (ONE, TWO):
        cluster.site.end(instance)
        cluster.site.start(WORKER, instance)
    await eventually(cluster.answers)
    await cluster.comes(WorkerState(ONE), WorkerState(TWO))
    await eventually(lambda: cluster.client.run("len(connect()) == 2"))
    assert await cluster.client.run("client[:].apply_sync(lambda: 7)") == [7, 7]


async def test_who_does_not_know_the_controllers_key_is_not_answered(cluster: Cluster) -> None:
    file = json.loads((cluster.site.home / CLIENT_FILE.removeprefix("home/")).read_text())
    for wrong in (None, "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"):
        stranger = cluster.site.inside()
        connection = json.dumps(file | {"curve_serverkey": wrong})
        with pytest.raises(RuntimeError, match="Timeout"):
            await stranger.run(
                f"import ipyparallel as ipp, json; ipp.Client(json.loads({connection!r}), timeout=2).ids"
            )
    assert await cluster.client.run("client.ids") == []


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic eDp5"}])
async def test_nothing_is_shown_without_the_token(cluster: Cluster, headers: dict[str, str]) -> None:
    async with aiohttp.ClientSession(headers=headers) as session:
        for path in ("/", "/view.js", "/view.css", "/podium/state", "/podium/engines", "/nowhere"):
            async with session.get(cluster.site.url(DASHBOARD, path)) as response:
                assert (response.status, await response.text()) == (401, "401 Unauthorized\n"), path
        async with session.post(
            cluster.site.url(DASHBOARD, "/podium/drain"), json={"workers": []}
        ) as response:
            assert response.status == 401


async def test_the_view_is_there_with_all_that_it_loads_and_nothing_else(cluster: Cluster) -> None:
    async with aiohttp.ClientSession(headers=TOKEN) as session:
        for path, kind in {"/": "text/html", "/view.js": "text/javascript", "/view.css": "text/css"}.items():
            async with session.get(cluster.site.url(DASHBOARD, path)) as response:
                assert (response.status, response.content_type) == (200, kind)
                assert "default-src 'none'" in response.headers["Content-Security-Policy"]
        async with session.get(cluster.site.url(DASHBOARD, "/nowhere")) as response:
            assert response.status == 404


async def test_the_view_tells_of_each_engine(cluster: Cluster) -> None:
    await cluster.grow(TWO)
    number = await cluster.client.run("numbered('ipyparallel-worker-2')")
    await cluster.client.run("client[:].apply_sync(int)")
    engine = (await cluster.engines())[TWO]
    assert engine.pop("since") > 1.7e9
    assert engine == {
        "number": number,
        "instance": TWO,
        "host": HOST,
        "state": "idle",
        "queue": 0,
        "done": 1,
    }


async def test_the_state_is_held_until_an_engine_comes(cluster: Cluster) -> None:
    before = await cluster.state()
    assert before.workers == ()
    held = asyncio.create_task(cluster.state(before.version))
    cluster.site.start(WORKER, THREE)
    after = await held
    assert after.workers == (WorkerState(THREE),)


@pytest.mark.parametrize("body", ["", "[]", "{}", '{"workers": "ipyparallel-worker-1"}', '{"workers": [1]}'])
async def test_a_drain_without_names_is_refused(cluster: Cluster, body: str) -> None:
    url = cluster.site.url(DASHBOARD, "/podium/drain")
    async with aiohttp.ClientSession(headers=TOKEN) as session, session.post(url, data=body) as response:
        assert response.status == 400
