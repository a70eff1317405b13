"""How workspaces end or fail to begin: by failure, by time, for lack of Java; a real hub throughout."""

from __future__ import annotations

import io
import json
import os
import shutil
import tarfile
import urllib.error
import urllib.request
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hub import tools
from hub.keys import Keys
from tests.running import RunningHub, running_hub

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

CONFIG = """
c = get_config()
c.Podium.profiles = {
    "plain": {"title": "Plain", "clusters": {}},
    "spark": {"title": "Spark", "clusters": {"spark": {}, "dask": {"workers": 1}}},
}
"""
BROKEN_PYTHON = """#!/bin/sh
echo "JupyterLab is not what I am" >&2
exit 3
"""


def test_a_launch_that_fails_says_why_and_leaves_nothing_behind(tmp_path: Path) -> None:
    python = script(tmp_path / "broken" / "python", BROKEN_PYTHON)
    with running_hub(tmp_path, CONFIG, {"PODIUM_WORKSPACE_PYTHON": str(python)}) as hub:
        name = launched(hub, "plain")
        failed = hub.until(name, "failed", lambda w: w["status"]["phase"] == "Failed")["status"]
        assert "JupyterLab ended 3 times" in failed["message"]
        assert "JupyterLab is not what I am" in failed["log"]
        assert failed["clusters"] == failed["endpoints"] == {}
        hub.wait(
            "its folder is gone", lambda: not (hub.state.directory / "workspaces" / name).exists() or None
        )
        assert {found.mark.instance for found in hub.processes()} == {"proxy"}
        assert not (hub.state.directory / "kept").exists(), "nobody had worked there"
        again = launched(hub, "plain")
        assert again != name, "a click after a failure is a new launch"
        hub.wait("the failed one is gone", lambda: name not in names(hub) or None)
        hub.client.request("DELETE", f"/api/workspaces/{again}")
        hub.wait("both are gone", lambda: not names(hub) or None)


def test_a_workspace_ends_when_its_time_is_up_and_keeps_its_files(tmp_path: Path) -> None:
    with running_hub(tmp_path, CONFIG) as hub:
        name = hub.launch("plain")
        home = hub.state.directory / "workspaces" / name / "home"
        (home / "work.txt").write_text("mine")
        soon = datetime.now(UTC) + timedelta(seconds=2)
        hub.patch(name, expires=soon.isoformat())
        stopping = hub.until(name, "is stopping", lambda w: w["status"]["phase"] == "Stopping")
        assert stopping["status"]["message"].startswith("Its time is up")
        hub.wait("it is gone", lambda: not names(hub) or None)
        (gone,) = json.loads((hub.state.directory / "room.json").read_text())["status"]["ended"]
        assert (gone["name"], gone["why"]) == (name, "time")
        assert gone["coreSeconds"] > 0
        status, packed = fetch(hub, f"/archives/{name}-{gone['uid'][:8]}.tar.gz")
        assert status == 200
        with tarfile.open(fileobj=io.BytesIO(packed), mode="r:gz") as tar:
            file = tar.extractfile("work.txt")
            assert file is not None
            assert file.read() == b"mine"
        assert fetch(hub, f"/archives/{name}-00000000.tar.gz")[0] == 404
        assert name.encode() in fetch(hub, "/report")[1]
        table = fetch(hub, "/report.csv")[1].decode("utf-8-sig").splitlines()
        assert len(table) == 2
        assert "its time was up" in table[1]


def test_what_a_hub_was_killed_over_is_done_by_the_next(tmp_path: Path) -> None:
    with running_hub(tmp_path, CONFIG) as hub:
        name = hub.launch("plain")
        (hub.state.directory / "workspaces" / name / "home" / "work.txt").write_text("mine")
        hub.client.request("DELETE", f"/api/workspaces/{name}")
        hub.kill()
        hub.start()
        hub.wait("it is gone", lambda: not names(hub) or None)
        (gone,) = json.loads((hub.state.directory / "room.json").read_text())["status"]["ended"]
        assert gone["archive"]["bytes"] >= 4
        assert fetch(hub, f"/archives/{name}-{gone['uid'][:8]}.tar.gz")[0] == 200
        assert list((hub.state.directory / "kept").iterdir()) == []


def test_a_notebook_starts_again_when_that_is_asked_for(tmp_path: Path) -> None:
    with running_hub(tmp_path, CONFIG) as hub:
        name = hub.launch("plain")
        home = hub.state.directory / "workspaces" / name / "home"
        (home / "work.txt").write_text("mine")
        notebook = hub.get(name)["status"]["endpoints"]["notebook"]
        kernels(hub, name, notebook, {})
        assert len(kernels(hub, name, notebook)) == 1
        hub.patch(name, restartedAt=datetime.now(UTC).isoformat())
        hub.wait("it has no kernels", lambda: kernels(hub, name, notebook) == [] or None)
        assert (home / "work.txt").read_text() == "mine"
        assert hub.get(name)["status"]["phase"] == "Ready"


def kernels(hub: RunningHub, name: str, notebook: str, start: object = None) -> object:
    """The kernels of a notebook, asked as the hub asks; with `start`, after one was started."""
    uid = hub.get(name)["metadata"]["uid"]
    token = Keys(hub.state.key(), f"{name}/{uid}").token("notebook")
    body = None if start is None else json.dumps(start).encode()
    headers = {"Authorization": f"Bearer {token}"}
    request = urllib.request.Request(f"{notebook}/{name}/api/kernels", body, headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return json.load(response)
    except OSError:
        return None  # it is starting again


def fetch(hub: RunningHub, path: str) -> tuple[int, bytes]:
    """Get a page, as the person of this machine."""
    headers = {"Authorization": f"Bearer {hub.state.read_token()}"}
    try:
        with urllib.request.urlopen(urllib.request.Request(f"{hub.url}{path}", None, headers)) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_without_java_spark_is_shown_as_unavailable_and_the_rest_works(tmp_path: Path) -> None:
    with running_hub(tmp_path, CONFIG, without_java(tmp_path)) as hub:
        menu = {item["name"]: item for item in hub.client.request("GET", "/api/profiles")["items"]}
        assert menu["spark"]["unavailable"]["spark"].startswith("Spark cannot run here. Java is neither")
        name = hub.launch("spark")
        hub.workers(name, "dask", 1)
        spark = hub.get(name)["status"]["clusters"]["spark"]
        assert spark["message"].startswith("Spark cannot run here.")
        assert spark["ready"] == 0


def launched(hub: RunningHub, profile: str) -> str:
    """Launch without waiting. Returns the name."""
    workspace: Any = hub.client.request("POST", "/api/workspaces", {"spec": {"profile": profile}})
    return str(workspace["metadata"]["name"])


def names(hub: RunningHub) -> set[str]:
    return {item["metadata"]["name"] for item in hub.client.request("GET", "/api/workspaces")["items"]}


def script(path: Path, text: str) -> Path:
    """A program of a few lines."""
    path.parent.mkdir()
    path.write_text(text)
    path.chmod(0o700)
    return path


def without_java(folder: Path) -> Mapping[str, str]:
    """An environment in which there is everything but Java."""
    programs = folder / "programs"
    programs.mkdir()
    for program in ("node", "git", "sh", "bash", "nice", "env"):
        (programs / program).symlink_to(shutil.which(program) or f"/bin/{program}")
    return {
        "PATH": str(programs),
        "JAVA_HOME": "",
        "XDG_CACHE_HOME": str(folder / "cache"),
        "PODIUM_WORKSPACE_PYTHON": str(tools.workspace_python()),
        "HOME": os.environ["HOME"],
    }
