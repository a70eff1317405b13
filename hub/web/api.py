"""The REST API: JSON in and out, errors that name the field. `openapi.py` describes it.

Handlers check who asks, let `admission.py` judge, write the spec, and answer with the object; nothing
here may touch a backend.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Mapping
from typing import Any

import msgspec
import tornado.iostream

from hub import admission
from hub.errors import BadInput, Conflict, NotFound, TooLarge, WrongContentType
from hub.model import NAME, Workspace, plain_object
from hub.profiles import Profile
from hub.store.base import Event
from hub.web.base import BaseHandler
from hub.web.openapi import document

MOST_BYTES = 64 * 1024
MOST_DEPTH = 20
MOST_TRIES = 5
KEEP_ALIVE = 15.0
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
    """All workspaces of the person who asks."""

    async def get(self) -> None:
        """List them."""
        mine = [w for w in await self.site.store.list() if w.spec.owner == self.person.name]
        self.write_json({"items": mine})

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
                changed = admission.change(await self.workspace(name), patch, self.now())
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


class EventsHandler(ApiHandler):
    """Server-sent events of one workspace. Source: HTML Living Standard, section 9.2."""

    _task: asyncio.Task[Any] | None = None

    async def get(self, name: str) -> None:
        """Send the object now and at each change; `Last-Event-ID` skips what was seen."""
        await self.workspace(name)
        self.set_header("Content-Type", "text/event-stream")
        self.set_header("X-Accel-Buffering", "no")
        seen = self.request.headers.get("Last-Event-ID", "")
        self._task = asyncio.current_task()
        self.write("retry: 1000\n\n")
        with contextlib.suppress(tornado.iostream.StreamClosedError, asyncio.CancelledError):
            await self.flush()
            async with contextlib.aclosing(self.site.watcher.follow(name, seen, KEEP_ALIVE)) as news:
                async for event in news:
                    self.write(message(event))
                    await self.flush()

    def on_connection_close(self) -> None:
        # The coroutine above may be waiting for news that never comes.
        if self._task is not None:
            self._task.cancel()


def message(event: Event | None) -> str:
    """An event as it goes over the wire; None is a comment that keeps the connection open."""
    if event is None:
        return ": still here\n\n"
    kind = "gone" if event.gone else "workspace"
    data = msgspec.json.encode(event.workspace).decode()
    return f"event: {kind}\nid: {event.workspace.metadata.resource_version}\ndata: {data}\n\n"


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


async def launch(handler: BaseHandler, body: object) -> tuple[Workspace, bool]:
    """Launch a workspace for the person who asks, or find the one there is.

    Returns:
        The workspace, and whether it was made now.
    """
    site, person, now = handler.site, handler.person, handler.now()
    attempt = 0
    while True:
        name = admission.workspace_name(site.hub_key, person.name, attempt)
        wanted = admission.launch(body, site.profiles, person.name, name, now)
        mine = [w for w in await site.store.list() if w.spec.owner == person.name and not w.deleting]
        for workspace in mine:
            if workspace.status.phase != "Failed":
                return workspace, False
            await site.store.delete(workspace.name)
        if await site.store.get(name) is None:
            # Another click may be faster: then there is one of that name, to be found in the next round.
            with contextlib.suppress(Conflict):
                return await site.store.create(wanted), True
        else:
            attempt += 1


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
    (r"/api/profiles", ProfilesHandler),
    (r"/api/openapi\.json", OpenAPIHandler),
    (r"/api/.*", NotFoundHandler),
]
