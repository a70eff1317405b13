"""The one loop, in dialogues: what cannot be seen, what a new hub finds, who acts at the same time."""

from __future__ import annotations

import asyncio

from tests.builders import NAME
from tests.contract.benches import workers as some_workers
from tests.memory_backend import Place, Program
from tests.simulation import OTHER, Simulation, in_simulation


def steps(s: Simulation, name: str = NAME) -> list[str]:
    """The way through the phases."""
    return [f"{entry.phase}/{entry.reason}" for entry in s.get(name).status.history]


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
async def test_no_route_is_removed_until_every_workspace_was_looked_at(s):
    await s.launch()
    await s.launch(OTHER)
    await s.until("both are as asked", lambda: s.settled() and s.settled(OTHER))
    await s.stop()
    s.routes["/cluster-stale00"] = "http://nobody:1"
    s.blind = {OTHER}
    s.start()
    await asyncio.sleep(100)
    assert s.proxy.serves, "one that cannot be seen does not keep people from all others"
    assert s.routes.keys() == {f"/{NAME}", f"/{OTHER}", "/cluster-stale00"}
    s.blind = set()
    await s.until("it is removed", lambda: s.routes.keys() == {f"/{NAME}", f"/{OTHER}"})


@in_simulation()
async def test_what_cannot_be_changed_is_reachable_as_it_is(s):
    await s.launch()
    await s.launch(OTHER)
    await s.until("both are as asked", lambda: s.settled() and s.settled(OTHER))
    await s.stop()
    s.routes.clear()
    s.stuck = {OTHER}
    s.start()
    await s.until("the proxy may serve", lambda: s.proxy.serves)
    assert s.routes.keys() == {f"/{NAME}", f"/{OTHER}"}


@in_simulation()
async def test_no_proxy_may_serve_before_every_workspace_had_its_turn(s):
    await s.launch()
    await s.launch(OTHER)
    await s.until("both are as asked", lambda: s.settled() and s.settled(OTHER))
    await s.stop()
    s.routes.clear()
    served = []
    s.start()
    s.proxy.tried = lambda: served.append(set(s.routes))  # type: ignore[method-assign]
    await s.until("it may", lambda: served)
    assert served == [{f"/{NAME}", f"/{OTHER}"}]


@in_simulation()
async def test_what_people_asked_while_no_hub_ran_is_done(s):
    await s.launch(dask=1)
    await s.settle()
    await s.stop()
    await s.ask(clusters={"dask": 3})
    await s.launch(OTHER, spark=1)
    s.start()
    await s.until("both are as asked", lambda: s.settled() and s.settled(OTHER))


# People who act at the same time.


def once(action):
    """An action for the first time that it is asked for."""
    done = []

    async def act():
        if not done:
            done.append(True)
            await action()

    return act


@in_simulation()
async def test_what_people_ask_while_the_controller_looks_is_not_overwritten(s):
    s.meanwhile = once(lambda: s.ask(clusters={"dask": 5}))
    await s.launch(dask=1)
    await s.settle()
    assert s.get().spec.workers_of("dask") == 5


@in_simulation()
async def test_what_is_deleted_while_the_controller_looks_is_not_brought_back(s):
    s.meanwhile = once(lambda: s.store.delete(NAME))
    await s.launch(dask=1)
    await s.until("it is gone", lambda: NAME not in s.objects)
    await s.settle()


@in_simulation()
async def test_what_disappears_while_the_controller_looks_is_cleaned_up(s):
    async def disappear():
        del s.objects[NAME]

    s.meanwhile = once(disappear)
    await s.launch(dask=1)
    await s.until("it is gone", lambda: NAME not in s.objects)
    await s.settle()
