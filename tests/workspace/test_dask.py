"""Dask as a workspace runs it: a real scheduler, real workers over TLS, a real client."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import AsyncIterator
from functools import partial
from urllib.parse import urljoin, urlsplit

import aiohttp
import pytest

from hub.clusters.base import ClusterState, WorkerState
from hub.clusters.dask import DASK
from hub.ports import HOST
from tests.workspace.conftest import CONTEXT, Inside, Site, eventually, send

pytestmark = pytest.mark.slow

TOKEN = dict(DASK.headers(CONTEXT.keys))
PREFIX = DASK.route(CONTEXT)
DASHBOARD = "dask-scheduler.dashboard"

FUNCTIONS = """
import os, time
from distributed import Client, wait
client = Client()

def note(word):
    with open("executed", "a") as file:
        file.write(word + "\\n")

def square(number):
    note(f"square {number}")
    return number * number

def patient(number, deps=None):
    note(f"patient {number}")
    while not os.path.exists("gate"):
        time.sleep(0.02)
    return number + 1000

def executed(word):
    return sum(line.startswith(word) for line in open("executed")) if os.path.exists("executed") else 0
"""


class Cluster:
    """The cluster as the hub sees it, and a client as a notebook has it."""

    def __init__(self, site: Site, client: Inside) -> None:
        self.site = site
        self.client = client
        self.worker = DASK.worker(CONTEXT, 3)

    async def state(self, since: str = "") -> ClusterState:
        """What the scheduler says."""
        request = DASK.state_request(CONTEXT, since)
        return DASK.read_state(await send(self.site.url(DASHBOARD), request, TOKEN))

    async def worker_state(self, instance: str) -> WorkerState | None:
        """What the scheduler says of one worker."""
        return next((w for w in (await self.state()).workers if w.instance == instance), None)

    async def grow(self, *instances: str) -> None:
        """Start workers and wait until the scheduler knows them."""
        for instance in instances:
            self.site.start(self.worker, instance)
        for instance in instances:
            await eventually(partial(self.worker_state, instance))

    async def drain(self, *instances: str) -> None:
        """Ask workers to finish."""
        for request in DASK.drain_requests(CONTEXT, instances):
            await send(self.site.url(DASHBOARD), request, TOKEN)

    async def drained(self, instance: str) -> bool:
        """Whether a worker may be ended."""
        worker = await self.worker_state(instance)
        return worker is not None and worker.drained

    async def end(self, *instances: str) -> None:
        """End workers and wait until the scheduler has noticed."""
        for instance in instances:
            self.site.end(instance)
        for instance in instances:

            async def gone(instance: str = instance) -> bool:
                return await self.worker_state(instance) is None

            await eventually(gone)


@pytest.fixture(scope="module")
def scheduler(site: Site) -> Site:
    """A scheduler; it may not answer yet."""
    site.start(DASK.scheduler(CONTEXT))
    return site


@pytest.fixture
async def cluster(scheduler: Site) -> AsyncIterator[Cluster]:
    """A scheduler that answers, and a client; workers are the tests' to start and end."""

    async def answers() -> bool:
        try:
            await send(scheduler.url(DASHBOARD), DASK.state_request(CONTEXT, ""), TOKEN)
        except aiohttp.ClientError:
            return False
        return True

    await eventually(answers)
    for left in ("gate", "executed"):
        (scheduler.home / left).unlink(missing_ok=True)
    client = scheduler.inside(DASK.notebook(CONTEXT))
    await client.run(FUNCTIONS)
    cluster = Cluster(scheduler, client)
    yield cluster
    await client.run("client.close()")
    await cluster.end(*[w.instance for w in (await cluster.state()).workers])


async def test_a_bare_client_computes_on_the_workers_and_knows_its_dashboard(cluster: Cluster) -> None:
    await cluster.grow("dask-worker-1")
    assert await cluster.client.run("client.submit(square, 12).result()") == 144
    assert await cluster.client.run("client.dashboard_link") == "/cluster-abc123_dask/status"
    info = await cluster.client.run(
        "[[w['name'], w['nthreads'], w['memory_limit']] for w in client.scheduler_info()['workers'].values()]"
    )
    assert info == [["dask-worker-1", 1, 512 * 2**20]]


async def test_a_worker_finds_modules_of_the_home_folder_but_no_false_dask(cluster: Cluster) -> None:
    (cluster.site.home / "helper.py").write_text("value = 'helped'")
    (cluster.site.home / "dask.py").write_text("raise SystemExit('this is no Dask')")
    try:
        await cluster.grow("dask-worker-1")
        assert (
            await cluster.client.run(
                "def use():\n    import helper\n    return helper.value\nclient.submit(use).result()"
            )
            == "helped"
        )
    finally:
        (cluster.site.home / "dask.py").unlink()


async def test_who_does_not_speak_tls_with_our_certificate_is_refused(cluster: Cluster) -> None:
    port = urlsplit(cluster.site.url("dask-scheduler.comm")).port
    stranger = cluster.site.inside()
    with pytest.raises(RuntimeError, match=r"^(OSError|CommClosedError): "):
        await stranger.run(
            f"from distributed import Client; Client('tcp://{HOST}:{port}', timeout=2).scheduler_info()"
        )
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

    def knock() -> bytes:
        with (
            socket.create_connection((HOST, port or 0)) as plain,
            context.wrap_socket(plain) as encrypted,
        ):
            return encrypted.recv(1)

    with pytest.raises(OSError):  # noqa: PT011 - an alert or a reset, as the moment has it
        await asyncio.to_thread(knock)


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic eDp5"}])
async def test_the_dashboard_answers_nothing_without_the_token(
    cluster: Cluster, headers: dict[str, str]
) -> None:
    async with aiohttp.ClientSession(headers=headers) as session:
        for path in ("/", f"{PREFIX}/status", "/health", f"{PREFIX}/podium/state", "/nowhere"):
            async with session.get(cluster.site.url(DASHBOARD, path)) as response:
                assert (response.status, await response.read()) == (401, b""), path
        async with session.get(cluster.site.url(DASHBOARD, f"{PREFIX}/health")) as response:
            assert (response.status, await response.read()) == (204, b""), "that it answers is no secret"
        async with session.post(cluster.site.url(DASHBOARD, f"{PREFIX}/podium/drain"), json={}) as response:
            assert response.status == 401
        with pytest.raises(aiohttp.WSServerHandshakeError, match="401"):
            await session.ws_connect(cluster.site.url(DASHBOARD, f"{PREFIX}/status/ws"))


async def test_plots_live_over_a_websocket_with_the_token(cluster: Cluster) -> None:
    async with aiohttp.ClientSession(headers=TOKEN) as session:
        async with session.get(cluster.site.url(DASHBOARD, f"{PREFIX}/status")) as response:
            found = re.search(r'"token":"([^"]+)"', await response.text())
        assert found
        socket_url = cluster.site.url(DASHBOARD, f"{PREFIX}/status/ws")
        async with session.ws_connect(socket_url, protocols=("bokeh", found[1])) as channel:
            assert "ACK" in (await channel.receive_str())


async def test_every_link_of_the_dashboard_leads_somewhere_below_its_prefix(cluster: Cluster) -> None:
    await cluster.grow("dask-worker-1")
    await cluster.client.run("kept = client.submit(square, 3); kept.result()")
    first = ["/", "", "/status", "/info", "/individual-plots.json", "/json/index.html"]
    seen: set[str] = set()
    waiting = [cluster.site.url(DASHBOARD, PREFIX + path) for path in first]
    async with aiohttp.ClientSession(headers=TOKEN) as session:
        while waiting:
            url = waiting.pop()
            if url in seen:
                continue
            seen.add(url)
            async with session.get(url) as response:
                assert response.status == 200, url
                page = await response.text(errors="replace") if "html" in response.content_type else ""
                here = str(response.url)
            for link in re.findall(r"""(?:href|src)=["']([^"'#]+)["']""", page):
                target = urljoin(here, link)
                if target.startswith(cluster.site.url(DASHBOARD)):
                    assert urlsplit(target).path.startswith(PREFIX), f"{link} on {here}"
                    waiting.append(target)
    assert any("/info/worker/" in url for url in seen)
    assert any(url.endswith("bokeh.min.js") or "bokeh.min.js?" in url for url in seen)


async def test_the_state_is_held_until_a_worker_comes(cluster: Cluster) -> None:
    before = await cluster.state()
    assert before.workers == ()
    held = asyncio.create_task(cluster.state(before.version))
    cluster.site.start(cluster.worker, "dask-worker-7")
    after = await held
    assert [worker.instance for worker in after.workers] == ["dask-worker-7"]
    assert after.version != before.version


async def test_work_makes_the_cluster_and_its_worker_busy_until_it_is_done(cluster: Cluster) -> None:
    await cluster.client.run("waits = client.submit(patient, 1)")

    async def waits() -> bool:
        return (await cluster.state()).busy

    await eventually(waits)
    await cluster.grow("dask-worker-1")

    async def busy() -> bool:
        worker = await cluster.worker_state("dask-worker-1")
        return worker is not None and worker.busy

    await eventually(busy)
    (cluster.site.home / "gate").touch()
    assert await cluster.client.run("waits.result()") == 1001

    async def idle() -> bool:
        state = await cluster.state()
        return not state.busy and not state.workers[0].busy

    await eventually(idle)


async def test_a_shrink_during_a_computation_loses_nothing_and_repeats_nothing(cluster: Cluster) -> None:
    await cluster.grow("dask-worker-1", "dask-worker-2", "dask-worker-3")
    await cluster.client.run(
        "squares = client.map(square, range(60)); wait(squares)\n"
        "data = client.scatter(list(range(500, 530)))\n"
        # Waits in the queues of the workers themselves, where the scheduler alone cannot move it from.
        "held = client.map(patient, range(30), deps=squares[0], workers=['dask-worker-2', 'dask-worker-3'],"
        "                  allow_other_workers=True)"
    )
    await eventually(lambda: cluster.client.run("executed('patient') >= 2"))
    executing = await cluster.client.run("executed('patient')")

    await cluster.drain("dask-worker-2", "dask-worker-3")
    await cluster.drain("dask-worker-3")  # asking again is harmless

    everything_elsewhere = (
        "workers = client.scheduler_info()['workers'].items()\n"
        "staying = {address for address, worker in workers if worker['name'] == 'dask-worker-1'}\n"
        "all(staying & set(holders) for holders in client.who_has(squares + data).values())"
    )
    await eventually(lambda: cluster.client.run(everything_elsewhere))
    # Dask takes the two for retired now; what they execute ends only after that.
    nobody_retires = (
        "def policies(dask_scheduler): return [str(p) for p in dask_scheduler.extensions['amm'].policies]\n"
        "not any('RetireWorker' in policy for policy in client.run_on_scheduler(policies))"
    )
    await eventually(lambda: cluster.client.run(nobody_retires))
    for instance in ("dask-worker-2", "dask-worker-3"):
        worker = await cluster.worker_state(instance)
        assert worker is not None
        assert worker.draining
        assert worker.busy, "it executes"
        assert not worker.drained, "it executes"
    assert executing <= 3

    (cluster.site.home / "gate").touch()
    for instance in ("dask-worker-2", "dask-worker-3"):
        await eventually(partial(cluster.drained, instance))
        assert cluster.site.running(instance), "ending it is the hub's to do"
    await cluster.end("dask-worker-2", "dask-worker-3")

    assert await cluster.client.run("client.gather(held)") == [1000 + n for n in range(30)]
    assert await cluster.client.run("client.gather(squares)") == [n * n for n in range(60)]
    assert await cluster.client.run("client.gather(data)") == list(range(500, 530))
    assert await cluster.client.run("[executed('square'), executed('patient')]") == [60, 30]


async def test_a_worker_whose_data_nobody_can_take_works_on_until_somebody_can(cluster: Cluster) -> None:
    await cluster.grow("dask-worker-1")
    await cluster.client.run("data = client.scatter([1, 2, 3])")
    await cluster.drain("dask-worker-1")
    assert await cluster.client.run("client.submit(sum, data).result()") == 6
    worker = await cluster.worker_state("dask-worker-1")
    assert worker is not None
    assert (worker.draining, worker.drained) == (True, False)
    assert "could not be moved" not in cluster.site.log("dask-scheduler").read_text(), "it was not even tried"

    await cluster.grow("dask-worker-2")
    await eventually(lambda: cluster.drained("dask-worker-1"))
    await cluster.end("dask-worker-1")
    assert await cluster.client.run("client.gather(data)") == [1, 2, 3]


async def test_all_workers_may_leave_when_there_is_nothing_to_lose(cluster: Cluster) -> None:
    await cluster.grow("dask-worker-1", "dask-worker-2")
    await cluster.drain("dask-worker-1", "dask-worker-2", "dask-worker-99")
    for instance in ("dask-worker-1", "dask-worker-2"):
        await eventually(partial(cluster.drained, instance))


async def test_a_new_worker_under_an_old_name_is_not_draining(cluster: Cluster) -> None:
    await cluster.grow("dask-worker-1")
    await cluster.drain("dask-worker-1")
    await eventually(lambda: cluster.drained("dask-worker-1"))
    await cluster.end("dask-worker-1")
    await cluster.grow("dask-worker-1")
    assert await cluster.worker_state("dask-worker-1") == WorkerState("dask-worker-1")


@pytest.mark.parametrize("body", ["", "[]", "{}", '{"workers": "dask-worker-1"}', '{"workers": [1]}'])
async def test_a_drain_without_names_is_refused(cluster: Cluster, body: str) -> None:
    url = cluster.site.url(DASHBOARD, f"{PREFIX}/podium/drain")
    async with aiohttp.ClientSession(headers=TOKEN) as session, session.post(url, data=body) as response:
        assert response.status == 400


async def test_a_worker_that_is_ended_by_others_gives_its_data_away_first(cluster: Cluster) -> None:
    await cluster.grow("dask-worker-1", "dask-worker-2")
    await cluster.client.run(
        "squares = client.map(square, range(20)); wait(squares)\n"
        "data = client.scatter(list(range(30)), workers=['dask-worker-2'])"
    )
    left = await cluster.site.leave(cluster.worker, "dask-worker-2")
    assert left == (0, "dask-worker-2 may end: it is drained\n")
    assert cluster.site.running("dask-worker-2")
    await cluster.end("dask-worker-2")
    assert await cluster.client.run("client.gather(data)") == list(range(30))
    assert await cluster.client.run("client.gather(squares)") == [n * n for n in range(20)]
    assert await cluster.client.run("executed('square')") == 20
    # It is not there any more, so there is nothing to wait for.
    left = await cluster.site.leave(cluster.worker, "dask-worker-2")
    assert left == (0, "dask-worker-2 may end: the scheduler does not know it\n")


async def test_a_worker_does_not_wait_for_a_scheduler_that_is_gone(cluster: Cluster) -> None:
    await cluster.grow("dask-worker-1")
    await cluster.client.run("data = client.scatter([1, 2, 3])")
    leaving = asyncio.create_task(cluster.site.leave(cluster.worker, "dask-worker-1"))

    async def asked() -> bool:
        worker = await cluster.worker_state("dask-worker-1")
        return worker is not None and worker.draining

    await eventually(asked)
    assert not leaving.done(), "nobody can take its data"
    cluster.site.end("dask-scheduler")
    code, said = await leaving
    assert code == 0
    assert said.splitlines()[-1].startswith("dask-worker-1 may end: the scheduler is away: ")
    cluster.site.end("dask-worker-1")
    cluster.site.start(DASK.scheduler(CONTEXT))

    async def answers() -> bool:
        try:
            return bool((await cluster.state()).version)
        except aiohttp.ClientError:
            return False

    await eventually(answers)
