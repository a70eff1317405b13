"""Sending what must be refused, and looking that it was refused well."""

from __future__ import annotations

import json
from typing import Any

from tests.web.serving import MINE, Answer, Web

LONG = "x" * 10_000
LAUNCHES = "/api/workspaces"
CHANGES = f"/api/workspaces/{MINE}"
HOSTILE = [
    LONG,
    "<script>alert(1)</script>",
    "; rm -rf / #",
    "$(id)",
    "a\x00b",
    "a\x1b[2Jb",
    "a\nb",
    "a\n",
    "\u202eabc",
    "..",
    "",
    " ",
]


def named(value: Any) -> str:
    """A short name for a row."""
    text = json.dumps(value) if not isinstance(value, bytes) else repr(value)
    return text if len(text) < 60 else text[:57] + "..."


async def send(web: Web, path: str, body: object) -> Answer:
    """Launch or change, with exactly this JSON or these bytes."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    method = "POST" if path == LAUNCHES else "PATCH"
    return await web.ask(method, path, "session", headers={"Content-Type": "application/json"}, data=data)


async def refused(web: Web, path: str, body: object, field: str, status: int = 400) -> Answer:
    """Send what must be refused: with the field's name, in bounds, and without any effect."""
    await web.add(THERE if path == LAUNCHES else MINE, owner="bob" if path == LAUNCHES else "ada")
    before = await web.everything()
    answer = await send(web, path, body)
    assert answer.status == status
    assert field in answer.message
    assert len(answer.body) < 2_000
    assert await web.everything() == before
    return answer


THERE = "cluster-before"


def spec(**fields: Any) -> dict[str, Any]:
    """The body of a launch."""
    return {"spec": {"profile": "workshop", **fields}}


def content(**fields: Any) -> dict[str, Any]:
    """The body of a launch with course material."""
    return spec(content=[{"git": "https://example.org/x.git", **fields}])
