"""What all tests have in common: Hypothesis tries the same examples every time, and no process is left."""

from __future__ import annotations

import asyncio
import subprocess
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from hub.processes import find, sweep

settings.register_profile(
    "podium",
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=100,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("podium")


@pytest.fixture
def hub_id() -> Iterator[str]:
    """The mark of a hub of its own; what carries it when the test is over is ended."""
    hub = uuid.uuid4().hex[:16]
    yield hub
    for found in find(hub):
        asyncio.run(sweep(hub, found.mark.workspace, found.mark.instance))


@pytest.fixture
def may_abandon(hub_id: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """For a test that lets go of running processes, as a hub that is killed does.

    A killed hub's children get another parent; here they stay ours, so they are waited for in the end.
    """
    started = []

    class Child(subprocess.Popen[Any]):
        def __init__(self, *args: Any, **more: Any) -> None:
            super().__init__(*args, **more)
            started.append(self)

    monkeypatch.setattr(subprocess, "Popen", Child)
    yield
    for found in find(hub_id):
        asyncio.run(sweep(hub_id, found.mark.workspace, found.mark.instance))
    for child in started:
        child.wait()
