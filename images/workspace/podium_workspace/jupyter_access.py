"""Who may use the notebook: whoever has its secret, as a cookie (a browser) or as a header (the hub).

The hub sets the cookie, for the notebook's own path. There is no other way in: no password, no token in
an address, no page to sign in at.
"""

from __future__ import annotations

from typing import Any, ClassVar

from jupyter_server.auth.identity import IdentityProvider, User
from tornado.web import RequestHandler
from traitlets import default

from podium_workspace import tokens

COOKIE = "podium-notebook"


class Owner(IdentityProvider):
    """Knows one person: the owner."""

    secret: ClassVar[str]
    """Set once, before the server is made."""

    @default("token")
    def _token_default(self) -> str:
        """Jupyter Server's own token would be shown in logs and pages, so there is none."""
        return ""

    async def get_user(self, handler: RequestHandler) -> User | None:
        """The owner, or nobody."""
        if tokens.bears(handler.request.headers.get("Authorization"), self.secret):
            # No page of another site can make a browser send this header, so neither origin nor XSRF token
            # is asked for.
            handler._token_authenticated = True  # type: ignore[attr-defined]
            return User("owner")
        if tokens.same(handler.get_cookie(COOKIE), self.secret):
            return User("owner")
        return None

    def get_handlers(self) -> list[tuple[str, Any]]:
        """No pages for signing in and out."""
        return []

    @property
    def login_available(self) -> bool:
        """The hub does this."""
        return False

    @property
    def logout_available(self) -> bool:
        """The hub does this."""
        return False
