"""The control plane that the other tests here use: it does what a cluster does, and leaves nothing."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import uuid
from collections.abc import Collection, Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.cluster.access import Cluster, ClusterError, until
from tests.cluster.control_plane import COMPONENTS, ControlPlane
from tests.cluster.fake import PODS

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def own(bin: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A control plane whose API server may be stopped, and which soon notices that a node is lost."""
    options = {
        "kube-apiserver": ["--default-unreachable-toleration-seconds=1"],
        "kube-controller-manager": ["--node-monitor-grace-period=8s"],
        "kwok": ["--node-lease-duration-seconds=4"],
    }
    with ControlPlane(tmp_path_factory.mktemp("own"), bin, options=options) as control_plane:
        control_plane.add_nodes(2)
        yield control_plane


@pytest.fixture
def namespace(own: ControlPlane) -> Iterator[str]:
    """A namespace with a service account for pods; the account that Kubernetes makes comes a moment later."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    own.kubectl("create", "namespace", name)
    own.kubectl("create", "serviceaccount", "tester", f"--namespace={name}")
    yield name
    own.kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")


def pod(namespace: str, name: str, claim: str = "", held: bool = False) -> dict[str, Any]:
    """A pod that soon ends when it is deleted, perhaps with a volume, perhaps held."""
    volumes = [{"name": "home", "persistentVolumeClaim": {"claimName": claim}}] if claim else []
    annotations = {"podium.test/held": ""} if held else {}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "annotations": annotations},
        "spec": {
            "serviceAccountName": "tester",
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 1,
            "containers": [{"name": "main", "image": "example.invalid/none"}],
            "volumes": volumes,
        },
    }


def claim(namespace: str, name: str) -> dict[str, Any]:
    """A claim for a volume of the default class."""
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}


def ready(own: ControlPlane, namespace: str, *names: str) -> None:
    """Wait until these pods are ready."""
    pods = [f"pod/{name}" for name in names]
    own.kubectl("wait", "--for=condition=Ready", f"--namespace={namespace}", "--timeout=30s", *pods)


def running(groups: Collection[int]) -> list[str]:
    """The programs that run in these process groups."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            if os.getpgid(process.pid) in groups and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.name())
    return found


# Fake nodes.


def test_pods_are_placed_and_become_ready_with_addresses_and_volumes(own, namespace):
    own.create(claim(namespace, "home"))
    own.create(pod(namespace, "with-volume", claim="home"), pod(namespace, "without"))
    ready(own, namespace, "with-volume", "without")
    pods = own.get("pods", f"--namespace={namespace}")["items"]
    addresses = {ip_address(pod["status"]["podIP"]) for pod in pods}
    assert len(addresses) == 2
    assert all(address in PODS for address in addresses)


def test_a_held_pod_is_placed_and_then_left_to_its_test(own, namespace):
    own.create(pod(namespace, "held", held=True))
    of_held = ("pod", "held", f"--namespace={namespace}")
    own.kubectl("wait", "--for=condition=PodScheduled", "--timeout=30s", *of_held)
    own.create(pod(namespace, "next"))
    ready(own, namespace, "next")
    assert own.get(*of_held)["status"]["phase"] == "Pending"
    own.kubectl("patch", *of_held, "--subresource=status", '--patch={"status": {"phase": "Failed"}}')
    assert own.get(*of_held)["status"]["phase"] == "Failed"


def test_pods_of_a_lost_node_end_only_when_it_is_back(own, namespace):
    own.create(pod(namespace, "lost"))
    ready(own, namespace, "lost")
    of_lost = ("pod", "lost", f"--namespace={namespace}")
    node = own.get(*of_lost)["spec"]["nodeName"]
    own.lose_node(node)
    until("Kubernetes deletes it", lambda: "deletionTimestamp" in own.get(*of_lost)["metadata"])
    own.create(pod(namespace, "next"))
    ready(own, namespace, "next")
    assert own.get(*of_lost)["status"]["phase"] == "Running", "nobody ends it"
    own.find_node(node)
    own.kubectl("wait", "--for=delete", "--timeout=30s", *of_lost)


def test_a_namespace_is_deleted_with_all_that_is_in_it(own, namespace):
    own.create(claim(namespace, "home"), pod(namespace, "a", claim="home"), pod(namespace, "b"))
    ready(own, namespace, "a", "b")
    own.kubectl("delete", "namespace", namespace, "--timeout=60s")
    until("its volume is gone too", lambda: own.get("persistentvolumes")["items"] == [])


# People and programs.


def test_a_service_account_has_its_own_rights_and_no_others(own, namespace, tmp_path):
    path = own.kubeconfig_of(f"{namespace}/tester", tmp_path / "tester.kubeconfig")
    said = own.kubectl("auth", "whoami", kubeconfig=path)
    assert f"system:serviceaccount:{namespace}:tester" in said
    with pytest.raises(ClusterError, match='cannot list resource "secrets"'):
        own.kubectl("get", "secrets", f"--namespace={namespace}", kubeconfig=path)


def test_a_certificate_makes_a_user_of_a_group(own):
    path = own.kubeconfig_for("somebody", "somebody", ["some-group"])
    said = own.kubectl("auth", "whoami", "-o", "json", kubeconfig=path)
    user = json.loads(said)["status"]["userInfo"]
    assert (user["username"], user["groups"]) == ("somebody", ["some-group", "system:authenticated"])


# Failures.


def test_an_api_server_that_was_killed_comes_back_with_everything(own, namespace):
    own.create(pod(namespace, "before"))
    ready(own, namespace, "before")
    own.stop_api_server()
    with pytest.raises(ClusterError, match="refused"):
        own.get("namespaces")
    own.start_api_server()
    ready(own, namespace, "before")
    own.create(pod(namespace, "after"))
    ready(own, namespace, "after")


def test_a_program_that_does_not_start_is_told_with_its_last_words(bin, tmp_path):
    control_plane = ControlPlane(tmp_path, bin, options={"kube-scheduler": ["--no-such-option"]})
    with pytest.raises(ClusterError, match=r"(?s)kube-scheduler ended.*no-such-option"):
        control_plane.start()
    assert control_plane.pids == {}


# The end.


def test_nothing_is_left_after_the_end(bin, tmp_path):
    with ControlPlane(tmp_path, bin) as control_plane:
        groups = set(control_plane.pids.values())
        assert {*COMPONENTS} - {"kubectl"} <= set(running(groups))
    until("all have ended", lambda: running(groups) == [])


def test_nothing_is_left_when_the_tests_are_killed(bin, tmp_path):
    script = (
        "import pathlib, sys; from tests.cluster.control_plane import ControlPlane; "
        "control_plane = ControlPlane(*map(pathlib.Path, sys.argv[1:])); control_plane.start(); "
        "print(*control_plane.pids.values(), flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, tmp_path, bin],
        cwd=CHECKOUT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as killed:
        groups = {int(pid) for pid in killed.stdout.readline().split()}
        assert {*COMPONENTS} - {"kubectl"} <= set(running(groups))
        killed.kill()
    until("all have ended", lambda: running(groups) == [])


def test_a_cluster_that_stays_is_there_until_it_is_taken_down(bin, tmp_path):
    env = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "KUBEBUILDER_ASSETS": str(bin)}

    def cluster(command: str) -> str:
        command = [sys.executable, "-m", "tests.cluster", command]
        return subprocess.run(
            command, cwd=CHECKOUT, env=env, check=True, stdout=subprocess.PIPE, text=True
        ).stdout

    assert "starting" in cluster("up")
    said = cluster("up")
    assert "starting" not in said, "it is up already"
    kubeconfig = Path(re.search(r"KUBECONFIG=(\S+)", said)[1])
    nodes = Cluster(kubeconfig, bin, tmp_path / "kubectl").get("nodes")["items"]
    assert len(nodes) == 3
    assert "is down" in cluster("down")
    assert [file.name for file in (tmp_path / "podium").iterdir()] == ["locks"]
    commands = [process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])]
    assert not [command for command in commands if str(tmp_path) in " ".join(command)]
    assert "no cluster" in cluster("down")
