"""The lock files: everything pinned by its hash, and nothing said about where it comes from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hub import install, tools
from hub.tools import CHECKOUT, ToolError

LOCKS = [tools.TOOLS_LOCK, install.HUB_LOCK, install.TESTS_LOCK, tools.WORKSPACE_LOCK]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: str(lock.relative_to(CHECKOUT)))
def test_every_package_has_hashes_and_no_address(lock: Path) -> None:
    text = lock.read_text()
    assert "://" not in text
    packages = [line for line in text.splitlines() if line[:1].isalnum()]
    assert packages
    assert all("==" in line and line.endswith("\\") for line in packages)


def test_the_tests_run_what_the_hub_runs() -> None:
    def packages(lock: Path) -> set[str]:
        return {line.split()[0] for line in lock.read_text().splitlines() if line[:1].isalnum()}

    assert packages(install.HUB_LOCK) <= packages(install.TESTS_LOCK)


def test_npm_names_no_address() -> None:
    lock = json.loads((CHECKOUT / "proxy" / "package-lock.json").read_text())
    packages = {name: package for name, package in lock["packages"].items() if name}
    assert all("integrity" in package and "resolved" not in package for package in packages.values())


def test_one_package_of_the_lock() -> None:
    block = install._pinned("uv")
    assert block.startswith("uv==")
    assert block.count("--hash=sha256:") == block.count("\n") - 1
    with pytest.raises(ToolError, match="does not name"):
        install._pinned("u")
