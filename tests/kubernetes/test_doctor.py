"""The doctor at work: on a real control plane without real nodes, so that the tests play the kubelet."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from hub.backends.kubernetes.names import Release
from hub.doctor.checks import examine
from hub.doctor.judge import Finding
from hub.kube.api import Api
from hub.profiles import Profile, read_profiles
from hub.store import crd
from tests.cluster.access import Cluster, until
from tests.cluster.control_plane import ControlPlane
from tests.waiting import until as becomes

GOOD, BAD, UNKNOWN = "good", "bad", "unknown"
HELD = {"metadata": {"annotations": {"podium.test/held": "yes"}}}
PLAYED = {"kubernetes": {"pod_patch": {"worker": HELD}}}
"""Of a profile whose pods wait for the test to say what becomes of them."""
ONLY_FAKE = pytest.mark.skipif("KUBECONFIG" in os.environ, reason="here pods are run by somebody else")
SMALL = {"cpu": 0.1, "memory": "64Mi"}


def course(**settings: Any) -> Profile:
    """A profile that fits on any node."""
    resources = dict.fromkeys(("notebook", "scheduler", "worker"), SMALL)
    return read_profiles({"course": {"resources": resources, "frameworks": ["dask"], **settings}})["course"]


class Report:
    """Keeps what it is told.

    Args:
        heard: called with what is being done.
    """

    def __init__(self, heard: Callable[[str], None] = lambda what: None) -> None:
        self.findings: list[Finding] = []
        self.doing = heard

    def found(self, finding: Finding) -> None:
        """See `hub.doctor.report`."""
        self.findings.append(finding)

    @property
    def levels(self) -> dict[str, str]:
        """The title of each finding, and how it is."""
        return {finding.title: finding.level for finding in self.findings}

    def of(self, title: str) -> Finding:
        """The finding of a title."""
        [finding] = [finding for finding in self.findings if finding.title == title]
        return finding


@contextlib.asynccontextmanager
async def connected(kubeconfig: Path) -> AsyncIterator[Api]:
    """The API server, as somebody."""
    api = await Api.connect(kubeconfig)
    try:
        yield api
    finally:
        await api.close()


async def examined(
    kubeconfig: Path, profile: Profile, release: Release, starting: float = 20.0, answering: float = 0.5
) -> Report:
    """What the doctor finds; where nodes do not exist it is soon told that no pod answers."""
    report = Report()
    async with connected(kubeconfig) as api:
        await examine(api, {"course": profile}, profile, release, report, starting, answering)
    return report


def probes(cluster: Cluster) -> list[str]:
    """The namespaces of probes that are there, and were not asked to go."""
    return [
        item["metadata"]["name"]
        for item in cluster.get("namespaces")["items"]
        if item["metadata"]["name"].startswith("podium-doctor-")
        and "deletionTimestamp" not in item["metadata"]
    ]


def pods(cluster: Cluster, release: str, name: str) -> list[dict[str, Any]]:
    """The pod of a release's probe, as soon as there is one."""
    labels = f"podium.hub/release={release}-doctor,podium.hub/workload={name}"
    found: list[dict[str, Any]] = cluster.get("pods", "--all-namespaces", "-l", labels)["items"]
    return found


class Kubelet:
    """Plays what becomes of the pods of a release's probe."""

    def __init__(self, cluster: Cluster, release: Release) -> None:
        self._cluster = cluster
        self._release = release.name

    async def pod(self, name: str) -> dict[str, Any]:
        """A pod of the probe, once it was given to a node."""

        def look() -> Any:
            placed = [
                item for item in pods(self._cluster, self._release, name) if item["spec"].get("nodeName")
            ]
            return placed[0] if placed else None

        found: dict[str, Any] = await becomes(f"{name} is placed", lambda: asyncio.to_thread(look))
        return found

    async def says(self, name: str, phase: str, state: dict[str, Any], ready: bool = False) -> None:
        """Write the status of a pod."""
        pod = await self.pod(name)
        metadata, [container] = pod["metadata"], pod["spec"]["containers"]
        started = {
            "ready": ready,
            "restartCount": 0,
            "image": container["image"],
            "imageID": "",
            "state": state,
        }
        status = {
            "phase": phase,
            "podIP": "10.128.0.7",
            "podIPs": [{"ip": "10.128.0.7"}],
            "conditions": [{"type": "Ready", "status": str(ready)}],
            "containerStatuses": [{"name": container["name"], **started}],
        }
        arguments = ("patch", "pod", metadata["name"], "-n", metadata["namespace"], "--subresource=status")
        patch = json.dumps({"status": status})
        await asyncio.to_thread(self._cluster.kubectl, *arguments, "--type=merge", "-p", patch)

    async def runs(self, name: str) -> None:
        """A pod is ready."""
        await self.says(name, "Running", {"running": {"startedAt": "2026-03-01T12:00:00Z"}}, ready=True)

    async def ends(self, name: str, message: str, code: int = 0) -> None:
        """A pod's program has ended."""
        ended = {"exitCode": code, "message": message, "reason": "Completed" if code == 0 else "Error"}
        await self.says(name, "Failed" if code else "Succeeded", {"terminated": ended})


@pytest.fixture
def kubelet(cluster: Cluster, release: Release) -> Kubelet:
    """For pods of a profile that is `PLAYED`."""
    return Kubelet(cluster, release)


async def played(
    kubeconfig: Path, release: Release, *acts: Any, starting: float = 20.0, answering: float = 20.0
) -> Report:
    """What the doctor finds while the kubelet does its part."""
    async with asyncio.TaskGroup() as tasks:
        looking = tasks.create_task(examined(kubeconfig, course(**PLAYED), release, starting, answering))
        for act in acts:
            await act
    return looking.result()


@ONLY_FAKE
class TestAsTheController:
    async def test_where_all_is_well_but_no_pod_runs(
        self, cluster, workspaces, release, controller_kubeconfig
    ):
        report = await examined(controller_kubeconfig, course(), release)
        assert report.levels == {
            **{"API server": GOOD, "Rights": GOOD, "Namespace": GOOD, "Nodes": GOOD, "Storage": GOOD},
            **{"Pod security": GOOD, "Admission": GOOD},
            "Workspaces": UNKNOWN,  # they are there, but only an administrator may read how they are defined
            "Pods, DNS, network policies": UNKNOWN,
        }
        assert "could not be told: " in report.of("Pods, DNS, network policies").message
        assert "kwok" in report.of("Pods, DNS, network policies").hint
        assert probes(cluster) == []

    async def test_where_the_visitor_reaches_what_it_may(
        self, cluster, workspaces, release, controller_kubeconfig, kubelet
    ):
        said = {
            "resolved": "10.96.0.7",
            "why": "",
            "service": True,
            "open": True,
            "ingress": False,
            "egress": False,
        }
        acts = kubelet.runs("doctor-visited"), kubelet.ends("doctor-visitor", json.dumps(said))
        report = await played(controller_kubeconfig, release, *acts)
        title = f"Image {release.image}"
        assert [finding.title for finding in report.findings[-4:]] == [
            title,
            "DNS",
            "Services",
            "Network policies",
        ]
        assert {finding.level for finding in report.findings[-4:]} == {GOOD}
        assert re.search(r"runs on fake-\d", report.of(title).message)

    async def test_where_policies_are_not_enforced(
        self, cluster, workspaces, release, controller_kubeconfig, kubelet
    ):
        said = {
            "resolved": "10.96.0.7",
            "why": "",
            "service": True,
            "open": True,
            "ingress": True,
            "egress": True,
        }
        acts = kubelet.runs("doctor-visited"), kubelet.ends("doctor-visitor", json.dumps(said))
        report = await played(controller_kubeconfig, release, *acts)
        assert report.of("Network policies").level == BAD

    async def test_where_there_is_no_such_image(
        self, cluster, workspaces, release, controller_kubeconfig, kubelet
    ):
        waiting = {"reason": "ErrImagePull", "message": "podium-workspace: not found"}
        missing = kubelet.says("doctor-visited", "Pending", {"waiting": waiting})
        report = await played(controller_kubeconfig, release, missing)
        finding = report.findings[-1]
        assert (finding.level, finding.title) == (BAD, f"Image {release.image}")
        assert finding.message.startswith(f"There is no image {release.image};")
        assert probes(cluster) == []

    async def test_where_the_image_has_no_python(
        self, cluster, workspaces, release, controller_kubeconfig, kubelet
    ):
        ended = kubelet.ends("doctor-visited", "exec python failed: No such file or directory", code=127)
        finding = (await played(controller_kubeconfig, release, ended)).findings[-1]
        assert (finding.level, "exit code 127: exec python failed" in finding.message) == (BAD, True)
        assert "python" in finding.hint

    async def test_where_the_visitor_fails(
        self, cluster, workspaces, release, controller_kubeconfig, kubelet
    ):
        acts = kubelet.runs("doctor-visited"), kubelet.ends("doctor-visitor", "Traceback: no socket", code=1)
        finding = (await played(controller_kubeconfig, release, *acts)).findings[-1]
        assert (finding.level, "Traceback: no socket" in finding.message) == (BAD, True)

    async def test_where_a_pod_takes_too_long(self, cluster, workspaces, release, controller_kubeconfig):
        report = await examined(controller_kubeconfig, course(**PLAYED), release, starting=0.5)
        finding = report.findings[-1]
        assert (finding.level, "did not start in" in finding.message) == (UNKNOWN, True)

    async def test_where_a_profile_wants_what_is_not_there(
        self, cluster, workspaces, release, controller_kubeconfig
    ):
        own = {"priority_class": "podium-test-none", "node_selector": {"podium.test/pool": "none"}}
        report = await examined(controller_kubeconfig, course(kubernetes=own), release)
        assert report.of("Nodes").level == BAD
        assert report.of("Admission").level == BAD
        assert "no PriorityClass with name podium-test-none was found" in report.of("Admission").message
        assert "no PriorityClass" in report.of("Probe").message
        assert probes(cluster) == []


class TestAsSomebodyElse:
    async def test_web_lacks_rights_and_leaves_nothing(self, cluster, workspaces, release, web_kubeconfig):
        report = await examined(web_kubeconfig, course(), release)
        rights = report.of("Rights")
        assert rights.level == BAD
        assert "get, list, watch, create, patch, delete namespaces" in rights.message
        assert "update workspaces.podium.hub/status in" in rights.message
        assert report.of("Probe").level == UNKNOWN
        assert "cannot create resource" in report.of("Probe").message
        assert probes(cluster) == []

    @ONLY_FAKE
    async def test_an_administrator_sees_definitions_and_classes(self, cluster, workspaces, release):
        profile = course(kubernetes={"home": {}})
        report = await examined(cluster.kubeconfig, profile, release)
        assert (report.of("Workspaces").level, report.of("Storage").level) == (GOOD, GOOD)


@ONLY_FAKE
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_its_namespace_goes_when_it_is_interrupted(
    cluster, workspaces, release, controller_kubeconfig, tmp_path, number
):
    """As Ctrl-C does it, while the pods are being waited for."""
    config = tmp_path / "class.py"
    resources = dict.fromkeys(("notebook", "scheduler", "worker"), SMALL)
    text = f"c.Podium.profiles = {{'course': {{'resources': {resources}, **{PLAYED}}}}}"
    config.write_text(f"{text}\nc.Podium.release = c.Podium.namespace = {release.name!r}\n")
    command = [sys.executable, "-m", "hub", "doctor", f"--config={config}"]
    environment = {**os.environ, "KUBECONFIG": str(controller_kubeconfig)}
    piped = subprocess.PIPE

    def waits_for_a_pod() -> Any:
        assert running.poll() is None, running.communicate()
        return pods(cluster, release.name, "doctor-visited")

    with subprocess.Popen(command, env=environment, stdout=piped, stderr=piped, text=True) as running:
        try:
            [pod] = until("the probe has a pod", waits_for_a_pod)
            running.send_signal(number)
            said, complained = running.communicate(timeout=30)
        finally:
            running.kill()
    assert running.returncode != 0
    assert " ok  Rights: all " in said
    assert "Traceback" not in complained
    assert pod["metadata"]["namespace"] not in probes(cluster)


@ONLY_FAKE
async def test_a_cluster_that_has_nothing(bin, tmp_path):
    """First with nothing, then with Workspaces of another version and of this one; then gone."""
    options = {"kube-apiserver": ["--disable-admission-plugins=PodSecurity"]}
    with ControlPlane(tmp_path / "empty", bin, options=options, fake=False) as cluster:
        release = Release("podium", "podium")
        profile = course(kubernetes={"home": {}})
        report = await examined(cluster.kubeconfig, profile, release, starting=5.0)
        assert report.levels == {
            **{"API server": GOOD, "Rights": GOOD, "Workspaces": BAD, "Namespace": BAD, "Nodes": BAD},
            **{"Storage": BAD, "Pod security": BAD, "Admission": GOOD, "Image podium-workspace": BAD},
        }
        assert "No machine of the cluster has room" in report.of("Image podium-workspace").message
        assert all(finding.hint for finding in report.findings[:-1] if finding.level == BAD)

        other = crd.crd()
        del other["spec"]["versions"][0]["additionalPrinterColumns"][0]
        cluster.create(other)
        report = await examined(cluster.kubeconfig, profile, release, starting=0.1)
        assert report.of("Workspaces").level == BAD
        cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(crd.FILE))
        report = await examined(cluster.kubeconfig, profile, release, starting=0.1)
        assert report.of("Workspaces").level == GOOD

        cluster.stop_api_server()
        report = await examined(cluster.kubeconfig, profile, release)
        assert report.levels == {"API server": BAD}
        assert "KUBECONFIG" in report.of("API server").hint
