"""What can be told of the images without building them."""

from __future__ import annotations

import configparser
import re
import tomllib

import pytest

from hub.tools import CHECKOUT
from tests.cluster.images import HUB, PROXY, WORKSPACE, Kind


@pytest.fixture
def release() -> str:
    settings = configparser.ConfigParser()
    settings.read(CHECKOUT / "setup.cfg")
    return settings["metadata"]["version"]


@pytest.mark.parametrize("kind", [WORKSPACE, HUB, PROXY])
def test_an_image_has_the_version_of_the_release(kind: Kind, release: str) -> None:
    assert re.findall(r"image\.version=.*:-(.*)}", kind.file.read_text()) == [release]


def test_so_has_what_runs_in_workspaces(release: str) -> None:
    project = tomllib.loads(WORKSPACE.file.with_name("pyproject.toml").read_text())["project"]
    assert project["version"] == release


def test_an_image_is_made_anew_when_what_it_copies_has_changed() -> None:
    copied = {str(file.relative_to(CHECKOUT)) for file in HUB.sources()}
    assert {"hub/app.py", "hub/web/server.py", "templates/static/podium.js", "setup.cfg"} <= copied
    assert not {"README.md", "podium_config.py", "proxy/package.json"} & copied
    assert not [name for name in copied if "__pycache__" in name]
