"""Spark as a workspace runs it: a real master, real workers, real sessions."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from functools import cached_property
from typing import Any
from urllib.parse import urljoin, urlsplit

import aiohttp
import psutil
import pytest

from hub import tools
from hub.backends.site import own_address
from hub.clusters.base import ClusterState, Request, WorkerState
from hub.clusters.spark import SPARK, ui_token
from hub.tools import workspace_python
from hub.workload import Workload
from tests.workspace.conftest import CONTEXT, REPL, Inside, Site, eventually, send

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

TOKEN = dict(SPARK.headers(CONTEXT.keys))
PREFIX = SPARK.route(CONTEXT)
SCHEDULER = SPARK.scheduler(CONTEXT)
WORKER = SPARK.worker(CONTEXT, 4)
DASHBOARD, PAGES = "spark-scheduler.dashboard", "spark-scheduler.ui"
STRANGER = "spark-worker-9"
ONE, TWO, THREE, FOUR = (f"spark-worker-{number}" for number in (1, 2, 3, 4))
PATIENCE = 120.0
EXECUTORS = "len(context._jsc.sc().statusTracker().getExecutorInfos()) - 1"

FUNCTIONS = """
import os, time
from pyspark.sql import SparkSession
session = SparkSession.builder.getOrCreate()
context = session.sparkContext

def note(word, folder=os.getcwd()):
    import os
    with open(os.path.join(folder, "executed"), "a") as file:
        file.write(word + "\\n")

def square(number):
    note("square")
    return number % 5, number * number

def patient(number, folder=os.getcwd()):
    import os, time
    note("patient")
    while not os.path.exists(os.path.join(folder, "gate")):
        time.sleep(0.02)
    return number + 1000

def executed(word):
    return sum(line.strip() == word for line in open("executed")) if os.path.exists("executed") else 0
"""


class AddressedSite(Site):
    """A workspace in which each worker has an address of its own, as it has from the local backend."""

    @property
    def instances(self) -> set[str]:
        """What was started and not ended."""
        return set(self._processes)

    @cached_property
    def notebook(self) -> Inside:
        """A Python with what Spark puts into the notebook."""
        part = SPARK.notebook(CONTEXT)
        command = ("python", "-c", REPL)
        workload = Workload("notebook", "notebook", "", command, env=part.env, files=part.files)
        return Inside(self.start(workload, said_to=True))

    def _lookup(self, workload: Workload, instance: str, reference: str) -> str:
        if reference == "host" and workload.role == "worker":
            return own_address(CONTEXT.name, instance)
        return super()._lookup(workload, instance, reference)


class Cluster:
    """The cluster as the hub sees it."""

    def __init__(self, site: AddressedSite, notebook: Inside) -> None:
        self.site = site
        self.notebook = notebook

    async def run(self, code: str) -> Any:
        """Have code run in the notebook."""
        return await self.notebook.run(code)

    async def heard(self) -> Any:
        """What came of the code that was said in the notebook."""
        return await asyncio.to_thread(self.notebook.hear)

    async def state(self) -> ClusterState:
        """What the launcher of the master says."""
        return SPARK.read_state(await send(self.site.url(DASHBOARD), SPARK.state_request(CONTEXT, ""), TOKEN))

    async def answers(self) -> bool:
        """Whether it says anything."""
        try:
            await self.state()
        except aiohttp.ClientError:
            return False
        return True

    async def rests(self) -> bool:
        """Whether it says that nothing runs."""
        return not (await self.state()).busy

    async def comes(self, *expected: WorkerState) -> None:
        """Wait until it says this of those workers, and of no others."""

        async def said() -> bool:
            return set(expected) == set((await self.state()).workers)

        await eventually(said, PATIENCE)

    async def grow(self, *instances: str) -> None:
        """Start workers and wait until the master knows them."""
        for instance in instances:
            self.site.start(WORKER, instance)

        async def there() -> bool:
            return set(map(WorkerState, instances)) <= set((await self.state()).workers)

        await eventually(there, PATIENCE)

    async def drain(self, *instances: str) -> None:
        """Ask workers to leave."""
        for request in SPARK.drain_requests(CONTEXT, instances):
            await send(self.site.url(DASHBOARD), request, TOKEN)

    def open_gate(self) -> None:
        """Let everything that is patient finish."""
        (self.site.home / "gate").touch()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AddressedSite]:
    """A workspace with a master; it may not answer yet."""
    if not workspace_python().exists():
        pytest.skip("the workspace environment is not installed")
    if not tools.java().path:
        pytest.skip(tools.java().reason)
    site = AddressedSite(tmp_path_factory.mktemp("site"))
    site.start(SCHEDULER)
    try:
        yield site
    finally:
        site.close()


@pytest.fixture
async def cluster(site: AddressedSite) -> AsyncIterator[Cluster]:
    """Two workers, and a notebook with a session that all tests share, for it takes long to start."""
    cluster = Cluster(site, site.notebook)
    await eventually(cluster.answers)
    for left in ("gate", "executed"):
        (site.home / left).unlink(missing_ok=True)
    await cluster.grow(*sorted({ONE, TWO} - site.instances))
    await cluster.comes(WorkerState(ONE), WorkerState(TWO))
    await cluster.run(FUNCTIONS)
    yield cluster
    for instance in site.instances & {THREE, FOUR, STRANGER}:
        site.end(instance)


async def test_a_bare_session_computes_on_the_workers_and_is_busy_only_while_it_does(
    cluster: Cluster,
) -> None:
    pairs = "sorted(context.parallelize(range(20), 4).map(square).reduceByKey(lambda a, b: a + b).collect())"
    sums = [[rest, sum(n * n for n in range(20) if n % 5 == rest)] for rest in range(5)]
    assert await cluster.run(pairs) == sums
    await cluster.comes(WorkerState(ONE), WorkerState(TWO))
    # A session that is only open is no work, as soon as the launcher has looked again.
    await eventually(cluster.rests)

    cluster.notebook.say("context.parallelize(range(2), 2).map(patient).sum()")
    await cluster.comes(WorkerState(ONE, busy=True), WorkerState(TWO, busy=True))
    assert (await cluster.state()).busy
    cluster.open_gate()
    assert await cluster.heard() == 2001
    await cluster.comes(WorkerState(ONE), WorkerState(TWO))


async def test_a_notebook_is_not_filled_with_warnings(cluster: Cluster) -> None:
    await cluster.run("session.range(10).count()")
    said = [line for line in cluster.site.log("notebook").read_text().splitlines() if line.strip()]
    assert said in ([], ["WARNING: Using incubator modules: jdk.incubator.vector"]), "the one is Java's own"


async def test_every_link_leads_somewhere_below_the_prefix(cluster: Cluster) -> None:
    await cluster.run("session.range(9).selectExpr('id % 3 k').groupBy('k').count().cache().count()")
    base = cluster.site.url(DASHBOARD)
    seen: set[str] = set()
    waiting = [PREFIX + "/"]
    async with aiohttp.ClientSession(headers=TOKEN) as session:
        while waiting:
            path = waiting.pop()
            if path in seen:
                continue
            seen.add(path)
            # What a relay that takes the prefix off sends.
            async with session.get(base + path.removeprefix(PREFIX), allow_redirects=False) as response:
                assert response.status in (200, 302), f"{path}: {response.status}"
                page = await response.text(errors="replace") if "html" in response.content_type else ""
                links = [response.headers["Location"]] if response.status == 302 else []
            links += re.findall(r"""(?:href|src)=["']([^"'#]+)["']""", page)
            for link in (link.replace("&amp;", "&") for link in links):
                target = urlsplit(urljoin(path, link))
                if target.netloc or target.scheme or re.search("/kill/", target.path):
                    assert target.netloc.endswith("apache.org") or not target.netloc, f"{link} on {path}"
                    continue
                assert target.path.startswith(PREFIX + "/"), f"{link} on {path}"
                waiting.append(target.path + (f"?{target.query}" if target.query else ""))
    pages = {
        "/app/",
        "/jobs/job/",
        "/stages/stage/",
        "/executors/",
        "/storage/",
        "/SQL/execution/",
        "/logPage/",
    }
    assert {page for page in pages | {".css", ".js"} if not any(page in path for path in seen)} == set()


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic eDp5"}])
async def test_nothing_is_shown_without_the_token(cluster: Cluster, headers: dict[str, str]) -> None:
    async with aiohttp.ClientSession(headers=headers) as session:
        for path in ("/", "/json/", "/proxy/app-1/", "/podium/state", "/environment/"):
            async with session.get(cluster.site.url(DASHBOARD, path)) as response:
                assert (response.status, await response.text()) == (401, "401 Unauthorized\n"), path
        for path in ("/podium/drain", "/workers/kill/"):
            async with session.post(cluster.site.url(DASHBOARD, path), json={"workers": []}) as response:
                assert response.status == 401


async def test_who_goes_past_the_guard_is_refused_by_master_worker_and_driver(cluster: Cluster) -> None:
    master = await send(cluster.site.url(DASHBOARD), Request("GET", "/json/"), TOKEN)
    worker = re.search(rb'"webuiaddress" : "([^"]+)"', master)
    assert worker
    driver = await cluster.run("context._jsc.sc().ui().get().webUrl()")
    signed = {"Authorization": f"Bearer {ui_token(CONTEXT.keys)}"}
    async with aiohttp.ClientSession() as session:
        for page in (cluster.site.url(PAGES), worker[1].decode(), driver):
            for headers, status in (({}, 403), (TOKEN, 403), (signed, 200)):
                async with session.get(page, headers=headers) as response:
                    assert response.status == status, page
            kill = page + "/workers/kill/"
            async with session.post(kill, data={"host": own_address(CONTEXT.name, ONE)}) as response:
                assert response.status in (403, 405)
    await cluster.comes(WorkerState(ONE), WorkerState(TWO))


async def test_nothing_listens_beyond_loopback(cluster: Cluster) -> None:
    await cluster.run("context.parallelize(range(4)).sum()")
    family = [psutil.Process(cluster.site.pid(name)) for name in (ONE, TWO, "spark-scheduler", "notebook")]
    family += [child for process in family for child in process.children(recursive=True)]
    listening = {
        connection.laddr.ip.removeprefix("::ffff:")
        for process in family
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {"127.0.0.1", *(own_address(CONTEXT.name, instance) for instance in (ONE, TWO))}


async def test_a_worker_without_the_secret_is_not_taken(cluster: Cluster) -> None:
    defaults = WORKER.files["spark/spark-defaults.conf"]
    wrong = re.sub("(spark.authenticate.secret) .*", r"\1 somethingelse", defaults)
    assert wrong != defaults
    stranger = replace(WORKER, name="stranger", files={**WORKER.files, "spark/spark-defaults.conf": wrong})
    cluster.site.start(stranger, STRANGER)

    async def refused() -> bool:
        return "Failed to connect to master" in cluster.site.log(STRANGER).read_text()

    await eventually(refused)
    assert STRANGER not in {worker.instance for worker in (await cluster.state()).workers}


@pytest.mark.parametrize("body", ["", "[]", "{}", '{"workers": "spark-worker-1"}', '{"workers": [1]}'])
async def test_a_drain_without_names_is_refused(cluster: Cluster, body: str) -> None:
    url = cluster.site.url(DASHBOARD, "/podium/drain")
    async with aiohttp.ClientSession(headers=TOKEN) as session, session.post(url, data=body) as response:
        assert response.status == 400


async def test_a_shrink_during_a_computation_loses_nothing_and_repeats_nothing(cluster: Cluster) -> None:
    await cluster.grow(THREE, FOUR)
    await eventually(lambda: cluster.run(EXECUTORS + " == 4"), PATIENCE)
    await cluster.run(
        "squares = context.parallelize(range(400), 16).map(square).cache()\n"
        "sums = squares.reduceByKey(lambda a, b: a + b, 4)\n"
        "before = sorted(sums.collect())"
    )
    assert await cluster.run("executed('square')") == 400
    cluster.notebook.say("sorted(context.parallelize(range(4), 4).map(patient).collect())")
    await cluster.comes(*(WorkerState(instance, busy=True) for instance in (ONE, TWO, THREE, FOUR)))

    await cluster.drain(THREE, FOUR)
    await cluster.drain(FOUR)  # asking again is harmless
    leaving = [WorkerState(instance, busy=True, draining=True) for instance in (THREE, FOUR)]
    await cluster.comes(WorkerState(ONE, busy=True), WorkerState(TWO, busy=True), *leaving)

    cluster.open_gate()
    assert await cluster.heard() == [1000, 1001, 1002, 1003]
    left = [WorkerState(instance, draining=True, drained=True) for instance in (THREE, FOUR)]
    await cluster.comes(WorkerState(ONE), WorkerState(TWO), *left)
    for instance in (THREE, FOUR):
        assert cluster.site.running(instance), "ending it is the hub's to do"
        cluster.site.end(instance)
    await cluster.comes(WorkerState(ONE), WorkerState(TWO))

    assert await cluster.run("sorted(sums.collect()) == before")
    assert await cluster.run("squares.count()") == 400
    stored = (
        "[i.numCachedPartitions() for i in context._jsc.sc().getRDDStorageInfo() if i.name() == 'PythonRDD']"
    )
    assert await cluster.run(stored) == [16]
    assert await cluster.run("[executed('square'), executed('patient')]") == [400, 4]


async def test_a_worker_that_is_ended_by_others_gives_its_blocks_away_first(cluster: Cluster) -> None:
    await cluster.grow(THREE)
    await eventually(lambda: cluster.run(EXECUTORS + " == 3"), PATIENCE)
    await cluster.run("kept = context.parallelize(range(300), 12).map(square).cache(); kept.count()")
    assert await cluster.site.leave(WORKER, THREE) == (0, f"{THREE} may end: it is drained\n")
    assert cluster.site.running(THREE)
    cluster.site.end(THREE)
    await cluster.comes(WorkerState(ONE), WorkerState(TWO))
    assert await cluster.run("kept.count()") == 300
    assert await cluster.run("executed('square')") == 300


async def test_a_computation_outlives_the_master(cluster: Cluster) -> None:
    cluster.notebook.say("context.parallelize(range(4), 2).map(patient).sum()")
    await cluster.comes(WorkerState(ONE, busy=True), WorkerState(TWO, busy=True))
    # The launcher alone; the next one has to see to what it left.
    psutil.Process(cluster.site.pid("spark-scheduler")).kill()
    cluster.site.end("spark-scheduler")
    cluster.site.start(SCHEDULER)
    await eventually(cluster.answers)
    await cluster.comes(WorkerState(ONE, busy=True), WorkerState(TWO, busy=True))
    cluster.open_gate()
    assert await cluster.heard() == 4006
    assert await cluster.run("context.parallelize(range(9)).sum()") == 36


async def test_a_worker_that_was_killed_is_replaced_under_its_name(cluster: Cluster) -> None:
    psutil.Process(cluster.site.pid(ONE)).kill()
    cluster.site.end(ONE)
    await cluster.comes(WorkerState(TWO))
    await cluster.grow(ONE)
    assert await cluster.run("context.parallelize(range(9)).sum()") == 36


async def test_a_worker_does_not_wait_for_a_master_that_is_gone(cluster: Cluster) -> None:
    cluster.site.end("spark-scheduler")
    code, said = await cluster.site.leave(WORKER, ONE)
    assert code == 0
    assert said.startswith(f"{ONE} may end: the scheduler is away: ")
    cluster.site.start(SCHEDULER)
    await eventually(cluster.answers)
    await cluster.comes(WorkerState(ONE), WorkerState(TWO))
