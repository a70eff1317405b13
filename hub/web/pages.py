"""The pages: home, workspace, and the door to the notebook.

Pages are rendered with the state of the moment and kept live by the API's event streams. Nothing here
may change a workspace other than by what `api.py` offers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

import msgspec
import tornado.web

from hub.clusters import CLUSTERS
from hub.desired import context
from hub.ending import archives_of, link
from hub.errors import NotFound, Unauthorized
from hub.model import NAME, Workspace
from hub.notebook import COOKIE
from hub.profiles import Profile
from hub.room import Ended
from hub.web.api import profile_object
from hub.web.auth import SESSION_COOKIE, Person
from hub.web.base import RELOAD, BaseHandler
from hub.web.launching import launch


class PageHandler(BaseHandler):
    """A handler that answers with HTML, and leads to the sign-in page who is not signed in."""

    def admit(self) -> None:
        if self.current_user is None and not self.anybody:
            # The account is only asked for here, where a person opens a page, never for the API.
            person = self.site.sign_in.by_account(self.request) if self.request.method == "GET" else None
            if person is None:
                raise Unauthorized("Nobody is signed in.")
            self.sign_in(person)

    def sign_in(self, person: Person) -> None:
        """Remember who this browser belongs to."""
        self.current_user = person
        self.set_signed_cookie(
            SESSION_COOKIE,
            self.site.sign_in.session(person),
            expires_days=self.site.sign_in.session_days,
            httponly=True,
            samesite="Lax",
            path="/",
            secure=self.site.address.secure,
        )

    def page(self, template: str, **values: Any) -> None:
        """Answer with a page."""
        person = self.current_user
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.render(
            template,
            xsrf=self.xsrf_token.decode(),
            person=person.shown if person else "",
            instructs=person is not None and person.instructs,
            now=self.now().isoformat(),
            notice=self.site.store.away,
            static=self.static_url,
            reload=RELOAD,
            **values,
        )

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        error = self.problem(status_code, (kwargs.get("exc_info") or (None, None))[1])
        if isinstance(error, Unauthorized) and self.request.method in ("GET", "HEAD"):
            self.redirect(f"/sign-in?next={quote(self.request.uri or '/')}")
            return
        self.set_status(error.status)
        self.say_when(error)
        self.page("error.html", status=error.status, message=error.message, hint=error.hint)


class HomeHandler(PageHandler):
    """The button, and the menu beside it."""

    async def get(self) -> None:
        """Show them, and the workspace there is."""
        mine = [w for w in await self.site.store.list() if w.spec.owner == self.person.name]
        mine.sort(key=lambda workspace: workspace.deleting)
        room = self.site.watcher.room
        self.page(
            "home.html",
            profiles=[shown(profile, self.site.unavailable) for profile in self.site.profiles.values()],
            workspace=as_json(mine[0]) if mine else None,
            kept=archives_of(room, self.person.name, self.now()),
            lost=lost(room.status.ended, self.person.name, self.now()),
            link=link,
            size=size,
        )


class LaunchHandler(PageHandler):
    """The button, for browsers without scripts."""

    async def post(self) -> None:
        """Launch, and lead to the workspace's page."""
        body = {"spec": {"profile": self.get_body_argument("profile", "")}}
        workspace, _ = await launch(self, body)
        self.redirect(f"/workspaces/{workspace.name}?launched=1", status=303)


class WorkspacePageHandler(PageHandler):
    """One workspace: its launch, then its controls."""

    async def get(self, name: str) -> None:
        """Show it."""
        workspace, person = await self.workspace(name), self.person
        profile = self.site.profiles.get(workspace.spec.profile)
        own = workspace.spec.owner == person.name
        self.page(
            "workspace.html",
            workspace=as_json(workspace),
            own=own,
            owner=workspace.spec.display_name or workspace.spec.owner,
            in_class=person.role == "attendee",
            may_extend=workspace.spec.settings.extendable or person.instructs,
            return_code=self.site.sign_in.return_code(person) if own else "",
            profile=profile.title if profile else workspace.spec.profile,
            frameworks=[(name, CLUSTERS[name].title) for name in workspace.spec.settings.frameworks],
            unavailable=dict(self.site.unavailable),
            kept=self.site.kept,
        )


class OpenHandler(PageHandler):
    """The door to the notebook: gives the browser the notebook's own cookie, for its path alone."""

    async def get(self, name: str) -> None:
        """Open the notebook, or the workspace's page while it is not ready."""
        workspace = await self.own_workspace(name)
        if workspace.status.phase != "Ready":
            self.redirect(f"/workspaces/{name}?launched=1")
            return
        keys = context(workspace, self.site.hub_key).keys
        cookie, secure = keys.token("notebook"), self.site.address.secure
        self.set_cookie(COOKIE, cookie, path=f"/{name}/", httponly=True, samesite="Lax", secure=secure)
        self.redirect(inside(self.get_query_argument("next", ""), f"/{name}/"))


class LabHandler(BaseHandler):
    """What JupyterLab's Podium extension has to know; what it does comes from here, too."""

    async def get(self, name: str) -> None:
        """Say it."""
        workspace = await self.own_workspace(name)
        self.write_json(
            {
                "workspace": workspace,
                "xsrf": self.xsrf_token.decode(),
                "now": self.now(),
                "inClass": self.person.role == "attendee",
                "mayExtend": workspace.spec.settings.extendable or self.person.instructs,
                "style": self.static_url("lab.css"),
                "modules": {name: self.static_url(f"{name}.js") for name in ("lab", "view", "wire")},
            }
        )


class MissingHandler(PageHandler):
    """Every path that nothing else answers, such as a notebook that is not running."""

    anybody = True

    async def get(self, path: str) -> None:
        """Lead to the workspace's page, or say that there is nothing."""
        name = path.partition("/")[0]
        if self.current_user is not None and await self.site.store.get(name) is not None:
            workspace = await self.workspace(name)
            if workspace.spec.owner == self.current_user.name and self.get_cookie(COOKIE) is None:
                # Without the cookie of its door the proxy opens no page of a notebook.
                self.redirect(f"/workspaces/{name}/open?next={quote(self.request.uri or '/')}")
            else:
                self.redirect(f"/workspaces/{name}?launched=1")
            return
        raise NotFound("There is nothing at this address.", "Go to the home page.")

    async def post(self, path: str) -> None:
        """Say that there is nothing."""
        raise NotFound("There is nothing at this address.")

    put = patch = delete = post


class StaticHandler(tornado.web.StaticFileHandler):
    """Styles and scripts."""

    def validate_absolute_path(self, root: str, absolute_path: str) -> str | None:
        try:
            return super().validate_absolute_path(root, absolute_path)
        except ValueError:
            raise tornado.web.HTTPError(404) from None

    def get_cache_time(self, path: str, modified: datetime | None, mime_type: str) -> int:
        # During an upgrade a page of one version may ask the other, whose answer must not be kept.
        meant = self.get_query_argument("v", "") == self.get_version(self.settings, path)
        return super().get_cache_time(path, modified, mime_type) if meant else 0

    def set_extra_headers(self, path: str) -> None:
        self.set_header("X-Content-Type-Options", "nosniff")


def inside(target: str, prefix: str) -> str:
    """A place to go to that is below a path of this hub; the path itself for anything else."""
    fits = target.startswith(prefix) and not target.startswith("//") and "\\" not in target
    return target if fits and target.isprintable() else prefix


def shown(profile: Profile, unavailable: Mapping[str, str]) -> dict[str, Any]:
    """A profile as the pages show it: frameworks with the names that people write."""
    frameworks = [{"name": name, "title": CLUSTERS[name].title} for name in profile.frameworks]
    return {**profile_object(profile, unavailable), "frameworks": frameworks}


def lost(ended: Iterable[Ended], owner: str, now: datetime) -> list[Ended]:
    """Workspaces of a person that ended within a day, and whose files could not be kept."""
    return [
        each
        for each in ended
        if each.owner == owner and each.archive_message and now - each.ended < timedelta(days=1)
    ]


def size(count: int) -> str:
    """Bytes as people say them."""
    if count == 1:
        return "1 byte"
    value = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 999.5:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} TB"


def as_json(workspace: Workspace) -> dict[str, Any]:
    """A workspace as the API would return it."""
    value = msgspec.json.decode(msgspec.json.encode(workspace))
    assert isinstance(value, dict)
    return value


ROUTES = [
    (r"/", HomeHandler),
    (r"/launch", LaunchHandler),
    (rf"/workspaces/({NAME})", WorkspacePageHandler),
    (rf"/workspaces/({NAME})/open", OpenHandler),
    (rf"/workspaces/({NAME})/lab", LabHandler),
]
