"""The pure parts of the pages' scripts, in Node."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from hub import tools


@pytest.mark.parametrize("what", ["view", "room"])
def test_what_the_pages_show(what: str) -> None:
    node = tools.node()
    if node.path is None:
        pytest.skip(node.reason)
    script = Path(__file__).parent / f"{what}.test.mjs"
    done = subprocess.run([node.path, "--test", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
