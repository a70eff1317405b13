"""Anything may be killed at any moment and loses nothing: a real hub, proxy, notebook and clusters."""

from __future__ import annotations

import os
import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.running import RunningHub, running_hub

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

CONFIG = """
c = get_config()
c.Podium.profiles = {
    "small": {"title": "Small", "clusters": {"dask": {"workers": 1}, "ipyparallel": {"workers": 1}}},
    "broken": {"title": "Broken", "image": "", "launch_timeout": 60},
}
"""


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    with running_hub(tmp_path_factory.mktemp("restarts"), CONFIG) as hub:
        yield hub


@pytest.fixture
def name(hub: RunningHub) -> str:
    """A workspace with all its workers; the same one as long as no test has stopped it."""
    name = hub.launch("small")
    hub.workers(name, "dask", 1)
    hub.workers(name, "ipyparallel", 1)
    return name


def mains(hub: RunningHub) -> dict[str, int]:
    """Each instance's main process."""
    return {f.mark.instance: f.pid for f in hub.processes() if f.main}


def test_a_killed_hub_finds_everything_again(hub: RunningHub, name: str) -> None:
    before = mains(hub)
    hub.kill()
    assert hub.answers(name), "the notebook goes on without the hub"
    hub.start()
    assert hub.get(name)["status"]["phase"] == "Ready"
    hub.workers(name, "dask", 1)
    assert mains(hub) == before, "nothing was started twice, nothing ended"
    assert [entry["phase"] for entry in hub.get(name)["status"]["history"]].count("Ready") == 1


def test_what_changed_while_the_hub_was_away_is_put_right(hub: RunningHub, name: str) -> None:
    before = mains(hub)
    hub.kill()
    os.kill(before["dask-worker-1"], signal.SIGKILL)
    os.kill(before["proxy"], signal.SIGKILL)
    hub.start()
    hub.workers(name, "dask", 1)
    hub.wait("the route is back", lambda: hub.answers(name) or None)
    after = mains(hub)
    assert after["dask-worker-1"] != before["dask-worker-1"]
    assert after["notebook"] == before["notebook"]


def test_a_killed_proxy_is_back_with_every_route(hub: RunningHub, name: str) -> None:
    before = mains(hub)
    os.kill(before["proxy"], signal.SIGKILL)
    hub.wait(
        "the proxy is another", lambda: mains(hub).get("proxy", before["proxy"]) != before["proxy"] or None
    )
    hub.wait("the route is back", lambda: hub.answers(name) or None)
    assert mains(hub)["notebook"] == before["notebook"]


@pytest.mark.parametrize(
    "instance", ["dask-worker-1", "dask-scheduler", "ipyparallel-scheduler", "ipyparallel-worker-1"]
)
def test_a_killed_part_of_a_cluster_is_replaced_and_the_page_shows_it(
    hub: RunningHub, name: str, instance: str
) -> None:
    framework = instance.partition("-")[0]
    before = mains(hub)
    os.kill(before[instance], signal.SIGKILL)
    lost = hub.until(name, "shows the loss", lambda w: w["status"]["clusters"][framework]["ready"] == 0)
    assert lost["status"]["clusters"][framework]["pending"] == 1
    hub.workers(name, framework, 1)
    assert mains(hub)[instance] != before[instance]
    assert mains(hub)["notebook"] == before["notebook"]


def test_a_killed_notebook_is_restarted_and_ready_again(hub: RunningHub, name: str) -> None:
    before = mains(hub)
    os.kill(before["notebook"], signal.SIGKILL)
    hub.until(name, "restarts", lambda w: w["status"]["reason"] == "RestartingNotebook")
    hub.until(name, "is ready again", lambda w: w["status"]["phase"] == "Ready")
    assert mains(hub)["dask-worker-1"] == before["dask-worker-1"]


def test_a_launch_cut_short_completes(hub: RunningHub, name: str) -> None:
    hub.client.request("DELETE", f"/api/workspaces/{name}")
    gone(hub, name)
    started = hub.client.request("POST", "/api/workspaces", {"spec": {"profile": "small"}})["metadata"][
        "name"
    ]
    hub.wait("its first process", lambda: {"notebook"} & mains(hub).keys() or None)
    hub.kill()
    hub.start()
    hub.until(started, "is ready", lambda w: w["status"]["phase"] == "Ready")
    hub.workers(started, "dask", 1)


def test_a_stop_cut_short_completes_and_leaves_nothing(hub: RunningHub, name: str) -> None:
    hub.client.request("DELETE", f"/api/workspaces/{name}")
    hub.kill()
    hub.start()
    gone(hub, name)
    assert mains(hub).keys() == {"proxy"}
    assert not (hub.state.directory / "workspaces" / name).exists()


def test_descendants_end_with_the_workspace(hub: RunningHub, name: str) -> None:
    kernel = start_kernel(hub, name)
    session = psutil.Process(kernel)
    assert os.getsid(kernel) != os.getsid(mains(hub)["notebook"]), "kernels have a session of their own"
    hub.client.request("DELETE", f"/api/workspaces/{name}")
    gone(hub, name)
    assert not alive(session.pid)


def test_a_second_hub_is_not_disturbed(hub: RunningHub, name: str, tmp_path: Path) -> None:
    before = mains(hub)
    with running_hub(tmp_path, CONFIG) as other:
        other_name = other.launch("small")
        assert other.interrupt() == 0
        assert other.processes() == []
        assert other_name
    assert mains(hub) == before


def test_ctrl_c_ends_every_process_and_says_so_and_the_next_start_goes_on(hub: RunningHub, name: str) -> None:
    pids = {found.pid for found in hub.processes()}
    assert hub.interrupt() == 0
    assert hub.processes() == []
    assert not [pid for pid in pids if alive(pid)]
    said = hub.log.read_text()
    assert "Stopping" in said
    assert "Stopped 6 processes" in said
    hub.start()
    hub.until(name, "is ready again", lambda w: w["status"]["phase"] == "Ready")
    hub.workers(name, "dask", 1)


def test_the_second_start_serves_quickly(hub: RunningHub) -> None:
    hub.interrupt()
    seconds = hub.start()
    print(f"second start served after {seconds:.1f} s")


def gone(hub: RunningHub, name: str) -> None:
    """Wait until a workspace is no more."""
    hub.wait(f"{name} is gone", lambda: name not in names(hub) or None)


def alive(pid: int) -> bool:
    """Whether a process lives; one that only waits for its parent to take note of its end does not."""
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def names(hub: RunningHub) -> set[str]:
    return {item["metadata"]["name"] for item in hub.client.request("GET", "/api/workspaces")["items"]}


def start_kernel(hub: RunningHub, name: str) -> int:
    """Start a kernel in the notebook. Returns its process."""
    from hub.keys import Keys

    uid: Any = hub.get(name)["metadata"]["uid"]
    token = Keys(hub.state.key(), f"{name}/{uid}").token("notebook")
    request = urllib.request.Request(f"{hub.url}/{name}/api/kernels", method="POST", data=b"{}")
    request.add_header("Authorization", f"Bearer {token}")
    with urllib.request.urlopen(request, timeout=30) as response:
        assert response.status == 201
    kernels = hub.wait(
        "the kernel's process",
        lambda: (
            [
                f.pid
                for f in hub.processes()
                if not f.main and "ipykernel" in " ".join(psutil.Process(f.pid).cmdline())
            ]
            or None
        ),
    )
    return kernels[0]
