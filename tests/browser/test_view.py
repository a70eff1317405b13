"""The pure part of the pages' script, in Node."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from hub import tools


def test_what_the_pages_show() -> None:
    node = tools.node()
    if node.path is None:
        pytest.skip(node.reason)
    script = Path(__file__).parent / "view.test.mjs"
    done = subprocess.run([node.path, "--test", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
