"""The REST API: JSON in and out, errors that name the field. `openapi.py` describes it.

Handlers check who asks, let `admission.py` judge, write the spec, and answer with the object; nothing
here may touch a backend.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Mapping
from typing import Any

import msgspec
import tornado.iostream

from hub import admission
from hub.errors import BadInput, Conflict, NotFound, TooLarge, WrongContentType
from hub.model import NAME
from hub.profiles import Profile
from hub.web.base import BaseHandler
from hub.web.events import News, Notice, Said
from hub.web.launching import launch
from hub.web.openapi import document
from hub.wire import plain_object

MOST_BYTES = 64 * 1024
MOST_DEPTH = 20
MOST_TRIES = 5
KEEP_ALIVE = 5.0
"""Seconds; a page that hears nothing for much longer takes its connection for dead."""
MOST_DIGITS = 30
JSON_TYPES = ("application/json", "application/merge-patch+json")


class ApiHandler(BaseHandler):
    """What the API's handlers share."""

    def body(self) -> object:
        """The JSON that was sent.

        Raises:
            TooLarge, WrongContentType, BadInput: when it is not JSON of a sensible size.
        """
        if len(self.request.body) > MOST_BYTES:
            raise TooLarge(f"The body is larger than {MOST_BYTES} bytes.")
        kind = self.request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if kind not in JSON_TYPES:
            raise WrongContentType("The Content-Type must be application/json.")
        try:
            value = json.loads(self.request.body, parse_constant=_no_constant, object_pairs_hook=_no_doubles)
            json.dumps(value, ensure_ascii=False).encode()  # half a character cannot be kept or sent back
        except (ValueError, RecursionError):
            raise BadInput("The body is not valid JSON.") from None
        if _depth(value) > MOST_DEPTH:
            raise BadInput("The body is nested too deeply.")
        return value


class WorkspacesHandler(ApiHandler):
    """All workspaces of the person who asks; for an instructor those of everybody."""

    async def get(self) -> None:
        """List them."""
        person = self.person
        owned = [w for w in await self.site.store.list() if w.spec.owner]
        self.write_json({"items": [w for w in owned if person.instructs or w.spec.owner == person.name]})

    async def post(self) -> None:
        """Launch one; somebody who has one gets that one."""
        workspace, created = await launch(self, self.body())
        self.set_header("Location", f"/api/workspaces/{workspace.name}")
        self.write_json(workspace, 201 if created else 200)


class WorkspaceHandler(ApiHandler):
    """One workspace."""

    async def get(self, name: str) -> None:
        """Show it."""
        self.write_json(await self.workspace(name))

    async def patch(self, name: str) -> None:
        """Change what may be changed of its spec."""
        patch = self.body()
        for attempt in range(MOST_TRIES):
            try:
                workspace, instructs = await self.workspace(name), self.person.instructs
                changed = admission.change(workspace, patch, self.now(), instructs=instructs)
                self.write_json(await self.site.store.update(changed))
                return
            except Conflict:
                # The controller reported in between; what the person asked for is applied to what is now.
                if attempt == MOST_TRIES - 1 or (await self.workspace(name)).deleting:
                    raise

    async def delete(self, name: str) -> None:
        """Stop it."""
        workspace = await self.workspace(name)
        await self.site.store.delete(name)
        self.write_json(await self.site.store.get(name) or workspace, 202)


class StreamHandler(ApiHandler):
    """Server-sent events. Source: HTML Living Standard, section 9.2."""

    held = True
    _task: asyncio.Task[Any] | None = None

    async def stream(self, all_messages: AsyncGenerator[str]) -> None:
        """Send messages as they come, until there are no more, or this process is about to end."""
        self.set_header("Content-Type", "text/event-stream")
        self.set_header("X-Accel-Buffering", "no")
        self._task = asyncio.current_task()
        assert self._task is not None
        self.write("retry: 1000\n\n" + alive())
        with (
            contextlib.suppress(tornado.iostream.StreamClosedError, asyncio.CancelledError),
            self.told(self._task.cancel),
        ):
            await self.flush()
            async with contextlib.aclosing(all_messages):
                async for text in all_messages:
                    self.write(text)
                    await self.flush()

    def on_connection_close(self) -> None:
        # The coroutine above may be waiting for news that never comes.
        if self._task is not None:
            self._task.cancel()


class EventsHandler(StreamHandler):
    """News of one workspace."""

    async def get(self, name: str) -> None:
        """Send the object now and at each change; `Last-Event-ID` skips what was seen."""
        await self.workspace(name)
        seen = self.request.headers.get("Last-Event-ID", "")
        await self.stream(messages(self.site.watcher.follow(name, seen[:MOST_DIGITS], KEEP_ALIVE)))


class NoticesHandler(StreamHandler):
    """What everybody should know."""

    async def get(self) -> None:
        """Send a notice while changes have to wait, and what an instructor says."""
        await self.stream(messages(self.site.watcher.notices(KEEP_ALIVE)))


async def messages(all_news: AsyncGenerator[News]) -> AsyncGenerator[str]:
    """News as they go over the wire."""
    async with contextlib.aclosing(all_news):
        async for news in all_news:
            yield message(news)


def message(news: News) -> str:
    """One of them."""
    if news is None:
        return alive()
    if isinstance(news, Notice):
        return told("notice", news.text)
    if isinstance(news, Said):
        return told("room", {"message": news.message})
    version = news.workspace.metadata.resource_version
    return told("gone" if news.gone else "workspace", news.workspace, version)


def told(kind: str, value: object, version: str = "") -> str:
    """One server-sent event. JSON has no line breaks of its own, so it is one line of data."""
    number = f"id: {version}\n" if version else ""
    return f"event: {kind}\n{number}data: {msgspec.json.encode(value).decode()}\n\n"


def alive() -> str:
    """What says when at the latest there will be more, in seconds."""
    return told("alive", KEEP_ALIVE)


class ProfilesHandler(ApiHandler):
    """The menu."""

    async def get(self) -> None:
        """List the profiles."""
        self.write_json(
            {"items": [profile_object(p, self.site.unavailable) for p in self.site.profiles.values()]}
        )


class OpenAPIHandler(ApiHandler):
    """The description of this API."""

    anybody = True

    async def get(self) -> None:
        """Show it."""
        self.write_json(document())


class NotFoundHandler(ApiHandler):
    """Every other path below `/api/`."""

    anybody = True

    def prepare(self) -> None:
        super().prepare()
        raise NotFound("There is no such path in the API.", "See /api/openapi.json.")


def profile_object(profile: Profile, unavailable: Mapping[str, str]) -> dict[str, Any]:
    """A profile as the API and the pages show it."""
    return {
        **plain_object(profile),
        "unavailable": {name: why for name, why in unavailable.items() if name in profile.frameworks},
    }


def _no_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        names = [name for name, _ in pairs]
        double = next(name for name in value if names.count(name) > 1)
        raise BadInput(f"{double[:100]!r}: is there twice.")
    return value


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _depth(value: object) -> int:
    level, depth = [value], 0
    while level and depth <= MOST_DEPTH:
        depth += 1
        level = [
            item
            for holder in level
            if isinstance(holder, dict | list)
            for item in (holder.values() if isinstance(holder, dict) else holder)
        ]
    return depth


ROUTES = [
    (r"/api/workspaces", WorkspacesHandler),
    (rf"/api/workspaces/({NAME})", WorkspaceHandler),
    (rf"/api/workspaces/({NAME})/events", EventsHandler),
    (r"/api/events", NoticesHandler),
    (r"/api/profiles", ProfilesHandler),
    (r"/api/openapi\.json", OpenAPIHandler),
    (r"/api/.*", NotFoundHandler),
]
