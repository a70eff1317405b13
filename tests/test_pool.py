"""What is started ahead of time, and who gets it: decisions one by one, then a pool of any kind."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub import admission, pool
from hub.model import POOL, ClusterStatus, Workspace
from hub.pool import Setback, choice, claimed, fingerprint, member, plan, size, sound, twice, wrong
from hub.profiles import Profile
from hub.room import PoolOrder, PoolStatus
from hub.rules import Hours, PoolRule
from hub.settings import Content
from hub.wire import replace
from tests.builders import HUB_KEY, NOW, been, make_workspace, seconds

PROFILE = Profile(name="workshop", title="Workshop", workers=1)
MARK = fingerprint(PROFILE, "image:1")
PROFILES = {"workshop": PROFILE}


def m(letter: str, *steps: str, mark: str = MARK, ago: float = 0, **fields) -> Workspace:
    """A member that took its last step some seconds ago."""
    made = member(PROFILE, mark, f"cluster-{letter * 6}", NOW)
    if not steps:
        return made
    status = been(*steps, **fields)
    history = tuple(replace(entry, at=NOW - seconds(ago)) for entry in status.history)
    return replace(made, status=replace(status, history=history))


def ending(workspace: Workspace) -> Workspace:
    return replace(workspace, metadata=replace(workspace.metadata, deletion_timestamp=NOW))


def letters(names) -> str:
    return "".join(name[-1] for name in names)


def wanted_by(owner: str, **spec) -> Workspace:
    """What somebody would have launched."""
    body = {"spec": {"profile": "workshop", **spec}}
    return admission.launch(body, PROFILES, owner, admission.workspace_name(HUB_KEY, owner, 0), NOW)


READY, STARTING, QUEUED = m("r", "Starting", "Ready"), m("s", "Queued", "Starting/StartingNotebook"), m("q")


# What it is made from.


def test_a_member_is_a_whole_workspace_of_its_profile_that_nobody_owns():
    made = member(PROFILE, MARK, "cluster-aaaaaa", NOW)
    assert made.pooled
    assert made.spec == replace(wanted_by("ada").spec, owner="")
    assert made.metadata.labels == {POOL: MARK}
    assert made.metadata.finalizers


@pytest.mark.parametrize(
    ("profile", "image", "same"),
    [
        (PROFILE, "image:1", True),
        (replace(PROFILE, title="Other words", description="And more."), "image:1", True),
        (PROFILE, "image:2", False),
        (replace(PROFILE, image="own:1"), "image:1", False),
        (replace(PROFILE, max_workers=9), "image:1", False),
        (replace(PROFILE, workers=2), "image:1", False),
        (replace(PROFILE, content=(Content(git="https://example.org/a.git"),)), "image:1", False),
    ],
)
def test_the_fingerprint_is_another_when_members_would_be(profile, image, same):
    assert (fingerprint(profile, image) == MARK) is same


def test_the_image_of_all_is_of_no_account_to_a_profile_with_its_own():
    own = replace(PROFILE, image="own:1")
    assert fingerprint(own, "image:1") == fingerprint(own, "image:2")


# How large it is.

SCHOOL = PoolRule(
    size=1,
    timezone="Europe/Berlin",
    schedule=(
        Hours(start="08:45", end="09:30", size=100, days=("mon",)),
        Hours(start="09:00", end="10:00", size=50),
        Hours(start="22:00", end="02:00", size=7, days=("fri",)),
    ),
)


@pytest.mark.parametrize(
    ("at", "wanted"),
    [
        (datetime(2026, 3, 2, 7, 44, 59, tzinfo=UTC), 1),  # a Monday, in winter
        (datetime(2026, 3, 2, 7, 45, tzinfo=UTC), 100),
        (datetime(2026, 3, 2, 8, 15, tzinfo=UTC), 100),
        (datetime(2026, 3, 2, 8, 30, tzinfo=UTC), 50),
        (datetime(2026, 3, 2, 9, 0, tzinfo=UTC), 1),
        (datetime(2026, 3, 3, 7, 45, tzinfo=UTC), 1),
        (datetime(2026, 6, 1, 6, 45, tzinfo=UTC), 100),  # in summer
        (datetime(2026, 6, 1, 7, 45, tzinfo=UTC), 50),
        (datetime(2026, 3, 6, 20, 59, tzinfo=UTC), 1),  # a Friday
        (datetime(2026, 3, 6, 21, 0, tzinfo=UTC), 7),
        (datetime(2026, 3, 7, 0, 59, tzinfo=UTC), 7),
        (datetime(2026, 3, 7, 1, 0, tzinfo=UTC), 1),
        (datetime(2026, 3, 7, 21, 0, tzinfo=UTC), 1),
    ],
)
def test_a_pool_has_hours_on_the_clock_of_its_place(at, wanted):
    assert size(SCHOOL, None, at) == wanted


@pytest.mark.parametrize(
    ("rule", "order", "wanted"),
    [
        (None, None, 0),
        (PoolRule(size=3), None, 3),
        (PoolRule(size=3), PoolOrder(size=5), 5),
        (PoolRule(size=3), PoolOrder(size=0), 0),
        (None, PoolOrder(size=5, until=NOW + seconds(1)), 5),
        (PoolRule(size=3), PoolOrder(size=5, until=NOW), 3),
    ],
)
def test_an_instructors_word_goes_before_the_configurations(rule, order, wanted):
    assert size(rule, order, NOW) == wanted


# Who gets what.


@pytest.mark.parametrize(
    ("workspace", "is_sound"),
    [
        (READY, True),
        (STARTING, True),
        (QUEUED, False),
        (ending(READY), False),
        (m("o", "Ready", mark="another"), False),
        (m("f", "Failed"), False),
        (m("t", "Starting/Unschedulable"), False),
        (m("a", "Ready", "Starting/StartingNotebook"), False),
        (replace(READY, spec=replace(READY.spec, owner="ada")), False),
        (make_workspace(owner="", status=been("Ready")), False),
    ],
)
def test_only_what_is_well_is_given_away(workspace, is_sound):
    assert sound(workspace, MARK) is is_sound
    assert bool(choice([workspace], MARK, wanted_by("ada"))) is is_sound


def test_what_is_ready_and_whole_is_given_first():
    part = m("p", "Ready", clusters={"dask": ClusterStatus(workers=2, ready=1)})
    whole = m("w", "Ready", clusters={"dask": ClusterStatus(workers=2, ready=2)})
    for owner in ("ada", "bob", "eve"):
        assert letters(w.name for w in choice([STARTING, part, whole], MARK, wanted_by(owner))) == "wps"


def test_of_another_profile_or_other_material_nothing_is_given():
    other = replace(READY, spec=replace(READY.spec, profile="seminar"))
    assert choice([other], MARK, wanted_by("ada")) == []
    assert choice([READY], MARK, wanted_by("ada", content=[{"git": "https://example.org/a.git"}])) == []


CROWD = [m(letter, "Ready") for letter in "abcdefghijklmnopqrstuvwxyz0123456789"]


@given(st.text(min_size=1, max_size=253), st.randoms())
def test_one_persons_clicks_meet_whatever_else_is_known(owner, chance):
    wanted = replace(wanted_by("x"), spec=replace(wanted_by("x").spec, owner=owner))
    order = [w.name for w in choice(CROWD, MARK, wanted)]
    some = chance.sample(CROWD, 10)
    known = {w.name for w in some}
    assert [w.name for w in choice(some, MARK, wanted)] == [name for name in order if name in known]


def test_different_people_go_apart():
    first = Counter(choice(CROWD, MARK, wanted_by(f"person-{number}"))[0].name for number in range(36))
    assert len(first) > 15
    assert max(first.values()) < 8


def test_a_claim_makes_it_the_persons_own_from_now_on():
    old = replace(READY, spec=replace(READY.spec, touched=NOW - timedelta(days=1), expires=NOW))
    asked = replace(
        wanted_by("ada", workers=3), spec=replace(wanted_by("ada", workers=3).spec, display_name="Ada")
    )
    got = claimed(old, asked)
    assert got.spec == replace(asked.spec, claimed_at=NOW)
    assert (got.metadata, got.status) == (old.metadata, old.status)
    assert not got.pooled


def test_who_has_two_is_found():
    mine, also = make_workspace(name="cluster-aaaaaa"), make_workspace(name="cluster-bbbbbb")
    third = make_workspace(name="cluster-cccccc")
    other = make_workspace(name="cluster-dddddd", owner="bob")
    failed = make_workspace(name="cluster-eeeeee", owner="bob", status=been("Failed"))
    assert twice([mine, other, also, failed, READY, STARTING, third]) == {"ada": [mine, also, third]}
    assert twice([mine, ending(also), other]) == {}


# What to do.


@pytest.mark.parametrize(
    ("workspace", "is_wrong"),
    [
        (READY, ""),
        (STARTING, ""),
        (QUEUED, ""),
        (m("f", "Failed", message="It crashed."), "It crashed."),
        (m("f", "Failed"), "A workspace could not be started."),
        (m("t", "Starting/Unschedulable", ago=1000, message="No room."), ""),
        (m("t", "Starting/QuotaExceeded", ago=19, message="No quota."), ""),
        (m("t", "Starting/QuotaExceeded", ago=20, message="No quota."), "No quota."),
        (m("t", "Ready", "Starting/OutOfMemory", ago=19, message="Too much."), ""),
        (m("t", "Ready", "Starting/OutOfMemory", ago=20, message="Too much."), "Too much."),
        (m("t", "Ready", "Starting/RestartingNotebook", ago=20), "A workspace that was ready is away."),
    ],
)
def test_what_is_wrong_with_a_member(workspace, is_wrong):
    assert wrong(workspace, NOW) == is_wrong


REFUSED = m("x", "Starting/QuotaExceeded", ago=30, message="No quota.")
OLD, OTHER_OLD = m("o", "Ready", mark="old"), m("p", "Starting", mark="old")


@pytest.mark.parametrize(
    ("members", "wanted", "room", "make", "remove"),
    [
        ([], 0, 9, 0, ""),
        ([], 3, 9, 3, ""),
        ([], 3, 2, 2, ""),
        ([], 3, 0, 0, ""),
        ([], 3, -1, 0, ""),
        ([READY], 3, 9, 2, ""),
        ([READY, STARTING, QUEUED], 3, 9, 0, ""),
        ([ending(READY)], 1, 9, 1, ""),
        ([QUEUED, STARTING, READY], 1, 9, 0, "sq"),
        ([READY], 0, 9, 0, "r"),
        ([READY, OLD], 1, 9, 0, "o"),
        ([OLD, OTHER_OLD], 2, 9, 2, "op"),
        ([READY, REFUSED], 2, 9, 0, "x"),
        ([m(letter, "Ready") for letter in "abcdefghijkl"], 0, 9, 0, "abcdefgh"),
    ],
)
def test_a_plan(members, wanted, room, make, remove):
    planned = plan(members, wanted, MARK, room, NOW)
    assert (planned.make, letters(planned.remove)) == (make, remove)


def test_the_room_is_told_how_the_pool_is():
    def told(*members: Workspace, wanted: int = 3, room: int = 9) -> PoolStatus:
        return plan(members, wanted, MARK, room, NOW).status

    assert told(READY, STARTING) == PoolStatus(wanted=3, ready=1, starting=1)
    assert told(READY, STARTING, wanted=1) == PoolStatus(wanted=1, ready=1, starting=0)
    assert told(room=0).message == "People come first: it fills as soon as there is room."
    assert told(READY, REFUSED).message == "No quota."
    stuck = m("u", "Starting/Unschedulable", ago=9, message="No machine has room.")
    assert told(READY, stuck) == PoolStatus(wanted=3, ready=1, starting=1, message="No machine has room.")
    part = m("p", "Ready", clusters={"dask": ClusterStatus(workers=2, pending=2, message="No quota.")})
    assert told(READY, part, wanted=2) == PoolStatus(wanted=2, ready=2, message="No quota.")
    never = m("n", "Ready", clusters={"spark": ClusterStatus(workers=2, message="There is no Java.")})
    assert told(never, wanted=1).message == "", "which everybody knows"


def test_what_keeps_failing_is_tried_less_and_less_often():
    setback, moment, tries = Setback(), NOW, []
    for _ in range(4000):
        planned = plan([], 5, MARK, 9, moment, setback)
        setback = planned.setback
        if planned.make and moment > NOW:
            tries.append(moment)
            assert planned.make == 1, "one shows whether it goes again"
        if planned.make:
            failed = replace(m("x", "Failed", message="No."), status=been("Failed", message="No."))
            setback = plan([failed], 5, MARK, 9, moment, setback).setback
            assert plan([], 5, MARK, 9, moment, setback).status.message == "No."
        moment += seconds(1)
    pauses = [(later - earlier).total_seconds() for earlier, later in pairwise(tries)]
    assert pauses[:4] == [20, 40, 80, 160]
    assert set(pauses[4:]) == {300}


def test_a_setback_is_over_when_a_later_member_is_ready():
    setback = plan([REFUSED], 5, MARK, 9, NOW, Setback()).setback
    assert (setback.failures, setback.at, setback.why) == (1, NOW, "No quota.")
    again = plan([REFUSED], 5, MARK, 9, NOW + seconds(1), setback).setback
    assert again == setback, "what began before is no news"
    before = m("r", "Ready", ago=1)
    assert plan([before], 5, MARK, 9, NOW + seconds(9), setback).make == 0
    assert plan([before], 5, MARK, 9, NOW + seconds(10), setback).make == 1
    assert plan([before, STARTING], 5, MARK, 9, NOW + seconds(10), setback).make == 0, "one tries"
    after = m("r", "Ready", ago=-5)
    over = plan([before, after], 5, MARK, 9, NOW + seconds(10), setback)
    assert (over.setback, over.make, over.status.message) == (Setback(), 3, "")


STATES = st.sampled_from(
    [
        *((), ("Starting",), ("Starting", "Ready"), ("Failed",), ("Ready", "Starting/OutOfMemory")),
        *(("Starting/QuotaExceeded",), ("Starting/Unschedulable",)),
    ]
)


@st.composite
def pools(draw) -> list[Workspace]:
    """Members in any state."""
    found = []
    for number in range(draw(st.integers(0, 20))):
        one = m(
            chr(97 + number),
            *draw(STATES),
            ago=draw(st.integers(0, 60)),
            mark=draw(st.sampled_from([MARK, "old"])),
        )
        found.append(ending(one) if draw(st.integers(0, 4)) == 0 else one)
    return found


@given(pools(), st.integers(0, 12), st.integers(0, 12))
def test_any_pool_comes_to_what_is_wanted_and_stays_there(there, wanted, room):
    setback, moment = Setback(), NOW
    for step in range(40):
        planned = plan(there, wanted, MARK, room, moment, setback)
        setback = planned.setback
        names = {w.name for w in there}
        assert set(planned.remove) <= names
        assert len(planned.remove) <= pool.AT_A_TIME
        assert 0 <= planned.make <= room
        stay = [w for w in there if w.name not in planned.remove and not w.deleting]
        fresh = [w for w in stay if sound(w, MARK)]
        assert len(fresh) + planned.make <= max(wanted, len([w for w in there if sound(w, MARK)]))
        # Whatever is left and new is ready in a minute.
        moment += seconds(60 * (step + 1))
        new = [m(f"{step % 10}", mark=MARK) for _ in range(planned.make)]
        names_of_new = [f"cluster-{step:02}{number:04}" for number in range(planned.make)]
        new = [
            replace(w, metadata=replace(w.metadata, name=name))
            for w, name in zip(new, names_of_new, strict=True)
        ]
        there = [
            replace(w, status=replace(been("Ready"), history=(replace(been("Ready").history[0], at=moment),)))
            for w in (*stay, *new)
        ]
    assert len(there) == wanted if room else len(there) <= wanted
    assert all(w.metadata.labels[POOL] == MARK for w in there)
    assert plan(there, wanted, MARK, room, moment, setback).remove == ()
