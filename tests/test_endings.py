"""Ends, in dialogues: homes are kept before anything goes, and everybody is remembered once."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

from hub.ending import LOST
from hub.endings import LONGEST, Endings
from tests.builders import HUB_KEY, NAME, NOW, been, make_workspace
from tests.memory_archives import MemoryArchives
from tests.memory_store import MemoryRoom, MemoryStore
from tests.simulation import OTHER, Simulation, in_simulation
from tests.virtual import now


async def worked_in(s: Simulation, archives: MemoryArchives | None, *names: str) -> None:
    """Have workspaces that people worked in."""
    if s.archives is not archives:
        s.archives = archives
        await s.restart()
    for name in names or (NAME,):
        await s.launch(name, dask=1)
        await s.settle(name)


async def is_gone(s: Simulation, name: str = NAME) -> None:
    """Wait until nothing is left of a workspace."""
    await s.until(f"{name} is gone", lambda: name not in s.objects and name not in s.world.places)


def remembered(s: Simulation) -> list[Any]:
    """Who is gone."""
    return list(s.room.value.status.ended)


@in_simulation()
async def test_the_notebook_stays_while_its_home_is_kept_and_the_rest_goes(s):
    archives = MemoryArchives()
    await worked_in(s, archives)
    archives.open.clear()
    await s.store.delete(NAME)
    await s.until("the clusters are gone", lambda: s.running().keys() == {"notebook"})
    await s.until("that is told", lambda: s.get().status.reason == "KeepingFiles")
    assert s.routes == {}, "nobody changes what is being kept"
    await asyncio.sleep(60)
    assert s.running().keys() == {"notebook"}
    archives.open.set()
    await is_gone(s)
    (key,) = archives.kept
    assert set(archives.asked) == {(key, f"http://notebook.{NAME}:8888/{NAME}/")}
    (one,) = remembered(s)
    assert (one.name, one.why, one.archive.bytes) == (NAME, "", 100)


@in_simulation()
async def test_what_ends_by_itself_is_kept_too(s):
    await worked_in(s, MemoryArchives())
    await s.ask(expires=s.now() + timedelta(seconds=5))
    await is_gone(s)
    (one,) = remembered(s)
    assert one.why == "time"
    assert one.archive is not None


@in_simulation()
async def test_a_workspace_that_never_opened_waits_for_nothing(s):
    archives = MemoryArchives()
    archives.open.clear()
    s.archives = archives
    s.reachable = False
    await s.restart()
    await s.launch()
    await s.until("it starts", lambda: s.running().get("notebook"))
    before = now()
    await s.store.delete(NAME)
    await is_gone(s)
    assert now() - before < 10
    assert archives.asked == []
    assert remembered(s)[0].archive_message == ""


@in_simulation()
async def test_a_hub_that_is_killed_in_the_middle_loses_nothing(s):
    archives = MemoryArchives()
    await worked_in(s, archives)
    archives.open.clear()
    await s.store.delete(NAME)
    await s.until("it has begun", lambda: archives.asked)
    await s.restart()
    await s.until("the next has begun", lambda: len(archives.asked) > 1)
    archives.open.set()
    await is_gone(s)
    assert len(archives.kept) == 1
    assert [one.archive.bytes for one in remembered(s)] == [100]


@in_simulation()
async def test_what_fails_is_tried_again(s):
    archives = MemoryArchives()
    await worked_in(s, archives)
    archives.trouble = "There is no room."
    await s.store.delete(NAME)
    await s.until("it has failed twice", lambda: len(archives.asked) > 2)
    archives.trouble = ""
    await is_gone(s)
    assert remembered(s)[0].archive is not None


@in_simulation()
async def test_an_end_waits_for_five_minutes_and_no_longer_and_says_why(s):
    archives = MemoryArchives()
    await worked_in(s, archives)
    archives.trouble = "There is no room."
    before = now()
    await s.store.delete(NAME)
    await s.until("it is told", lambda: s.get().status.reason == "KeepingFiles")
    await asyncio.sleep(LONGEST - 10)
    assert NAME in s.objects
    await is_gone(s)
    assert LONGEST <= now() - before < LONGEST + 20
    assert remembered(s)[0].archive_message == "There is no room."


@in_simulation()
async def test_one_that_hangs_is_given_up_too(s):
    archives = MemoryArchives()
    await worked_in(s, archives)
    archives.open.clear()
    await s.store.delete(NAME)
    await asyncio.sleep(LONGEST - 10)
    assert NAME in s.objects
    await is_gone(s)
    assert remembered(s)[0].archive_message == "It took longer than 5 minutes to keep its files."


@in_simulation()
async def test_a_notebook_that_is_gone_is_not_made_again_to_be_kept(s):
    archives = MemoryArchives()
    await worked_in(s, archives)
    archives.open.clear()
    await s.store.delete(NAME)
    await s.until("it has begun", lambda: archives.asked)
    started = s.world.started.count((NAME, "notebook"))
    del s.world.places[NAME].programs["notebook"]
    s.queue.add(NAME)
    await is_gone(s)
    assert s.world.started.count((NAME, "notebook")) == started
    assert remembered(s)[0].archive_message == LOST


@in_simulation()
async def test_where_homes_stay_on_the_disk_nothing_waits(s):
    archives = MemoryArchives(running=False)
    await worked_in(s, archives)
    await s.store.delete(NAME)
    await is_gone(s)
    assert archives.asked == [(next(iter(archives.kept)), "")]
    assert remembered(s)[0].archive.bytes == 100


@in_simulation()
async def test_who_ends_together_is_written_down_together(s):
    await worked_in(s, None, NAME, OTHER)
    version = int(s.room.value.metadata.resource_version or 0)
    await asyncio.gather(s.store.delete(NAME), s.store.delete(OTHER))
    await is_gone(s)
    await is_gone(s, OTHER)
    assert {one.name for one in remembered(s)} == {NAME, OTHER}
    assert all(one.core_seconds > 0 for one in remembered(s))
    assert int(s.room.value.metadata.resource_version) - version <= 2


@in_simulation()
async def test_what_nobody_wants_any_more_is_named_while_it_is_there(s):
    await worked_in(s, None)
    s.stuck.add(NAME)
    del s.objects[NAME]
    await s.until("it is named", lambda: s.room.value.status.left == (NAME,))
    s.stuck.clear()
    s.queue.add(NAME)
    await s.until("nothing is left", lambda: s.room.value.status.left == ())


@in_simulation()
async def test_a_notebook_is_asked_to_start_again_until_it_has(s):
    await worked_in(s, None)
    at = s.now()
    await s.ask(restarted_at=at)
    await s.until("it was asked", lambda: s.notebook.restarted == at.isoformat())
    s.notebook = replace(s.notebook, restarted="")  # as in a pod that was made again without it
    s.queue.add(NAME)
    await s.until("it was asked again", lambda: s.notebook.restarted == at.isoformat())


async def test_who_acts_again_after_a_while_goes_on_where_it_was_stopped():
    room = MemoryRoom()
    store = MemoryStore(lambda: NOW)
    endings = Endings(store, room, None, HUB_KEY, lambda name: None, lambda: NOW)
    workspace = make_workspace(deleting=True, status=been("Queued", "Ready"))

    async def nobody() -> set[str]:
        return set()

    acting = asyncio.create_task(endings.run(nobody))
    ending = asyncio.create_task(endings.seen_off(workspace))
    await asyncio.sleep(0)
    acting.cancel()
    await asyncio.wait([acting, ending])
    assert room.value.status.ended == ()
    await endings.seen_off(workspace)
    assert [one.name for one in room.value.status.ended] == [NAME]
