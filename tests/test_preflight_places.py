"""Whether every seat finds room."""

from __future__ import annotations

import pytest

from hub.preflight import places
from hub.preflight.places import Quota
from hub.preflight.seats import Space, fitting, pods, together
from hub.profiles import read_profiles
from tests.test_preflight import FAILED, GIB, OK, SEAT, SKIPPED, WARNING, course

ROOMY = {"cpu": 96.0, "memory": 256 * GIB, "pods": 110.0}


def node(
    name: str = "n", images: tuple[str, ...] = (), taken: dict[str, float] | None = None, **offers: float
) -> Space:
    """A node with much of everything but what is named."""
    return Space(name, ROOMY | offers, taken or {}, frozenset(images))


class TestSeats:
    PROFILE = {
        "frameworks": ["dask", "spark"],
        "clusters": {"dask": {}, "spark": {"workers": 1}},
        "workers": 3,
        "resources": {
            "notebook": {"cpu": 2, "memory": "4Gi", "requests": {"cpu": 0.5, "memory": "2Gi"}},
            "scheduler": {"cpu": 0.25, "memory": "512Mi"},
            "worker": {"cpu": 1, "memory": "1Gi", "gpu": 1},
        },
        "kubernetes": {"gpu_resource": "amd.com/gpu"},
    }

    def test_ask_for_what_a_launch_sets_aside(self):
        one = pods(read_profiles({"course": self.PROFILE})["course"])
        assert together(one) == {
            "cpu": 0.5 + 2 * 0.25 + 4,
            "memory": (2 + 2 * 0.5 + 4) * GIB,
            "pods": 7,
            "amd.com/gpu": 4,
        }
        assert one[0]["memory"] == 2 * GIB, "the largest first"

    def test_ask_for_nothing_that_cannot_run(self):
        one = pods(read_profiles({"course": self.PROFILE})["course"], ["spark"])
        assert together(one)["pods"] == 5

    def test_fill_nodes_evenly(self):
        """Filled one by one, they would have room for the large pod of the second seat."""
        spaces = [node("a", cpu=4), node("b", cpu=4)]
        small, large = {"cpu": 1.5, "memory": GIB, "pods": 1.0}, {"cpu": 3.5, "memory": GIB, "pods": 1.0}
        assert fitting(spaces, [small], 9) == 4
        assert fitting(spaces, [large, small], 9) == 1

    def test_pass_over_a_node_that_has_too_little_of_one_thing(self):
        spaces = [node("empty", pods=0), node("small", cpu=2)]
        assert fitting(spaces, SEAT, 9) == 2

    def test_no_nodes_no_seats(self):
        assert fitting([], SEAT, 9) == 0

    def test_what_is_taken_is_not_there(self):
        assert fitting([node(cpu=2, taken={"cpu": 1.0})], SEAT, 9) == 1
        assert node(cpu=2, taken={"cpu": 3.0}).free["cpu"] == 0


class TestResources:
    def states(self, course_, *spaces, seat=SEAT):
        checks = places.resources(course_, spaces, seat, "nvidia.com/gpu")
        return {check.name: check.state for check in checks}, {check.name: check for check in checks}

    def test_enough_of_everything(self):
        states, _ = self.states(course(100), *(node(str(number)) for number in range(2)))
        assert states == {"cpu": OK, "memory": OK, "gpu": SKIPPED, "pods": OK, "room": OK}

    @pytest.mark.parametrize(
        ("name", "offers", "enough"),
        [
            ("cpu", {"cpu": 7.5}, "10 of 100"),
            ("memory", {"memory": 40 * GIB}, "20 of 100"),
            ("pods", {"pods": 61.0}, "30 of 100"),
        ],
    )
    def test_too_little_of_one(self, name, offers, enough):
        states, checks = self.states(course(100), node(**({"pods": 500.0} | offers)))
        assert {one for one, state in states.items() if state == FAILED} == {name, "room"}
        assert enough in checks[name].message
        assert checks[name].hint.splitlines()[-1] == "$ kubectl get nodes"
        assert checks["room"].hint == "See the lines above."

    def test_gpus(self):
        seat = [{"cpu": 0.1, "memory": GIB, "pods": 1.0, "nvidia.com/gpu": 1.0}]
        states, checks = self.states(course(5), Space("n", ROOMY | {"nvidia.com/gpu": 4.0}), seat=seat)
        assert (
            states["gpu"],
            "4 nvidia.com/gpu are free on 1 node, enough for 4" in checks["gpu"].message,
        ) == (
            FAILED,
            True,
        )

    def test_enough_in_sum_but_in_pieces(self):
        seat = [{"cpu": 3.0, "memory": GIB, "pods": 1.0}]
        states, checks = self.states(course(4), *(node(str(number), cpu=4) for number in range(3)), seat=seat)
        assert (states["cpu"], states["room"]) == (OK, FAILED)
        assert "3 of 4 people find room" in checks["room"].message
        assert "small pieces" in checks["room"].hint

    def test_what_is_held_already_needs_no_more(self):
        states, checks = self.states(course(100, held=90), node(cpu=7.5))
        assert set(states.values()) == {OK, SKIPPED}
        states, checks = self.states(course(100, held=80), node(cpu=7.5))
        assert "20 more seats ask for 15 cores" in checks["cpu"].message
        assert "enough for 90 of 100" in checks["cpu"].message
        assert "90 of 100 people find room" in checks["room"].message


class TestQuotas:
    def test_that_leave_enough(self):
        assert places.quotas([Quota("each workspace", "pods", 6, 6)]).state == OK

    def test_that_do_not(self):
        check = places.quotas(
            [Quota("a", "pods", 6, 6), Quota("the namespace podium", "workspaces", 100, 40)]
        )
        assert check.state == FAILED
        assert check.message == "The quota of the namespace podium leaves 40 of workspaces: 100 are needed."


class TestImages:
    COMMAND = "kubectl rollout status daemonset/podium-prepull"

    @pytest.mark.parametrize(
        ("image", "whole"),
        [
            ("podium-workspace", "docker.io/library/podium-workspace:latest"),
            ("team/course:1", "docker.io/team/course:1"),
            ("localhost/course", "localhost/course:latest"),
            ("registry.example.org:5000/a/b", "registry.example.org:5000/a/b:latest"),
            ("registry.example.org/a@sha256:abc", "registry.example.org/a@sha256:abc"),
        ],
    )
    def test_have_a_whole_name(self, image, whole):
        assert places.reference(image) == whole

    def look(self, *spaces, policy="IfNotPresent"):
        return places.images("course:1", spaces, policy, self.COMMAND)

    def test_on_all_nodes(self):
        there = ("docker.io/library/course:1", "docker.io/library/course@sha256:abc")
        assert self.look(node("a", there), node("b", there)).message == "course:1 is on all 2."

    def test_on_some(self):
        check = self.look(node("a", ("course:1",)), node("b"))
        assert (check.state, "course:1 is not on 1 of 2: b." in check.message) == (WARNING, True)
        assert check.hint.splitlines()[-1] == f"$ {self.COMMAND}"

    def test_on_none(self):
        check = self.look(*(node(name) for name in "abcde"))
        assert (check.state, "not on 5 of 5: a, b, c …." in check.message) == (FAILED, True)

    def test_on_none_that_tells(self):
        """A node that has many images does not name all of them."""
        spaces = [Space("a", ROOMY, {}, frozenset({"other"}), listed=False)]
        assert places.images("course:1", spaces, "Always", self.COMMAND).state == WARNING

    def test_that_may_not_be_pulled(self):
        assert self.look(node("a", ("course:1",)), node("b"), policy="Never").state == FAILED


class TestOneMachine:
    @pytest.mark.parametrize(
        ("seats", "cores", "memory", "states"),
        [
            (2, 2.0, 8 * GIB, [OK, OK]),
            (4, 2.0, 8 * GIB, [WARNING, OK]),
            (8, 2.0, 8 * GIB, [WARNING, WARNING]),
            (17, 2.0, 8 * GIB, [WARNING, FAILED]),
        ],
    )
    def test_is_shared(self, seats, cores, memory, states):
        checks = places.machine(course(seats), SEAT, cores, memory)
        assert [check.state for check in checks] == states
        assert [bool(check.hint) for check in checks] == [state != OK for state in states]

    def test_has_a_disk(self):
        assert places.disk(course(10), 10 * GIB, GIB).state == OK
        check = places.disk(course(11), 10 * GIB, GIB)
        assert (check.state, check.message) == (FAILED, "10 GiB are free. 11 homes of 1 GiB need more.")
