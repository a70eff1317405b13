"""The one loop: dialogues between people, controller and a reality in memory; then everything goes wrong.

Time is virtual (`virtual.py`), so hours pass at once and every run is the same.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from hub.errors import Conflict
from hub.model import replace as change
from hub.notebook import NotebookState
from tests.builders import NAME, NOW
from tests.memory_backend import LAST_WORDS, Place, Program
from tests.simulation import Failure, Faults, Simulation, simulation
from tests.virtual import VirtualLoop, now, simulate
from tests.contract.benches import workers as some_workers

OTHER = "cluster-zzz999"
ONE_CLUSTER = {"notebook", "dask-scheduler", "dask-worker-1", "dask-worker-2"}


def in_simulation(**options: Any) -> Callable[[Callable[[Simulation], Awaitable[None]]], Callable[[], None]]:
    """Makes a test of a dialogue."""

    def decorate(dialogue: Callable[[Simulation], Awaitable[None]]) -> Callable[[], None]:
        async def main() -> None:
            async with simulation(**options) as simulated:
                await dialogue(simulated)

        def test() -> None:
            simulate(main())

        test.__name__ = dialogue.__name__
        return test

    return decorate


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
    await s.settle()
    await s.settle(OTHER)
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


# Scaling.


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
async def test_a_drain_that_is_refused_is_asked_again(s):
    await s.launch(dask=2)
    await s.settle()
    refused = []
    drain = s.drain

    def refuse(*arguments):
        refused.append(arguments)
        if len(refused) < 3:
            raise Failure("no")
        drain(*arguments)

    s.drain = refuse
    await s.ask(clusters={"dask": 1})
    await s.settle()
    assert len(refused) >= 3


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
    await asyncio.sleep(3600)
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
    await s.until("it stops", lambda: now() >= 900 and s.get().deleting)
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
    await s.until("it stops", lambda: NAME not in s.objects or now() > touched + 3599)
    assert NAME in s.objects
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
        await asyncio.sleep(3400 if what != "an unknown notebook" else 0)
        assert s.settled()
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


# Not knowing.


@in_simulation()
async def test_a_backend_that_cannot_be_seen_changes_nothing(s):
    await s.launch(dask=2)
    await s.settle()
    before = s.snapshot()
    started = list(s.world.started)
    s.faults.always = True
    await asyncio.sleep(500)
    assert s.snapshot() == before
    await s.ask(clusters={"dask": 0})
    await asyncio.sleep(500)
    assert s.snapshot()[1:] == before[1:]
    s.faults.always = False
    await s.settle()
    assert s.world.started == started


@in_simulation()
async def test_a_hub_that_starts_blind_ends_nothing(s):
    await s.launch(dask=2)
    await s.settle()
    before = s.snapshot()
    observe, s.world.places[NAME].observe = None, None
    s.faults.always = True
    await s.stop()
    s.start()
    await asyncio.sleep(200)
    assert s.snapshot() == before
    s.faults.always = False
    await s.settle()
    assert observe is None


# Restarts.


@in_simulation()
async def test_the_next_hub_finds_everything_and_goes_on(s):
    await s.launch(dask=2)
    await s.settle()
    before, started = s.snapshot(), list(s.world.started)
    await s.restart()
    await s.settle()
    assert (s.snapshot(), s.world.started) == (before, started)
    assert steps(s)[-1] == "Ready/", "nobody was told of anything"


@in_simulation()
async def test_the_next_hub_ends_what_nobody_wants(s):
    await s.launch(dask=1)
    await s.settle()
    await s.stop()
    s.world.places[OTHER] = Place({"dask-worker-1": Program("dask-worker-1", some_workers(1), 7, True, True)})
    s.routes[f"/{OTHER}"] = "http://nobody:1"
    s.start()
    await s.until("it ends", lambda: OTHER not in s.world.places and f"/{OTHER}" not in s.routes)
    assert s.settled()


@in_simulation()
async def test_routes_that_nobody_wants_stay_until_all_was_looked_at(s):
    await s.launch()
    await s.settle()
    await s.stop()
    s.routes["/cluster-stale00"] = "http://nobody:1"
    s.faults.always = True
    s.start()
    await asyncio.sleep(100)
    assert s.routes.keys() == {f"/{NAME}", "/cluster-stale00"}
    s.faults.always = False
    await s.settle()
    assert s.routes.keys() == {f"/{NAME}"}


@in_simulation()
async def test_what_people_asked_while_no_hub_ran_is_done(s):
    await s.launch(dask=1)
    await s.settle()
    await s.stop()
    await s.ask(clusters={"dask": 3})
    await s.launch(OTHER, spark=1)
    s.start()
    await s.settle()
    await s.settle(OTHER)


@in_simulation()
async def test_who_writes_at_the_same_time_is_not_overwritten(s):
    await s.launch(dask=1)
    conflicts = 0
    for workers in range(1, 8):
        try:
            await s.ask(clusters={"dask": workers})
        except Conflict:
            conflicts += 1
        await asyncio.sleep(0.1)
    await s.settle()
    assert conflicts == 0
    assert s.get().spec.workers_of("dask") == 7


# Everything goes wrong once: each call to the outside in turn.


async def ready(s: Simulation) -> None:
    """Somebody works with two workers."""
    await s.launch(dask=2, ipyparallel=1)
    await s.settle()


async def launched(s: Simulation) -> None:
    await s.launch(dask=2, ipyparallel=1)
    await s.settle()


async def scaled(s: Simulation) -> None:
    await s.ask(clusters={"dask": 1, "ipyparallel": 3})
    await s.settle()


async def exchanged(s: Simulation) -> None:
    await s.ask(clusters={"dask": 0, "spark": 1})
    await s.settle()


async def deleted(s: Simulation) -> None:
    await s.store.delete(NAME)
    await s.settle()


async def expired(s: Simulation) -> None:
    await s.ask(expires=s.now() + timedelta(seconds=5))
    await s.until("it is gone", lambda: NAME not in s.objects)
    await s.settle()


SCENARIOS = {
    "launch": (None, launched),
    "scale": (ready, scaled),
    "exchange": (ready, exchanged),
    "deletion": (ready, deleted),
    "expiry": (ready, expired),
}
WAYS = {
    "an error": {},
    "an error, though it was done": {"late": True},
    "a kill": {"deadly": True},
    "a kill, though it was done": {"late": True, "deadly": True},
}


def play(scenario: str, faults: Faults) -> tuple[object, list[tuple[str, str]], int]:
    """Play a scenario; returns what came of it, what was started, and how many calls the first part made."""
    before, act = SCENARIOS[scenario]

    async def main() -> Any:
        quiet = Faults()
        async with simulation(faults=quiet) as s:
            if before:
                await before(s)
            quiet.calls.clear()
            quiet.at, quiet.late, quiet.deadly = faults.at, faults.late, faults.deadly
            await act(s)
            faults.calls, hit = quiet.calls, quiet.hit.is_set()
            return without_times(s.snapshot()), sorted(s.world.started), hit

    return simulate(main())


def without_times(snapshot: Any) -> Any:
    objects, *others = snapshot
    epoch = {"expires": NOW, "touched": NOW}
    return {name: (change(spec, **epoch), *more) for name, (spec, *more) in objects.items()}, *others


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_each_call_goes_wrong_in_turn_and_all_ends_the_same(scenario, way, caplog):
    caplog.set_level(logging.CRITICAL)
    wanted, started, _ = play(scenario, Faults())
    at = 0
    while True:
        at += 1
        faults = Faults(at=at, **way)
        came, did, hit = play(scenario, faults)
        assert came == wanted, f"call {at}, {faults.calls[at - 1]}"
        assert did == started, f"call {at}: something was started twice, or never"
        if not hit:
            break
    assert at > 20, "there were calls to go wrong"


# Anything happens, in any order.


class Anything(RuleBasedStateMachine):
    """A hub, two names, and everything that people, programs and the machine may do to them."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner(loop_factory=VirtualLoop)
        self.s = self.runner.run(self._begin())

    async def _begin(self) -> Simulation:
        s = Simulation()
        s.start()
        return s

    def do(self, action: Awaitable[object]) -> None:
        self.runner.run(action)  # type: ignore[arg-type]

    def teardown(self) -> None:
        try:
            self.do(self._end())
        finally:
            self.runner.close()

    async def _end(self) -> None:
        """In the end all is well: whatever was asked for is so."""
        self.s.faults.always = False
        self.s.silent = False
        self.s.work()
        for name in list(self.s.objects):
            await self.s.until(f"{name} settles", lambda name=name: self.s.settled(name))
        await self.s.until("nothing else is there", lambda: self.s.world.places.keys() <= self.s.objects.keys())
        await self.s.stop()
        assert self.s.lost == []

    def there(self) -> list[str]:
        return [name for name, workspace in self.s.objects.items() if not workspace.deleting]

    @rule(name=st.sampled_from([NAME, OTHER]), dask=st.integers(0, 3), ipyparallel=st.none() | st.integers(0, 2))
    def launch(self, name: str, dask: int, ipyparallel: int | None) -> None:
        if name not in self.s.objects:
            self.do(self.s.launch(name, dask=dask, ipyparallel=ipyparallel))

    @precondition(there)
    @rule(clusters=st.dictionaries(st.sampled_from(["dask", "ipyparallel", "spark"]), st.integers(0, 4)))
    def scale(self, clusters: dict[str, int]) -> None:
        self.do(self.s.ask(self.there()[0], clusters=clusters))

    @precondition(there)
    @rule()
    def delete(self) -> None:
        self.do(self.s.store.delete(self.there()[-1]))

    @precondition(there)
    @rule()
    def delete_behind_its_back(self) -> None:
        del self.s.objects[self.there()[-1]]

    @rule(numbers=st.sets(st.integers(1, 4)), framework=st.sampled_from(["dask", "ipyparallel"]))
    def work(self, numbers: set[int], framework: str) -> None:
        self.do(self._work(*(f"{framework}-worker-{number}" for number in numbers)))

    async def _work(self, *instances: str) -> None:
        self.s.work(*instances)

    @rule(data=st.data())
    def kill_a_program(self, data: st.DataObject) -> None:
        programs = [(name, key) for name, place in self.s.world.places.items() for key in place.programs]
        if programs:
            name, key = data.draw(st.sampled_from(programs))
            self.do(self._kill(key, name))

    async def _kill(self, instance: str, name: str) -> None:
        self.s.kill(instance, name)

    @rule()
    def restart_the_hub(self) -> None:
        self.do(self.s.restart())

    @rule(always=st.booleans())
    def fail(self, always: bool) -> None:
        self.s.faults.always = always

    @rule(silent=st.booleans())
    def fall_silent(self, silent: bool) -> None:
        self.s.silent = silent

    @rule(seconds=st.sampled_from([0.1, 1, 10]))
    def wait(self, seconds: float) -> None:
        self.do(asyncio.sleep(seconds))

    @invariant()
    def no_worker_is_lost(self) -> None:
        assert self.s.lost == []

    @invariant()
    def no_route_leads_to_nothing_for_long(self) -> None:
        assert self.s.routes.keys() <= {f"/{NAME}", f"/{OTHER}"}


TestAnything = Anything.TestCase
TestAnything.settings = settings(max_examples=60, stateful_step_count=25)
