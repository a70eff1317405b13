"""What the doctor says of what it sees; what its probe sends, and what its visitor tells of a network."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from click.testing import CliRunner

from hub.backends.kubernetes.manifests import Release
from hub.cli import cli
from hub.doctor import judge, machines, rights, visited, visitor
from hub.doctor.checks import machine
from hub.doctor.command import Terminal
from hub.doctor.judge import Finding, Reached
from hub.doctor.machines import Machine
from hub.doctor.plan import PORTS, VISITED, VISITOR, Plan, plan
from hub.doctor.rights import Right
from hub.model import Settings, convert
from hub.profiles import Profile, read_profiles
from hub.store import crd
from tests.policy import Cluster, End

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
        assert "helm/rights/controller.yaml" in finding.hint

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
    found: dict[str, Any] = json.loads(crd.text())
    for column in found["spec"]["versions"][0]["additionalPrinterColumns"]:
        if not column["priority"]:
            del column["priority"]
    found["spec"] |= {"conversion": {"strategy": "None"}}
    found["status"] = {"conditions": [{"type": "Established", "status": "True"}]}
    return found | changes


class TestTheDefinitionOfWorkspaces:
    OURS = json.loads(crd.text())

    def test_is_that_of_this_version(self):
        assert judge.custom_resource(definition(), self.OURS).level == GOOD

    def test_is_not_there(self):
        finding = judge.custom_resource(None, self.OURS)
        assert (finding.level, finding.message) == (BAD, "are not known to the cluster.")
        assert finding.hint == "kubectl apply --server-side -f helm/crds/workspaces.yaml"

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


def free_address() -> tuple[str, int]:
    """A port of this machine on which nobody listens."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        address, port = server.getsockname()
        return address, port


@pytest.fixture
def listening() -> Iterator[list[int]]:
    """The ports of a visited pod."""
    with ExitStack() as stack:
        servers = [stack.enter_context(server) for server in visited.listen("127.0.0.1", [0, 0, 0])]
        yield [server.getsockname()[1] for server in servers]


class TestTheVisitor:
    """It speaks to this machine, on which no policy forbids anything."""

    def test_where_nothing_is_forbidden(self, listening):
        found = visitor.look("localhost", "127.0.0.1", *listening, patience=0)
        assert found.pop("resolved") in ("127.0.0.1", "::1")
        assert {**found, "service": True} == {
            **{"why": "", "service": True, "open": True, "ingress": True, "egress": True}
        }

    def test_where_ports_are_closed(self, listening):
        closed = free_address()[1]
        found = visitor.look("localhost", "127.0.0.1", listening[0], closed, listening[1], patience=0)
        assert (found["open"], found["ingress"], found["egress"]) == (True, False, True)

    def test_says_nothing_of_policies_where_nothing_is_reached(self):
        closed = free_address()[1]
        found = visitor.look("localhost", "127.0.0.1", closed, closed, closed, patience=0)
        assert (found["open"], found["ingress"], found["egress"]) == (False, False, False)

    def test_where_there_is_no_such_name(self, listening, monkeypatch):
        def unknown(*_: Any, **__: Any) -> None:
            raise socket.gaierror(-2, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", unknown)
        found = visitor.look("there", "127.0.0.1", *listening, patience=0)
        assert (found["resolved"], found["service"]) == ("", False)
        assert "not known" in str(found["why"])

    def test_tries_again_until_something_listens(self, monkeypatch):
        address, port = free_address()
        with ExitStack() as stack:

            def listens(_: float) -> None:
                stack.enter_context(socket.create_server((address, port)))

            monkeypatch.setattr(visitor.time, "sleep", listens)
            assert visitor.reaches(address, port, patience=60)

    def test_tries_again_until_a_policy_takes_effect(self, monkeypatch):
        server = socket.create_server(("127.0.0.1", 0))
        monkeypatch.setattr(visitor.time, "sleep", lambda _: server.close())
        assert visitor.leaks("127.0.0.1", [server.getsockname()[1]], patience=60) == set()

    def test_says_what_the_doctor_reads(self, listening):
        said = visitor.look("localhost", "127.0.0.1", *listening, patience=0)
        assert set(said) == set(Reached.__dataclass_fields__)


RELEASE = Release("tea", "kitchen", "example.org/workspace:1")
NOW = datetime(2026, 3, 1, tzinfo=UTC)
PROFILE: dict[str, Any] = {
    "frameworks": ["dask", "spark"],
    "resources": {"worker": {"cpu": 2, "memory": "2Gi", "gpu": 1}},
    "kubernetes": {"home": {}, "node_selector": {"pool": "class"}},
}


def planned(**profile: Any) -> Plan:
    """The probe of a profile."""
    tried = read_profiles({"course": PROFILE | profile})["course"]
    programs = {VISITED: "listens", VISITOR: "looks at $HOME"}
    return plan("podium-doctor-1", tried, RELEASE, programs, b"k" * 32, NOW)


def end(pod: dict[str, Any], address: str) -> End:
    """A pod as an end of connections."""
    named = {port["name"]: port["containerPort"] for port in pod["spec"]["containers"][0].get("ports", [])}
    return End(address, "podium-doctor-1", pod["metadata"]["labels"], named)


class TestThePlan:
    def test_tries_everything_that_a_workspace_may_have(self):
        wanted = planned()
        named = [body["metadata"]["name"] for body in wanted.pods]
        assert named == [
            "notebook",
            *("dask-scheduler", "dask-worker-0", "spark-scheduler", "spark-worker-0"),
        ]
        assert {one.kind for one in wanted.tried} == {
            *("ResourceQuota", "NetworkPolicy", "PersistentVolumeClaim", "Secret", "Service"),
        }

    def test_has_pods_that_go_where_those_of_the_profile_go(self):
        wanted = planned()
        for body in (wanted.visited, wanted.visitor("10.0.0.1")):
            assert body["spec"]["nodeSelector"] == {"pool": "class"}
            assert body["spec"]["containers"][0]["image"] == "example.org/workspace:1"
            assert body["spec"]["restartPolicy"] == "Never"
        assert planned(image="mine:2").image == "mine:2"

    def test_has_pods_that_take_no_room_and_no_claim(self):
        wanted = planned()
        for body in (wanted.visited, wanted.visitor("10.0.0.1")):
            [container] = body["spec"]["containers"]
            assert container["resources"] == {
                "limits": {"cpu": "2", "memory": "2Gi"},
                "requests": {"cpu": "50m", "memory": "32Mi"},
            }
            assert all("emptyDir" in volume for volume in body["spec"]["volumes"])

    def test_gives_the_visitor_its_program_as_it_is(self):
        [container] = planned().visitor("10.0.0.1")["spec"]["containers"]
        numbers = [str(number) for number in PORTS.values()]
        program = "looks at $$HOME"  # as Kubernetes wants it, which makes $HOME of it
        assert container["args"] == ["python", "-c", program, "doctor-visited", "10.0.0.1", *numbers]

    def test_is_nothing_that_a_controller_takes_for_its_own(self):
        wanted = planned()
        bodies = [wanted.namespace.body, wanted.visited, *(one.body for one in wanted.made)]
        assert {body["metadata"]["labels"]["podium.hub/release"] for body in bodies} == {"tea-doctor"}

    def test_asks_for_what_the_restricted_level_refuses(self):
        assert planned().privileged["spec"]["containers"][0]["securityContext"]["privileged"] is True

    def test_forbids_by_its_policies_what_the_visitor_must_not_reach(self):
        wanted = planned()
        policies = [one.body for one in wanted.made if one.kind == "NetworkPolicy"]
        cluster = Cluster({"podium-doctor-1": {}}, policies)
        ends = end(wanted.visitor("10.0.0.1"), "10.0.0.2"), end(wanted.visited, "10.0.0.1")
        reached = {name: cluster.allows(*ends, number) for name, number in PORTS.items()}
        assert reached == {"open": True, "guarded": False, "far": False}
        # Each by one policy alone, so that the two can be told apart.
        for kind, name in (("Ingress", "guarded"), ("Egress", "far")):
            alone = Cluster(
                {"podium-doctor-1": {}}, [p for p in policies if p["spec"]["policyTypes"] == [kind]]
            )
            found = {one: alone.allows(*ends, number) for one, number in PORTS.items()}
            assert found == dict.fromkeys(PORTS, True) | {name: False}


class TestTheTerminal:
    def test_shows_a_line_for_each_and_what_to_do(self, capsys):
        terminal = Terminal()
        terminal.doing("Looking")
        terminal.found(Finding(GOOD, "DNS", "works."))
        terminal.found(Finding(UNKNOWN, "Pods", "could not be told."))
        assert not terminal.failed
        terminal.found(Finding(BAD, "Rights", "are missing.", "Ask for them."))
        assert terminal.failed
        assert capsys.readouterr().out.splitlines() == [
            *(" ok  DNS: works.", " ??  Pods: could not be told."),
            *("FAIL Rights: are missing.", "     Ask for them."),
        ]


class TestTheCommand:
    def test_names_a_profile_that_is_not_there(self, tmp_path):
        config = tmp_path / "class.py"
        config.write_text("c.Podium.profiles = {'course': {}}")
        result = CliRunner().invoke(cli, ["doctor", f"--config={config}", "--profile=lunch"])
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr == "podium: There is no profile 'lunch'.\nChoose one of: course.\n"

    def test_names_a_mistake_in_the_configuration(self, tmp_path):
        config = tmp_path / "class.py"
        config.write_text("c.Podium.profiles = {'course': {'max_workers': -1}}")
        result = CliRunner().invoke(cli, ["doctor", f"--config={config}"])
        assert (result.exit_code, "max_workers" in result.stderr) == (2, True)

    def test_without_a_cluster(self, tmp_path, monkeypatch):
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
        result = CliRunner().invoke(cli, ["doctor"])
        assert result.exit_code == 1
        assert result.stdout.startswith("FAIL API server: No Kubernetes cluster can be found")
        assert "Set KUBECONFIG" in result.stdout
