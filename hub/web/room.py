"""The room's pages, for instructors: the room, what a projector shows, and the invitation as a picture.

What they show comes by the room's event stream. Nothing here may change anything.
"""

from __future__ import annotations

import io

import segno

from hub.clusters import CLUSTERS
from hub.errors import BadInput
from hub.settings import FRAMEWORKS
from hub.web.pages import PageHandler
from hub.web.room_api import invitation


class RoomPageHandler(PageHandler):
    """Everybody who is there."""

    least = "instructor"

    async def get(self) -> None:
        """Show the page, which fills itself."""
        frameworks = [(name, CLUSTERS[name].title) for name in FRAMEWORKS]
        self.page("room.html", frameworks=frameworks, profiles=list(self.site.profiles.values()))


class ProjectorHandler(PageHandler):
    """What the class sees on the wall."""

    least = "instructor"

    async def get(self) -> None:
        """Show the page, which fills itself."""
        self.page("projector.html")


class InvitationHandler(PageHandler):
    """The way in, to be photographed."""

    least = "instructor"

    async def get(self) -> None:
        """Draw the link as a QR code, black on white in any light. Source: ISO/IEC 18004."""
        origin = self.get_query_argument("origin", "")
        if not origin or not self.site.address.origin_allowed(origin, self.request.headers.get("Host", "")):
            raise BadInput("origin: must be the address of this hub.")
        made = invitation(self.site, await self.site.room.get())
        link = f"{origin}/join#{made['secret']}" if made else f"{origin}/"
        picture = io.BytesIO()
        segno.make(link, error="m", micro=False).save(
            picture, kind="svg", border=4, light="#fff", xmldecl=False, omitsize=True
        )
        self.set_header("Content-Type", "image/svg+xml")
        self.finish(picture.getvalue())


ROUTES = [
    (r"/room", RoomPageHandler),
    (r"/room/projector", ProjectorHandler),
    (r"/room/invitation\.svg", InvitationHandler),
]
