"""A pool that a real API server keeps, and several web processes that give it away."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from hub.profiles import read_profiles
from hub.room import PoolOrder, Room
from hub.rules import Capacity, PoolRule, Rules
from hub.store.room_kubernetes import RoomResource
from hub.wire import replace
from tests.builders import seconds
from tests.kubernetes.between import Between
from tests.kubernetes.menu import PROFILES, profile
from tests.kubernetes.replicas import browser, held, replica

SIX = Rules(pool={"workshop": PoolRule(size=6)})


class Class:
    """A hub with a pool, two web processes, and a way to hold up what either hears."""

    def __init__(self, hub, webs, lines, room):
        self.hub, self.webs, self.lines, self.room = hub, webs, lines, room

    async def members(self, *phases):
        """What is in the pool."""
        found = [w for w in await self.hub.store.list() if w.pooled and not w.deleting]
        return [w for w in found if not phases or w.status.phase in phases]

    async def full(self, size=6):
        """Wait until the pool is as large as it should be, and everybody knows it."""

        async def knows(store):
            return len([w for w in await store.list() if w.pooled and w.status.phase == "Ready"]) == size

        for store in (self.hub.store, *(web.store for web in self.webs)):
            await self.hub.until("the pool is full", lambda store=store: knows(store))

    async def told(self):
        """What the room is told."""
        room = await self.room.get()
        return room.status.pool.get("workshop")

    async def owned(self):
        """What really has an owner now, and who that is: any copy may be behind what was answered."""
        items = (await self.hub.people.call("GET", self.hub.store.path))["items"]
        present = [item for item in items if "deletionTimestamp" not in item["metadata"]]
        return {w["metadata"]["name"]: w["spec"]["owner"] for w in present if w["spec"].get("owner")}


@pytest.fixture
async def school(hub, cluster, tmp_path):
    hub.rules = SIX
    async with AsyncExitStack() as stack:
        lines, webs = [], []
        for number in (1, 2):
            line, path = Between(cluster), tmp_path / f"web-{number}.kubeconfig"
            await stack.enter_async_context(line.serve(path))
            lines.append(line)
            webs.append(await stack.enter_async_context(replica(path, hub.namespace, hub.marks)))
        room = RoomResource(hub.people, hub.namespace)
        following = asyncio.create_task(room.run())
        yield Class(hub, webs, lines, room)
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


async def test_two_people_never_get_the_same(school):
    """However many click at once, wherever; the controller fills up what they take meanwhile."""
    await school.hub.start()
    await school.full()
    routes, ready = dict(school.hub.routes), {w.name for w in await school.members()}
    async with AsyncExitStack() as stack:
        people = [await stack.enter_async_context(browser()) for _ in range(10)]
        for number, person in enumerate(people):
            await person.open(school.webs[number % 2])
        both = [(person, web) for person in people for web in school.webs]
        clicks = [person.launch(web) for person, web in both]
        answers = await asyncio.gather(*clicks)
    assert sorted(answer.status for answer in answers) == [200] * 10 + [201] * 10
    names = [answer.json["metadata"]["name"] for answer in answers]
    assert all(one == other for one, other in zip(names[::2], names[1::2], strict=True)), (
        "one for each person"
    )
    assert len(set(names)) == 10, "and for each another one"
    new = [answer.json for answer in answers if answer.status == 201]
    assert {one["status"]["phase"] for one in new if one["metadata"]["name"] in ready} == {"Ready"}
    assert routes.items() <= school.hub.routes.items(), "which were there before"
    owned = await school.owned()
    assert set(owned) == set(names) >= ready, "nothing that was ready is left"
    assert len(set(owned.values())) == 10
    for name in owned:
        await school.hub.ready(name)
    await school.full()


@pytest.mark.parametrize("stale", [0, 1])
async def test_one_person_never_gets_two_though_each_process_knows_another_pool(school, stale):
    """One of them does not know of the best member, so each claims another one; one has to give its back."""
    hub, behind, ahead = school.hub, school.webs[stale], school.webs[1 - stale]
    controller = await hub.start()
    await school.full()
    await hub.kill(controller)
    async with browser() as person, browser() as first:
        await person.open(behind)
        await first.open(ahead)
        async with held(school.lines[stale].flowing, school.lines[1 - stale].flowing):
            # What is best for this person is gone for one process, and still there for the other.
            theirs = (await person.launch(behind)).json["metadata"]["name"]
            again = await asyncio.gather(*(person.launch(web) for web in (behind, ahead, ahead, behind)))
        assert {answer.json["metadata"]["name"] for answer in again} == {theirs}
        assert {answer.status for answer in again} == {200}
        other = (await first.launch(ahead)).json["metadata"]["name"]
        assert other != theirs
    assert set(await school.owned()) == {theirs, other}


async def test_a_pool_that_the_quota_refuses_is_told_and_tried_again_later(school):
    """What was refused gives way to another try, with pauses between them."""
    hub = school.hub
    hub.profiles = read_profiles({"refused": profile(quota={"pods": "0"}), "tight": PROFILES["tight"]})
    hub.rules = Rules(pool={"refused": PoolRule(size=2), "tight": PoolRule(size=1)})
    await hub.start()

    async def told(name):
        pool = (await school.room.get()).status.pool.get(name)
        return pool if pool is not None and "quota" in pool.message else None

    refused = await hub.until("it is told", lambda: told("refused"))
    assert (refused.wanted, refused.ready) == (2, 0)
    tight = await hub.until("a cluster that is not whole is told, too", lambda: told("tight"))
    assert (tight.wanted, tight.ready) == (1, 1)
    first = {w.name for w in await school.members("Starting") if w.spec.profile == "refused"}

    async def anew():
        now = {w.name for w in await school.members() if w.spec.profile == "refused"}
        return now and not now & first

    await hub.until("others take their place", anew)
    assert await told("refused")


async def test_a_controller_that_is_killed_while_it_fills_leaves_no_more_than_there_should_be(school):
    hub = school.hub
    for _ in range(4):
        controller = await hub.start()
        before = len(await school.members())
        await hub.until("it makes some", lambda before=before: _more(school, before))
        await hub.kill(controller)
    await hub.start()
    await school.full()
    assert len(await school.members()) == 6


async def _more(school, before):
    return len(await school.members()) > min(before, 5)


async def test_the_room_page_sets_the_size_and_the_configuration_the_rest(school):
    hub = school.hub
    await hub.start()
    await school.full()
    await school.room.update(_ordered(await school.room.get(), 2))
    await school.full(2)
    await hub.until("the others are gone", lambda: _count(school, 2))
    told = await school.told()
    assert (told.wanted, told.ready, told.message) == (2, 2, "")


async def _count(school, size):
    return len(await school.hub.store.list()) == size and (await school.told()).ready == size


def _ordered(room: Room, size: int) -> Room:
    return replace(room, spec=replace(room.spec, pool={"workshop": PoolOrder(size=size)}))


async def test_people_wait_in_line_beyond_capacity_and_come_in_by_themselves(school):
    hub = school.hub
    hub.rules = Rules(capacity=Capacity(workspaces=2))
    controller = await hub.start()
    names = [await hub.launch() for _ in range(2)]
    for name in names:
        await hub.ready(name)
    waiting = [await hub.launch() for _ in range(2)]

    async def placed(*positions):
        places = [(await hub.get(name)).status.queue for name in waiting]
        return [place and place.position for place in places] == list(positions)

    await hub.until("they are told", lambda: placed(1, 2))
    assert all(hub.pods(name) == {} for name in waiting)
    first = await hub.get(waiting[0])
    other = await hub.get(waiting[1])
    up = replace(other.spec, queued_at=first.metadata.creation_timestamp - seconds(9))
    await hub.store.update(replace(other, spec=up))
    await hub.until("an instructor moved one up", lambda: placed(2, 1))
    await hub.kill(controller)
    await hub.store.delete(names[0])
    await hub.start()
    await hub.ready(waiting[1])
    assert hub.pods(waiting[0]) == {}
    await hub.until("the other is next", lambda: placed(1, None))
    await hub.store.delete(names[1])
    await hub.ready(waiting[0])
