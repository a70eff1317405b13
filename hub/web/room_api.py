"""The REST API of the room, for instructors: what is said to everybody, the list of those who are there.

What is done to many workspaces the page does one by one, through `api.py`, so that each has an answer of its
own. Nothing here may change a Workspace object.
"""

from __future__ import annotations

import contextlib
import csv
import io
from collections.abc import AsyncGenerator, Iterable
from typing import Any

from hub.model import Workspace
from hub.room import Room
from hub.room_admission import change_room
from hub.store.base import amend
from hub.web import api
from hub.web.api import ApiHandler, StreamHandler, alive, told
from hub.web.base import Site
from hub.web.events import Changes, Notice, Roll, RoomNews, seated
from hub.wire import replace

COLUMNS = ("name", "identity", "workspace", "profile", "phase", "launched", "ends", "workers", "hand raised")
FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠", "\t", "\r")


class RoomHandler(ApiHandler):
    """The room."""

    least = "instructor"

    async def get(self) -> None:
        """Show it."""
        self.write_json(shown(self.site, await self.site.room.get()))

    async def patch(self) -> None:
        """Change what may be changed of its spec."""
        patch, now, person, profiles = self.body(), self.now(), self.person, self.site.profiles
        room = await amend(
            self.site.room,
            lambda room: change_room(room, patch, profiles, now, by=person.shown, operates=person.operates),
        )
        self.write_json(shown(self.site, room))


class RoomEventsHandler(StreamHandler):
    """News of the room and of everybody's workspaces."""

    least = "instructor"

    async def get(self) -> None:
        """Send everything now, and then what changes, gathered."""
        await self.stream(room_messages(self.site, self.site.watcher.look_on(api.KEEP_ALIVE)))


class AttendeesHandler(ApiHandler):
    """The list of those who are there, for a spreadsheet."""

    least = "instructor"

    async def get(self) -> None:
        """Send it as CSV. Source: RFC 4180."""
        present = [w for w in await self.site.store.list() if seated(w)]
        self.set_header("Content-Type", "text/csv; charset=utf-8")
        self.set_header("Content-Disposition", 'attachment; filename="attendees.csv"')
        self.finish(attendees(present))


async def room_messages(site: Site, all_news: AsyncGenerator[RoomNews]) -> AsyncGenerator[str]:
    """News of the room as they go over the wire."""
    async with contextlib.aclosing(all_news):
        async for news in all_news:
            yield room_message(site, news)


def room_message(site: Site, news: RoomNews) -> str:
    """One of them."""
    match news:
        case None:
            return alive()
        case Notice(text):
            return told("notice", text)
        case Roll(workspaces):
            return told("workspaces", {"items": workspaces})
        case Changes(workspaces, gone):
            return told("changes", {"items": workspaces, "gone": gone})
    # Who was there is a report's to tell, and grows all day.
    status = replace(news.status, ended=())
    return told("room", shown(site, replace(news, status=status)))


def shown(site: Site, room: Room) -> dict[str, Any]:
    """The room, and what leads into it, which is derived and never kept."""
    return {"room": room, "invitation": invitation(site, room)}


def invitation(site: Site, room: Room) -> dict[str, str] | None:
    """The join code to type, and the longer one of the link; None where nobody needs a code."""
    made = site.sign_in.invitation(room.spec.code)
    return None if made is None else {"code": made.code, "secret": made.secret}


def attendees(workspaces: Iterable[Workspace]) -> str:
    """The list as CSV, by name.

    A name that begins like a formula gets an apostrophe before it, or a spreadsheet would run what an
    attendee wrote. Source: OWASP, CSV Injection.
    """
    text = io.StringIO()
    text.write("\ufeff")  # or Excel would take it for another encoding
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    rows = [(w.spec.display_name or w.spec.owner, w) for w in workspaces]
    for name, workspace in sorted(rows, key=lambda row: (row[0].casefold(), row[1].name)):
        meta, spec, status = workspace.metadata, workspace.spec, workspace.status
        moments = (meta.creation_timestamp, spec.expires)
        launched, ends = (moment.isoformat(timespec="seconds") if moment else "" for moment in moments)
        raised = spec.help_wanted.isoformat(timespec="seconds") if spec.help_wanted else ""
        phase = "Stopping" if workspace.deleting else status.phase
        writer.writerow(
            harmless(str(cell))
            for cell in (
                *(name, spec.owner, workspace.name, spec.profile, phase),
                *(launched, ends, status.workers, raised),
            )
        )
    return text.getvalue()


def harmless(cell: str) -> str:
    """A cell that a spreadsheet takes for text."""
    return f"'{cell}" if cell.startswith(FORMULA) else cell


ROUTES = [
    (r"/api/room", RoomHandler),
    (r"/api/room/events", RoomEventsHandler),
    (r"/api/room/attendees\.csv", AttendeesHandler),
]
