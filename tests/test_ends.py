"""How workspaces end or fail to begin: by failure, by time, for lack of Java; a real hub throughout."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hub import tools
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
        (kept,) = (hub.state.directory / "kept").iterdir()
        assert (kept / "work.txt").read_text() == "mine"


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
