"""The line, in dialogues: people who wait, who comes in, and what they are told."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from hub.rules import Capacity, Rules
from tests.simulation import Simulation, in_simulation
from tests.virtual import now

TWO = Rules(capacity=Capacity(workspaces=2))
SLOW = Rules(launches_at_once=2)


async def crowd(s: Simulation, *people: str, profile: str = "workshop") -> list[str]:
    """People who click one after the other. Returns the names of their workspaces."""
    names = []
    for person in people:
        names.append((await s.click(person, profile))[0].name)
        await asyncio.sleep(0.01)
    return names


def position(s: Simulation, name: str) -> int | None:
    """What somebody was last told of their place."""
    place = s.get(name).status.queue
    return place.position if place else None


@in_simulation(rules=TWO)
async def test_beyond_capacity_people_wait_and_come_in_by_themselves(s):
    ada, bob, eve, kim = await crowd(s, "ada", "bob", "eve", "kim")
    await s.until("two are in", lambda: s.settled(ada) and s.settled(bob))
    await s.until("all are told", lambda: (position(s, eve), position(s, kim)) == (1, 2))
    assert s.waits(eve)
    assert s.get(eve).status.message == "All places are taken; you are next, and enter by yourself."
    assert s.get(kim).status.message.startswith("All places are taken; 1 person is before you")
    assert s.get(eve).status.queue.eta is None, (
        "somebody leaves in eight hours at the latest; nobody knows when"
    )
    ends = s.now() + timedelta(minutes=20)
    await s.ask(ada, expires=ends)
    await s.until("that is told", lambda: s.get(eve).status.queue.eta)
    assert timedelta(0) <= s.get(eve).status.queue.eta - ends < timedelta(seconds=10), (
        "and a launch after that"
    )
    await s.store.delete(ada)
    await s.until("eve is in", lambda: s.settled(eve))
    assert s.get(eve).status.queue is None
    assert s.waits(kim)
    await s.until("kim is next", lambda: position(s, kim) == 1)
    await s.store.delete(bob)
    await s.until("kim is in", lambda: s.settled(kim))


@in_simulation(rules=TWO)
async def test_who_gives_up_makes_room_in_line(s):
    _, _, eve, kim = await crowd(s, "ada", "bob", "eve", "kim")
    await s.until("kim is told", lambda: position(s, kim) == 2)
    await s.store.delete(eve)
    await s.until("eve is gone", lambda: eve not in s.objects)
    await s.until("kim is next", lambda: position(s, kim) == 1)
    assert kim not in s.world.places


@in_simulation(rules=TWO)
async def test_an_instructor_moves_somebody_up(s):
    _, bob, eve, kim = await crowd(s, "ada", "bob", "eve", "kim")
    await s.until("kim is told", lambda: position(s, kim) == 2)
    await s.ask(kim, queued_at=s.get(eve).metadata.creation_timestamp - timedelta(seconds=1))
    await s.until("they changed places", lambda: (position(s, kim), position(s, eve)) == (1, 2))
    await s.store.delete(bob)
    await s.until("kim is in", lambda: s.settled(kim))
    assert s.waits(eve)


@in_simulation(rules=TWO)
async def test_one_person_does_not_hold_two_places(s):
    await crowd(s, "ada", "bob")
    clicks = await asyncio.gather(*(s.click("eve") for _ in range(10)))
    assert {workspace.name for workspace, _ in clicks} == {w.name for w in s.of("eve")}
    assert [new for _, new in clicks].count(True) == len(s.of("eve")) == 1


@in_simulation(rules=TWO)
async def test_the_room_page_makes_room(s):
    names = await crowd(s, "ada", "bob", "eve", "kim")
    await s.until("two wait", lambda: s.waits(names[3]) and s.settled(names[0]))
    await s.until("it is told", lambda: s.room._room.value.status.queued == 2)
    await s.order(capacity=3)
    await s.until("eve is in", lambda: s.settled(names[2]))
    assert s.waits(names[3])
    await s.order(capacity=1)
    await asyncio.sleep(60)
    assert [s.settled(name) for name in names] == [True, True, True, False], "nobody is asked to leave"
    await s.order(capacity=None)
    await s.store.delete(names[0])
    await s.store.delete(names[1])
    await s.until("kim is in", lambda: s.settled(names[3]))
    await s.until("it is told", lambda: s.room._room.value.status.queued == 0)


@in_simulation(rules=TWO)
async def test_a_hub_that_starts_anew_knows_who_is_in_and_who_waits(s):
    names = await crowd(s, "ada", "bob", "eve", "kim")
    await s.restart()
    await s.until("two are in", lambda: s.settled(names[0]) and s.settled(names[1]))
    await s.until("two wait", lambda: (position(s, names[2]), position(s, names[3])) == (1, 2))
    await s.stop()
    await s.store.delete(names[0])
    s.start()
    await s.until("the third is in", lambda: s.settled(names[2]))
    await s.restart()
    await asyncio.sleep(60)
    assert s.waits(names[3])


@in_simulation(rules=TWO)
async def test_waiting_costs_nobody_their_time(s):
    ada, bob, eve = await crowd(s, "ada", "bob", "eve")
    clicked = s.now()
    await s.until("it is told", lambda: position(s, eve) == 1)
    await s.ask(ada, expires=clicked + timedelta(hours=3))
    for _ in range(10):
        await asyncio.sleep(1060)
        await s.ask(ada, touched=s.now())
        await s.ask(bob, touched=s.now())
    assert s.waits(eve)
    await s.until("eve is in", lambda: s.get(eve).status.phase == "Ready")
    entered = s.now()
    assert entered - clicked > timedelta(hours=3)
    assert s.get(eve).spec.expires - entered > timedelta(hours=7, minutes=59)
    await asyncio.sleep(3000)
    assert s.get(eve).status.phase == "Ready", "nor has it been idle since the click"


@in_simulation(rules=SLOW)
async def test_launches_are_paced(s):
    names = await crowd(s, *(f"person-{number}" for number in range(10)))
    most = 0

    def all_ready() -> bool:
        nonlocal most
        phases = [s.get(name).status.phase for name in names]
        most = max(most, sum(name in s.world.places for name in names) - phases.count("Ready"))
        return phases.count("Ready") == 10

    await s.until("all are in", all_ready)
    assert most == 2
    order = sorted(
        names, key=lambda name: next(e.at for e in s.get(name).status.history if e.phase == "Ready")
    )
    assert {*order[:2]} == {*names[:2]}, "first come, first served"


@in_simulation(rules=SLOW)
async def test_what_does_not_start_holds_up_nobody_for_long(s):
    s.world.pace = 1000
    first = await crowd(s, "ada", "bob", "eve")
    await asyncio.sleep(30)
    assert s.waits(first[2])
    assert s.get(first[2]).status.message.startswith("Many are starting at this moment")
    await s.until("eve begins", lambda: not s.waits(first[2]))
    assert 60 <= now() <= 65


@in_simulation(rules=Rules(capacity=Capacity(cpu=10)))
async def test_capacity_is_what_is_set_aside_for_pods(s):
    # A notebook, a scheduler and a worker at one core each.
    names = await crowd(s, "ada", "bob", "eve", "kim")
    await s.until("three are in", lambda: all(s.settled(name) for name in names[:3]))
    await s.until("kim waits", lambda: position(s, names[3]) == 1)
    await s.ask(names[0], workers=0)
    await asyncio.sleep(5)
    assert s.waits(names[3])
    await s.ask(names[1], workers=0)
    await s.until("kim is in", lambda: s.settled(names[3]))


@in_simulation(rules=Rules(capacity=Capacity(cpu=5)))
async def test_who_wants_more_than_there_is_holds_up_nobody(s):
    big, _ = await s.click("ada", workers=8)
    small, _ = await s.click("bob")
    await s.until("the small one is in", lambda: s.settled(small.name))
    await s.until("it is told", lambda: "more than there is" in s.get(big.name).status.message)
    assert s.waits(big.name)


@pytest.mark.parametrize("people", [60])
def test_words_about_places_are_few(people):
    @in_simulation(rules=Rules(capacity=Capacity(workspaces=1)))
    async def dialogue(s):
        names = await crowd(s, *(f"person-{number:02}" for number in range(people)))
        await s.until("all are told", lambda: all(position(s, name) for name in names[1:]))
        versions = int(
            max(s.objects.values(), key=lambda w: int(w.metadata.resource_version)).metadata.resource_version
        )
        await asyncio.sleep(600)
        assert s.of("person-00")
        latest = max(int(w.metadata.resource_version) for w in s.objects.values())
        assert latest - versions < people, "while nothing moves, nobody is told anything"

    dialogue()
