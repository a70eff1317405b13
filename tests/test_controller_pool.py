"""The pool, in dialogues: what is started ahead of time, who gets it, and what takes its place."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from hub.room import PoolOrder
from hub.rules import Capacity, Hours, PoolRule, Rules
from hub.wire import replace
from tests.simulation import Simulation, in_simulation
from tests.virtual import now

THREE = Rules(pool={"workshop": PoolRule(size=3)})


def pool(s: Simulation, profile: str = "workshop"):
    """What the room is told of a pool."""
    return s.room._room.value.status.pool.get(profile)


async def full(s: Simulation, size: int = 3) -> None:
    """Wait until the pool is as large as it should be, and all of it is ready."""
    await s.until("the pool is full", lambda: len(s.ready) == len(s.members) == size)
    await s.until("the room is told", lambda: pool(s) and pool(s).ready == pool(s).wanted == size)


@in_simulation(rules=THREE)
async def test_a_click_claims_what_is_ready(s):
    await full(s)
    routes, programs = dict(s.routes), len(s.world.started)
    ready = set(s.ready)
    workspace, new = await s.click("ada")
    assert new
    assert workspace.name in ready
    assert workspace.status.phase == "Ready", "there is nothing to wait for"
    assert workspace.spec.owner == "ada"
    assert s.routes == routes
    await asyncio.sleep(0.4)
    assert len(s.world.started) == programs, "all runs already"
    again, new = await s.click("ada")
    assert (again.name, new) == (workspace.name, False)
    await full(s)
    assert len(s.objects) == 4
    assert s.settled(workspace.name)


@in_simulation(rules=THREE)
async def test_everybody_gets_one_of_their_own(s):
    await full(s)
    people = [f"person-{number}" for number in range(6)]
    answers = await asyncio.gather(*(s.click(person) for person in people))
    assert len({workspace.name for workspace, _ in answers}) == 6
    assert [workspace.spec.owner for workspace, _ in answers] == people
    assert sum(workspace.status.phase == "Ready" for workspace, _ in answers) == 3
    for workspace, _ in answers:
        await s.until("all are ready", lambda name=workspace.name: s.settled(name))
    await full(s)


@in_simulation(rules=THREE)
async def test_what_somebody_asks_for_is_applied_to_what_they_get(s):
    await full(s)
    workspace, _ = await s.click("ada", workers=3, clusters={"dask": {}, "ipyparallel": {"workers": 1}})
    assert workspace.status.phase == "Ready"
    await s.until("it is so", lambda: s.settled(workspace.name))
    assert s.get(workspace.name).status.clusters["ipyparallel"].ready == 1
    assert s.get(workspace.name).status.clusters["dask"].ready == 3


@in_simulation(rules=THREE)
async def test_who_wants_other_material_gets_a_workspace_of_their_own(s):
    await full(s)
    workspace, _ = await s.click("ada", content=[{"git": "https://example.org/other.git"}])
    assert workspace.status.phase == "Queued"
    assert len(s.members) == 3


@in_simulation(rules=THREE)
async def test_the_clocks_of_a_member_begin_with_the_claim(s):
    await full(s)
    first = set(s.ready)
    await asyncio.sleep(9 * 3600)
    assert set(s.ready) == first, "nobody is missed whom nobody knows"
    workspace, _ = await s.click("ada")
    assert workspace.spec.expires - s.now() > timedelta(hours=7, minutes=59)
    await asyncio.sleep(3500)
    assert s.get(workspace.name).status.phase == "Ready"
    await s.until("it was not used", lambda: workspace.name not in s.objects)


@in_simulation(rules=THREE)
async def test_a_member_that_went_bad_is_replaced_before_anybody_gets_it(s):
    await full(s)
    bad = s.ready[0]
    s.hidden.add("notebook.http")
    s.kill("notebook", bad)
    s.world.places[bad].programs["notebook"].workload.env["BEHAVIOUR"] = "crash"
    await s.until("it is seen", lambda: bad not in s.ready)
    s.hidden.clear()
    people = [await s.click(f"person-{number}") for number in range(2)]
    assert bad not in {workspace.name for workspace, _ in people}
    await s.until("it goes", lambda: bad not in s.objects)
    await full(s)


@in_simulation(rules=Rules(pool={"workshop": PoolRule(size=3)}, launches_at_once=2))
async def test_a_pool_that_cannot_fill_says_why_and_tries_less_and_less_often(s):
    s.world.start = refusing(s.world.start)
    await s.until("it is told", lambda: pool(s) and "ended" in pool(s).message)
    made = []
    for _ in range(2):
        before = len(s.world.started)
        await asyncio.sleep(300)
        made.append(len(s.world.started) - before)
    assert 0 < made[1] < made[0]
    s.world.start = s.world.start.__wrapped__
    await full_after_trouble(s)
    assert pool(s).message == ""


async def full_after_trouble(s):
    deadline = now() + 900
    while len(s.ready) < 3 or (pool(s) and pool(s).ready) != 3:
        assert now() < deadline
        await asyncio.sleep(1)


def refusing(start):
    def start_and_crash(name, program):
        start(name, program)
        if program.name == "notebook":
            asyncio.get_running_loop().call_soon(start.__self__.crash, name, program, program.pid)

    start_and_crash.__wrapped__ = start
    return start_and_crash


@in_simulation(rules=THREE)
async def test_another_image_rolls_the_pool_and_nobody_gets_the_old_one(s):
    await full(s)
    old = set(s.ready)
    await s.stop()
    s.image = "workspace:2"
    workspace, _ = await s.click("ada")
    assert workspace.name not in old
    s.start()
    await s.until("the old ones are gone", lambda: not old & s.objects.keys())
    await full(s)


@in_simulation(rules=THREE)
async def test_another_profile_rolls_its_pool_alone(s):
    await s.order(pool={"seminar": PoolOrder(size=2)})
    await s.until("both are full", lambda: len(s.ready) == 5)
    await s.stop()
    kept = {w.name for w in s.members if w.spec.profile == "seminar"}
    s.profiles["workshop"] = replace(s.profiles["workshop"], max_workers=9)
    s.start()
    await s.until(
        "it is made anew",
        lambda: [w.spec.settings.max_workers for w in s.members if w.spec.profile == "workshop"] == [9] * 3,
    )
    await s.until("all are ready", lambda: len(s.ready) == 5)
    assert kept <= set(s.ready)


@in_simulation()
async def test_the_room_page_asks_for_a_pool_until_a_time(s):
    await s.order(pool={"workshop": PoolOrder(size=2, until=s.now() + timedelta(minutes=10))})
    await full(s, 2)
    await s.order(pool={"workshop": PoolOrder(size=4, until=s.now() + timedelta(minutes=10))})
    await full(s, 4)
    claimed, _ = await s.click("ada")
    await asyncio.sleep(600)
    await s.until("what nobody took is gone", lambda: s.objects.keys() == {claimed.name})
    assert pool(s) is None


@in_simulation(
    rules=Rules(pool={"workshop": PoolRule(schedule=(Hours(start="12:10", end="12:20", size=2),))})
)
async def test_a_pool_may_have_hours(s):
    await asyncio.sleep(9 * 60)
    assert s.objects == {}
    await asyncio.sleep(60)
    await full(s, 2)
    assert now() < 615
    await asyncio.sleep(600)
    await s.until("it is over", lambda: s.objects == {})


@in_simulation(rules=Rules(pool={"seminar": PoolRule(size=3)}, capacity=Capacity(workspaces=4)))
async def test_people_come_before_the_pool(s):
    await s.until("the pool is full", lambda: len(s.ready) == 3)
    ada, _ = await s.click("ada", "workshop")
    await s.until("ada is in", lambda: s.settled(ada.name))
    assert len(s.members) == 3
    bob, _ = await s.click("bob", "workshop")
    await s.until("bob is in, and a member made room", lambda: s.settled(bob.name))
    assert len(s.ready) == 2
    eve, _ = await s.click("eve", "seminar")
    assert eve.status.phase == "Ready", "what is left is there to be taken"
    kim, _ = await s.click("kim", "workshop")
    await s.until("kim is in", lambda: s.settled(kim.name))
    joe, _ = await s.click("joe", "workshop")
    await s.until("joe waits", lambda: s.get(joe.name).status.queue)
    assert s.members == []
    await s.until("it is told", lambda: pool(s, "seminar").message.startswith("People come first"))
    await asyncio.sleep(60)
    assert s.members == []


@in_simulation(rules=THREE)
async def test_members_that_still_start_are_given_away_too(s):
    await s.until("they start", lambda: [w.status.phase for w in s.members] == ["Starting"] * 3)
    workspace, _ = await s.click("ada")
    assert workspace.status.phase == "Starting"
    await s.until("it is ready", lambda: s.settled(workspace.name))
    await full(s)


@in_simulation(rules=THREE)
async def test_what_is_claimed_while_it_is_to_go_stays(s):
    await full(s)
    delete = s.store.delete

    async def claim_first(name, version=""):
        s.store.delete = delete
        await s.ask(name, owner="ada")
        await delete(name, version)

    s.store.delete = claim_first
    await s.order(pool={"workshop": PoolOrder(size=2)})
    await s.until("ada has one", lambda: s.of("ada"))
    await asyncio.sleep(10)
    assert s.settled(s.of("ada")[0].name)
    assert len(s.ready) == 2
