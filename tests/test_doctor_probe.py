"""What the doctor's probe sends, what its visitor tells of a network, and what is shown of it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from typing import Any

import pytest
from click.testing import CliRunner

from hub.backends.kubernetes.manifests import Release
from hub.cli import cli
from hub.doctor import visited, visitor
from hub.doctor.command import Terminal
from hub.doctor.judge import Finding, Reached
from hub.doctor.plan import PORTS, VISITED, VISITOR, Plan, plan
from hub.profiles import read_profiles
from tests.policy import Cluster, End

GOOD, BAD, UNKNOWN = "good", "bad", "unknown"


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
