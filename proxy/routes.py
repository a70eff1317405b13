"""Which routes the proxy should have, and what to change to get there. Nothing here may do I/O.

A route is a path on the proxy and where it goes. Only notebooks have routes of their own; everything
else, dashboards included, goes to web by the default route, because web checks who may see it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hub.model import Workspace
from hub.observed import Observed

DEFAULT = "/"
SENTINEL = "/podium-sentinel"
"""A route that is put in last: a proxy that has it has all others."""


@dataclass(frozen=True)
class Changes:
    """Args:
    add: path to target, for what is missing or leads elsewhere.
    remove: paths that nobody wants.
    """

    add: Mapping[str, str]
    remove: tuple[str, ...]


def routes(workspace: Workspace, observed: Observed) -> dict[str, str]:
    """What should be reachable of a workspace: path to target."""
    target = observed.addresses.get("notebook.http")
    if workspace.deleting or target is None or not observed.ready("notebook"):
        return {}
    return {f"/{workspace.name}": f"http://{target}"}


class Table:
    """What all workspaces want of a proxy, as far as it is known.

    Args:
        default: where everything goes that has no route: web.
    """

    def __init__(self, default: str) -> None:
        self._default = default
        self._of: dict[str, dict[str, str]] = {}
        self._dropped: set[str] = set()
        self._complete = False
        self.wanted = {DEFAULT: default}
        """Every route that there should be."""

    def begin(self) -> None:
        """Nothing is known yet of what workspaces want, whatever was known before."""
        self._of.clear()
        self._dropped.clear()
        self._complete = False
        self.wanted = {DEFAULT: self._default}

    def put(self, name: str, wanted: Mapping[str, str]) -> set[str]:
        """Take down what one workspace wants. Returns the paths for which that is something new."""
        before = self._of.pop(name, {})
        for path in before:
            del self.wanted[path]
        if wanted:
            self._of[name] = dict(wanted)
        self.wanted.update(wanted)
        self._dropped = (self._dropped | before.keys()) - wanted.keys()
        return {path for path in before.keys() | wanted.keys() if before.get(path) != wanted.get(path)}

    def tried(self) -> None:
        """Every workspace was looked at once, so that a proxy with all these routes may serve people."""
        self.wanted[SENTINEL] = self._default

    def complete(self) -> None:
        """Every workspace was put once, so that nobody wants the routes that nobody spoke of."""
        self._complete = True
        self._dropped.clear()

    def changes(self, present: Mapping[str, str], paths: Iterable[str]) -> Changes:
        """What to change at some paths so that what is `present` becomes what is wanted.

        A route that is right is never put again, because that would reset the proxy's clock for it. A route
        that was there before us stays until it is certain that nobody wants it.
        """
        add, remove = {}, []
        for path in paths:
            target = self.wanted.get(path)
            if target is None:
                if path in present and (self._complete or path in self._dropped):
                    remove.append(path)
            elif present.get(path) != target:
                add[path] = target
        return Changes(add, tuple(remove))
