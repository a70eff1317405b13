"""The one loop, in dialogues between people and a reality in memory: a workspace's life.

Time is virtual (`virtual.py`), so hours pass at once and every run is the same.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from hub.notebook import NotebookState
from tests.builders import NAME, NOW
from tests.memory_backend import LAST_WORDS
from tests.simulation import ONE_CLUSTER, OTHER, Simulation, in_simulation
from tests.virtual import now


def steps(s: Simulation, name: str = NAME) -> list[str]:
    """The way through the phases."""
    return [f"{entry.phase}/{entry.reason}" for entry in s.get(name).status.history]


# Launching.


@in_simulation()
async def test_a_click_leads_to_a_notebook_and_its_cluster(s):
    await s.launch(dask=None)
    await s.settle()
    assert s.running().keys() == ONE_CLUSTER
    assert s.routes == {f"/{NAME}": f"http://notebook.{NAME}:8888"}
    assert steps(s) == ["Queued/", "Starting/StartingNotebook", "Ready/"]
    status = s.get().status
    assert (status.url, status.workers) == (f"/{NAME}/", 2)
    assert status.endpoints["dask"] == f"http://dask-scheduler.{NAME}:8787"
    assert s.world.started.count((NAME, "notebook")) == 1


@in_simulation()
async def test_ready_is_said_only_when_the_notebook_answers_at_its_address(s):
    s.reachable = False
    await s.launch()
    await s.until("it waits", lambda: s.get().status.reason == "OpeningRoute")
    await asyncio.sleep(10)
    assert s.get().status.reason == "OpeningRoute"
    s.reachable = True
    before = now()
    await s.until("it is ready", lambda: s.get().status.phase == "Ready")
    assert now() - before < 1, "it is asked again and again"


@in_simulation()
async def test_a_ready_notebook_is_not_asked_again(s):
    await s.launch()
    await s.settle()
    s.reachable = False
    await asyncio.sleep(120)
    assert s.get().status.phase == "Ready", "a proxy that is away for a moment changes nothing"


@in_simulation()
async def test_nothing_is_written_while_nothing_changes(s):
    await s.launch(dask=None)
    await s.settle()
    version = s.get().metadata.resource_version
    await asyncio.sleep(3000)
    assert s.get().metadata.resource_version == version


@in_simulation()
async def test_workspaces_do_not_touch_each_other(s):
    await s.launch(dask=1)
    await s.launch(OTHER, dask=2)
    await s.until("both are as asked", lambda: s.settled() and s.settled(OTHER))
    await s.store.delete(NAME)
    await s.settle()
    assert s.settled(OTHER)
    assert s.routes.keys() == {f"/{OTHER}"}


@in_simulation()
async def test_many_launches_at_once(s):
    names = [f"cluster-many{number:02}" for number in range(40)]
    for name in names:
        await s.launch(name, dask=2)
    for name in names:
        await s.until(f"{name} runs", lambda name=name: s.settled(name))
    assert len(s.world.started) == len(set(s.world.started)) == 40 * 4


@in_simulation(unavailable={"spark": "There is no Java."})
async def test_what_cannot_run_here_is_told_and_everything_else_works(s):
    await s.launch(dask=1, spark=1)
    await s.settle()
    assert s.get().status.clusters["spark"].message == "There is no Java."
    assert not [instance for instance in s.running() if instance.startswith("spark")]


# Things that end by themselves.


@in_simulation()
async def test_a_program_that_is_killed_comes_back_and_the_page_shows_it(s):
    await s.launch(dask=2)
    await s.settle()
    s.kill("notebook")
    await s.until("it is told", lambda: s.get().status.reason == "RestartingNotebook")
    assert s.routes == {}, "nobody is sent to where nothing answers"
    assert s.get().status.log == (LAST_WORDS,)
    await s.settle()
    s.kill("dask-worker-1")
    await s.until("it is told", lambda: s.get().status.clusters["dask"].ready == 1)
    await s.settle()
    s.kill("dask-scheduler")
    await s.until("it is told", lambda: s.get().status.clusters["dask"].ready == 0)
    await s.settle()
    assert steps(s) == [
        *("Queued/", "Starting/StartingNotebook", "Ready/"),
        *("Starting/RestartingNotebook", "Ready/"),
    ]


@in_simulation()
async def test_a_change_that_nobody_told_of_is_found_in_half_a_minute(s):
    await s.launch(dask=2)
    await s.settle()
    del s.world.places[NAME].programs["dask-worker-2"]
    before = now()
    await s.until("it is made good", lambda: "dask-worker-2" in s.running())
    assert now() - before <= 31


@in_simulation()
async def test_a_launch_that_crashes_is_cleaned_up_and_stays_failed(s):
    s.world.start = crashing(s.world.start)
    await s.launch(dask=1)
    await s.settle()
    status = s.get().status
    assert (status.phase, status.reason, status.log) == ("Failed", "NotebookCrashed", (LAST_WORDS,))
    assert s.world.places == {}
    assert s.routes == {}
    started = len(s.world.started)
    await s.restart()
    await asyncio.sleep(1000)
    assert s.get().status == status
    assert len(s.world.started) == started
    await asyncio.sleep(2660)
    assert s.objects == {}, "after an hour it is taken away"


def crashing(start):
    def start_and_crash(name, program):
        start(name, program)
        if program.name == "notebook":
            asyncio.get_running_loop().call_soon(s_crash, name, program)

    def s_crash(name, program):
        start.__self__.crash(name, program, program.pid)

    return start_and_crash


@in_simulation()
async def test_a_launch_that_takes_too_long_fails(s):
    s.reachable = False
    await s.launch(dask=1)
    await asyncio.sleep(299)
    assert s.get().status.phase == "Starting"
    await s.until("it fails", lambda: s.get().status.phase == "Failed" and NAME not in s.world.places)
    assert 300 <= now() <= 332
    assert s.get().status.reason == "LaunchTimeout"
    await s.settle()


# Time.


@in_simulation()
async def test_when_its_time_is_up_it_ends(s):
    await s.launch(dask=2)
    await s.settle()
    s.notebook = NotebookState(busy=True)
    await s.ask(expires=NOW + timedelta(seconds=1000))
    s.world.pace = 5
    await asyncio.sleep(999 - now())
    assert not s.get().deleting
    await s.until("it stops", lambda: s.get().deleting)
    await s.until("it says why", lambda: s.get().status.reason == "time")
    assert 1000 <= now() <= 1001, "to the second"
    assert s.get().status.message.startswith("Its time is up")
    await s.settle()
    assert s.objects == {}


@in_simulation()
async def test_when_nobody_uses_it_it_ends(s):
    await s.launch()
    await s.settle()
    await asyncio.sleep(3000)
    await s.ask(touched=s.now())
    touched = now()
    await asyncio.sleep(3599)
    assert s.settled()
    await s.until("it stops", lambda: NAME not in s.objects)
    assert 3600 <= now() - touched <= 3605


@pytest.mark.parametrize("what", ["a cell", "a cluster", "an unknown notebook"])
def test_work_keeps_it(what):
    @in_simulation()
    async def dialogue(s):
        await s.launch(dask=2)
        await s.settle()
        if what == "a cell":
            s.notebook = NotebookState(busy=True)
        elif what == "a cluster":
            s.work("dask-worker-1")
        else:
            s.notebook = None
        await asyncio.sleep(4000)
        assert s.settled()
        s.notebook = NotebookState()
        s.work()
        if what != "an unknown notebook":
            await asyncio.sleep(3400)
            assert s.settled()
            await asyncio.sleep(180)
        await s.until("it ends", lambda: s.objects == {})

    dialogue()


# Going.


@in_simulation()
async def test_a_workspace_is_gone_only_when_nothing_is_left_of_it(s):
    await s.launch(dask=2)
    await s.settle()
    s.world.pace = 20
    await s.store.delete(NAME)
    await s.until("it says so", lambda: s.get().status.phase == "Stopping")
    assert s.routes == {}
    await asyncio.sleep(15)
    assert s.get().status.phase == "Stopping"
    assert s.running().keys() == ONE_CLUSTER
    await s.settle()
    assert s.objects == {}
    assert NAME in s.forgotten


@in_simulation()
async def test_an_object_that_is_deleted_behind_its_back_takes_everything_with_it(s):
    await s.launch(dask=2)
    await s.settle()
    del s.objects[NAME]
    await s.until("all ends", lambda: s.world.places == {} and s.routes == {})
    assert NAME in s.forgotten


@in_simulation()
async def test_a_name_has_a_second_life_while_the_first_still_ends(s):
    await s.launch(dask=2)
    await s.settle()
    first = s.program("notebook").pid
    s.world.pace = 10
    del s.objects[NAME]
    await s.until("it ends", lambda: s.world.places[NAME].removing)
    await s.launch(dask=2)
    s.world.pace = 0.5
    await s.settle()
    assert s.program("notebook").pid != first


@in_simulation()
async def test_deleting_while_it_starts(s):
    await s.launch(dask=2)
    await s.until("it starts", lambda: s.running())
    await s.store.delete(NAME)
    await s.settle()


@in_simulation()
async def test_an_orphan_whose_removal_fails_is_tried_again(s):
    await s.launch(dask=1)
    await s.settle()
    forget, failed = s.world._forget, []

    def fail_once(name):
        if failed:
            forget(name)
        else:
            failed.append(name)
            s.world.places[name].removing = False

    s.world._forget = fail_once
    del s.objects[NAME]
    await s.until("it is tried again", lambda: s.world.places == {})
    assert failed == [NAME]
