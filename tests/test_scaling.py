"""Which workers exist: decisions one by one, then a small cluster that is scaled at will."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.clusters.base import ClusterState, WorkerState
from hub.observed import Instance
from hub.scaling import Assignment, assign
from hub.workload import Workload
from tests.builders import dask, notebook, says, worker, workers_workload


def w(*numbers: int) -> tuple[str, ...]:
    return tuple(f"dask-worker-{number}" for number in numbers)


def present(*numbers: int) -> list[Instance]:
    return [worker(number) for number in numbers]


NOBODY = says()
THREE_IDLE = says(dask(1), dask(2), dask(3))
SECOND_BUSY = says(dask(1), dask(2, busy=True), dask(3, busy=True))
TABLE = {
    "from nothing": (2, [], NOBODY, True, w(1, 2), ()),
    "as it should be": (3, present(1, 2, 3), THREE_IDLE, True, w(1, 2, 3), ()),
    "one more": (4, present(1, 2, 3), THREE_IDLE, True, w(1, 2, 3, 4), ()),
    "a gap is filled": (3, present(1, 3), NOBODY, True, w(1, 3, 2), ()),
    "a name that still ends is not used": (
        2,
        [worker(1, terminating=True), worker(2)],
        NOBODY,
        True,
        w(2, 3),
        (),
    ),
    "a name that its scheduler still knows is not used": (1, [], says(dask(1, drained=True)), True, w(2), ()),
    "the newest idle one is drained": (2, present(1, 2, 3), THREE_IDLE, True, w(1, 2, 3), w(3)),
    "tens sort after units": (1, present(2, 10), says(dask(2), dask(10)), True, w(2, 10), w(10)),
    "idle before busy": (2, present(1, 2, 3), SECOND_BUSY, True, w(1, 2, 3), w(1)),
    "then busy, newest first": (1, present(1, 2, 3), SECOND_BUSY, True, w(1, 2, 3), w(1, 3)),
    "busy is left alone": (1, present(1, 2, 3), SECOND_BUSY, False, w(1, 2, 3), w(1)),
    "one nobody knows is dropped first": (2, present(1, 2, 3), says(dask(1), dask(3)), True, w(1, 3), ()),
    "the newest that nobody knows": (1, present(1, 2, 3), says(dask(1)), True, w(1), ()),
    "draining goes on": (
        2,
        present(1, 2, 3),
        says(dask(1), dask(2), dask(3, draining=True)),
        True,
        w(1, 2, 3),
        w(3),
    ),
    "drained may go": (
        2,
        present(1, 2, 3),
        says(dask(1), dask(2), dask(3, draining=True, drained=True)),
        True,
        w(1, 2),
        (),
    ),
    "drained though nobody asked": (
        2,
        present(1, 2),
        says(dask(1), dask(2, drained=True)),
        True,
        w(1, 3),
        (),
    ),
    "one that drains is made up for": (
        3,
        present(1, 2, 3),
        says(dask(1), dask(2), dask(3, draining=True)),
        True,
        w(1, 2, 3, 4),
        w(3),
    ),
    "to none": (0, present(1), says(dask(1)), True, w(1), w(1)),
    "unknown: nothing shrinks": (0, present(1, 2), None, True, w(1, 2), ()),
    "unknown: it may grow": (3, present(1, 3), None, True, w(1, 3, 2), ()),
    "unknown: what ends is not kept": (1, [worker(1, terminating=True), worker(2)], None, True, w(2), ()),
    "strangers do not count": (1, present(1), says(dask(1), dask(7), dask(8, draining=True)), True, w(1), ()),
}


@pytest.mark.parametrize(
    ("wanted", "there", "state", "drains_busy", "instances", "drain"), TABLE.values(), ids=TABLE
)
def test_the_choice(wanted, there, state, drains_busy, instances, drain):
    assert assign(workers_workload(wanted), there, state, drains_busy) == Assignment(instances, drain)


@pytest.mark.parametrize("role", ["notebook", "scheduler"])
def test_what_is_no_worker_has_the_name_of_its_workload(role):
    workload = Workload(name="notebook", role=role, cluster="", command=())
    assert assign(workload, [notebook(terminating=True)], None, False) == Assignment(("notebook",))


# Any situation at all.

NUMBERS = st.integers(min_value=1, max_value=12)
INSTANCES = st.lists(
    st.builds(worker, NUMBERS, terminating=st.booleans(), ready=st.booleans()),
    max_size=8,
    unique_by=lambda i: i.name,
)
KNOWN = st.builds(dask, NUMBERS, busy=st.booleans(), draining=st.booleans(), drained=st.booleans())
STATES = st.lists(KNOWN, max_size=8, unique_by=lambda known: known.instance).map(lambda known: says(*known))
WANTED = st.integers(min_value=0, max_value=8)


def alive(there: Iterable[Instance]) -> set[str]:
    return {instance.name for instance in there if not instance.terminating}


@given(WANTED, INSTANCES, STATES, st.booleans())
def test_nobody_known_and_undrained_is_dropped(wanted, there, state, drains_busy):
    chosen = assign(workers_workload(wanted), there, state, drains_busy)
    for known in state.workers:
        if known.instance in alive(there) and not known.drained:
            assert known.instance in chosen.instances


@given(WANTED, INSTANCES, STATES)
def test_no_busy_worker_is_asked_to_go_where_busy_ones_are_not_drained(wanted, there, state):
    chosen = assign(workers_workload(wanted), there, state, drains_busy=False)
    asked = {
        known.instance for known in state.workers if known.busy and not known.draining and not known.drained
    }
    assert not asked & set(chosen.drain)


@given(WANTED, INSTANCES, st.booleans())
def test_what_is_not_known_never_shrinks(wanted, there, drains_busy):
    chosen = assign(workers_workload(wanted), there, None, drains_busy)
    assert alive(there) <= set(chosen.instances)
    assert chosen.drain == ()
    assert len(chosen.instances) == max(wanted, len(alive(there)))


@given(WANTED, INSTANCES, st.none() | STATES, st.booleans())
def test_names_are_never_used_twice(wanted, there, state, drains_busy):
    chosen = assign(workers_workload(wanted), there, state, drains_busy)
    assert len(set(chosen.instances)) == len(chosen.instances)
    ending = {instance.name for instance in there} - alive(there)
    assert not ending & set(chosen.instances), "one that still ends is not taken up again"
    assert set(chosen.drain) <= alive(there) & set(chosen.instances)
    assert len(set(chosen.drain)) == len(chosen.drain)


@given(WANTED, INSTANCES, st.none() | STATES, st.booleans())
def test_there_are_never_fewer_than_wanted_and_never_more_made_than_missing(
    wanted, there, state, drains_busy
):
    chosen = assign(workers_workload(wanted), there, state, drains_busy)
    leaving = (
        {known.instance for known in state.workers if known.draining or known.drained} if state else set()
    )
    staying = set(chosen.instances) - leaving
    made = set(chosen.instances) - alive(there)
    assert len(staying) >= wanted
    assert len(made) == max(0, wanted - len(alive(there) - leaving))


@given(WANTED, INSTANCES, STATES, st.booleans())
def test_a_shrink_takes_those_nobody_knows_then_idle_ones_then_busy_ones_newest_first(
    wanted, there, state, drains_busy
):
    chosen = assign(workers_workload(wanted), there, state, drains_busy)
    known = {one.instance: one for one in state.workers}
    working = [
        name for name in alive(there) if not (name in known and (known[name].draining or known[name].drained))
    ]

    def order(name: str) -> tuple[int, int]:
        kind = 0 if name not in known else 1 if not known[name].busy else 2
        return kind, -int(name.rpartition("-")[2])

    taken = [name for name in working if name not in chosen.instances or name in chosen.drain]
    can_go = [name for name in sorted(working, key=order) if drains_busy or order(name)[0] < 2]
    assert sorted(taken, key=order) == can_go[: max(0, len(working) - wanted)]


# A cluster that lives: what is chosen is done, and what is done is seen.


@dataclass
class Cluster:
    """A backend and a scheduler in a nutshell: some workers register late, some are busy for a while."""

    there: dict[str, Instance]
    known: dict[str, WorkerState]
    busy_rounds: int
    lost: set[str] = field(default_factory=set)

    def state(self) -> ClusterState:
        return ClusterState(tuple(self.known.values()))

    def round(self, wanted: int, drains_busy: bool, known: bool) -> None:
        """One look of the controller, then everything moves on by a step."""
        chosen = assign(
            workers_workload(wanted), tuple(self.there.values()), self.state() if known else None, drains_busy
        )
        for name, instance in list(self.there.items()):
            if instance.terminating:
                del self.there[name]
                self.known.pop(name, None)
            elif name not in chosen.instances:
                if name in self.known and not self.known[name].drained:
                    self.lost.add(name)
                self.there[name] = replace(instance, terminating=True)
        self.known = {name: self._step(one, chosen) for name, one in self.known.items() if name in self.there}
        for name, instance in self.there.items():
            if name not in self.known and not instance.terminating:
                self.known[name] = WorkerState(name)
        for name in chosen.instances:
            self.there.setdefault(name, Instance(name, "dask-worker"))
        self.busy_rounds -= 1

    def _step(self, one: WorkerState, chosen: Assignment) -> WorkerState:
        busy = one.busy and self.busy_rounds > 0
        draining = one.draining or one.instance in chosen.drain
        return replace(one, busy=busy, draining=draining, drained=one.drained or (one.draining and not busy))


@given(
    INSTANCES,
    STATES,
    st.lists(st.tuples(WANTED, st.booleans()), max_size=6),
    WANTED,
    st.booleans(),
    st.integers(min_value=0, max_value=5),
)
def test_from_any_start_it_comes_to_exactly_the_wanted_number(
    there, state, changes, wanted, drains_busy, busy_rounds
):
    names = {instance.name: instance for instance in there}
    cluster = Cluster(names, {k.instance: k for k in state.workers if k.instance in names}, busy_rounds)
    for meanwhile, known in changes:
        cluster.round(meanwhile, drains_busy, known)
    for _ in range(12):
        cluster.round(wanted, drains_busy, known=True)
    assert len(cluster.there) == wanted
    assert len(cluster.known) == wanted
    assert not any(instance.terminating for instance in cluster.there.values())
    assert not any(known.draining for known in cluster.known.values())
    assert not cluster.lost
    before = dict(cluster.there)
    cluster.round(wanted, drains_busy, known=True)
    assert cluster.there == before, "and stays there"
