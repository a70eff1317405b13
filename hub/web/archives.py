"""The home folders of workspaces that ended, for their owners to download.

Nobody else gets them, instructors no more than others. Nothing here may keep or remove any.
"""

from __future__ import annotations

import aiohttp
from tornado.iostream import StreamClosedError

from hub.errors import NotFound, Unavailable
from hub.model import NAME
from hub.web.pages import PageHandler


class ArchiveHandler(PageHandler):
    """One archive."""

    async def get(self, key: str) -> None:
        """Send it, piece by piece; half of it never looks like all of it."""
        try:
            async with self.site.archives.read(key, self.person.name) as pieces:
                if pieces is None:
                    raise NotFound("There are no such files.", "They may have been kept long enough.")
                self.set_header("Content-Type", "application/gzip")
                self.set_header("Content-Disposition", f'attachment; filename="{key}.tar.gz"')
                async for piece in pieces:
                    self.write(piece)
                    await self.flush()
        except StreamClosedError:
            return
        except (aiohttp.ClientError, TimeoutError, OSError):
            if not self._headers_written:
                raise Unavailable("The archive does not answer now.", "Try again in a moment.") from None
            self.detach().close()
            return
        await self.finish()


ROUTES = [(rf"/archives/({NAME}-[0-9a-z-]{{1,8}})\.tar\.gz", ArchiveHandler)]
