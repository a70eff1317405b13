"""What can be told of the images without building them."""

from __future__ import annotations

import configparser
import io
import json
import re
import tarfile
import tomllib

import pytest

from hub.tools import CHECKOUT
from tests.cluster.images import HUB, PROXY, WORKSPACE, Kind
from tests.cluster.sizes import Size, in_parts
from tests.node.test_images import OWN


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
    extension = WORKSPACE.file.parent / "podium_workspace/labextensions/podium-workspace/package.json"
    assert json.loads(extension.read_text())["version"] == release


def test_an_image_is_made_anew_when_what_it_copies_has_changed() -> None:
    copied = {str(file.relative_to(CHECKOUT)) for file in HUB.sources()}
    assert {"hub/app.py", "hub/web/server.py", "templates/static/podium.js", "setup.cfg"} <= copied
    assert not {"README.md", "podium_config.py", "proxy/package.json"} & copied
    assert not [name for name in copied if "__pycache__" in name]


def _tar(files: dict[str, bytes]) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return written.getvalue()


def test_the_size_of_an_image_is_told_by_its_parts() -> None:
    debian = _tar({"usr/bin/sh": b"x" * 4, "usr/lib/jvm/java-17/bin/java": b"x" * 10})
    packages = _tar(
        {
            "opt/podium/lib/python3.11/site-packages/dask/array/core.py": b"x" * 6,
            "opt/podium/lib/python3.11/site-packages/dask/base.py": b"x" * 2,
            "opt/podium/node_modules/async/index.js": b"x" * 3,
            "usr/bin/node": b"x",
        }
    )
    saved = _tar({"aa.tar": debian, "bb.tar": packages, "cc.json": b"{}", "manifest.json": b"[]"})
    assert dict(in_parts(io.BytesIO(saved))) == {
        "usr/lib/jvm/java-17": 10,
        "opt/podium/lib/python3.11/site-packages/dask": 8,
        "usr/bin": 5,
        "opt/podium/node_modules/async": 3,
    }


def test_the_size_of_an_image_in_words() -> None:
    size = Size(69_400_000, 185_000_000, (("usr/bin", 29_000_000),))
    assert str(size) == "69 MB to download, 185 MB on disk; the largest parts:\n    29 MB  /usr/bin"


def test_the_readme_says_what_is_tested() -> None:
    assert OWN in (CHECKOUT / "README.md").read_text()
