"""The whole story in a browser, with pods in place of processes; what is told is that of one machine."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from tests.browser.test_story import *  # noqa: F403 - this is the story
from tests.browser.test_story import CONFIG, make_course
from tests.cluster.access import until
from tests.cluster.node import ADDRESS, RealNode
from tests.cluster.program import Program
from tests.node.hub import node_hub
from tests.running import RunningHub, free_port


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of course material in a git repository that pods can reach."""
    folder = make_course(tmp_path_factory.mktemp("material") / "course")
    port = free_port()
    where = (f"--listen={ADDRESS}", f"--port={port}", f"--base-path={folder.parent}")
    daemon = Program(["git", "daemon", "--export-all", *where], folder.parent / "daemon.log")
    address = f"git://{ADDRESS}:{port}/course"
    asked = ["git", "ls-remote", address]
    until("git serves", lambda: subprocess.run(asked, capture_output=True).returncode == 0)
    yield address
    daemon.stop()


@pytest.fixture(scope="module")
def hub(node: RealNode, tmp_path_factory: pytest.TempPathFactory, course: str) -> Iterator[RunningHub]:
    with node_hub(node, tmp_path_factory.mktemp("story"), CONFIG.format(course=course)) as hub:
        yield hub
