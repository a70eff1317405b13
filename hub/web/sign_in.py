"""Getting in and out: the pages of every way to sign in, each where its way is configured.

Who is who is decided elsewhere; here it is asked for, tries are counted, and cookies are set. Nothing here
may know a workspace's inside.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from hub import audit
from hub.errors import BadInput, Forbidden, NotFound, PodiumError, TooMany, Unauthorized
from hub.notebook import COOKIE
from hub.web.auth import SESSION_COOKIE, Person
from hub.web.class_sign_in import ClassSignIn
from hub.web.codes import SHORT, display_name, same_name, typed
from hub.web.limits import Limit, Rate
from hub.web.pages import PageHandler, inside

WRONG = {
    "join": Rate(burst=60, per_second=2),
    "return": Rate(burst=10, per_second=0.1),
    "instructor": Rate(burst=10, per_second=0.1),
}
"""How many wrong codes are taken: for the class as a whole, for each name, and for the one password."""


class AskingHandler(PageHandler):
    """The page that asks who somebody is, as it is configured."""

    anybody = True
    audited = False

    async def get(self) -> None:
        """Ask."""
        self.ask()

    def ask(self, problem: PodiumError | None = None, part: str = "", **filled: str) -> None:
        """Show the page, again if there is a problem.

        Args:
            problem: what was wrong, shown above the part of the page that it is about.
            part: `join`, `return` or `instructor`, where the page has several.
            filled: what fields hold already.
        """
        if problem is not None:
            self.set_status(problem.status)
            self.say_when(problem)
        self.page(
            f"sign_in_{self.site.sign_in.mode}.html",
            error=f"{problem.message} {problem.hint}".strip() if problem else "",
            part=part,
            next=inside(self.get_argument("next", ""), "/"),
            filled=filled,
            open=self.site.watcher.room.spec.open,
        )

    def let_in(self, person: Person, did: str, wanted: str) -> None:
        """Sign somebody in, and lead to where they wanted to go."""
        audit.note(did, "done", who=person.name, role=person.role)
        self.sign_in(person)
        self.redirect(inside(wanted, "/"), status=303)


class SignInHandler(AskingHandler):
    """The page that people are led to who are not signed in; the one of one machine also checks its code."""

    cross_site = True  # `podium open` posts from a file; the code is what proves who it is

    async def post(self) -> None:
        """Check the code that was printed in the terminal."""
        person = self.site.sign_in.by_code(self.get_body_argument("code", ""))
        if person is None:
            audit.note("sign in by code", "wrong code")
            self.ask(Unauthorized("That is not the code."))
            return
        self.let_in(person, "sign in by code", self.get_body_argument("next", ""))


class ClassHandler(AskingHandler):
    """What is there only for a class."""

    part = ""

    @property
    def way(self) -> ClassSignIn:
        """Who is who in a class. Raises NotFound where people sign in otherwise."""
        way = self.site.sign_in
        if not isinstance(way, ClassSignIn):
            raise NotFound("There is nothing at this address.", "Go to the home page.")
        return way

    async def post(self) -> None:
        """Check what was filled in, and say on the same page what is wrong with it."""
        try:
            person = await self.check(self.way)
        except (BadInput, Forbidden, TooMany, Unauthorized) as problem:
            audit.note(self.part, problem.code)
            self.ask(problem, self.part, name=self.get_body_argument("name", "")[:200])
            return
        self.let_in(person, self.part, self.get_body_argument("next", ""))

    async def check(self, way: ClassSignIn) -> Person:
        """Who it is. Raises an error that says what is wrong."""
        raise NotImplementedError

    def count_wrong(self, key: str, right: bool) -> None:
        """Refuse a code if too many were wrong; else count this one if it is.

        Raises:
            TooMany: whether the code is right or not, which so cannot be found out by trying.
        """
        limit: Limit = self.settings["wrong_codes"][self.part]
        now = asyncio.get_running_loop().time()
        wait = limit.wait(key, now) if right else limit.take(key, now)
        if wait:
            raise TooMany("Too many wrong codes were tried.", "Wait a moment, then try again.", wait)


class JoinHandler(ClassHandler):
    """The invitation, and the page of those who have only the short code."""

    part = "join"

    async def get(self) -> None:
        """Ask for a name; what comes after the # of the link is for the page alone."""
        _ = self.way
        if self.current_user is not None:
            self.redirect("/")
            return
        self.ask(part=self.part)

    async def check(self, way: ClassSignIn) -> Person:
        """Somebody new, by this name."""
        room, given = await self.site.room.get(), self.get_body_argument("code", "")
        right = way.invited(given, room.spec.code)
        if not right or len(typed(given)) <= SHORT:  # who has the whole link never waits
            self.count_wrong(str(room.spec.code), right)
        if not right:
            raise Unauthorized("That is not the join code.", "Look at the screen: it may be a new one.")
        if not room.spec.open:
            raise Forbidden("The class is closed to newcomers.", "Ask your instructor to open it.")
        return way.newcomer(display_name(self.get_body_argument("name", "")))


class ReturnHandler(ClassHandler):
    """The way back for somebody who lost the cookie."""

    part = "return"

    async def check(self, way: ClassSignIn) -> Person:
        """Somebody who was here."""
        name = display_name(self.get_body_argument("name", ""))
        known = [person async for person in self.known()]
        person = way.returning(name, self.get_body_argument("code", ""), known)
        self.count_wrong(same_name(name), person is not None)
        if person is None:
            raise Unauthorized("Nobody of this name has this code.", "Both are on your workspace's page.")
        return person

    async def known(self) -> AsyncIterator[Person]:
        """Everybody who was here."""
        for workspace in await self.site.store.list():
            yield Person(workspace.spec.owner, workspace.spec.display_name)
        for ended in (await self.site.room.get()).status.ended:
            yield Person(ended.owner, ended.display_name)


class InstructorHandler(ClassHandler):
    """The way in for those who teach."""

    part = "instructor"

    async def check(self, way: ClassSignIn) -> Person:
        """The instructor of this name."""
        name = display_name(self.get_body_argument("name", ""))
        person = way.instructor(self.get_body_argument("password", "", strip=False), name)
        self.count_wrong("instructor", person is not None)
        if person is None:
            raise Unauthorized("That is not the password.", "The one who runs Podium has it.")
        return person


class SignOutHandler(PageHandler):
    """The end of a session."""

    anybody = True
    audited = False

    async def post(self) -> None:
        """Forget who this browser belongs to, and end what it holds open."""
        person = self.current_user
        if person is not None:
            audit.note("sign out", "done", who=person.name, role=person.role)
            for name in [w.name for w in await self.site.store.list() if w.spec.owner == person.name]:
                self.clear_cookie(COOKIE, path=f"/{name}/")
        session = self.session_cookie
        self.clear_cookie(SESSION_COOKIE, path="/")
        self.redirect("/sign-in", status=303)
        if session:
            self.site.sessions.end(session)


def wrong_codes() -> dict[str, Limit]:
    """How many wrong codes were tried, by what they were for."""
    return {part: Limit(rate) for part, rate in WRONG.items()}


ROUTES = [
    (r"/sign-in", SignInHandler),
    (r"/sign-out", SignOutHandler),
    (r"/join", JoinHandler),
    (r"/return", ReturnHandler),
    (r"/sign-in/instructor", InstructorHandler),
]
