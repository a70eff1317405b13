"""Who may begin and who waits: decisions one by one, then a crowd of any kind."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub import queue
from hub.model import POOL, QueuePlace, Workspace
from hub.queue import FULL, MANY, NEVER, Need, Pace, due, line, need, seen_pace
from hub.room import Ended, RoomSpec
from hub.rules import Capacity, Rules
from hub.settings import Requests, Resources, RoleResources, Settings
from hub.wire import replace as change
from tests.builders import NOW, been, make_workspace, seconds

FREE = Capacity()
MANY_AT_ONCE = 1000


def w(name: str, *steps: str, since: float = 0, pooled: bool = False, **fields) -> Workspace:
    """A workspace that was made some seconds before now."""
    made = NOW - seconds(since)
    status = been(*steps) if steps else None
    owner = "" if pooled else name
    workspace = make_workspace(
        name=f"cluster-{name}00", status=status, created=made, owner=owner, touched=made, **fields
    )
    labels = {POOL: "mark"} if pooled else {}
    return change(workspace, metadata=change(workspace.metadata, labels=labels))


def since_start(workspace: Workspace, ago: float) -> Workspace:
    """One that has been starting for so many seconds."""
    history = tuple(change(entry, at=NOW - seconds(ago)) for entry in workspace.status.history)
    return change(workspace, status=change(workspace.status, history=history))


def entering(*workspaces: Workspace, limits: Capacity = FREE, at_once: int = MANY_AT_ONCE, **known) -> str:
    """The letters of those who may begin, in their order."""
    entered = line(workspaces, known.get("begun", {}), limits, at_once, NOW).enter
    return "".join(name.removeprefix("cluster-").removesuffix("00")[-1] for name in entered)


A, B, C = w("aaaaa", since=30), w("bbbbb", since=20), w("ccccc", since=10)
IN, ALSO_IN = (w(name, "Queued", "Starting", "Ready", since=1000) for name in ("xxxxx", "yyyyy"))
ENDING = change(IN, metadata=change(IN.metadata, deletion_timestamp=NOW))
FAILED = w("fffff", "Queued", "Failed")
STARTS = since_start(w("sssss", "Queued", "Starting", since=6), 5)
LONG = since_start(w("lllll", "Queued", "Starting"), 61)
MEMBER = w("mmmmm", pooled=True, since=100)
READY_MEMBER = w("rrrrr", "Queued", "Starting", "Ready", pooled=True)
ONE, TWO = Capacity(workspaces=1), Capacity(workspaces=2)


@pytest.mark.parametrize(
    ("there", "limits", "at_once", "enter"),
    [
        ([], ONE, 1, ""),
        ([C, A, B], FREE, MANY_AT_ONCE, "abc"),
        ([C, A, B], TWO, MANY_AT_ONCE, "ab"),
        ([C, A, B, IN], TWO, MANY_AT_ONCE, "a"),
        ([A, IN, ALSO_IN], TWO, MANY_AT_ONCE, ""),
        ([A, ENDING], ONE, MANY_AT_ONCE, ""),
        ([A, FAILED], ONE, MANY_AT_ONCE, "a"),
        ([A, IN, ALSO_IN], Capacity(workspaces=0), MANY_AT_ONCE, ""),
        ([A, B, C], FREE, 2, "ab"),
        ([A, B, STARTS], FREE, 2, "a"),
        ([A, B, LONG], FREE, 2, "ab"),
        ([A, B, IN], FREE, 2, "ab"),
        ([A, change(B, spec=change(B.spec, queued_at=NOW - seconds(31)))], FREE, 1, "b"),
        ([A, MEMBER], FREE, 1, "a"),
        ([A, MEMBER], ONE, MANY_AT_ONCE, "a"),
        ([A, MEMBER], FREE, MANY_AT_ONCE, "am"),
        ([A, IN, MEMBER], ONE, MANY_AT_ONCE, ""),
        ([change(A, metadata=change(A.metadata, deletion_timestamp=NOW)), B], FREE, 1, "b"),
        # What somebody wrote by hand is nobody's place before it is accepted.
        ([change(A, metadata=change(A.metadata, finalizers=())), B], FREE, 1, "b"),
    ],
)
def test_who_may_begin(there, limits, at_once, enter):
    assert entering(*there, limits=limits, at_once=at_once) == enter


def test_who_was_let_in_a_moment_ago_is_in():
    begun = {A.name: NOW - seconds(1)}
    assert entering(A, B, limits=ONE, begun=begun) == ""
    assert entering(A, B, at_once=1, begun=begun) == ""
    assert entering(A, B, at_once=1, begun={A.name: NOW - seconds(61)}) == "b"


def test_places_are_told_in_words():
    told = line([A, B, C, IN], {}, ONE, 9, NOW).places
    assert [told[one.name].position for one in (A, B, C)] == [1, 2, 3]
    assert told[A.name].message == f"{FULL}; you are next, and enter by yourself."
    assert told[B.name].message.startswith(f"{FULL}; 1 person is before you")
    assert told[C.name].message.startswith(f"{FULL}; 2 people are before you")
    paced = line([A, B], {}, FREE, 1, NOW)
    assert paced.places[B.name].message.startswith(MANY)
    assert paced.paced == {B.name}


def test_those_who_wait_for_others_to_start_are_before_those_who_wait_for_room():
    told = line([A, B, C], {}, TWO, 1, NOW)
    assert told.enter == (A.name,)
    assert [(told.places[one.name].position, told.places[one.name].message[:3]) for one in (B, C)] == [
        (1, MANY[:3]),
        (2, FULL[:3]),
    ]


def test_what_waits_for_nobody_has_no_place():
    assert line([MEMBER, IN], {}, ONE, 9, NOW).places == {}


# Cores and memory.


BIG = Settings(
    resources=RoleResources(
        notebook=Resources(cpu=2, memory="2Gi", requests=Requests(cpu=0.5, memory="512Mi")),
        scheduler=Resources(cpu=1, memory="1Gi"),
        worker=Resources(cpu=1, memory="1Gi", requests=Requests(cpu=0.1)),
    )
)


def test_a_workspace_takes_what_is_set_aside_for_all_its_pods():
    spec = make_workspace(settings=BIG, clusters={"dask": 4, "spark": None}, workers=2).spec
    assert need(spec) == Need(1, pytest.approx(0.5 + 2 * 1 + 6 * 0.1), 512 + 2 * 1024 + 6 * 1024)
    assert need(make_workspace(settings=BIG, clusters={}).spec) == Need(1, 0.5, 512)


def cores(name: str, workers: int, since: float, *steps: str) -> Workspace:
    """One that takes a core for each worker, one for the scheduler and one for the notebook."""
    every = Resources(cpu=1, memory="1Gi")
    settings = Settings(resources=RoleResources(notebook=every, scheduler=every, worker=every))
    return w(name, *steps, since=since, settings=settings, clusters={"dask": workers})


def test_nobody_overtakes_somebody_who_needs_more():
    there = [cores("xxxxx", 1, 90, "Ready"), cores("aaaaa", 8, 30), cores("bbbbb", 1, 20)]
    assert entering(*there, limits=Capacity(cpu=12)) == ""
    assert entering(*there, limits=Capacity(cpu=13)) == "a"
    assert entering(*there, limits=Capacity(memory="16Gi")) == "ab"
    assert entering(*there, limits=Capacity(cpu=100, workspaces=1)) == ""


def test_who_needs_more_than_there_is_holds_up_nobody():
    told = line([cores("aaaaa", 8, 30), cores("bbbbb", 1, 20)], {}, Capacity(cpu=9), 9, NOW)
    assert told.enter == ("cluster-bbbbb00",)
    assert told.places["cluster-aaaaa00"] == QueuePlace(position=1, message=NEVER)


def test_what_may_be_in_use_is_the_operators_word_unless_the_room_page_says_another():
    rules = Rules(capacity=Capacity(workspaces=5, cpu=3))
    assert queue.capacity(rules, RoomSpec()) == rules.capacity
    assert queue.capacity(rules, RoomSpec(capacity=7)) == Capacity(workspaces=7, cpu=3)
    assert queue.capacity(rules, RoomSpec(capacity=0)) == Capacity(workspaces=0, cpu=3)


# The pool.


def test_what_nobody_owns_makes_room_for_people():
    starting = since_start(w("nnnnn", "Queued", "Starting", pooled=True), 61)
    told = line([A, READY_MEMBER, starting], {}, TWO, 9, NOW)
    assert told.leave == (starting.name,), "what is not ready is the smaller loss"
    assert (told.free.workspaces, told.pace) == (0, 0)
    assert line([A, B, READY_MEMBER, starting], {}, TWO, 9, NOW).leave == (starting.name, READY_MEMBER.name)
    assert line([A, READY_MEMBER], {}, TWO, 9, NOW).leave == ()
    assert line([A, B, READY_MEMBER], {}, TWO, 1, NOW).leave == (READY_MEMBER.name,)


def test_no_more_leave_than_are_needed():
    going = change(READY_MEMBER, metadata=change(READY_MEMBER.metadata, deletion_timestamp=NOW))
    other = change(READY_MEMBER, metadata=change(READY_MEMBER.metadata, name="cluster-other00"))
    assert line([A, going, other], {}, TWO, 9, NOW).leave == ()
    people = [w(f"x{number}xxx", "Ready") for number in range(2)]
    assert line([A, *people, other], {}, Capacity(workspaces=1), 9, NOW).leave == (), "it would not help"


def test_how_much_is_left_for_the_pool():
    told = line([IN], {}, Capacity(workspaces=5), 32, NOW)
    assert (told.free.workspaces, told.pace) == (4, 32)
    assert math.isinf(line([IN], {}, FREE, 32, NOW).free.workspaces)
    assert line([IN, STARTS], {}, FREE, 32, NOW).pace == 31
    assert line([A, B, IN], {}, FREE, 1, NOW).pace == 0


def test_while_people_click_the_pool_all_but_rests():
    clicked = w("ccccc", "Queued", "Starting", "Ready", since=4)
    claimed = change(READY_MEMBER, spec=change(READY_MEMBER.spec, owner="ada", claimed_at=NOW - seconds(4)))
    starting = since_start(w("nnnnn", "Queued", "Starting", pooled=True), 5)
    for somebody in (clicked, claimed):
        assert line([somebody], {}, FREE, 32, NOW).pace == 2
        assert line([somebody, starting], {}, FREE, 32, NOW).pace == 1
        assert line([somebody], {}, FREE, 1, NOW).pace == 1
    before = change(claimed, spec=change(claimed.spec, claimed_at=NOW - seconds(6)))
    assert line([before, starting], {}, FREE, 32, NOW).pace == 31


# Estimates.


def eta(place: QueuePlace) -> float | None:
    """Seconds from now."""
    return None if place.eta is None else (place.eta - NOW).total_seconds()


def test_who_waits_for_others_to_start_is_told_by_how_long_launches_took():
    told = line([A, B, C], {}, FREE, 1, NOW, Pace(launch=10)).places
    assert [eta(told[one.name]) for one in (B, C)] == [20, 30]
    assert eta(line([A, B], {}, FREE, 1, NOW).places[B.name]) is None


def test_who_waits_for_room_is_told_by_who_leaves_when():
    soon = change(IN, spec=change(IN.spec, expires=NOW + seconds(600)))
    told = line([A, B, C, soon, ENDING], {}, TWO, 9, NOW, Pace(launch=10)).places
    assert [eta(told[one.name]) for one in (A, B, C)] == [25, 610, None]
    told = line([A, B, soon, IN], {}, TWO, 9, NOW, Pace(leaving=0.01)).places
    assert [eta(told[one.name]) for one in (A, B)] == [100, 200]
    late = change(IN, spec=change(IN.spec, expires=NOW - seconds(600)))
    assert eta(line([A, late], {}, ONE, 9, NOW).places[A.name]) == 0
    assert eta(line([A, IN], {}, ONE, 9, NOW).places[A.name]) is None, "a wall time far off says nothing"


def test_launches_say_how_long_one_takes():
    def took(length: float, name: str) -> Workspace:
        one = w(name, "Queued", "Starting", "Starting/OpeningRoute", "Ready")
        first, start, step, ready = one.status.history
        history = (first, start, step, change(ready, at=start.at + seconds(length)))
        return change(one, status=change(one.status, history=history))

    there = [took(3, "aaaaa"), took(50, "bbbbb"), took(4, "ccccc"), STARTS, A]
    assert seen_pace(there, (), NOW) == Pace(launch=4)
    assert seen_pace([A], (), NOW) == Pace()
    assert seen_pace([w("rrrrr", "Ready")], (), NOW) == Pace(launch=0)


def test_those_who_left_say_how_soon_others_will():
    def left(ago: float, owner: str = "ada") -> Ended:
        at = NOW - seconds(ago)
        return Ended(name="x", uid="1", owner=owner, profile="p", launched=at, ended=at)

    assert seen_pace((), [left(100), left(50), left(10)], NOW).leaving == pytest.approx(0.03)
    assert seen_pace((), [left(100), left(50)], NOW).leaving == 0
    assert seen_pace((), [left(4000), left(50), left(10)], NOW).leaving == 0
    assert seen_pace((), [left(100, ""), left(50), left(10)], NOW).leaving == 0, "of the pool"


@pytest.mark.parametrize(
    ("place", "told", "waited", "paced", "is_due"),
    [
        (QueuePlace(position=1), None, 0, False, True),
        (QueuePlace(position=1), None, 0, True, False),
        (QueuePlace(position=1), None, 2, True, True),
        (QueuePlace(position=1), QueuePlace(position=1), 99, False, False),
        (QueuePlace(position=1), QueuePlace(position=2), 3.9, False, False),
        (QueuePlace(position=1), QueuePlace(position=2), 4, False, True),
        (QueuePlace(position=100), QueuePlace(position=101), 49, False, False),
        (QueuePlace(position=100), QueuePlace(position=101), 50, False, True),
        (QueuePlace(position=1, message="b"), QueuePlace(position=1, message="a"), 4, False, True),
        (QueuePlace(position=1, eta=NOW), QueuePlace(position=1), 4, False, True),
        (QueuePlace(position=1, eta=NOW), QueuePlace(position=1, eta=NOW + seconds(29)), 4, False, False),
        (QueuePlace(position=1, eta=NOW), QueuePlace(position=1, eta=NOW + seconds(30)), 4, False, True),
    ],
)
def test_words_about_places_are_few(place, told, waited, paced, is_due):
    assert due(place, told, waited, paced) is is_due


# A crowd of any kind.

PHASES = st.sampled_from([(), ("Starting",), ("Starting", "Ready"), ("Failed",), ("Ready", "Stopping")])


@st.composite
def crowds(draw) -> list[Workspace]:
    """Workspaces in any state."""
    found = []
    for number in range(draw(st.integers(0, 12))):
        one = cores(f"{number:05}", draw(st.integers(0, 4)), draw(st.integers(0, 100)), *draw(PHASES))
        if draw(st.booleans()):
            one = change(
                one, spec=change(one.spec, owner=""), metadata=change(one.metadata, labels={POOL: "m"})
            )
        if draw(st.integers(0, 5)) == 0:
            one = change(one, metadata=change(one.metadata, deletion_timestamp=NOW))
        found.append(one)
    return found


LIMITS = st.builds(
    Capacity,
    workspaces=st.none() | st.integers(0, 12),
    cpu=st.none() | st.integers(0, 40).map(float),
    memory=st.none() | st.sampled_from(["1Gi", "20Gi", "30Gi"]),
)


def waiting(workspaces: list[Workspace]) -> list[Workspace]:
    return [one for one in workspaces if one.status.phase == "Queued" and not one.deleting]


def holding(workspaces: list[Workspace]) -> list[Workspace]:
    return [one for one in workspaces if one.status.phase not in ("Queued", "Failed")]


@given(crowds(), LIMITS, st.integers(1, 6))
def test_any_crowd_is_served_in_order_and_within_what_there_is(there, limits, at_once):
    told = line(there, {}, limits, at_once, NOW)
    entering = [one for one in there if one.name in told.enter]
    people = sorted(
        (one for one in waiting(there) if not one.pooled),
        key=lambda one: (one.metadata.creation_timestamp, one.spec.touched, one.name),
    )
    inside = sum((need(one.spec) for one in [*holding(there), *entering]), Need(0))
    before = sum((need(one.spec) for one in holding(there)), Need(0))
    most = [
        (limits.workspaces, inside.workspaces, before.workspaces),
        (limits.cpu, inside.cpu, before.cpu),
        (limits.memory and int(limits.memory[:-2]) * 1024, inside.memory, before.memory),
    ]
    for limit, now, then in most:
        assert limit is None or now <= limit or now == then, "nobody enters beyond what there is"
    assert len(told.enter) <= at_once
    assert told.places.keys() == {one.name for one in people} - set(told.enter), "everybody else has a place"
    able = [one for one in people if told.places.get(one.name, QueuePlace(position=0)).message != NEVER]
    entered = [one.name in told.enter for one in able]
    assert entered == sorted(entered, reverse=True), "nobody overtakes anybody"
    positions = [told.places[one.name].position for one in able if one.name in told.places]
    assert positions == list(range(1, len(positions) + 1))
    if any(place.message != NEVER for place in told.places.values()):
        assert not any(one.pooled for one in entering), "people come first"
        assert told.pace == 0


@given(crowds(), LIMITS, st.integers(1, 6))
def test_any_crowd_is_all_served_in_the_end(there, limits, at_once):
    """Whoever is in leaves after a while, and whoever may begin does."""
    begun = dict.fromkeys((), NOW)
    for _ in range(40):
        told = line(there, begun, limits, at_once, NOW)
        there = [one for one in there if one in waiting(there) and one.name not in told.enter]
    left = line(there, begun, limits, at_once, NOW)
    assert all(place.message == NEVER for place in left.places.values())
    assert all(one.pooled or one.name in left.places for one in there)


@given(crowds(), LIMITS)
def test_what_leaves_is_of_the_pool_and_makes_room(there, limits):
    told = line(there, {}, limits, 6, NOW)
    members = {one.name for one in holding(there) if one.pooled and not one.deleting}
    assert set(told.leave) <= members
    if told.leave:
        rest = [one for one in there if one.name not in told.leave and not one.deleting]
        assert line(rest, {}, limits, MANY_AT_ONCE, NOW).enter, "somebody comes in for it"


def test_another_controllers_clock_may_be_ten_minutes_off():
    assert entering(A, since_start(STARTS, -600), at_once=1) == "a"
    assert entering(A, since_start(STARTS, -5), at_once=1) == ""
