"""The node itself: the image runs there as a workspace's pods do, and nothing of a node is left."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator

import pytest

from tests.cluster import images
from tests.cluster.access import ClusterError, until
from tests.cluster.node import RealNode, main
from tests.node.conftest import restricted_namespace
from tests.node.outside import Outside
from tests.node.pods import execute, pod, start

SERVE = ("python", "-m", "http.server", "8000", "--directory", "/opt/wheels")


def _python(node: RealNode, namespace: str, name: str, code: str) -> str:
    return execute(node, namespace, name, "python", "-c", code)


@pytest.fixture(scope="module")
def web(node: RealNode) -> Iterator[str]:
    """A namespace with a server, its pod and its service, named `web`."""
    with restricted_namespace(node) as namespace:
        ready = {"httpGet": {"port": 8000, "path": "/"}, "periodSeconds": 1}
        start(node, namespace, pod(node.image, "web", *SERVE, readinessProbe=ready))
        spec = {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8000}]}
        metadata = {"name": "web", "namespace": namespace}
        node.create({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})
        yield namespace


class TestPods:
    def test_another_pod_finds_a_service_by_its_name(self, node: RealNode, web: str) -> None:
        start(node, web, pod(node.image, "visitor", "sleep", "600"))
        ask = "from urllib.request import urlopen; print(b'podium_workspace' in urlopen('http://web').read())"
        assert until("an answer", lambda: _answer(node, web, "visitor", ask)) == "True"

    def test_what_is_not_in_the_cluster_does_not_exist(self, node: RealNode, web: str) -> None:
        look = "import socket\ntry: socket.{}\nexcept OSError as error: print(error.strerror)"
        ask = look.format("getaddrinfo('example.org', 80)")
        assert _python(node, web, "web", ask) == "Name or service not known"
        ask = look.format("create_connection(('192.0.2.1', 80))")
        assert _python(node, web, "web", ask) in {"Network is unreachable", "No route to host"}

    def test_its_log_can_be_read(self, node: RealNode, web: str) -> None:
        assert "Serving HTTP on 0.0.0.0 port 8000" in node.kubectl("logs", f"--namespace={web}", "web")

    def test_it_runs_without_rights(self, node: RealNode, web: str) -> None:
        status = dict(
            line.split(":\t")
            for line in _python(node, web, "web", "print(open('/proc/self/status').read())").splitlines()
            if ":\t" in line
        )
        assert status["Uid"] == "1000\t1000\t1000\t1000"
        assert status["CapBnd"] == "0" * 16
        assert status["NoNewPrivs"] == "1"
        assert status["Seccomp"] == "2", "filtered"

    def test_only_home_and_scratch_can_be_written_to(self, node: RealNode, web: str) -> None:
        code = (
            "import os; print([f for f in ('/', '/etc', '/home/podium', '/opt/podium', '/scratch', '/tmp') "
            "if os.access(f, os.W_OK)])"
        )
        assert _python(node, web, "web", code) == "['/home/podium', '/scratch']"

    def test_a_claim_is_met(self, node: RealNode, restricted: str) -> None:
        claim = {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "home", "namespace": restricted},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
        }
        node.create(claim)
        writer = pod(node.image, "writer", "sleep", "600")
        writer["spec"]["volumes"][0] = {"name": "home", "persistentVolumeClaim": {"claimName": "home"}}
        start(node, restricted, writer)
        assert _python(node, restricted, "writer", "print(open('/home/podium/x', 'w').write('kept'))") == "4"

    def test_a_pod_with_more_rights_is_refused(self, node: RealNode, restricted: str) -> None:
        root = pod(node.image, "root", *SERVE, securityContext={"runAsUser": 0})
        with pytest.raises(ClusterError, match='violates PodSecurity "restricted'):
            start(node, restricted, root)


class TestImage:
    def test_it_has_what_its_lock_names(self, node: RealNode, web: str) -> None:
        names = "dask.dataframe, distributed, ipyparallel, jupyterlab, nbgitpuller, pyspark, podium_workspace"
        assert _python(node, web, "web", f"import {names}") == ""
        for program in ("git", "java"):
            assert node.kubectl("exec", f"--namespace={web}", "web", "--", program, "--version")

    def test_it_has_all_of_our_own_code(self, node: RealNode, web: str) -> None:
        code = "import os, podium_workspace as package; print(*os.listdir(package.__path__[0]))"
        ours = {file.name for file in images.WORKSPACE.file.with_name("podium_workspace").iterdir()}
        assert set(_python(node, web, "web", code).split()) >= ours - {"__pycache__"}


def _answer(node: RealNode, namespace: str, pod: str, code: str) -> str:
    """What the code prints, or nothing while it fails: kube-proxy may need a moment for a new service."""
    with contextlib.suppress(ClusterError):
        return _python(node, namespace, pod, code)
    return ""


@pytest.fixture
def outside(node: RealNode) -> Iterator[Outside]:
    outside = Outside(node)
    yield outside
    outside.close()


class TestNothingIsLeft:
    def test_after_its_command(self, outside: Outside) -> None:
        with outside.node("sh", "-c", "kubectl get node node && exit 42") as process:
            assert process.wait() == 42
        assert outside.look() == outside.was

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
    def test_after_a_signal(self, number: signal.Signals, outside: Outside) -> None:
        with outside.node("sh", "-c", "echo here; sleep 600") as process:
            outside.until_it_says(process, "here")
            process.send_signal(number)
            assert process.wait() == 128 + number
        assert outside.look() == outside.was

    def test_after_an_interrupt_which_the_command_answers(self, outside: Outside) -> None:
        with outside.node(
            "sh", "-c", "trap 'exit 5' INT; echo here; while true; do sleep 0.1; done"
        ) as process:
            outside.until_it_says(process, "here")
            os.killpg(process.pid, signal.SIGINT)
            assert process.wait() == 5
        assert outside.look() == outside.was

    def test_of_one_that_was_killed_after_the_next(self, outside: Outside) -> None:
        with outside.node("sh", "-c", "echo here; sleep 600") as process:
            outside.until_it_says(process, "here")
            assert len(outside.processes()) > 5
            process.kill()
        until("all its processes are gone", lambda: not outside.processes())
        assert outside.look() != outside.was, "its cgroups and its folder are there"
        with outside.node("true") as process:
            assert process.wait() == 0
        assert outside.look() == outside.was


class TestWhereThereCanBeNone:
    def test_without_root_it_says_so(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
        assert main(["--", "true"]) == 1
        assert "A real node needs root" in capsys.readouterr().err

    def test_elsewhere_than_on_linux_it_says_so(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(sys, "platform", "darwin")
        assert main(["--", "true"]) == 1
        assert "A real node needs Linux" in capsys.readouterr().err
