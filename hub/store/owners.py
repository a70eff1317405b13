"""Since when objects have had their owners, so that of two things that one person got, one was first.

Nothing here may keep objects; that is what stores are for.
"""

from __future__ import annotations

from collections.abc import Iterable

from hub.model import Workspace


class Owners:
    """The owner of each object, and the resource version with which it became its owner."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, int]] = {}

    def note(self, uid: str, owner: str, version: int) -> bool:
        """Note what an object is now. Returns whether its owner is new."""
        known = self._known.get(uid)
        if known is not None and known[0] == owner:
            return False
        self._known[uid] = (owner, version)
        return True

    def forget(self, uid: str) -> None:
        """Note that an object is gone."""
        self._known.pop(uid, None)

    def knows(self, workspace: Workspace) -> bool:
        """Whether it is known since when an object has had the owner that it has."""
        return self._known.get(workspace.metadata.uid, (None, 0))[0] == workspace.spec.owner

    def before(self, workspace: Workspace, others: Iterable[Workspace]) -> tuple[Workspace, ...]:
        """Those of the same owner that were theirs when they got this one, the oldest first."""
        owner, latest = workspace.spec.owner, self._since(workspace)
        theirs = [w for w in others if w.spec.owner == owner and w.name != workspace.name and self.knows(w)]
        return tuple(w for w in sorted(theirs, key=self._since) if self._since(w) <= latest)

    def _since(self, workspace: Workspace) -> int:
        if self.knows(workspace):
            return self._known[workspace.metadata.uid][1]
        return int(workspace.metadata.resource_version)
