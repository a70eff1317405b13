"""What the doctor says of what it sees."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from hub.doctor import judge, machines, rights
from hub.doctor.checks import machine
from hub.doctor.judge import Finding, Reached
from hub.doctor.machines import Machine
from hub.doctor.rights import Right
from hub.profiles import Profile, read_profiles
from hub.settings import Settings
from hub.store import crd
from hub.wire import convert

GOOD, BAD, UNKNOWN = "good", "bad", "unknown"


class TestVersions:
    @pytest.mark.parametrize(
        ("found", "level"),
        [
            ("v1.34.4", GOOD),
            ("v1.29.0-gke.1381000", GOOD),
            ("v2.0.0", GOOD),
            ("v1.28.15-eks-ebe7c11", BAD),
            ("v1.9.0", BAD),
            ("unheard-of", UNKNOWN),
        ],
    )
    def test_of_the_api_server(self, found, level):
        finding = judge.version(found)
        assert (finding.level, found in finding.message) == (level, True)
        assert ("1.29" in finding.hint) == (level == BAD)


class TestRights:
    def test_that_are_all_there(self):
        assert judge.rights([], 47) == Finding(GOOD, "Rights", "all 47 that the controller needs.")

    def test_that_are_missing_are_named_by_what_they_are_for(self):
        missing = [
            Right("create", "pods"),
            Right("list", "pods"),
            Right("patch", "workspaces.podium.hub", "ns"),
        ]
        finding = judge.rights(missing, 47)
        assert finding.level == BAD
        assert finding.message == "3 of 47 are missing: create, list pods; patch workspaces.podium.hub in ns."
        assert "helm/files/rights/controller.yaml" in finding.hint

    def test_are_spelled_as_an_access_review_wants_them(self):
        assert Right("patch", "workspaces.podium.hub/status", "ns").attributes == {
            **{"verb": "patch", "group": "podium.hub", "resource": "workspaces"},
            **{"subresource": "status", "namespace": "ns"},
        }
        assert Right("get", "pods/log").attributes == {
            "verb": "get",
            "resource": "pods",
            "subresource": "log",
        }

    def test_to_the_lease_are_to_that_of_the_release(self):
        named = {right for right in rights.controller("tea", "kitchen") if right.name}
        lease = "leases.coordination.k8s.io"
        assert named == {Right(verb, lease, "kitchen", "tea-controller") for verb in ("get", "update")}


def definition(**changes: Any) -> dict[str, Any]:
    """The definition of Workspaces as a server gives it."""
    found: dict[str, Any] = json.loads(json.dumps(crd.crd()))
    for column in found["spec"]["versions"][0]["additionalPrinterColumns"]:
        if not column["priority"]:
            del column["priority"]
    found["spec"] |= {"conversion": {"strategy": "None"}}
    found["status"] = {"conditions": [{"type": "Established", "status": "True"}]}
    return found | changes


class TestTheDefinitionOfWorkspaces:
    OURS = json.loads(json.dumps(crd.crd()))

    def test_is_that_of_this_version(self):
        assert judge.custom_resource(definition(), self.OURS).level == GOOD

    def test_is_not_there(self):
        finding = judge.custom_resource(None, self.OURS)
        assert (finding.level, finding.message) == (BAD, "are not known to the cluster.")
        assert finding.hint == "kubectl apply --server-side -f helm/files/crd.yaml"

    @pytest.mark.parametrize("less", [True, False])
    def test_is_of_another_version(self, less):
        found = definition()
        spec = found["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
        if less:
            del spec["workers"]
        else:
            spec["tea"] = {"type": "string"}
        finding = judge.custom_resource(found, self.OURS)
        assert (finding.level, finding.message) == (BAD, "are defined by another version of Podium.")

    def test_is_not_served(self):
        conditions = [
            {"type": "NamesAccepted", "status": "False", "message": "ws is taken"},
            {"type": "Established", "status": "False", "message": "not all names are accepted"},
        ]
        finding = judge.custom_resource(definition(status={"conditions": conditions}), self.OURS)
        assert finding.level == BAD
        assert finding.message == "are not served: ws is taken; not all names are accepted."
        silent = judge.custom_resource(definition(status={}), self.OURS)
        assert silent.message == "are not served: nobody says why."


def test_the_namespace_of_the_release():
    assert judge.release_namespace("podium", exists=True).level == GOOD
    finding = judge.release_namespace("podium", exists=False)
    assert (finding.level, "kubectl create namespace podium" in finding.hint) == (BAD, True)


GIB = 2.0**30
ROOM = {"cpu": 4.0, "memory": 8 * GIB}
TAINT = ("dedicated", "class", "NoSchedule")


def settings(**kubernetes: Any) -> Settings:
    """Of a profile whose worker is its largest role."""
    small = {"cpu": 0.5}
    large = {"cpu": 2, "memory": "4Gi", "requests": {"cpu": 1}}
    resources = {"notebook": small, "scheduler": small, "worker": large}
    return convert({"resources": resources, "kubernetes": kubernetes}, Settings)


class TestNodes:
    @pytest.mark.parametrize(
        ("node", "own"),
        [
            (Machine("n", offers=ROOM), {}),
            (Machine("n", offers={"cpu": 1, "memory": 4 * GIB}), {}),  # what is asked for, not the limit
            (
                Machine("n", labels={"pool": "class", "x": "y"}, offers=ROOM),
                {"nodeSelector": {"pool": "class"}},
            ),
            (Machine("n", taints=[("a", "", "PreferNoSchedule")], offers=ROOM), {}),
            (
                Machine("n", taints=[TAINT], offers=ROOM),
                {"tolerations": [{"key": "dedicated", "value": "class"}]},
            ),
            (
                Machine("n", taints=[TAINT], offers=ROOM),
                {"tolerations": [{"key": "dedicated", "operator": "Exists", "effect": "NoSchedule"}]},
            ),
            (Machine("n", taints=[TAINT], offers=ROOM), {"tolerations": [{"operator": "Exists"}]}),
        ],
    )
    def test_that_take_pods(self, node, own):
        finding = machines.machines([node, Machine("gone", ready=False)], settings(**own))
        assert finding == Finding(GOOD, "Nodes", "1 of 2 take pods of this profile, of every role.")

    @pytest.mark.parametrize(
        ("node", "own"),
        [
            (Machine("n", ready=False, offers=ROOM), {}),
            (Machine("n", cordoned=True, offers=ROOM), {}),
            (Machine("n", labels={"pool": "other"}, offers=ROOM), {"nodeSelector": {"pool": "class"}}),
            (Machine("n", taints=[TAINT], offers=ROOM), {}),
            (Machine("n", taints=[("a", "", "NoExecute")], offers=ROOM), {}),
            (
                Machine("n", taints=[TAINT], offers=ROOM),
                {"tolerations": [{"key": "dedicated", "value": "x"}]},
            ),
            (
                Machine("n", taints=[TAINT], offers=ROOM),
                {"tolerations": [{"key": "x", "operator": "Exists"}]},
            ),
            (
                Machine("n", taints=[TAINT], offers=ROOM),
                {"tolerations": [{"operator": "Exists", "effect": "NoExecute"}]},
            ),
        ],
    )
    def test_that_take_none(self, node, own):
        finding = machines.machines([node], settings(**own))
        assert (finding.level, finding.message) == (BAD, "none of 1 takes pods of this profile.")

    @pytest.mark.parametrize("offers", [{"cpu": 0.9, "memory": 8 * GIB}, {"cpu": 8, "memory": 3.9 * GIB}])
    def test_that_are_too_small(self, offers):
        small = Machine("n", offers=offers)
        finding = machines.machines([small, small], settings())
        assert finding.level == BAD
        assert finding.message == (
            "not one of 2 is large enough for a worker, which asks for 1 cpu, 4 GiB of memory."
        )
        assert "resources.worker" in finding.hint
        assert machines.machines([small, Machine("large", offers=ROOM)], settings()).level == GOOD

    def test_without_gpus(self):
        resources = {"notebook": {"gpu": 2}}
        wanted = convert({"resources": resources, "kubernetes": {"gpuResource": "amd.com/gpu"}}, Settings)
        finding = machines.machines([Machine("n", offers=ROOM)], wanted)
        assert (finding.level, "a notebook" in finding.message) == (BAD, True)
        assert "2 amd.com/gpu" in finding.message
        assert machines.machines([Machine("n", offers=ROOM | {"amd.com/gpu": 2.0})], wanted).level == GOOD

    def test_as_the_api_server_writes_them(self):
        node = {
            "metadata": {"name": "n", "labels": {"a": "b"}},
            "spec": {"unschedulable": True, "taints": [{"key": "k", "effect": "NoSchedule"}]},
            "status": {
                "allocatable": {"cpu": "3920m", "memory": "1Gi", "nvidia.com/gpu": "1"},
                "conditions": [
                    {"type": "DiskPressure", "status": "False"},
                    {"type": "Ready", "status": "True"},
                ],
            },
        }
        assert machine(node) == Machine(
            name="n",
            cordoned=True,
            labels={"a": "b"},
            taints=[("k", "", "NoSchedule")],
            offers={"cpu": 3.92, "memory": GIB, "nvidia.com/gpu": 1.0},
        )
        node["status"]["conditions"][1]["status"] = "Unknown"
        assert not machine(node).ready
        assert not machine({"metadata": {"name": "new"}}).ready


def menu(**kubernetes: Any) -> list[Profile]:
    """A menu of one profile."""
    return list(read_profiles({"course": {"kubernetes": kubernetes}}).values())


class TestStorage:
    SHARED = {"name": "data", "path": "/data", "claim": {"storage_class": "nfs"}}

    @pytest.mark.parametrize(
        ("own", "classes", "level", "told"),
        [
            ({}, {}, GOOD, "no profile claims any"),
            ({"home": {}}, {"standard": True}, GOOD, "the default"),
            ({"home": {}}, {"standard": False}, BAD, "profile course wants the default class; there is none"),
            ({"home": {}}, {}, BAD, "there is none"),
            ({"home": {"storage_class": "fast"}}, {"fast": False}, GOOD, "fast"),
            (
                {"home": {"storage_class": "fast"}},
                {"slow": True},
                BAD,
                "no class fast, which the profile course",
            ),
            ({"shared": [SHARED]}, {"nfs": False}, GOOD, "nfs"),
            ({"shared": [SHARED], "home": {}}, {"standard": True}, BAD, "no class nfs"),
        ],
    )
    def test_of_a_profile(self, own, classes, level, told):
        finding = judge.storage(classes, judge.claimed(menu(**own)))
        assert (finding.level, told in finding.message) == (level, True), finding
        assert bool(finding.hint) == (level == BAD)

    def test_that_has_no_such_class_says_which_there_are(self):
        wanted = judge.claimed(menu(home={"storage_class": "fast"}))
        assert judge.storage({"b": True, "a": False}, wanted).hint == "There are: a, b."
        assert judge.storage({}, wanted).hint == "There is none at all."


def test_pod_security():
    refused = 'pods "p" is forbidden: violates PodSecurity "restricted:latest": privileged'
    assert judge.restricted(refused).level == GOOD
    assert judge.restricted("").level == BAD
    other = judge.restricted("denied by a policy")
    assert (other.level, other.message.endswith("denied by a policy")) == (UNKNOWN, True)


class TestAdmission:
    def test_of_everything(self):
        assert judge.accepted("course", {}).level == GOOD

    def test_that_refuses(self):
        finding = judge.accepted("course", {"the pod notebook": "no tea", "Secret files": "no milk"})
        assert (finding.level, finding.message) == (BAD, "the pod notebook is refused: no tea (1 more)")
        assert "profile course" in finding.hint

    def test_that_cannot_be_tried(self):
        said = 'admission webhook "x" does not support dry run'
        assert judge.accepted("course", {"the pod notebook": said}).level == UNKNOWN


ALL_WELL = Reached(resolved="10.96.0.7", service=True, open=True)


class TestTheNetwork:
    @pytest.mark.parametrize(
        ("reached", "expected"),
        [
            (ALL_WELL, {"DNS": GOOD, "Services": GOOD, "Network policies": GOOD}),
            (
                replace(ALL_WELL, ingress=True, egress=True),
                {"DNS": GOOD, "Services": GOOD, "Network policies": BAD},
            ),
            (replace(ALL_WELL, service=False), {"DNS": GOOD, "Services": BAD, "Network policies": GOOD}),
            (Reached(why="no such name", open=True), {"DNS": BAD, "Network policies": GOOD}),
            (Reached(why="no such name"), {"DNS": BAD, "Pods": BAD}),  # nothing can be said of policies
            (Reached(resolved="10.96.0.7"), {"DNS": GOOD, "Pods": BAD}),
        ],
    )
    def test_as_the_visitor_found_it(self, reached, expected):
        findings = judge.network(reached, "there")
        assert {finding.title: finding.level for finding in findings} == expected
        for finding in findings:
            assert bool(finding.hint) == (finding.level == BAD)

    @pytest.mark.parametrize(
        ("ways", "told"),
        [({"ingress": True}, "incoming connections"), ({"egress": True}, "outgoing connections")],
    )
    def test_whose_policies_work_one_way_alone(self, ways, told):
        finding = judge.network(replace(ALL_WELL, **ways), "there")[-1]
        assert (finding.level, finding.message) == (BAD, f"are not enforced for {told}.")
