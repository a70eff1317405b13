"""The two halves of a sign-in at a provider: to it, and back from it. Nothing here may decide who is who."""

from __future__ import annotations

import secrets

from hub import audit
from hub.errors import BadInput, Forbidden, NotFound, PodiumError
from hub.web.auth import same
from hub.web.oidc import AGAIN, OidcSignIn
from hub.web.pages import inside
from hub.web.sign_in import AskingHandler

STATE_COOKIE = "podium-oidc"
DAYS = 1 / 24
"""How long somebody may take to sign in at the provider."""
PATH = "/sign-in"


class ProviderHandler(AskingHandler):
    """What is there only with a provider."""

    @property
    def way(self) -> OidcSignIn:
        """Who is who. Raises NotFound where people sign in otherwise."""
        way = self.site.sign_in
        if not isinstance(way, OidcSignIn):
            raise NotFound("There is nothing at this address.", "Go to the home page.")
        return way

    @property
    def back(self) -> str:
        """Where the provider leads people to: it has to know this address."""
        own = self.site.address.url.rstrip("/") or f"{self.request.protocol}://{self.request.host}"
        return f"{own}{PATH}/back"


class BeginHandler(ProviderHandler):
    """The way to the provider."""

    async def get(self) -> None:
        """Lead there, and keep in a cookie that it was this browser."""
        state = secrets.token_hex(32)
        try:
            target = await self.way.begin(self.site.session, self.back, state)
        except PodiumError as problem:
            self.ask(problem)
            return
        wanted = inside(self.get_query_argument("next", ""), "/")
        self.set_signed_cookie(
            STATE_COOKIE,
            f"{state} {wanted}",
            expires_days=DAYS,
            httponly=True,
            samesite="Lax",
            path=PATH,
            secure=self.site.address.secure,
        )
        self.redirect(target)


class BackHandler(ProviderHandler):
    """The way back."""

    async def get(self) -> None:
        """Sign somebody in, if the sign-in was begun in this browser."""
        way, kept = self.way, (self.get_signed_cookie(STATE_COOKIE, max_age_days=DAYS) or b"").decode()
        self.clear_cookie(STATE_COOKIE, path=PATH)
        state, _, wanted = kept.partition(" ")
        try:
            if not state or not same(self.get_query_argument("state", ""), state):
                raise BadInput("This sign-in was begun elsewhere, or too long ago.", AGAIN)
            code = self.get_query_argument("code", "")
            if not code:
                raise Forbidden("The sign-in service did not let you in.", AGAIN)
            person = await way.end(self.site.session, self.back, state, code)
        except PodiumError as problem:
            audit.note("sign in at the provider", problem.code)
            self.ask(problem)
            return
        self.let_in(person, "sign in at the provider", wanted)


ROUTES = [(rf"{PATH}/begin", BeginHandler), (rf"{PATH}/back", BackHandler)]
