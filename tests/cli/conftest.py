"""A machine on which `podium` is typed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.state import State
from hub.web.auth import derive
from tests.cli.podium import Podium
from tests.web.elsewhere import serving_elsewhere


@pytest.fixture
def podium(tmp_path: Path) -> Iterator[Podium]:
    """A machine with one hub, of which only its port is known."""
    state = State(tmp_path / "state")
    state.directory.mkdir()
    secrets = {"token": state.token(), "code": derive(state.key(), "sign-in")[:16], "hub_key": state.key()}
    with serving_elsewhere(tmp_path, **secrets) as hub:
        # Where `--port` looks for it.
        (tmp_path / "podium").mkdir()
        (tmp_path / "podium" / str(hub.web.port)).symlink_to(state.directory)
        env = dict.fromkeys(("PODIUM_URL", "PODIUM_API_TOKEN", "_PODIUM_COMPLETE"))
        yield Podium(hub, state, {**env, "PORT": str(hub.web.port), "XDG_DATA_HOME": str(tmp_path)})
