"""What probes are told: by a process that waits for something, is well, has hung, or is to end."""

from __future__ import annotations

import asyncio
import contextlib

import aiohttp

from hub.controller import LONGEST_LOOK
from hub.health import Health, answering
from hub.metrics import Figures
from tests.running import free_port
from tests.simulation import in_simulation
from tests.waiting import until

HOST = "127.0.0.1"
WELL = (200, {"status": "ok"})


def failing(*what):
    """The answer that names these."""
    return 503, {"status": "failing", "failing": list(what)}


@contextlib.asynccontextmanager
async def knowing(health):
    """While it waits for what has to be there first."""
    task = asyncio.create_task(health.run())
    yield
    assert not task.done(), "it runs until cancelled, as every part of a hub does"
    task.cancel()
    await asyncio.wait([task])


async def test_it_is_ready_once_everything_was_there():
    store, cluster = asyncio.Event(), asyncio.Event()
    health = Health(None, {"store": store.wait, "cluster": cluster.wait})
    assert health.answer("/readyz") == failing("store", "cluster"), "before anything runs"
    async with knowing(health):
        assert health.answer("/healthz") == WELL
        store.set()
        await until("the store is there", lambda: health.answer("/readyz") == failing("cluster"))
        cluster.set()
        await until("it is ready", lambda: health.answer("/readyz") == WELL)
        store.clear()
        assert health.answer("/readyz") == WELL, "once is enough"


async def test_who_is_to_end_is_alive_and_not_ready():
    stop = asyncio.Event()
    health = Health(stop)
    assert health.answer("/readyz") == WELL
    stop.set()
    assert health.answer("/readyz") == failing("stopping")
    assert health.answer("/healthz") == WELL


async def test_who_has_hung_is_neither():
    health = Health()
    health.works = lambda: False
    assert health.answer("/healthz") == health.answer("/readyz") == failing("work")


async def test_it_is_told_at_a_port_without_sign_in():
    stop, port = asyncio.Event(), free_port()
    health, figures = Health(stop), Figures()

    async def ask(path):
        async with session.get(f"http://{HOST}:{port}{path}") as answer:
            return answer.status, answer.content_type, await answer.text()

    async with aiohttp.ClientSession() as session:
        async with answering(health, figures, HOST, port):
            assert await ask("/healthz") == (200, "application/json", '{"status": "ok"}')
            stop.set()
            said = '{"status": "failing", "failing": ["stopping"]}'
            assert await ask("/readyz") == (503, "application/json", said)
            status, kind, page = await ask("/metrics")
            assert (status, kind) == (200, "text/plain")
            assert "process_cpu_seconds_total" in page
            assert (await ask("/"))[0] == 404
        with contextlib.suppress(aiohttp.ClientConnectionError):
            assert not await ask("/healthz"), "nobody listens there any more"


# The controller's work.


@in_simulation()
async def test_a_controller_works_for_hours(s):
    await s.launch(dask=None)
    await s.settle()
    await asyncio.sleep(3 * 3600)
    assert s.controller.works()


@in_simulation()
async def test_a_controller_whose_look_never_ends_does_not_work(s):
    s.meanwhile = asyncio.Event().wait
    await s.launch()
    await asyncio.sleep(LONGEST_LOOK - 10)
    assert s.controller.works(), "something may take its time"
    await asyncio.sleep(20)
    assert not s.controller.works()


@in_simulation()
async def test_a_controller_that_fails_all_the_time_works(s):
    await s.launch()
    await s.settle()
    s.blind = set(s.objects)
    await asyncio.sleep(2 * LONGEST_LOOK)
    assert s.controller.works(), "what fails may be away, and another start would not help"
