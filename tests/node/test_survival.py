"""Parts of an installed release die or are replaced while somebody works: what runs goes on."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.browsing import browser, chromium, photograph
from tests.cluster.access import ClusterError, until
from tests.cluster.node import RealNode
from tests.node.attendee import Attendee
from tests.node.installed import COMPONENTS, Installed, installed

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(chromium() is None, reason="no Chromium on PATH (Debian: apt-get install chromium)"),
]
AWAY = 60.0
"""Seconds for which the API server is not there: the test is about time, so it takes it."""


@pytest.fixture(scope="module")
def release(node: RealNode, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    name = f"class-{uuid.uuid4().hex[:6]}"
    with installed(node, tmp_path_factory.mktemp("release"), name) as release:
        yield release


@pytest.fixture(scope="module")
def chrome() -> Iterator[Browser]:
    with browser() as started:
        yield started


@pytest.fixture(scope="module")
def attendee(release: Installed, chrome: Browser) -> Iterator[Attendee]:
    """Somebody whose computation goes on through all of it."""
    somebody = Attendee(chrome, release, "Workshop")
    somebody.sit_down()
    yield somebody
    print(release.node.kubectl("get", "pods", "--all-namespaces", "-o", "wide"))
    print(release.node.kubectl("get", "workspace", somebody.name, "-n", release.name, "-o", "yaml"))
    print(release.logs())
    photograph(somebody.lab, "survival-lab-at-the-end")
    photograph(somebody.page, "survival-workspace-at-the-end")
    somebody.leave()


@pytest.fixture
def computing(attendee: Attendee, node: RealNode) -> Iterator[Attendee]:
    """Somebody who computes, and whose pods are the same ones afterwards."""
    before = pods(node, attendee.name)
    attendee.compute()
    yield attendee
    attendee.ends_well()
    assert pods(node, attendee.name) == before


def pods(node: RealNode, namespace: str) -> set[tuple[str, str, int]]:
    """The pods of a workspace that no scaling touches: name, uid and how often they were started again."""
    found = node.get("pods", "-n", namespace)["items"]
    kept = [pod for pod in found if pod["metadata"]["name"] in ("notebook", "dask-scheduler")]
    return {
        (p["metadata"]["name"], p["metadata"]["uid"], p["status"]["containerStatuses"][0]["restartCount"])
        for p in kept
    }


def new_launch(chrome: Browser, release: Installed) -> float:
    """Somebody else launches; gives the seconds from their click to the notebook."""
    somebody = Attendee(chrome, release, "Notebook")
    somebody.leave()
    return somebody.took


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_pod_is_deleted(release: Installed, computing: Attendee, chrome: Browser, component: str) -> None:
    victim = release.leader() if component == "controller" else release.settled(component)[0]
    closed = len(computing.sockets.closed)
    release.delete(victim)
    took = new_launch(chrome, release)
    cut = len(computing.sockets.closed) - closed
    print(f"\n{component} deleted: {cut} connections of JupyterLab cut, a new launch took {took:.1f} s")
    if component != "proxy":
        assert cut == 0, "nothing of the notebook goes through it"
    computing.scales(3)
    computing.scales(2)
    assert victim not in release.settled(component)


@pytest.mark.parametrize(
    ("component", "program"),
    [("web", "podium"), ("controller", "podium"), ("proxy", "configurable-http-proxy")],
)
def test_a_program_crashes(
    release: Installed, computing: Attendee, chrome: Browser, component: str, program: str
) -> None:
    release.settled(component)
    victim = release.leader() if component == "controller" else release.names(component)[0]
    restarts = release.restarts()
    release.kill(victim, program)
    took = new_launch(chrome, release)
    print(f"\n{component} killed: a new launch took {took:.1f} s")
    until("its container was started again", lambda: release.restarts() == restarts + 1)
    computing.scales(3)
    computing.scales(2)
    release.settled(component)


def test_the_release_is_upgraded_and_rolled_back(
    release: Installed, computing: Attendee, chrome: Browser
) -> None:
    before = {pod for component in COMPONENTS for pod in release.names(component)}
    release.next_version()
    now = {pod for component in COMPONENTS for pod in release.names(component)}
    assert now.isdisjoint(before), "every pod is of the new version"
    computing.scales(3)
    new_launch(chrome, release)
    release.helm("rollback", release.name, "--wait", "--timeout=3m")
    computing.scales(2)
    new_launch(chrome, release)


def test_the_node_is_drained_of_the_release(
    release: Installed, computing: Attendee, chrome: Browser, node: RealNode
) -> None:
    machine = node.get("nodes")["items"][0]["metadata"]["name"]
    ours = f"--pod-selector=app.kubernetes.io/name=podium,app.kubernetes.io/instance={release.name}"
    options = ("--delete-emptydir-data", "--ignore-daemonsets", "--timeout=20s")
    try:
        # There is no other node, so the budgets keep the last of each, and the drain does not end.
        with contextlib.suppress(ClusterError):
            node.kubectl("drain", machine, ours, *options)
        for component in COMPONENTS:
            assert len([pod for pod in release.pods(component) if pod["spec"].get("nodeName")]) == 1
        computing.scales(1)
    finally:
        node.kubectl("uncordon", machine)
    for component in COMPONENTS:
        release.settled(component)
    computing.scales(2)
    new_launch(chrome, release)


@contextlib.contextmanager
def no_api_server(node: RealNode) -> Iterator[None]:
    """The API server is killed; in the end one starts on the same data."""
    pid = node.pids["kube-apiserver"]
    command = Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0").split("\0")
    os.kill(pid, signal.SIGKILL)
    try:
        yield
    finally:
        log = str(node.folder / "kube-apiserver-again.log")
        opened = (os.POSIX_SPAWN_OPEN, 2, log, os.O_WRONLY | os.O_CREAT, 0o600)
        again = os.posix_spawn(command[0], command, os.environ, file_actions=[opened])  # it outlives us
        (node.folder / "pids").write_text(json.dumps({**node.pids, "kube-apiserver": again}))

        def answers() -> bool:
            with contextlib.suppress(ClusterError):
                return bool(node.kubectl("get", "--raw", "/readyz"))
            return False

        until("it answers again", answers)


def test_the_api_server_is_away_for_a_minute(
    release: Installed, computing: Attendee, chrome: Browser, node: RealNode
) -> None:
    restarts = release.restarts()
    closed = len(computing.sockets.closed)
    with no_api_server(node):
        end = time.monotonic() + AWAY
        said = computing.page.get_by_text("Changes have to wait")
        expect(said).to_be_visible(timeout=30_000)
        photograph(computing.page, "changes-have-to-wait")
        other = computing.context.new_page()
        other.goto(f"/workspaces/{computing.name}")
        expect(other.get_by_text("Changes have to wait")).to_be_visible(timeout=30_000)
        other.close()
        until("the minute is over", lambda: time.monotonic() > end, 2 * AWAY)
        assert release.answers(computing.name)
    expect(said).to_be_hidden(timeout=60_000)
    assert len(computing.sockets.closed) == closed
    assert release.restarts() == restarts
    computing.scales(3)
    computing.scales(2)
    new_launch(chrome, release)
