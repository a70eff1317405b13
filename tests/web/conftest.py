"""Every test here talks to the real web tier; one that makes it stumble fails, whatever it answered."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from hub.web import peers
from tests.web.serving import Web, serving


@pytest.fixture(autouse=True)
def no_account(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is let in for their account, unless a test is about that."""
    monkeypatch.setattr(peers, "sockets", lambda: None)


@pytest.fixture(autouse=True)
def no_stumble(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fail a test during which a handler raised what nobody expected."""
    yield
    records = [r for r in caplog.get_records("call") if r.name != "tornado.access"]  # which tells of each 503
    raised = [r.getMessage() for r in records if r.levelno >= logging.ERROR]
    assert not raised


@pytest.fixture
async def web(tmp_path: Path) -> AsyncIterator[Web]:
    """A web tier with an empty store."""
    async with serving(tmp_path) as web:
        yield web
