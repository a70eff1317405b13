"""What every store promises. An implementation joins by an entry in SHELVES."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from hub.errors import Conflict, NotFound
from hub.model import Status, Workspace
from hub.store.base import Event, Store
from hub.store.files import FileStore
from hub.wire import replace
from tests.builders import NAME, NOW, been, make_workspace
from tests.memory_store import MemoryStore

OTHER = "cluster-zzz999"


@dataclass
class Clock:
    """A clock that tests move."""

    time: Any = NOW

    def __call__(self) -> Any:
        return self.time

    def shows(self, time: Any) -> bool:
        """Whether it is that time now."""
        return time == self.time


def files(directory: Path, clock: Clock) -> Callable[[], Store]:
    return lambda: FileStore(directory / "objects", clock)


def memory(directory: Path, clock: Clock) -> Callable[[], Store]:
    objects: dict[str, Workspace] = {}
    return lambda: MemoryStore(clock, objects)


SHELVES = {"files": files, "memory": memory}


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture(params=SHELVES)
def open_store(request, tmp_path, clock):
    """Opens a store; every further call is what a restart is to the hub."""
    return SHELVES[request.param](tmp_path, clock)


@pytest.fixture
def store(open_store):
    return open_store()


def labelled(workspace: Workspace, **changes: Any) -> Workspace:
    return replace(workspace, metadata=replace(workspace.metadata, **changes))


def scaled(workspace: Workspace, workers: int) -> Workspace:
    return replace(workspace, spec=replace(workspace.spec, workers=workers))


def reported(workspace: Workspace, *steps: str) -> Workspace:
    return replace(workspace, status=been(*steps))


async def versions(*workspaces: Workspace) -> list[int]:
    return [int(workspace.metadata.resource_version) for workspace in workspaces]


# Making and finding.


async def test_at_first_there_is_nothing(store):
    assert await store.list() == []
    assert await store.get(NAME) is None


async def test_what_is_made_gets_an_identity(store, clock):
    asked = labelled(
        reported(make_workspace(), "Queued"),
        uid="",
        generation=0,
        creation_timestamp=None,
        resource_version="",
    )
    made = await store.create(asked)
    assert made.metadata.uid
    assert made.metadata.generation == 1
    assert clock.shows(made.metadata.creation_timestamp)
    assert int(made.metadata.resource_version) > 0
    assert made.spec == asked.spec
    assert made.status == Status(), "only the controller reports"
    assert made.metadata.finalizers == asked.metadata.finalizers
    assert await store.get(NAME) == made
    assert await store.list() == [made]


async def test_objects_are_listed_by_name(store):
    for name in (OTHER, NAME, "cluster-mmm555"):
        await store.create(make_workspace(name=name))
    assert [workspace.name for workspace in await store.list()] == [NAME, "cluster-mmm555", OTHER]


async def test_a_name_is_made_once(store):
    made = await store.create(make_workspace())
    with pytest.raises(Conflict):
        await store.create(make_workspace(workers=7))
    assert await store.get(NAME) == made


async def test_a_look_finds_what_a_read_does(store):
    assert await store.look(NAME) is None
    made = await store.create(make_workspace())
    assert await store.look(NAME) == made == await store.get(NAME)
    assert await store.look(OTHER) is None


async def test_of_two_objects_one_was_there_before_the_other(store):
    first = await store.create(make_workspace())
    assert await store.before(first) == ()
    second = await store.create(make_workspace(name=OTHER))
    assert await store.before(second) == (first,)
    third = await store.create(make_workspace(name="cluster-mmm555"))
    assert await store.before(third) == (first, second)


async def test_of_two_that_got_an_owner_one_was_first(store):
    first = await store.create(make_workspace(owner=""))
    second = await store.create(make_workspace(name=OTHER, owner=""))
    second = await store.update(replace(second, spec=replace(second.spec, owner="ada")))
    assert await store.before(second) == ()
    first = await store.update(replace(first, spec=replace(first.spec, owner="ada")))
    assert await store.before(first) == (second,)
    assert await store.before(second) == ()
    third = await store.create(make_workspace(name="cluster-mmm555"))
    assert await store.before(third) == (second, first)
    second = await store.update(scaled(second, 3))
    assert await store.before(second) == (), "what is done with it later changes nothing"


async def test_what_was_written_meanwhile_is_not_deleted_by_who_read_it_before(store):
    read = await store.create(make_workspace())
    written = await store.update(scaled(read, 3))
    with pytest.raises(Conflict):
        await store.delete(NAME, read.metadata.resource_version)
    assert await store.get(NAME) == written
    await store.delete(NAME, written.metadata.resource_version)
    assert (await store.get(NAME)).deleting


async def test_what_is_gone_was_not_there_before(store):
    first = await store.create(make_workspace())
    await store.delete(NAME)
    await store.update(labelled(await store.get(NAME), finalizers=()))
    second = await store.create(make_workspace(name=OTHER))
    assert await store.before(second) == ()
    again = await store.create(make_workspace())
    assert again.metadata.uid != first.metadata.uid
    assert await store.before(again) == (second,)


async def test_a_store_that_answers_is_not_away(store):
    await store.create(make_workspace())
    assert store.away == ""
    turned = asyncio.create_task(store.turned())
    await store.delete(NAME)
    await asyncio.sleep(0)
    assert not turned.done()
    turned.cancel()


# Changing.


async def test_an_update_writes_all_but_the_status(store):
    made = await store.create(reported(make_workspace(), "Queued"))
    asked = labelled(scaled(made, 5), labels={"a": "b"}, annotations={"c": "d"}, finalizers=("x", "y"))
    updated = await store.update(reported(asked, "Ready"))
    assert updated.spec.workers == 5
    assert (updated.metadata.labels, updated.metadata.annotations) == ({"a": "b"}, {"c": "d"})
    assert updated.metadata.finalizers == ("x", "y")
    assert updated.status == made.status
    assert await store.get(NAME) == updated


async def test_an_update_cannot_change_who_it_is(store):
    made = await store.create(make_workspace())
    forged = labelled(made, uid="forged", creation_timestamp=NOW - timedelta(days=9), generation=99)
    updated = await store.update(labelled(forged, deletion_timestamp=NOW))
    assert updated.metadata.uid == made.metadata.uid
    assert updated.metadata.creation_timestamp == made.metadata.creation_timestamp
    assert not updated.deleting


async def test_the_generation_counts_changes_of_the_spec_alone(store):
    made = await store.create(make_workspace())
    updated = await store.update(labelled(made, labels={"a": "b"}))
    assert updated.metadata.generation == 1
    updated = await store.update_status(reported(updated, "Ready"))
    assert updated.metadata.generation == 1
    updated = await store.update(scaled(updated, 5))
    assert updated.metadata.generation == 2


async def test_a_report_writes_the_status_alone(store):
    made = await store.create(reported(make_workspace(), "Queued"))
    asked = reported(labelled(scaled(made, 5), labels={"a": "b"}, finalizers=()), "Ready")
    updated = await store.update_status(asked)
    assert updated.status == asked.status
    assert updated.spec == made.spec
    assert replace(updated.metadata, resource_version="") == replace(made.metadata, resource_version="")
    assert await store.get(NAME) == updated


@pytest.mark.parametrize("write", ["update", "update_status"])
async def test_who_read_before_another_wrote_is_refused(store, write):
    made = await store.create(reported(make_workspace(), "Queued"))
    for moved in (
        await store.update(scaled(made, 5)),
        await store.update_status(reported(await store.get(NAME), "Ready")),
    ):
        assert int(moved.metadata.resource_version) > int(made.metadata.resource_version)
    now = await store.get(NAME)
    with pytest.raises(Conflict):
        await getattr(store, write)(reported(scaled(made, 8), "Failed"))
    assert await store.get(NAME) == now, "and nothing was written"


@pytest.mark.parametrize("write", ["update", "update_status"])
async def test_what_is_not_there_cannot_be_written(store, write):
    with pytest.raises(NotFound):
        await getattr(store, write)(make_workspace())
    assert await store.list() == []


async def test_versions_only_grow(store):
    made = await store.create(make_workspace())
    other = await store.create(make_workspace(name=OTHER))
    moved = await store.update(scaled(made, 5))
    numbers = await versions(made, other, moved, await store.update_status(reported(moved, "Ready")))
    assert numbers == sorted(set(numbers))


# Going.


async def test_what_has_a_finalizer_is_marked_and_goes_with_it(store, clock):
    made = await store.create(make_workspace())
    clock.time += timedelta(minutes=1)
    await store.delete(NAME)
    marked = await store.get(NAME)
    assert marked.deleting
    assert clock.shows(marked.metadata.deletion_timestamp)
    assert int(marked.metadata.resource_version) > int(made.metadata.resource_version)
    marked = await store.update_status(reported(marked, "Stopping"))
    gone = await store.update(labelled(marked, finalizers=()))
    assert gone.name == NAME
    assert await store.get(NAME) is None
    assert await store.list() == []


async def test_asking_again_changes_nothing(store, clock):
    await store.create(make_workspace())
    await store.delete(NAME)
    marked = await store.get(NAME)
    clock.time += timedelta(minutes=1)
    await store.delete(NAME)
    assert await store.get(NAME) == marked


async def test_what_has_several_finalizers_waits_for_all(store):
    made = await store.create(labelled(make_workspace(), finalizers=("a", "b")))
    await store.delete(made.name)
    one = await store.update(labelled(await store.get(NAME), finalizers=("b",)))
    assert await store.get(NAME) == one
    await store.update(labelled(one, finalizers=()))
    assert await store.get(NAME) is None


async def test_what_has_no_finalizer_is_gone_at_once(store):
    await store.create(labelled(make_workspace(), finalizers=()))
    await store.delete(NAME)
    assert await store.get(NAME) is None


async def test_taking_the_finalizer_from_what_is_not_to_go_keeps_it(store):
    made = await store.create(make_workspace())
    await store.update(labelled(made, finalizers=()))
    assert await store.get(NAME) is not None


async def test_what_is_not_there_cannot_be_deleted(store):
    with pytest.raises(NotFound):
        await store.delete(NAME)


async def test_a_name_may_have_a_second_life_as_somebody_else(store):
    first = await store.create(labelled(make_workspace(), finalizers=()))
    await store.delete(NAME)
    second = await store.create(make_workspace())
    assert second.metadata.uid != first.metadata.uid
    assert int(second.metadata.resource_version) > int(first.metadata.resource_version)
    with pytest.raises(Conflict):
        await store.update(scaled(first, 5))


# Watching.


async def test_a_watch_tells_what_is_there_then_what_changes(store):
    one = await store.create(make_workspace())
    two = await store.create(make_workspace(name=OTHER))
    watch = store.watch()
    assert {(await anext(watch)).workspace.name for _ in range(2)} == {one.name, two.name}
    one = await store.update(scaled(one, 5))
    assert await anext(watch) == Event(one)
    two = await store.update_status(reported(two, "Ready"))
    assert await anext(watch) == Event(two)
    three = await store.create(make_workspace(name="cluster-mmm555"))
    assert await anext(watch) == Event(three)
    await store.delete(NAME)
    assert await anext(watch) == Event(await store.get(NAME))
    await watch.aclose()


async def test_a_watch_tells_what_is_gone_as_it_last_was(store):
    await store.create(make_workspace())
    watch = store.watch()
    await anext(watch)
    await store.delete(NAME)
    await anext(watch)
    last = await store.update(scaled(await store.get(NAME), 7))
    await store.update(labelled(last, finalizers=()))
    event = await anext(watch)
    assert event.gone
    assert (event.workspace.name, event.workspace.spec.workers) == (NAME, 7)
    await watch.aclose()


async def test_who_waits_for_news_is_woken(store):
    watches = [store.watch(), store.watch()]
    made = await store.create(make_workspace())
    for watch in watches:
        await anext(watch)
    for workers in (3, 4):
        waiting = [asyncio.create_task(anext(watch)) for watch in watches]
        await asyncio.sleep(0)
        made = await store.update(scaled(made, workers))
        assert await asyncio.gather(*waiting) == [Event(made), Event(made)]
    for watch in watches:
        await watch.aclose()


async def test_changes_close_together_are_told_as_one(store):
    workspace = await store.create(make_workspace())
    watch = store.watch()
    await anext(watch)
    for workers in (3, 4, 5):
        workspace = await store.update(scaled(workspace, workers))
    other = await store.create(make_workspace(name=OTHER))
    told = [await anext(watch), await anext(watch)]
    assert told == [Event(workspace), Event(other)], "each object once, as it is now"
    await watch.aclose()


async def test_one_that_was_made_again_is_not_told_as_gone(store):
    await store.create(labelled(make_workspace(), finalizers=()))
    watch = store.watch()
    await anext(watch)
    await store.delete(NAME)
    again = await store.create(make_workspace())
    assert await anext(watch) == Event(again)
    await watch.aclose()


async def test_each_watch_is_told_everything(store):
    watches = [store.watch(), store.watch()]
    made = await store.create(make_workspace())
    for watch in watches:
        assert await anext(watch) == Event(made)
    await watches[0].aclose()
    made = await store.update(scaled(made, 5))
    assert await anext(watches[1]) == Event(made)
    await watches[1].aclose()


async def test_who_reads_and_writes_in_turn_loses_nothing(store):
    """As the controller does: every event leads to a write, and every write to an event."""
    made = await store.create(make_workspace(workers=0))
    async for event in store.watch():
        if event.workspace.spec.workers == 8:
            break
        made = await store.update(scaled(event.workspace, event.workspace.spec.workers + 1))
    assert (await store.get(NAME)) == made


# Restarts.


async def test_after_a_restart_everything_is_as_it_was(open_store):
    before = open_store()
    one = await before.create(reported(make_workspace(), "Queued", "Ready"))
    two = await before.create(make_workspace(name=OTHER))
    await before.delete(OTHER)
    after = open_store()
    assert await after.list() == [one, await before.get(two.name)]
    watch = after.watch()
    assert {(await anext(watch)).workspace.name for _ in range(2)} == {NAME, OTHER}
    await watch.aclose()
    assert (await after.update(scaled(one, 5))).spec.workers == 5


async def test_versions_grow_over_restarts_also_when_nothing_is_left(open_store, clock):
    first = await open_store().create(make_workspace())
    again = open_store()
    second = await again.update(scaled(first, 5))
    await again.update(labelled(second, finalizers=()))
    await again.delete(NAME)
    clock.time += timedelta(seconds=1)
    third = await open_store().create(make_workspace())
    numbers = await versions(first, second, third)
    assert numbers == sorted(set(numbers))


async def test_versions_grow_though_the_clock_was_put_back(open_store, clock):
    first = await open_store().create(make_workspace())
    clock.time -= timedelta(days=1)
    second = await open_store().update(scaled(first, 5))
    assert int(second.metadata.resource_version) > int(first.metadata.resource_version)
