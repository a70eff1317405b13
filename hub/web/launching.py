"""A click: find the person's workspace, claim one of the pool, or ask for a new one.

One conditional write is all that a claim takes. Nothing here may touch a backend.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from hub import admission, pool
from hub.errors import Conflict, NotFound
from hub.model import Workspace
from hub.profiles import Profile
from hub.store.base import Store
from hub.web.auth import Person
from hub.web.base import BaseHandler
from hub.web.clicks import Clicks
from hub.wire import replace

MOST_CLAIMS = 30
"""How often others may be faster until a workspace is started instead."""


async def launch(handler: BaseHandler, body: object) -> tuple[Workspace, bool]:
    """Launch a workspace for the person who asks, or find the one there is.

    Returns:
        The workspace, and whether it was made or claimed now.
    """
    site = handler.site
    launcher = Launcher(site.store, site.profiles, site.marks, site.hub_key, site.clicks)
    workspace, new = await launcher.launch(handler.person, body, handler.now())
    site.metrics.clicked("found" if not new else "claimed" if workspace.spec.claimed_at else "launched")
    return workspace, new


@dataclass(frozen=True)
class Launcher:
    """Gives people their workspaces.

    However many clicks of one person reach however many processes at once, one workspace comes of them: a
    click that is overtaken takes back what it made or claimed.

    Args:
        store: where they are.
        profiles: the menu.
        marks: profile to the fingerprint that members of its pool have.
        hub_key: the secret that names are derived from.
        clicks: those that this process is busy with.
    """

    store: Store
    profiles: Mapping[str, Profile]
    marks: Mapping[str, str]
    hub_key: bytes
    clicks: Clicks = field(default_factory=Clicks)

    async def launch(self, person: Person, body: object, now: datetime) -> tuple[Workspace, bool]:
        """As the function of that name."""
        attempt = tries = 0
        async with self.clicks.turn(person.name):
            while True:
                name = admission.workspace_name(self.hub_key, person.name, attempt)
                wanted = admission.launch(body, self.profiles, person.name, name, now)
                wanted = replace(wanted, spec=replace(wanted.spec, display_name=person.display_name))
                everybodys = await self.store.list()
                for workspace in _live(everybodys, person):
                    if workspace.status.phase != "Failed":
                        return await self._first(workspace, person), False
                    await self._end(workspace)
                tries += 1
                try:
                    made = await self._claim(everybodys, wanted) if tries <= MOST_CLAIMS else None
                    if made is None:
                        if await self.store.get(name) is not None:
                            attempt += 1
                            continue
                        made = await self.store.create(wanted)
                except Conflict:
                    continue  # another click was faster, be it this person's or somebody else's
                # Two clicks of one person in different processes may have found different things free.
                first = await self._first(made, person)
                if first.name == made.name:
                    return made, True
                await self._end(made)
                return first, False

    async def _first(self, workspace: Workspace, person: Person) -> Workspace:
        """Of what a person has, what they had first; what they got beside it is about to be taken back."""
        before = _live(await self.store.before(workspace), person)
        return next((one for one in before if one.status.phase != "Failed"), workspace)

    async def _claim(self, workspaces: Iterable[Workspace], wanted: Workspace) -> Workspace | None:
        """Make a member of the pool the person's own; None when there is none.

        Raises:
            Conflict: when it changed since it was read.
        """
        members = pool.choice(workspaces, self.marks.get(wanted.spec.profile, ""), wanted)
        member = next((member for member in members if member.name not in self.clicks.taken), None)
        if member is None and not members:
            return None
        if member is None:
            await self.clicks.claim_over()  # it may have been in vain
            raise Conflict("Others are claiming what there is.")
        with self.clicks.taking(member.name):
            try:
                return await self.store.update(pool.claimed(member, wanted))
            except NotFound:
                raise Conflict("It is gone.") from None

    async def _end(self, workspace: Workspace) -> None:
        with contextlib.suppress(NotFound):  # another click was faster
            await self.store.delete(workspace.name)


def _live(workspaces: Iterable[Workspace], person: Person) -> list[Workspace]:
    return [w for w in workspaces if w.spec.owner == person.name and not w.deleting]
