"""The one loop, in dialogues: clusters grow, shrink, come and go while people work on them."""

from __future__ import annotations

import asyncio

from tests.builders import NAME
from tests.faults import Failure
from tests.simulation import ONE_CLUSTER, in_simulation
from tests.virtual import now


@in_simulation()
async def test_growing_starts_what_is_missing_and_nothing_else(s):
    await s.launch(dask=2)
    await s.settle()
    await s.ask(clusters={"dask": 5})
    await s.settle()
    assert s.running().keys() == ONE_CLUSTER | {"dask-worker-3", "dask-worker-4", "dask-worker-5"}
    assert len(s.world.started) == len(set(s.world.started)) == 7


@in_simulation()
async def test_shrinking_drains_the_newest_idle_ones(s):
    await s.launch(dask=5)
    await s.settle()
    s.work("dask-worker-5")
    await s.ask(clusters={"dask": 2})
    await s.settle()
    assert s.running().keys() == ONE_CLUSTER - {"dask-worker-2"} | {"dask-worker-5"}


@in_simulation()
async def test_a_shrink_ends_nobody_who_is_not_drained(s):
    await s.launch(dask=2)
    await s.settle()
    s.work("dask-worker-1", "dask-worker-2")
    await s.ask(clusters={"dask": 1})
    await s.until("it is asked to finish", lambda: any(w.draining for w in s.state(NAME, "dask").workers))
    await asyncio.sleep(200)
    assert {"dask-worker-1", "dask-worker-2"} <= s.running().keys(), "for as long as it takes"
    assert s.get().status.clusters["dask"].ready == 1
    s.work("dask-worker-1")
    await s.settle()
    assert "dask-worker-1" in s.running()


@in_simulation()
async def test_busy_engines_are_never_asked_to_go(s):
    await s.launch(ipyparallel=3)
    await s.settle()
    everyone = [f"ipyparallel-worker-{number}" for number in (1, 2, 3)]
    s.work(*everyone)
    await s.ask(clusters={"ipyparallel": 1})
    await asyncio.sleep(100)
    assert not any(worker.draining for worker in s.state(NAME, "ipyparallel").workers)
    assert set(everyone) <= s.running().keys()
    s.work("ipyparallel-worker-2")
    await s.settle()
    assert "ipyparallel-worker-2" in s.running()


@in_simulation()
async def test_a_change_of_mind_while_it_drains(s):
    await s.launch(dask=4)
    await s.settle()
    s.work("dask-worker-3", "dask-worker-4")
    await s.ask(clusters={"dask": 0})
    await s.until("they drain", lambda: all(w.draining for w in s.state(NAME, "dask").workers))
    await s.ask(clusters={"dask": 3})
    s.work()
    await s.settle()


@in_simulation()
async def test_while_the_scheduler_is_silent_nothing_shrinks_but_it_may_grow(s):
    await s.launch(dask=2)
    await s.settle()
    s.silent = True
    await s.ask(clusters={"dask": 0})
    await asyncio.sleep(100)
    assert s.running().keys() == ONE_CLUSTER
    await s.ask(clusters={"dask": 3})
    await s.until("it grows", lambda: "dask-worker-3" in s.running())
    s.silent = False
    await s.settle()


@in_simulation()
async def test_a_drain_that_is_refused_is_asked_again_and_hinders_nothing_else(s):
    await s.launch(dask=2)
    await s.settle()
    refused = []
    drain = s.drain

    def refuse(*arguments):
        refused.append(arguments)
        if len(refused) < 5:
            raise Failure("no")
        drain(*arguments)

    s.drain = refuse
    await s.ask(clusters={"dask": 1})
    before = now()
    await s.until("it is reported", lambda: s.get().status.clusters["dask"].workers == 1)
    assert len(refused) < 5, "though it is still refused"
    await s.until("it is asked again", lambda: len(refused) == 5)
    assert now() - before < 5
    await s.settle()


@in_simulation()
async def test_a_scheduler_without_an_address_is_asked_once_it_has_one(s):
    await s.launch(dask=2)
    await s.settle()
    s.hidden = {"dask-scheduler.dashboard"}
    await s.ask(clusters={"dask": 1})
    await asyncio.sleep(100)
    assert s.running().keys() == ONE_CLUSTER
    s.hidden = set()
    await s.settle()


@in_simulation()
async def test_without_a_scheduler_workers_hold_nothing_and_may_go(s):
    await s.launch(dask=3)
    await s.settle()
    s.program("dask-scheduler").running = s.program("dask-scheduler").ready = False
    await s.ask(clusters={"dask": 1})
    await s.until("they end", lambda: len([i for i in s.running() if "worker" in i]) == 1)
    s.program("dask-scheduler").running = s.program("dask-scheduler").ready = True
    await s.settle()


@in_simulation()
async def test_clusters_are_added_and_removed_live(s):
    await s.launch(dask=1)
    await s.settle()
    notebook = s.program("notebook").pid
    await s.ask(clusters={"dask": 1, "spark": 2, "ipyparallel": 0})
    await s.settle()
    await s.ask(clusters={"ipyparallel": 0})
    await s.settle()
    assert s.running().keys() == {"notebook", "ipyparallel-scheduler"}
    assert s.program("notebook").pid == notebook
