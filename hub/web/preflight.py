"""The preflight page, for instructors: is all there for this class?

What it asks goes through the room's API, and the answers come by the room's event stream. Nothing here may
look at anything, or change anything.
"""

from __future__ import annotations

from hub.web.pages import PageHandler
from hub.wire import plain_object


class PreflightHandler(PageHandler):
    """The question, and the last answer."""

    least = "instructor"

    async def get(self) -> None:
        """Show them."""
        room = await self.site.room.get()
        order, report = room.spec.preflight, room.status.preflight
        state = {
            "spec": {"preflight": plain_object(order) if order else None},
            "status": {"preflight": plain_object(report) if report else None},
        }
        self.page("preflight.html", state=state, profiles=list(self.site.profiles.values()), order=order)


ROUTES = [(r"/preflight", PreflightHandler)]
