"""What every backend promises. An implementation joins by a bench in `benches.py` and a fixture."""

from __future__ import annotations

import asyncio
import contextlib

from hub.observed import Instance, Observed
from tests.builders import NAME
from tests.contract.benches import Bench, server, workers
from tests.memory_backend import LAST_WORDS
from tests.waiting import until

OTHER = "cluster-zzz999"
CLUSTER = [server("notebook"), server("dask-scheduler"), workers(1, 2)]
ALL = {"notebook", "dask-scheduler", "dask-worker-1", "dask-worker-2"}


async def seen(bench: Bench, name: str = NAME) -> dict[str, Instance]:
    """The instances by name."""
    return {instance.name: instance for instance in (await bench.backend.observe(name)).instances}


async def settle(bench: Bench, wanted: set[str], name: str = NAME) -> dict[str, int]:
    """Wait until exactly these are there and ready; returns the processes."""

    async def settled() -> bool:
        there = await seen(bench, name)
        return there.keys() == wanted and all(i.ready and not i.terminating for i in there.values())

    await until(f"exactly {sorted(wanted)} are ready", settled)
    running = bench.running(name)
    assert running.keys() == wanted
    return running


async def gone(bench: Bench, name: str = NAME) -> None:
    """Wait until the backend says that nothing is there, and look behind it."""

    async def nothing() -> bool:
        return not (await bench.backend.observe(name)).exists

    await until("nothing is there", nothing)
    assert bench.left(name) == []
    assert name not in await bench.backend.names()


@contextlib.asynccontextmanager
async def heard(bench: Bench):
    """The names that the backend tells of meanwhile."""
    names: set[str] = set()

    async def listen() -> None:
        async for name in bench.backend.changes():
            names.add(name)

    listening = asyncio.create_task(listen())
    await asyncio.sleep(0)
    try:
        yield names
    finally:
        listening.cancel()
        await asyncio.wait([listening])


# Starting.


async def test_at_first_there_is_nothing(bench):
    assert await bench.backend.observe(NAME) == Observed()
    assert await bench.backend.names() == set()


async def test_exactly_what_is_wanted_runs(bench):
    await bench.backend.apply(NAME, CLUSTER)
    await settle(bench, ALL)
    observed = await bench.backend.observe(NAME)
    assert observed.exists
    assert observed.ready("notebook")
    assert {i.name: i.workload for i in observed.of("dask-worker")} == dict.fromkeys(
        ("dask-worker-1", "dask-worker-2"), "dask-worker"
    )
    assert all(i.running and not i.restarts and not i.message and not i.log for i in observed.instances)
    assert {"notebook.http", "dask-scheduler.http"} <= observed.addresses.keys()
    assert await bench.backend.names() == {NAME}


async def test_two_programs_have_two_addresses(bench):
    await bench.backend.apply(NAME, CLUSTER)
    await bench.backend.apply(OTHER, [server("notebook")])
    addresses = [(await bench.backend.observe(name)).addresses for name in (NAME, OTHER)]
    assert addresses[0]["notebook.http"] not in (
        addresses[0]["dask-scheduler.http"],
        addresses[1]["notebook.http"],
    )


async def test_a_workload_without_instances_runs_nothing(bench):
    await bench.backend.apply(NAME, [server("notebook"), workers()])
    await settle(bench, {"notebook"})


async def test_again_changes_nothing(bench):
    await bench.backend.apply(NAME, CLUSTER)
    await bench.backend.apply(NAME, CLUSTER)
    before = await settle(bench, ALL)
    observed = await bench.backend.observe(NAME)
    await bench.backend.apply(NAME, CLUSTER)
    assert await settle(bench, ALL) == before
    assert await bench.backend.observe(NAME) == observed


async def test_it_is_ready_only_when_it_answers(bench):
    await bench.backend.apply(NAME, [server("notebook", "wait"), server("dask-scheduler"), workers(1)])

    async def others_are_ready() -> bool:
        there = await seen(bench)
        return there["dask-scheduler"].ready and there["dask-worker-1"].ready

    await until("the others are ready", others_are_ready)
    waiting = (await seen(bench))["notebook"]
    assert waiting.running
    assert not waiting.ready
    async with heard(bench) as names:
        bench.open(NAME)
        await until("it says so", lambda: NAME in names)
    await settle(bench, {"notebook", "dask-scheduler", "dask-worker-1"})


# Growing and shrinking.


async def test_growing_leaves_what_runs(bench):
    await bench.backend.apply(NAME, CLUSTER)
    before = await settle(bench, ALL)
    await bench.backend.apply(NAME, [*CLUSTER[:2], workers(1, 2, 3)])
    after = await settle(bench, ALL | {"dask-worker-3"})
    assert before.items() <= after.items()


async def test_what_is_not_wanted_ends_and_only_that(bench):
    await bench.backend.apply(NAME, CLUSTER)
    before = await settle(bench, ALL)
    await bench.backend.apply(NAME, [CLUSTER[0], CLUSTER[1], workers(2)])
    ending = (await seen(bench)).get("dask-worker-1")
    assert ending is None or ending.terminating
    assert ending is None or not ending.ready
    after = await settle(bench, ALL - {"dask-worker-1"})
    assert after == {name: pid for name, pid in before.items() if name != "dask-worker-1"}


async def test_a_whole_cluster_can_be_taken_away_and_added_again(bench):
    await bench.backend.apply(NAME, CLUSTER)
    before = await settle(bench, ALL)
    await bench.backend.apply(NAME, CLUSTER[:1])
    assert await settle(bench, {"notebook"}) == {"notebook": before["notebook"]}
    await bench.backend.apply(NAME, CLUSTER)
    after = await settle(bench, ALL)
    assert after["notebook"] == before["notebook"]
    assert after["dask-scheduler"] != before["dask-scheduler"]


async def test_one_that_is_wanted_again_while_it_ends_comes_back(bench):
    await bench.backend.apply(NAME, CLUSTER)
    before = await settle(bench, ALL)
    await bench.backend.apply(NAME, CLUSTER[:1])

    async def look() -> bool:
        await bench.backend.apply(NAME, CLUSTER)
        return (
            bench.running(NAME).keys() == ALL
            and bench.running(NAME)["dask-scheduler"] != before["dask-scheduler"]
        )

    await until("all run again", look)
    await settle(bench, ALL)


# Removing.


async def test_wanting_nothing_removes_everything(bench):
    await bench.backend.apply(NAME, CLUSTER)
    await settle(bench, ALL)
    async with heard(bench) as names:
        await bench.backend.apply(NAME, [])
        await bench.backend.apply(NAME, [])
        await gone(bench)
        await until("it says so", lambda: NAME in names)
    await bench.backend.apply(NAME, [])
    await gone(bench)


async def test_removing_what_has_just_begun(bench):
    await bench.backend.apply(NAME, CLUSTER)
    await bench.backend.apply(NAME, [])
    await gone(bench)


async def test_removing_what_never_was_is_no_error(bench):
    await bench.backend.apply(NAME, [])
    await gone(bench)


async def test_removing_one_workspace_leaves_the_others(bench):
    await bench.backend.apply(NAME, CLUSTER)
    await bench.backend.apply(OTHER, CLUSTER)
    await settle(bench, ALL)
    before = await settle(bench, ALL, OTHER)
    await bench.backend.apply(NAME, [])
    await gone(bench)
    assert await settle(bench, ALL, OTHER) == before
    assert await bench.backend.names() == {OTHER}


async def test_a_second_life_begins_when_the_first_is_over(bench):
    await bench.backend.apply(NAME, CLUSTER)
    before = await settle(bench, ALL)
    await bench.backend.apply(NAME, [])

    async def look() -> bool:
        await bench.backend.apply(NAME, CLUSTER)
        running = bench.running(NAME)
        return running.keys() == ALL and not set(running.values()) & set(before.values())

    await until("all run anew", look)
    await settle(bench, ALL)


# Ending by itself.


async def test_one_that_is_killed_is_started_again_in_place(bench):
    await bench.backend.apply(NAME, CLUSTER)
    before = await settle(bench, ALL)
    async with heard(bench) as names:
        bench.kill(NAME, "dask-scheduler")
        await until("it says so", lambda: NAME in names)
    await until(
        "it runs again",
        lambda: bench.running(NAME).get("dask-scheduler") not in (None, before["dask-scheduler"]),
    )
    after = await settle(bench, ALL)
    assert after.keys() == before.keys()
    assert [name for name in ALL if after[name] != before[name]] == ["dask-scheduler"]
    there = await seen(bench)
    assert there["dask-scheduler"].restarts == 1
    assert there["notebook"].restarts == 0
    assert there["dask-scheduler"].message == "", "all is well again"


async def test_one_that_keeps_ending_is_told_with_its_last_words(bench):
    await bench.backend.apply(NAME, [server("notebook", "crash"), workers(1)])

    async def troubled() -> Instance | None:
        instance = (await seen(bench))["notebook"]
        return instance if instance.restarts >= 3 and LAST_WORDS in instance.log else None

    instance = await until("it is told", troubled)
    assert not instance.ready
    assert "notebook ended" in instance.message
    assert not instance.terminating
    assert (await seen(bench))["dask-worker-1"].restarts == 0
    await bench.backend.apply(NAME, [])
    await gone(bench)


# Restarts of the hub.


async def test_the_next_hub_sees_what_runs_as_ready_at_once(bench):
    await bench.backend.apply(NAME, CLUSTER)
    before = await settle(bench, ALL)
    addresses = (await bench.backend.observe(NAME)).addresses
    await bench.restart()
    assert await bench.backend.names() == {NAME}
    there = await seen(bench)
    assert there.keys() == ALL
    assert all(i.ready and i.running and not i.terminating for i in there.values())
    assert {name: i.workload for name, i in there.items()}["dask-worker-2"] == "dask-worker"
    await bench.backend.apply(NAME, CLUSTER)
    assert all(instance.ready for instance in (await seen(bench)).values()), "still"
    assert await settle(bench, ALL) == before, "nothing is started twice"
    assert (await bench.backend.observe(NAME)).addresses == addresses


async def test_the_next_hub_ends_what_is_not_wanted_any_more(bench):
    await bench.backend.apply(NAME, CLUSTER)
    before = await settle(bench, ALL)
    await bench.restart()
    await bench.backend.apply(NAME, CLUSTER[:1])
    assert await settle(bench, {"notebook"}) == {"notebook": before["notebook"]}


async def test_the_next_hub_removes_what_is_not_wanted_at_all(bench):
    await bench.backend.apply(NAME, CLUSTER)
    await settle(bench, ALL)
    await bench.restart()
    await bench.backend.apply(NAME, [])
    await gone(bench)


async def test_the_next_hub_starts_again_what_ends(bench):
    await bench.backend.apply(NAME, CLUSTER)
    before = await settle(bench, ALL)
    await bench.restart()
    await bench.backend.apply(NAME, CLUSTER)
    bench.kill(NAME, "dask-worker-1")
    await until(
        "it runs again",
        lambda: bench.running(NAME).get("dask-worker-1") not in (None, before["dask-worker-1"]),
    )
    after = await settle(bench, ALL)
    assert {name for name in ALL if after[name] != before[name]} == {"dask-worker-1"}


async def test_a_launch_that_was_cut_short_goes_on(bench):
    await bench.backend.apply(NAME, CLUSTER[:1])
    await bench.restart()
    await bench.backend.apply(NAME, CLUSTER)
    await settle(bench, ALL)


async def test_a_removal_that_was_cut_short_goes_on(bench):
    await bench.backend.apply(NAME, CLUSTER)
    await settle(bench, ALL)
    await bench.backend.apply(NAME, [])
    await bench.restart()
    await bench.backend.apply(NAME, [])
    await gone(bench)
